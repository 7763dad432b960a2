"""A database that stands in for BigQuery: the tables of `bigquery.py`, with rows of `data/`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from sqlglot import exp

from idc_mcp.index.release import installed_release
from tests.skill import bigquery
from tests.skill.dicom import Row
from tests.skill.standins import datasets

RESERVED = """
    ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS
    CREATE CROSS CUBE CURRENT DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE
    EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM FULL GROUP GROUPING GROUPS HASH HAVING IF
    IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT LOOKUP MERGE NATURAL
    NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO QUALIFY RANGE
    RECURSIVE RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE
    UNBOUNDED UNION UNNEST USING WHEN WHERE WINDOW WITH WITHIN
"""
"""Words of GoogleSQL that are no names without backticks (its lexical reference)."""


def translated(sql: str, *, ordered: bool = True) -> str:
    """A GoogleSQL statement in DuckDB's SQL; not `ordered` leaves every ORDER BY out.

    Raises
    ------
    ValueError
        It is no statement of GoogleSQL, or one that DuckDB has no words for.
    """
    try:
        (tree,) = sqlglot.parse(sql, read="bigquery", error_level=sqlglot.ErrorLevel.RAISE)
        for name in tree.find_all(exp.Identifier):
            if not name.quoted and name.name.upper() in RESERVED.split():
                raise ValueError(f"{name.name} is reserved in GoogleSQL: put it into backticks")
        for order in list(tree.find_all(exp.Order)) if not ordered else ():
            order.replace(order.this) if order.this else order.pop()
        for call in tree.find_all(exp.Round):
            if isinstance(call.args.get("decimals"), exp.Expression):
                call.set("decimals", exp.cast(call.args["decimals"], "int"))
        return tree.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError as error:
        raise ValueError(str(error)) from error


def warehouse(published: Path) -> duckdb.DuckDBPyConnection:
    """A connection whose catalogue `bigquery-public-data` has the datasets of the release."""
    connection = duckdb.connect()
    connection.execute(f'ATTACH \':memory:\' AS "{bigquery.PROJECT}"; USE "{bigquery.PROJECT}"')
    release = f"idc_v{installed_release().number}"
    for dataset, tables in (
        (release, bigquery.all_tables()),
        (f"{release}_clinical", bigquery.CLINICAL),
    ):
        current = dataset.replace(release, "idc_current")
        connection.execute(f"CREATE SCHEMA {dataset}; CREATE SCHEMA {current}")
        for table, columns in tables.items():
            told = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            connection.execute(f"CREATE TABLE {dataset}.{table} ({told})")
    for folder in sorted((published / "clinical").iterdir()):
        connection.execute(
            f'CREATE TABLE {release}_clinical."{folder.name}" AS '
            f"FROM read_parquet('{folder}/*.parquet')"
        )
    _fill(connection, release)
    for dataset, table in connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables()"
    ).fetchall():
        current = dataset.replace(release, "idc_current")
        connection.execute(f'CREATE VIEW {current}."{table}" AS FROM {dataset}."{table}"')
    return connection


def export(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Write the release's tables as IDC exports them, below a bucket's `root`."""
    release = f"idc_v{installed_release().number}"
    for table in bigquery.all_tables():
        folder = root / "bigquery_export" / release / table
        folder.mkdir(parents=True)
        for part in range(2 if table == "dicom_all" else 1):
            rows = f"FROM {release}.{table}"
            if table == "dicom_all":
                rows += f" WHERE hash(SOPInstanceUID) % 2 = {part}"
            connection.execute(f"COPY ({rows}) TO '{folder}/{part:012}.parquet' (FORMAT parquet)")


def _fill(connection: duckdb.DuckDBPyConnection, release: str) -> None:
    metadata, whole = [], []
    for row, files in datasets():
        for number, dataset in enumerate(files):
            metadata.append(_values(dataset, bigquery.attributes()))
            whole.append(metadata[-1] | _of_idc(row, row.file(number)))
    _insert(connection, release, "dicom_metadata", metadata)
    _insert(connection, release, "dicom_all", whole)
    connection.execute(f"""
        INSERT INTO {release}.segmentations BY NAME
        SELECT PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID,
            FrameOfReferenceUID, SegmentationType, one.SegmentNumber, one.SegmentAlgorithmType,
            one.SegmentAlgorithmName[1] AS SegmentAlgorithmName,
            one.SegmentedPropertyCategoryCodeSequence[1] AS SegmentedPropertyCategory,
            struct_pack(
                CodeValue := kind.CodeValue,
                CodingSchemeDesignator := kind.CodingSchemeDesignator,
                CodeMeaning := kind.CodeMeaning
            ) AS SegmentedPropertyType,
            ReferencedSeriesSequence[1].SeriesInstanceUID AS segmented_SeriesInstanceUID
        FROM (
            SELECT *, one.SegmentedPropertyTypeCodeSequence[1] AS kind
            FROM (SELECT *, unnest(SegmentSequence) AS one FROM {release}.dicom_metadata))
    """)


def _of_idc(row: Row, name: str) -> dict[str, Any]:
    """What IDC adds to an instance."""
    folder = f"{row.aws_bucket}/{row.crdc_series_uuid}"
    return {
        "collection_id": row.collection_id, "access": "Public",
        "crdc_series_uuid": row.crdc_series_uuid, "crdc_instance_uuid": name.removesuffix(".dcm"),
        "aws_bucket": row.aws_bucket, "gcs_bucket": row.aws_bucket,
        "aws_url": f"s3://{folder}/{name}", "gcs_url": f"gs://{folder}/{name}",
        "series_aws_url": f"s3://{folder}/", "series_gcs_url": f"gs://{folder}/",
        "instance_size": row.bytes // row.instanceCount,
    }  # fmt: skip


def _insert(
    connection: duckdb.DuckDBPyConnection, release: str, table: str, rows: list[dict[str, Any]]
) -> None:
    columns = bigquery.all_tables()[table]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(rows, file)
        file.flush()
        connection.execute(
            f"INSERT INTO {release}.{table} SELECT * FROM read_json($file, columns = $columns)",
            {"file": file.name, "columns": columns},
        )


def _values(dataset: Dataset, wanted: bigquery.Fields) -> dict[str, Any]:
    """What a dataset has of the attributes, as JSON."""
    return {
        element.keyword: _value(element, wanted[element.keyword])
        for element in dataset
        if element.keyword in wanted and not element.is_empty
    }


def _value(element: DataElement, kind: str | bigquery.Fields) -> Any:
    if isinstance(kind, dict):
        return [_values(item, kind) for item in element.value]
    several = isinstance(element.value, MultiValue | list)
    values = [_text(one, element.VR) for one in (element.value if several else [element.value])]
    return values if kind.endswith("[]") else values[0]


def _text(value: Any, representation: str) -> str:
    text = str(value)
    if representation == "DA":
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    if representation == "TM":
        return f"{text[:2]}:{text[2:4]}:{text[4:6]}"
    if representation == "DT":
        return f"{_text(text[:8], 'DA')} {_text(text[8:14], 'TM')}"
    return text
