"""`idc_sql` as a tool: honest about what it shows, and within its budget."""

import pandas
import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument, IdcError, NotFetched, SqlError
from idc_mcp.index.naming import RENAMED_COLUMNS, RENAMED_TABLES
from idc_mcp.tools.arguments import argument_model, check_arguments
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.sql import idc_sql


def _rendered(app, sql, **arguments):
    return render(idc_sql(app, sql, **arguments), app.settings.answer_chars)


def test_a_complete_answer_says_so(app):
    content = _rendered(app, "SELECT Modality FROM index GROUP BY ALL").structured
    assert content["complete"] is True
    assert "notes" not in content


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM collections_index",
        "SELECT DISTINCT StudyDescription FROM index",
        "SELECT repeat('x', 100000)",
        "SELECT repeat('x', 100000), 1 FROM range(50)",
        "SELECT repeat('\"', 90000)",
        "SELECT [repeat('\"', 90000), chr(10)]",
        "SELECT '\"quotes\"' || repeat('\"', 200) FROM range(1000)",
        "SELECT * FROM index",
    ],
)
def test_no_answer_over_its_budget_and_no_wrong_count(app, sql):
    rendered = _rendered(app, sql, max_rows=1000)
    assert rendered.chars <= app.settings.answer_chars
    assert rendered.structured["complete"] is False
    assert rendered.structured["notes"]
    # The engine was stopped before it had counted: no number of rows left is told.
    assert "more" not in rendered.structured["result"]


def test_rows_that_were_counted_are_told(app):
    rendered = _rendered(app, "SELECT i, repeat('x', 60) FROM range(120) t(i)", max_rows=1000)
    assert rendered.structured["complete"] is True
    small = render(idc_sql(app, "SELECT i, repeat('x', 60) FROM range(120) t(i)", 1000), 8_000)
    table = small.structured["result"]
    assert small.structured["complete"] is False
    assert len(table["rows"]) + table["more"] == 120


def test_a_file_holds_all_rows(make_app, tmp_path):
    app = make_app()
    answer = idc_sql(app, "SELECT SeriesInstanceUID FROM index LIMIT 5000", 10, "series.csv")
    assert answer.saved_rows == 5000
    assert len((tmp_path / "output" / "series.csv").read_text().splitlines()) == 5001
    assert "the file holds all" in answer.notes[0]


def test_a_limit_is_lowered_never_raised(app):
    with pytest.raises(BadArgument, match="limit of 1000"):
        idc_sql(app, "SELECT 1", app.settings.sql_max_rows + 1)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT count(*) FROM index WHERE StudyDate > '20100101'", "ISO text"),
        ("SELECT count(*) FROM index WHERE license_short_name NOT LIKE '%NC%'", "strictest"),
    ],
)
def test_what_a_statement_overlooks_is_said(app, sql, said):
    assert said in idc_sql(app, sql).notes[0]


def test_no_view_of_ours_is_shown(app):
    idc_sql(app, "SELECT now()")  # its type needs a view
    tables = [row[0] for row in idc_sql(app, "SHOW TABLES").result.rows]
    assert "the answer" not in tables


@pytest.mark.parametrize(
    ("statement", "successor"),
    [
        ("SELECT CancerTypes FROM collections_index", "cancer_types"),
        ("SELECT c.TumorLocations FROM collections_index c", "tumor_locations"),
        ("SELECT SegmentedPropertyType FROM seg_index", "SegmentedPropertyType_CodeMeanings"),
        ("SELECT count(*) FROM ct_index WHERE XRayTubeCurrent > 100", "XRayTubeCurrent_max"),
        ("SELECT GraphicTypes FROM ann_group_index", "GraphicType"),
        ("SELECT AnalysisArtifacts FROM analysis_results_index", "modalities"),
    ],
)
def test_an_old_column_name_names_the_new_one(full_app, statement, successor):
    with pytest.raises(SqlError) as caught:
        idc_sql(full_app, statement)
    assert f"is called {successor} in this release" in caught.value.next_step


@pytest.mark.parametrize(
    ("old", "new"),
    [("CancerTypes", "cancer_types"), ("TumorLocations", "tumor_locations"),
     ("Program", "program_id"), ("SegmentedPropertyType", "segmented_structure")],
)  # fmt: skip
def test_an_old_name_of_a_filter_names_the_new_one(old, new):
    with pytest.raises(BadArgument) as caught:
        check_arguments("idc_cohort", argument_model(idc_cohort), {"filters": {old: "x"}})
    assert caught.value.nearest[0] == new


def test_successors_are_columns(full_app):
    columns = {column.name for schema in full_app.release.schemas.values()
               for column in schema.columns}  # fmt: skip
    assert set(RENAMED_COLUMNS.values()) <= columns
    assert all(old == old.lower() for old in RENAMED_COLUMNS)
    assert set(RENAMED_TABLES.values()) <= set(full_app.release.schemas)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("pathology_index", "sm_index"),
        ("dicom_all", "BigQuery only"),
        ("idc_current.dicom_all", "BigQuery only"),
        ('"bigquery-public-data".idc_v25.prior_versions', "write prior_versions_index"),
        ("idc_v25_clinical.nlst_canc", "write clinical.nlst_canc"),
        ("bigquery-public-data.idc_current.dicom_all", "BigQuery"),
        ("`bigquery-public-data.idc_current.dicom_all`", "BigQuery"),
        ("clinical.nlst_cancer", "nlst_canc"),
    ],
)
def test_names_of_bigquery_lead_to_the_tables_here(full_app, source, said):
    with pytest.raises(IdcError) as caught:
        idc_sql(full_app, f"SELECT * FROM {source}")
    assert said in str(caught.value)


def test_tables_that_are_not_here_are_asked_for(app):
    for source, table in (("seg_index", "seg_index"), ("clinical.nlst_canc", "clinical")):
        with pytest.raises(NotFetched) as caught:
            idc_sql(app, f"SELECT * FROM {source}")
        assert caught.value.tables == (table,)


def test_clinical_codes_are_decoded(full_app, published):
    table = pandas.read_parquet(published / "clinical" / "nlst_canc")
    statement = (
        "SELECT clinical_stag, clinical_stag_meaning, count(*) FROM nlst_canc "
        "WHERE clinical_stag IS NOT NULL GROUP BY ALL"
    )
    rows = {row[0]: row[1:] for row in idc_sql(full_app, statement).result.rows}
    assert {
        code: row[1] for code, row in rows.items()
    } == table.clinical_stag.value_counts().to_dict()
    assert rows["400"][0] == "Stage IV"
