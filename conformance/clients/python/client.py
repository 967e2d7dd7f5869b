"""What PyPI `mcp` finds at the demo, after the `initialize` handshake.

usage: client.py http URL | client.py stdio PROGRAM [ARGUMENT ..]

Each check prints one line, `ok NAME` or `FAIL NAME: why`.
"""

import collections
import json
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp import Client, ClientSession, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.message import ClientMessageMetadata

from cutter import Cutter

TOOLS = ["ask_permission", "echo", "list_project_roots", "research", "slow", "summarize"]
CPU = "metrics://cpu"
MEMORY = "metrics://memory"

# A check that takes longer has failed. The longest ones, which lose connections, take some 5 s on an idle machine.
CHECK_LIMIT_S = 60
# As much of the wire as a failed check shows.
MOST_LINES = 40
MOST_CHARACTERS = 400

# Sampling, roots and logging are deprecated in a later revision; they are what is tried here.
warnings.simplefilter("ignore", MCPDeprecationWarning)


class Wire(logging.Handler):
    """What the SDK logs of its messages, newest last."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: collections.deque[str] = collections.deque(maxlen=MOST_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage()[:MOST_CHARACTERS])


wire = Wire()
logging.getLogger("mcp").addHandler(wire)
logging.getLogger("mcp").setLevel(logging.DEBUG)
logging.getLogger("mcp").propagate = False

failed = 0


async def check(name: str, work: Callable[..., Awaitable[None]], *args: Any) -> None:
    """Runs one check: `work` raises when it fails."""
    global failed
    wire.lines.clear()
    try:
        with anyio.fail_after(CHECK_LIMIT_S):
            await work(*args)
        print(f"ok {name}", flush=True)
    except Exception as error:
        failed += 1
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        why = str(first) or traceback.format_tb(first.__traceback__)[-1]
        print(f"FAIL {name}: {type(first).__name__}: {' | '.join(why.strip().splitlines())}", flush=True)
        print(f"--- {name}", file=sys.stderr)
        traceback.print_exception(error)
        print(*wire.lines, sep="\n", file=sys.stderr, flush=True)


class Peer:
    """A client connected to the demo, and what it was told."""

    def __init__(self) -> None:
        self.logs: list[types.LoggingMessageNotificationParams] = []
        self.updates: list[str] = []
        self.progress_tokens: list[types.ProgressToken] = []
        self.asked: Any = None
        self.answer: Any = None
        self.told = anyio.Event()
        self.client: Client

    @asynccontextmanager
    async def connected(self, server: Any, capable: bool = True):
        """Connects to a URL, a transport or a command."""
        asking = {
            "elicitation_callback": self.asks,
            "sampling_callback": self.asks,
            "list_roots_callback": self.asks,
        }
        options = asking if capable else {}
        client = Client(server, mode="legacy", logging_callback=self.log, message_handler=self.message, **options)
        async with client:
            self.client = client
            yield self

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logs.append(params)

    async def message(self, message: Any) -> None:
        match message:
            case types.ResourceUpdatedNotification(params=params):
                self.updates.append(str(params.uri))
            case types.ProgressNotification(params=params):
                self.progress_tokens.append(params.progress_token)
        self.told.set()
        self.told = anyio.Event()

    async def asks(self, _context: Any, params: Any = None) -> Any:
        self.asked = params
        return await self.answer() if callable(self.answer) else self.answer

    async def until(self, reached: Callable[[], bool]) -> None:
        """Waits until `reached` holds of what was told."""
        while not reached():
            await self.told.wait()

    async def text(self, name: str, arguments: dict[str, Any], **options: Any) -> str:
        """The text of a tool's answer, which must be no error."""
        result = await self.client.call_tool(name, arguments, **options)
        assert not result.is_error, result
        return text_of(result)

    async def refusal(self, name: str, arguments: dict[str, Any]) -> str:
        """The text of a tool's error."""
        result = await self.client.call_tool(name, arguments)
        assert result.is_error, result
        return text_of(result)


