"""The work of a job: series are listed and proven ahead, their files fetched side by side.

A few threads take series in their order: each is claimed, looked up in its receipts, listed,
and checked against the catalogue before a byte moves. What is missing of it goes into one
queue, from which many threads fetch. The last file of a series makes it complete.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from idc_mcp.quantities import bytes_text
from idc_mcp.transfer.engines import Engine
from idc_mcp.transfer.job import COMPLETE, FAILED, REFUSED, RUNNING, Job
from idc_mcp.transfer.objects import Failure, Kind, Limits, Listed, Moved, Place, Series
from idc_mcp.transfer.patience import Asking, Health
from idc_mcp.transfer.progress import Moving, Progress
from idc_mcp.transfer.series import Missing, SeriesTask
from idc_mcp.transfer.stores import check_listing, list_series

_LISTERS = 24
_AHEAD = 512
"""Files that may wait in the queue: listing goes no further ahead."""
_SPACE_S = 0.5
_CLAIMED_PAUSE_S = 0.5

_REFUSALS = {Kind.FOREIGN, Kind.DENIED, Kind.UNWRITABLE}


class Work:
    """Makes the series of a job whole; `run` returns when each has come to an end."""

    def __init__(
        self, job: Job, folder: Path, parts: Path, series: Iterator[Series], limits: Limits
    ) -> None:
        self.stop = threading.Event()
        self.halted: Failure | None = None
        self.progress = Progress(
            files=job.files, bytes=job.bytes, files_done=0, bytes_done=0, size_only=0, replaced=0,
            requests=0,
        )  # fmt: skip
        self._source, self._endpoints = job.source, job.options["endpoints"]
        self._folder = folder
        self._parts = parts
        self._series = series
        self._claimed_elsewhere: deque[Series] = deque()
        self._limits = limits
        self._health = Health(job.options["patience_s"])
        self._lock = threading.Lock()
        self._files: queue.Queue[Missing | None] = queue.Queue(_AHEAD)
        self._space = Space(folder)
        self._open: set[SeriesTask] = set()

    def run(self, engine: Engine) -> None:
        """Do all of it, or as much as can be done before `stop` is set."""
        listers = [
            threading.Thread(target=self._guarded, args=(self._list_all,), daemon=True)
            for _ in range(_LISTERS)
        ]
        fetchers = [
            threading.Thread(target=self._guarded, args=(self._fetch_all, engine), daemon=True)
            for _ in range(self._limits.connections)
        ]
        for thread in (*listers, *fetchers):
            thread.start()
        for thread in listers:
            thread.join()
        for _ in fetchers:
            self._put(None)
        for thread in fetchers:
            thread.join()
        for task in tuple(self._open):
            task.release()

    def halt(self, failure: Failure) -> None:
        """End the job for a reason that concerns all of it."""
        with self._lock:
            if self.halted is None and not self.stop.is_set():
                self.halted = failure
        self.stop.set()

    def _guarded(self, loop: Callable[..., None], *arguments: Engine) -> None:
        try:
            loop(*arguments)
        except BaseException as error:
            self.halt(Failure(Kind.STOPPED, f"an error of this program: {error!r}"))
            raise

    # -- series ------------------------------------------------------------------------------

    def _list_all(self) -> None:
        while not self.stop.is_set():
            series = self._next_series()
            if series is None:
                return
            self._begin(SeriesTask(self._folder, self._parts, series))

    def _next_series(self) -> Series | None:
        with self._lock:
            series = next(self._series, None)
            waits = series is None and bool(self._claimed_elsewhere)
            if waits:
                series = self._claimed_elsewhere.popleft()
        if waits:
            self.stop.wait(_CLAIMED_PAUSE_S)
        return series

    def _begin(self, task: SeriesTask) -> None:
        number = task.series.number
        try:
            if not task.claim():
                with self._lock:
                    self._claimed_elsewhere.append(task.series)
                self.progress.series(number, reason="another download is fetching it now")
                return
        except Failure as failure:
            self._end(task, failure)
            return
        with self._lock:
            self._open.add(task)
        try:
            if task.is_whole():
                self._know(task.series, task.files_done, task.bytes_done)
                self._count(task)
                self._end(task, None)
                return
            self.progress.series(number, state=RUNNING, reason="", files_done=0)
            listed = self._listing(task.series)
            self._know(task.series, len(listed), sum(item.size for item in listed))
            missing = task.missing(listed, self.stop)
        except Failure as failure:
            task.count_again()
            self._count(task)
            self._end(task, failure)
            return
        self._count(task)
        if not missing:
            self._finish(task)
        for one in missing:
            self._put(one)

    def _know(self, series: Series, files: int, size: int) -> None:
        """Correct what the catalogue does not hold exactly, once it is known (prior versions)."""
        if series.files is None:
            self.progress.add(files=files, bytes=size - series.bytes)
            self.progress.series(series.number, files=files, bytes=size)

    def _count(self, task: SeriesTask, sign: int = 1) -> None:
        self.progress.add(
            files_done=sign * task.files_done,
            bytes_done=sign * task.bytes_done,
            size_only=sign * task.size_only,
        )

    def _listing(self, series: Series) -> list[Listed]:
        asking = Asking(self._health, self._places(series), self.stop)
        while True:
            try:
                self.progress.add(requests=1)
                found = list_series(asking.place, series.crdc_series_uuid, self._limits.stall_s)
                check_listing(series, found)
            except Failure as failure:
                self._failed(asking, failure)
            else:
                asking.answered()
                return found

    def _places(self, series: Series) -> list[Place]:
        return series.places(self._source, self._endpoints)

    def _finish(self, task: SeriesTask) -> None:
        """Make a series last whose files have all come; what was whole before needs none of it."""
        failure = None
        try:
            task.finish()
        except Failure as late:
            failure = late
            self._count(task, -1)
            task.count_again()
            self._count(task)
        self._end(task, failure)

    def _end(self, task: SeriesTask, failure: Failure | None) -> None:
        """Write down what a series came to."""
        task.release()
        with self._lock:
            self._open.discard(task)
        if failure is not None and failure.kind is Kind.DISK:
            self.halt(failure)
        state, reason = COMPLETE, ""
        if failure is not None:
            if failure.kind is Kind.STOPPED:
                return  # who ended the job says what became of it
            listing = failure.kind in (Kind.CORRUPT, Kind.MISSING) and not task.files_done
            state = REFUSED if failure.kind in _REFUSALS or listing else FAILED
            reason = failure.why
        self.progress.series(
            task.series.number, state=state, reason=reason, files_done=task.files_done
        )

    # -- files -------------------------------------------------------------------------------

    def _put(self, one: Missing | None) -> None:
        while not self.stop.is_set():
            try:
                self._files.put(one, timeout=0.2)
                return
            except queue.Full:
                continue

    def _fetch_all(self, engine: Engine) -> None:
        while not self.stop.is_set():
            try:
                missing = self._files.get(timeout=0.2)
            except queue.Empty:
                continue
            if missing is None:
                return
            failure = self._fetch(missing, engine)
            task = missing.task
            if failure is None:
                # Said before the file counts as settled: after that another thread may end it.
                self.progress.series(task.series.number, files_done=task.files_done)
            if not task.ended(failure):
                continue
            if task.failure is None:
                self._finish(task)
            else:
                self._end(task, task.failure)

    def _fetch(self, missing: Missing, engine: Engine) -> Failure | None:
        """Fetch one file until it is whole; returns why it is not, where it is not."""
        wanted = missing.wanted
        moving = Moving(self.progress)
        try:
            asking = Asking(self._health, self._places(missing.task.series), self.stop)
            while True:
                try:
                    self._space.check(wanted.size)
                    self.progress.add(requests=1)
                    md5 = engine.fetch(
                        asking.place, wanted, self.stop, self._moved(moving, asking.place)
                    )
                    if self.stop.is_set():
                        raise Failure(Kind.STOPPED, "the job is being ended")
                    receipt, replaced = missing.task.settle(missing, md5)
                except (Failure, OSError) as error:
                    moving.ended()
                    wanted.part.unlink(missing_ok=True)
                    if isinstance(error, OSError):
                        raise missing.task.failure_of(error, wanted.part) from error
                    self._failed(asking, error)
                else:
                    asking.answered()
                    moving.ended()
                    self.progress.add(
                        files_done=1,
                        bytes_done=receipt.size,
                        size_only=int(receipt.checked == "size"),
                        replaced=int(replaced),
                    )
                    return None
        except Failure as failure:
            if failure.kind is Kind.DISK:
                self.halt(failure)
            return failure

    def _moved(self, moving: Moving, place: Place) -> Moved:
        """Counts the bytes of a file; one that comes for long shows that its place answers."""
        for_long = time.monotonic() + self._health.patience_s / 4

        def moved(count: int) -> None:
            moving.moved(count)
            if time.monotonic() > for_long:
                self._health.moved(place)

        return moved

    def _failed(self, asking: Asking, failure: Failure) -> None:
        try:
            asking.failed(failure)
        except Failure as last:
            if last.kind is Kind.UNANSWERED and asking.nobody_answers():
                self.halt(last)
            raise


class Space:
    """The free space of a folder's disk, asked for twice a second at most."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._free = 0
        self._seen = 0.0

    def check(self, size: int) -> None:
        """Raise a Failure where a file of `size` bytes does not fit any more."""
        with self._lock:
            now = time.monotonic()
            if now - self._seen > _SPACE_S:
                self._free = shutil.disk_usage(self._folder).free
                self._seen = now
            if self._free < size:
                raise Failure(
                    Kind.DISK,
                    f"the disk of {self._folder} is full: {bytes_text(self._free)} are free, the "
                    f"next file has {bytes_text(size)}",
                )
