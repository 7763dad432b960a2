"""Tables, columns and values, against the files themselves."""

from __future__ import annotations

import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument, NotFetched, NotFound
from idc_mcp.idc.schema.account import share
from idc_mcp.idc.schema.accounts import list_tables
from idc_mcp.tools.schema import idc_schema

BUDGET = 20_000


def pairs(table):
    return {row[0]: row[1] for row in table.rows}


def test_every_table_is_listed_with_its_rows_or_why_not(app, catalogue):
    answer = idc_schema(app)
    rows = pairs(answer.tables)
    assert set(rows) == {*app.release.schemas, "clinical.*"}
    assert rows["index"] == len(catalogue)
    assert rows["seg_index"] == rows["clinical.*"] == "not here"
    assert "idc-mcp fetch NAME" in answer.notes[0]
    assert render(answer, BUDGET).chars < 5_000


def test_a_table_tells_types_nulls_and_distinct_values(app, catalogue):
    answer = idc_schema(app, table="index")
    rows = {row[0]: row for row in answer.columns.rows}
    assert len(rows) == len(app.release.schemas["index"].columns)
    nulls = catalogue.BodyPartExamined.isna().mean()
    assert rows["BodyPartExamined"][2] == f"{100 * nulls:.1f}%"
    assert rows["BodyPartExamined"][3] == catalogue.BodyPartExamined.nunique()
    assert rows["Modality"][2] == "0%"


@pytest.mark.parametrize(
    ("written", "table"),
    [
        ("idc_index", "index"), ("INDEX", "index"), ("main.index", "index"), ("seg", "seg_index"),
        ("collections", "collections_index"), ("Collections-Index", "collections_index"),
        ("bigquery-public-data.idc_current.original_collections_metadata", "collections_index"),
        ("`bigquery-public-data.idc_v25.prior_versions`", "prior_versions_index"),
    ],
)  # fmt: skip
def test_a_table_is_read_forgivingly(app, written, table):
    assert idc_schema(app, table=written).about["table"] == table


def test_a_table_without_rows_tells_its_columns_and_says_so(app):
    answer = idc_schema(app, table="seg_index")
    assert answer.columns.columns == ["column", "type", "about"]
    assert "not on this machine" in answer.notes[0]
    assert "idc-mcp fetch seg_index" in answer.notes[0]
    answer = idc_schema(app, table="seg_index", column="total_segments")
    assert answer.values is None
    assert answer.about["type"] == "INTEGER"
    assert "idc-mcp fetch seg_index" in answer.notes[-1]


def test_values_are_fetched_where_that_is_allowed(make_app):
    app = make_app(offline=False)
    assert "a question needs them" in idc_schema(app, table="seg_index").notes[0]
    with pytest.raises(NotFetched) as caught:
        idc_schema(app, table="seg_index", column="total_segments")
    assert caught.value.tables == ("seg_index",)


def test_a_table_that_is_being_fetched_says_how_far(app):
    states = {"seg_index": "being fetched: 3 MB of 9 MB", "clinical": "being fetched: 1 MB"}
    rows = pairs(list_tables(app.index, states).tables)
    assert rows["seg_index"] == "being fetched: 3 MB of 9 MB"
    assert rows["clinical.*"] == "being fetched: 1 MB"
    assert rows["ct_index"] == "not here"


def test_how_rows_are_had_depends_on_the_server(make_app):
    for changes, said in (
        ({"hosted": True, "offline": False}, "was built without"),
        ({"fetch": False, "offline": False}, "IDC_MCP_FETCH"),
        ({}, "IDC_MCP_OFFLINE"),
    ):
        assert said in idc_schema(make_app(**changes)).notes[0]


@pytest.mark.parametrize("column", ["Modality", "BodyPartExamined", "Manufacturer", "source_DOI"])
def test_values_are_all_there_with_their_counts(app, catalogue, column):
    answer = idc_schema(app, table="index", column=column, limit=500)
    expected = catalogue[column].value_counts()
    assert pairs(answer.values) == expected.to_dict()
    assert answer.values.more == 0


def test_what_is_cut_is_counted_and_the_rest_is_a_call(app, catalogue):
    values = idc_schema(app, column="Modality", limit=10).values
    assert len(values.rows) == 10
    assert values.more == catalogue.Modality.nunique() - 10
    assert values.rest == "idc_schema(table='index', column='Modality', limit=25)"


def test_values_that_contain_a_text(app, catalogue):
    answer = idc_schema(app, column="Manufacturer", contains="Siemens")
    expected = catalogue.Manufacturer.dropna()
    expected = expected[expected.str.contains("siemens", case=False)].value_counts()
    assert pairs(answer.values) == expected.to_dict()
    assert answer.about["matching series"] == int(expected.sum())


