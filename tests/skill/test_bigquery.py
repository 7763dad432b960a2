"""Statements for BigQuery run on tables that stand in for IDC's; and these are like IDC's."""

from __future__ import annotations

from pathlib import Path

import duckdb
import idc_index_data
import pytest

from tests import docs_blocks
from tests.docs_blocks import SKILL_DOCUMENTS
from tests.skill.warehouse import translated, warehouse

STATEMENTS = [
    pytest.param(block.content, id=f"{Path(document).stem}:{block.line}")
    for document in SKILL_DOCUMENTS
    for block in docs_blocks.blocks(document)
    if block.kind == "sql bigquery"
]
NOT_TRANSLATED = {
    "prior_versions_index": "a script over all releases",
    "volume_geometry_index": "a script, with LIMIT in ARRAY_AGG",
    "clinical_index": "asks INFORMATION_SCHEMA",
}
OF_IDC = [
    path
    for path in sorted(Path(idc_index_data.__file__).parent.glob("*_index.sql"))
    if path.stem not in NOT_TRANSLATED
]


@pytest.fixture(scope="module")
def tables(published):
    with warehouse(published) as connection:
        yield connection


@pytest.mark.parametrize("sql", STATEMENTS)
def test_statements_for_bigquery_run(tables, sql):
    tables.execute(translated(sql)).fetchall()


@pytest.mark.parametrize("path", OF_IDC, ids=lambda path: path.stem)
def test_the_statements_that_make_idcs_own_tables_run_here(tables, path):
    # DuckDB is stricter about what ORDER BY may name.
    tables.execute(translated(path.read_text(encoding="utf-8"), ordered=False)).fetchall()


def test_a_column_that_is_not_idcs_fails(tables):
    with pytest.raises(duckdb.Error, match="no_such_column"):
        tables.execute(
            translated("SELECT no_such_column FROM `bigquery-public-data.idc_current.dicom_all`")
        )


def test_a_reserved_word_needs_backticks():
    with pytest.raises(ValueError, match="Rows is reserved"):
        translated("SELECT Rows FROM `bigquery-public-data.idc_current.dicom_all`")
