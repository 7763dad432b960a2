"""The filters by meaning: what people ask of images and annotations, and where that is recorded.

`ATTRIBUTES` is the one table of them. Their columns stand in the specialised tables; every
other column of those is reached through the filter `columns` (`columns.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from idc_mcp.idc.nearest import bare, folded

Kind = Literal["number", "text", "contains", "flag", "contrast"]
"""How a value is matched: a range, one of the known values, a part of a text, yes or no."""


@dataclass(frozen=True)
class Place:
    """A column of a specialised table."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class Attribute:
    """A filter by meaning; one place that has the value suffices.

    `asked_as` are names under which it is asked for besides those of its columns.
    """

    name: str
    kind: Kind
    places: tuple[Place, ...]
    asked_as: tuple[str, ...] = ()


TABLE_MODALITIES: dict[str, tuple[str, ...]] = {
    "ct_index": ("CT",),
    "mr_index": ("MR",),
    "pt_index": ("PT",),
    "sm_index": ("SM",),
    "sm_instance_index": ("SM",),
    "contrast_index": ("CT", "MR", "PT", "XA", "RF"),
    "volume_geometry_index": ("CT", "MR", "PT"),
    "seg_index": ("SEG",),
    "ann_index": ("ANN",),
    "ann_group_index": ("ANN",),
    "rtstruct_index": ("RTSTRUCT",),
}
"""The modalities whose series a specialised table describes."""

ANNOTATION_TABLES: dict[str, tuple[str, str, str]] = {
    "SEG": ("seg_index", "segmented_SeriesInstanceUID", "segmentations"),
    "ANN": ("ann_index", "referenced_SeriesInstanceUID", "bulk annotations"),
    "RTSTRUCT": ("rtstruct_index", "referenced_SeriesInstanceUID", "structure sets"),
}
"""Annotations by modality: the table that names their source, its column, and their name.

Other tables of the modality (ann_group_index) describe parts of the same series.
"""

SEVERAL_ROWS = ("sm_instance_index", "ann_group_index")
"""Tables with several rows a series: what is asked of one must hold of the same row."""

ZERO_IS_A_VALUE = frozenset({
    "DiffusionBValue", "GantryDetectorTilt", "obliquity_degrees", "origin_patient",
    "ImageOrientationPatient", "InversionTime",
})  # fmt: skip
"""Numbers that may be 0 or less; of the others that says that nothing is known."""


def _at(text: str) -> tuple[Place, ...]:
    return tuple(Place(*one.split(".")) for one in text.split())


_ACQUIRED = "ct_index.{0} mr_index.{0} pt_index.{0}"

ATTRIBUTES: dict[str, Attribute] = {
    attribute.name: attribute
    for attribute in (
        Attribute("slice_thickness_mm", "number", _at(_ACQUIRED.format("SliceThickness")),
                  ("slice_thickness", "thickness")),
        Attribute("slice_spacing_mm", "number", _at("volume_geometry_index.slice_spacing_mm"),
                  ("slice_spacing", "SpacingBetweenSlices", "spacing_between_slices")),
        Attribute("pixel_spacing_mm", "number",
                  _at(_ACQUIRED.format("PixelSpacing_row_mm") + " sm_index.min_PixelSpacing_2sf"),
                  ("pixel_spacing", "PixelSpacing", "pixel_size", "mpp", "resolution")),
        Attribute("regularly_spaced_3d_volume", "flag",
                  _at("volume_geometry_index.regularly_spaced_3d_volume"),
                  ("regular_volume", "is_volume", "volume")),
        Attribute("magnetic_field_strength_T", "number", _at("mr_index.MagneticFieldStrength"),
                  ("field_strength", "field_strength_T", "tesla", "magnetic_field")),
        Attribute("scanning_sequence", "text", _at("mr_index.ScanningSequence"),
                  ("sequence", "pulse_sequence")),
        Attribute("echo_time_ms", "number", _at("mr_index.EchoTime"), ("TE", "echo_time")),
        Attribute("repetition_time_ms", "number", _at("mr_index.RepetitionTime"),
                  ("TR", "repetition_time")),
        Attribute("diffusion_b_value_s_mm2", "number", _at("mr_index.DiffusionBValue"),
                  ("b_value", "bvalue", "diffusion_b_value", "diffusion", "DWI")),
        Attribute("kvp_kV", "number", _at("ct_index.KVP"),
                  ("tube_voltage", "tube_voltage_kV", "kilovoltage", "kV")),
        Attribute("convolution_kernel", "text", _at("ct_index.ConvolutionKernel"),
                  ("kernel", "reconstruction_kernel")),
        Attribute("contrast", "contrast",
                  _at("contrast_index.ContrastBolusAgent contrast_index.ContrastBolusIngredient "
                      "contrast_index.ContrastBolusRoute"),
                  ("contrast_enhanced", "has_contrast", "with_contrast")),
        Attribute("contrast_agent", "contains",
                  _at("contrast_index.ContrastBolusAgent contrast_index.ContrastBolusIngredient"),
                  ("agent", "contrast_bolus_agent", "contrast_medium", "ingredient")),
        Attribute("radionuclide", "text", _at("pt_index.RadionuclideCodeMeaning"),
                  ("isotope", "nuclide")),
        Attribute("radiopharmaceutical", "contains", _at("pt_index.Radiopharmaceutical"),
                  ("tracer", "radiotracer")),
        Attribute("stain", "text", _at("sm_index.staining_usingSubstance_CodeMeaning"),
                  ("staining", "stains")),
        Attribute("objective_power", "number", _at("sm_index.ObjectiveLensPower"),
                  ("magnification", "objective_lens_power", "lens_power", "objective")),
        Attribute("specimen_site", "text", _at("sm_index.primaryAnatomicStructure_CodeMeaning"),
                  ("primary_anatomic_structure", "primaryAnatomicStructure", "specimen_organ")),
        Attribute("specimen_type", "text",
                  _at("sm_index.primaryAnatomicStructureModifier_CodeMeaning"),
                  ("primaryAnatomicStructureModifier", "tissue_type", "sample_type")),
        Attribute("segmented_structure", "text",
                  _at("seg_index.SegmentedPropertyType_CodeMeanings"),
                  ("SegmentedPropertyType", "segmented_organ", "segmented_anatomy",
                   "segmentation", "segmented_property", "structure", "organ")),
        Attribute("segmented_region", "text", _at("seg_index.AnatomicRegion_CodeMeanings"),
                  ("AnatomicRegion", "anatomic_region", "region")),
        Attribute("segmentation_algorithm", "text", _at("seg_index.AlgorithmName"),
                  ("algorithm", "SegmentAlgorithmName", "algorithm_name", "TotalSegmentator",
                   "nnU-Net")),
        Attribute("segmentation_algorithm_type", "text", _at("seg_index.AlgorithmType"),
                  ("SegmentAlgorithmType", "algorithm_type", "segmentation_type")),
        Attribute("roi_name", "contains", _at("rtstruct_index.ROINames"),
                  ("ROIName", "roi", "rois", "roi_names", "contour")),
        Attribute("annotated_property", "text",
                  _at("ann_group_index.AnnotationPropertyType_CodeMeaning"),
                  ("AnnotationPropertyType", "annotated_structure", "annotation_type")),
    )
}  # fmt: skip
"""By name, in the order of their subjects: volumes, MR, CT, contrast, PET, slides, annotations."""

