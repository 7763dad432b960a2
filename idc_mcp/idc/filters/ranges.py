"""Filters by a range: numbers, dates, ages."""

from __future__ import annotations

from typing import Any, Literal

from idc_mcp.idc.filters.conditions import NULL, Condition
from idc_mcp.idc.filters.given import DateRange, NumberRange
from idc_mcp.idc.sql import identifier, literal

AGE_IN_YEARS = (
    "CASE WHEN regexp_full_match(PatientAge, '[0-9]{1,3}[YMWDymwd]?') "
    "AND upper(PatientAge) <> '000Y' THEN "
    "CAST(regexp_extract(PatientAge, '[0-9]+') AS DOUBLE) / CASE upper(right(PatientAge, 1)) "
    "WHEN 'M' THEN 12 WHEN 'W' THEN 52.1775 WHEN 'D' THEN 365.2425 ELSE 1 END END"
)
"""PatientAge (DICOM PS3.5 6.2, value representation AS: nnnD, nnnW, nnnM, nnnY) in years.

`000Y` counts as unknown: whole collections of adults carry it (4d_lung does).
"""


def age(bounds: NumberRange | Literal["null"]) -> Condition:
    """A patient's age; what is empty or `000Y` is unknown, and its series are counted."""
    if bounds == NULL:
        return _empty("patient_age_years", f"({AGE_IN_YEARS})", "is not known")
    low, high = _whole(bounds.low), _whole(bounds.high)
    return Condition(
        "patient_age_years",
        _between(f"({AGE_IN_YEARS})", low, high),
        f"patient_age_years {_from_to(low, high)}",
        [low, high],
        unknown=f"({AGE_IN_YEARS}) IS NULL",
        unknown_means="PatientAge is empty, 000Y or no age",
    )


def dates(name: str, bounds: DateRange | Literal["null"]) -> Condition:
    """A date, as ISO text."""
    if bounds == NULL:
        return _empty(name, identifier(name))
    return Condition(
        name,
        _between(identifier(name), bounds.low, bounds.high),
        f"{name} {_from_to(bounds.low, bounds.high)}",
        [bounds.low, bounds.high],
        notes=["dates are shifted per patient: compare them within a patient only"],
        unknown=f"{identifier(name)} IS NULL",
        unknown_means=f"{name} is empty",
    )


def numbers(name: str, bounds: NumberRange | Literal["null"]) -> Condition:
    """A number of a column."""
    if bounds == NULL:
        return _empty(name, identifier(name))
    low, high = _whole(bounds.low), _whole(bounds.high)
    return Condition(
        name, _between(identifier(name), low, high), f"{name} {_from_to(low, high)}", [low, high]
    )


def _empty(name: str, expression: str, what: str = "is empty") -> Condition:
    return Condition(name, f"{expression} IS NULL", f"{name} {what}", NULL)


def _between(expression: str, low: Any, high: Any) -> str:
    if low is not None and high is not None:
        if low == high:
            return f"{expression} = {literal(low)}"
        return f"{expression} BETWEEN {literal(low)} AND {literal(high)}"
    bound, sign = (low, ">=") if low is not None else (high, "<=")
    return f"{expression} {sign} {literal(bound)}"


def _from_to(low: Any, high: Any) -> str:
    if low == high:
        return f"= {low}"
    parts = [f"from {low}"] if low is not None else []
    return " ".join(parts + ([f"to {high}"] if high is not None else []))


def _whole(number: float | None) -> float | int | None:
    whole = number is not None and abs(number) < 2**53 and number == int(number)
    return int(number) if whole and number is not None else number
