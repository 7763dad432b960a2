"""How far a job is: counted by many threads, read by the one that writes it down."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

_WINDOW_S = 10.0
"""The rate is that of the last seconds."""


class Progress:
    """The counters of a job's run, and what its series came to since they were last taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {
            "files_done": 0, "bytes_done": 0, "bytes_fetched": 0, "size_only": 0, "requests": 0,
        }  # fmt: skip
        self._series: dict[int, tuple[str, str, int]] = {}
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._dirty = False

    def moved(self, count: int) -> None:
        """Bytes came."""
        self._add(bytes_fetched=count)

    def asked(self) -> None:
        """A request was made."""
        self._add(requests=1)

    def whole(self, files: int, size: int, size_only: int) -> None:
        """Files are whole."""
        self._add(files_done=files, bytes_done=size, size_only=size_only)

    def series(self, number: int, state: str, reason: str, files_done: int) -> None:
        """A series came to something."""
        with self._lock:
            self._series[number] = (state, reason, files_done)
            self._dirty = True

    def take(self) -> tuple[dict[str, Any], list[tuple[Any, ...]]] | None:
        """The job's columns and the series' rows to write down; None where nothing changed."""
        now = time.monotonic()
        with self._lock:
            fetched = self._counts["bytes_fetched"]
            self._marks.append((now, fetched))
            while now - self._marks[0][0] > _WINDOW_S:
                self._marks.popleft()
            since, before = self._marks[0]
            rate = (fetched - before) / max(now - since, 0.001)
            if not self._dirty:
                return None
            series = [(*values, number) for number, values in self._series.items()]
            self._series.clear()
            self._dirty = False
            return self._counts | {"rate": rate}, series

    def _add(self, **counts: int) -> None:
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count
            self._dirty = True
