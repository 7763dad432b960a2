"""One filter, understood: what it is as SQL, what it takes, what it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

NULL: Final = "null"
"""The filter value that stands for an empty one."""

NEAR_MISSES = 4


@dataclass(frozen=True)
class Rows:
    """Rows of one table, or of those of one kind of annotation, as a filter asks for them.

    Filters with the same `group` must hold of the same rows, so their `tests` are put together
    before they become a condition on series.

    Attributes
    ----------
    tests
        Conditions on the rows, by table.
    fast
        A shorter way to what the tests give, as a SELECT of annotation_key and source_key.
    """

    group: str
    tests: tuple[tuple[str, str], ...]
    fast: str = ""


@dataclass(frozen=True)
class Condition:
    """One filter, understood.

    Attributes
    ----------
    sql
        A condition on `index`; `fast` is the same on core.series where that has a shorter way.
    matched
        What it takes, in a person's words.
    canonical
        The filter as plain data: the same for every way of asking the same.
    nearly
        Values that look alike and were left out, with their series in the release.
    unknown
        A condition for series that it leaves out only because nothing is known of them, and
        `unknown_means` what that is in words.
    rows
        What it asks of rows that other filters may ask of too; `sql` and `fast` are then what
        it is alone.
    """

    name: str
    sql: str
    matched: str
    canonical: Any
    nearly: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fast: str = ""
    unknown: str = ""
    unknown_means: str = ""
    rows: Rows | None = None


def any_of(parts: Sequence[str]) -> str:
    """Conditions of which one must hold."""
    return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"


def either(values: Sequence[str]) -> str:
    """Values as a person lists alternatives: `'a' or 'b'`."""
    return " or ".join(f"'{value}'" for value in values)
