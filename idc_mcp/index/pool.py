"""Processes for callers' SQL, seen from the server: a statement in, its rows or an error out.

A statement has a process to itself. At its time limit that process is killed, so nothing goes
on computing; what it does to its process touches nobody else. Processes start when they are
needed and end when idle.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idc_mcp.errors import IdcError, SqlError, Unavailable
from idc_mcp.files import private_directory, whole_file
from idc_mcp.index.guard import check_text
from idc_mcp.index.process import SqlProcess, error_of
from idc_mcp.index.store import Index
from idc_mcp.index.worker import SMALLER, out_of_memory
from idc_mcp.settings import Settings

BUSY_WAIT_S = 5.0
"""How long a statement waits for a process when all of them are at work."""

SLOW_AFTER_S = 0.3
"""A statement that takes longer gives way to the others."""

SETTLE_S = 0.25
"""How long a process may take to end what is left of a statement that gave its rows."""

_CANCEL_POLL_S = 0.05


@dataclass(frozen=True)
class SqlResult:
    """Rows of a statement; their values are JSON's, in the forms that `values.py` states."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    complete: bool
    clipped: bool = False
    saved_rows: int | None = None
    elapsed_ms: float = 0.0


class _Damaged(Exception):
    def __init__(self, database: Path) -> None:
        self.database = database


