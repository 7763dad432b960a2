"""What the tests move: real DICOM files as the archive has them, and a laboratory that gets them.

The files of pydicom's wheel lie under the layout of the buckets on Amazon's and on Google's
cloud, whose names differ. What came is judged here by the archive's own files, by nothing that
the program says.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pydicom

from idc_mcp.cli.mirror import Mirror
from idc_mcp.cli.standins import stand_in
from idc_mcp.settings import Settings
from idc_mcp.transfer.downloads import Downloads
from idc_mcp.transfer.job import STARTING
from idc_mcp.transfer.locks import is_held
from idc_mcp.transfer.objects import Series
from idc_mcp.transfer.status import Status

BUCKETS = {
    "idc-open-data": "idc-open-data",
    "idc-open-data-two": "idc-open-idc1",
    "idc-open-data-cr": "idc-open-cr",
}
HANDLE = "c_0000000000"
FAR_S = 110.0
"""As long as a test waits for what should come at once."""


def identifier(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


@dataclass(frozen=True)
class Source:
    """A series as the archive has it: its files by name, and where they go."""

    series: Series
    files: dict[str, Path]

    @property
    def paths(self) -> dict[str, Path]:
        """The archive's file for each path of a download."""
        return {f"{self.series.directory}/{name}": path for name, path in self.files.items()}

    @property
    def uuid(self) -> str:
        return self.series.crdc_series_uuid

    @property
    def last(self) -> str:
        """The name of one file."""
        return max(self.files)


def dicom_files() -> list[Path]:
    """The Part-10 files of pydicom's wheel."""
    folder = Path(pydicom.__file__).parent / "data"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if path.read_bytes()[128:132] == b"DICM"]


def make_source(
    roots: dict[str, Path], name: str, contents: Iterable[Path | int], bucket: str = "idc-open-data"
) -> Source:
    """Lay a series into both clouds; a number is a small stand-in of so many bytes."""
    crdc_series_uuid = identifier(name)
    uid = f"2.25.{uuid.UUID(crdc_series_uuid).int}"
    folder = roots["aws"] / bucket / crdc_series_uuid
    twin = roots["gcs"] / BUCKETS[bucket] / crdc_series_uuid
    folder.mkdir(parents=True)
    twin.mkdir(parents=True)
    files = {}
    for number, content in enumerate(contents):
        path = folder / f"{identifier(f'{name} {number}')}.dcm"
        if isinstance(content, Path):
            path.write_bytes(content.read_bytes())
        else:
            stand_in(
                path, content, sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
                sop_instance_uid=f"{uid}.{number}", series_instance_uid=uid, modality="OT",
                patient_id=name,
            )  # fmt: skip
        os.link(path, twin / path.name)
        files[path.name] = path
    size = sum(path.stat().st_size for path in files.values())
    series = Series(
        0, crdc_series_uuid, uid, f"patient/{name}", len(files), size, bucket, BUCKETS[bucket]
    )
    return Source(series, files)


