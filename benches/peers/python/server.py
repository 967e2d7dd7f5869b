"""The official Python SDK: its Streamable HTTP application under uvicorn, as `mcp.run("streamable-http")` starts it.

The SDK has no event store of its own. This one keeps the events of each stream in order and forgets a stream that is not
among the last 1,000.
"""

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections import OrderedDict

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    JSONRPCMessage,
)

CHANGING = "lab://changing"
NAMED = 5
"""Tools with a name of their own."""

QUESTION = ElicitRequest(
    params=ElicitRequestFormParams(
        message="Go on?",
        requested_schema={
            "type": "object",
            "properties": {"approved": {"type": "boolean"}},
            "required": ["approved"],
        },
    )
)


class Events(EventStore):
    def __init__(self) -> None:
        self.streams: OrderedDict[StreamId, dict[EventId, JSONRPCMessage | None]] = OrderedDict()
        self.of_event: dict[EventId, StreamId] = {}
        self.next = 0

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self.streams[stream_id] = {}
            if len(self.streams) > 1000:
                for event_id in self.streams.popitem(last=False)[1]:
                    del self.of_event[event_id]
        event_id = str(self.next)
        self.next += 1
        stream[event_id] = message
        self.of_event[event_id] = stream_id
        return event_id

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        stream_id = self.of_event.get(last_event_id)
        if stream_id is None:
            return None
        is_after = False
        for event_id, message in list(self.streams[stream_id].items()):
            if is_after and message is not None:
                await send_callback(EventMessage(message, event_id))
            is_after = is_after or event_id == last_event_id
        return stream_id


def lab(tools: int) -> MCPServer:
    mcp = MCPServer("python", version="1.0.0", log_level="WARNING")

    @mcp.tool(structured_output=False)
    async def echo(text: str) -> str:
        """Answers with the text."""
        return text

    @mcp.tool(structured_output=False)
    async def echo_later(text: str) -> str:
        """Answers with the text, but not at once."""
        await asyncio.sleep(0)
        return text

    @mcp.tool(structured_output=False)
    async def progress(count: int, ctx: Context) -> str:
        """Reports progress so many times."""
        for step in range(1, count + 1):
            await ctx.report_progress(step)
        return "done"

    @mcp.tool(structured_output=False)
    async def ask(text: str, ctx: Context) -> str | InputRequiredResult:
        """Asks the user, then answers with the text."""
        if ctx.input_responses is None or ctx.request_state is None:
            return InputRequiredResult(input_requests={"approval": QUESTION}, request_state="asked")
        answer = ctx.input_responses.get("approval")
        is_approved = isinstance(answer, ElicitResult) and answer.action == "accept" and (answer.content or {}).get("approved")
        return text if is_approved else "no"

    @mcp.tool(structured_output=False)
    async def touch(ctx: Context) -> str:
        """Changes the resource."""
        await ctx.notify_resource_updated(CHANGING)
        return "touched"

    @mcp.resource(CHANGING)
    def changing() -> str:
        return "changed"

    for number in range(1, tools - NAMED + 1):
        mcp.add_tool(echo, name=f"extra_{number}", structured_output=False)
    return mcp


async def serve(flags: argparse.Namespace) -> None:
    app = lab(flags.tools).streamable_http_app(
        json_response=flags.answers == "json",
        stateless_http=flags.stateless,
        event_store=Events() if flags.answers == "sse" else None,
        max_sessions=None,  # 10,000 by default, which the lab meets
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))

    def input_closed() -> None:
        if not os.read(sys.stdin.fileno(), 64):
            os._exit(0)  # without waiting for the streams that are open

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), input_closed)
    await server.serve(sockets=[listener])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", choices=["json", "sse"], default="json")
    parser.add_argument("--stateless", action="store_true")
    parser.add_argument("--tools", type=int, default=0)
    logging.getLogger("mcp").setLevel(logging.ERROR)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
