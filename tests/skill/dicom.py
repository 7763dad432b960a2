"""The stand-in DICOM of `data/`: what it shows, and the truth about it.

Series, study and patient are real rows of the catalogue, with their UIDs, their number of files
and their names in the buckets; what is in the pixels is ours. The modules beside this one write
the files: `scans.py` CT and MR, `derived.py` SEG and RTSTRUCT, `slide.py` the pyramid.
"""

from __future__ import annotations

import uuid
from functools import cache
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from idc_mcp.index.release import installed_release

CT = "1.3.6.1.4.1.14519.5.2.1.1620.1226.653205826355586286329395435938"
SEG = "1.2.826.0.1.3680043.8.498.12143385404741069991613461184588593580"
RTSTRUCT = "1.2.826.0.1.534147.667.2747872357.20254511550304"
CT_WITH_A_GAP = "1.3.6.1.4.1.14519.5.2.1.1620.1226.300452667414381669134101739380"
MR = "1.3.6.1.4.1.14519.5.2.1.7308.2101.254832349148503364909115228931"
SM = "1.3.6.1.4.1.5962.99.1.1576131244.388053538.1637958703788.2.0"
SERIES = (CT, SEG, RTSTRUCT, CT_WITH_A_GAP, MR, SM)

SIZE = 64
"""Rows and columns of CT and MR."""
CT_SLICES, GAP_SLICES, MR_SLICES = 34, 18, 18
CT_PIXEL_MM, CT_SPACING_MM, CT_THICKNESS_MM = 2.5, 5.0, 7.0
GAP_PIXEL_MM, GAP_SPACING_MM = 2.5, 3.0
MISSING_SLICE = 7
"""Counted from the lowest, of the series with a gap."""
MR_PIXEL_MM, MR_SPACING_MM = 3.0, 3.6
AIR_HU, WATER_HU, SPHERE_HU, BOX_HU = -1000, 0, 60, 300
SLOPE, INTERCEPT = 1, -1024
LOWEST_MM = (-80.0, -80.0, -85.0)
"""ImagePositionPatient of the lowest slice of the CT, and of the one with a gap."""
SLIDE_PIXELS, TILE, SLIDE_PIXEL_MM = (512, 128), 128, (0.0005, 0.002)
"""Width of the two VOLUME levels, of a tile, and their pixel spacing."""
THUMBNAIL_PIXELS = 64


class Row(NamedTuple):
    """What the catalogue tells of a series."""

    collection_id: str
    PatientID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    crdc_series_uuid: str
    aws_bucket: str
    Modality: str
    SOPClassUID: str
    instanceCount: int
    bytes: int
    StudyDate: str
    SeriesDescription: str | None
    SeriesNumber: str | None
    Manufacturer: str
    ManufacturerModelName: str
    PatientSex: str | None
    PatientAge: str | None
    BodyPartExamined: str | None

    @property
    def folder(self) -> str:
        """Where `idc_download` puts it by default."""
        return "/".join(
            [self.collection_id, self.PatientID, self.StudyInstanceUID,
             f"{self.Modality}_{self.SeriesInstanceUID}"]
        )  # fmt: skip

    def file(self, number: int) -> str:
        """The name of a file, by a crdc_instance_uuid of ours: in no order."""
        return f"{uuid.uuid5(uuid.NAMESPACE_OID, f'{self.crdc_series_uuid}/{number}')}.dcm"


@cache
def rows(*series: str) -> dict[str, Row]:
    """Series of the catalogue by their UID."""
    fields = ", ".join(Row._fields).replace("bytes", "CAST(round(series_size_MB * 1e6) AS BIGINT)")
    found = duckdb.execute(
        f"SELECT {fields} FROM read_parquet($1) WHERE list_contains($2, SeriesInstanceUID)",
        [str(installed_release().parquet("index")), list(series)],
    ).fetchall()
    by_uid = {row.SeriesInstanceUID: row for row in (Row(*values) for values in found)}
    assert by_uid.keys() == set(series), f"not in the catalogue: {set(series) - by_uid.keys()}"
    return by_uid


@cache
def catalogue_dois() -> frozenset[str]:
    """The DOIs that the catalogue names, and IDC's own."""
    found = duckdb.execute(
        "SELECT DISTINCT source_DOI FROM read_parquet($1) WHERE source_DOI IS NOT NULL",
        [str(installed_release().parquet("index"))],
    ).fetchall()
    return frozenset(doi for (doi,) in found) | {"10.1148/rg.230180"}


def phantom(slices: int, pixel_mm: float, spacing_mm: float) -> dict[str, np.ndarray]:
    """Masks (slices, rows, columns) of what the phantom is made of; slice 0 is the lowest."""
    z, y, x = np.meshgrid(
        LOWEST_MM[2] + spacing_mm * np.arange(slices),
        LOWEST_MM[1] + pixel_mm * np.arange(SIZE),
        LOWEST_MM[0] + pixel_mm * np.arange(SIZE),
        indexing="ij",
    )
    return {
        "body": (x / 70) ** 2 + (y / 55) ** 2 <= 1,
        "sphere": (x + 20) ** 2 + y**2 + z**2 <= 25**2,
        "box": (abs(x - 30) <= 10) & (abs(y) <= 12.5) & (abs(z) <= 20),
    }


def hounsfield(slices: int, pixel_mm: float, spacing_mm: float) -> np.ndarray:
    """The phantom as CT sees it."""
    parts = phantom(slices, pixel_mm, spacing_mm)
    volume = np.full(parts["body"].shape, AIR_HU, dtype=np.int16)
    for name, value in (("body", WATER_HU), ("sphere", SPHERE_HU), ("box", BOX_HU)):
        volume[parts[name]] = value
    return volume


@cache
def volume_ml(part: str) -> float:
    """The volume of a segment of the SEG, as counting its voxels gives it."""
    voxels = int(phantom(CT_SLICES, CT_PIXEL_MM, CT_SPACING_MM)[part].sum())
    return voxels * CT_PIXEL_MM**2 * CT_SPACING_MM / 1000


def instance_uid(row: Row, number: int) -> str:
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{row.SeriesInstanceUID}/{number}').int}"


def frame_of_reference(row: Row) -> str:
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, row.StudyInstanceUID).int}"


def begun(row: Row, number: int) -> FileDataset:
    """A file with the attributes that all have: patient, study, series, equipment, SOP common."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = row.SOPClassUID
    meta.MediaStorageSOPInstanceUID = instance_uid(row, number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = row.SOPClassUID, meta.MediaStorageSOPInstanceUID
    made.StudyDate = made.SeriesDate = made.ContentDate = row.StudyDate.replace("-", "")
    made.StudyTime = made.SeriesTime = made.ContentTime = "120000"
    made.AccessionNumber = made.ReferringPhysicianName = made.StudyID = ""
    made.Modality, made.Manufacturer = row.Modality, row.Manufacturer
    made.ManufacturerModelName = row.ManufacturerModelName
    made.SeriesDescription = row.SeriesDescription
    made.PatientName = made.PatientID = row.PatientID
    made.PatientBirthDate, made.PatientSex, made.PatientAge = "", row.PatientSex, row.PatientAge
    made.PatientIdentityRemoved = "YES"
    if row.BodyPartExamined:
        made.BodyPartExamined = row.BodyPartExamined
    made.StudyInstanceUID, made.SeriesInstanceUID = row.StudyInstanceUID, row.SeriesInstanceUID
    made.SeriesNumber, made.InstanceNumber = row.SeriesNumber or "1", number + 1
    return made


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence (PS3.3, 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def write(dataset: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
