"""What a filter may be given as: values, ranges of numbers and of dates, values of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator, ValidationInfo, WithJsonSchema
from typing_extensions import TypeAliasType

from idc_mcp.idc.filters.conditions import NULL
from idc_mcp.idc.filters.written import (
    FROM,
    TO,
    Unread,
    date_bounds,
    is_null,
    number_bounds,
    yes_or_no,
)

SAID = {"said": True}
"""The context in which what a caller says is validated: there a list of two is no range.

Without it the canonical form of definitions, [from, to], is read too: kept files hold it.
"""


@dataclass(frozen=True)
class NumberRange:
    """Numbers from/to, both included; either may be left out."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class DateRange:
    """ISO dates from/to, both included; either may be left out."""

    low: str | None
    high: str | None


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


def numbers_of(given: Any, name: str, *, kept: bool = False) -> NumberRange | Literal["null"]:
    """A range of numbers, in the unit that `name` has, or 'null'.

    Raises
    ------
    Unread
        It is neither.
    """
    if is_null(given):
        return NULL
    return NumberRange(*number_bounds(given, name, kept=kept))


def flag_of(given: Any) -> bool | Literal["null"]:
    """True, false, or 'null'."""
    return NULL if is_null(given) else yes_or_no(given)


def _kept(info: ValidationInfo) -> bool:
    return info.context != SAID


def _numbers(given: Any, info: ValidationInfo) -> Any:
    return numbers_of(given, info.field_name or "", kept=_kept(info))


def _dates(given: Any, info: ValidationInfo) -> Any:
    return NULL if is_null(given) else DateRange(*date_bounds(given, kept=_kept(info)))


def _columns(given: Any, info: ValidationInfo) -> Any:
    """Values by column; what a column takes is known where its type is."""
    if not isinstance(given, dict) or not given:
        raise Unread("give an object such as {'ct_index.KVP': {'to': 100}}")
    for column, value in given.items():
        if value is None or value in ([], {}, ""):
            raise Unread(f"{column} is empty; leave it out, or give a value, 'null' for none")
    if not _kept(info):
        return given
    return {column: _kept_range(value) for column, value in given.items()}


def _kept_range(value: Any) -> Any:
    """[from, to] as a range; texts are never kept as numbers."""
    numbers = isinstance(value, list) and all(
        one is None or type(one) in (int, float) for one in value
    )
    return {FROM: value[0], TO: value[1]} if numbers and len(value) == 2 else value


_NULL_SCHEMA = {"type": "string", "enum": [NULL]}


def _range_schema(kind: str) -> dict[str, Any]:
    return {"type": "object", "properties": {FROM: {"type": kind}, TO: {"type": kind}}}


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
        NumberRange | Literal["null"],
        PlainValidator(_numbers),
        WithJsonSchema({"anyOf": [{"type": "number"}, _range_schema("number"), _NULL_SCHEMA]}),
    ],
)
Dates = TypeAliasType(
    "Dates",
    Annotated[
        DateRange | Literal["null"],
        PlainValidator(_dates),
        WithJsonSchema({"anyOf": [_range_schema("string"), _NULL_SCHEMA]}),
    ],
)
YesOrNo = Annotated[bool, PlainValidator(yes_or_no), WithJsonSchema({"type": "boolean"})]
Flag = Annotated[
    bool | Literal["null"],
    PlainValidator(flag_of),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, _NULL_SCHEMA]}),
]
Columns = Annotated[dict[str, Any], PlainValidator(_columns), WithJsonSchema({"type": "object"})]
