"""What `js/fixtures.mjs` offers, on PyPI `mcp`: the same tools, resources and prompt under the same names."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import anyio
import mcp_types as types

WATCHED = "peer://watched"
ITEM = re.compile(r"^peer://items/(.+)$")

INSTRUCTIONS = "A peer for the tests of a client."

# Tools on a page of `tools/list`.
PAGE = 4

# `cut` goes on at this pace, so that the client is back before the end.
CUT_STEP_S = 0.02

# No count goes further: it is a test's, and a typing error in one is not to fill the memory.
MOST_STEPS = 100_000


class Call:
    """How a tool sends things; `server.py` fills it."""

    progress: Callable[[int, int], Awaitable[None]]
    log: Callable[[str], Awaitable[None]]
    ask: Callable[[str, types.InputRequest], Awaitable[Any]]
    cut: Callable[[], Awaitable[None]]
    touch: Callable[[], Awaitable[None]]


def object_schema(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties) if required is None else required}


STEPS = {"type": "integer", "minimum": 0, "maximum": MOST_STEPS}
STRING = {"type": "string"}
NUMBER = {"type": "number"}


def tool(name: str, description: str, properties: dict[str, Any], **more: Any) -> types.Tool:
    schema = object_schema(properties, more.pop("required", None))
    return types.Tool(name=name, description=description, input_schema=schema, **more)


TOOLS = [
    tool("echo", "Answers with its text.", {"text": STRING}),
    tool("count", "Counts, with progress; `ms` between two steps.", {"to": STEPS, "ms": STEPS}, required=["to"]),
    tool("log", "Writes lines of log at level info.", {"n": STEPS}),
    tool("ask", "Asks the user three things, each with a default but the first.", {}),
    tool("sample", "Asks the client's model.", {"prompt": STRING}),
    tool("roots", "Lists the URIs of the client's roots.", {}),
    tool("cut", "Counts, and closes its connection on the way.", {"after": STEPS, "to": STEPS}),
    tool("touch", "Tells who wants to know that the watched resource and the tools changed.", {}),
    tool("fail", "Answers with an error.", {}),
    tool("sum", "Adds two numbers.", {"a": NUMBER, "b": NUMBER}, output_schema=object_schema({"sum": NUMBER})),
]

QUESTION = types.ElicitRequest(
    params=types.ElicitRequestFormParams(
        message="Who are you?",
        requested_schema=object_schema(
            {
                "name": {"type": "string", "title": "Name"},
                "age": {"type": "integer", "title": "Age", "default": 30},
                "newsletter": {"type": "boolean", "title": "Newsletter", "default": True},
            },
            ["name"],
        ),
    )
)

# How often somebody called `touch`.
touched = 0


def text(said: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=said)], **more)


async def echo(call: Call, text_: str) -> types.CallToolResult:
    return text(text_)


async def count(call: Call, to: int, ms: int = 0) -> types.CallToolResult:
    for step in range(1, to + 1):
        if ms > 0:
            await anyio.sleep(ms / 1000)
        await call.progress(step, to)
    return text(f"counted to {to}")


async def log(call: Call, n: int) -> types.CallToolResult:
    for line in range(1, n + 1):
        await call.log(f"line {line} of {n}")
    return text(f"logged {n}")


async def ask(call: Call) -> types.CallToolResult:
    answer = await call.ask("who", QUESTION)
    return text(json.dumps({"action": answer.action, "content": answer.content}))


async def sample(call: Call, prompt: str) -> types.CallToolResult:
    message = types.SamplingMessage(role="user", content=types.TextContent(text=prompt))
    params = types.CreateMessageRequestParams(messages=[message], max_tokens=100)
    answer = await call.ask("answer", types.CreateMessageRequest(params=params))
    content = answer.content[0] if isinstance(answer.content, list) else answer.content
    return text(content.text)


async def roots(call: Call) -> types.CallToolResult:
    answer = await call.ask("roots", types.ListRootsRequest())
    return text("\n".join(str(root.uri) for root in answer.roots))


async def cut(call: Call, after: int, to: int) -> types.CallToolResult:
    for step in range(1, to + 1):
        await call.progress(step, to)
        if step == after:
            await call.cut()
        await anyio.sleep(CUT_STEP_S)
    return text(f"counted to {to}")


async def touch(call: Call) -> types.CallToolResult:
    global touched
    touched += 1
    await call.touch()
    return text("touched")


async def fail(call: Call) -> types.CallToolResult:
    return text("this tool always fails", is_error=True)


async def sum_(call: Call, a: float, b: float) -> types.CallToolResult:
    result = {"sum": a + b}
    return text(json.dumps(result), structured_content=result)


RUN: dict[str, Callable[..., Awaitable[types.CallToolResult]]] = {
    "echo": lambda call, text: echo(call, text),
    "count": count,
    "log": log,
    "ask": ask,
    "sample": sample,
    "roots": roots,
    "cut": cut,
    "touch": touch,
    "fail": fail,
    "sum": sum_,
}


def list_tools(cursor: str | None) -> types.ListToolsResult | None:
    """A page of tools, or `None` when the cursor is none."""
    cursor = cursor or "0"
    if not cursor.isdecimal() or int(cursor) >= len(TOOLS):
        return None
    following = int(cursor) + PAGE
    more = str(following) if following < len(TOOLS) else None
    return types.ListToolsResult(tools=TOOLS[int(cursor) : following], next_cursor=more)


RESOURCES = types.ListResourcesResult(
    resources=[types.Resource(uri=WATCHED, name="watched", description="Changes with `touch`.", mime_type="text/plain")]
)

TEMPLATES = types.ListResourceTemplatesResult(
    resource_templates=[
        types.ResourceTemplate(
            uri_template="peer://items/{id}", name="items", description="One item.", mime_type="text/plain"
        )
    ]
)


def read_resource(uri: str) -> types.ReadResourceResult | None:
    """The answer to `resources/read`, or `None` when there is no such resource."""
    if uri == WATCHED:
        said = f"touched {touched} times"
    elif item := ITEM.match(uri):
        said = f"item {unquote(item[1])}"
    else:
        return None
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=uri, mime_type="text/plain", text=said)]
    )


PROMPTS = types.ListPromptsResult(
    prompts=[
        types.Prompt(
            name="greet",
            description="Greets somebody.",
            arguments=[types.PromptArgument(name="name", description="Whom", required=True)],
        )
    ]
)


def get_prompt(name: str, arguments: dict[str, str] | None) -> types.GetPromptResult | None:
    """The answer to `prompts/get`, or `None` when there is no such prompt or no name."""
    whom = (arguments or {}).get("name")
    if name != "greet" or not whom:
        return None
    said = types.TextContent(text=f"Hello, {whom}!")
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=said)])
