"""Ranges and answers as people write them: `1.5 mm`, `>= 3`, `{'min': 1}`, `yes`.

What is read is what can mean one thing only: a number in the filter's own unit, both bounds
included. Everything else is an error that shows how it is written.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Any

from idc_mcp.idc.filters.conditions import NULL

FROM, TO = "from", "to"

UNITS: dict[str, tuple[str, ...]] = {
    "mm": ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    "T": ("T", "tesla"),
    "ms": ("ms", "msec", "milliseconds"),
    "s_mm2": ("s/mm2", "s/mm²", "s/mm^2"),
    "kV": ("kV", "kVp"),
    "years": ("years", "year", "yrs", "yr", "y"),
    "MB": ("MB",),
    "power": ("x", "×"),
}
"""By the end of a filter's name, its unit as it is written, the usual one first."""

_KEYS = {
    "from": FROM, "min": FROM, "minimum": FROM, "gte": FROM, "ge": FROM, ">=": FROM,
    "to": TO, "max": TO, "maximum": TO, "lte": TO, "le": TO, "<=": TO,
}  # fmt: skip
_NEARLY_KEYS = {
    "gt": FROM, ">": FROM, "above": FROM, "over": FROM, "after": FROM, "since": FROM,
    "start": FROM, "begin": FROM, "low": FROM, "lower": FROM,
    "lt": TO, "<": TO, "below": TO, "under": TO, "before": TO, "until": TO,
    "end": TO, "stop": TO, "high": TO, "upper": TO,
}  # fmt: skip
"""Keys that leave their bound out, or may; what they are nearest to."""

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?"
_LARGEST = 1e300
_SHOWN = "give 1.5, or {'from': …, 'to': …}"
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_YES = {"true": True, "yes": True, "false": False, "no": False}


