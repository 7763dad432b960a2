"""How far a job is: counted by many threads, read by the one that writes it down."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

_WINDOW_S = 10.0
"""The rate is that of the last seconds."""

_HEARTBEAT_S = 2.0
"""A job that stands still is written down this often: its rate falls while it waits."""


@dataclass(frozen=True)
class Changes:
    """What is to be written down: columns of the job, and rows of series by their number."""

    job: dict[str, Any]
    series: dict[int, dict[str, Any]]

    def after(self, earlier: Changes | None) -> Changes:
        """These, with what an earlier write could not take."""
        if earlier is None:
            return self
        series = dict(earlier.series)
        for number, row in self.series.items():
            series[number] = series.get(number, {}) | row
        return Changes(earlier.job | self.job, series)


class Progress:
    """The counters of a run, and what its series came to since they were last taken.

    Parameters
    ----------
    counts
        The job's columns that this run counts, with what they begin at.
    """

    def __init__(self, **counts: int) -> None:
        self._lock = threading.Lock()
        self._counts = {"bytes_fetched": 0, "bytes_moving": 0} | counts
        self._series: dict[int, dict[str, Any]] = {}
        begun = time.monotonic()
        self._marks: deque[tuple[float, int]] = deque([(begun, 0)])
        self._taken = begun
        self._dirty = False

    def add(self, **counts: int) -> None:
        """Count something on; a count may be negative."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count
            self._dirty = True

    def moved(self, count: int) -> None:
        """Bytes came, or were looked at."""
        self.add(bytes_fetched=count)

    def series(self, number: int, **row: Any) -> None:
        """A series came to something: columns of its row."""
        with self._lock:
            self._series[number] = self._series.get(number, {}) | row
            self._dirty = True

    def take(self) -> Changes | None:
        """What to write down; None where nothing changed for the moment."""
        now = time.monotonic()
        with self._lock:
            fetched = self._counts["bytes_fetched"]
            self._marks.append((now, fetched))
            while now - self._marks[0][0] > _WINDOW_S:
                self._marks.popleft()
            if not self._dirty and now - self._taken < _HEARTBEAT_S:
                return None
            since, before = self._marks[0]
            rate = (fetched - before) / max(now - since, 0.001)
            series, self._series = self._series, {}
            self._dirty = False
            self._taken = now
            return Changes(self._counts | {"rate": rate}, series)


class Moving:
    """The bytes of one file while it comes: forgotten where it has to come again."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._bytes = 0

    def moved(self, count: int) -> None:
        """Bytes of it came."""
        with self._lock:
            self._bytes += count
        self._progress.add(bytes_fetched=count, bytes_moving=count)

    def ended(self) -> None:
        """It is whole, or begins anew."""
        with self._lock:
            count, self._bytes = self._bytes, 0
        self._progress.add(bytes_moving=-count)
