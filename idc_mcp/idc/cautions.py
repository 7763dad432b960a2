"""What misleads a reader of a column, in a sentence each. Figures are asked for, not kept here."""

from __future__ import annotations

import re
from collections.abc import Collection

COLUMN_CAUTIONS: dict[str, str] = {
    "BodyPartExamined": "Null for many series (all slides); on SEG and RTSTRUCT it names the "
    "source acquisition, not what was segmented. Disease and site are "
    "collections_index.cancer_types and tumor_locations.",
    "PatientAge": "Text such as 063Y, 018M or 004D, null for most series; 000Y is frequent and "
    "often stands for unknown.",
    "PatientSex": "Null for most series, and a few values are junk.",
    "StudyDate": "ISO text (2001-12-31), shifted per patient: never order across patients.",
    "SeriesDate": "ISO text (2001-12-31), shifted per patient: never order across patients.",
    "Manufacturer": "One maker has several spellings: match with contains(lower(…), …). Derived "
    "series name the software or group that made them.",
    "license_short_name": "A licence is per series. Judge by a list of what is allowed, never by "
    "NOT LIKE '%NC%'; the strictest governs a mix.",
    "aws_bucket": "The bucket is not the licence.",
    "collection_id": "Lower case with underscores; derived series keep their source's.",
    "analysis_result_id": "Null is original data or a derived series that belongs to no analysis "
    "result.",
    "PatientID": "Unique only within a collection: a patient is (collection_id, PatientID).",
    "cancer_types": "Comma-joined free text in mixed case: match with contains(lower(…), …).",
    "tumor_locations": "Comma-joined free text in mixed case: match with contains(lower(…), …).",
    "species": "Comma-joined text.",
    "collections": "Comma-joined text.",
    "modalities": "Comma-joined text.",
    "series_size_MB": "Decimal megabytes; round(series_size_MB * 1e6) is the exact number of "
    "bytes.",
    "PhotometricInterpretation": "Some series have several, comma-joined.",
    "PixelRepresentation": "Some series have several, comma-joined.",
    "TransferSyntaxUID": "Some series have several, comma-joined.",
    "transfer_syntax_name": "Some series have several, comma-joined.",
    "max_idc_version": "The next release revised the series, removed it, or moved it to another "
    "bucket: a row here is not by itself a removal.",
    "min_idc_version": "A move between buckets starts a new row too.",
}
"""By column name, whatever its table."""

KNOWN_BAD: tuple[tuple[str, str, str], ...] = (
    ("ispy1", "SEG", "some ISPY1 segmentations are empty"),
    ("ispy2", "SEG", "ISPY2 segmentations keep segments in the bits of a byte, which few read"),
    (
        "nsclc_radiogenomics",
        "SEG",
        "NSCLC-Radiogenomics' own old segmentations (not those of analysis results) have a bit "
        "encoding that some readers get wrong (highdicom issue 344)",
    ),
)
"""(collection_id, Modality, what is wrong) of data with known faults."""


def known_faults(present: Collection[tuple[str, str]]) -> list[str]:
    """The faults of data of which (collection_id, Modality) are present."""
    return [fault for collection, modality, fault in KNOWN_BAD if (collection, modality) in present]


_COMPACT_DATE = re.compile(r"Date\b[^']{0,20}'(?:19|20)\d{6}'", re.IGNORECASE)
_NOT_NC = re.compile(r"NOT\s+I?LIKE\s+'%NC%'", re.IGNORECASE)
_BODY_PART = re.compile(
    r"\bBodyPartExamined\b[\s\")]*(?:=|!=|<>|~|\bIN\b|\b(?:NOT\s+)?(?:I?LIKE|SIMILAR|GLOB)\b)"
    r"|\bcontains\s*\([^,]*\bBodyPartExamined\b|\bregexp_\w+\s*\([^,]*\bBodyPartExamined\b",
    re.IGNORECASE,
)
_DRAWN = re.compile(r"'(?:SEG|RTSTRUCT)'", re.IGNORECASE)
_PATIENTS_JOINED = re.compile(
    r"\bdicom_patient_id\b\"?\s*=\s*(?:\w+\.)?\"?PatientID\b"
    r"|\bPatientID\b\"?\s*=\s*(?:\w+\.)?\"?dicom_patient_id\b"
    r"|\bPatientID\"?\s+(?:NOT\s+)?IN\s*\(\s*SELECT\s+(?:DISTINCT\s+)?(?:\w+\.)?\"?dicom_patient_id",
    re.IGNORECASE,
)


def sql_cautions(sql: str) -> list[str]:
    """What a statement seems to have overlooked; the rows stand as they are."""
    found = []
    if _COMPACT_DATE.search(sql):
        found.append("dates are ISO text: compare with '2010-01-31', not '20100131'")
    if _NOT_NC.search(sql):
        found.append(COLUMN_CAUTIONS["license_short_name"])
    if _BODY_PART.search(sql):
        if _DRAWN.search(sql):
            found.append(f"{SEGMENTED_ANATOMY} Of structure sets it is rtstruct_index.ROINames.")
        found.append(f"BodyPartExamined: {COLUMN_CAUTIONS['BodyPartExamined']}")
    if _PATIENTS_JOINED.search(sql) and not re.search(r"\bcollection_id\b", sql, re.IGNORECASE):
        found.append(f"{COLUMN_CAUTIONS['PatientID'].rstrip('.')}: join collection_id too.")
    return found


SEGMENTED_ANATOMY = (
    "What a segmentation segments is seg_index.SegmentedPropertyType_CodeMeanings, not "
    "BodyPartExamined, which names the source images."
)
"""For questions that join segmentations and anatomy."""

PRIOR_VERSIONS = (
    "prior_versions_index mixes superseded, moved and removed series; removed here are those "
    "that the release before served and this one did not."
)
"""For the account of a release."""
