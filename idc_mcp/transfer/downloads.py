"""Downloads: planned, started, watched, cancelled, resumed, verified."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from idc_mcp.errors import Refused, Unavailable
from idc_mcp.files import private_directory
from idc_mcp.idc.buckets import endpoint
from idc_mcp.transfer import receipts
from idc_mcp.transfer.job import (
    ACTIVE,
    CANCELLED,
    COMPLETE,
    DOWNLOAD,
    FAILED,
    VERIFY,
    VERIFY_DEEP,
    WAITING,
)  # fmt: skip
from idc_mcp.transfer.jobs import JobTable
from idc_mcp.transfer.locks import Lock, is_held
from idc_mcp.transfer.plan import AskedEngine, From, Plan, make_plan
from idc_mcp.transfer.records import write_records
from idc_mcp.transfer.status import Status

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index
    from idc_mcp.settings import Settings

_POLL_S = 0.1
_ALONE_S = 60.0
_CANCEL_S = 1.8
"""A worker ends within this; one that does not is killed."""


_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}
"""glibc would map and unmap memory for every chunk, which costs as much as fetching it."""


class Begun(NamedTuple):
    """A job, and whether it was begun now or was under way."""

    job: str
    new: bool


class Downloads:
    """The downloads of a user's machine."""

    def __init__(self, index: Index, settings: Settings) -> None:
        self._index = index
        self._settings = settings
        self.table = JobTable(settings.state_dir)

    def plan(
        self,
        cohort: Cohort,
        folder: Path,
        *,
        layout: str,
        source: From = "auto",
        engine: AskedEngine = "auto",
    ) -> Plan:
        """What a download would do; nothing is written. Raises BadArgument."""
        return make_plan(self._index, cohort, folder, layout=layout, source=source, engine=engine)

    def start(self, plan: Plan) -> Begun:
        """Begin a planned download, or join the same one where it is under way.

        Raises
        ------
        Refused
            The plan has problems, or the network is turned off.
        Unavailable
            The folder or the table of jobs cannot be written.
        """
        if plan.problems:
            raise Refused(
                f"This download cannot be done so. {'. '.join(plan.problems)}.",
                next_step="change what is named, and look at the plan with dry_run=true",
            )
        with self._alone():
            for other in self.table.jobs(limit=50):
                same = (other.handle, other.folder, other.layout) == (
                    plan.cohort.handle, str(plan.folder), plan.layout,
                )  # fmt: skip
                if same and other.state in ACTIVE:
                    return Begun(other.job, new=False)
            return Begun(self._begin(plan), new=True)

    def _begin(self, plan: Plan) -> str:
        whole = plan.here_series == len(plan.series)
        if not whole:
            self._allow_network()
        settings = self._settings
        hidden = plan.folder / receipts.HIDDEN
        if not whole:
            try:
                hidden.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Unavailable(
                    f"{plan.folder} cannot be written: {error.strerror or error}.",
                    next_step="give another directory, or change its rights",
                ) from error
        write_records(
            self._index,
            plan.cohort,
            plan.folder,
            settings=settings,
            source=plan.source,
            layout=plan.layout,
            series=plan.series,
            endpoint=settings.gcs_url if plan.source == "gcs" else settings.aws_url,
        )
        job = self.table.create(
            plan.series,
            handle=plan.cohort.handle,
            understood=plan.cohort.understood,
            release=self._index.release.name,
            folder=str(plan.folder),
            layout=plan.layout,
            source=plan.source,
            engine=plan.engine,
            options=self._options(),
            caution=" ".join(plan.unknowns),
        )
        if whole:
            self.table.complete_all(
                job,
                {
                    "reason": "all of it was here already",
                    # Of prior versions the catalogue holds neither exactly.
                    "files": plan.here_files,
                    "bytes": plan.here_bytes,
                    "files_done": plan.here_files,
                    "bytes_done": plan.here_bytes,
                    "size_only": plan.here_size_only,
                },
            )
        else:
            self._spawn(job)
        return job

    def status(self, job: str, *, most: int = 20) -> Status:
        """How a download stands. Raises NotFound."""
        found = self.table.job(job)
        reasons = self.table.reasons(found.job, most)
        # What most series are is not counted one by one.
        most_are = COMPLETE if found.files_done * 2 > found.files else WAITING
        return Status(
            found, self.table.counts(found.job, rest=most_are, total=found.series), reasons
        )

    def wait(
        self, job: str, seconds: float, seen: Callable[[Status], bool] = lambda _: True
    ) -> Status:
        """Wait for the end of a job, at most some seconds; `seen` may end it by False."""
        until = time.monotonic() + seconds
        while True:
            found = self.table.job(job)
            left = until - time.monotonic()
            if found.state not in ACTIVE or left <= 0 or not seen(Status(found, {}, [])):
                return self.status(job)
            time.sleep(min(_POLL_S, left))

    def cancel(self, job: str) -> Status:
        """End a download within two seconds; only whole files stay. Raises NotFound."""
        found = self.table.job(job)
        name = found.job
        if found.state in (COMPLETE, FAILED, CANCELLED):
            return self.status(name)
        lock = self.table.lock_path(name)
        # A worker that begins after this finds it before it does anything else.
        self.table.update(name, wanted="cancel")
        until = time.monotonic() + (_CANCEL_S if is_held(lock) or found.pid else 0)
        while (found := self.table.job(name)).state in ACTIVE and time.monotonic() < until:
            time.sleep(_POLL_S)
        if found.state not in (COMPLETE, FAILED, CANCELLED):
            if found.pid and is_held(lock):  # its holder wrote this pid: it is no other process
                with contextlib.suppress(OSError):
                    os.kill(found.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            shutil.rmtree(Path(found.folder) / receipts.HIDDEN / "parts" / name, ignore_errors=True)
            if found.verifies:
                self.table.update(name, **found.options["before"], ended=time.time())
            else:
                self.table.end_open_series(name, CANCELLED, "cancelled")
                self.table.update(name, state=CANCELLED, reason="cancelled", ended=time.time())
        return self.status(name)

    def resume(self, job: str) -> Status:
        """Go on with a download; only what is missing is fetched.

        Raises
        ------
        NotFound, Refused
            There is no such job, or its folder is gone.
        """
        self._allow_network()
        return self._again(job, DOWNLOAD)

    def verify(self, job: str, *, deep: bool = False) -> Status:
        """Look at every file again: size and time, or deeply, its MD5. Raises as `resume`."""
        return self._again(job, VERIFY_DEEP if deep else VERIFY)

    def _again(self, job: str, action: str) -> Status:
        name = self.table.job(job).job
        with self._alone():
            found = self.table.job(name)
            if found.state in ACTIVE and found.action == action:
                return self.status(name)
            if found.state in ACTIVE:
                does = "is verified now" if found.verifies else "is running; it verifies as it goes"
                raise Refused(
                    f"{name} {does}.",
                    next_step=f"wait for its end: idc_jobs(job='{name}', wait_s=60)",
                )
            if not (Path(found.folder) / receipts.HIDDEN).is_dir():
                raise Refused(
                    f"{found.folder} is not there any more, or is another folder now.",
                    next_step="if it lies on another disk, connect that; else call idc_download "
                    "again",
                )
            before = {"state": found.state, "reason": found.reason, "action": found.action}
            self.table.begin(name, action, self._options() | {"before": before})
            self._spawn(name)
        return self.status(name)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One beginning at a time: two would begin the same job, or take the same names."""
        lock = Lock(private_directory(self.table.directory) / "begin.lock")
        if not lock.wait(_ALONE_S):
            raise Unavailable(
                "Another download has been beginning for long.", next_step="call again"
            )
        try:
            yield
        finally:
            lock.free()

    def _allow_network(self) -> None:
        if self._settings.offline:
            raise Unavailable(
                "The network is turned off (IDC_MCP_OFFLINE).",
                next_step="unset it before the server starts; what is here can still be verified",
            )

    def _options(self) -> dict[str, Any]:
        """What a worker needs to know of the settings."""
        settings = self._settings
        return {
            "endpoints": {"aws": endpoint(settings, "aws"), "gcs": endpoint(settings, "gcs")},
            "connections": settings.connections,
            "stall_s": settings.stall_s,
            "patience_s": settings.patience_s,
        }

    def _spawn(self, job: str) -> None:
        """Start a worker that outlives this process, its terminal and its client."""
        private_directory(self.table.directory)
        with self.table.log_path(job).open("ab") as log:
            try:
                subprocess.Popen(
                    # -P: the directory that we were started in may hold a json.py of its own.
                    [
                        sys.executable, "-P", "-m", "idc_mcp.transfer.worker",
                        str(self._settings.state_dir), job,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.table.directory,
                    env=os.environ | _MALLOC,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                self.table.update(job, state=FAILED, reason=f"no process can be started: {error}")
                raise Unavailable(
                    f"No process can be started: {error}.", next_step="run `idc-mcp doctor`"
                ) from error
