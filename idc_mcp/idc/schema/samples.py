"""What the columns of a table hold, in a cell each: frequent values, or the span of numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from idc_mcp.idc.schema.account import SAMPLES, counted_values, span
from idc_mcp.idc.sql import identifier, literal
from idc_mcp.index.release import Column, TableSchema
from idc_mcp.index.store import Index

_NUMBERS = ("INTEGER", "FLOAT")


def samples(index: Index, schema: TableSchema, length: int) -> dict[str, str]:
    """By column, what it holds, in `length` characters; columns that name single things not."""
    cells = {
        column: counted_values(found, length) for column, found in _values(index, schema).items()
    }
    return cells | _spans(index, schema)


def _values(index: Index, schema: TableSchema) -> dict[str, list[tuple[str, int]]]:
    """The most frequent values of the columns whose values are kept."""
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for column, value, rows in index.rows(
        "SELECT column_name, value, rows FROM facts.values "
        f"WHERE table_name = {literal(schema.name)} QUALIFY row_number() OVER "
        f"(PARTITION BY column_name ORDER BY rows DESC, value) <= {SAMPLES} "
        "ORDER BY column_name, rows DESC, value"
    ):
        found[column].append((value, rows))
    return found


def _spans(index: Index, schema: TableSchema) -> dict[str, str]:
    """Of numbers the least and the greatest, of truth values how many are true."""
    asked: list[tuple[Column, Sequence[str]]] = []
    for column in schema.columns:
        name = identifier(column.name)
        if column.type in _NUMBERS:
            asked.append((column, (f"min({name})", f"max({name})")))
        elif column.type in [f"ARRAY OF {kind}" for kind in _NUMBERS]:
            asked.append((column, (f"min(list_min({name}))", f"max(list_max({name}))")))
        elif column.type == "BOOLEAN":
            asked.append((column, (f"count_if({name})", f"count_if(NOT {name})")))
    if not asked:
        return {}
    expressions = ", ".join(part for _, parts in asked for part in parts)
    row = index.row(f"SELECT {expressions} FROM {identifier(schema.name)}") or ()
    cells = {}
    for place, (column, _) in enumerate(asked):
        first, last = row[2 * place : 2 * place + 2]
        cells[column.name] = (
            f"true {first}; false {last}" if column.type == "BOOLEAN" else span(first, last)
        )
    return cells
