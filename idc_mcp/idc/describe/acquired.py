"""What the specialised tables know of one series, where they are on this machine.

How it was acquired (CT, MR, PT), what a slide is stained with, what was segmented in it, by
whom and in which images. Values come with their units; a table that is not here is not asked
for, and is named.
"""

from __future__ import annotations

from typing import Any

from idc_mcp.answers import Table
from idc_mcp.idc.describe.description import Description
from idc_mcp.idc.filters.measures import FIELD_STRENGTH, in_gauss, in_tesla
from idc_mcp.idc.schema.lookup import how_to_have
from idc_mcp.idc.sql import identifier
from idc_mcp.index.specialised import REFERENCES
from idc_mcp.index.store import Index

MOST_VALUES = 8
"""Values of an array that are told; the others are counted."""
MOST_GROUPS = 20
"""Annotation groups of a series that are listed."""
LONGEST = 300

_SCANS = ("contrast_index", "volume_geometry_index")

TABLES: dict[str, tuple[str, ...]] = {
    "CT": ("ct_index", *_SCANS),
    "MR": ("mr_index", *_SCANS),
    "PT": ("pt_index", *_SCANS),
    "XA": ("contrast_index",),
    "RF": ("contrast_index",),
    "SM": ("sm_index",),
    "SEG": ("seg_index",),
    "RTSTRUCT": ("rtstruct_index",),
    "ANN": ("ann_index", "ann_group_index"),
}
"""The tables that may know a series, by its modality."""

COLUMNS: dict[str, dict[str, str]] = {
    "ct_index": {
        "SliceThickness": "mm", "PixelSpacing_row_mm": "mm", "PixelSpacing_col_mm": "mm",
        "Rows": "", "Columns": "", "KVP": "kV", "XRayTubeCurrent_max": "mA",
        "ConvolutionKernel": "", "SpiralPitchFactor": "", "GantryDetectorTilt": "degrees",
        "ScanOptions": "", "ImageType": "",
    },
    "mr_index": {
        "MagneticFieldStrength": "T", "SliceThickness": "mm", "PixelSpacing_row_mm": "mm",
        "PixelSpacing_col_mm": "mm", "Rows": "", "Columns": "", "MRAcquisitionType": "",
        "ScanningSequence": "", "SequenceVariant": "", "SequenceName": "", "EchoTime": "ms",
        "RepetitionTime": "ms", "InversionTime": "ms", "FlipAngle": "degrees",
        "DiffusionBValue": "s/mm²", "NumberOfTemporalPositions": "", "ReceiveCoilName": "",
    },
    "pt_index": {
        "SliceThickness": "mm", "PixelSpacing_row_mm": "mm", "PixelSpacing_col_mm": "mm",
        "Rows": "", "Columns": "", "Radiopharmaceutical": "", "RadionuclideCodeMeaning": "",
        "RadionuclideTotalDose": "Bq", "Units": "", "ReconstructionMethod": "",
        "AttenuationCorrectionMethod": "", "DecayCorrection": "", "NumberOfTimeSlices": "",
    },
    "contrast_index": {
        "ContrastBolusAgent": "", "ContrastBolusIngredient": "", "ContrastBolusRoute": "",
    },
    "volume_geometry_index": {
        "regularly_spaced_3d_volume": "", "slice_spacing_mm": "mm", "obliquity_degrees": "degrees",
    },
    "sm_index": {
        "staining_usingSubstance_CodeMeaning": "", "ObjectiveLensPower": "×",
        "min_PixelSpacing_2sf": "mm", "max_TotalPixelMatrixColumns": "",
        "max_TotalPixelMatrixRows": "", "embeddingMedium_CodeMeaning": "",
        "tissueFixative_CodeMeaning": "", "primaryAnatomicStructure_CodeMeaning": "",
        "primaryAnatomicStructureModifier_CodeMeaning": "", "illuminationType_CodeMeaning": "",
        "admittingDiagnosis_CodeMeaning": "", "ContainerIdentifier": "",
    },
    "seg_index": {
        "SegmentationType": "", "total_segments": "", "SegmentedPropertyType_CodeMeanings": "",
        "SegmentedPropertyCategory_CodeMeanings": "", "AnatomicRegion_CodeMeanings": "",
        "AlgorithmType": "", "AlgorithmName": "",
    },
    "rtstruct_index": {
        "total_rois": "", "ROINames": "", "RTROIInterpretedTypes": "",
        "ROIGenerationAlgorithms": "",
    },
    "ann_index": {"AnnotationCoordinateType": ""},
}  # fmt: skip
"""What is told of a series, and the unit of it, by table; what refers to a source apart."""

