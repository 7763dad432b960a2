"""What a filter may be given as: values, ranges of numbers and of dates, values of columns."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
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
    Annotated[
        NumberRange,
        BeforeValidator(_bounds),
        WithJsonSchema({"anyOf": [{"type": "number"}, _range_schema("number")]}),
    ],
)
Dates = TypeAliasType(
    "Dates",
    Annotated[DateRange, BeforeValidator(_bounds), WithJsonSchema(_range_schema("string"))],
)


def _columns(given: Any) -> Any:
    """Values by column; what a column takes is known where its type is."""
    if not isinstance(given, dict) or not given:
        raise ValueError("give an object such as {'ct_index.KVP': {'to': 100}}")
    for column, value in given.items():
        if value is None or value in ([], {}, ""):
            raise ValueError(f"{column} is empty; leave it out or give a value")
    return given


Columns = Annotated[dict[str, Any], BeforeValidator(_columns), WithJsonSchema({"type": "object"})]