def test_columns_of_many_values_are_counted_now(app, catalogue):
    answer = idc_schema(app, column="SeriesDescription", contains="flair", limit=5)
    expected = catalogue.SeriesDescription.dropna()
    expected = expected[expected.str.contains("flair", case=False)].value_counts()
    assert answer.about["matching values"] == len(expected)
    assert answer.about["matching series"] == int(expected.sum())
    assert answer.values.rows[0][1] == int(expected.iloc[0])
    assert answer.values.more == len(expected) - 5
    assert answer.about["distinct values"] == catalogue.SeriesDescription.nunique()


def test_identifiers_give_examples(app):
    for column in ("SeriesInstanceUID", "crdc_series_uuid", "PatientID", "series_aws_url"):
        answer = idc_schema(app, table="index", column=column)
        assert answer.values is None
        assert len(set(answer.about["examples"])) == 3


def test_numbers_are_summed_up(app, catalogue):
    about = idc_schema(app, table="index", column="series_size_MB").about
    sizes = catalogue.series_size_MB
    assert about["min"] == sizes.min()
    assert about["max"] == sizes.max()
    assert about["median"] == pytest.approx(sizes.median(), rel=1e-3)
    with pytest.raises(BadArgument, match="text"):
        idc_schema(app, column="series_size_MB", contains="1")


def test_few_numbers_are_listed(app):
    values = idc_schema(app, column="series_init_idc_version").values
    assert 25 in {int(row[0]) for row in values.rows}


def test_dates_have_a_span(app, catalogue):
    about = idc_schema(app, column="StudyDate").about
    assert about["first"] == catalogue.StudyDate.dropna().min()
    assert about["last"] == catalogue.StudyDate.dropna().max()


def test_structs_say_how_they_are_read(app):
    for table, column in (
        ("collections_index", "sources"),
        ("analysis_results_index", "provenance"),
    ):
        call = idc_schema(app, table=table, column=column).next[0]
        sql = call.removeprefix('idc_sql(sql="').removesuffix('")')
        assert app.index.rows(sql)


def test_misleading_columns_come_with_a_caution(app):
    assert any("source acquisition" in n for n in idc_schema(app, column="BodyPartExamined").notes)
    assert any("shifted" in note for note in idc_schema(app, column="StudyDate").notes)


@pytest.mark.parametrize(
    ("table", "column", "successor"),
    [
        ("", "CancerTypes", "cancer_types"),
        ("collections_index", "CancerTypes", "cancer_types"),
        ("", "TumorLocations", "tumor_locations"),
        ("index", "TumorLocations", "tumor_locations"),
        ("", "SupportingData", "supporting_data"),
        ("seg_index", "SegmentedPropertyType", "SegmentedPropertyType_CodeMeanings"),
        ("", "SegmentAlgorithmName", "AlgorithmName"),
        ("ann_index", "AnnotationPropertyTypes", "AnnotationPropertyType_CodeMeaning"),
        ("rtstruct_index", "ROIName", "ROINames"),
        ("", "AnalysisArtifacts", "modalities"),
    ],
)
def test_a_renamed_column_names_its_successor(app, table, column, successor):
    with pytest.raises(NotFound) as caught:
        idc_schema(app, table=table, column=column)
    assert f"is called {successor} now" in str(caught.value)
    assert f"column='{successor}'" in caught.value.next_step


@pytest.mark.parametrize("written", ["Subjects", "Description", "Species", "Status", "Updated"])
def test_a_column_renamed_in_case_only_is_read_and_said(app, written):
    answer = idc_schema(app, table="collections_index", column=written)
    assert answer.about["column"] == f"collections_index.{written.lower()}"
    assert f"written '{written}'" in answer.understood


def test_unknown_names_get_the_nearest(app):
    with pytest.raises(NotFound) as caught:
        idc_schema(app, column="Manufactrer")
    assert caught.value.nearest[0] == "Manufacturer"
    with pytest.raises(NotFound) as caught:
        idc_schema(app, table="colections_index")
    assert caught.value.nearest[0] == "collections_index"
    with pytest.raises(NotFound) as caught:
        idc_schema(app, table="index", column="cancer_types")
    assert "collections_index.cancer_types" in caught.value.nearest
    with pytest.raises(NotFound) as caught:
        idc_schema(app, column="Modality", contains="MRI")
    assert "MR" in caught.value.nearest


def test_columns_of_every_table_can_be_looked_for(app):
    answer = idc_schema(app, contains="thickness")
    assert ["ct_index", "SliceThickness"] in [row[:2] for row in answer.columns.rows]
    assert "ct_index" in answer.notes[0]
    with pytest.raises(NotFound, match="zzyzzx"):
        idc_schema(app, contains="zzyzzx")
    with pytest.raises(NotFound, match="zzyzzx"):
        idc_schema(app, table="index", contains="zzyzzx")


def test_a_value_that_is_looked_for_stays_in_sight_when_cut(app):
    answer = idc_schema(app, column="cancer_types", contains="wilms")
    assert all("wilms" in row[0].lower() for row in answer.values.rows)