def text_of(result: types.CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, types.TextContent), content
    return content.text


def equal(seen: Any, expected: Any) -> None:
    assert seen == expected, f"{seen!r:.400} is not {expected!r:.400}"


def holds(text: str, part: str) -> None:
    assert re.search(part, text), f"{text!r:.400} does not match {part!r}"


def up_to(count: int) -> list[int]:
    return list(range(1, count + 1))


async def refused(call: Awaitable[Any]) -> MCPError:
    """The error that a call ends with."""
    try:
        result = await call
    except MCPError as error:
        return error
    raise AssertionError(f"an error was expected, not {result!r:.400}")


def counter() -> tuple[list[float], Callable[..., Awaitable[None]]]:
    """A list and the callback that collects progress in it."""
    seen: list[float] = []

    async def collect(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    return seen, collect


# What a session starts with.


async def handshake(peer: Peer) -> None:
    client = peer.client
    assert client.server_info
    equal(client.server_info.name, "throughline-demo")
    holds(client.instructions or "", "research")
    can = client.server_capabilities
    assert can.tools and can.prompts and can.logging and can.completions, can
    assert can.resources and can.resources.subscribe, can


async def ping(peer: Peer) -> None:
    await peer.client.send_ping()


async def list_tools(peer: Peer) -> None:
    tools = {tool.name: tool for tool in (await peer.client.list_tools()).tools}
    equal(sorted(tools), TOOLS)
    for tool in tools.values():
        assert tool.description and tool.annotations and tool.annotations.read_only_hint, tool
        equal(tool.input_schema["type"], "object")
    equal(tools["research"].input_schema["required"], ["topic"])


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


async def research_log(peer: Peer) -> None:
    await peer.client.set_logging_level("info")
    await peer.text("research", {"topic": "tea", "steps": 3, "step_ms": 20})
    equal([(log.level, log.logger) for log in peer.logs], [("info", "research")] * 3)
    for step, log in enumerate(peer.logs, 1):
        holds(log.data, f"^step {step} of 3: ")


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


async def permission_error(peer: Peer) -> None:
    peer.answer = types.ErrorData(code=types.INTERNAL_ERROR, message="nobody is here")
    holds(await peer.refusal("ask_permission", {"path": "a"}), "nobody is here")


async def summarize(peer: Peer) -> None:
    content = types.TextContent(text="A short story.")
    peer.answer = types.CreateMessageResult(role="assistant", content=content, model="none", stop_reason="endTurn")
    equal(await peer.text("summarize", {"text": "A long story."}), "A short story.")
    [message] = peer.asked.messages
    equal(message.role, "user")
    assert message.content.text.endswith("A long story.")
    equal(peer.asked.max_tokens, 300)
    assert peer.asked.system_prompt


async def roots(peer: Peer) -> None:
    peer.answer = types.ListRootsResult(roots=[types.Root(uri="file:///a", name="A"), types.Root(uri="file:///b")])
    equal(await peer.text("list_project_roots", {}), "A: file:///a\nfile:///b")
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


async def resources(peer: Peer) -> None:
    listed = (await peer.client.list_resources()).resources
    equal(sorted(str(resource.uri) for resource in listed), [CPU, MEMORY])
    for uri in [CPU, MEMORY]:
        [content] = (await peer.client.read_resource(uri)).contents
        equal((str(content.uri), content.mime_type), (uri, "application/json"))
        assert isinstance(json.loads(content.text), dict)
    error = await refused(peer.client.read_resource("metrics://none"))
    equal((error.code, error.data), (-32002, {"uri": "metrics://none"}))


async def templates(peer: Peer) -> None:
    [template] = (await peer.client.list_resource_templates()).resource_templates
    equal(template.uri_template, "guide://tools/{name}")
    [content] = (await peer.client.read_resource("guide://tools/echo")).contents
    equal((str(content.uri), content.mime_type), ("guide://tools/echo", "text/plain"))
    holds(content.text, "quickest")
    error = await refused(peer.client.read_resource("guide://tools/none"))
    equal((error.code, error.data), (-32002, {"uri": "guide://tools/none"}))


async def completion(peer: Peer) -> None:
    async def complete(ref: Any, name: str, value: str) -> list[str]:
        return (await peer.client.complete(ref, {"name": name, "value": value})).completion.values

    prompt = types.PromptReference(name="plan_research")
    guide = types.ResourceTemplateReference(uri="guide://tools/{name}")
    equal(await complete(prompt, "depth", ""), ["overview", "detailed", "exhaustive"])
    equal(await complete(prompt, "depth", "d"), ["detailed"])
    equal(await complete(prompt, "topic", "t"), [])
    equal(await complete(guide, "name", "s"), ["slow", "summarize"])


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
    await peer.client.send_ping()
    before = peer.progress_tokens.count(token)
    equal(await peer.text("slow", {"ms": 350, "events": 1}), "done after 350 ms and 1 events")
    equal(peer.progress_tokens.count(token), before)


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
    async with Peer().connected(server, capable=False) as plain:
        holds(await plain.refusal("ask_permission", {"path": "a"}), "elicitation")
        holds(await plain.refusal("summarize", {"text": "a"}), "sampling")
        holds(await plain.refusal("list_project_roots", {}), "roots")


# Lost connections.


async def cut_call(cutter: Cutter) -> None:
    seen: list[float] = []

    # Once only: when its second connection is lost too, this client asks again for what followed the first.
    async def cut(progress: float, *_: Any) -> None:
        seen.append(progress)
        if progress == 3:
            cutter.cut()

    async with Peer().connected(cutter.url) as peer:
        text = await peer.text("slow", {"ms": 3_000, "events": 30}, progress_callback=cut)
    equal(text, "done after 3000 ms and 30 events")
    equal(seen, up_to(30))


async def cut_subscription(cutter: Cutter) -> None:
    async with Peer().connected(cutter.url) as peer:
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
    async with peer.connected(cutter.url):
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
    kind, *rest = sys.argv[1:]
    server = rest[0] if kind == "http" else StdioServerParameters(command=rest[0], args=rest[1:])
    async with Peer().connected(server) as peer:
        await check("connect", handshake, peer)
        await check("ping", ping, peer)
        await check("tools/list", list_tools, peer)
        await check("echo: any text", echo_any, peer)
        await check("echo: a megabyte", echo_big, peer)
        await check("echo: 40 at once, beside a slow one", echo_many, peer)
        await check("arguments that do not fit are named", bad_arguments, peer)
        await check("an unknown tool is an error", unknown_tool, peer)
        await check("research: progress, and no log below warning", research, peer)
        await check("research: log lines after logging/setLevel", research_log, peer)
        await check("slow: every progress, in order", slow, peer)
        for name, (answer, text) in ANSWERS.items():
            await check(f"ask_permission: {name}", permission, peer, answer, text)
        await check("ask_permission: an error instead of an answer", permission_error, peer)
        await check("summarize: sampling", summarize, peer)
        await check("list_project_roots", roots, peer)
        await check("prompts", prompts, peer)
        await check("prompts: errors", prompt_errors, peer)
        await check("resources", resources, peer)
        await check("resource templates", templates, peer)
        await check("completion", completion, peer)
        await check("subscribe: updates of this resource alone", subscribe, peer)
        await check("unsubscribe", unsubscribe, peer)
        await check("cancel a running call", cancel, peer)
        await check("cancel a call that waits for an answer", cancel_question, peer)
        await check("a client without capabilities is told so", incapable, server)
    if kind == "http":
        async with Cutter.before(rest[0]) as cutter:
            await check("cut: the call goes on, nothing is lost or repeated", cut_call, cutter)
            await check("cut: subscriptions go on", cut_subscription, cutter)
            await check("cut while a question is open: its answer still counts", cut_question, cutter)
        await check("resume in another process, by the token", resume, rest[0])


anyio.run(main)
sys.exit(1 if failed else 0)
