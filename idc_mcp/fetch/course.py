"""The course of a fetch: what it tells while it runs, what it is told, and what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from idc_mcp.quantities import bytes_text, duration_text
from idc_mcp.transfer.objects import Failure, Kind

Outcome = Literal["fetched", "here", "failed", "interrupted"]
Proof = Literal["sha256", "md5", "size", "contents", ""]
Phase = Literal["waiting", "fetching", "checking"]

PROOFS = {
    "sha256": "SHA-256 as published",
    "md5": "size and MD5 of every file as the bucket lists them",
    "size": "size of every file as the bucket lists it; every value was read",
    "contents": "version, columns and every value readable; not proven byte for byte",
}
"""What proves that a table is whole, as a person reads it."""

_UNITS = (("B", 1), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9))


@dataclass(frozen=True)
class Progress:
    """How far one name is: bytes so far and in all, where that is known."""

    name: str
    phase: Phase = "fetching"
    done: int = 0
    total: int | None = None
    trouble: str = ""
    """Why nothing comes at the moment, where that is so."""
    seconds_left: float | None = None

    def __str__(self) -> str:
        if self.phase == "checking":
            return f"{amount(self.done, self.total)} have come and are being checked"
        if self.phase == "waiting":
            return "another process is fetching it" + (
                f": {amount(self.done, self.total)}" if self.done else ""
            )
        parts = [amount(self.done, self.total) if self.done or self.total else "asking for it"]
        if self.seconds_left is not None:
            about = "about " if self.seconds_left >= 1 else ""
            parts.append(f"{about}{duration_text(self.seconds_left)} left")
        if self.trouble:
            parts.append(f"asking again: {self.trouble}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Fetched:
    """What came of one name.

    `rows` and `bytes` are of all its files together; `source` and `proof` are empty where it
    was here before; `why` is empty unless it could not be had. Where `proof` is `contents`,
    `notes` say why no SHA-256 was known.
    """

    name: str
    outcome: Outcome
    rows: int = 0
    bytes: int = 0
    source: str = ""
    proof: Proof = ""
    why: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Course:
    """One fetch as its thread sees it; others read `progress` and set `stop`.

    Parameters
    ----------
    patience_s
        Seconds for which sources that do not answer are asked again.
    proving
        Held while DuckDB reads what came: whoever has set `stop` and can take it knows that
        no thread is inside the engine any more.
    """

    name: str
    patience_s: float
    stop: threading.Event
    proving: threading.Lock = field(default_factory=threading.Lock)
    report: Callable[[Progress], None] = lambda _: None
    progress: Progress = Progress("")

    def __post_init__(self) -> None:
        self.progress = Progress(self.name)
        self._lock = threading.Lock()
        self._begun: tuple[float, int] | None = None
        self.gained = 0
        """Bytes that came, those that were dropped again too."""

    def started(self, done: int, total: int | None) -> None:
        """Bytes begin to come: `done` of them were here before."""
        self._begun = time.monotonic(), done
        self._tell(Progress(self.name, done=done, total=total))

    def moved(self, count: int) -> None:
        """Bytes came."""
        with self._lock:
            known = self.progress
            done = known.done + count
            self.gained += count
            told = Progress(
                self.name, done=done, total=known.total, seconds_left=self._left(done, known.total)
            )
            self.progress = told
        self.report(told)
        self.go_on()

    def back(self, count: int) -> None:
        """Bytes that had come do not count any more."""
        with self._lock:
            self.progress = Progress(
                self.name, done=max(0, self.progress.done - count), total=self.progress.total
            )

    def troubled(self, why: str) -> None:
        """Nothing comes, for the reason given."""
        self._tell(
            Progress(self.name, done=self.progress.done, total=self.progress.total, trouble=why)
        )

    def waits(self, done: int, total: int | None) -> None:
        """Another process is at it, and has so many bytes."""
        self._tell(Progress(self.name, "waiting", done, total))

    def checks(self) -> None:
        """All has come and is being proven."""
        self._tell(Progress(self.name, "checking", self.progress.done, self.progress.total))

    def go_on(self) -> None:
        """Raise a Failure where this fetch is to end."""
        if self.stop.is_set():
            raise Failure(Kind.STOPPED, "it was interrupted")

    def _left(self, done: int, total: int | None) -> float | None:
        if self._begun is None or not total:
            return None
        since, before = self._begun
        gained, seconds = done - before, time.monotonic() - since
        return max(0, total - done) * seconds / gained if gained > 0 else None

    def _tell(self, progress: Progress) -> None:
        with self._lock:
            self.progress = progress
        self.report(progress)


def amount(done: int, total: int | None) -> str:
    """`12.0 of 38.1 MB`: both in the unit of the whole; where that is not known, `12 MB`."""
    if not total:
        return bytes_text(done)
    unit, size = max(
        ((name, size) for name, size in _UNITS if total >= size), key=lambda one: one[1]
    )
    form = ",.0f" if unit == "B" else ",.1f"
    return f"{done / size:{form}} of {total / size:{form}} {unit}"
