"""Clinical tables, and `clinical_index`, which is their dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_mcp.index.release import Release
from tests.published import forms, tables
from tests.published.forms import Column, Form
from tests.published.lots import literal, lot
from tests.published.tables import Scale

if TYPE_CHECKING:
    import duckdb

LISTED = 20
"""A column of more distinct values than this has none listed in `clinical_index`."""
COUNT = {"small": 36, "full": 150}
FILE = "{:012}.parquet"
"""BigQuery's name of an exported file."""


def make_clinical(
    release: Release, directory: Path, *, scale: Scale = "small", tables_too: bool = False
) -> Path:
    """Write `<short table name>/<000000000000>.parquet` for every clinical table.

    `tables_too` adds the folders `table_metadata` and `column_metadata`, which lie in the same
    BigQuery dataset and are no clinical tables.
    """
    with tables.drawn_from(release, scale) as connection:
        write_clinical(connection, directory, scale)
        if tables_too:
            for name, query in _metadata(connection, release, scale).items():
                _write_part(connection, query, directory / name, 0)
    return directory


def publish(release: Release, directory: Path, *, scale: Scale = "small") -> Path:
    """Write everything: `<table>.parquet` and `clinical/<short table name>/<file>.parquet`."""
    with tables.drawn_from(release, scale) as connection:
        tables.write_tables(connection, release, directory, scale)
        write_clinical(connection, directory / "clinical", scale)
    return directory


def write_clinical(connection: duckdb.DuckDBPyConnection, directory: Path, scale: Scale) -> None:
    """Write the clinical tables from a database that is made (`tables.drawn_from`)."""
    for form in _made(connection, scale):
        rows = f"SELECT * EXCLUDE (h, place) FROM {_name(form)}"
        for part in range(form.files):
            wanted = f"{rows} WHERE place % {form.files} = {part}"
            _write_part(connection, wanted, directory / form.name, part)


def _write_part(connection: duckdb.DuckDBPyConnection, query: str, folder: Path, part: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tables.write(connection, query, folder / FILE.format(part), None)


def write_dictionary(
    connection: duckdb.DuckDBPyConnection, release: Release, path: Path, scale: Scale, stamp: str
) -> None:
    """Write `clinical_index`: a row for each column of each clinical table."""
    _dictionary(connection, release, scale)
    kinds = tables.typed(release.schemas[tables.CLINICAL_INDEX])
    columns = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in kinds.items())
    query = f"SELECT {columns} FROM dictionary ORDER BY collection_id, table_name, place"
    tables.write(connection, query, path, stamp)


def all_forms(connection: duckdb.DuckDBPyConnection, scale: Scale) -> list[Form]:
    """The clinical tables of a scale, of the collections that have patients in it."""
    found = connection.execute(
        "SELECT DISTINCT collection_id FROM patients ORDER BY ALL"
    ).fetchall()
    collections = [collection for (collection,) in found]
    made, others = list(forms.NLST), []
    for collection in collections:
        if collection.startswith(("tcga_", "cptac_")):
            made += forms.tcga(collection)
        elif collection.startswith("acrin_"):
            made += forms.acrin(collection)
        elif collection.startswith("htan_"):
            made += forms.htan(collection)
        elif collection != "nlst":
            others.append(collection)
    left = max(0, COUNT[scale] - len(made))
    made += [form for place, one in enumerate(others[:left]) for form in forms.generic(one, place)]
    return made[: COUNT[scale]] if scale == "full" else made


def _name(form: Form) -> str:
    return f'clinical."{form.name}"'


def _made(connection: duckdb.DuckDBPyConnection, scale: Scale) -> list[Form]:
    """Make the tables in schema `clinical`, unless they are there."""
    every = all_forms(connection, scale)
    known = connection.execute("FROM duckdb_schemas() WHERE schema_name = 'clinical'").fetchall()
    if not known:
        connection.execute("CREATE SCHEMA clinical")
        for form in every:
            connection.execute(_create(form))
    return every


