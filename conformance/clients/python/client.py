"""What PyPI `mcp` finds at the demo.

usage: client.py MODE http URL | client.py MODE sse URL | client.py MODE stdio|connect PROGRAM [ARGUMENT ..]

MODE is how the client negotiates: `legacy`, `auto`, or `modern`, which insists on the newest revision. Each check prints
one line, `ok NAME` or `FAIL NAME: why`.
"""

import functools
import json
import sys
from typing import Any

import anyio
import mcp_types as types
from mcp import StdioServerParameters
from mcp.client.sse import sse_client

import legacy
import modern
import older
from peer import CPU, MEMORY, Peer, check, counter, equal, failed, holds, refused, up_to

TOOLS = ["ask_permission", "echo", "list_project_roots", "plan_trip", "research", "slow", "summarize"]


# What a session starts with.


async def connect(peer: Peer, mode: str) -> None:
    client = peer.client
    equal(client.protocol_version, "2025-11-25" if mode == "legacy" else "2026-07-28")
    if mode == "modern":
        # It asks nothing before its first call.
        return
    assert client.server_info
    equal(client.server_info.name, "throughline-demo")
    holds(client.instructions or "", "research")
    can = client.server_capabilities
    assert can.tools and can.prompts and can.logging and can.completions, can
    assert can.resources and can.resources.subscribe, can


async def list_tools(peer: Peer) -> None:
    pages = [await peer.client.list_tools()]
    while cursor := pages[-1].next_cursor:
        pages.append(await peer.client.list_tools(cursor=cursor))
    equal([len(page.tools) for page in pages], [4, 3])
    tools = {tool.name: tool for page in pages for tool in page.tools}
    equal(sorted(tools), TOOLS)
    for tool in tools.values():
        assert tool.description and tool.annotations and tool.annotations.read_only_hint, tool
        equal(tool.input_schema["type"], "object")
    equal(tools["research"].input_schema["required"], ["topic"])
    equal((await refused(peer.client.list_tools(cursor="nonsense"))).code, types.INVALID_PARAMS)


# Tools.


async def echo_any(peer: Peer) -> None:
    for text in ["hello", "", "line\r\nline\n\n", '\u2028 \N{SPOOL OF THREAD} \0 \\ "', "data: x\n\nid: 7\n"]:
        equal(await peer.text("echo", {"text": text}), text)


async def echo_big(peer: Peer) -> None:
    # The client takes events of at most 1 MiB; an answer that comes at once is no event.
    text = "thread " * 130_000
    equal(await peer.text("echo", {"text": text}), text)


async def echo_many(peer: Peer) -> None:
    answers: dict[int, str] = {}

    async def one(number: int) -> None:
        answers[number] = await peer.text("echo", {"text": str(number)})

    async with anyio.create_task_group() as group:
        for number in up_to(40):
            group.start_soon(one, number)
        equal(await peer.text("slow", {"ms": 300, "events": 3}), "done after 300 ms and 3 events")
    equal(answers, {number: str(number) for number in up_to(40)})


async def bad_arguments(peer: Peer) -> None:
    holds(await peer.refusal("echo", {}), "text")
    holds(await peer.refusal("slow", {"ms": "soon"}), "ms")
    holds(await peer.refusal("research", {"topic": "a", "steps": 1_001}), "1001 is not from 1 to 1000")


async def unknown_tool(peer: Peer) -> None:
    equal((await refused(peer.client.call_tool("none", {}))).code, types.INVALID_PARAMS)


async def research(peer: Peer) -> None:
    seen: list[tuple[float, float | None]] = []

    async def collect(progress: float, total: float | None, message: str | None) -> None:
        assert message
        seen.append((progress, total))

    report = await peer.text("research", {"topic": "tea", "steps": 3, "step_ms": 20}, progress_callback=collect)
    assert report.startswith("Report on tea\n")
    equal(seen, [(1, 3), (2, 3), (3, 3)])
    equal(peer.logs, [])


async def slow(peer: Peer) -> None:
    seen, collect = counter()
    text = await peer.text("slow", {"ms": 400, "events": 200}, progress_callback=collect)
    equal(text, "done after 400 ms and 200 events")
    equal(seen, up_to(200))


# Questions.


async def permission(peer: Peer, answer: types.ElicitResult, text: str) -> None:
    peer.answer = answer
    equal(await peer.text("ask_permission", {"path": "/etc/hosts"}), text)
    equal(peer.asked.message, "May /etc/hosts be changed?")
    equal(peer.asked.requested_schema["properties"]["allow"]["type"], "boolean")


