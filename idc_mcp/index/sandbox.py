"""A locked connection on the catalogue, and one caller's statement run on it.

The guard has judged a statement before it runs here; the lock holds by itself too: nothing
outside the allowed directories is opened, nothing in the database changes, no setting can be
turned back. What this cannot stop (processor time, memory outside the engine's count) the
process limits of `worker.py` and the kill of `pool.py` do.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_mcp.errors import Refused, SqlError
from idc_mcp.index import values
from idc_mcp.index.connect import open_catalogue
from idc_mcp.index.export import copy_statement, quoted, unique_names
from idc_mcp.index.guard import EXPORT, check
from idc_mcp.index.naming import Catalogue
from idc_mcp.index.release import Release

if TYPE_CHECKING:
    import duckdb

_VIEW = '"the answer"'
"""No caller can name it: the guard knows no such table."""

_FIRST_BATCH, _LARGEST_BATCH = 16, 1_024
_SHORTEST_CELL = 40


@dataclass(frozen=True)
class Place:
    """What a sandbox opens and where it may write."""

    release: Release
    database: Path | None
    cohorts: Path
    scratch: Path
    threads: int
    memory_mb: int


@dataclass
class Answer:
    """Rows are JSON text already, one a row: they are measured and sent as they are."""

    columns: list[str]
    types: list[str]
    rows: list[str]
    complete: bool
    clipped: bool = False
    saved_rows: int | None = None


def locked_connection(place: Place) -> duckdb.DuckDBPyConnection:
    """A connection that reads the catalogue and can be talked into nothing else."""
    connection, _ = open_catalogue(
        place.release,
        place.database,
        threads=place.threads,
        memory_mb=place.memory_mb,
        temp_dir=place.scratch / "spill",
    )
    directories = [place.cohorts, place.scratch]
    if place.database is None:
        directories.append(place.release.directory)
        if place.release.fetched:
            directories.append(place.release.fetched)
    allowed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in directories)
    for setting in (
        "TimeZone = 'UTC'",
        f"max_temp_directory_size = '{2 * place.memory_mb}MiB'",
        "python_enable_replacements = false",
        f"allowed_directories = [{allowed}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def run(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    catalogue: Catalogue,
    *,
    max_rows: int,
    max_chars: int,
    cohorts: Mapping[str, str],
    save_to: Path | None = None,
    save_format: str = "",
) -> Answer:
    """Check a statement, run it as it is, and give its rows as far as they fit.

    Raises
    ------
    IdcError, duckdb.Error
    """
    verdict = check(connection, sql, catalogue)
    if save_to is not None and not verdict.viewable:
        raise Refused("EXPLAIN has no rows to save.", next_step=EXPORT)
    with _cohort_views(connection, {name: cohorts[name] for name in verdict.handles}):
        connection.execute(sql)
        names = [str(column[0]) for column in connection.description or ()]
        kinds = [column[1] for column in connection.description or ()]
        rows, complete, clipped = _rows(connection, sql, kinds, max_rows, max_chars)
        answer = Answer(names, [str(kind) for kind in kinds], rows, complete, clipped)
        if save_to is not None:
            columns = unique_names(names)
            copy = copy_statement(_VIEW, columns, kinds, save_to, save_format)
            _make_view(connection, sql, columns)
            written = connection.execute(copy).fetchone()
            answer.saved_rows = int(written[0]) if written else 0
        return answer


def settle(connection: duckdb.DuckDBPyConnection) -> None:
    """End what goes on of a statement whose rows were not all fetched, and wait for that."""
    connection.execute("SELECT 1").fetchall()


@contextlib.contextmanager
def _cohort_views(
    connection: duckdb.DuckDBPyConnection, cohorts: Mapping[str, str]
) -> Iterator[None]:
    try:
        for name, definition in cohorts.items():
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {definition}")
        yield
    finally:
        for name in (*map(quoted, cohorts), _VIEW):
            connection.execute(f"DROP VIEW IF EXISTS temp.{name}")


def _make_view(connection: duckdb.DuckDBPyConnection, sql: str, columns: list[str]) -> None:
    import duckdb  # noqa: PLC0415

    names = ", ".join(map(quoted, columns))
    try:
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {_VIEW} ({names}) AS {sql}")
    except duckdb.ParserException as error:  # before 2.0 no view can be made of a DESCRIBE
        raise SqlError(
            "The engine cannot do this with DESCRIBE, SUMMARIZE or SHOW alone.",
            next_step="write SELECT * FROM (DESCRIBE …)",
        ) from error


# -- rows ----------------------------------------------------------------------------------


def _rows(
    connection: duckdb.DuckDBPyConnection, sql: str, kinds: list[Any], max_rows: int, max_chars: int
) -> tuple[list[str], bool, bool]:
    """Rows of the statement that was just executed; are they all; was a cell shortened."""
    columns = [f"c{i}" for i in range(len(kinds))]
    for dates in (False, True):
        forms = [
            values.engine_form(kind, column, dates=dates)
            for kind, column in zip(kinds, columns, strict=True)
        ]
        if any(forms):
            _make_view(connection, sql, columns)
            shown = ", ".join(form or column for form, column in zip(forms, columns, strict=True))
            connection.execute(f"SELECT {shown} FROM {_VIEW}")
        given = [column[1] for column in connection.description or ()]
        converters = [
            values.union_value if values.holds_union(kind) else values.converter(now)
            for kind, now in zip(kinds, given, strict=True)
        ]
        try:
            return _fitting(connection, converters, max_rows, max_chars)
        except values.AskTheEngine:
            continue
    raise AssertionError("the engine prints every date")  # pragma: no cover


def _fitting(
    connection: duckdb.DuckDBPyConnection,
    converters: list[values.Convert],
    max_rows: int,
    max_chars: int,
) -> tuple[list[str], bool, bool]:
    rows: list[str] = []
    clipped = False
    chars, batch = 0, _FIRST_BATCH
    while found := connection.fetchmany(min(batch, max_rows + 1 - len(rows))):
        for raw in found:
            if len(rows) == max_rows:
                return rows, False, clipped
            row = [convert(value) for convert, value in zip(converters, raw, strict=True)]
            huge = any(isinstance(value, str) and len(value) > max_chars for value in row)
            text = "" if huge else _text(row)
            shorten = huge or len(text) > max_chars
            if shorten:
                each = max(_SHORTEST_CELL, max_chars // len(row) - _SHORTEST_CELL)
                text = _text([values.shortened(value, each) for value in row])
            chars += len(text)
            if rows and chars > max_chars:
                return rows, False, clipped
            rows.append(text)
            clipped |= shorten
        # Large rows are fetched few at a time: each is a copy in this process.
        batch = min(2 * batch, _LARGEST_BATCH) if chars < max_chars // 2 else _FIRST_BATCH
    return rows, True, clipped


def _text(row: list[Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
