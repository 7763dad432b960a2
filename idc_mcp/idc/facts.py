"""Facts of a column of `index`: its values, and its share of empty ones."""

from __future__ import annotations

from idc_mcp.idc.sql import literal
from idc_mcp.index.store import Index


def values_of(index: Index, column: str) -> dict[str, int]:
    """Every value of a column (one of `layout.VALUE_COLUMNS`) with its series, most first."""
    return index.once(
        ("values", column),
        lambda: dict(
            index.rows(
                f"SELECT value, rows FROM facts.values WHERE {_is(column)} "
                "ORDER BY rows DESC, value"
            )
        ),
    )


def null_share(index: Index, column: str) -> float:
    """The share of series in which a column is empty; 0 for what is no column."""
    return index.once(
        ("null share", column),
        lambda: float(
            index.value(f"SELECT nulls / rows FROM facts.columns WHERE {_is(column)}") or 0
        ),
    )


def _is(column: str) -> str:
    return f"table_name = 'index' AND column_name = {literal(column)}"
