"""Tables of what was derived from images: segmentations, structure sets, bulk annotations."""

from __future__ import annotations

from tests.published.lots import choose, literal, lot, sometimes, weighted
from tests.published.structures import OTHERS, PROFILES, TOTAL
from tests.published.table import Table

TOTALSEGMENTATOR = "totalsegmentator_ct_segmentations"
SEG, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
RTSTRUCT, ANN = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.91.1"

DERIVED = f"""
CREATE TEMP TABLE derived AS
WITH images AS (
    SELECT StudyInstanceUID AS study,
        {
    ", ".join(
        f"list(SeriesInstanceUID ORDER BY SeriesInstanceUID) FILTER (WHERE {condition}) AS {name}"
        for name, condition in (
            ("sm", "Modality = 'SM'"),
            ("ct", "Modality = 'CT' AND instanceCount >= 10"),
            ("mr", "Modality = 'MR' AND instanceCount >= 5"),
            ("pt", "Modality = 'PT'"),
            ("other", "Modality IN ('MG', 'US', 'CR', 'DX', 'CT', 'MR')"),
        )
    )
}
    FROM series WHERE Modality IN ('SM', 'CT', 'MR', 'PT', 'MG', 'US', 'CR', 'DX')
    GROUP BY StudyInstanceUID
), placed AS (
    SELECT *, row_number() OVER (
        PARTITION BY StudyInstanceUID, analysis_result_id, SOPClassUID ORDER BY SeriesInstanceUID
    ) - 1 AS place
    FROM series WHERE SOPClassUID IN {(SEG, LABEL_MAP, RTSTRUCT, ANN)}
), paired AS (
    SELECT placed.*, CASE
        WHEN sm IS NOT NULL THEN sm
        WHEN pt IS NOT NULL AND {lot("of PET", 3)} = 0 THEN pt
        ELSE coalesce(ct, mr, pt, other) END AS sources
    FROM placed LEFT JOIN images ON study = StudyInstanceUID
)
SELECT * EXCLUDE (place, sources),
    CASE WHEN {lot("source", 25)} = 0 THEN NULL
        WHEN {lot("gone", 997)} = 0 THEN '1.2.826.0.1.3680043.8.498.' || h
        ELSE sources[1 + place % len(sources)] END AS source
FROM paired ORDER BY SeriesInstanceUID
"""
"""Derived series with a source image of their study: none in 4%, one that IDC lacks in 0.1%."""


def _by_profile(field: str) -> str:
    """A field of the profile whose number is `profile`."""
    every = [*PROFILES.values(), *OTHERS]
    return f"{literal([getattr(profile, field) for profile in every])}[profile]"


_PROFILE = f"""coalesce(
    {
    ", ".join(
        f"{literal(list(PROFILES))}.list_position({key})"
        for key in (
            "analysis_result_id || '/' || collection_id",
            "analysis_result_id",
            "CASE WHEN analysis_result_id IS NULL THEN collection_id END",
        )
    )
}, {len(PROFILES) + 1} + {lot("profile", len(OTHERS))})"""

_TOTAL = f"{literal(TOTAL)}[first_structure : first_structure + structures - 1]"
_WHOLE = f"analysis_result_id IS NOT DISTINCT FROM '{TOTALSEGMENTATOR}'"
"""Whether it is one of TotalSegmentator's; a third of them cover the whole body."""


def _seg(total: str, other: str) -> str:
    return f"CASE WHEN {_WHOLE} THEN {total} ELSE {other} END"


_TYPES = f"{_by_profile('types')}[1 : kept]"
_SPELLED = sometimes(
    "spelling", 40, f"[lower(one) FOR one IN {_TYPES}]",
    sometimes("capitals", 10, f"[upper(one) FOR one IN {_TYPES}]", _TYPES),
)  # fmt: skip

SEG_INDEX = Table(
    f"""(
        SELECT *, least({lot("first structure", 40)} + 1, {len(TOTAL) + 1} - structures)
            AS first_structure, 1 + {lot("kept", 1000)} % len({_by_profile("types")}) AS kept
        FROM (
            SELECT *, CASE {lot("field", 30)} WHEN 0 THEN {len(TOTAL)}
                ELSE 20 + {lot("structures", 61)} END AS structures,
                {_PROFILE} AS profile
            FROM derived WHERE SOPClassUID IN {(SEG, LABEL_MAP)})
    )""",
    {
        "SeriesInstanceUID": "SeriesInstanceUID",
        "SegmentationType": f"CASE WHEN SOPClassUID = '{LABEL_MAP}' THEN 'LABELMAP' "
        f"ELSE {_seg(literal('BINARY'), _by_profile('segmentation_type'))} END",
        "total_segments": _seg("structures + structures // 4", f"kept + {lot('more', 3)}"),
        "AlgorithmType": _seg(literal("AUTOMATIC"), _by_profile("algorithm_type")),
        "AlgorithmName": _seg(literal("TotalSegmentator"), _by_profile("algorithm_name")),
        "segmented_SeriesInstanceUID": "source",
        "SegmentedPropertyCategory_CodeMeanings": _seg(
            sometimes("tissue", 100, "['Anatomical Structure', 'Tissue']",
                      "['Anatomical Structure']"),
            _by_profile("categories"),
        ),
        "SegmentedPropertyType_CodeMeanings": _seg(_TOTAL, sometimes("untyped", 5, "[]", _SPELLED)),
        "AnatomicRegion_CodeMeanings": _seg(
            sometimes("regions", 900, "[]", "NULL"), _by_profile("regions")
        ),
    },
)  # fmt: skip

