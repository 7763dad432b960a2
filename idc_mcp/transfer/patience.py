"""Whom to ask next, how long to wait, and when to give up."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from idc_mcp.transfer.objects import Failure, Kind, Place

_TRIES = 3
"""Times that one place is asked before another is, and that corrupt bytes are fetched."""
_LONGEST_PAUSE_S = 5.0
_AVOID_AFTER = 5
_AVOID_S = 30.0


@dataclass
class _Source:
    """How one source answered lately."""

    last_good: float
    failures: int = 0
    """Since it last answered."""
    avoid_until: float = 0.0


class Health:
    """How the sources of a job answer, all its threads together."""

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self._lock = threading.Lock()
        begun = time.monotonic()
        self._sources = defaultdict[str, _Source](lambda: _Source(begun))

    def answered(self, place: Place) -> None:
        """A place did as it was asked."""
        with self._lock:
            self._sources[place.source] = _Source(time.monotonic())

    def moved(self, place: Place) -> None:
        """A place is giving bytes, which may be of a file that takes longer than patience."""
        with self._lock:
            self._sources[place.source].last_good = time.monotonic()

    def failed(self, place: Place) -> None:
        """A place did not answer; after some times the others are asked first for a while."""
        with self._lock:
            source = self._sources[place.source]
            source.failures += 1
            if source.failures >= _AVOID_AFTER:
                source.avoid_until = time.monotonic() + _AVOID_S

    def silent(self, places: Iterable[Place]) -> bool:
        """Whether none of them has answered for as long as patience lasts."""
        with self._lock:
            now = time.monotonic()
            return all(
                (source := self._sources[place.source]).failures
                and now - source.last_good > self.patience_s
                for place in places
            )

    def ordered(self, places: Iterable[Place]) -> list[Place]:
        """The places, those that answer first."""
        with self._lock:
            now = time.monotonic()
            return sorted(places, key=lambda place: self._sources[place.source].avoid_until > now)


class Asking:
    """The course of one question (an object, a listing) until it is answered or given up."""

    def __init__(self, health: Health, places: Sequence[Place], stop: threading.Event) -> None:
        self._health = health
        self._stop = stop
        self._all = places
        self._places = health.ordered(places)
        self._tries: Counter[Place] = Counter()
        self._corrupt: Counter[Place] = Counter()
        self._failing_since: float | None = None
        self._pauses = 0
        self._said: dict[str, str] = {}

    @property
    def place(self) -> Place:
        """Whom to ask now."""
        return self._places[0]

    def answered(self) -> None:
        """The question is answered."""
        self._health.answered(self.place)

    def nobody_answers(self) -> bool:
        """Whether all that could be asked have been silent for long."""
        return self._health.silent(self._all)

    def failed(self, failure: Failure) -> None:
        """Take a failure into account, and wait where that helps.

        Raises
        ------
        Failure
            There is nobody left to ask, or patience is at its end.
        """
        place = self.place
        match failure.kind:
            case Kind.UNANSWERED:
                self._health.failed(place)
            case Kind.MISSING | Kind.DENIED | Kind.CORRUPT:
                self._health.answered(place)
            case _:
                raise failure
        self._said[place.source] = failure.why
        if failure.kind is Kind.UNANSWERED:
            self._tries[place] += 1
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            # A large object may fail for the first time after an hour: that alone is no end.
            enough = self._tries.total() >= _TRIES
            tired = enough and now - self._failing_since > self._health.patience_s
            # Where others have said that they do not have it, this one is not waited for long.
            last_hope = len(self._places) < len(self._all) and self._tries[place] >= _TRIES
            if tired or last_hope:
                raise self._whole(failure)
            if self._tries[place] % _TRIES == 0:
                self._places.append(self._places.pop(0))
            self._pause()
            return
        self._corrupt[place] += 1
        if failure.kind is not Kind.CORRUPT or self._corrupt[place] >= _TRIES:
            self._places.pop(0)
        if not self._places:
            raise self._whole(failure)
        if place in self._places:
            self._pause()

    def _pause(self) -> None:
        longest = min(_LONGEST_PAUSE_S, 0.1 * 2**self._pauses)
        self._pauses += 1
        if self._stop.wait(longest * random.uniform(0.5, 1)):
            raise Failure(Kind.STOPPED, "the job is being ended")

    def _whole(self, last: Failure) -> Failure:
        """The last failure, with what the other places said."""
        if len(self._said) == 1:
            return last
        return Failure(
            last.kind, "; ".join(f"{source}: {why}" for source, why in self._said.items())
        )
