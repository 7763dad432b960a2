"""Search of DICOMweb (QIDO-RS, PS3.18, 10.6): which studies, series or instances match."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

RETURNED = {
    "studies": """StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName
        PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID
        NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances""",
    "series": """Modality SeriesDescription SeriesInstanceUID SeriesNumber
        NumberOfSeriesRelatedInstances PerformedProcedureStepStartDate""",
    "instances": """SOPClassUID SOPInstanceUID InstanceNumber Rows Columns BitsAllocated
        NumberOfFrames AvailableTransferSyntaxUID""",
}
"""What is returned without being asked for (tables 10.6.3-3 to 10.6.3-5)."""
LEVELS = {
    "studies": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instances": "SOPInstanceUID",
}


def found(
    level: str, files: Iterable[Dataset], query: list[tuple[str, str]]
) -> list[dict[str, Any]]:
    """The matches as DICOM JSON.

    Raises
    ------
    ValueError
        A parameter is unknown, or its value is of no use.
    """
    limit = offset = None
    included: list[str] = []
    conditions: list[tuple[str, str]] = []
    for name, value in query:
        if name in ("limit", "offset"):
            if not value.isdigit():
                raise ValueError(f"{name} is a number, not {value!r}")
            limit, offset = (int(value), offset) if name == "limit" else (limit, int(value))
        elif name == "includefield":
            included += ["all"] if value == "all" else map(_keyword, value.split(","))
        elif name == "fuzzymatching":
            continue
        else:
            conditions.append((_keyword(name), value))
    groups: dict[str, list[Dataset]] = {}
    for file in files:
        groups.setdefault(file[LEVELS[level]].value, []).append(file)
    entries = [_entry(level, group) for group in groups.values()]
    matched = [one for one in entries if all(_matches(one, *pair) for pair in conditions)]
    start = offset or 0
    end = None if limit is None else start + limit
    return [_told(level, entry, included) for entry in matched[start:end]]


def _keyword(name: str) -> str:
    """`PatientID` or `00100020` as a keyword."""
    keyword = keyword_for_tag(int(name, 16)) if re.fullmatch("[0-9A-Fa-f]{8}", name) else name
    if not keyword or tag_for_keyword(keyword) is None:
        raise ValueError(f"{name} is no attribute")
    return keyword


def _entry(level: str, group: list[Dataset]) -> Dataset:
    """A study, series or instance: a file of it, and what is counted."""
    entry = Dataset()
    entry.update(group[0])
    if level == "studies":
        entry.ModalitiesInStudy = sorted({file.Modality for file in group})
        entry.NumberOfStudyRelatedSeries = len({file.SeriesInstanceUID for file in group})
        entry.NumberOfStudyRelatedInstances = len(group)
    elif level == "series":
        entry.NumberOfSeriesRelatedInstances = len(group)
    else:
        entry.AvailableTransferSyntaxUID = group[0].file_meta.TransferSyntaxUID
    return entry


def _matches(entry: Dataset, keyword: str, wanted: str) -> bool:
    """Single value, list of UIDs, wild card, range of dates (PS3.4, C.2.2.2)."""
    if not wanted:
        return True
    value = entry.get(keyword)
    values = [str(one) for one in (value if isinstance(value, MultiValue) else [value])]
    if keyword.endswith("UID"):
        return bool(set(values) & set(re.split(r"[,\\]", wanted)))
    if keyword.endswith("Date") and "-" in wanted:
        first, _, last = wanted.partition("-")
        return all((first or "0") <= one <= (last or "9") for one in values)
    return any(fnmatchcase(one, wanted) for one in values)


def _told(level: str, entry: Dataset, included: list[str]) -> dict[str, Any]:
    levels = list(LEVELS)[: list(LEVELS).index(level) + 1]
    wanted = {keyword for one in levels for keyword in RETURNED[one].split()} | set(included)
    told = Dataset()
    for element in entry:
        whole = "all" in included and element.VR not in ("SQ", "OB", "OW", "OF", "UN")
        if whole or element.keyword in wanted:
            told.add(element)
    return told.to_json_dict()
