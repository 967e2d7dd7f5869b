"""PyPI `mcp` as the checks use it: checks, and a client with what it was told."""

import collections
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

CPU = "metrics://cpu"
MEMORY = "metrics://memory"

# What the SDK calls the mode of a client that insists on the newest revision.
MODES = {"legacy": "legacy", "auto": "auto", "modern": "2026-07-28"}

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

# The names of the checks that failed.
failed: list[str] = []


async def check(name: str, work: Callable[..., Awaitable[None]], *args: Any) -> None:
    """Runs one check: `work` raises when it fails."""
    wire.lines.clear()
    try:
        with anyio.fail_after(CHECK_LIMIT_S):
            await work(*args)
        print(f"ok {name}", flush=True)
    except Exception as error:
        failed.append(name)
        first = first_of(error)
        why = str(first) or traceback.format_tb(first.__traceback__)[-1]
        print(f"FAIL {name}: {type(first).__name__}: {' | '.join(why.strip().splitlines())}", flush=True)
        print(f"--- {name}", file=sys.stderr)
        traceback.print_exception(error)
        print(*wire.lines, sep="\n", file=sys.stderr, flush=True)


def first_of(error: BaseException) -> BaseException:
    """What went wrong first, out of the groups that it went through."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


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
        # Whether the era in use has sessions.
        self.sessions: bool

    @asynccontextmanager
    async def connected(self, server: Any, mode: str, capable: bool = True, **more: Any):
        """Connects to a URL, a command or what gives a transport; `mode` is how it negotiates."""
        asking = {
            "elicitation_callback": self.asks,
            "sampling_callback": self.asks,
            "list_roots_callback": self.asks,
        }
        options = {**(asking if capable else {}), **more}
        told = {"logging_callback": self.log, "message_handler": self.message}
        client = Client(server() if callable(server) else server, mode=MODES[mode], **told, **options)
        async with client:
            self.client = client
            self.sessions = mode == "legacy"
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

    def heard(self, steps: int) -> None:
        """Nothing but the log lines of `steps` steps of research was told."""
        equal([(log.level, log.logger) for log in self.logs], [("info", "research")] * steps)
        for step, log in enumerate(self.logs, 1):
            holds(log.data, f"^step {step} of {steps}: ")


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
    except Exception as error:
        first = first_of(error)
        if isinstance(first, MCPError):
            return first
        raise
    raise AssertionError(f"an error was expected, not {result!r:.400}")


def counter() -> tuple[list[float], Callable[..., Awaitable[None]]]:
    """A list and the callback that collects progress in it."""
    seen: list[float] = []

    async def collect(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    return seen, collect