def _create(form: Form) -> str:
    """A table of a part of the patients that have images, and some who have none."""
    chosen = f"{lot(form.name, 1000)} < {form.share}"
    if form.name == "nlst_canc":
        chosen = f"{lot('cancer', tables.CANCERS)} = 0"
    others = f"(900000 + {lot('id', 90_000)})::VARCHAR"
    if form.collection != "nlst":
        others = f"upper('{form.collection}') || '-' || {others}"
    columns = "".join(
        f', CAST({column.sql} AS {column.kind}) AS "{column.name}"' for column in form.columns
    )
    patient = "dicom_patient_id, " if form.names_patients else ""
    return f"""
        CREATE TABLE {_name(form)} AS
        WITH people AS (
            SELECT PatientID AS dicom_patient_id, h FROM patients
            WHERE collection_id = '{form.collection}' AND {chosen}
            UNION ALL
            SELECT {others}, h * 48271 % 2147483647 FROM patients
            WHERE collection_id = '{form.collection}' AND {chosen} AND {lot("no images", 30)} = 0
        ), several AS (
            SELECT dicom_patient_id, (h * (7919 * again + 1)) % 2147483647 AS h
            FROM (SELECT *, unnest(range(1 + {lot("rows of " + form.name, form.rows)})) AS again
                  FROM people)
        )
        SELECT {patient}{lot("batch", 2)}::BIGINT AS source_batch{columns}, h,
            row_number() OVER (ORDER BY dicom_patient_id, h) AS place
        FROM several ORDER BY dicom_patient_id, h
    """


def _dictionary(connection: duckdb.DuckDBPyConnection, release: Release, scale: Scale) -> None:
    made = _made(connection, scale)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE dictionary (collection_id VARCHAR, table_name VARCHAR, "
        'short_table_name VARCHAR, "column" VARCHAR, column_label VARCHAR, '
        f'"values" {tables.TYPES["RECORD"]}[], place BIGINT, data_type VARCHAR)'
    )
    rows = [row for form in made for row in _described(connection, release, form)]
    for start in range(0, len(rows), 200):
        part = rows[start : start + 200]
        connection.execute(f"INSERT INTO dictionary VALUES {', '.join(part)}")


def _described(
    connection: duckdb.DuckDBPyConnection, release: Release, form: Form
) -> Iterator[str]:
    """A row of `clinical_index` as SQL for each column of a table."""
    first = [Column("source_batch", "BIGINT", "", "idc_provenance_source_batch")]
    if form.names_patients:
        first.insert(
            0, Column("dicom_patient_id", "VARCHAR", "", "idc_provenance_dicom_patient_id")
        )
    columns = [*first, *form.columns]
    found = connection.execute(
        "SELECT "
        + ", ".join(
            f"list_sort(list(DISTINCT coalesce(\"{one.name}\"::VARCHAR, 'None')))[1 : {LISTED + 1}]"
            for one in columns
        )
        + f" FROM {_name(form)}"
    ).fetchone()
    table_name = f"bigquery-public-data.idc_v{release.number}_clinical.{form.name}"
    for place, (column, values) in enumerate(zip(columns, found or (), strict=True)):
        told: list[tuple[str, str | None]] = list(column.codes.items())
        if not told and values and len(values) <= LISTED:
            told = [(value, None) for value in values]
        cells: list[Any] = [form.collection, table_name, form.name, column.name, column.label]
        listed = ", ".join(
            f"{{option_code: {literal(code)}, option_description: {literal(meaning)}}}"
            for code, meaning in told
        )
        yield f"({', '.join(map(literal, cells))}, [{listed}], {place}, '{column.kind}')"


def _metadata(
    connection: duckdb.DuckDBPyConnection, release: Release, scale: Scale
) -> dict[str, str]:
    _dictionary(connection, release, scale)
    return {
        "table_metadata": "SELECT collection_id, table_name, 'clinical data' AS table_description "
        "FROM dictionary GROUP BY ALL ORDER BY ALL",
        "column_metadata": 'SELECT collection_id, table_name, "column", column_label, data_type, '
        '"values" FROM dictionary ORDER BY collection_id, table_name, place',
    }
