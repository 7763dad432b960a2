"""From rows of specialised tables to series: the joins that a filter by meaning makes.

An image's row selects the image's series. An annotation's row selects the annotation's series
and the series of images that it refers to. Each is said twice: as SQL on published tables that
a caller can run, and on the keys of the built database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from idc_mcp.idc.filters.attributes import ANNOTATION_TABLES
from idc_mcp.idc.filters.conditions import Condition, Rows

Tests = Collection[tuple[str, str]]
"""Conditions on rows, by table."""


def series_with(tests: Tests) -> tuple[str, str]:
    """Series of which one of the tables has a fitting row: on `index`, on core.series."""
    plain = [f"SELECT SeriesInstanceUID FROM {table} WHERE {test}" for table, test in tests]
    fast = [f"SELECT series_key FROM core.{table} WHERE {test}" for table, test in tests]
    return (
        f"SeriesInstanceUID IN ({' UNION ALL '.join(plain)})",
        f"series_key IN ({' UNION ALL '.join(fast)})",
    )


def series_without(tests: Tests) -> tuple[str, str]:
    """Series of which no table has a fitting row."""
    plain = [f"SELECT SeriesInstanceUID FROM {table} WHERE {test}" for table, test in tests]
    # A key is NULL where the catalogue lacks the series, and NOT IN (…, NULL) is never true.
    fast = [
        f"SELECT series_key FROM core.{table} WHERE series_key IS NOT NULL AND {test}"
        for table, test in tests
    ]
    return (
        f"SeriesInstanceUID NOT IN ({' UNION ALL '.join(plain)})",
        f"series_key NOT IN ({' UNION ALL '.join(fast)})",
    )


def series_of(rows: Sequence[Rows], *, images_only: bool = False) -> tuple[str, str]:
    """Series with a row for which everything holds that is asked of rows of one group.

    `images_only` leaves the annotations themselves out.
    """
    if rows[0].group in ANNOTATION_TABLES:
        return _annotated(rows, images_only)
    return series_with(_together(rows).items())


def narrowing(conditions: Sequence[Condition], *, fast: bool) -> list[str]:
    """The conditions as SQL; those that ask of the same rows become one."""
    parts = [
        (fast and condition.fast) or condition.sql
        for condition in conditions
        if condition.rows is None
    ]
    groups: dict[str, list[Rows]] = {}
    for condition in conditions:
        if condition.rows is not None:
            groups.setdefault(condition.rows.group, []).append(condition.rows)
    modalities = [one.canonical for one in conditions if one.name == "Modality"]
    for group, rows in groups.items():
        # Where the modality leaves the annotations out they need not be found.
        images_only = bool(modalities) and group not in modalities[0]
        parts.append(series_of(rows, images_only=images_only)[fast])
    return parts


def _together(rows: Iterable[Rows]) -> dict[str, str]:
    by_table: dict[str, list[str]] = {}
    for one in rows:
        for table, test in one.tests:
            by_table.setdefault(table, []).append(test)
    return {table: " AND ".join(tests) for table, tests in by_table.items()}


def _annotated(rows: Sequence[Rows], images_only: bool) -> tuple[str, str]:
    table, source, _ = ANNOTATION_TABLES[rows[0].group]
    tests = _together(rows)
    parts = [tests.pop(table)] if table in tests else []
    parts += [series_with([one])[0] for one in tests.items()]
    uids = source if images_only else f"unnest([SeriesInstanceUID, {source}])"
    keys = "source_key" if images_only else "unnest([annotation_key, source_key])"
    return (
        f"SeriesInstanceUID IN (SELECT {uids} FROM {table} WHERE {' AND '.join(parts)})",
        f"series_key IN (SELECT {keys} {pairs_of(rows)})",
    )


def pairs_of(rows: Sequence[Rows]) -> str:
    """FROM and WHERE of annotation_key and source_key, of the annotations of one group."""
    ways = [one.fast for one in rows if one.fast]
    slow = _together(one for one in rows if not one.fast)
    if len(ways) == 1 and not slow:
        return f"FROM {ways[0]}"
    inside = [f"SELECT annotation_key FROM {way}" for way in ways]
    inside += [f"SELECT series_key FROM core.{name} WHERE {test}" for name, test in slow.items()]
    both = " AND ".join(f"annotation_key IN ({query})" for query in inside)
    return f"FROM core.refers WHERE kind = '{rows[0].group}' AND {both}"
