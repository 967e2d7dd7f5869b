"""What only a revision without sessions has."""

from collections.abc import Awaitable
from typing import Any

import mcp_types as types
from mcp.client.subscriptions import ResourceUpdated, Subscription, SubscriptionLost

from cutter import Cutter
from peer import CPU, MEMORY, Peer, check, equal, holds, refused, text_of

REVISION = "2026-07-28"
LOG_LEVEL = "io.modelcontextprotocol/logLevel"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"

ACCEPTED = types.ElicitResult(action="accept", content={"allow": True})
GRANTED = "Permission granted: a may be changed."


async def session(peer: Peer, server: Any, mode: str) -> None:
    """Checks that need no connection of their own."""
    await check("server/discover", discover, peer)
    await check("research: log lines for the call that asks for them", research_log, peer)
    await check("ask_permission, round by round", rounds, peer)
    if isinstance(server, str):
        await check("ask_permission: another client brings the answer", another, peer, server, mode)
    await check("ask_permission: a state that was changed is refused", changed_state, peer)
    await check("ask_permission: an error instead of an answer", permission_error, peer)
    await check("subscriptions/listen: updates of this resource alone", listen, peer)
    await check("a client without capabilities is told so", incapable, server, mode)


async def connections(url: str, mode: str) -> None:
    """Connections that are lost."""
    async with Cutter.before(url) as cutter:
        await check("cut: the call is lost, the next one is not", cut_call, cutter, mode)
        await check("cut: a subscription is lost, the next one is not", cut_subscription, cutter, mode)
        await check("cut while a question is open: its answer still counts", cut_question, cutter, mode)


async def discover(peer: Peer) -> None:
    found = await peer.client.session.send_discover(REVISION)
    assert REVISION in found["supportedVersions"], found
    equal(found["resultType"], "complete")
    equal(found["_meta"][SERVER_INFO]["name"], "throughline-demo")
    holds(found["instructions"], "research")
    assert found["ttlMs"] >= 0 and found["cacheScope"] in ("public", "private"), found
    can = found["capabilities"]
    assert can["resources"]["subscribe"] and {"tools", "prompts", "logging", "completions"} <= can.keys(), can


async def research_log(peer: Peer) -> None:
    arguments = {"topic": "tea", "steps": 3, "step_ms": 20}
    await peer.text("research", arguments, meta={LOG_LEVEL: "info"})
    peer.heard(3)
    await peer.text("research", arguments, meta={LOG_LEVEL: "warning"})
    await peer.text("research", arguments)
    peer.heard(3)


# Rounds: an answer that asks, and the same call again with the answers.


def ask(peer: Peer, path: str = "a", **more: Any) -> Awaitable[Any]:
    """One round of `ask_permission`."""
    return peer.client.session.call_tool("ask_permission", {"path": path}, allow_input_required=True, **more)


async def rounds(peer: Peer) -> None:
    first = await ask(peer)
    assert isinstance(first, types.InputRequiredResult), first
    [(key, question)] = (first.input_requests or {}).items()
    equal((key, question.method), ("permission", "elicitation/create"))
    # A round without an answer asks again.
    again = await ask(peer, input_responses={}, request_state=first.request_state)
    equal(list(again.input_requests), ["permission"])
    answers = {"permission": ACCEPTED, "other": ACCEPTED}
    equal(text_of(await ask(peer, input_responses=answers, request_state=again.request_state)), GRANTED)


async def another(peer: Peer, server: Any, mode: str) -> None:
    first = await ask(peer)
    async with Peer().connected(server, mode) as other:
        answers = {"permission": ACCEPTED}
        equal(text_of(await ask(other, input_responses=answers, request_state=first.request_state)), GRANTED)


async def changed_state(peer: Peer) -> None:
    answers = {"permission": ACCEPTED}
    state = (await ask(peer)).request_state
    changed = await refused(ask(peer, input_responses=answers, request_state=f"{state}x"))
    equal(changed.code, types.INVALID_PARAMS)
    moved = await refused(ask(peer, path="b", input_responses=answers, request_state=state))
    equal(moved.code, types.INVALID_PARAMS)


async def permission_error(peer: Peer) -> None:
    # It never comes to the server: there is nothing that it could be sent in.
    peer.answer = types.ErrorData(code=types.INTERNAL_ERROR, message="nobody is here")
    error = await refused(peer.client.call_tool("ask_permission", {"path": "a"}))
    holds(error.message, "nobody is here")


# Subscriptions.


async def updated(subscription: Subscription) -> str:
    """The resource of the next event, which must be an update."""
    event = await anext(subscription)
    assert isinstance(event, ResourceUpdated), event
    return event.uri


async def listen(peer: Peer) -> None:
    async with peer.client.listen(resource_subscriptions=[MEMORY]) as memory:
        equal(memory.honored.resource_subscriptions, [MEMORY])
        async with peer.client.listen(resource_subscriptions=[CPU], tools_list_changed=True) as cpu:
            equal(cpu.honored.tools_list_changed, True)
            for _ in range(2):
                equal(await updated(memory), MEMORY)
                equal(await updated(cpu), CPU)
        equal(await updated(memory), MEMORY)


async def incapable(server: Any, mode: str) -> None:
    async with Peer().connected(server, mode, capable=False) as plain:
        asks = [
            ("ask_permission", {"path": "a"}, "elicitation"),
            ("summarize", {"text": "a"}, "sampling"),
            ("list_project_roots", {}, "roots"),
        ]
        for name, arguments, capability in asks:
            error = await refused(plain.client.call_tool(name, arguments))
            equal(error.code, types.MISSING_REQUIRED_CLIENT_CAPABILITY)
            equal(list(error.data["requiredCapabilities"]), [capability])


# Lost connections.


async def cut_call(cutter: Cutter, mode: str) -> None:
    async def cut(*_: Any) -> None:
        cutter.cut()

    async with Peer().connected(cutter.url, mode) as peer:
        call = peer.client.call_tool("slow", {"ms": 60_000, "events": 600}, progress_callback=cut)
        equal((await refused(call)).code, types.CONNECTION_CLOSED)
        equal(await peer.text("echo", {"text": "next"}), "next")


async def cut_subscription(cutter: Cutter, mode: str) -> None:
    async with Peer().connected(cutter.url, mode) as peer:
        async with peer.client.listen(resource_subscriptions=[CPU]) as lost:
            equal(await updated(lost), CPU)
            cutter.cut()
            try:
                while True:
                    await updated(lost)
            except SubscriptionLost:
                pass
        async with peer.client.listen(resource_subscriptions=[CPU]) as following:
            equal(await updated(following), CPU)


async def cut_question(cutter: Cutter, mode: str) -> None:
    asked = 0

    async def question() -> Any:
        nonlocal asked
        asked += 1
        cutter.cut()
        return ACCEPTED

    peer = Peer()
    peer.answer = question
    async with peer.connected(cutter.url, mode):
        equal(await peer.text("ask_permission", {"path": "a"}), GRANTED)
    equal(asked, 1)
