"""The process that does a job: `python -P -m idc_mcp.transfer.worker STATE_DIR JOB`.

It belongs to nobody: it outlives the call, the session and the server that started it, and
holds the job's lock while it lives. It learns what to do from the table of jobs alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from idc_mcp.errors import IdcError
from idc_mcp.transfer.download import Download
from idc_mcp.transfer.job import CANCELLED, COMPLETE, FAILED, INTERRUPTED, RUNNING, WAITING, Job
from idc_mcp.transfer.jobs import JobTable
from idc_mcp.transfer.locks import Lock
from idc_mcp.transfer.objects import Failure, Kind
from idc_mcp.transfer.placing import disk_failure
from idc_mcp.transfer.progress import Changes
from idc_mcp.transfer.verification import Verification

_TICK_S = 0.2
_SAVE_TICKS = 2
_LOCK_S = 2.0
_LAST_SAVE_S = 3.0
_LAST_WAIT_S = 1.0
"""How long threads may take to end: a cancelled job is over within two seconds."""

_TABLE_AWAY_S = 60.0
"""How long the table may be busy or out of reach before the job ends."""


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
        Run(job, table).to_its_end()
    except BaseException as error:
        why = f"an error of this program: {error!r}"
        table.end_open_series(name, FAILED, why)
        table.update(
            name, state=FAILED, ended=time.time(), reason=f"{why}; see {table.log_path(name)}"
        )
        raise
    return 0


class Run:
    """A job being done: watched, written down, and ended when that is asked for."""

    def __init__(self, job: Job, table: JobTable) -> None:
        self._job = job
        self._table = table
        self._does = (Verification if job.verifies else Download)(job, table)
        self._asked = ""
        """What ended it from outside: CANCELLED or INTERRUPTED."""
        self._unwritten: Changes | None = None

    def to_its_end(self) -> None:
        """Do it in a thread, and write down how far it is."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        thread = threading.Thread(target=self._does.run, daemon=True)
        thread.start()
        try:
            self._watch(thread)
            thread.join(_LAST_WAIT_S)
        finally:
            self._does.close()
        until = time.monotonic() + _LAST_SAVE_S
        while not self._wrote_the_end():
            # What was removed may have made room. A job that says that it is running and
            # has no process is interrupted.
            if time.monotonic() > until:
                return
            time.sleep(_TICK_S)

    def _signalled(self, *_: object) -> None:
        self._asked = INTERRUPTED
        self._does.stop.set()

    def _watch(self, thread: threading.Thread) -> None:
        ticks = 0
        reached = time.monotonic()
        while thread.is_alive() and not self._does.stop.is_set():
            thread.join(_TICK_S)
            ticks += 1
            try:
                if self._table.wanted(self._job.job) == "cancel":
                    self._asked = self._asked or CANCELLED
                    self._does.stop.set()
                if ticks % _SAVE_TICKS == 0:
                    self._save()
                reached = time.monotonic()
            except IdcError as error:
                if time.monotonic() - reached > _TABLE_AWAY_S:
                    self._does.halt(Failure(Kind.DISK, error.what))

    def _save(self) -> None:
        """Write down how far it is; what the table does not take is kept for the next time."""
        changes = self._does.progress.take()
        if changes is not None:
            self._unwritten = changes.after(self._unwritten)
        if self._unwritten is not None:
            self._table.save(self._job.job, self._unwritten)
            self._unwritten = None

    def _wrote_the_end(self) -> bool:
        try:
            self._save()
            self._conclude()
        except IdcError as error:
            print(error.what, file=sys.stderr)
            return False
        return True

    def _conclude(self) -> None:
        """Give the job and each of its series an end."""
        name, table = self._job.job, self._table
        ended = time.time()
        halted = self._does.halted
        if self._job.verifies and (halted or self._asked):
            # Half a verification says nothing: the job is what it was.
            table.update(name, **self._job.options["before"], ended=ended, bytes_moving=0)
            return
        counts = table.counts(name)
        bad = {state: count for state, count in counts.items() if state != COMPLETE}
        if halted is not None:
            table.end_open_series(name, FAILED, "the job ended before: " + halted.why)
            table.update(name, state=FAILED, ended=ended, reason=halted.why, bytes_moving=0)
        elif self._asked and bad:  # it may have ended meanwhile
            if self._asked == CANCELLED:
                table.end_open_series(name, CANCELLED, "cancelled")
            reason = "cancelled" if self._asked == CANCELLED else "its process was told to end"
            table.update(name, state=self._asked, ended=ended, reason=reason, bytes_moving=0)
        else:
            outcome = self._does.outcome() if isinstance(self._does, Verification) else {}
            reason = ", ".join(f"{count:,} series {state}" for state, count in bad.items())
            state = FAILED if bad else COMPLETE
            if self._job.verifies and bad.keys() & {CANCELLED, WAITING, RUNNING}:
                state = self._job.options["before"]["state"]
            table.update(name, state=state, ended=ended, reason=reason, bytes_moving=0, **outcome)


if __name__ == "__main__":
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sys.argv[2]} pid {os.getpid()}", flush=True)
    status = main(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.flush()
    # Threads that wait for a silent store end with the process, not the process with them.
    os._exit(status)