COLUMNS_FILTER = "columns"
"""The filter of every other column."""

SAID: dict[str, dict[str, tuple[str, ...]]] = {
    "scanning_sequence": {
        "spin echo": ("SE",),
        "gradient echo": ("GR",),
        "gradient recalled": ("GR",),
        "inversion recovery": ("IR",),
        "echo planar": ("EP",),
        "epi": ("EP",),
        "flair": ("IR",),
    },
    "stain": {
        "h e": ("*eosin*", "*hematoxylin*"),
        "he": ("*eosin*", "*hematoxylin*"),
        "hematoxylin and eosin": ("*eosin*", "*hematoxylin*"),
        "haematoxylin": ("*hematoxylin*",),
        "giemsa": ("*giemsa*",),
    },
    "radionuclide": {
        word: patterns
        for words, patterns in (
            (("f18", "18f", "f 18", "fluorine f18", "fluorine", "fluorine 18", "18 fluorine"),
             ("*18*Fluorine*", "*F*18*")),
            (("ga68", "68ga", "ga 68", "gallium ga 68", "gallium", "gallium 68", "68 gallium"),
             ("*68*Gallium*", "*Ga*68*")),
            (("c11", "11c", "carbon 11"), ("*11*Carbon*", "*C*11*")),
            (("cu64", "64cu", "copper 64"), ("*64*Copper*", "*Cu*64*")),
        )
        for word in words
    },
    "radiopharmaceutical": {
        "fdg": ("*fluorodeoxyglucose*", "*fdg*"),
        "fluorodeoxyglucose": ("*fdg*",),
        "flt": ("*fluorothymidine*",),
        "psma": ("*prostate*specific*", "*psma*"),
    },
    "contrast_agent": {
        word: patterns
        for words, patterns in (
            (("gadolinium", "gbca", "gd"),
             ("*gad*", "*magnevist*", "*multihance*", "*dotarem*", "*prohance*", "*omniscan*")),
            (("iodine", "iodinated"),
             ("*iod*", "*omnipaque*", "*isovue*", "*visipaque*", "*ultravist*", "*optiray*")),
        )
        for word in words
    },
    "segmentation_algorithm_type": {
        "ai": ("AUTOMATIC",),
        "automated": ("AUTOMATIC",),
        "automatically": ("AUTOMATIC",),
        "semi automatic": ("SEMIAUTOMATIC",),
        "semi automated": ("SEMIAUTOMATIC",),
        "semiautomated": ("SEMIAUTOMATIC",),
        "expert": ("MANUAL",),
        "human": ("MANUAL",),
    },
}  # fmt: skip
"""What people say for values of an attribute (folded), as values or patterns of its filter.

Scanning sequences: DICOM PS3.3 C.8.3.1; they name the pulse sequence, not T1 or T2.
"""


def attribute_named(asked: str) -> Attribute | None:
    """The attribute that a name stands for: another name of it, or its only own column's."""
    word = bare(asked)
    for attribute in ATTRIBUTES.values():
        names = (*attribute.asked_as, *(place.column for place in attribute.places))
        if any(word == bare(name) for name in (attribute.name, *names)):
            return attribute
    return None


def attribute_at(place: Place) -> Attribute | None:
    """The attribute that is this column and no other."""
    found = [one for one in ATTRIBUTES.values() if one.places == (place,)]
    return found[0] if found else None


def said(name: str, value: str) -> list[str]:
    """What the values of an attribute may be that people call `value`."""
    return list(SAID.get(name, {}).get(folded(value), ()))


def modalities_of(places: tuple[Place, ...]) -> tuple[str, ...]:
    """The modalities that the tables of these places describe."""
    return tuple(
        dict.fromkeys(one for place in places for one in TABLE_MODALITIES.get(place.table, ()))
    )
