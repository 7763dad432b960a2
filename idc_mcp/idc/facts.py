"""Facts of a table's column: its values, its share of empty ones, its numbers."""

from __future__ import annotations

from idc_mcp.idc.sql import identifier, literal
from idc_mcp.index.release import MAIN_TABLE
from idc_mcp.index.store import Index

MOST_NUMBERS = 5_000
"""So many different numbers of a column are remembered with their counts."""


def values_of(index: Index, column: str, table: str = MAIN_TABLE) -> dict[str, int]:
    """Every value of a column with the rows that have it, most first.

    In `index` the columns are those of `layout.VALUE_COLUMNS` and the rows series; of fetched
    tables every text column is known, and a row counts for each value of its list.
    """
    return index.once(
        ("values", table, column),
        lambda: dict(
            index.rows(
                f"SELECT value, rows FROM facts.values WHERE {_is(table, column)} "
                "ORDER BY rows DESC, value"
            )
        ),
    )


def null_share(index: Index, column: str, table: str = MAIN_TABLE) -> float:
    """The share of rows in which a column is empty; 0 for what is no column."""
    return index.once(
        ("null share", table, column),
        lambda: float(
            index.value(f"SELECT nulls / rows FROM facts.columns WHERE {_is(table, column)}") or 0
        ),
    )


def numbers_of(index: Index, column: str, table: str, *, listed: bool) -> dict[float, int]:
    """The numbers of a fetched table's column with the rows that have them, most first.

    Those of a `listed` column are its lists'. There are `MOST_NUMBERS` at most.
    """
    name = identifier(column)
    value = f"unnest({name})" if listed else name
    return index.once(
        ("numbers", table, column),
        lambda: {
            float(number): rows
            for number, rows in index.rows(
                f"SELECT number, count(*) AS rows FROM (SELECT {value} AS number "
                f"FROM main.{table}) WHERE number IS NOT NULL GROUP BY number "
                f"ORDER BY rows DESC, number LIMIT {MOST_NUMBERS}"
            )
        },
    )


def _is(table: str, column: str) -> str:
    return f"table_name = {literal(table)} AND column_name = {literal(column)}"
