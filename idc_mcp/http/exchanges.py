"""One HTTP request and its answer, as the log and the counts tell of it.

`Observed` is the outermost layer and opens an `Exchange`; `Observer` is a middleware of the SDK and
writes into it which method and tool it is, which only the SDK knows.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND
from mcp_types.methods import SPEC_CLIENT_METHODS
from pydantic import ValidationError

from idc_mcp.http.addresses import address_of

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PLACE = "idc_mcp.exchange"
"""Where a request's scope has its exchange."""

UNKNOWN = "unknown"
"""What stands for a method or tool that this server does not have: callers' text is no name."""


@dataclass(slots=True)
class Exchange:
    """What is known of a request so far.

    `client` is the name of the token, else the address. `refused` is a reason of `refusals.STATUS`.
    `problem` is the code of the protocol's error. `taken` and `sent` are bytes of bodies.
    """

    client: str
    request: str = field(default_factory=lambda: secrets.token_hex(6))
    started: float = field(default_factory=time.perf_counter)
    method: str = ""
    tool: str = ""
    result: str = ""
    problem: str = ""
    refused: str = ""
    asked: str = ""
    status: int | None = None
    taken: int = 0
    sent: int = 0
    seconds: float = 0.0
    streams: bool = False
    ended: bool = False

    @property
    def outcome(self) -> str:
        """ok, tool_error, protocol_error, refused, cancelled (by its client), ended, failed."""
        if self.ended:
            return "ended"
        if self.refused:
            return "refused"
        if self.status is None:
            return "cancelled"
        if self.status >= 500:
            return "failed"
        if self.result:
            return self.result
        return "ok" if self.status < 400 else "protocol_error"


def exchange_of(scope: Scope) -> Exchange | None:
    """The exchange of a request, if it is observed."""
    found: Exchange | None = scope.get(PLACE)
    return found


class Observed:
    """Opens an exchange, and gives it to `begin` at its start and to `end` when it is over."""

    def __init__(
        self,
        application: ASGIApp,
        begin: Callable[[Exchange], None],
        end: Callable[[Exchange], None],
    ) -> None:
        self.application = application
        self.begin = begin
        self.end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks."""
        exchange = scope[PLACE] = Exchange(address_of(scope))
        # Of the parsers that uvicorn may use, one leaves blanks around the values of headers.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]

        async def counted_receive() -> Message:
            message = await receive()
            exchange.taken += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = [
                    *message.get("headers", ()),
                    (b"x-request-id", exchange.request.encode()),
                ]
                exchange.streams = any(
                    name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in headers
                )
                message = {**message, "headers": headers}
            else:
                exchange.sent += len(message.get("body", b""))
            await send(message)

        self.begin(exchange)
        try:
            await self.application(scope, counted_receive, counted_send)
        except BaseException:
            exchange.status = 500
            raise
        finally:
            exchange.seconds = time.perf_counter() - exchange.started
            self.end(exchange)


class Observer:
    """A middleware of the SDK: writes what a message is, and how it went, into its exchange."""

    def __init__(self, *, arguments: bool) -> None:
        self.arguments = arguments
        self.tools: frozenset[str] = frozenset()
        self._methods = set(SPEC_CLIENT_METHODS)

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Pass a message on and note its result."""
        exchange = exchange_of(ctx.request.scope) if ctx.request is not None else None
        if exchange is None:
            return await call_next(ctx)
        if ctx.request_id is None:
            exchange.method = "notification"
            return await call_next(ctx)
        known = ctx.method in self._methods
        exchange.method = ctx.method if known else UNKNOWN
        if ctx.method == "tools/call":
            name = (ctx.params or {}).get("name")
            exchange.tool = name if isinstance(name, str) and name in self.tools else UNKNOWN
        if self.arguments:
            exchange.asked = _asked(ctx)
        try:
            result = await call_next(ctx)
        except MCPError as error:
            exchange.result, exchange.problem = "protocol_error", str(error.error.code)
            if error.error.code == METHOD_NOT_FOUND:
                exchange.method = UNKNOWN
            raise
        except ValidationError:
            exchange.result, exchange.problem = "protocol_error", "arguments"
            raise
        except Exception as error:
            exchange.result, exchange.problem = "failed", type(error).__name__
            raise
        if not known:  # a method of an extension: it was answered, so it exists
            self._methods.add(ctx.method)
            exchange.method = ctx.method
        # What comes back is the result as it goes out: a dict.
        failed = isinstance(result, dict) and result.get("isError") is True
        exchange.result = "tool_error" if failed else "ok"
        return result


def _asked(ctx: ServerRequestContext[Any, Any]) -> str:
    given = {name: value for name, value in (ctx.params or {}).items() if name != "_meta"}
    try:
        return json.dumps({"method": ctx.method, **given}, default=str)
    except (ValueError, RecursionError):
        return "what cannot be written as JSON"
