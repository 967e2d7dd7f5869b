"""What only HTTP+SSE has: a session that lasts as long as its stream."""

import functools
from typing import Any

import anyio
import httpx2
from mcp.client.sse import sse_client

from cutter import Cutter
from peer import MEMORY, Peer, check, counter, equal, first_of, up_to


async def connections(url: str) -> None:
    """Connections side by side, lost ones, and the end."""
    await check("two clients at once hear only what is theirs", side_by_side, url)
    async with Cutter.before(url) as cutter:
        await check("cut: that session is over, and the next one is not", cut, cutter)
    await check("a session ends with its stream", ends, url)
    await check("a client that looks for the newest revision gets a session", falls_back, url)


async def side_by_side(url: str) -> None:
    async def slow(peer: Peer) -> None:
        seen, collect = counter()
        text = await peer.text("slow", {"ms": 500, "events": 10}, progress_callback=collect)
        equal(text, "done after 500 ms and 10 events")
        equal(seen, up_to(10))

    server = functools.partial(sse_client, url)
    async with Peer().connected(server, "legacy") as one, Peer().connected(server, "legacy") as other:
        await one.client.subscribe_resource(MEMORY)
        async with anyio.create_task_group() as group:
            group.start_soon(slow, one)
            group.start_soon(slow, other)
        await one.until(lambda: len(one.updates) > 0)
        equal(other.updates, [])


async def cut(cutter: Cutter) -> None:
    async def lose(progress: float, *_: Any) -> None:
        cutter.cut()

    server = functools.partial(sse_client, cutter.url)
    lost = None
    try:
        async with Peer().connected(server, "legacy") as peer:
            await peer.text("slow", {"ms": 60_000, "events": 600}, progress_callback=lose)
    except Exception as error:
        lost = first_of(error)
    assert lost, "the call was lost with its connection"
    async with Peer().connected(server, "legacy") as peer:
        equal(await peer.text("echo", {"text": "again"}), "again")


async def ends(url: str) -> None:
    sessions: list[str] = []
    server = functools.partial(sse_client, url, on_session_created=sessions.append)
    async with httpx2.AsyncClient(timeout=30) as http:

        async def post(session: str) -> int:
            body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "none"}}
            address = f"{url.removesuffix('/sse')}/messages?sessionId={session}"
            return (await http.post(address, json=body)).status_code

        async with Peer().connected(server, "legacy") as peer:
            equal(await peer.text("echo", {"text": "hello"}), "hello")
            [session] = sessions
            equal(await post(session), 202)
            equal(await post("0" * 32), 404)
        # The server may learn of the end a little later than the client.
        while await post(session) != 404:
            pass


async def falls_back(url: str) -> None:
    async with Peer().connected(functools.partial(sse_client, url), "auto") as peer:
        equal(peer.client.protocol_version, "2025-11-25")
        equal(await peer.text("echo", {"text": "hello"}), "hello")