_CHECKS = (
    "single_orientation", "orthogonal_orientation", "unique_slice_positions",
    "consistent_in_plane_row", "consistent_in_plane_col", "consistent_pixel_spacing",
    "consistent_image_dimensions", "uniform_slice_spacing",
)  # fmt: skip
"""The checks that a regularly spaced volume passes (volume_geometry_index)."""


def add_acquired(index: Index, description: Description, modality: str, uid: str) -> None:
    """Tell, in a series' description, what the specialised tables here know of it."""
    tables = TABLES.get(modality, ())
    key = index.value("SELECT series_key FROM core.series WHERE SeriesInstanceUID = ?", [uid])
    for table in tables:
        if not index.has(table):
            continue
        if table == "ann_group_index":
            _add_groups(index, description, key)
        elif told := _told(index, table, key):
            description.about[table] = told
        if table in REFERENCES:
            _add_source(index, description, table, key)
    absent = [table for table in tables if not index.has(table)]
    if absent:
        description.notes.append(
            f"Not on this machine, and not asked for: {', '.join(absent)}; "
            f"{how_to_have(index, ' '.join(absent))}."
        )


def _told(index: Index, table: str, key: Any) -> dict[str, Any]:
    checks = _CHECKS if table == "volume_geometry_index" else ()
    names = [*COLUMNS[table], *checks]
    row = index.row(
        f"SELECT {', '.join(map(identifier, names))} FROM core.{table} WHERE series_key = ?", [key]
    )
    if row is None:
        return {}
    values = dict(zip(names, row, strict=True))
    failed = [name for name in checks if values.pop(name) is False]
    told = {
        name: _field_strength(value)
        if name == FIELD_STRENGTH
        else _with_unit(value, COLUMNS[table][name])
        for name, value in values.items()
        if value not in (None, [])
    }
    return told | ({"checks not passed": ", ".join(failed)} if failed else {})


def _field_strength(value: float) -> str:
    written = f" (recorded as {value:g}, in gauss)" if in_gauss(value) else ""
    return f"{in_tesla(value):g} T{written}"


def _with_unit(value: Any, unit: str) -> Any:
    if isinstance(value, list):
        shown = ", ".join(_text(item) for item in value[:MOST_VALUES])
        more = f" and {len(value) - MOST_VALUES} more" if len(value) > MOST_VALUES else ""
        text = f"{shown}{more}"
    elif isinstance(value, bool) or (isinstance(value, int) and not unit):
        return value
    else:
        text = _text(value)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return f"{text} {unit}".rstrip()


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _add_source(index: Index, description: Description, table: str, key: Any) -> None:
    """The images that an object was made from, as far as a column resolves them."""
    kind, column = REFERENCES[table]
    for source, modality, text, collection in index.rows(
        "SELECT source_uid, Modality, SeriesDescription, collection_id FROM core.refers "
        "LEFT JOIN core.series ON source_key = series_key WHERE kind = ? AND annotation_key = ?",
        [kind, key],
    ):
        if source is None:
            description.notes.append(f"{column} is empty: its source is not in IDC, or not told.")
        elif modality is None:
            description.about["source"] = f"{source} (not in {index.release.name})"
        else:
            about = ", ".join(filter(None, (modality, text, collection)))
            description.about["source"] = f"{source} ({about})"
            description.next.append(f"idc_describe(identifier='{source}')")


def _add_groups(index: Index, description: Description, key: Any) -> None:
    """The annotation groups of a bulk annotation series."""
    rows = index.rows(
        "SELECT AnnotationGroupNumber, AnnotationGroupLabel, "
        "AnnotationPropertyType_CodeMeaning, GraphicType, NumberOfAnnotations, "
        "AnnotationGroupGenerationType, AlgorithmName FROM core.ann_group_index "
        "WHERE series_key = ? ORDER BY 1",
        [key],
    )
    if rows:
        description.columns = Table.of(
            ("group", "label", "annotated", "graphic", "annotations", "generation", "algorithm"),
            rows,
            limit=MOST_GROUPS,
            rest='idc_sql(sql="SELECT * FROM ann_group_index WHERE SeriesInstanceUID = …")',
        )
