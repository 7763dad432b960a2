"""The process that does a job: `python -P -m idc_mcp.transfer.worker STATE_DIR JOB`.

It belongs to nobody: it outlives the call, the session and the server that started it, and
holds the job's lock while it lives. It learns what to do from the table of jobs alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from idc_mcp.errors import Unavailable
from idc_mcp.transfer import receipts
from idc_mcp.transfer.engines import make_engine
from idc_mcp.transfer.jobs import (
    CANCELLED,
    COMPLETE,
    FAILED,
    INTERRUPTED,
    RUNNING,
    Job,
    JobTable,
)  # fmt: skip
from idc_mcp.transfer.locks import Lock, is_held
from idc_mcp.transfer.objects import Failure, Kind, Limits, Series
from idc_mcp.transfer.placing import disk_failure
from idc_mcp.transfer.progress import Progress
from idc_mcp.transfer.series import SeriesTask
from idc_mcp.transfer.work import Work

_TICK_S = 0.2
_SAVE_TICKS = 2
_LOCK_S = 2.0
Changes = tuple[dict[str, Any], list[tuple[Any, ...]]]
_LAST_SAVE_S = 3.0
_LAST_WAIT_S = 1.0
"""How long threads may take to end: a cancelled job is over within two seconds."""


def main(state_dir: Path, name: str) -> int:
    """Do a job; returns 0 where it came to an end of its own."""
    table = JobTable(state_dir)
    lock = Lock(table.lock_path(name))
    try:
        # One who looks whether it is held holds it for a moment.
        if not lock.wait(_LOCK_S):
            return 1  # another worker has it
    except OSError as error:
        table.update(name, state=FAILED, ended=time.time(), reason=disk_failure(error).why)
        return 1
    job = table.job(name)
    table.update(name, state=RUNNING, pid=os.getpid(), started=time.time())
    try:
        run = Verification(job, table) if job.action.startswith("verify") else Download(job, table)
        _watch(run, table, name)
    except BaseException as error:
        table.end_open_series(name, FAILED, f"an error of this program: {error!r}")
        table.update(
            name, state=FAILED, ended=time.time(),
            reason=f"an error of this program: {error!r}; its log is {table.log_path(name)}",
        )  # fmt: skip
        raise
    return 0


class Download:
    """A job's series made whole."""

    def __init__(self, job: Job, table: JobTable) -> None:
        self.job = job
        folder = Path(job.folder)
        self._parts = folder / receipts.HIDDEN / "parts" / job.job
        endpoints = job.options["endpoints"]
        limits = Limits(job.options["connections"], job.options["stall_s"])
        try:
            # What other workers left when they were killed, this job's and those of others.
            for parts in self._parts.parent.glob("j_*"):
                path = table.lock_path(parts.name)
                if parts == self._parts or (path.exists() and not is_held(path)):
                    shutil.rmtree(parts, ignore_errors=True)
            receipts.directory_of(folder).mkdir(parents=True, exist_ok=True)
            self._parts.mkdir(parents=True)
            self.problem = None
        except OSError as error:
            self.problem = disk_failure(error)
        self._engine = make_engine("s5cmd" if job.engine == "s5cmd" else "obstore", limits)
        self._work = Work(
            folder,
            self._parts,
            self._known_first(table),
            lambda series: list(series.places(job.source, endpoints)),
            self._engine,
            limits,
            job.options["patience_s"],
        )
        self.stop = self._work.stop
        self.progress: Progress = self._work.progress

    def _known_first(self, table: JobTable) -> Iterator[list[Series]]:
        """All series, first those that have receipts: so what is whole is counted at once."""
        folder = Path(self.job.folder)
        try:
            known = {entry.name for entry in os.scandir(receipts.directory_of(folder))}
        except OSError:
            known = set()
        for with_receipts in (True, False) if known else (False,):
            for batch in batches(table, self.job.job):
                yield [
                    one
                    for one in batch
                    if (receipts.path_of(folder, one).name in known) == with_receipts
                ]

    def run(self) -> None:
        """Do it."""
        if self.problem is not None:
            self._work.halt(self.problem)
            return
        self._work.run()

    def halt(self, failure: Failure) -> None:
        """End it for a reason that concerns all of it."""
        self._work.halt(failure)

    def close(self) -> None:
        """Leave only whole files."""
        self._engine.close()
        shutil.rmtree(self._parts, ignore_errors=True)
        with contextlib.suppress(OSError):  # another job's parts lie beside
            self._parts.parent.rmdir()

    @property
    def halted(self) -> Failure | None:
        """Why all of it ended early, where it did."""
        return self._work.halted

    def checked(self) -> str:
        """Nothing beyond what the series say."""
        return ""


