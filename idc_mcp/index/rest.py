"""Memory is given back when questions stop, and never while one runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Rest:
    """Calls `give_back` in a thread of its own once nothing was asked for `idle_s` seconds.

    Giving back shrinks the engine's memory for a moment, in which a question would fail for want
    of it. So it waits for the questions that run, and new ones wait for it: milliseconds.
    """

    def __init__(self, idle_s: float, give_back: Callable[[], None]) -> None:
        self._idle_s = idle_s
        self._give_back = give_back
        self._calm = threading.Lock()
        self._running = 0
        self._last = 0.0
        self._waiting = False
        self._ending = threading.Event()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """A question, from its beginning to its end."""
        with self._calm:
            self._running += 1
            begin = not self._waiting and not self._ending.is_set()
            self._waiting = self._waiting or begin
        if begin:
            threading.Thread(target=self._wait, name="idc-index-rest").start()
        try:
            yield
        finally:
            with self._calm:
                self._running -= 1
                self._last = time.monotonic()

    def end(self) -> None:
        """Give nothing back any more."""
        self._ending.set()

    def _wait(self) -> None:
        left = self._idle_s
        while not self._ending.wait(left):
            with self._calm:
                since = time.monotonic() - self._last
                left = self._idle_s - (0 if self._running else since)
                if left <= 0:
                    self._waiting = False
                    with suppress(Exception):  # a connection that is closing meanwhile
                        self._give_back()
                    return
