"""A filter on columns of specialised tables, and the condition on series that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from idc_mcp.idc.facts import null_share
from idc_mcp.idc.filters.attributes import (
    ANNOTATION_TABLES,
    SEVERAL_ROWS,
    TABLE_MODALITIES,
    Kind,
    modalities_of,
)
from idc_mcp.idc.filters.columns import Described
from idc_mcp.idc.filters.conditions import Condition, Rows, any_of
from idc_mcp.idc.filters.rows import series_of, series_with, series_without
from idc_mcp.idc.sql import identifier, literals
from idc_mcp.index.store import Index


@dataclass(frozen=True)
class Question:
    """A filter on columns of specialised tables, of which one suffices."""

    index: Index
    name: str
    kind: Kind
    columns: tuple[Described, ...]

    @property
    def group(self) -> str:
        """What other filters must hold of the same rows; '' where a series has one row."""
        table = self.columns[0].place.table
        for kind in ANNOTATION_TABLES:
            if TABLE_MODALITIES.get(table) == (kind,):
                return kind
        return table if table in SEVERAL_ROWS else ""

    @property
    def counted(self) -> str:
        """What a row of the tables is."""
        table = self.columns[0].place.table
        named = {name: what for name, _, what in ANNOTATION_TABLES.values()}
        others = {"sm_instance_index": "instances", "ann_group_index": "annotation groups"}
        return {**named, **others}.get(table, "series")


def condition_of(
    question: Question,
    tests: list[tuple[str, str]],
    matched: str,
    canonical: Any,
    nearly: list[tuple[str, int]] | None = None,
    notes: list[str] | None = None,
    *,
    fast: str = "",
    with_null: bool = False,
) -> Condition:
    """Put the tests of rows together into a condition on series."""
    group = question.group
    without = _unrecorded(question)
    rows = None
    if group:
        if with_null:
            empty = [(one.place.table, f"NOT {filled(one)}") for one in question.columns]
            tests = by_table([*tests, *empty])
        rows = Rows(group, tuple(tests), fast)
        sql, keyed = series_of([rows])
        if group in ANNOTATION_TABLES:
            matched += " and the images that they refer to"
    else:
        sides = [series_with(tests)] if tests else []
        sides += [without] if with_null else []
        sql, keyed = (any_of([f"({side[way]})" if with_null and tests else side[way]
                              for side in sides]) for way in (0, 1))  # fmt: skip
    unknown = without[1] if not with_null and _leaves_out(question) else ""
    return Condition(
        question.name, sql, f"{question.name}: {matched}", canonical,
        nearly or [], notes or [], fast=keyed, rows=rows,
        unknown=unknown, unknown_means=f"{question.name} is not recorded",
    )  # fmt: skip


def _unrecorded(question: Question) -> tuple[str, str]:
    """Series of the tables' modalities that have no value: on `index`, on core.series."""
    modalities = modalities_of(tuple(one.place for one in question.columns))
    tests = [(one.place.table, filled(one)) for one in question.columns]
    covered = f"Modality IN ({literals(modalities)}) AND " if modalities else ""
    plain, fast = series_without(tests)
    return f"{covered}{plain}", f"{covered}{fast}"


def _leaves_out(question: Question) -> bool:
    """Whether there may be series without a value: of annotations, whether rows have none."""
    if question.group not in ANNOTATION_TABLES:
        return True
    return any(
        null_share(question.index, one.place.column, one.place.table) > 0
        for one in question.columns
    )


def filled(column: Described) -> str:
    """The condition that a row has a value in the column."""
    name = identifier(column.place.column)
    if column.listed:
        return f"coalesce(len({name}), 0) > 0"
    if column.kind == "text":
        return f"coalesce({name}, '') <> ''"
    return f"{name} IS NOT NULL"


def by_table(tests: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Tests of which one must hold, one a table."""
    by_table: dict[str, list[str]] = {}
    for table, test in tests:
        by_table.setdefault(table, []).append(test)
    return [(table, any_of(parts)) for table, parts in by_table.items()]
