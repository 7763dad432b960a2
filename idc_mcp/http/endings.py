"""How an answer ends: after its request has come whole, and with 503 where the server stops first.

An answer may come before the body that it refuses. A connection that is closed then is reset, and
the client may never see the answer: so the rest of the body is read, and thrown away.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import Headers

from idc_mcp.http.exchanges import exchange_of
from idc_mcp.http.refusals import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LAST_S = 1.0
"""Seconds in which the last word of a server that stops must be written."""


class Ended:
    """Ends every answer in order; a body must have come within `seconds`, wanted or not."""

    def __init__(self, application: ASGIApp, seconds: float) -> None:
        self.application = application
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks."""
        rest = anyio.CancelScope(deadline=anyio.current_time() + self.seconds)
        # Who waits to be told to go on (RFC 9110, 10.1.1) does not send what is refused.
        waits = "expect" in Headers(scope=scope)
        whole = started = finished = False

        async def noted_receive() -> Message:
            nonlocal whole
            message = await receive()
            whole = not message.get("more_body", False)  # a disconnection has none
            return message

        async def last_send(message: Message) -> None:
            nonlocal started, finished
            if message["type"] == "http.response.start":
                started = True
                if waits and not whole:
                    closing = (b"connection", b"close")
                    message = {**message, "headers": [*message.get("headers", ()), closing]}
            elif not message.get("more_body", False):
                finished = True
                if not (whole or waits):
                    await send({**message, "more_body": True})
                    with rest:
                        while not whole:
                            await noted_receive()
                    message = {"type": "http.response.body"}
            await send(message)

        try:
            await self.application(scope, noted_receive, last_send)
        except asyncio.CancelledError:
            # The server's patience is over. Raised again it would be logged as a failure.
            if exchange := exchange_of(scope):
                exchange.ended = True
            whole = True
            with anyio.move_on_after(LAST_S):
                if not started:
                    await refuse(
                        scope, receive, last_send, "stopping",
                        "This server is stopping and could not wait for the answer. Ask again.",
                        headers={"Retry-After": "1", "Connection": "close"},
                    )  # fmt: skip
                else:
                    await send({"type": "http.response.body"})
