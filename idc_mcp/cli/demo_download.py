"""The demo's download: a mirror of its own, a job cancelled, resumed and verified.

The demo needs no network. So the mirror holds stand-ins: valid DICOM files without images that
have, together, the very bytes that the catalogue tells for each series.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

from idc_mcp.cli.demo_calls import Calls
from idc_mcp.cli.mirror import Mirror
from idc_mcp.cli.s3 import Answer, Request
from idc_mcp.cli.standins import stand_in
from idc_mcp.cli.terminal import heading
from idc_mcp.quantities import bytes_text

STUDY = "1.3.6.1.4.1.9328.50.17.220404831945253847765732171780014351592"
"""A PET/CT of rider_lung_pet_ct: 6 series that are small enough to look on."""
FOLDER = "one-pet-ct"
SERIES = (
    "SELECT aws_bucket, crdc_series_uuid, SeriesInstanceUID, StudyInstanceUID, PatientID, "
    "Modality, SOPClassUID, instanceCount, CAST(round(series_size_MB * 1e6) AS BIGINT) AS bytes "
    "FROM index WHERE "
)
"""What a mirror must know of a series, in the order of `StandInSeries`."""
BYTES_A_SECOND = 16e6
CONNECTIONS = 8
CANCEL_AFTER_S = 1.5
MOST_LOOKS = 5


class StandInSeries(NamedTuple):
    """A series of the catalogue that a mirror is to have."""

    bucket: str
    crdc_series_uuid: str
    SeriesInstanceUID: str
    StudyInstanceUID: str
    PatientID: str
    Modality: str
    SOPClassUID: str
    files: int
    bytes: int

    def write(self, root: Path) -> None:
        """Write its stand-ins below a mirror's root: as many files and bytes as it has."""
        # The catalogue does not tell the size of a file; DICOM files have even ones.
        each = self.bytes // self.files // 2 * 2
        for number in range(self.files):
            last = number == self.files - 1
            instance = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.crdc_series_uuid}/{number}")
            stand_in(
                root / self.bucket / self.crdc_series_uuid / f"{instance}.dcm",
                self.bytes - each * (self.files - 1) if last else each,
                sop_class_uid=self.SOPClassUID,
                sop_instance_uid=f"2.25.{instance.int}",
                series_instance_uid=self.SeriesInstanceUID,
                modality=self.Modality,
                patient_id=self.PatientID,
                study_instance_uid=self.StudyInstanceUID,
            )


class SlowMirror(Mirror):
    """A mirror whose files leave one after the other, slowly enough to look on."""

    def __init__(self, root: Path, bytes_a_second: float) -> None:
        super().__init__(root)
        self.bytes_a_second = bytes_a_second
        self._line = threading.Lock()

    def intercept(self, request: Request, answer: Answer) -> Answer:
        """Wait for the turn of a file."""
        if request.kind == "get":
            with self._line:
                time.sleep(answer.length / self.bytes_a_second)
        return answer


@contextmanager
def mirror() -> Iterator[SlowMirror]:
    """A mirror in a directory of its own, empty as yet and gone in the end."""
    root = Path(mkdtemp(prefix="idc-mcp-demo-mirror-"))
    try:
        with SlowMirror(root, BYTES_A_SECOND) as running:
            yield running
    finally:
        shutil.rmtree(root, ignore_errors=True)


async def show_download(calls: Calls, server: SlowMirror, output: Path) -> str:
    """Download the study step by step; returns what came of it in a line, '' where it failed."""
    found = await calls.client.call_tool(
        "idc_sql", {"sql": f"{SERIES}StudyInstanceUID = '{STUDY}'"}
    )
    if found.is_error:
        calls.failed += 1
        print(found.content[0].text)
        return ""
    series = [StandInSeries(*row) for row in found.structured_content["result"]["rows"]]
    fill(server, series)
    print(
        f"{heading('And the files')}\n"
        f"One study of these is downloaded now: {len(series)} series, "
        f"{sum(one.files for one in series)} files, {bytes_text(sum(one.bytes for one in series))}."
        "\nThis demo needs no network: its own mirror on this machine serves stand-ins, DICOM files"
        "\nwithout images whose number and bytes are those that the catalogue tells for each "
        f"series.\n\nmirror  {server.url}, slowed to {bytes_text(BYTES_A_SECOND)}/s to look on\n"
    )
    wanted: dict[str, Any] = {"cohort": STUDY, "directory": FOLDER}
    await calls.ask("idc_download", **wanted, dry_run=True)
    begun = await calls.ask("idc_download", **wanted, wait_s=0, of_it=("state", "job", "next"))
    job, stands = begun.get("job", ""), ("state", "files", "progress", "series")
    for _ in range(MOST_LOOKS):
        seen = await calls.ask("idc_jobs", job=job, wait_s=CANCEL_AFTER_S, of_it=stands)
        if not str(seen.get("files")).startswith("0 "):
            break  # on a busy machine a worker may need longer to begin
    cancelled = await calls.ask("idc_job_control", job=job, action="cancel", of_it=stands)
    folder = output / FOLDER
    print(f"{heading('On disk')}\n{_compared(folder, server.root)}\n")
    await calls.ask("idc_job_control", job=job, action="resume", wait_s=0, of_it=("state",))
    done = await calls.ask("idc_jobs", job=job, wait_s=60)
    verified = await calls.ask(
        "idc_job_control", job=job, action="verify", deep=True, wait_s=60,
        of_it=("state", "files", "proof"),
    )  # fmt: skip
    states = [str(one.get("state")) for one in (cancelled, done, verified)]
    if states != ["cancelled", "complete", "complete"]:
        calls.failed += 1
        print(f"The download went another way: {', '.join(states)}.")
        return ""
    print(f"{heading('On disk')}\n{_tree(folder)}\n{_compared(folder, server.root)}\n")
    return (
        f"{done['proof']}, after a cancel and a resume, verified again (stand-ins of "
        f"{len(series)} series; removed now)"
    )


def fill(server: Mirror, series: Iterable[StandInSeries]) -> None:
    """Put stand-ins of series into a mirror."""
    for one in series:
        one.write(Path(server.root))


def _compared(folder: Path, root: str) -> str:
    """How many files there are, and whether each is what the mirror has, byte for byte."""
    sent = {path.name: path for path in Path(root).rglob("*.dcm")}
    here = list(folder.rglob("*.dcm"))
    same = sum(path.name in sent and _md5(path) == _md5(sent[path.name]) for path in here)
    unfinished = sum(path.is_file() for path in folder.glob(".idc-mcp/parts/**/*"))
    return (
        f"{len(here)} of {len(sent)} files, {'all' if same == len(here) else same} of them byte "
        f"for byte the mirror's; {unfinished or 'none'} unfinished"
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _tree(folder: Path) -> str:
    """The records, and the way to a first file."""
    records = sorted(path for path in folder.iterdir() if path.is_file())
    lines = [f"{folder}", *(f"  {path.name:<16}{_size(path):>8}" for path in records)]
    first = min(folder.rglob("*.dcm"), default=None)
    for depth, name in enumerate(first.relative_to(folder).parts if first else ()):
        lines.append(f"  {'  ' * depth}{name}")
    return "\n".join(lines)


def _size(path: Path) -> str:
    return bytes_text(path.stat().st_size)
