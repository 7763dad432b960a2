"""Numbers of specialised tables, as a filter by meaning or `columns` asks for them.

What scanners write is rarely the round number that people ask for: 1.5 T is also written
1.494. So one number takes what lies within `TOLERANCE` of it, and a range looks at numbers
rounded to `DECIMALS`, for 5 is also written 5.0000001. Whole numbers are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from idc_mcp.errors import NotFound
from idc_mcp.idc.filters.conditions import NEAR_MISSES
from idc_mcp.idc.filters.given import NumberRange

TOLERANCE = 0.005
DECIMALS = 6
NEARBY = 0.1
"""How far off a number is still shown as a near miss."""

FIELD_STRENGTH = "MagneticFieldStrength"
_GAUSS, _GAUSS_ABOVE = 10_000, 100
"""Gauss in a tesla, and what no field strength in tesla is above.

Some scanners write FIELD_STRENGTH (DICOM PS3.3 C.8.3.1: tesla) in gauss.
"""


def in_gauss(value: float) -> bool:
    """Whether a field strength was written in gauss."""
    return value > _GAUSS_ABOVE


def in_tesla(value: float) -> float:
    """A field strength in tesla."""
    return value / _GAUSS if in_gauss(value) else value


def tesla_sql(value: str) -> str:
    """An expression for a field strength in tesla."""
    return f"(CASE WHEN {value} > {_GAUSS_ABOVE} THEN {value} / {_GAUSS} ELSE {value} END)"


@dataclass(frozen=True)
class Measure:
    """What is asked of a number.

    `whole` says that the column holds whole numbers, and `zero_counts` that 0 and less are
    values of it: of a range without `from` they are otherwise left out.
    """

    low: float | None
    high: float | None
    whole: bool
    zero_counts: bool

    @classmethod
    def of(cls, bounds: NumberRange, *, whole: bool, zero_counts: bool) -> Measure:
        """The measure that a range asks for."""
        return cls(bounds.low, bounds.high, whole, zero_counts)

    @property
    def single(self) -> bool:
        """Whether one number is asked for."""
        return self.low == self.high

    @property
    def leaves_zero_out(self) -> bool:
        """Whether 0 and less are left out though no bound says so."""
        return self.low is None and not self.zero_counts and self.high is not None and self.high > 0

    def bounds(self) -> tuple[float | None, float | None]:
        """The bounds with their tolerance."""
        share = TOLERANCE if self.single and not self.whole else 0.0
        low = None if self.low is None else self.low - abs(self.low) * share
        return low, None if self.high is None else self.high + abs(self.high) * share

    def sql(self, value: str) -> str:
        """The condition on an expression."""
        low, high = self.bounds()
        if not (self.whole or self.single):
            value = f"round({value}, {DECIMALS})"
        above = f"{value} > 0 AND " if self.leaves_zero_out else ""
        if low is None:
            return f"{above}{value} <= {number(high or 0)}"
        if high is None:
            return f"{value} >= {number(low)}"
        if low == high:
            return f"{value} = {number(low)}"
        return f"{value} BETWEEN {number(low)} AND {number(high)}"

    def takes(self, value: float) -> bool:
        """Whether a number is taken, as `sql` says."""
        low, high = self.bounds()
        if not (self.whole or self.single):
            value = round(value, DECIMALS)
        return (
            (low is None or value >= float(number(low)))
            and (high is None or value <= float(number(high)))
            and not (self.leaves_zero_out and value <= 0)
        )

    def words(self) -> str:
        """What is taken, in a person's words."""
        if self.single:
            assert self.low is not None
            within = "" if self.whole or not self.low else f" (within {TOLERANCE:.1%})"
            return f"= {number(self.low)}{within}"
        parts = ["above 0"] if self.leaves_zero_out else []
        parts += [f"from {number(self.low)}"] if self.low is not None else []
        return " ".join([*parts, *([f"to {number(self.high)}"] if self.high is not None else [])])

    def canonical(self) -> list[float | int | None]:
        """The bounds as plain data."""
        return [_plain(self.low), _plain(self.high)]


def near_misses(measure: Measure, numbers: dict[float, int]) -> list[tuple[str, int]]:
    """Numbers close to the one that is asked for and left out, the most frequent first."""
    if not measure.single or not measure.low:
        return []
    wanted = measure.low
    close: dict[str, int] = {}
    for value, rows in numbers.items():
        if not measure.takes(value) and abs(value - wanted) <= abs(wanted) * NEARBY:
            close[number(value, 5)] = close.get(number(value, 5), 0) + rows
    return sorted(close.items(), key=lambda found: -found[1])[:NEAR_MISSES]


def nothing(
    name: str, measure: Measure, numbers: dict[float, int], what: str, release: str
) -> NotFound:
    """The error where no number that is recorded is asked for; `what` is counted: series."""
    if not numbers:
        return NotFound(f"{name} is recorded in no {what} of IDC {release}.")
    wanted = measure.high if measure.low is None else measure.low
    assert wanted is not None
    close = sorted(numbers, key=lambda value: (abs(value - wanted), value))[:3]
    return NotFound(
        f"{name} {measure.words()} is recorded in no {what} of IDC {release}; the values go from "
        f"{number(min(numbers))} to {number(max(numbers))}.",
        nearest=[f"{number(value)} ({numbers[value]:,} {what})" for value in close],
        next_step="ask for one of these, or for a range {'from': …, 'to': …}",
    )


def number(value: float, digits: int = 9) -> str:
    """A number as people write it, with so many significant digits."""
    plain = _plain(value)
    return str(plain) if isinstance(plain, int) else f"{value:.{digits}g}"


def _plain(value: float | None) -> float | int | None:
    whole = value is not None and abs(value) < 2**53 and value == int(value)
    return int(value) if whole and value is not None else value
