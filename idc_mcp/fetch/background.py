"""Fetches that questions begin: in the background, waited for a while, their failures kept."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from idc_mcp.errors import IdcError, NotFetched
from idc_mcp.fetch.course import Course, Fetched
from idc_mcp.fetch.naming import asked_for
from idc_mcp.fetch.obtain import Shelf
from idc_mcp.index.release import CLINICAL
from idc_mcp.index.store import Index
from idc_mcp.quantities import duration_text
from idc_mcp.settings import Settings

AT_A_TIME = 4
"""Tables fetched side by side."""

REMEMBERED_S = 60.0
"""How long a failure answers questions without another try; commands always try."""

Report = Callable[[float, float | None, str], None]
"""Is told what has been done, all that is to do where that is known, and that in words."""

_POLL_S = 0.2
_SOONEST_S = 5.0


class Running:
    """A fetch in the background."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.ended = threading.Event()
        self.failed = ""
        self.failed_at = 0.0

    @property
    def lasts(self) -> bool:
        """Whether it is under way, or failed so lately that it is not begun anew."""
        lately = time.monotonic() - self.failed_at < REMEMBERED_S
        return not self.ended.is_set() or (bool(self.failed) and lately)


class Background:
    """The fetches that questions began in this process."""

    def __init__(
        self, index: Index, settings: Settings, shelf: Shelf, proving: threading.Lock
    ) -> None:
        self._index = index
        self._settings = settings
        self._shelf = shelf
        self._proving = proving
        self._running: dict[str, Running] = {}
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._slots = threading.BoundedSemaphore(AT_A_TIME)

    def state(self, name: str) -> str:
        """What it is at, or why it failed; '' where nothing was begun, or it is done."""
        running = self._running.get(name)
        if running is None:
            return ""
        if not running.ended.is_set():
            return f"being fetched: {running.course.progress}"
        return f"could not be fetched: {running.failed}" if running.failed else ""

    def begin(self, names: Iterable[str], *, proven: bool = False) -> None:
        """Begin what is not under way and did not fail a short while ago."""
        with self._guard:
            for name in names:
                running = self._running.get(name)
                if self._stop.is_set() or (running and running.lasts):
                    continue
                # A question should learn why nothing comes, not that something is waited for.
                patience = min(self._settings.patience_s, self._settings.fetch_wait_s / 2)
                running = Running(Course(name, patience, self._stop, self._proving))
                self._running[name] = running
                threading.Thread(
                    target=self._run, args=(running, proven), name="idc-fetch", daemon=True
                ).start()

    def wait(
        self,
        names: Sequence[str],
        deadline: float,
        report: Report,
        cancelled: threading.Event | None,
    ) -> None:
        """Wait until what was begun has ended.

        Raises
        ------
        NotFetched
            One failed, the time is up, whoever asked has left, or `close` was called.
        """
        courses = [self._running[name] for name in names if name in self._running]
        while True:
            # Before anything else: what fails now fails because of it.
            if self._stop.is_set():
                raise _closing(names)
            for running in courses:
                if running.failed:
                    raise _failed(running)
            coming = [running for running in courses if not running.ended.is_set()]
            if not coming:
                return
            left = deadline - time.monotonic()
            if left <= 0 or (cancelled and cancelled.is_set()):
                raise _under_way([running.course for running in coming], names)
            _tell([running.course for running in courses], coming, report)
            coming[0].ended.wait(min(_POLL_S, left))

    def close(self) -> None:
        """Ask all to end."""
        with self._guard:
            self._stop.set()

    def _run(self, running: Running, proven: bool) -> None:
        came: Fetched | None = None
        try:
            with self._slots:
                came = self._shelf.outcome(running.course, proven=proven)
        finally:
            running.failed = came.why if came else "it ended early"
            running.failed_at = time.monotonic()
            running.ended.set()
        if not running.failed and not self._stop.is_set():
            with contextlib.suppress(IdcError):  # the next question says what is wrong
                self._index.refresh(timeout_s=0.0)


def command(names: Iterable[str]) -> str:
    """What a person types to fetch tables."""
    return f"idc-mcp fetch {' '.join(asked_for(names))}"


def standing(names: Sequence[str]) -> str:
    """Tables as the beginning of a sentence: `seg_index is`, `the clinical tables are`."""
    asked = asked_for(names)
    named = [f"the {CLINICAL} tables" if name == CLINICAL else name for name in asked]
    one = len(asked) == 1 and CLINICAL not in asked
    return f"{', '.join(named)} {'is' if one else 'are'}"


def columns_told(names: Sequence[str]) -> str:
    """What can be known of tables without their rows: nothing of the clinical ones."""
    return "" if CLINICAL in names else "; idc_schema describes the columns all the same"


def _tell(courses: list[Course], coming: list[Running], report: Report) -> None:
    states = [course.progress for course in courses]
    totals = [state.total for state in states]
    words = [f"{running.course.name}: {running.course.progress}" for running in coming]
    report(
        float(sum(state.done for state in states)),
        float(sum(total or 0 for total in totals)) if all(totals) else None,
        "; ".join(words),
    )


def _closing(names: Sequence[str]) -> NotFetched:
    return NotFetched(
        f"The server is closing: {standing(names)} not being fetched any more.",
        next_step="ask again when it runs again; what has come is kept",
        tables=names,
    )


def _under_way(coming: list[Course], names: Sequence[str]) -> NotFetched:
    lefts = [left for course in coming if (left := course.progress.seconds_left) is not None]
    soon = f"about {duration_text(max(_SOONEST_S, *lefts))}" if lefts else "half a minute"
    words = [f"{course.name} is being fetched: {course.progress}" for course in coming]
    return NotFetched(
        f"{'; '.join(words)}.",
        next_step=f"ask again in {soon}; other questions are answered meanwhile",
        tables=names,
        coming=True,
    )


def _failed(running: Running) -> NotFetched:
    name = running.course.name
    again = max(1.0, running.failed_at + REMEMBERED_S - time.monotonic())
    return NotFetched(
        f"{standing([name])} not on this machine and could not be fetched: "
        f"{running.failed.rstrip('.')}.",
        next_step=f"run `{command([name])}`, which tries at once; a question tries again in "
        f"{duration_text(again)}{columns_told([name])}",
        tables=[name],
    )
