"""The clinical tables as callers see them: schema `clinical`, decoded, with their collection.

The tables are published as their collections gave them: a patient is `dicom_patient_id`, the
collection stands nowhere, and values may be codes (`'400'` is Stage IV in nlst_canc). Here
each gets `collection_id` in front, and each coded column a `<column>_meaning` behind it, both
out of clinical_index.

    clinical.<table>        a clinical table
    facts.clinical_tables   collection, rows, patients, and patients with images, of each

A table that cannot be made (columns that no file of it shares, say) is left out; the others are
not. Patients are text, as PatientID is, whatever the file has.
"""

from __future__ import annotations

from collections.abc import Mapping
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

FACTS = "facts.clinical_tables"

_FRACTIONS = ("FLOAT", "DOUBLE", "DECIMAL")
_NUMBERS = (*_FRACTIONS, "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "U")
_TRUTH = {"1": "true", "0": "false", "yes": "true", "no": "false"}

_COUNTS = "table_name VARCHAR, collection_id VARCHAR, rows BIGINT, patients BIGINT, imaged BIGINT"

NONE = (f"CREATE SCHEMA {CLINICAL}", f"CREATE TABLE {FACTS} ({_COUNTS})")
"""Statements for a database that has no clinical tables yet."""


def take_in(connection: duckdb.DuckDBPyConnection, release: Release, kind: str) -> dict[str, str]:
    """Make the clinical tables, after `NONE`; `kind` is TABLE or VIEW.

    Reads clinical_index through `connection`, where it is. Returns the tables that were left
    out, with the reason of each.
    """
    import duckdb  # noqa: PLC0415

    unfit = (
        duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException,
        duckdb.InvalidInputException, duckdb.ParserException, duckdb.TypeMismatchException,
    )  # fmt: skip
    collections = _collections(connection)
    books = _code_books(connection)
    counts, left_out = [], {}
    for table, paths in release.clinical.items():
        name = f"{CLINICAL}.{quoted(table)}"
        source = _parquet(paths)
        try:
            described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
            columns = {str(row[0]): str(row[1]) for row in described}
            selected = _selected(columns, collections.get(table, []), books.get(table, {}))
            connection.execute(f"CREATE {kind} {name} AS SELECT {selected} FROM {source}")
        except unfit as error:
            left_out[table] = str(error).split("\n", maxsplit=1)[0]
            continue
        counts.append(_counted(table, name, PATIENT_COLUMN in map(str.lower, columns)))
    if counts:
        connection.execute(f"DROP TABLE {FACTS}")
        connection.execute(f"CREATE {kind} {FACTS} AS {' UNION ALL '.join(counts)}")
    return left_out


def _selected(
    columns: Mapping[str, str], collections: list[str], books: Mapping[str, Mapping[str, str]]
) -> str:
    """The columns of a clinical table: its collection, then its own with what codes mean."""
    names = {column.lower() for column in columns}
    selected = []
    if COLLECTION not in names:
        # A table of several collections does not say which row is whose.
        value = _text(collections[0]) if len(collections) == 1 else "CAST(NULL AS VARCHAR)"
        selected.append(f"{value} AS {COLLECTION}")
    for column, type_ in columns.items():
        key = column.lower() in (PATIENT_COLUMN, COLLECTION)
        selected.append(f"{_code(column, type_)} AS {column.lower()}" if key else quoted(column))
        if column in books and f"{column}{MEANING}".lower() not in names:
            selected.append(_decoded(column, type_, books[column]))
    return ", ".join(selected)


def _collections(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, collection in connection.execute(
        "SELECT DISTINCT table_name, collection_id FROM core.clinical_columns "
        "WHERE collection_id IS NOT NULL ORDER BY ALL"
    ).fetchall():
        found.setdefault(table, []).append(collection)
    return found


def _code_books(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, dict[str, str]]]:
    """By table and column, what the codes mean; columns whose values speak for themselves not.

    A code that is given two meanings has both.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for table, column, code, meaning in connection.execute(
        "SELECT table_name, column_name, code, string_agg(DISTINCT meaning, ' / ' "
        "ORDER BY meaning) FROM core.clinical_columns WHERE code IS NOT NULL "
        "AND meaning IS NOT NULL AND lower(meaning) <> lower(code) GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        found.setdefault(table, {}).setdefault(column, {})[code] = meaning
    return found


def _code(column: str, type_: str) -> str:
    """A column as text; of a fraction no more digits than it needs: `1` for 1.0."""
    text = f"CAST({quoted(column)} AS VARCHAR)"
    if not type_.startswith(_FRACTIONS):
        return text
    return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"


def _decoded(column: str, type_: str, book: Mapping[str, str]) -> str:
    known: dict[str, list[str]] = {}
    for value, meaning in book.items():
        code = whole(value) if type_.startswith(_NUMBERS) else value
        if type_ == "BOOLEAN":
            code = _TRUTH.get(value.lower(), value.lower())
        known.setdefault(code, []).append(meaning)
    cases = " ".join(
        f"WHEN {_text(code)} THEN {_text(' / '.join(dict.fromkeys(meanings)))}"
        for code, meanings in known.items()
    )
    return f"CASE {_code(column, type_)} {cases} END AS {quoted(column + MEANING)}"


def whole(code: str) -> str:
    """A code without the zeros that end its fraction: `1` for `1.0`, `1.5` for `1.50`."""
    number, point, fraction = code.partition(".")
    if not point or not fraction.isdigit():
        return code
    return f"{number}.{fraction.rstrip('0')}".rstrip(".")


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
