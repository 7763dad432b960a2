"""A run of a job that makes its series whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from idc_mcp.transfer import receipts
from idc_mcp.transfer.engines import Engine, make_engine
from idc_mcp.transfer.job import Job
from idc_mcp.transfer.jobs import JobTable
from idc_mcp.transfer.locks import Lock
from idc_mcp.transfer.objects import Failure, Kind, Limits, Series
from idc_mcp.transfer.placing import disk_failure
from idc_mcp.transfer.work import Work


class Download:
    """Makes the series of a job whole."""

    def __init__(self, job: Job, table: JobTable) -> None:
        self.job = job
        self._table = table
        self._folder = Path(job.folder)
        self._parts = self._folder / receipts.HIDDEN / "parts" / job.job
        self._parts_lock = Lock(self._parts / "lock")
        self._engine: Engine | None = None
        self._limits = Limits(job.options["connections"], job.options["stall_s"])
        self._work = Work(job, self._folder, self._parts, self._known_first(), self._limits)
        self.stop = self._work.stop
        self.progress = self._work.progress

    def run(self) -> None:
        """Do it."""
        try:
            self._prepare()
        except Failure as failure:
            self._work.halt(failure)
            return
        except OSError as error:
            self._work.halt(disk_failure(error))
            return
        self._engine = make_engine(
            "s5cmd" if self.job.engine == "s5cmd" else "obstore", self._limits
        )
        self._work.run(self._engine)

    def halt(self, failure: Failure) -> None:
        """End it for a reason that concerns all of it."""
        self._work.halt(failure)

    def close(self) -> None:
        """Leave only whole files."""
        if self._engine is not None:
            self._engine.close()
        self._parts_lock.free()
        shutil.rmtree(self._parts, ignore_errors=True)
        with contextlib.suppress(OSError):  # another job's parts lie beside
            self._parts.parent.rmdir()

    @property
    def halted(self) -> Failure | None:
        """Why all of it ended early, where it did."""
        return self._work.halted

    def _prepare(self) -> None:
        hidden = self._folder / receipts.HIDDEN
        if hidden.is_symlink():
            raise Failure(Kind.DISK, f"{hidden} is a link: nothing is written through it")
        # What other workers left when they were killed, this job's and those of others.
        for parts in self._parts.parent.glob("j_*"):
            with contextlib.suppress(OSError):
                lock = Lock(parts / "lock")
                if lock.take():
                    lock.free()
                    shutil.rmtree(parts, ignore_errors=True)
        receipts.directory_of(self._folder).mkdir(parents=True, exist_ok=True)
        self._parts.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # a disk without locks is told of by the series
            self._parts_lock.take()

    def _known_first(self) -> Iterator[Series]:
        """All series, first those that have receipts: so what is whole is counted at once."""
        try:
            known = {entry.name for entry in os.scandir(receipts.directory_of(self._folder))}
        except OSError:
            known = set()
        for with_receipts in (True, False) if known else (False,):
            for one in self._table.all_series(self.job.job):
                if (receipts.path_of(self._folder, one).name in known) == with_receipts:
                    yield one