class Unread(ValueError):
    """What is given cannot be read; `nearest` is how it may have been meant."""

    def __init__(self, why: str, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.nearest = nearest


def is_null(given: Any) -> bool:
    """Whether what is empty is asked for."""
    return isinstance(given, str) and given.strip().lower() == NULL


def number_bounds(given: Any, name: str, *, kept: bool) -> tuple[float | None, float | None]:
    """Numbers from/to of the filter `name`, both included.

    `kept` says that [from, to] may stand for them, as in definitions that are kept.

    Raises
    ------
    Unread
        It is no range of numbers in the filter's unit.
    """
    given = _one(given, kept=kept)
    if isinstance(given, dict):
        bounds = _bounds(given)
        low, high = (_bound(bounds, side, name) for side in (FROM, TO))
    elif isinstance(given, str):
        low, high = _text(given, name)
    else:
        low = high = _finite(given)
    _check(low, high, "above")
    return low, high


def date_bounds(given: Any, *, kept: bool) -> tuple[str | None, str | None]:
    """ISO dates from/to, both included; as `number_bounds`."""
    given = _one(given, kept=kept)
    bounds = _bounds(given) if isinstance(given, dict) else {FROM: given, TO: given}
    low, high = (None if bounds.get(one) is None else _iso(bounds[one]) for one in (FROM, TO))
    _check(low, high, "after")
    return low, high


def yes_or_no(given: Any) -> bool:
    """True or false, as JSON or as a word; 1 and 0 are neither.

    Raises
    ------
    Unread
        It is neither.
    """
    one = given[0] if isinstance(given, list) and len(given) == 1 else given
    if isinstance(one, bool):
        return one
    if isinstance(one, str) and one.strip().lower() in _YES:
        return _YES[one.strip().lower()]
    raise Unread(f"{_shown(given)} is neither true nor false; give true or false")


def unit_of(name: str) -> tuple[str, ...]:
    """The unit of a filter or column as it is written; () where its name says none."""
    found = [units for end, units in UNITS.items() if name.endswith(f"_{end}")]
    return found[-1] if found else ()


def _one(given: Any, *, kept: bool) -> Any:
    if not isinstance(given, list):
        return given
    if len(given) == 1:
        return given[0]
    if kept and len(given) == 2:
        return {FROM: given[0], TO: given[1]}
    if not given:
        raise Unread("the list is empty; leave the filter out or give a value")
    ordered = sorted(given) if all(type(one) in (int, float) for one in given) else given
    whole = f"{{'from': {_shown(ordered[0])}, 'to': {_shown(ordered[-1])}}}"
    raise Unread(
        f"a list is no range. For everything between give {whole}; these values alone are not one "
        "filter: join a cohort of each, idc_cohort(identifiers=['c_…', 'c_…']), or ask by "
        "idc_cohort(sql=…)",
        (whole,),
    )


def _bounds(given: dict[Any, Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for key, value in given.items():
        said = str(key).strip().lower()
        if said not in _KEYS:
            meant = _NEARLY_KEYS.get(said)
            as_keys = (f"{{'{meant}': {_shown(value)}}}",) if meant else (FROM, TO)
            raise Unread(
                f"the keys of a range are 'from' and 'to', which include the bound; {_shown(key)} "
                "is neither",
                as_keys,
            )
        if _KEYS[said] in bounds:
            raise Unread(f"'{_KEYS[said]}' is given twice")
        bounds[_KEYS[said]] = value
    return bounds


def _bound(bounds: dict[str, Any], side: str, name: str) -> float | None:
    value = bounds.get(side)
    if value is None:
        return None
    if not isinstance(value, str):
        return _finite(value)
    low, high = _text(value, name)
    if low is None or low != high:
        raise Unread(f"'{side}' was {_shown(value)}; give one number")
    return low


def _text(given: str, name: str) -> tuple[float | None, float | None]:
    unit = unit_of(name)
    found = _written(unit).fullmatch(given.strip().lower())
    if found is None:
        in_unit = f" in {unit[0]}" if unit else ""
        raise Unread(f"{_shown(given)} is not read as a number{in_unit}; {_SHOWN}")
    sign, first, second = found["sign"], _finite(found["low"]), found["high"]
    if second is not None:
        if sign:
            raise Unread(f"{_shown(given)} is both a comparison and a range; {_SHOWN}")
        return first, _finite(second)
    if sign in ("<", ">"):
        meant = f"{{'{TO if sign == '<' else FROM}': {found['low']}}}"
        raise Unread(
            f"{_shown(given)} leaves {found['low']} out, and 'from' and 'to' include the bound; "
            f"give {meant}",
            (meant,),
        )
    return (
        None if sign in ("<=", "≤") else first,
        None if sign in (">=", "≥") else first,
    )


@lru_cache
def _written(unit: tuple[str, ...]) -> re.Pattern[str]:
    """A number or a range with its unit, or a comparison with a number."""
    units = f"(?:\\s*(?:{'|'.join(re.escape(one.lower()) for one in unit)}))?" if unit else ""
    between = rf"\s*(?:-|–|\.\.|to)\s*(?P<high>{_NUMBER}){units}"
    compared = r"(?P<sign><=|>=|≤|≥|==?|<|>)?\s*"
    return re.compile(rf"{compared}(?P<low>{_NUMBER}){units}(?:{between})?")


def _finite(given: Any) -> float:
    if isinstance(given, bool):
        raise Unread("true and false are no numbers")
    try:
        number = float(given)
    except (TypeError, ValueError):
        raise Unread(f"{_shown(given)} is no number; {_SHOWN}") from None
    except OverflowError:
        number = float("inf")
    if not abs(number) < _LARGEST:  # NaN is not below anything either
        raise Unread(f"{_shown(given)} is not a finite number; {_SHOWN}, or leave a bound out")
    return number


def _iso(given: Any) -> str:
    if not isinstance(given, str) or not _ISO_DATE.fullmatch(given):
        digits = re.sub(r"\D", "", str(given))
        hint = f"; {digits[:4]}-{digits[4:6]}-{digits[6:]}?" if len(digits) == 8 else ""
        raise Unread(f"{_shown(given)} is not an ISO date such as 2010-01-31{hint}")
    try:
        date.fromisoformat(given)
    except ValueError as error:
        raise Unread(f"{given!r} is not a date: {error}") from None
    return given


def _check(low: Any, high: Any, wrong: str) -> None:
    if low is None and high is None:
        raise Unread("the range has neither 'from' nor 'to'")
    if low is not None and high is not None and low > high:
        shown = [one if isinstance(one, str) else f"{one:g}" for one in (low, high)]
        raise Unread(f"'from' {shown[0]} is {wrong} 'to' {shown[1]}")


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:60]}…"
