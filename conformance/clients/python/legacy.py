"""What only a revision with sessions has."""

from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import ClientMessageMetadata

from cutter import Cutter
from peer import CPU, MEMORY, Peer, check, equal, holds, text_of, up_to


async def session(peer: Peer, server: Any, mode: str) -> None:
    """Checks that need no connection of their own."""
    assert mode == "legacy"
    await check("ping", ping, peer)
    await check("research: log lines after logging/setLevel", research_log, peer)
    await check("ask_permission: an error instead of an answer", permission_error, peer)
    await check("subscribe: updates of this resource alone", subscribe, peer)
    await check("unsubscribe", unsubscribe, peer)
    await check("cancel a call that waits for an answer", cancel_question, peer)
    await check("a client without capabilities is told so", incapable, server)


async def connections(url: str, mode: str) -> None:
    """Connections that are lost."""
    assert mode == "legacy"
    async with Cutter.before(url) as cutter:
        await check("cut: the call goes on, nothing is lost or repeated", cut_call, cutter)
        await check("cut: subscriptions go on", cut_subscription, cutter)
        await check("cut while a question is open: its answer still counts", cut_question, cutter)
    await check("resume in another process, by the token", resume, url)


async def ping(peer: Peer) -> None:
    await peer.client.send_ping()


async def research_log(peer: Peer) -> None:
    await peer.client.set_logging_level("info")
    await peer.text("research", {"topic": "tea", "steps": 3, "step_ms": 20})
    peer.heard(3)


async def permission_error(peer: Peer) -> None:
    peer.answer = types.ErrorData(code=types.INTERNAL_ERROR, message="nobody is here")
    holds(await peer.refusal("ask_permission", {"path": "a"}), "nobody is here")


async def subscribe(peer: Peer) -> None:
    await peer.client.subscribe_resource(MEMORY)
    await peer.until(lambda: peer.updates.count(MEMORY) >= 2)
    equal(peer.updates.count(CPU), 0)


async def unsubscribe(peer: Peer) -> None:
    await peer.client.subscribe_resource(CPU)
    await peer.client.unsubscribe_resource(MEMORY)
    # An update of memory may have been under way. They come in turns, so after the next one of cpu none may follow.
    before = peer.updates.count(CPU)
    await peer.until(lambda: peer.updates.count(CPU) > before)
    memory = peer.updates.count(MEMORY)
    await peer.until(lambda: peer.updates.count(CPU) > before + 1)
    equal(peer.updates.count(MEMORY), memory)
    await peer.client.unsubscribe_resource(CPU)


async def cancel_question(peer: Peer) -> None:
    asked, told = anyio.Event(), anyio.Event()

    async def question() -> Any:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            told.set()

    peer.answer = question
    async with anyio.create_task_group() as group:
        group.start_soon(peer.client.call_tool, "ask_permission", {"path": "a"})
        await asked.wait()
        group.cancel_scope.cancel()
    # The server takes its question back.
    await told.wait()


async def incapable(server: Any) -> None:
    async with Peer().connected(server, "legacy", capable=False) as plain:
        holds(await plain.refusal("ask_permission", {"path": "a"}), "elicitation")
        holds(await plain.refusal("summarize", {"text": "a"}), "sampling")
        holds(await plain.refusal("list_project_roots", {}), "roots")


async def cut_call(cutter: Cutter) -> None:
    seen: list[float] = []

    # Once only: when its second connection is lost too, this client asks again for what followed the first.
    async def cut(progress: float, *_: Any) -> None:
        seen.append(progress)
        if progress == 3:
            cutter.cut()

    async with Peer().connected(cutter.url, "legacy") as peer:
        text = await peer.text("slow", {"ms": 3_000, "events": 30}, progress_callback=cut)
    equal(text, "done after 3000 ms and 30 events")
    equal(seen, up_to(30))


async def cut_subscription(cutter: Cutter) -> None:
    async with Peer().connected(cutter.url, "legacy") as peer:
        await peer.client.subscribe_resource(CPU)
        await peer.until(lambda: len(peer.updates) > 0)
        cutter.cut()
        before = len(peer.updates)
        await peer.until(lambda: len(peer.updates) > before + 1)


async def cut_question(cutter: Cutter) -> None:
    asked = 0

    async def question() -> Any:
        nonlocal asked
        asked += 1
        cutter.cut()
        # An answer on a connection that is being lost would be lost with it.
        await cutter.connected()
        return types.ElicitResult(action="accept", content={"allow": True})

    peer = Peer()
    peer.answer = question
    async with peer.connected(cutter.url, "legacy"):
        holds(await peer.text("ask_permission", {"path": "a"}), "granted")
    equal(asked, 1)


async def resume(url: str) -> None:
    session_id = token = None
    last = 0.0
    seen = anyio.Event()
    call = types.CallToolRequest(params=types.CallToolRequestParams(name="slow", arguments={"ms": 2_000, "events": 20}))

    async def take_session(response: httpx2.Response) -> None:
        nonlocal session_id
        session_id = response.headers.get("mcp-session-id", session_id)

    async def take_token(newest: str) -> None:
        nonlocal token
        token = newest
        # A token is told after its message, which is what makes this one count.
        if last >= 4:
            seen.set()

    async def take_progress(progress: float, *_: Any) -> None:
        nonlocal last
        last = progress

    # It ends without a word, as if the process had: neither a cancellation nor a DELETE goes out.
    async with httpx2.AsyncClient(event_hooks={"response": [take_session]}, timeout=30) as http:
        async with streamable_http_client(url, http_client=http, terminate_on_close=False) as (read, write):
            async with ClientSession(read, write) as session:
                version = (await session.initialize()).protocol_version
                await session.send_notification(types.InitializedNotification())

                async def begin() -> None:
                    metadata = ClientMessageMetadata(on_resumption_token_update=take_token)
                    await session.send_request(
                        call, types.CallToolResult, metadata=metadata, progress_callback=take_progress
                    )

                async with anyio.create_task_group() as group:
                    group.start_soon(begin)
                    await seen.wait()
                    await http.aclose()
                    group.cancel_scope.cancel()

    headers = {"mcp-session-id": session_id, "mcp-protocol-version": version}
    rest: list[float] = []
    cursor = token

    async def take_rest(message: Any) -> None:
        if isinstance(message, types.ProgressNotification):
            rest.append(message.params.progress)

    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        async with streamable_http_client(url, http_client=http) as (read, write):
            async with ClientSession(read, write, message_handler=take_rest) as session:
                metadata = ClientMessageMetadata(resumption_token=cursor)
                result = await session.send_request(call, types.CallToolResult, metadata=metadata)
                equal(text_of(result), "done after 2000 ms and 20 events")
    equal(rest, list(range(21 - len(rest), 21)))
    equal(len(rest), 20 - int(last))
