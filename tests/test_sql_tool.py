"""`idc_sql` as a tool: honest about what it shows, and within its budget."""

import pandas
import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument, IdcError, NotFetched, NotFound, SqlError
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
        (
            "SELECT count(*) FROM index WHERE BodyPartExamined = 'LIVER' AND Modality = 'SEG'",
            "seg_index.SegmentedPropertyType_CodeMeanings",
        ),
        ("SELECT count(*) FROM index i WHERE i.BodyPartExamined IN ('LUNG')", "Null for many"),
        ("SELECT count(*) FROM index WHERE lower(BodyPartExamined) LIKE '%lung%'", "Null for many"),
        ("SELECT count(*) FROM index WHERE contains(BodyPartExamined, 'LUNG')", "Null for many"),
    ],
)
def test_what_a_statement_overlooks_is_said(app, sql, said):
    assert said in idc_sql(app, sql).notes[0]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT BodyPartExamined, count(*) FROM index GROUP BY ALL ORDER BY 2",
        "SELECT count(*) FROM index WHERE BodyPartExamined IS NULL AND Modality = 'SEG'",
        "SELECT count(*) FROM index WHERE license_short_name IN ('CC BY 4.0')",
    ],
)
def test_nothing_is_said_of_a_statement_that_overlooks_nothing(app, sql):
    assert idc_sql(app, sql).notes == []


def test_patients_are_joined_with_their_collection(full_app):
    join = "SELECT count(*) FROM nlst_canc c JOIN index i ON c.dicom_patient_id = i.PatientID"
    within = (
        "SELECT count(*) FROM index WHERE PatientID IN (SELECT dicom_patient_id FROM nlst_canc)"
    )
    for statement in (join, within):
        (note,) = idc_sql(full_app, statement).notes
        assert "join collection_id too" in note
    assert not idc_sql(full_app, f"{join} AND c.collection_id = i.collection_id").notes


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("seg_index WHERE SegmentedPropertyType_CodeMeanings = 'Liver'", "list_contains"),
        ("seg_index WHERE SegmentedPropertyType_CodeMeanings LIKE '%Liver%'", "list_filter"),
        ("nlst_canc WHERE clinical_stag = 400", "quote them ('400')"),
        ("nlst_canc WHERE clinical_stag IN (400, 110)", "quote them ('400')"),
        ("nlst_canc WHERE clinical_stag > 400", "quote them ('400')"),
        ("4d_lung_clinical", '"4d_lung_clinical"'),
    ],
)
def test_how_to_write_it_is_said(full_app, condition, said):
    with pytest.raises(SqlError) as caught:
        idc_sql(full_app, f"SELECT count(*) FROM {condition}")
    assert said in caught.value.next_step


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
    for source, table in (
        ("seg_index", "seg_index"), ("clinical.nlst_canc", "clinical"), ("nlst_canc", "clinical"),
    ):  # fmt: skip
        with pytest.raises(NotFetched) as caught:
            idc_sql(app, f"SELECT * FROM {source}")
        assert caught.value.tables == (table,)


def test_a_name_that_may_be_a_clinical_table_has_them_fetched(app, full_app):
    with pytest.raises(NotFetched) as caught:
        app.with_tables(lambda: idc_cohort(app, sql="SELECT dicom_patient_id FROM nlst_canc"))
    assert str(caught.value).startswith("the clinical tables are not on this machine, and")
    assert "idc-mcp fetch clinical" in caught.value.next_step
    assert "idc_schema" not in caught.value.next_step
    for statement, near in (
        ("FROM indexx", "index"), ("FROM seg_inde", "seg_index"), ("FROM nlst", "")
    ):  # fmt: skip
        with pytest.raises(NotFound) as caught:
            idc_sql(app, statement)
        assert near in " ".join(caught.value.nearest)
    with pytest.raises(NotFound) as caught:
        idc_sql(full_app, "FROM nlst_cancc")
    assert caught.value.nearest[0] == "nlst_canc"
    with pytest.raises(NotFound, match=r"main\.nlst_canc: it is a clinical table") as caught:
        idc_sql(full_app, "FROM main.nlst_canc")
    assert caught.value.nearest == ("clinical.nlst_canc",)


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