async def summarize(peer: Peer) -> None:
    content = types.TextContent(text="A short story.")
    peer.answer = types.CreateMessageResult(role="assistant", content=content, model="none", stop_reason="endTurn")
    equal(await peer.text("summarize", {"text": "A long story."}), "A short story.")
    [message] = peer.asked.messages
    equal(message.role, "user")
    assert message.content.text.endswith("A long story.")
    equal(peer.asked.max_tokens, 300)
    assert peer.asked.system_prompt


async def trip(peer: Peer) -> None:
    answers = [{"from": "Rome", "to": "Oslo"}, {"people": 2, "by": "train"}, {"book": True}]
    asked: list[str] = []

    async def answer() -> types.ElicitResult:
        asked.append(peer.asked.message)
        return types.ElicitResult(action="accept", content=answers[len(asked) - 1])

    peer.answer = answer
    text = await peer.text("plan_trip", {})
    holds(text, r"^Offer [0-9-]+ \(2 by train from Rome to Oslo\) is taken\.$")
    equal(len(asked), len(answers))
    # However often the tool ran, the offer that was asked about is the one that is taken.
    holds(asked[2], "^" + " ".join(text.split()[:2]) + ": ")


async def roots(peer: Peer) -> None:
    peer.answer = types.ListRootsResult(roots=[types.Root(uri="file:///a", name="A"), types.Root(uri="file:///b")])
    equal(await peer.text("list_project_roots", {}), "A: file:///a\nfile:///b")
    if peer.sessions:
        await peer.client.send_roots_list_changed()
    peer.answer = types.ListRootsResult(roots=[])
    equal(await peer.text("list_project_roots", {}), "The client has no roots.")


# Prompts and resources.


async def prompts(peer: Peer) -> None:
    [prompt] = (await peer.client.list_prompts()).prompts
    equal((prompt.name, prompt.title), ("plan_research", "Plan research"))
    arguments = {argument.name: bool(argument.required) for argument in prompt.arguments or []}
    equal(arguments, {"topic": True, "depth": False})
    result = await peer.client.get_prompt("plan_research", {"topic": "tea", "depth": "detailed"})
    [message] = result.messages
    equal(message.role, "user")
    holds(message.content.text, '"tea" with 10 steps')


async def prompt_errors(peer: Peer) -> None:
    missing = await refused(peer.client.get_prompt("plan_research"))
    equal(missing.code, types.INVALID_PARAMS)
    holds(missing.message, "topic")
    equal((await refused(peer.client.get_prompt("none"))).code, types.INVALID_PARAMS)


def not_found(peer: Peer) -> int:
    """The code of the error that there is no such resource."""
    return -32002 if peer.sessions else types.INVALID_PARAMS


async def resources(peer: Peer) -> None:
    listed = (await peer.client.list_resources()).resources
    equal(sorted(str(resource.uri) for resource in listed), [CPU, MEMORY])
    for uri in [CPU, MEMORY]:
        [content] = (await peer.client.read_resource(uri)).contents
        equal((str(content.uri), content.mime_type), (uri, "application/json"))
        assert isinstance(json.loads(content.text), dict)
    error = await refused(peer.client.read_resource("metrics://none"))
    equal((error.code, error.data), (not_found(peer), {"uri": "metrics://none"}))


async def templates(peer: Peer) -> None:
    [template] = (await peer.client.list_resource_templates()).resource_templates
    equal(template.uri_template, "guide://tools/{name}")
    [content] = (await peer.client.read_resource("guide://tools/echo")).contents
    equal((str(content.uri), content.mime_type), ("guide://tools/echo", "text/plain"))
    holds(content.text, "quickest")
    error = await refused(peer.client.read_resource("guide://tools/none"))
    equal((error.code, error.data), (not_found(peer), {"uri": "guide://tools/none"}))


async def completion(peer: Peer) -> None:
    async def complete(ref: Any, name: str, value: str) -> list[str]:
        return (await peer.client.complete(ref, {"name": name, "value": value})).completion.values

    prompt = types.PromptReference(name="plan_research")
    guide = types.ResourceTemplateReference(uri="guide://tools/{name}")
    equal(await complete(prompt, "depth", ""), ["overview", "detailed", "exhaustive"])
    equal(await complete(prompt, "depth", "d"), ["detailed"])
    equal(await complete(prompt, "topic", "t"), [])
    equal(await complete(guide, "name", "s"), ["slow", "summarize"])


