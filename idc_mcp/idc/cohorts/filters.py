"""The filters of a cohort: what may be asked, and how it is understood in this release.

Keys are the columns' own names, and beside them what people ask for by meaning. Values match
without regard to case; `*` stands for any text and `null` for an empty value. One that
matches nothing is an error with the nearest values, never a zero.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from typing_extensions import TypeAliasType

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _values(given: Any) -> Any:
    """One value or several, as a list of text."""
    many = given if isinstance(given, list) else [given]
    if not many:
        raise ValueError("the list is empty; leave the filter out or give a value")
    if any(isinstance(value, bool) or not isinstance(value, str | int) for value in many):
        raise ValueError("give text, or a list of texts")
    texts = [str(value).strip() for value in many]
    if "" in texts:
        raise ValueError("a value is empty; use 'null' for series that have none")
    return list(dict.fromkeys(texts))


def _bounds(given: Any) -> Any:
    """A range as {from, to}, [from, to], or one value for both."""
    if isinstance(given, list):
        if len(given) != 2:
            raise ValueError("a range is {'from': …, 'to': …} or a list of two")
        return {"from": given[0], "to": given[1]}
    bounds = given if isinstance(given, dict) else {"from": given, "to": given}
    if any(isinstance(bound, bool) for bound in bounds.values()):
        raise ValueError("true and false are no bounds")
    return bounds


def _range_schema(kind: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"from": {"type": kind}, "to": {"type": kind}}}


class NumberRange(BaseModel):
    """Numbers from/to, both included; either may be left out."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    low: float | None = Field(default=None, alias="from")
    high: float | None = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> NumberRange:
        if self.low is None and self.high is None:
            raise ValueError("the range has neither 'from' nor 'to'")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"'from' {self.low:g} is above 'to' {self.high:g}")
        return self


def _iso(given: Any) -> Any:
    if given is None:
        return None
    if not isinstance(given, str) or not _ISO_DATE.fullmatch(given):
        digits = re.sub(r"\D", "", str(given))
        hint = f"; {digits[:4]}-{digits[4:6]}-{digits[6:]}?" if len(digits) == 8 else ""
        raise ValueError(f"{given!r} is not an ISO date such as 2010-01-31{hint}")
    try:
        date.fromisoformat(given)
    except ValueError as error:
        raise ValueError(f"{given!r} is not a date: {error}") from None
    return given


class DateRange(BaseModel):
    """ISO dates from/to, both included; either may be left out."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    low: Annotated[str | None, BeforeValidator(_iso)] = Field(default=None, alias="from")
    high: Annotated[str | None, BeforeValidator(_iso)] = Field(default=None, alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> DateRange:
        if self.low is None and self.high is None:
            raise ValueError("the range has neither 'from' nor 'to'")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"'from' {self.low} is after 'to' {self.high}")
        return self


# A named type is published once and referred to, not repeated for each of the filters.
Values = TypeAliasType(
    "Values",
    Annotated[
        list[str],
        BeforeValidator(_values),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        ),
    ],
)
Numbers = TypeAliasType(
    "Numbers",
    Annotated[NumberRange, BeforeValidator(_bounds), WithJsonSchema(_range_schema("number"))],
)
Dates = TypeAliasType(
    "Dates",
    Annotated[DateRange, BeforeValidator(_bounds), WithJsonSchema(_range_schema("string"))],
)


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
    has_annotations: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_null(cls, given: Any) -> Any:
        # A null is not "any": left unsaid, the caller would believe it had filtered.
        if isinstance(given, dict):
            for name, value in given.items():
                if value is None:
                    raise ValueError(
                        f"{name} is null; leave it out for any value, or give 'null' as text "
                        "for series that have none"
                    )
        return given

    def given(self) -> dict[str, Any]:
        """The filters that were given, by name."""
        return {
            name: value
            for name in type(self).model_fields
            if (value := getattr(self, name)) is not None
        }
