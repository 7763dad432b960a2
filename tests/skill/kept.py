"""What is made once and kept in `tests/.cache`: `data/`, and the buckets of both clouds."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

from idc_mcp.app import App
from idc_mcp.cli.demo_download import StandInSeries
from idc_mcp.transfer.layout import DEFAULT_LAYOUT
from idc_mcp.transfer.records import write_records
from tests.published import clinical_bucket
from tests.skill import dicom
from tests.skill.mirrored import MIRRORED
from tests.skill.standins import datasets
from tests.skill.warehouse import export, warehouse
from tests.transfer.payload import BUCKETS

PADDING = b"\xfc\xff\xfc\xffOB\0\0"
"""Data Set Trailing Padding (PS3.10, 7.2), explicit VR little endian, without its length."""

SOURCES = (
    "dicom", "scans", "derived", "slide", "standins", "bigquery", "warehouse", "mirrored", "kept",
)  # fmt: skip
"""The modules that say what is kept."""


def kept(cache: Path, app: App, published: Path) -> Path:
    """A directory of `data`, `aws` and `gcs`; the last two are for a `Mirror` to serve.

    Its name has the hash of the sources that make it, so a change of them makes it anew. Several
    processes may ask at once.
    """
    place = cache / f"skill-{_key(published)}"
    if not place.is_dir():
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as made:
            _make(Path(made) / "whole", app, published)
            with contextlib.suppress(OSError):  # another process was first
                (Path(made) / "whole").rename(place)
    return place


def _make(place: Path, app: App, published: Path) -> None:
    for row, files in datasets():
        for number, dataset in enumerate(files):
            path = place / "data" / row.folder / row.file(number)
            dicom.write(dataset, path)
            _padded(path, _size(row, number), place / "aws" / row.aws_bucket / row.crdc_series_uuid)
    _records(app, place / "data")
    for row in dicom.rows(*dicom.SERIES, *MIRRORED).values():
        if not (place / "aws" / row.aws_bucket / row.crdc_series_uuid).is_dir():
            _stand_in(row).write(place / "aws")
    for bucket, other in BUCKETS.items():
        (place / "aws" / bucket).mkdir(parents=True, exist_ok=True)
        shutil.copytree(place / "aws" / bucket, place / "gcs" / other, copy_function=os.link)
    clinical_bucket(published, place / "aws")
    with warehouse(published) as connection:
        export(connection, place / "aws" / "idc-open-metadata")


def _size(row: dicom.Row, number: int) -> int:
    """The bytes of a file, so that all of a series have what the catalogue tells."""
    each = row.bytes // row.instanceCount // 2 * 2
    last = number == row.instanceCount - 1
    return row.bytes - each * (row.instanceCount - 1) if last else each


def _padded(path: Path, size: int, folder: Path) -> None:
    """The same file, made longer; nothing where it is too long already."""
    content = path.read_bytes()
    missing = size - len(content) - len(PADDING) - 4
    if missing >= 0:
        folder.mkdir(parents=True, exist_ok=True)
        padding = PADDING + missing.to_bytes(4, "little") + bytes(missing)
        (folder / path.name).write_bytes(content + padding)


def _stand_in(row: dicom.Row) -> StandInSeries:
    return StandInSeries(
        row.aws_bucket, row.crdc_series_uuid, row.SeriesInstanceUID, row.StudyInstanceUID,
        row.PatientID, row.Modality, row.SOPClassUID, row.instanceCount, row.bytes,
    )  # fmt: skip


def _records(app: App, folder: Path) -> None:
    cohort = app.cohorts.resolve(",".join(dicom.SERIES))
    found = dicom.rows(*dicom.SERIES)
    order = app.index.rows(f"SELECT SeriesInstanceUID FROM {cohort.source}")
    placed = [
        SimpleNamespace(
            crdc_series_uuid=row.crdc_series_uuid, SeriesInstanceUID=row.SeriesInstanceUID,
            directory=row.folder, files=row.instanceCount, bytes=row.bytes,
        )
        for row in (found[uid] for (uid,) in order)
    ]  # fmt: skip
    write_records(
        app.index, cohort, folder, settings=app.settings, source="aws", layout=DEFAULT_LAYOUT,
        series=placed,
    )  # fmt: skip


def _key(published: Path) -> str:
    here = Path(__file__).parent
    told = b"".join((here / f"{name}.py").read_bytes() for name in SOURCES)
    return hashlib.sha256(published.name.encode() + told).hexdigest()[:12]
