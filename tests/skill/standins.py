"""Every series of `data/` with its files, in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from pydicom.dataset import Dataset

from tests.skill import derived, dicom, scans, slide


def datasets() -> Iterator[tuple[dicom.Row, list[Dataset]]]:
    rows = dicom.rows(*dicom.SERIES)
    images = scans.ct(rows[dicom.CT])
    yield rows[dicom.CT], list(images)
    with warnings.catch_warnings():
        # IDC's patients have identifiers for names.
        warnings.filterwarnings("ignore", message="The string .* is unlikely to represent")
        segmentation = derived.seg(rows[dicom.SEG], images)
    yield rows[dicom.SEG], segmentation
    yield rows[dicom.RTSTRUCT], derived.rtstruct(rows[dicom.RTSTRUCT], images)
    yield rows[dicom.CT_WITH_A_GAP], list(scans.ct_with_a_gap(rows[dicom.CT_WITH_A_GAP]))
    yield rows[dicom.MR], list(scans.mr(rows[dicom.MR]))
    yield rows[dicom.SM], list(slide.sm(rows[dicom.SM]))
