"""A run of a job that looks at its files again, without any network."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from idc_mcp.transfer import receipts
from idc_mcp.transfer.job import COMPLETE, FAILED, VERIFY_DEEP, Job
from idc_mcp.transfer.jobs import JobTable
from idc_mcp.transfer.objects import Failure, Kind, Series
from idc_mcp.transfer.progress import Progress
from idc_mcp.transfer.series import SeriesTask


class Verification:
    """Looks at a job's files by size and time of change, or deeply, by their MD5.

    What the download came to stays as it is, but for series that are found damaged, and for
    those that were and are whole again.
    """

    def __init__(self, job: Job, table: JobTable) -> None:
        self.stop = threading.Event()
        self.progress = Progress()
        self.halted: Failure | None = None
        self._job = job
        self._table = table
        self._folder = Path(job.folder)
        self._deep = job.action == VERIFY_DEEP
        self._damaged = 0
        self._whole = {"files_done": 0, "bytes_done": 0, "size_only": 0}

    def run(self) -> None:
        """Do it, series by series."""
        for series in self._table.all_series(self._job.job):
            if self.stop.is_set():
                return
            self._look(series)

    def _look(self, series: Series) -> None:
        task = SeriesTask(self._folder, self._folder / receipts.HIDDEN / "parts", series)
        try:
            problem = self._problem(task)
        except Failure as failure:
            if failure.kind is Kind.STOPPED:
                return
            problem = failure.why
        except OSError as error:
            problem = str(error)
        finally:
            task.release()
        self._whole["files_done"] += task.files_done
        self._whole["bytes_done"] += task.bytes_done
        self._whole["size_only"] += task.size_only
        if problem:
            self._damaged += 1
            self.progress.series(
                series.number, state=FAILED, reason=problem, files_done=task.files_done
            )
        elif task.was_complete:
            self.progress.series(
                series.number, state=COMPLETE, reason="", files_done=task.files_done
            )

    def _problem(self, task: SeriesTask) -> str:
        """What is wrong with a series that should be whole; '' too for one that never was."""
        if not receipts.path_of(self._folder, task.series).exists():
            known = self._table.state_of(self._job.job, task.series.number)
            return "its receipts are gone" if known == COMPLETE else ""
        try:
            if not task.claim():
                return "a download is writing it now"
        except Failure:
            pass  # where nothing can be written nobody else writes
        return task.verify(deep=self._deep, stop=self.stop, seen=self.progress.moved)

    def halt(self, failure: Failure) -> None:
        """End it for a reason that concerns all of it."""
        self.halted = failure
        self.stop.set()

    def close(self) -> None:
        """Nothing was started."""

    def outcome(self) -> dict[str, Any]:
        """The job's columns once every series was looked at."""
        how = "every file's MD5" if self._deep else "every file's size and time of change"
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        found = f"{self._damaged:,} series damaged" if self._damaged else "all as received"
        return self._whole | {"checked": f"{when}, {how}: {found}"}
