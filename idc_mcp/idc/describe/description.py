"""The shape of every account of `idc_describe`, and what several of them count alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from idc_mcp.answers import Table
from idc_mcp.index.store import Index
from idc_mcp.quantities import bytes_text

MOST_LISTED = 6
"""Values listed in a sentence; the others are counted."""


@dataclass
class Description:
    """What something is and what matters about it; only what applies is set.

    `about` holds single facts by name; the tables hold what there is several of.
    """

    kind: str
    understood: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    modalities: Table | None = None
    licenses: Table | None = None
    sources: Table | None = None
    collections: Table | None = None
    versions: Table | None = None
    studies: Table | None = None
    series: Table | None = None
    tables: Table | None = None
    columns: Table | None = None
    notes: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """A row of facts.groups: series alike in all that is counted."""

    collection_id: str
    analysis_result_id: str | None
    Modality: str
    BodyPartExamined: str | None
    license_short_name: str
    source_DOI: str
    series_init_idc_version: int
    series_revised_idc_version: int
    series: int
    bytes: int


_COLUMNS = tuple(Group.__dataclass_fields__)


def groups(index: Index, column: str, value: str) -> list[Group]:
    """The groups of series where a column has a value."""
    rows = index.rows(f"SELECT {', '.join(_COLUMNS)} FROM facts.groups WHERE {column} = ?", [value])
    return [Group(*row) for row in rows]


def tally(found: Iterable[Group], key: Callable[[Group], Any], heads: Sequence[str]) -> Table:
    """Series and size by a key, most series first; `heads` names the columns of the key."""
    counts: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for group in found:
        entry = counts[key(group)]
        entry[0] += group.series
        entry[1] += group.bytes
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], str(item[0])))
    return Table.of(
        (*heads, "series", "size"),
        [
            (*(name if isinstance(name, tuple) else (name,)), series, bytes_text(size))
            for name, (series, size) in ordered
        ],
    )


def listed(found: Iterable[Group], key: Callable[[Group], str | None]) -> str:
    """Values with their series in a sentence: `CHEST 12, LUNG 3, empty 5`."""
    counts: dict[str, int] = defaultdict(int)
    for group in found:
        counts[key(group) or "empty"] += group.series
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    text = ", ".join(f"{value} {count:,}" for value, count in ordered[:MOST_LISTED])
    more = len(ordered) - MOST_LISTED
    return text + (f", {more} more" if more > 0 else "")


def sizes(patients: int, studies: int, series: int, instances: int, size: int) -> dict[str, Any]:
    """The counts of something, as every account names them."""
    return {
        "patients": patients,
        "studies": studies,
        "series": series,
        "instances": instances,
        "size": bytes_text(size),
    }


def license_note(licenses: Table) -> list[str]:
    """A warning where licences are mixed."""
    if len(licenses.rows) < 2:
        return []
    return [f"{len(licenses.rows)} licences: the strictest governs a mix; idc_licenses tells."]