# Cancelling.


async def cancel(peer: Peer) -> None:
    earlier = len(peer.progress_tokens)

    async def ignore(*_: Any) -> None:
        pass

    async def call() -> None:
        await peer.client.call_tool("slow", {"ms": 60_000, "events": 600}, progress_callback=ignore)
        raise AssertionError("the call was not cancelled")

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await peer.until(lambda: len(peer.progress_tokens) > earlier)
        group.cancel_scope.cancel()
    token = peer.progress_tokens[-1]
    # It would have sent progress three times while the next call runs.
    equal(await peer.text("echo", {"text": "next"}), "next")
    before = peer.progress_tokens.count(token)
    equal(await peer.text("slow", {"ms": 350, "events": 1}), "done after 350 ms and 1 events")
    equal(peer.progress_tokens.count(token), before)


# Servers that have one era alone.


async def falls_back(server: StdioServerParameters) -> None:
    async with Peer().connected(of_era(server, "legacy"), "auto") as peer:
        equal(peer.client.protocol_version, "2025-11-25")
        equal(await peer.text("echo", {"text": "hello"}), "hello")


async def other_era(server: StdioServerParameters, mode: str) -> None:
    async def call() -> None:
        async with Peer().connected(of_era(server, "modern" if mode == "legacy" else "legacy"), mode) as peer:
            await peer.text("echo", {"text": "hello"})

    error = await refused(call())
    equal(error.code, types.UNSUPPORTED_PROTOCOL_VERSION if mode == "legacy" else types.INVALID_REQUEST)


def of_era(server: StdioServerParameters, era: str) -> StdioServerParameters:
    return server.model_copy(update={"args": [*server.args, "--era", era]})


ANSWERS = {
    "accepted": (
        types.ElicitResult(action="accept", content={"allow": True}),
        "Permission granted: /etc/hosts may be changed.",
    ),
    "refused": (
        types.ElicitResult(action="accept", content={"allow": False}),
        "Permission refused: /etc/hosts stays as it is.",
    ),
    "declined": (types.ElicitResult(action="decline"), "The user declined to answer: /etc/hosts stays as it is."),
    "cancelled": (types.ElicitResult(action="cancel"), "The user closed the question: /etc/hosts stays as it is."),
}


async def main() -> None:
    mode, kind, *rest = sys.argv[1:]
    match kind:
        case "http":
            server = rest[0]
        case "sse":
            server = functools.partial(sse_client, rest[0])
        case _:
            server = StdioServerParameters(command=rest[0], args=rest[1:])
    # A client that looks for the newest era finds it.
    era = legacy if mode == "legacy" else modern
    async with Peer().connected(server, mode) as peer:
        await check("connect", connect, peer, mode)
        await check("tools/list, page by page", list_tools, peer)
        await check("echo: any text", echo_any, peer)
        await check("echo: a megabyte", echo_big, peer)
        await check("echo: 40 at once, beside a slow one", echo_many, peer)
        await check("arguments that do not fit are named", bad_arguments, peer)
        await check("an unknown tool is an error", unknown_tool, peer)
        await check("research: progress, and no log below warning", research, peer)
        await check("slow: every progress, in order", slow, peer)
        for name, (answer, text) in ANSWERS.items():
            await check(f"ask_permission: {name}", permission, peer, answer, text)
        await check("summarize: sampling", summarize, peer)
        await check("plan_trip: three questions, one offer", trip, peer)
        await check("list_project_roots", roots, peer)
        await check("prompts", prompts, peer)
        await check("prompts: errors", prompt_errors, peer)
        await check("resources", resources, peer)
        await check("resource templates", templates, peer)
        await check("completion", completion, peer)
        await check("cancel a running call", cancel, peer)
        await era.session(peer, server, mode)
    if kind == "http":
        await era.connections(rest[0], mode)
    elif kind == "sse":
        await older.connections(rest[0])
    elif kind == "connect":
        pass  # The program is a bridge, and which eras the server has is not its to say.
    elif mode == "auto":
        await check("a server with sessions alone gets one", falls_back, server)
    else:
        await check("a server of the other era says so", other_era, server, mode)


anyio.run(main)
sys.exit(1 if failed else 0)