@lru_cache(maxsize=20_000)
def digest(path: Path) -> str:
    """The SHA-256 of a file of the archive, which nobody changes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def gets(mirror: Mirror) -> Counter[str]:
    """How often each file was asked for."""
    return Counter(
        path.partition("?")[0].rpartition("/")[2]
        for method, path in mirror.requests
        if method == "GET" and path.partition("?")[0].endswith(".dcm")
    )


class Lab:
    """A laboratory: a folder, a state directory, and downloads from the mirrors it is given.

    `sources` are what is downloaded where nothing else is said.
    """

    def __init__(
        self, home: Path, sources: list[Source], aws: str, gcs: str, *, engine: str, **changes: Any
    ) -> None:
        self.home, self.sources, self.engine = home, sources, engine
        self.folder = home / "data"
        defaults = {
            "state_dir": home / "state", "output_dir": home, "cache_dir": home / "cache",
            "connections": 8, "stall_s": 0.7, "patience_s": 1.5, "aws_url": aws, "gcs_url": gcs,
        }  # fmt: skip
        self.settings = Settings(**(defaults | changes))
        self.downloads = Downloads(None, self.settings)  # type: ignore[arg-type]
        self.table = self.downloads.table

    # -- what is asked of it ---------------------------------------------------------------------

    def create(self, sources: list[Source] | None = None, source: str = "aws") -> str:
        """A job that no worker has begun."""
        self.sources = sources or self.sources
        series = [
            Series(**one.series.__dict__ | {"number": number})
            for number, one in enumerate(self.sources)
        ]
        return self.table.create(
            series, handle=HANDLE, understood="a test", release="v0", folder=str(self.folder),
            layout="", source=source, engine=self.engine, options=self.downloads._options(),
        )  # fmt: skip

    def start(self, sources: list[Source] | None = None, source: str = "aws") -> str:
        job = self.create(sources, source)
        self.downloads._spawn(job)
        return job

    def wait(self, job: str) -> Status:
        status = self.downloads.wait(job, FAR_S)
        assert not status.active, f"{job} is still {status.job.state}: {self.log(job)}"
        self._wait_for_its_process(job)
        assert "Traceback" not in self.log(job), self.log(job)
        return self.downloads.status(job)

    def run(self, sources: list[Source] | None = None, source: str = "aws") -> Status:
        return self.wait(self.start(sources, source))

    def resume(self, status: Status) -> Status:
        self.downloads.resume(status.job.job)
        return self.wait(status.job.job)

    def verify(self, status: Status, *, deep: bool = False) -> Status:
        self.downloads.verify(status.job.job, deep=deep)
        return self.wait(status.job.job)

    def kill(self, job: str, number: int = signal.SIGKILL) -> Status:
        """End a job's worker by a signal."""
        self.until(lambda: self.table.job(job).pid is not None)
        os.kill(self.table.job(job).pid or 0, number)
        self._wait_for_its_process(job)
        return self.downloads.status(job)

    def _wait_for_its_process(self, job: str) -> None:
        if self.table.job(job).state != STARTING:
            self.until(lambda: not is_held(self.table.lock_path(job)))

    def until(self, seen: Callable[[], object], seconds: float = FAR_S) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < end, f"waited {seconds} s in vain"
            time.sleep(0.02)

    def log(self, job: str) -> str:
        path = self.table.log_path(job)
        return path.read_text() if path.exists() else ""

    # -- what is there, whatever the program says ------------------------------------------------

    @property
    def archive(self) -> dict[str, Path]:
        """The archive's file for each path that is wanted."""
        return {path: file for one in self.sources for path, file in one.paths.items()}

    def found(self) -> dict[str, Path]:
        """Every file below the folder, but what is the program's own."""
        return {
            str(Path(folder, name).relative_to(self.folder)): Path(folder, name)
            for folder, _, names in os.walk(self.folder)
            for name in names
            if ".idc-mcp" not in Path(folder).parts
        }

    def whole(self) -> set[str]:
        """The paths of files that are the archive's, byte for byte."""
        archive = self.archive
        return {
            name
            for name, path in self.found().items()
            if name in archive
            and path.is_file()
            and hashlib.sha256(path.read_bytes()).hexdigest() == digest(archive[name])
        }

    def leavings(self) -> list[Path]:
        """What is neither a file of the archive nor a receipt nor kept aside."""
        hidden = self.folder / ".idc-mcp"
        kept = {hidden / "receipts", hidden / "replaced"}
        ours = [path for path in hidden.rglob("*") if not kept & set(path.parents)]
        strange = [path for name, path in self.found().items() if name not in self.archive]
        return strange + [path for path in ours if path.is_file() and path.name != "lock"]

    def proven(
        self, status: Status, *words: str, foreign: int = 0, uncounted: bool = False
    ) -> None:
        """Whole files alone are there, they alone are counted, and `words` are in the message.

        `uncounted` lets there be more whole files than are counted: those whose receipts a full
        disk did not take.
        """
        whole, found, archive = self.whole(), self.found(), self.archive
        assert self.leavings() == []
        assert len(found) - len(whole) == foreign, "there are files that are not whole"
        if uncounted:
            assert status.job.files_done <= len(whole)
        else:
            assert status.job.files_done == len(whole)
            assert status.job.bytes_done == sum(archive[name].stat().st_size for name in whole)
        rows = self.table.outcomes(status.job.job, "", len(self.sources))
        for one, (_, directory, state, files_done, _, _) in zip(self.sources, rows, strict=True):
            here = whole & one.paths.keys()
            assert files_done <= len(here), (directory, state)
            assert files_done == len(here) or uncounted, (directory, state)
            assert state != "complete" or len(here) == len(one.files), (directory, state)
            # The last file may come while the job is being ended.
            if state in ("failed", "refused", "running") and not uncounted:
                assert len(here) < len(one.files), (directory, state)
        assert (status.job.state == "complete") == all(row[2] == "complete" for row in rows)
        if status.job.state != "complete":
            assert status.job.reason, "a job that is not complete says why"
        said = self.said(status)
        for word in words:
            assert word in said, f"{word!r} is not in {said!r}"

    def complete(self, status: Status) -> None:
        """All of it is there, and nothing else."""
        assert status.job.state == "complete", self.said(status)
        self.proven(status)

    def said(self, status: Status) -> str:
        """All that a person is told."""
        reasons = [f"{directory}: {reason}" for _, reason, _, directory in status.unfinished]
        return "\n".join([status.job.reason, *reasons])
