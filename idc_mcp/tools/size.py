"""The tool that tells how much a cohort is."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.app import App
from idc_mcp.idc import sizes
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.quantities import bytes_text, duration_text

_MOST_GROUPS = 40
_MOST_SQL = 400
"""A definition longer than this is kept, and its handle told."""


class SizeAnswer(Answer):
    """Bytes and files of a cohort, what they need, and what would shrink them."""

    elastic: ClassVar[tuple[str, ...]] = ("largest", "groups")

    series: int
    files: int | None
    bytes: int
    size: str
    groups: Table
    largest: Table
    time: str
    disk: str = ""
    shrink: list[str] | None = None
    note: str = ""


def idc_size(
    app: App,
    cohort: Annotated[str, Field(description="Handle or identifiers")],
    group_by: Annotated[str, Field(description="A column of index with few values")] = "Modality",
    bandwidth_mbps: Annotated[
        float | None, Field(gt=0, le=1_000_000, description="Megabits a second")
    ] = None,
) -> SizeAnswer:
    """How big a cohort is: exact bytes and files by modality, collection or another column.

    Also the largest series, free disk here, download time, and what would shrink it most.
    """
    resolved = app.cohorts.resolve(cohort)
    column = sizes.group_column(group_by)
    found = sizes.measure(app.index, resolved, column)
    speeds = (bandwidth_mbps,) if bandwidth_mbps else sizes.USUAL_MBPS
    unknown = f"Files unknown for {found.without_files:,} series of prior versions."
    return SizeAnswer(
        release=app.release_name,
        understood=resolved.understood,
        series=found.series,
        files=None if found.without_files == found.series > 0 else found.files,
        bytes=found.bytes,
        size=bytes_text(found.bytes),
        groups=Table.of(
            [column, "series", "files", "bytes", "share"],
            [
                [group.value, group.series, group.files, group.bytes, _share(group.bytes, found)]
                for group in found.groups
            ],
            limit=_MOST_GROUPS,
            rest=_all_groups(app, resolved, cohort, column) if len(found.groups) > 1 else "",
        ),
        largest=Table.of(
            ["SeriesInstanceUID", "collection_id", "Modality", "size"],
            [[*row[:3], bytes_text(row[3])] for row in found.largest],
        ),
        time="; ".join(
            f"{duration_text(sizes.seconds_at(found.bytes, speed))} at {speed:g} Mbit/s"
            for speed in speeds
        ),
        disk="" if app.settings.hosted else _disk(app, found.bytes),
        shrink=sizes.savings(found, column),
        note=unknown if found.without_files else "",
    )


def _all_groups(app: App, resolved: Cohort, cohort: str, column: str) -> str:
    rows = f"({resolved.definition})"
    if resolved.handle == cohort.strip().lower():
        rows = resolved.handle
    elif resolved.spec and (len(rows) > _MOST_SQL or resolved.handle in rows):
        rows = app.cohorts.keep(resolved.spec).handle
    sql = (
        f"SELECT {column}, count(*) AS series, sum(instanceCount) AS files, "
        f"sum(series_size_MB) AS MB FROM {rows} GROUP BY 1 ORDER BY 4 DESC"
    )
    return f"idc_sql(sql={sql!r})"


def _share(part: int, found: sizes.Sizes) -> str:
    return f"{part / found.bytes:.1%}" if found.bytes else ""


def _disk(app: App, needed: int) -> str:
    place, free = sizes.free_bytes(app.settings.output_dir)
    short = "" if needed <= free else f": {bytes_text(needed - free)} too little"
    return f"{bytes_text(free)} free at {place}{short}"