def test_every_answer_is_within_its_budget(app):
    for table, schema in app.release.schemas.items():
        assert render(idc_schema(app, table=table), BUDGET).chars <= BUDGET
        for column in schema.columns:
            answer = idc_schema(app, table=table, column=column.name, limit=500)
            assert render(answer, BUDGET).chars <= BUDGET


@pytest.fixture(scope="module")
def tables(published):
    pandas = pytest.importorskip("pandas")
    return lambda name: pandas.read_parquet(published / f"{name}.parquet")


def cells(answer):
    heads = answer.columns.columns
    return {row[0]: dict(zip(heads, row, strict=True)) for row in answer.columns.rows}


def test_every_table_is_listed_with_its_rows(full_app, tables):
    rows = pairs(idc_schema(full_app).tables)
    for name in full_app.release.specialised:
        assert rows[name] == len(tables(name))
    assert rows["clinical.*"] == f"{len(full_app.release.clinical)} tables"
    assert next(iter(rows)) == "index"
    assert list(rows).index("version_metadata_index") < list(rows).index("seg_index")


def test_columns_have_sample_values(full_app, tables):
    seg = tables("seg_index")
    shown = cells(idc_schema(full_app, table="seg_index"))
    first, count = next(iter(seg.AlgorithmType.value_counts().items()))
    assert shown["AlgorithmType"]["values"].startswith(f"{first} {count}")
    counts = seg.SegmentedPropertyType_CodeMeanings.explode().dropna().value_counts()
    structures = shown["SegmentedPropertyType_CodeMeanings"]
    assert structures["distinct"] == len(counts)
    assert f" {counts.iloc[0]}" in structures["values"]
    span = f"{seg.total_segments.min()} to {seg.total_segments.max()}"
    assert shown["total_segments"]["values"] == span
    assert shown["SeriesInstanceUID"]["values"] == ""
    echo = tables("mr_index").EchoTime.explode().dropna().astype(float)
    shown = cells(idc_schema(full_app, table="mr_index"))
    assert shown["EchoTime"]["values"] == f"{echo.min():g} to {echo.max():g}"
    regular = tables("volume_geometry_index").regularly_spaced_3d_volume
    shown = cells(idc_schema(full_app, table="volume_geometry"))
    told = f"true {int(regular.sum())}; false {int((~regular).sum())}"
    assert shown["regularly_spaced_3d_volume"]["values"] == told
    assert cells(idc_schema(full_app, table="index"))["Modality"]["values"].startswith("CT 27")


def test_values_of_arrays_are_counted_by_the_rows_that_hold_them(full_app, tables):
    column = "SegmentedPropertyType_CodeMeanings"
    answer = idc_schema(full_app, table="seg_index", column=column, limit=500)
    expected = tables("seg_index")[column].explode().dropna().value_counts()
    assert pairs(answer.values) == expected.to_dict()
    assert answer.about["distinct values"] == len(expected)
    (call,) = answer.next
    sql = call.removeprefix('idc_sql(sql="').removesuffix('")')
    assert len(full_app.index.rows(sql)) == expected.iloc[0]
    lung = idc_schema(full_app, table="seg_index", column=column, contains="lung")
    assert all("lung" in row[0].lower() for row in lung.values.rows)


def test_numbers_of_specialised_tables_are_summed_up_or_listed(full_app, tables):
    echo = tables("mr_index").EchoTime.explode().dropna().astype(float)
    about = idc_schema(full_app, table="mr_index", column="EchoTime").about
    assert (about["min"], about["max"]) == (echo.min(), echo.max())
    values = pairs(idc_schema(full_app, table="mr_index", column="DiffusionBValue").values)
    expected = tables("mr_index").DiffusionBValue.explode().dropna().astype(float).value_counts()
    assert {float(value): rows for value, rows in values.items()} == expected.to_dict()
    regular = idc_schema(full_app, column="regularly_spaced_3d_volume")
    counts = tables("volume_geometry_index").regularly_spaced_3d_volume.value_counts()
    assert pairs(regular.values) == {"true": counts[True], "false": counts[False]}


def test_every_full_answer_is_within_its_budget(full_app):
    for table, schema in full_app.release.schemas.items():
        assert render(idc_schema(full_app, table=table), BUDGET).chars <= BUDGET
        for column in schema.columns:
            answer = idc_schema(full_app, table=table, column=column.name, limit=500)
            assert render(answer, BUDGET).chars <= BUDGET
    for table in ("clinical", *full_app.release.clinical):
        assert render(idc_schema(full_app, table=table, limit=500), BUDGET).chars <= BUDGET


def test_every_call_that_is_offered_runs(full_app):
    for table in full_app.release.schemas:
        for call in idc_schema(full_app, table=table).next:
            assert eval(call, {"idc_schema": lambda **given: idc_schema(full_app, **given)})


def test_a_share_is_never_rounded_to_nothing():
    assert share(1, 1_000_000) == "<0.1%"
    assert share(0, 10) == "0%"
    assert share(10, 10) == "100%"
    assert share(1, 3) == "33.3%"
