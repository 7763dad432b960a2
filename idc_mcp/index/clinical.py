"""The clinical tables as callers see them: schema `clinical`, decoded, with their collection.

The tables are published as their collections gave them: a patient is `dicom_patient_id`, the
collection stands nowhere, and values may be codes (`'400'` is Stage IV in nlst_canc). Here
each gets `collection_id` in front, and each coded column a `<column>_meaning` behind it, both
out of clinical_index.

    clinical.<table>        a clinical table
    facts.clinical_tables   collection, rows, patients, and patients with images, of each
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from idc_mcp.index.export import quoted
from idc_mcp.index.release import CLINICAL, Release

if TYPE_CHECKING:
    import duckdb

PATIENT_COLUMN = "dicom_patient_id"
"""The column of a clinical table that is PatientID in `index`."""

MEANING = "_meaning"
COLLECTION = "collection_id"

_FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")
_NUMBERS = (*_FRACTIONS, "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UBIGINT")

FACTS = "facts.clinical_tables"

NONE = (
    f"CREATE SCHEMA {CLINICAL}",
    f"CREATE TABLE {FACTS} AS SELECT CAST(NULL AS VARCHAR) AS table_name, "
    "CAST(NULL AS VARCHAR) AS collection_id, CAST(NULL AS BIGINT) AS rows, "
    "CAST(NULL AS BIGINT) AS patients, CAST(NULL AS BIGINT) AS imaged WHERE false",
)
"""Statements for a database that has no clinical tables yet."""


def statements(connection: duckdb.DuckDBPyConnection, release: Release, kind: str) -> Iterator[str]:
    """Statements that make the clinical tables after `NONE`; `kind` is TABLE or VIEW.

    Reads clinical_index through `connection`, where it is, and the columns of each table.
    """
    collections = _collections(connection)
    codes = _code_books(connection)
    counts = []
    for table, paths in release.clinical.items():
        source = _parquet(paths)
        columns = {
            str(row[0]): str(row[1])
            for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        }
        books = codes.get(table, {})
        selected = [_collection(collections.get(table, []), columns)]
        for column, type_ in columns.items():
            selected.append(quoted(column))
            if column in books and f"{column}{MEANING}" not in columns:
                selected.append(_decoded(column, type_, books[column]))
        name = f"{CLINICAL}.{quoted(table)}"
        yield f"CREATE {kind} {name} AS SELECT {', '.join(filter(None, selected))} FROM {source}"
        counts.append(_counted(table, name, PATIENT_COLUMN in columns))
    yield f"DROP TABLE {FACTS}"
    yield f"CREATE {kind} {FACTS} AS {' UNION ALL '.join(counts)}"


def _collections(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, collection in connection.execute(
        "SELECT DISTINCT table_name, collection_id FROM core.clinical_columns "
        "WHERE collection_id IS NOT NULL ORDER BY ALL"
    ).fetchall():
        found.setdefault(table, []).append(collection)
    return found


def _code_books(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, dict[str, str]]]:
    """By table and column, what the codes mean; columns whose values speak for themselves not."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for table, column, code, meaning in connection.execute(
        "SELECT DISTINCT table_name, column_name, code, meaning FROM core.clinical_columns "
        "WHERE code IS NOT NULL AND meaning IS NOT NULL AND lower(meaning) <> lower(code) "
        "ORDER BY ALL"
    ).fetchall():
        found.setdefault(table, {}).setdefault(column, {})[code] = meaning
    return found


def _collection(collections: list[str], columns: Mapping[str, str]) -> str:
    if any(column.lower() == COLLECTION for column in columns):
        return ""
    # A table of several collections does not say which row is whose.
    value = _text(collections[0]) if len(collections) == 1 else "CAST(NULL AS VARCHAR)"
    return f"{value} AS {COLLECTION}"


def _decoded(column: str, type_: str, book: Mapping[str, str]) -> str:
    code = f"CAST({quoted(column)} AS VARCHAR)"
    known = book
    if type_.startswith(_NUMBERS):
        known = {whole(value): meaning for value, meaning in book.items()}
    if type_.startswith(_FRACTIONS):
        # A whole number of a fractional column reads 1.0, and its code 1.
        code = f"regexp_replace({code}, '\\.0+$', '')"
    if type_ == "BOOLEAN":
        known = {value.lower(): meaning for value, meaning in book.items()}
    cases = " ".join(f"WHEN {_text(value)} THEN {_text(what)}" for value, what in known.items())
    return f"CASE {code} {cases} END AS {quoted(column + MEANING)}"


def whole(code: str) -> str:
    """A code as a whole number is written, `1` for `1.0`; any other as it is."""
    number, point, fraction = code.partition(".")
    return number if point and not fraction.strip("0") else code


def _counted(table: str, name: str, has_patient: bool) -> str:
    patients = imaged = "NULL"
    if has_patient:
        patients = f"(SELECT count(DISTINCT {PATIENT_COLUMN}) FROM {name})"
        imaged = (
            f"(SELECT count(DISTINCT {PATIENT_COLUMN}) FROM {name} SEMI JOIN core.series AS series "
            f"ON {PATIENT_COLUMN} = series.PatientID "
            f"AND {name}.{COLLECTION} = series.{COLLECTION})"
        )
    return (
        f"SELECT {_text(table)} AS table_name, any_value({COLLECTION}) AS collection_id, "
        f"count(*) AS rows, CAST({patients} AS BIGINT) AS patients, "
        f"CAST({imaged} AS BIGINT) AS imaged FROM {name}"
    )


def _parquet(paths: tuple[Path, ...]) -> str:
    listed = ", ".join(_text(str(path)) for path in paths)
    return f"read_parquet([{listed}], union_by_name = true)"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
