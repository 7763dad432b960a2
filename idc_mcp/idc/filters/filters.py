"""The filters of a cohort: what may be asked, and how it is understood in this release.

Keys are the columns' own names, and beside them what people ask for by meaning
(`attributes.py`); `columns` holds every other column of the specialised tables. Values match
without regard to case; `*` stands for any text and `null` for an empty value. One that
matches nothing is an error with the nearest values, never a zero.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from idc_mcp.errors import BadArgument
from idc_mcp.idc.filters.attributes import ATTRIBUTES, COLUMNS_FILTER, attribute_named
from idc_mcp.idc.filters.columns import places
from idc_mcp.idc.filters.given import Columns, Dates, Flag, Numbers, Values, YesOrNo
from idc_mcp.idc.nearest import bare
from idc_mcp.index.release import installed_release


class Filters(BaseModel):
    """Filters of `idc_cohort`; all given ones must hold, any value of one suffices."""

    model_config = ConfigDict(extra="forbid")

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "collection_id", "analysis_result_id", "Modality", "BodyPartExamined", "Manufacturer",
        "ManufacturerModelName", "PatientSex", "license_short_name", "sop_class_name",
        "SOPClassUID", "transfer_syntax_name", "TransferSyntaxUID",
        "PhotometricInterpretation", "source_DOI", "aws_bucket",
    )  # fmt: skip
    """Values of a column whose every value is known: a wrong one is named at once."""
    IDENTIFIERS: ClassVar[tuple[str, ...]] = (
        "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "crdc_series_uuid",
    )  # fmt: skip
    """Values of a column with too many values to list; each is looked up."""
    TEXTS: ClassVar[tuple[str, ...]] = ("SeriesDescription", "StudyDescription")
    """Contained in the column's text."""
    COLLECTION_TEXTS: ClassVar[tuple[str, ...]] = (
        "cancer_types", "tumor_locations", "species", "program_id",
    )  # fmt: skip
    """Contained in the text of the collection."""
    NUMBERS: ClassVar[tuple[str, ...]] = (
        "series_size_MB", "instanceCount", "series_init_idc_version",
        "series_revised_idc_version",
    )  # fmt: skip
    RANGES: ClassVar[tuple[str, ...]] = (
        *NUMBERS, "patient_age_years", "StudyDate",
        *(name for name, one in ATTRIBUTES.items() if one.kind == "number"),
    )  # fmt: skip
    """Those that take a range."""
    YES_OR_NO: ClassVar[tuple[str, ...]] = (
        "has_annotations",
        *(name for name, one in ATTRIBUTES.items() if one.kind in ("flag", "contrast")),
    )

    NEVER_NULL: ClassVar[tuple[str, ...]] = (
        *IDENTIFIERS, *COLLECTION_TEXTS, "has_annotations", "contrast", COLUMNS_FILTER,
    )  # fmt: skip
    """Those that do not take 'null'."""

    collection_id: Values | None = None
    analysis_result_id: Values | None = None
    Modality: Values | None = None
    BodyPartExamined: Values | None = None
    Manufacturer: Values | None = None
    ManufacturerModelName: Values | None = None
    PatientSex: Values | None = None
    license_short_name: Values | None = None
    sop_class_name: Values | None = None
    SOPClassUID: Values | None = None
    transfer_syntax_name: Values | None = None
    TransferSyntaxUID: Values | None = None
    PhotometricInterpretation: Values | None = None
    source_DOI: Values | None = None
    aws_bucket: Values | None = None
    PatientID: Values | None = None
    StudyInstanceUID: Values | None = None
    SeriesInstanceUID: Values | None = None
    crdc_series_uuid: Values | None = None
    SeriesDescription: Values | None = None
    StudyDescription: Values | None = None
    cancer_types: Values | None = None
    tumor_locations: Values | None = None
    species: Values | None = None
    program_id: Values | None = None
    patient_age_years: Numbers | None = None
    StudyDate: Dates | None = None
    series_size_MB: Numbers | None = None
    instanceCount: Numbers | None = None
    series_init_idc_version: Numbers | None = None
    series_revised_idc_version: Numbers | None = None
    has_annotations: YesOrNo | None = None
    slice_thickness_mm: Numbers | None = None
    slice_spacing_mm: Numbers | None = None
    pixel_spacing_mm: Numbers | None = None
    regularly_spaced_3d_volume: Flag | None = None
    magnetic_field_strength_T: Numbers | None = None
    scanning_sequence: Values | None = None
    echo_time_ms: Numbers | None = None
    repetition_time_ms: Numbers | None = None
    diffusion_b_value_s_mm2: Numbers | None = None
    kvp_kV: Numbers | None = None
    convolution_kernel: Values | None = None
    contrast: YesOrNo | None = None
    contrast_agent: Values | None = None
    radionuclide: Values | None = None
    radiopharmaceutical: Values | None = None
    stain: Values | None = None
    objective_power: Numbers | None = None
    specimen_site: Values | None = None
    specimen_type: Values | None = None
    segmented_structure: Values | None = None
    segmented_region: Values | None = None
    segmentation_algorithm: Values | None = None
    segmentation_algorithm_type: Values | None = None
    roi_name: Values | None = None
    annotated_property: Values | None = None
    columns: Columns | None = None

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_null(cls, given: Any) -> Any:
        # A null is not "any": left unsaid, the caller would believe it had filtered.
        if isinstance(given, dict):
            for name, value in given.items():
                if name not in cls.model_fields:
                    _refuse_what_has_another_name(name)
                elif value is None:
                    none = (
                        ""
                        if name in cls.NEVER_NULL
                        else ", or give 'null' as text for series that have none"
                    )
                    raise ValueError(f"{name} is null; leave it out for any value{none}")
        return given

    def given(self) -> dict[str, Any]:
        """The filters that were given, by name."""
        return {
            name: value
            for name in type(self).model_fields
            if (value := getattr(self, name)) is not None
        }


def _refuse_what_has_another_name(name: str) -> None:
    """Say under which filter something is found; what is not known is left to pydantic."""
    attribute = attribute_named(name)
    close = [attribute.name] if attribute else []
    close += [
        f"columns={{'{place}': …}}"
        for place in places(installed_release())
        if bare(name) in (bare(place.column), bare(str(place)))
        and not (attribute and place in attribute.places)
    ]
    if close:
        raise BadArgument(
            f"'{name}' is not one of idc_cohort's filters.",
            nearest=close,
            next_step=f"call idc_cohort again with {close[0]}",
        )