class SqlPool:
    """At most `settings.sql_workers` processes; any number of threads may call `run`."""

    def __init__(self, index: Index, settings: Settings) -> None:
        self._index = index
        self._settings = settings
        self._changed = threading.Condition()
        self._idle: list[SqlProcess] = []
        self._busy: set[SqlProcess] = set()
        self._starting = 0
        self._closed = False
        self._reaper: threading.Thread | None = None

    def run(
        self,
        sql: str,
        *,
        max_rows: int,
        max_chars: int = 20_000,
        timeout_s: float | None = None,
        cohorts: Mapping[str, str] | None = None,
        save_to: Path | None = None,
        save_format: str = "",
        cancelled: threading.Event | None = None,
    ) -> SqlResult:
        """Run one statement of a caller's, and wait for its rows.

        Parameters
        ----------
        max_rows, max_chars
            Most rows, and most characters of their JSON, that come back.
        timeout_s
            Seconds until the statement is killed; never more than the setting allows.
        cohorts
            Handle to a SELECT of ours: the handles that the statement may name as tables.
        save_to, save_format
            A path judged safe by the caller, to hold all rows as csv, parquet or json. The rows
            that come back are then a preview; they come from a run of their own.
        cancelled
            Once set, the statement is killed.

        Raises
        ------
        BadArgument, Refused, NotFound, Unavailable, SqlError
        """
        check_text(sql)
        started = time.monotonic()
        limit = self._settings.sql_timeout_s
        limit = limit if timeout_s is None else min(timeout_s, limit)
        lowered = sql.lower()
        request = {
            "sql": sql,
            "max_rows": max_rows,
            "max_chars": max_chars,
            "cohorts": {name: text for name, text in (cohorts or {}).items() if name in lowered},
            "save_format": save_format if save_to is not None else "",
        }
        for last_try in (False, True):
            try:
                process = self._take()
                result = self._ask(process, request, limit, cancelled, save_to)
            except _Damaged as damage:
                self._index.report_damage(damage.database)
                if last_try:
                    raise Unavailable(
                        f"The database {damage.database} is damaged; it is being rebuilt.",
                        next_step="try again in a minute",
                    ) from None
                continue
            return dataclasses.replace(
                result, elapsed_ms=round((time.monotonic() - started) * 1e3, 1)
            )
        raise AssertionError("the second try returns or raises")  # pragma: no cover

    def warm(self) -> None:
        """Start a process in the background if none is alive."""
        with self._changed:
            if self._closed or self._idle or self._busy or self._starting:
                return
            self._starting += 1
        threading.Thread(target=self._warm, name="sql-warm", daemon=True).start()

    def close(self) -> None:
        """End every process; statements in them fail."""
        with self._changed:
            self._closed = True
            processes = [*self._idle, *self._busy]
            self._idle.clear()
            self._changed.notify_all()
        for process in processes:
            process.kill()

    @property
    def busy(self) -> int:
        """How many statements run now."""
        return len(self._busy)

    # -- one statement ---------------------------------------------------------------------

    def _ask(
        self,
        process: SqlProcess,
        request: dict[str, Any],
        limit: float,
        cancelled: threading.Event | None,
        save_to: Path | None,
    ) -> SqlResult:
        keep = False
        try:
            process.send(request)
            answer = self._wait(process, limit, cancelled)
            if answer is None:
                raise self._died(process)
            keep = not (answer.get("spent") or answer.get("damaged") or process.slowed)
            keep = keep and process.settled(SETTLE_S)
            if "error" in answer:
                if answer["damaged"] and process.database is not None:
                    raise _Damaged(process.database)
                raise error_of(answer)
            if save_to is not None:
                _move(Path(answer["saved"]), save_to)
            return SqlResult(
                columns=answer["columns"],
                types=answer["types"],
                rows=answer["rows"],
                complete=answer["complete"],
                clipped=answer["clipped"],
                saved_rows=answer["saved_rows"],
            )
        finally:
            self._give_back(process, keep=keep)

    def _wait(
        self, process: SqlProcess, limit: float, cancelled: threading.Event | None
    ) -> dict[str, Any] | None:
        began = time.monotonic()
        while True:
            passed = time.monotonic() - began
            if passed >= limit:
                raise SqlError(
                    f"The statement was stopped at its limit of {limit:g} s.",
                    next_step=f"{SMALLER}; a join needs a condition on both tables",
                )
            if cancelled is not None and cancelled.is_set():
                raise SqlError("The statement was cancelled.")
            wait = limit - passed
            if not process.slowed:
                wait = min(wait, max(SLOW_AFTER_S - passed, 0.001))
            if cancelled is not None:
                wait = min(wait, _CANCEL_POLL_S)
            try:
                return process.receive(wait)
            except queue.Empty:
                if not process.slowed and time.monotonic() - began >= SLOW_AFTER_S:
                    process.slow_down()

    def _died(self, process: SqlProcess) -> IdcError:
        if self._closed:
            return Unavailable("The server is closing.")
        how = process.how_it_ended()
        return SqlError(
            f"The statement ended its process ({how}): most likely it needs more than the "
            f"{self._settings.sql_memory_mb} MB of memory that it may use, or is nested too "
            "deeply for the engine. Nothing else was touched.",
            next_step=out_of_memory().next_step,
        )

    # -- processes -------------------------------------------------------------------------

    def _take(self) -> SqlProcess:
        deadline = time.monotonic() + BUSY_WAIT_S
        dropped: list[SqlProcess] = []
        process: SqlProcess | None = None
        with self._changed:
            while True:
                if self._closed:
                    raise Unavailable("The server is closing.")
                dropped += [one for one in self._idle if not self._fit(one)]
                self._idle = [one for one in self._idle if one not in dropped]
                if self._idle:
                    process = self._idle.pop()
                    self._busy.add(process)
                    break
                if len(self._busy) + self._starting < self._settings.sql_workers:
                    self._starting += 1
                    break
                if not self._changed.wait(deadline - time.monotonic()):
                    raise Unavailable(
                        f"All {self._settings.sql_workers} SQL processes are busy.",
                        next_step="try again in some seconds, or use the tools that need no SQL",
                    )
        for one in dropped:
            one.kill()
        return process or self._start(busy=True)

    def _fit(self, process: SqlProcess) -> bool:
        same = process.release is self._index.release and process.database == self._index.database
        return process.alive and same

    def _start(self, *, busy: bool) -> SqlProcess:
        """Start a process in the place that `_starting` holds for it."""
        process = None
        try:
            process = SqlProcess(*self._index.place(), self._settings)
            answer = process.opened()
            if answer is None or "error" in answer:
                if answer and answer["damaged"] and process.database is not None:
                    raise _Damaged(process.database)
                why = answer["what"] if answer else process.how_it_ended()
                raise Unavailable(
                    f"The process for SQL could not start: {why}.", next_step="run `idc-mcp doctor`"
                )
        except BaseException:
            with self._changed:
                self._starting -= 1
                self._changed.notify()
            if process is not None:
                process.kill()
            raise
        with self._changed:
            self._starting -= 1
            if self._closed:
                process.kill()
                raise Unavailable("The server is closing.")
            if busy:
                self._busy.add(process)
            else:
                process.idle_since = time.monotonic()
                self._idle.append(process)
            self._changed.notify()
            if self._reaper is None:
                self._reaper = threading.Thread(target=self._reap, name="sql-reap", daemon=True)
                self._reaper.start()
        return process

    def _warm(self) -> None:
        # What hinders it is said to the first caller who needs it; at a close the engine may
        # interrupt it in its own words.
        with contextlib.suppress(Exception):
            self._start(busy=False)

    def _give_back(self, process: SqlProcess, *, keep: bool) -> None:
        with self._changed:
            self._busy.discard(process)
            keep = keep and not self._closed and process.alive
            if keep:
                process.idle_since = time.monotonic()
                self._idle.append(process)
        if not keep:
            process.kill()
            self.warm()
        with self._changed:
            self._changed.notify()

    def _reap(self) -> None:
        """End processes that were idle for long; ends itself when there are none."""
        limit = self._settings.sql_idle_s
        while True:
            with self._changed:
                if not (self._idle or self._busy or self._starting):
                    self._reaper = None
                    return
                now = time.monotonic()
                late = [one for one in self._idle if now - one.idle_since >= limit]
                self._idle = [one for one in self._idle if one not in late]
                if not late:
                    due = min((one.idle_since + limit for one in self._idle), default=now + limit)
                    self._changed.wait(max(due - now, 0.01))
            for one in late:
                one.kill()


def _move(saved: Path, target: Path) -> None:
    private_directory(target.parent)
    try:
        with whole_file(target) as part:
            try:
                os.replace(saved, part)  # noqa: PTH105  shortest where both are on one device
            except OSError:
                shutil.copyfile(saved, part)
    except OSError as error:
        raise Unavailable(
            f"{target} could not be written: {error.strerror or error}.",
            next_step="free some space, or save to another directory",
        ) from error
    finally:
        saved.unlink(missing_ok=True)
