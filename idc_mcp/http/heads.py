"""The head of a request (its line and headers): how large it may be, and how slow.

uvicorn bounds neither with httptools, and the size alone with h11.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

MOST_BYTES = 65_536


def bounded(seconds: float, protocol: Any = AutoHTTPProtocol) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which closes connections whose request's head does not end.

    Parameters
    ----------
    seconds
        In which a head must have come, from the opening of a connection or its first byte on.
    protocol
        That of httptools or that of h11.
    """

    class Bounded(protocol):  # type: ignore[misc]
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._head = 0
            self._late: asyncio.TimerHandle | None = None
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._came()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            cycle = self.cycle
            super().data_received(data)
            if self.cycle is not cycle or (cycle is not None and not cycle.response_complete):
                self._came()  # a head was whole, or this belongs to the body behind one
                return
            self._head += len(data)
            if self._late is None:
                self._wait()
            if self._head > MOST_BYTES:
                self.transport.close()

        def _wait(self) -> None:
            self._late = asyncio.get_running_loop().call_later(seconds, self.transport.close)

        def _came(self) -> None:
            self._head = 0
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return Bounded
