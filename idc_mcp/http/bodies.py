"""A request's body, whole before anything is done with it; and calls whose client has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import anyio
from starlette.datastructures import Headers

from idc_mcp.http.exchanges import exchange_of
from idc_mcp.http.refusals import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _TooLarge(Exception):
    """The body is larger than one may be."""


class _Left(Exception):
    """The client has gone before its body was whole."""


class Whole:
    """Reads a body within its size and time, and cancels a call when its client disconnects.

    The SDK does not where it answers JSON: a statement would go on to its limit for nobody, in a
    process that others need.
    """

    def __init__(self, application: ASGIApp, *, most_mb: int, seconds: float) -> None:
        self.application = application
        self.most_mb = most_mb
        self.seconds = seconds
        self._streams: set[anyio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks."""
        if scope["method"] != "POST":
            # A GET would open a stream on which this server, which has no sessions, says nothing.
            await refuse(
                scope, receive, send, "method", "This server answers POST alone.",
                headers={"Allow": "POST"},
            )  # fmt: skip
            return
        try:
            with anyio.fail_after(self.seconds):
                body = await self._read(scope, receive)
        except _Left:
            return
        except _TooLarge:
            await refuse(
                scope, receive, send, "size",
                f"A request may have {self.most_mb} MiB. Give a cohort by its handle, filters or "
                "SQL instead of a list.",
                most_bytes=self.most_mb << 20,
            )  # fmt: skip
            return
        except TimeoutError:
            await refuse(
                scope, receive, send, "slow",
                f"The request had not come whole after {self.seconds:g} s.",
                headers={"Connection": "close"},
            )  # fmt: skip
            return
        await self._answer(body, scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        most = self.most_mb << 20
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise _TooLarge
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Left
            body += message.get("body", b"")
            if len(body) > most:
                raise _TooLarge
            if not message.get("more_body", False):
                return bytes(body)

    async def _answer(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await _never()

        async def watched_send(message: Message) -> None:
            await send(message)
            if exchange is not None and exchange.streams:
                self._streams.add(group.cancel_scope)

        exchange = exchange_of(scope)
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            try:
                await self.application(scope, replay, watched_send)
            finally:
                self._streams.discard(group.cancel_scope)
            group.cancel_scope.cancel()

    def end_streams(self) -> None:
        """End the answers that go on for as long as their client listens."""
        for stream in list(self._streams):
            stream.cancel()


async def _never() -> NoReturn:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")  # pragma: no cover
