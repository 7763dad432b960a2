"""What a fetched table adds to the layout: itself, its keys, its references, its facts.

    core.<table>      a fetched table of series: `series_key`, then its columns as published
    core.refers       one row an object made from images: its key, and that of its source
    core.structures   one row a segmented structure of a segmentation, sorted by structure
    core.clinical_columns   clinical_index, a row each column and listed value

Each table adds rows by statements of its own, so that a database takes in one more table
without being built anew; over Parquet the same queries are views.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from idc_mcp.index import layout
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX, Column, Release

if TYPE_CHECKING:
    import duckdb

SERIES_UID = "SeriesInstanceUID"

REFERENCES = {
    "seg_index": ("SEG", "segmented_SeriesInstanceUID"),
    "ann_index": ("ANN", "referenced_SeriesInstanceUID"),
    "rtstruct_index": ("RTSTRUCT", "referenced_SeriesInstanceUID"),
}
"""Tables of objects made from images: their modality, and the column that names the source."""

STRUCTURES = "SegmentedPropertyType_CodeMeanings"

NO_VALUES = frozenset(
    {"ContainerIdentifier", "RadiopharmaceuticalStartTime", "crdc_instance_uuid", "column_label"}
)
"""Text columns that name single things: a list of their values says nothing."""

_TEXT = ("STRING", "ARRAY OF STRING")

_EMPTY = {
    "core.refers": "SELECT CAST(NULL AS VARCHAR) AS kind, CAST(NULL AS {key}) AS annotation_key, "
    "CAST(NULL AS {key}) AS source_key, CAST(NULL AS VARCHAR) AS source_uid WHERE false",
    "core.structures": "SELECT CAST(NULL AS VARCHAR) AS value, "
    "CAST(NULL AS {key}) AS annotation_key, CAST(NULL AS {key}) AS source_key WHERE false",
    "core.clinical_columns": "SELECT CAST(NULL AS VARCHAR) AS collection_id, "
    "CAST(NULL AS VARCHAR) AS table_name, CAST(NULL AS VARCHAR) AS column_name, "
    "CAST(NULL AS VARCHAR) AS label, CAST(NULL AS VARCHAR) AS code, "
    "CAST(NULL AS VARCHAR) AS meaning WHERE false",
}
"""Relations that fetched tables fill, as they are without any."""


@dataclass(frozen=True)
class Rows:
    """Rows that a table adds to a relation."""

    relation: str
    query: str


def key(release: Release) -> str:
    """Eight hex digits that change with what is here and with how it is laid out."""
    laid_out = [f"{name} {layout_of(release, name)}" for name in release.here]
    content = "\n".join([*laid_out, *_EMPTY.values()])
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def layout_of(release: Release, table: str) -> str:
    """Eight hex digits that change with how a fetched table is taken in."""
    if table == CLINICAL:
        text = (Path(__file__).parent / "clinical.py").read_text(encoding="utf-8")
    else:
        text = "\n".join(table_statements(release, table))
    return hashlib.sha256(text.replace(str(release.fetched), "").encode()).hexdigest()[:8]


def take_views(connection: duckdb.DuckDBPyConnection, release: Release) -> Release:
    """Make views over the fetched Parquet, on top of those of `layout`.

    Returns the release without the tables that cannot be read, which are named on standard
    error: one bad file costs no other question its answer.
    """
    import duckdb  # noqa: PLC0415

    files = {}
    for table, path in release.files.items():
        try:
            _check_columns(connection, release, table)
            for statement in _statements(release, table, "VIEW"):
                connection.execute(statement)
            files[table] = path
        except (duckdb.Error, LookupError) as error:
            why = str(error).split("\n", maxsplit=1)[0]
            print(f"idc-mcp: {table} cannot be read and is left out: {why}", file=sys.stderr)
    release = replace(release, files=files)
    growing = {
        relation.name: [relation.query]
        for relation in layout.facts(release)
        if relation.name in layout.GROWING
    }
    growing |= {relation: [query.format(key="UBIGINT")] for relation, query in _EMPTY.items()}
    for table in release.files:
        for rows in _rows(release, table):
            growing[rows.relation].append(rows.query)
    for relation, queries in growing.items():
        together = " UNION ALL ".join(f"({query})" for query in queries)
        connection.execute(f"CREATE VIEW {relation} AS {together}")
    return release


def _check_columns(connection: duckdb.DuckDBPyConnection, release: Release, table: str) -> None:
    described = connection.execute(f"DESCRIBE {_source(release, table)}").fetchall()
    missing = {column.name for column in release.schemas[table].columns} - {
        row[0] for row in described
    }
    if missing:
        raise LookupError(f"it has no {', '.join(sorted(missing))}")


def empty_statements() -> Iterator[str]:
    """Statements that make the tables which fetched tables add to."""
    for relation, query in _EMPTY.items():
        yield f"CREATE TABLE {relation} AS {query.format(key='INTEGER')}"


def table_statements(release: Release, table: str) -> Iterator[str]:
    """Statements that take one fetched table into a database that has `empty_statements`."""
    yield from _statements(release, table, "TABLE")
    for rows in _rows(release, table):
        yield f"INSERT INTO {rows.relation} {rows.query}"


def _statements(release: Release, table: str, kind: str) -> Iterator[str]:
    if _has_series(release, table):
        yield f"CREATE {kind} core.{table} AS {_table(release, table)}"
        yield f"CREATE VIEW main.{table} AS SELECT * EXCLUDE (series_key) FROM core.{table}"
    else:
        yield f"CREATE {kind} main.{table} AS {_table(release, table)}"


def _table(release: Release, table: str) -> str:
    if not _has_series(release, table):
        return _source(release, table)
    return (
        f"SELECT series.series_key, fetched.* FROM ({_source(release, table)}) AS fetched "
        f"LEFT JOIN core.series AS series USING ({SERIES_UID}) ORDER BY series.series_key"
    )


def _source(release: Release, table: str) -> str:
    path = str(release.parquet(table)).replace("'", "''")
    return f"SELECT * FROM read_parquet('{path}')"


def _has_series(release: Release, table: str) -> bool:
    return any(column.name == SERIES_UID for column in release.schemas[table].columns)


def _rows(release: Release, table: str) -> Iterator[Rows]:
    """What a table adds to relations that it shares with others."""
    if table in REFERENCES:
        modality, source = REFERENCES[table]
        yield Rows(
            "core.refers",
            f"SELECT '{modality}' AS kind, fetched.series_key AS annotation_key, "
            f"series.series_key AS source_key, fetched.{source} AS source_uid "
            f"FROM core.{table} AS fetched LEFT JOIN core.series AS series "
            f"ON fetched.{source} = series.{SERIES_UID}",
        )
    if table == "seg_index":
        yield Rows(
            "core.structures",
            f"SELECT unnest(list_distinct({STRUCTURES})) AS value, "
            "series_key AS annotation_key, source_key "
            f"FROM core.{table} JOIN core.refers ON series_key = annotation_key AND kind = 'SEG' "
            "ORDER BY value",
        )
    if table == CLINICAL_INDEX:
        yield Rows(
            "core.clinical_columns",
            "SELECT collection_id, table_name, column_name, label, value.option_code AS code, "
            "nullif(value.option_description, '') AS meaning FROM (SELECT collection_id, "
            'short_table_name AS table_name, "column" AS column_name, column_label AS label, '
            'unnest(CASE WHEN len("values") > 0 THEN "values" ELSE [NULL] END) AS value '
            f"FROM main.{table})",
        )
    columns = release.schemas[table].columns
    values = [column for column in columns if _has_values(column)]
    if values:
        yield Rows("facts.values", " UNION ALL ".join(_values(table, one) for one in values))
    yield Rows("facts.columns", " UNION ALL ".join(_column(table, one) for one in columns))


def _has_values(column: Column) -> bool:
    named = column.name.endswith("UID") or column.name in NO_VALUES
    return column.type in _TEXT and not named


def _values(table: str, column: Column) -> str:
    name = f'"{column.name}"'
    # A list may name a value twice (ImageType does); what counts are rows that hold it.
    value = f"unnest(list_distinct({name}))" if column.type.startswith("ARRAY") else name
    return (
        f"SELECT '{table}' AS table_name, '{column.name}' AS column_name, value, "
        f"count(*) AS rows FROM (SELECT {value} AS value FROM main.{table}) "
        "WHERE value IS NOT NULL GROUP BY value"
    )


def _column(table: str, column: Column) -> str:
    name = f'"{column.name}"'
    source, distinct = f"main.{table}", f"count(DISTINCT {name})"
    filled = f"count({name})"
    if column.type.startswith("ARRAY"):
        # Of a list what counts is what it holds; an empty one says as little as none.
        filled = f"count(*) FILTER (len({name}) > 0)"
        elements = f"SELECT unnest({name}) AS value FROM main.{table}"
        if column.type in _TEXT:
            elements = (
                "SELECT value FROM facts.values "
                f"WHERE table_name = '{table}' AND column_name = '{column.name}'"
            )
        distinct = f"(SELECT count(DISTINCT value) FROM ({elements}))"
    return (
        f"SELECT '{table}' AS table_name, '{column.name}' AS column_name, count(*) AS rows, "
        f"count(*) - {filled} AS nulls, {distinct} AS distinct_values FROM {source}"
    )
