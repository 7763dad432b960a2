"""What a connection may be: how large and slow a request's head, and how slow a reader of answers.

A head is what frames a body: line, headers, trailers. uvicorn bounds the time of none of this, and
the size of a head only with h11.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_BYTES = 65_536

if TYPE_CHECKING:
    _Protocol = Any
else:
    _Protocol = object


def bounded(seconds: float, protocol: Any = AutoHTTPProtocol) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which closes connections whose peer is slow or sends no end.

    Parameters
    ----------
    seconds
        In which a request must begin to be answered, from the opening of a connection or its first
        byte on, and in which an answer that waits for its reader must move on.
    protocol
        That of httptools or that of h11.
    """
    bounds = (_Timely,) if issubclass(protocol, H11Protocol) else (_Small, _Timely)
    return type("Bounded", (*bounds, protocol), {"seconds": seconds})


class _Timely(_Protocol):  # type: ignore[misc]
    """Closes a connection that asks nothing whole, and one that does not read."""

    seconds: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._unread: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = self._after(self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        _off(self._late)
        _off(self._unread)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _off(self._late)  # it is being answered: the application looks at the time
            self._late = None
        elif self._late is None:
            self._late = self._after(self.transport.close)

    def pause_writing(self) -> None:
        super().pause_writing()
        _off(self._unread)
        self._unread = self._after(self.transport.abort)

    def resume_writing(self) -> None:
        _off(self._unread)
        super().resume_writing()

    def _after(self, act: Any) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self.seconds, act)


def _off(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


class _Small(_Protocol):  # type: ignore[misc]
    """Closes a connection with a large head; for httptools, whose parser tells where one ends."""

    _head = 0

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST_BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head = 0
        super().on_message_complete()
