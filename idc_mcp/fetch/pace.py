"""A least rate: a source that gives less is left, however it keeps its connection alive.

A client's own timeout is for silence. One byte before it runs out, again and again, in the
headers or in the body, would hold a fetch for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any, Self

LEAST_RATE = 1_000
"""Bytes a second."""

OVER_S = 30.0
"""Seconds over which the rate is taken; an answer that is whole sooner may have any."""


class Pace:
    """Watches one answer, its headers too, and cuts its connection where it is too slow."""

    def __init__(self) -> None:
        self.too_slow = False
        self._moved = 0
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="idc-fetch-pace", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._guard:
            self._forget()

    def moved(self, count: int) -> None:
        """Bytes of the body came."""
        self._moved += count

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take what the client tells of a connection (httpcore's extension `trace`)."""
        if not event.endswith("connect_tcp.complete"):
            return
        with self._guard, contextlib.suppress(OSError):
            self._forget()
            # A second handle: the client's own is wrapped in TLS, and closed by another thread.
            self._socket = info["return_value"].get_extra_info("socket").dup()
            if self.too_slow:
                self._cut()

    def _watch(self) -> None:
        before = 0
        while not self._over.wait(OVER_S):
            if self._moved - before < LEAST_RATE * OVER_S:
                with self._guard:
                    self.too_slow = True
                    self._cut()
                return
            before = self._moved

    def _cut(self) -> None:
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None
