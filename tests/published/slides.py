"""Tables of slides: their series, and the instances of which each is made."""

from __future__ import annotations

from tests.published.lots import choose, literal, lot, weighted
from tests.published.table import Table

_HE = (
    ["hematoxylin stain", "water soluble eosin stain"],
    ["SCT:12710003", "SCT:36879007"],
)
STAINS = [
    *[_HE] * 16,
    (["hematoxylin stain"], ["SCT:12710003"]),
    (["hematoxylin stain", "anti-Ki-67 antibody"], ["SCT:12710003", "SCT:734841007"]),
    (["hematoxylin stain", "anti-CD3 antibody"], ["SCT:12710003", "SCT:121119003"]),
    (["Wright Giemsa stain"], ["SCT:396061008"]),
    ([], []),
]
MEDIA = [(["Paraffin wax"], ["SCT:311731000"])] * 5 + [
    (["Tissue freezing medium"], ["SCT:433469005"]), ([], []),
]  # fmt: skip
FIXATIVES = [(["Neutral Buffered Formalin"], ["SCT:431510009"])] * 5 + [([], [])]
ORGANS = {
    "tcga_brca": ("Breast", "SCT:76752008"), "cptac_brca": ("Breast", "SCT:76752008"),
    "tcga_luad": ("Lung", "SCT:39607008"), "tcga_lusc": ("Lung", "SCT:39607008"),
    "nlst": ("Lung", "SCT:39607008"), "tcga_gbm": ("Brain", "SCT:12738006"),
    "tcga_kirc": ("Kidney", "SCT:64033007"), "tcga_prad": ("Prostate", "SCT:41216001"),
    "tcga_uvm": ("Eye", "SCT:81745001"), "tcga_coad": ("Colon", "SCT:71854001"),
    "rms_mutation_prediction": ("Soft tissues", "SCT:87784001"),
    "bonemarrowwsi_pediatricleukemia": ("Bone marrow", "SCT:14016003"),
}  # fmt: skip
_OTHER_ORGANS = [
    ("Lung", "SCT:39607008"), ("Liver", "SCT:10200004"), ("Skin", "SCT:39937001"),
    ("Stomach", "SCT:69695003"), ("Ovary", "SCT:15497006"), ("Thyroid gland", "SCT:69748006"),
]  # fmt: skip
_NORMAL = f"collection_id = 'gtex' OR {lot('normal', 100)} < 18"


def _pair(name: str, pairs: list[tuple[list[str], list[str]]], place: int) -> str:
    """The meanings (0) or the codes (1) of the same choice."""
    return choose(name, [pair[place] for pair in pairs])


def _organ(place: int) -> str:
    cases = " ".join(f"WHEN '{one}' THEN {literal(told[place])}" for one, told in ORGANS.items())
    other = choose("organ", [organ[place] for organ in _OTHER_ORGANS])
    return f"CASE collection_id {cases} ELSE {other} END"


_PREPARED = {
    "SeriesInstanceUID": "SeriesInstanceUID",
    "embeddingMedium_CodeMeaning": _pair("medium", MEDIA, 0),
    "embeddingMedium_code_designator_value_str": _pair("medium", MEDIA, 1),
    "tissueFixative_CodeMeaning": _pair("fixative", FIXATIVES, 0),
    "tissueFixative_code_designator_value_str": _pair("fixative", FIXATIVES, 1),
    "staining_usingSubstance_CodeMeaning": _pair("stain", STAINS, 0),
    "staining_usingSubstance_code_designator_value_str": _pair("stain", STAINS, 1),
}
_POWER = weighted("power", {20: 380, 40: 520})
_SPACING = f"CASE WHEN {_POWER} = 40 THEN 0.00025 ELSE 0.0005 END"
_WIDTH = f"(20000 + {lot('width', 120_000)})"
_HEIGHT = f"(15000 + {lot('height', 80_000)})"

SM_INDEX = Table(
    "(FROM series WHERE Modality = 'SM')",
    _PREPARED
    | {
        "ContainerIdentifier": f"PatientID || '-' || printf('%02d', {lot('container', 30)})",
        "min_PixelSpacing_2sf": _SPACING,
        "max_TotalPixelMatrixColumns": _WIDTH,
        "max_TotalPixelMatrixRows": _HEIGHT,
        "ObjectiveLensPower": _POWER,
        "primaryAnatomicStructure_code_designator_value_str": _organ(1),
        "primaryAnatomicStructure_CodeMeaning": _organ(0),
        "primaryAnatomicStructureModifier_code_designator_value_str": f"CASE WHEN {_NORMAL} "
        "THEN 'SCT:17621005' ELSE 'SCT:86049000' END",
        "primaryAnatomicStructureModifier_CodeMeaning": f"CASE WHEN {_NORMAL} "
        "THEN 'Normal' ELSE 'Neoplasm, Primary' END",
        "illuminationType_code_designator_value_str": "'DCM:111744'",
        "illuminationType_CodeMeaning": "'Brightfield illumination'",
        "admittingDiagnosis_code_designator_value_str": weighted(
            "diagnosis", {"ICD-O-3:8140/3": 150, "ICD-O-3:8500/3": 100}
        ),
        "admittingDiagnosis_CodeMeaning": weighted(
            "diagnosis", {"Adenocarcinoma, NOS": 150, "Infiltrating duct carcinoma, NOS": 100}
        ),
    },
)

_BYTES = "CAST(series_size_MB * 1e6 AS BIGINT)"
_SHARE = f"CAST({_BYTES} * 0.75 * pow(0.25, level) AS BIGINT)"

SM_INSTANCE_INDEX = Table(
    "(SELECT *, unnest(range(instanceCount)) AS level FROM series WHERE Modality = 'SM')",
    _PREPARED
    | {
        "SOPInstanceUID": "'2.25.' || md5_number_lower(SeriesInstanceUID || '.' || level)",
        "PixelSpacing_0": f"{_SPACING} * pow(2, least(level, 8))",
        "ImageType": f"CASE WHEN level = 0 THEN ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'] "
        f"WHEN level = instanceCount - 1 AND level > 2 THEN "
        f"{choose('last', [['DERIVED', 'PRIMARY', 'THUMBNAIL', 'RESAMPLED'], ['ORIGINAL', 'PRIMARY', 'LABEL', 'NONE'], ['ORIGINAL', 'PRIMARY', 'OVERVIEW', 'NONE']])} "  # noqa: E501
        "ELSE ['DERIVED', 'PRIMARY', 'VOLUME', 'RESAMPLED'] END",
        "TransferSyntaxUID": choose(
            "syntax", ["1.2.840.10008.1.2.4.50"] * 4 + ["1.2.840.10008.1.2.4.90"]
        ),
        "instance_size": f"greatest(1, {_SHARE})",
        "TotalPixelMatrixColumns": f"greatest(1, ({_WIDTH} / pow(2, least(level, 12)))::BIGINT)",
        "TotalPixelMatrixRows": f"greatest(1, ({_HEIGHT} / pow(2, least(level, 12)))::BIGINT)",
        "crdc_instance_uuid": "CAST(md5(SeriesInstanceUID || '/' || level) AS UUID)",
    },
)
"""Levels get smaller by four; their sizes add up to less than the series'."""