class Verification:
    """A job's files looked at again: by size and time, or deeply, by their MD5."""

    def __init__(self, job: Job, table: JobTable) -> None:
        self.job = job
        self.stop = threading.Event()
        self.progress = Progress()
        self.halted: Failure | None = None
        self._table = table
        self._deep = job.action == "verify deep"
        self._damaged = 0

    def run(self) -> None:
        """Do it, series by series."""
        folder = Path(self.job.folder)
        for batch in batches(self._table, self.job.job):
            for series in batch:
                if self.stop.is_set():
                    return
                self._look(folder, series)

    def _look(self, folder: Path, series: Series) -> None:
        task = SeriesTask(folder, folder / receipts.HIDDEN / "parts" / self.job.job, series)
        if not receipts.path_of(folder, series).exists():
            self._damaged += 1
            self.progress.series(series.number, FAILED, "nothing of it is here", 0)
            return
        try:
            try:
                claimed = task.claim()
            except Failure:
                claimed = True  # where nothing can be written nobody else writes
            if not claimed:
                self._damaged += 1
                self.progress.series(series.number, FAILED, "a download is writing it now", 0)
                return
            problem = task.verify(deep=self._deep, stop=self.stop, seen=self.progress.moved)
        except (Failure, OSError) as error:
            if isinstance(error, Failure) and error.kind is Kind.STOPPED:
                return
            problem = str(error)
        finally:
            task.release()
        self._damaged += bool(problem)
        self.progress.whole(task.files_done, task.bytes_done, task.size_only)
        self.progress.series(
            series.number, FAILED if problem else COMPLETE, problem, task.files_done
        )

    def halt(self, failure: Failure) -> None:
        """End it for a reason that concerns all of it."""
        self.halted = failure
        self.stop.set()

    def close(self) -> None:
        """Nothing was started."""

    def checked(self) -> str:
        """What was looked at, when, and what came of it."""
        how = "every file's MD5" if self._deep else "every file's size and time of change"
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        found = f"{self._damaged:,} series damaged" if self._damaged else "all as received"
        return f"{when}, {how}: {found}"


def batches(table: JobTable, job: str) -> Iterator[list[Series]]:
    """The series of a job, some at a time."""
    after = -1
    while batch := table.series(job, after):
        yield batch
        after = batch[-1].number


def _watch(run: Download | Verification, table: JobTable, name: str) -> None:
    """Run it in a thread; write down how far it is, and end it when it is asked to end."""
    asked_to_stop = ""

    def signalled(*_: object) -> None:
        nonlocal asked_to_stop
        asked_to_stop = INTERRUPTED
        run.stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signalled)
    thread = threading.Thread(target=run.run, daemon=True)
    thread.start()
    ticks = 0
    kept: list[Changes] = []
    while thread.is_alive() and not run.stop.is_set():
        thread.join(_TICK_S)
        ticks += 1
        try:
            if table.wanted(name) == "cancel":
                asked_to_stop = asked_to_stop or CANCELLED
                run.stop.set()
            if ticks % _SAVE_TICKS == 0:
                _save(run, table, name, kept)
        except Unavailable as error:
            run.halt(Failure(Kind.DISK, error.what))
    thread.join(_LAST_WAIT_S)
    run.close()
    until = time.monotonic() + _LAST_SAVE_S
    while True:
        try:
            _save(run, table, name, kept)
            _conclude(run, table, name, asked_to_stop)
            return
        except Unavailable as error:  # the parts that were removed may have made room
            if time.monotonic() > until:
                print(error.what, file=sys.stderr)
                return  # a job that says it is running and has no process is interrupted
            time.sleep(_TICK_S)


def _save(run: Download | Verification, table: JobTable, name: str, kept: list[Changes]) -> None:
    """Write down how far it is; what a full disk does not take is kept for the next time."""
    if changed := run.progress.take():
        kept.append(changed)
    if kept:
        # Of the job the last figures count, of each series its last row.
        table.save(name, kept[-1][0], [row for _, series in kept for row in series])
        kept.clear()


def _conclude(run: Download | Verification, table: JobTable, name: str, asked_to_stop: str) -> None:
    """Give the job and each of its series an end."""
    ended = time.time()
    checked = run.checked()
    unfinished = bool(table.counts(name).keys() - {COMPLETE})  # it may have ended meanwhile
    if run.halted is not None:
        table.end_open_series(name, FAILED, "the job ended before: " + run.halted.why)
        table.update(name, state=FAILED, ended=ended, reason=run.halted.why)
    elif asked_to_stop == INTERRUPTED and unfinished:
        table.update(name, state=INTERRUPTED, ended=ended, reason="its process was told to end")
    elif asked_to_stop and unfinished:
        table.end_open_series(name, CANCELLED, "cancelled")
        table.update(name, state=CANCELLED, ended=ended, reason="cancelled")
    else:
        counts = table.counts(name)
        bad = {state: count for state, count in counts.items() if state != COMPLETE}
        reason = ", ".join(f"{count:,} series {state}" for state, count in bad.items())
        table.update(
            name, state=FAILED if bad else COMPLETE, ended=ended, reason=reason,
            **({"checked": checked} if checked else {}),
        )  # fmt: skip


def log_start(name: str) -> None:
    """Say in the log which job this is."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {name} pid {os.getpid()}", flush=True)


if __name__ == "__main__":
    log_start(sys.argv[2])
    status = main(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.flush()
    # Threads that wait for a silent store end with the process, not the process with them.
    os._exit(status)
