"""A tool of the SDK made strict: arguments checked, a core run in a thread, answers rendered.

The SDK by itself sends an answer as indented JSON. Here a function `(app, **arguments) -> Answer`
becomes a tool whose arguments are checked by `tools/arguments.py`, whose errors say the next step,
which may ask its client what `tools/calls.py` offers, and whose answers go through
`answers.render`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations

from idc_mcp.answers import Answer, Rendered, Table, render
from idc_mcp.errors import IdcError
from idc_mcp.tools.arguments import (
    Core,
    StrictArguments,
    argument_model,
    check_arguments,
    compact_schema,
    hints_of,
)
from idc_mcp.tools.calls import Asks, cancellation, one_call, report

if TYPE_CHECKING:
    from idc_mcp.app import App

_JSON_TYPES: dict[Any, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", Table: "object",
    list[str]: "array",
}  # fmt: skip
"""What the fields that are always there are in JSON; one that may be null is not of them."""


class StrictTool(Tool):
    """A tool whose whole run is ours: check, call the core in a thread, render."""

    arguments: type[StrictArguments]

    async def run(
        self, arguments: dict[str, Any], context: Any, convert_result: bool = False
    ) -> Any:
        """Check the arguments and answer; an error becomes a result that says the next step."""
        try:
            checked = check_arguments(self.name, self.arguments, arguments)
            return await self.fn(checked, context)
        except IdcError as error:
            return error_result(error)


def make_tool(
    app: App,
    core: Core,
    *,
    title: str,
    writes: bool = False,
    network: bool = False,
    destructive: bool = False,
    idempotent: bool = True,
) -> StrictTool:
    """A strict tool of `core`, whose first parameter is the app.

    Parameters
    ----------
    writes
        It may write a file for the caller.
    network
        It may ask other hosts.
    destructive
        It may undo or overwrite what is there.
    idempotent
        The same call again changes nothing more.
    """
    model = argument_model(core)
    answer_type = hints_of(core)["return"]
    limiter: list[anyio.CapacityLimiter] = []

    async def call(checked: dict[str, Any], context: Any) -> CallToolResult | InputRequiredResult:
        if not limiter:
            # A tool's own threads: forty slow statements leave the other tools alone.
            limiter.append(anyio.CapacityLimiter(40))
        with one_call(context) as running:
            try:
                answer = await anyio.to_thread.run_sync(
                    _answering(app, core, checked), limiter=limiter[0], abandon_on_cancel=True
                )
            except Asks as question:
                return question.result
            await running.send_waiting()
        app.warm()
        return success_result(render(answer, app.settings.answer_chars))

    return StrictTool(
        fn=call,
        name=core.__name__,
        title=title,
        description=inspect.cleandoc(core.__doc__ or ""),
        arguments=model,
        parameters=compact_schema(model.model_json_schema(by_alias=True)),
        fn_metadata=FuncMetadata(arg_model=model, output_schema=published_schema(answer_type)),
        is_async=True,
        context_kwarg=None,
        icons=None,
        meta=None,
        annotations=ToolAnnotations(
            read_only_hint=not writes,
            destructive_hint=destructive,
            idempotent_hint=idempotent,
            open_world_hint=network,
        ),
    )


def _answering(app: App, core: Core, checked: dict[str, Any]) -> Callable[[], Answer]:
    """A core's call, to be run in a thread; it fetches the tables that the question needs."""

    def answer() -> Answer:
        return app.with_tables(partial(core, app, **checked), report, cancellation())

    return answer


def published_schema(answer_type: type[Answer]) -> dict[str, Any]:
    """An answer's outputSchema: the fields that are always there, one level deep.

    Others come only where there is something to say, so the schema promises nothing of them.
    Read off the fields: pydantic's own schemas would cost a start three times as much.
    """
    always = {
        name: field.annotation
        for name, field in answer_type.model_fields.items()
        if field.is_required() and field.annotation in _JSON_TYPES
    }
    return {
        "type": "object",
        "properties": {name: {"type": _JSON_TYPES[kind]} for name, kind in always.items()},
        "required": list(always),
    }


def success_result(rendered: Rendered) -> CallToolResult:
    """An answer as MCP carries it."""
    return CallToolResult(
        content=[TextContent(type="text", text=rendered.text)],
        structured_content=rendered.structured,
    )


def error_result(error: IdcError) -> CallToolResult:
    """An error as MCP carries it: all of it in the text."""
    return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)
