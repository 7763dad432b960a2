"""Clinical tables: found by name and label, decoded beside the code, joined by patient."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from idc_mcp.app import App
from idc_mcp.errors import BadArgument, NotFetched, NotFound
from idc_mcp.idc.describe.describe import describe
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.index.build import build
from idc_mcp.index.release import installed_release, tables_directory
from idc_mcp.settings import Settings
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.schema import idc_schema
from idc_mcp.tools.sql import idc_sql

STAGE_IV = "SELECT collection_id, dicom_patient_id FROM nlst_canc WHERE clinical_stag = '400'"


@pytest.fixture(scope="module")
def clinical(published):
    return lambda name: pd.read_parquet(published / "clinical" / name)


@pytest.fixture(scope="module")
def dictionary(published):
    return pd.read_parquet(published / "clinical_index.parquet")


def sql(app: App, statement: str) -> list[list[Any]]:
    return idc_sql(app, statement, 1000).result.rows


def pairs(table) -> dict[str, Any]:
    return {row[0]: row[1] for row in table.rows}


def records(table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


# -- the tables -----------------------------------------------------------------------------------


def test_all_are_listed_with_their_patients(full_app, clinical, dictionary, catalogue):
    rows = {
        row["table"]: row for row in records(idc_schema(full_app, "clinical", limit=500).tables)
    }
    assert set(rows) == set(dictionary.short_table_name)
    imaged = set(catalogue[["collection_id", "PatientID"]].itertuples(index=False, name=None))
    for name, row in rows.items():
        table = clinical(name)
        assert row["rows"] == len(table)
        (collection,) = dictionary[dictionary.short_table_name == name].collection_id.unique()
        assert row["collection_id"] == collection
        if "dicom_patient_id" in table:
            patients = set(table.dicom_patient_id)
            assert row["patients"] == len(patients)
            found = {patient for patient in patients if (collection, patient) in imaged}
            assert row["with images"] == len(found)
        else:
            assert row["patients"] is None


@pytest.mark.parametrize("written", ["tcga", "TCGA-BRCA", "tcga_kirc_clinical"])
def test_they_are_found_by_name_and_collection(full_app, written):
    rows = idc_schema(full_app, "clinical", contains=written).tables.rows
    assert rows
    assert all(row[0].startswith("tcga_") for row in rows)


def test_columns_are_found_by_label(full_app, dictionary):
    answer = idc_schema(full_app, "clinical", contains="smoking")
    assert answer.tables is None
    assert answer.columns.rows == [["nlst_prsn", "cigsmok", "Smoking status at T0"]]
    answer = idc_schema(full_app, contains="stage", limit=500)
    found = [row[:2] for row in answer.columns.rows if row[0].startswith("clinical.")]
    text = dictionary.column.str.cat(dictionary.column_label.fillna(""), sep=" ")
    stages = dictionary[text.str.lower().str.contains("stage")]
    assert len(found) == len(stages)
    assert f"{len(stages)} of them in clinical tables." in answer.notes
    other = idc_schema(full_app, contains="age", limit=500).columns.rows
    places = [row[0].startswith("clinical.") for row in other]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "written",
    ["nlst_canc", "NLST_CANC", "clinical.nlst_canc", "idc_v25_clinical.nlst_canc",
     "bigquery-public-data.idc_v25_clinical.nlst_canc",
     "`bigquery-public-data.idc_current_clinical.nlst_canc`", '"clinical"."nlst_canc"'],
)  # fmt: skip
def test_a_table_is_read_forgivingly(full_app, written):
    assert idc_schema(full_app, written).about["table"] == "clinical.nlst_canc"


def test_columns_come_with_label_type_and_decoded_samples(full_app, clinical):
    table = clinical("nlst_canc")
    answer = idc_schema(full_app, "nlst_canc")
    rows = {row["column"]: row for row in records(answer.columns)}
    assert list(rows) == list(table.columns)
    stage = rows["clinical_stag"]
    assert stage["type"] == "VARCHAR, coded"
    assert stage["label"] == "Clinical stage of the cancer, AJCC 6"
    assert stage["distinct"] == table.clinical_stag.nunique()
    most = table.clinical_stag.value_counts()
    assert stage["values"].startswith(f"{most.index[0]} Stage IA {most.iloc[0]}; ")
    sizes = table.lesionsize
    assert rows["lesionsize"]["values"] == f"{sizes.min():g} to {sizes.max():g}"
    assert rows["lesionsize"]["nulls"] == f"{100 * sizes.isna().mean():.1f}%"
    assert any("_meaning" in note for note in answer.notes)
    few = idc_schema(full_app, "nlst_canc", limit=3)
    assert (len(few.columns.rows), few.columns.more) == (3, len(table.columns) - 3)
    smoking = idc_schema(full_app, "nlst_prsn", contains="former")
    assert [row[0] for row in smoking.columns.rows] == ["cigsmok"]


def test_values_have_meaning_rows_and_patients(full_app, clinical):
    table = clinical("nlst_canc")
    answer = idc_schema(full_app, "nlst_canc", "clinical_stag")
    rows = {row["code"]: row for row in records(answer.values)}
    assert rows["400"]["meaning"] == "Stage IV"
    for code, group in table.groupby("clinical_stag"):
        assert rows[code]["rows"] == len(group)
        assert rows[code]["patients"] == group.dicom_patient_id.nunique()
    assert idc_schema(full_app, "", "nlst_canc.clinical_stag").values == answer.values
    assert idc_schema(full_app, "nlst_canc", "clinical_stag_meaning").values == answer.values
    found = idc_schema(full_app, "nlst_canc", "clinical_stag", contains="stage iv").values
    assert [row[0] for row in found.rows] == ["400"]
    numbers = idc_schema(full_app, "nlst_canc", "candx_days")
    assert numbers.about["max"] == table.candx_days.max()
    assert len(idc_schema(full_app, "nlst_canc", "dicom_patient_id").about["examples"]) == 3


def test_a_column_alone_finds_its_table(full_app):
    assert idc_schema(full_app, column="clinical_stag").about["column"].endswith(".clinical_stag")
    answer = idc_schema(full_app, column="gender")
    assert "name the table" in answer.notes[-1]


def test_unknown_names_get_the_nearest(full_app):
    with pytest.raises(NotFound) as caught:
        idc_schema(full_app, "clinical.nlst_cancer")
    assert "nlst_canc" in caught.value.nearest
    with pytest.raises(NotFound) as caught:
        idc_schema(full_app, "nlst_cancer")
    assert "nlst_canc" in caught.value.nearest
    with pytest.raises(NotFound) as caught:
        idc_schema(full_app, "nlst_canc", "clinical_stage")
    assert caught.value.nearest[0] == "clinical_stag"
    with pytest.raises(NotFound) as caught:
        idc_schema(full_app, "nlst_canc", "clinical_stag", contains="Stage V")
    assert "Stage IV" in caught.value.nearest
    with pytest.raises(NotFound, match="zzyzzx"):
        idc_schema(full_app, "clinical", contains="zzyzzx")


def test_collections_tell_their_clinical_tables(full_app, clinical):
    told = describe(full_app.index, "nlst").about["clinical tables"]
    patients = clinical("nlst_canc").dicom_patient_id.nunique()
    assert f"nlst_canc ({patients} patients, " in told
    assert "clinical tables" not in describe(full_app.index, "victre").about


@pytest.mark.parametrize("written", ["nlst_canc", "clinical.nlst_canc"])
def test_a_clinical_table_can_be_described(full_app, written):
    found = describe(full_app.index, written)
    assert found.kind == "table"
    assert found.about["table"] == "clinical.nlst_canc"
    assert "clinical_stag" in [row[0] for row in found.columns.rows]


def test_where_nothing_is_here_it_is_asked_for(app):
    with pytest.raises(NotFetched):
        describe(app.index, "nlst_canc")
    for table in ("clinical", "nlst_canc", "clinical.whatever", "idc_v25_clinical.nlst_canc"):
        with pytest.raises(NotFetched) as caught:
            idc_schema(app, table)
        assert caught.value.tables == ("clinical",)
    assert "were not looked through" in idc_schema(app, contains="thickness").notes[-1]


# -- cohorts --------------------------------------------------------------------------------------


def test_a_cohort_of_patients_says_who_has_no_images(full_app, clinical, catalogue):
    answer = idc_cohort(full_app, sql=STAGE_IV.replace(" = '400'", " IS NOT NULL"))
    patients = set(clinical("nlst_canc").dropna(subset="clinical_stag").dicom_patient_id)
    of_nlst = catalogue[catalogue.collection_id == "nlst"]
    imaged = of_nlst[of_nlst.PatientID.isin(patients)]
    assert answer.series == len(imaged)
    assert answer.patients == imaged.PatientID.nunique() < len(patients)
    note = answer.warnings[0]
    missing = len(patients) - answer.patients
    assert f"{len(patients)} patients given, {answer.patients} of them have images" in note
    assert f"{missing} have none (nlst/" in note


def test_filters_narrow_patients(full_app, catalogue, clinical):
    answer = idc_cohort(full_app, Filters(Modality=["CT"]), sql=STAGE_IV)
    stage = clinical("nlst_canc")
    patients = set(stage[stage.clinical_stag == "400"].dicom_patient_id)
    wanted = (catalogue.collection_id == "nlst") & (catalogue.Modality == "CT")
    assert answer.series == (wanted & catalogue.PatientID.isin(patients)).sum()


def test_patients_of_the_index_too(full_app, catalogue):
    given = (
        "SELECT DISTINCT PatientID, collection_id FROM index WHERE collection_id LIKE 'pdmr_%' "
        "AND Modality = 'MR'"
    )
    answer = idc_cohort(full_app, sql=given)
    pdmr = catalogue[catalogue.collection_id.str.startswith("pdmr_")]
    people = pdmr[pdmr.Modality == "MR"][["collection_id", "PatientID"]].drop_duplicates()
    assert answer.series == len(pdmr.merge(people))
    assert answer.patients == len(people)
    given = f"{len(people)} patients given, all of them with images in IDC"
    assert given in answer.warnings[0]
    assert "none" not in answer.warnings[0]


def test_a_series_or_study_column_comes_first(full_app, catalogue):
    where = "FROM index WHERE collection_id = '4d_lung' AND Modality = 'RTSTRUCT' LIMIT 3"
    answer = idc_cohort(full_app, sql=f"SELECT collection_id, PatientID, SeriesInstanceUID {where}")
    assert answer.series == 3
    answer = idc_cohort(full_app, sql=f"SELECT collection_id, PatientID, StudyInstanceUID {where}")
    studies = {row[0] for row in sql(full_app, f"SELECT StudyInstanceUID {where}")}
    assert answer.series == catalogue.StudyInstanceUID.isin(studies).sum()
    assert f"all series of its {len(studies)} studies" in answer.warnings[0]


@pytest.mark.parametrize(
    ("statement", "error", "said"),
    [
        ("SELECT dicom_patient_id FROM nlst_canc", BadArgument, "add collection_id"),
        ("SELECT PatientID FROM index", BadArgument, "in two collections"),
        ("SELECT collection_id FROM nlst_canc", BadArgument, "none of which identifies"),
        ("SELECT segmented_SeriesInstanceUID FROM seg_index", BadArgument,
         "write segmented_SeriesInstanceUID AS SeriesInstanceUID"),
        ("SELECT '1.2' AS StudyInstanceUID", BadArgument, "no studies of IDC"),
        (f"{STAGE_IV} AND false", BadArgument, "yields no patients"),
        ("SELECT 'NLST' AS collection_id, '1' AS PatientID", NotFound, "'NLST' is no collection"),
        ("SELECT 'nlst' AS collection_id, 'x' AS PatientID", NotFound, "None of the 1 patients"),
        ("SELECT 'nlst' AS collection_id, NULL AS PatientID", BadArgument, "is empty"),
    ],
)  # fmt: skip
def test_what_names_nothing_is_an_error_with_a_next_step(full_app, statement, error, said):
    with pytest.raises(error) as caught:
        idc_cohort(full_app, sql=statement)
    assert said in str(caught.value)
    assert caught.value.next_step


def test_rows_without_a_patient_are_counted(full_app):
    given = f"{STAGE_IV} UNION ALL SELECT 'nlst', NULL FROM range(7)"
    assert "7 rows of the SELECT name no patient" in idc_cohort(full_app, sql=given).warnings[1]


# -- decoding -------------------------------------------------------------------------------------


def test_every_coded_column_is_decoded(full_app, clinical, dictionary):
    for _, row in dictionary.iterrows():
        book = {
            str(option["option_code"]): option["option_description"]
            for option in row["values"]
            if option["option_description"] not in (None, "")
        }
        book = {code: text for code, text in book.items() if code.lower() != text.lower()}
        if book:
            column = '"' + row.column.replace('"', '""') + '"'
            meaning = '"' + row.column.replace('"', '""') + '_meaning"'
            values = clinical(row.short_table_name)[row.column].dropna()
            found = sql(
                full_app,
                f"SELECT CAST({column} AS VARCHAR), {meaning} "
                f'FROM clinical."{row.short_table_name}" WHERE {column} IS NOT NULL',
            )
            assert sorted(map(str, found)) == sorted(
                str([str(value), book.get(str(value))]) for value in values
            )


ODD = {
    "codes": {
        "000.parquet": pd.DataFrame(
            {"dicom_patient_id": ["a", "b", "c"], "whole": pd.array([1, 2, None], "Int64"),
             "fraction": [1.0, 1.5, None], "text": ["x", "y", "1.0"], "truth": [True, False, None],
             "plain": ["red", "blue", None], "has": ["1", "2", "1"], "has_meaning": ["own"] * 3}
        ),
        "001.parquet": pd.DataFrame(
            {"dicom_patient_id": ["d"], "whole": pd.array([9], "Int64"), "fraction": [2.0],
             "later": ["only in the second file"]}
        ),
    },
    "Odd-Table.1": {
        "f.parquet": pd.DataFrame({"select": ["1"], "A b": ["1"], 'qu"ote': ["1"], "größe": ["1"]})
    },
    "nobody": {"f.parquet": pd.DataFrame({"value": [3, 4]})},
    "has_collection": {"f.parquet": pd.DataFrame({"collection_id": ["own"], "x": [1]})},
}  # fmt: skip

BOOKS = {
    ("codes", "whole"): {"1.0": "One", "2": "Two"},
    ("codes", "fraction"): {"1": "Whole", "1.5": "Half", "2.0": "Both"},
    ("codes", "text"): {"x": "Ex", "y": "", "1": "not this"},
    ("codes", "truth"): {"True": "Yes", "False": "No"},
    ("codes", "plain"): {"red": "Red", "blue": "blue"},
    ("codes", "has"): {"1": "One"},
    ("Odd-Table.1", "select"): {"1": "it's"},
    ("Odd-Table.1", "A b"): {"1": "two"},
    ("Odd-Table.1", 'qu"ote'): {"1": "three"},
    ("Odd-Table.1", "größe"): {"1": "four"},
}


@pytest.fixture(scope="module")
def odd_app(cache_dir, tmp_path_factory):
    """A core whose clinical tables are those above, all said to be of nlst."""
    home = tmp_path_factory.mktemp("odd")
    release = installed_release()
    tables = tables_directory(home, release.data_version)
    for name, files in ODD.items():
        (tables / "clinical" / name).mkdir(parents=True)
        for file, rows in files.items():
            rows.to_parquet(tables / "clinical" / name / file)
    dictionary = [
        {"collection_id": "nlst", "table_name": name, "short_table_name": name, "column": column,
         "column_label": f"label of {column}", "values": [
             {"option_code": code, "option_description": text}
             for code, text in BOOKS.get((name, column), {}).items()]}
        for name, files in ODD.items()
        for column in dict.fromkeys(column for rows in files.values() for column in rows)
    ]  # fmt: skip
    pd.DataFrame(dictionary).to_parquet(tables / "clinical_index.parquet")
    app = core_at(home, build(cache_dir, release))
    yield app
    app.close()


def core_at(home: Path, base: Path) -> App:
    """A core of what lies in a directory, whose database is made of one without it."""
    os.link(base, home / base.name)
    build(home, installed_release(home))
    return App.create(Settings(cache_dir=home, state_dir=home, output_dir=home, offline=True))


def test_codes_of_every_type(odd_app):
    columns = "whole, fraction, text, truth"
    asked = ", ".join(f"{name}_meaning" for name in columns.split(", "))
    assert sql(odd_app, f"SELECT {asked} FROM codes ORDER BY dicom_patient_id") == [
        ["One", "Whole", "Ex", "Yes"],
        ["Two", "Half", None, "No"],
        [None, None, None, None],
        [None, "Both", None, None],  # 9 is in no book
    ]
    types = dict(row[:2] for row in sql(odd_app, "DESCRIBE codes"))
    assert "plain_meaning" not in types  # its values speak for themselves
    assert types["whole"] == "BIGINT"
    assert sql(odd_app, "SELECT DISTINCT has_meaning FROM codes WHERE has = '1'") == [["own"]]


def test_files_of_a_table_are_one_table(odd_app):
    assert sql(odd_app, "SELECT count(*), count(later), any_value(collection_id) FROM codes") == [
        [4, 1, "nlst"]
    ]


def test_names_with_capitals_and_odd_characters(odd_app):
    asked = '"select_meaning", "A b_meaning", "qu""ote_meaning", "größe_meaning"'
    for table in ('clinical."Odd-Table.1"', 'clinical."odd-table.1"'):
        assert sql(odd_app, f"SELECT {asked} FROM {table}") == [["it's", "two", "three", "four"]]
    answer = idc_schema(odd_app, "Odd-Table.1")
    assert [row[0] for row in answer.columns.rows] == ["select", "A b", 'qu"ote', "größe"]
    assert "cannot be joined" in answer.notes[0]
    for column in ("select", "A b", 'qu"ote', "größe"):
        values = idc_schema(odd_app, "Odd-Table.1", column).values
        assert values.rows == [["1", BOOKS["Odd-Table.1", column]["1"], 1]]


def test_a_table_without_patients(odd_app):
    rows = {row["table"]: row for row in records(idc_schema(odd_app, "clinical").tables)}
    assert (rows["nobody"]["rows"], rows["nobody"]["patients"]) == (2, None)
    assert rows["codes"]["patients"] == 4
    assert rows["codes"]["with images"] == 0
    assert idc_schema(odd_app, "nobody", "value").values.rows == [["3", 1], ["4", 1]]
    with pytest.raises(BadArgument, match="none of which identifies"):
        idc_cohort(odd_app, sql="SELECT * FROM nobody")


def test_a_collection_of_its_own_is_kept(odd_app):
    assert sql(odd_app, "SELECT * FROM has_collection") == [["own", 1]]
    assert [row[0] for row in idc_schema(odd_app, "has_collection").columns.rows] == [
        "collection_id", "x",
    ]  # fmt: skip


def test_the_code_book_and_what_is_outside_of_it(odd_app):
    answer = idc_schema(odd_app, "codes", "whole")
    assert answer.values.rows == [["1", "One", 1, 1], ["2", "Two", 1, 1], ["9", None, 1, 1]]
    assert "1 values stand in the rows and not in the code book." in answer.notes
    unused = idc_schema(odd_app, "codes", "text").values
    assert ["1", "not this", 0, 0] in unused.rows
    assert json.loads(answer.model_dump_json())["about"]["label"] == "label of whole"


def test_the_dictionary_alone_tells_columns_and_codes(odd_app, cache_dir, tmp_path, release):
    tables = tables_directory(tmp_path, release.data_version)
    tables.mkdir(parents=True)
    os.link(odd_app.release.files["clinical_index"], tables / "clinical_index.parquet")
    alone = core_at(tmp_path, build(cache_dir, release))
    try:
        listed = idc_schema(alone, "clinical")
        assert listed.tables.columns == ["table", "collection_id", "columns"]
        assert "idc-mcp fetch clinical" in listed.notes[-1]
        assert pairs(idc_schema(alone).tables)["clinical.*"] == "not here"
        columns = records(idc_schema(alone, "codes").columns)
        assert columns[1] == {"column": "whole", "label": "label of whole",
                              "values": "1.0 One; 2 Two"}  # fmt: skip
        book = idc_schema(alone, "codes", "whole")
        assert book.values.rows == [["1.0", "One"], ["2", "Two"]]
        assert "The code book alone" in book.notes[0]
        assert describe(alone.index, "nlst").about["clinical tables"].startswith("Odd-Table.1, ")
    finally:
        alone.close()
