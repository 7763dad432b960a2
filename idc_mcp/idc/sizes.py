"""How much a cohort is: exact bytes and files by group, the largest series, disk and time.

Sizes are counted as IDC counts them, in decimal units; bytes are exact integers.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from idc_mcp.errors import BadArgument
from idc_mcp.idc.manifests.reading import SHOWN_CHARS, shortened
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.sql import identifier
from idc_mcp.index.layout import VALUE_COLUMNS
from idc_mcp.index.release import MAIN_TABLE
from idc_mcp.quantities import bytes_text

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

GROUP_COLUMNS = VALUE_COLUMNS[MAIN_TABLE]
"""Columns of `index` with few enough values to group by."""

LARGEST = 5
HUGE_BYTES = 10_000_000_000
"""A series over this is worth a word: it alone takes minutes to hours."""

USUAL_MBPS = (100.0, 1000.0)
"""Megabits a second that times are told for where the caller names none."""

_WORTH_SAYING = 0.05
"""What would save less than this share of the bytes is not proposed."""


@dataclass(frozen=True)
class Group:
    """A value of the column with its series, files (known ones) and exact bytes."""

    value: str | None
    series: int
    files: int | None
    bytes: int


@dataclass(frozen=True)
class Sizes:
    """A cohort measured.

    Attributes
    ----------
    files
        Files of the series whose number is known; `without_files` counts the others (the
        index of prior versions does not hold it).
    groups
        Largest first.
    largest
        (SeriesInstanceUID, collection_id, Modality, bytes), largest first.
    """

    series: int
    files: int
    bytes: int
    without_files: int
    groups: list[Group]
    largest: list[tuple[str, str, str, int]]
    huge: tuple[int, int]


def measure(index: Index, cohort: Cohort, group_by: str = "Modality") -> Sizes:
    """The sizes of a cohort by a column of `index`.

    Raises
    ------
    BadArgument
        The column is unknown, or has too many values to group by.
    """
    column = group_column(group_by)
    name = identifier(column)
    rows = index.rows(
        f"SELECT CAST({name} AS VARCHAR), count(*), CAST(sum(instanceCount) AS BIGINT), "
        "CAST(coalesce(sum(series_bytes), 0) AS BIGINT), count(*) - count(instanceCount), "
        f"count(*) FILTER (series_bytes > {HUGE_BYTES}), "
        f"CAST(coalesce(sum(series_bytes) FILTER (series_bytes > {HUGE_BYTES}), 0) AS BIGINT) "
        f"FROM {cohort.source} GROUP BY 1 ORDER BY 4 DESC, 1"
    )
    largest = index.rows(
        "SELECT SeriesInstanceUID, collection_id, Modality, series_bytes "
        f"FROM {cohort.source} ORDER BY series_bytes DESC NULLS LAST, SeriesInstanceUID "
        f"LIMIT {LARGEST}"
    )
    return Sizes(
        series=sum(row[1] for row in rows),
        files=sum(row[2] or 0 for row in rows),
        bytes=sum(row[3] for row in rows),
        without_files=sum(row[4] for row in rows),
        groups=[Group(*row[:4]) for row in rows],
        largest=[
            (str(uid), str(where), str(kind), int(size)) for uid, where, kind, size in largest
        ],
        huge=(sum(row[5] for row in rows), sum(row[6] for row in rows)),
    )


def group_column(name: str) -> str:
    """The column of `index` that `group_by` means, without regard to case."""
    for column in GROUP_COLUMNS:
        if column.lower() == name.strip().lower():
            return column
    close = nearest(name[:SHOWN_CHARS], GROUP_COLUMNS, limit=1)
    raise BadArgument(
        f"group_by={shortened(name)!r} is not a column of few values.",
        nearest=close,
        next_step="idc_schema(table='index') lists the columns"
        if close
        else f"give one of {', '.join(GROUP_COLUMNS)}; idc_sql groups by any other",
    )


def free_bytes(directory: Path) -> tuple[Path, int]:
    """The nearest directory that exists at or above `directory`, and the free bytes there."""
    place = next(path for path in (directory, *directory.parents) if path.exists())
    return place, shutil.disk_usage(place).free


def seconds_at(size: int, megabits_per_second: float) -> float:
    """How long `size` bytes take at a bandwidth, nothing lost on the way."""
    return size * 8 / (megabits_per_second * 1e6)


def savings(sizes: Sizes, column: str) -> list[str]:
    """What would shrink the cohort most, with the bytes it saves; most first."""
    found: list[tuple[int, str]] = []
    if len(sizes.groups) > 1:
        for group in sizes.groups[:3]:
            what = f"without {column} {group.value or '(null)'}"
            if column == "Modality" and group.value == "SM":
                what += " (whole-slide pyramids: every magnification lies in one series)"
            found.append((group.bytes, what))
    count, size = sizes.huge
    if 0 < count < sizes.series:
        found.append((size, f"without the {count:,} series over {bytes_text(HUGE_BYTES)}"))
    worth = [item for item in found if sizes.bytes and item[0] / sizes.bytes >= _WORTH_SAYING]
    return [
        f"{what}: −{bytes_text(saved)} ({saved / sizes.bytes:.0%})"
        for saved, what in sorted(worth, reverse=True)
    ]