ROI_NAMES = [
    ["GTV-1", "Heart", "Lung_L", "Lung_R", "SpinalCord"],
    ["gtv 1", "heart", "Lung-Left", "Lung-Right", "Esophagus"],
    ["NODULE 1", "NODULE 3", "BODY"],
    ["GTV", "CTV", "PTV", "PTV_60"],
    ["Tumor", "External"],
    ["Liver", "Kidney_L", "Kidney_R", "Spleen", "Stomach", "Bowel"],
    ["TV", "cochlea", "AN"],
    ["Prostate", "Bladder", "Rectum", "FemoralHead_L", "FemoralHead_R"],
]

RTSTRUCT_INDEX = Table(
    f"(SELECT *, {choose('rois', ROI_NAMES)} AS names FROM derived "
    f"WHERE SOPClassUID = '{RTSTRUCT}')",
    {
        "SeriesInstanceUID": "SeriesInstanceUID",
        "total_rois": f"len(names) + {lot('more rois', 2)}",
        "ROINames": "names",
        "ROIGenerationAlgorithms": weighted(
            "roi algorithms",
            [(["MANUAL"], 450), (["SEMIAUTOMATIC"], 200), (["AUTOMATIC"], 150),
             (["AUTOMATIC", "MANUAL"], 100), ([], 100)],
        ),
        "RTROIInterpretedTypes": weighted(
            "roi types", [(["GTV"], 300), (["GTV", "ORGAN"], 250), (["CTV", "GTV", "PTV"], 150),
                          (["ORGAN"], 100), ([], 200)],
        ),
        "referenced_SeriesInstanceUID": sometimes("unreferenced", 990, "source"),
    },
)  # fmt: skip

ANN_INDEX = Table(
    f"(FROM derived WHERE SOPClassUID = '{ANN}')",
    {
        "SeriesInstanceUID": "SeriesInstanceUID",
        "AnnotationCoordinateType": weighted("coordinates", {"2D": 950, "3D": 50}),
        "referenced_SeriesInstanceUID": "source",
    },
)

_NUCLEI = "analysis_result_id IS NOT DISTINCT FROM 'pan_cancer_nuclei_seg_dicom'"


def _group(nuclei: str, other: list[str]) -> str:
    """What a group has: nuclei by an algorithm, or one of four kinds drawn by people."""
    return f"CASE WHEN {_NUCLEI} THEN {nuclei} ELSE {literal(other)}[1 + {lot('kind', 4)}] END"


ANN_GROUP_INDEX = Table(
    f"""(
        SELECT * REPLACE ((h * (7919 * number + 1)) % 2147483647 AS h) FROM (
            SELECT *, unnest(range(1, CASE WHEN {_NUCLEI} THEN 2 ELSE 2 + {lot("groups", 3)} END))
                AS number
            FROM derived WHERE SOPClassUID = '{ANN}')
    )""",
    {
        "SeriesInstanceUID": "SeriesInstanceUID",
        "AnnotationGroupNumber": "number",
        "AnnotationGroupUID": "'2.25.' || md5_number(SeriesInstanceUID || '/' || number)",
        "AnnotationGroupLabel": _group("'Nuclei'", ["Cells", "Region 1", "Tumor", "blast"]),
        "AnnotationGroupGenerationType": f"CASE WHEN {_NUCLEI} THEN 'AUTOMATIC' "
        f"ELSE {weighted('made by', {'MANUAL': 850, 'SEMIAUTOMATIC': 50, 'AUTOMATIC': 100})} END",
        "NumberOfAnnotations": f"CASE WHEN {_NUCLEI} THEN 1000 + {lot('many', 999_000)} "
        f"ELSE 1 + {lot('few', 400)} END",
        "GraphicType": _group("'POLYGON'", ["POINT", "RECTANGLE", "POLYGON", "ELLIPSE"]),
        "AnnotationPropertyCategory_code": _group(
            "'SCT:91723000'", ["SCT:91723000", "SCT:91723000", "SCT:49755003", "SCT:91723000"]
        ),
        "AnnotationPropertyCategory_CodeMeaning": _group(
            "'Anatomical Structure'",
            ["Anatomical Structure", "Anatomical Structure", "Morphologically Altered Structure",
             "Anatomical Structure"],
        ),
        "AnnotationPropertyType_code": _group(
            "'SCT:84640000'", ["SCT:4421005", "SCT:85756007", "SCT:108369006", "SCT:14016003"]
        ),
        "AnnotationPropertyType_CodeMeaning": _group(
            "'Nucleus'", ["Cell", "Tissue", "Neoplasm", "Bone marrow"]
        ),
        "AlgorithmName": f"CASE WHEN {_NUCLEI} THEN 'Pan-Cancer-Nuclei-Seg' END",
    },
)  # fmt: skip
