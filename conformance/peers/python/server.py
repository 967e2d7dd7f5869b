"""A server of PyPI `mcp`, in both eras.

usage: server.py http|stateless|sse [PORT] | server.py stdio

`http`: older revisions with sessions and resumable streams, beside the newest one. `stateless`: older revisions without a
session.
"""

import socket
import sys
import warnings
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.subscriptions import ResourceUpdated, ToolsListChanged
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

import fixtures
from fixtures import WATCHED

# Events that the store keeps; the oldest go first. A test's longest call has some thousand.
MOST_EVENTS = 10_000

# How soon a client whose connection was closed is to come back, so that a test does not wait for a second.
RETRY_MS = 50

LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

# Sampling, roots and logging are deprecated in a later revision; they are what is tried here.
warnings.simplefilter("ignore", MCPDeprecationWarning)

bus = InMemorySubscriptionBus()


class Question(Exception):
    """Raised by a tool's question: the call ends here, and is made anew with the answer."""

    def __init__(self, key: str, request: types.InputRequest) -> None:
        self.required = types.InputRequiredResult(input_requests={key: request})


class Events(EventStore):
    """Keeps the events of all sessions, so that a client can come back for them."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[str, Any]] = {}
        self._count = 0

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._count += 1
        event_id = str(self._count)
        self._events[event_id] = (stream_id, message)
        if len(self._events) > MOST_EVENTS:
            del self._events[next(iter(self._events))]
        return event_id

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if last_event_id not in self._events:
            return None
        stream_id = self._events[last_event_id][0]
        for event_id, (stream, message) in list(self._events.items()):
            # An event without a message opened a connection, and is not to be sent again.
            if stream == stream_id and int(event_id) > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, event_id))
        return stream_id


def kept(context: Any) -> dict[str, Any]:
    """What is kept for the session that a request belongs to."""
    return context.session._connection.state


def subscribed(context: Any) -> set[str]:
    return kept(context).setdefault("subscribed", set())


def is_modern(context: Any) -> bool:
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def found(result: Any, otherwise: str) -> Any:
    if result is None:
        raise MCPError(types.INVALID_PARAMS, otherwise)
    return result


async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
    return found(fixtures.list_tools(params.cursor if params else None), "there is no such page")


async def read_resource(context: Any, params: Any) -> types.ReadResourceResult:
    contents = fixtures.read_resource(str(params.uri))
    if contents is None:
        code = types.INVALID_PARAMS if is_modern(context) else -32002
        raise MCPError(code, f"there is no resource {params.uri}", {"uri": str(params.uri)})
    return contents


async def get_prompt(context: Any, params: Any) -> types.GetPromptResult:
    return found(fixtures.get_prompt(params.name, params.arguments), "there is the prompt greet with a name")


async def subscribe(context: Any, params: Any) -> types.EmptyResult:
    subscribed(context).add(str(params.uri))
    return types.EmptyResult()


async def unsubscribe(context: Any, params: Any) -> types.EmptyResult:
    subscribed(context).discard(str(params.uri))
    return types.EmptyResult()


async def set_level(context: Any, params: Any) -> types.EmptyResult:
    kept(context)["level"] = params.level
    return types.EmptyResult()


async def call_tool(context: Any, params: Any) -> types.CallToolResult | types.InputRequiredResult:
    run = found(fixtures.RUN.get(params.name), f"there is no tool {params.name}")
    session = context.session
    related = context.request_id

    async def progress(step: int, total: int) -> None:
        await session.report_progress(step, total)

    async def log(line: str) -> None:
        least = kept(context).get("level", "debug")
        if is_modern(context) or LEVELS.index("info") >= LEVELS.index(least):
            await session.send_log_message("info", line, "peer", related)

    async def ask(key: str, request: types.InputRequest) -> Any:
        if is_modern(context):
            answer = (params.input_responses or {}).get(key)
            if answer is None:
                raise Question(key, request)
            return answer
        related_to = ServerMessageMetadata(related_request_id=related)
        return await session.send_request(request, ANSWERS[request.method], metadata=related_to)

    async def cut() -> None:
        if context.close_sse_stream:
            await context.close_sse_stream()

    async def touch() -> None:
        if is_modern(context):
            await bus.publish(ResourceUpdated(uri=WATCHED))
            await bus.publish(ToolsListChanged())
            return
        if WATCHED in subscribed(context):
            await session.send_resource_updated(WATCHED)
        await session.send_tool_list_changed()

    call = fixtures.Call()
    call.progress, call.log, call.ask, call.cut, call.touch = progress, log, ask, cut, touch
    try:
        return await run(call, **(params.arguments or {}))
    except Question as question:
        return question.required


ANSWERS = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}


def always(result: Any) -> Any:
    async def answer(context: Any, params: Any) -> Any:
        return result

    return answer


class Peer(Server):
    """Says that its tools may change, which the SDK's own apps do not ask for."""

    def create_initialization_options(self, *args: Any, **options: Any) -> Any:
        return super().create_initialization_options(NotificationOptions(tools_changed=True))


server = Peer(
    "peer-python",
    version="1.0.0",
    instructions=fixtures.INSTRUCTIONS,
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_resources=always(fixtures.RESOURCES),
    on_list_resource_templates=always(fixtures.TEMPLATES),
    on_read_resource=read_resource,
    on_subscribe_resource=subscribe,
    on_unsubscribe_resource=unsubscribe,
    on_subscriptions_listen=ListenHandler(bus),
    on_list_prompts=always(fixtures.PROMPTS),
    on_get_prompt=get_prompt,
    on_set_logging_level=set_level,
)


def http() -> Starlette:
    return server.streamable_http_app(event_store=Events(), retry_interval=RETRY_MS)


def stateless() -> Starlette:
    return server.streamable_http_app(stateless_http=True)


def sse() -> Starlette:
    transport = SseServerTransport("/messages/")

    async def connect(request: Any) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        return Response()

    return Starlette(
        routes=[Route("/sse", connect, methods=["GET"]), Mount("/messages/", transport.handle_post_message)]
    )


async def stdio() -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


APPS = {"http": (http, "/mcp"), "stateless": (stateless, "/mcp"), "sse": (sse, "/sse")}


async def listen(transport: str, port: str) -> None:
    """Serves on loopback; port 0 takes a free one. Prints where, as the first line."""
    app, path = APPS[transport]
    listener = socket.create_server(("127.0.0.1", int(port)))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}{path}", flush=True)
    config = uvicorn.Config(app(), log_level="warning", timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve(sockets=[listener])


def main() -> None:
    match sys.argv[1:]:
        case ["stdio"]:
            anyio.run(stdio)
        case [transport, *rest] if transport in APPS and len(rest) < 2:
            anyio.run(listen, transport, *(rest or ["0"]))
        case _:
            sys.exit("usage: server.py http|stateless|sse [PORT] | server.py stdio")


main()
