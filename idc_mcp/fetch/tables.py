"""The tables that are fetched when they are needed: by a command, or by a question.

A command waits until all is there or has failed. A question begins a fetch in the background,
waits for a while, and is told how far it is; the next question finds it further on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from idc_mcp.errors import NotFetched, Unavailable
from idc_mcp.fetch import naming
from idc_mcp.fetch.background import (
    AT_A_TIME,
    Background,
    Report,
    columns_told,
    command,
    standing,
)
from idc_mcp.fetch.course import Course, Fetched, Progress
from idc_mcp.fetch.obtain import Shelf
from idc_mcp.index.store import Index
from idc_mcp.settings import PREFIX, Settings

_POLL_S = 0.05


class Tables:
    """What can be fetched of a release, and what is under way. Any thread may call."""

    def __init__(self, index: Index, settings: Settings) -> None:
        self._index = index
        self._settings = settings
        self._shelf = Shelf(index.release, settings)
        self._proving = threading.Lock()
        self._background = Background(index, settings, self._shelf, self._proving)

    def names(self) -> list[str]:
        """What can be fetched: the specialised tables, then `clinical` for all clinical ones."""
        return naming.fetchable(self._index.release)

    def resolve(self, names: Iterable[str]) -> list[str]:
        """What names stand for (`seg`, `nlst_canc`, `all`); see `naming.resolve`."""
        return naming.resolve(names, self._shelf.look())

    def status(self) -> dict[str, str]:
        """How each name stands: here, being fetched, could not be fetched, not here."""
        here = self._shelf.look().here
        return {name: self._state(name, here) for name in self.names()}

    def _state(self, name: str, here: Sequence[str]) -> str:
        state = self._background.state(name)
        if name in here and not state.startswith("being"):
            return "here"
        if not state and self._shelf.is_busy(name):
            return "being fetched: another process is at it"
        return state or "not here"

    # -- for a command -------------------------------------------------------------------------

    def fetch(
        self,
        names: Iterable[str],
        *,
        progress: Callable[[Progress], None] | None = None,
        cancelled: threading.Event | None = None,
        again: bool = False,
    ) -> list[Fetched]:
        """Fetch, and return what came of each name when all have come to an end.

        What is here is proven by its SHA-256 and not fetched, unless `again`. `progress` is
        called by several threads. KeyboardInterrupt ends it, as `cancelled` does; what has come
        is kept.

        Raises
        ------
        NotFound
            A name is unknown.
        Unavailable
            The network is not to be used.
        """
        wanted = self.resolve(names)
        if self._settings.offline:
            raise Unavailable(
                f"Nothing is fetched offline ({PREFIX}OFFLINE).",
                next_step=f"unset {PREFIX}OFFLINE",
            )
        stop = cancelled or threading.Event()
        results: dict[str, Fetched] = {}
        slots = threading.BoundedSemaphore(AT_A_TIME)

        def work(name: str) -> None:
            course = Course(name, self._settings.patience_s, stop, self._proving)
            course.report = progress or course.report
            with slots:
                results[name] = self._shelf.outcome(course, again=again, proven=True)

        threads = [
            threading.Thread(target=work, args=(name,), name="idc-fetch", daemon=True)
            for name in wanted
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and not stop.is_set():
                stop.wait(_POLL_S)
        except KeyboardInterrupt:
            stop.set()
            raise
        finally:
            if stop.is_set():
                self._wait_for_the_engine()
        why = "it was interrupted; what has come is kept"
        return [results.get(name) or Fetched(name, "interrupted", why=why) for name in wanted]

    # -- for a question ------------------------------------------------------------------------

    def have(
        self,
        names: Sequence[str],
        *,
        report: Report | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Return when tables can be asked for; fetch them first where that is needed.

        Waits `settings.fetch_wait_s` at most.

        Raises
        ------
        NotFetched
            They are not here: questions may not fetch them, they could not be had, or they are
            still coming. `next_step` says what to do.
        """
        if self._index.has(*names):
            return
        report = report or (lambda _done, _total, _words: None)
        bundled = self._index.release.bundled
        wanted = self.resolve(name for name in names if name not in bundled)
        deadline = time.monotonic() + self._settings.fetch_wait_s
        for again in (False, True):
            # What is here and cannot be taken in may be damaged: the second round looks.
            if sought := wanted if again else self._missing(wanted):
                self._allow(sought)
                self._background.begin(sought, proven=again)
                self._background.wait(sought, deadline, report, cancelled)
            report(1.0, 1.0, f"{standing(wanted)} here and being added to the database")
            self._index.refresh(timeout_s=max(0.0, deadline - time.monotonic()))
            if self._index.has(*names):
                return
            if time.monotonic() >= deadline:
                raise NotFetched(
                    f"{standing(wanted)} here and being added to the database.",
                    next_step="ask again in a few seconds; other questions are answered meanwhile",
                    tables=wanted,
                    coming=True,
                )
        raise NotFetched(
            f"{standing(wanted)} here and could not be added to the database.",
            next_step="run `idc-mcp build`, which says why",
            tables=wanted,
        )

    def begin(self, names: Iterable[str]) -> None:
        """Begin to fetch in the background what is not here, where questions may do so."""
        if self._settings.fetches:
            self._background.begin(self._missing(self.resolve(names)))

    def close(self) -> None:
        """Ask everything under way to end; parts are kept, to be gone on with."""
        self._background.close()
        self._wait_for_the_engine()

    def _wait_for_the_engine(self) -> None:
        # A read from the network that hangs is left behind: its thread ends with the process.
        # One that Python kills inside DuckDB would take the process down.
        with self._proving:
            pass

    def _missing(self, names: Iterable[str]) -> list[str]:
        here = self._shelf.look().here
        return [name for name in names if name not in here]

    def _allow(self, sought: list[str]) -> None:
        """Raise NotFetched where questions may not fetch."""
        settings = self._settings
        if settings.fetches:
            return
        missing = self._missing(sought)
        damaged = [name for name in sought if name not in missing and self._shelf.problem(name)]
        if not missing and not damaged:
            return
        names = missing or damaged
        what = f"{standing(names)} {'not on this machine' if missing else 'damaged'}"
        run = f"run `{command(names)}`"
        if settings.hosted:
            why = "a hosted server fetches nothing for its callers"
            mend = f"its operator can {run} with its cache directory when it is built"
        elif settings.offline:
            why = f"the server is offline ({PREFIX}OFFLINE)"
            mend = f"{run} with {PREFIX}OFFLINE unset"
        else:
            why, mend = f"fetching by questions is turned off ({PREFIX}FETCH)", run
        raise NotFetched(
            f"{what}, and {why}.",
            next_step=f"{mend}{columns_told(names)}",
            tables=names,
        )
