"""All rows of a checked statement, written by the engine as CSV, Parquet or JSON.

The text is as the engine prints it, BLOB as hexadecimal. JSON is one array of objects, with
"NaN" and "Infinity" as text. Parquet keeps the types that it has without loss: HUGEINT becomes
DECIMAL(38,0); intervals, unions, bits and such become text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from idc_mcp.errors import BadArgument
from idc_mcp.index.values import engine_form

FORMATS = {
    "csv": "FORMAT csv, HEADER true",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
    "json": "FORMAT json, ARRAY true",
}

_KEPT_BY_PARQUET = {
    "timestamp with time zone", "timestamp_ns", "date", "timestamp", "timestamp_s", "timestamp_ms",
}  # fmt: skip


def copy_statement(
    view: str, names: Sequence[str], kinds: Sequence[Any], target: Path, save_format: str
) -> str:
    """The COPY of a view to a file; `kinds` are the columns' DuckDBPyTypes.

    Raises
    ------
    BadArgument
        The format is none of `FORMATS`.
    """
    if save_format not in FORMATS:
        raise BadArgument(
            f"'{save_format}' is not a format to save in.", nearest=list(FORMATS),
            next_step="save as .csv, .parquet or .json",
        )  # fmt: skip
    columns = ", ".join(
        f"{_form(kind, quoted(name), save_format)} AS {quoted(name)}"
        for name, kind in zip(names, kinds, strict=True)
    )
    path = str(target).replace("'", "''")
    return f"COPY (SELECT {columns} FROM {view}) TO '{path}' ({FORMATS[save_format]})"


def unique_names(names: Sequence[str]) -> list[str]:
    """Names without repetition, as files and views need them: a, a_1, a_2."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name or "column", 0
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name or 'column'}_{number}"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _form(kind: Any, column: str, save_format: str) -> str:
    if kind.id == "blob" and save_format != "parquet":
        return f"lower(hex({column}))"
    if save_format == "parquet":
        if kind.id in {"hugeint", "uhugeint"}:
            return f"CAST({column} AS DECIMAL(38, 0))"
        if kind.id in {"bit", "bignum"}:
            return f"CAST({column} AS VARCHAR)"
        if kind.id in _KEPT_BY_PARQUET:
            return column
        return engine_form(kind, column) or column
    if save_format == "json" and kind.id in {"float", "double"}:
        return (
            f"CASE WHEN isfinite({column}) THEN to_json({column}) "
            f"WHEN isnan({column}) THEN '\"NaN\"'::JSON "
            f"WHEN {column} > 0 THEN '\"Infinity\"'::JSON "
            f"WHEN {column} < 0 THEN '\"-Infinity\"'::JSON END"
        )
    return column
