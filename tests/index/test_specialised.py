"""Fetched tables in the database: published as they are, keyed, taken in one after the other."""

import shutil
import threading

import duckdb
import pytest

from idc_mcp.errors import NotFetched, Unavailable
from idc_mcp.index import build as build_module
from idc_mcp.index import layout
from idc_mcp.index.build import build, database_path
from idc_mcp.index.parquet import sums_path
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.release import installed_release, tables_directory
from idc_mcp.index.store import Index
from tests.conftest import settings_at


def read_parquet(path, **options):
    """A file as pandas reads it; where pandas is not installed the test that asks is skipped."""
    return pytest.importorskip("pandas").read_parquet(path, **options)


CORE = (
    "core.refers", "core.structures", "core.clinical_columns", "facts.values", "facts.columns",
    "facts.clinical_tables",
)  # fmt: skip


@pytest.fixture
def cache(cache_dir, release, tmp_path):
    """A cache with the bundled database, which a test may change."""
    made = tmp_path / "cache"
    made.mkdir()
    shutil.copy(database_path(cache_dir, release), made)
    return made


def fetched(cache, release, published, *names):
    """Put tables where fetching would."""
    place = tables_directory(cache, release.data_version)
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name == "clinical":
            shutil.copytree(published / name, place / name)
        else:
            shutil.copy(published / f"{name}.parquet", place)
    return place


def open_index(cache, release, tmp_path, request, **changes):
    index = Index(release, settings_at(tmp_path, cache, **changes))
    request.addfinalizer(index.close)
    return index


@pytest.mark.parametrize("table", ["seg_index", "sm_instance_index", "clinical_index"])
def test_a_table_is_as_it_was_published(full_index, published, table):
    frame = read_parquet(published / f"{table}.parquet")
    described = full_index.rows(f"DESCRIBE main.{table}")
    assert [row[0] for row in described] == list(frame.columns)
    path = str(published / f"{table}.parquet")
    differ = full_index.rows(
        f"(FROM main.{table} EXCEPT ALL FROM read_parquet('{path}')) UNION ALL "
        f"(FROM read_parquet('{path}') EXCEPT ALL FROM main.{table})"
    )
    assert not differ


def test_references_lead_to_the_series_that_the_table_names(full_index, published, release):
    known = set(read_parquet(release.parquet("index"), columns=["SeriesInstanceUID"]).squeeze())
    for kind, table, column in (
        ("SEG", "seg_index", "segmented_SeriesInstanceUID"),
        ("ANN", "ann_index", "referenced_SeriesInstanceUID"),
        ("RTSTRUCT", "rtstruct_index", "referenced_SeriesInstanceUID"),
    ):
        frame = read_parquet(published / f"{table}.parquet")
        wanted = {
            (uid, source if source in known else None)
            for uid, source in zip(frame["SeriesInstanceUID"], frame[column], strict=True)
        }
        found = full_index.rows(
            "SELECT made.SeriesInstanceUID, source.SeriesInstanceUID FROM core.refers "
            "JOIN core.series AS made ON annotation_key = made.series_key "
            "LEFT JOIN core.series AS source ON source_key = source.series_key "
            f"WHERE kind = '{kind}'"
        )
        assert len(found) == len(frame)
        assert set(found) == wanted


def test_structures_are_the_code_meanings(full_index, published):
    frame = read_parquet(published / "seg_index.parquet")
    wanted = frame["SegmentedPropertyType_CodeMeanings"].explode().dropna().value_counts()
    found = full_index.rows("SELECT value, count(*) FROM core.structures GROUP BY value")
    assert dict(found) == dict(wanted)
    facts = full_index.rows(
        "SELECT value, rows FROM facts.values "
        "WHERE column_name = 'SegmentedPropertyType_CodeMeanings'"
    )
    assert dict(facts) == dict(wanted)


def test_facts_of_columns(full_index, published):
    frame = read_parquet(published / "ct_index.parquet")
    found = {
        name: (rows, nulls, distinct)
        for name, rows, nulls, distinct in full_index.rows(
            "SELECT column_name, rows, nulls, distinct_values FROM facts.columns "
            "WHERE table_name = 'ct_index'"
        )
    }
    assert set(found) == set(frame.columns)
    thickness = frame["SliceThickness"]
    assert found["SliceThickness"] == (len(frame), thickness.isna().sum(), thickness.nunique())
    kernels = frame["ConvolutionKernel"].explode().dropna()
    assert found["ConvolutionKernel"][2] == kernels.nunique()


def test_a_clinical_table_tells_its_collection_and_decodes(full_app, full_index, published):
    path = next((published / "clinical" / "nlst_canc").glob("*.parquet"))
    frame = read_parquet(path)
    rows = full_index.rows(
        "SELECT collection_id, dicom_patient_id, clinical_stag, clinical_stag_meaning "
        "FROM clinical.nlst_canc"
    )
    assert len(rows) == len(frame)
    assert {row[0] for row in rows} == {"nlst"}
    meanings = {(code, meaning) for _, _, code, meaning in rows}
    assert ("400", "Stage IV") in meanings
    assert dict(meanings).keys() - {None} == set(frame["clinical_stag"].dropna())
    for name in ("nlst_canc", "clinical.nlst_canc", "CLINICAL.NLST_CANC"):
        counted = full_app.pool.run(f"SELECT count(*) FROM {name}", max_rows=1)
        assert counted.rows == [[len(frame)]]


@pytest.mark.slow
def test_taking_tables_in_one_after_the_other_is_building_all(
    release, cache, published, full_index, tmp_path, request
):
    fetched(cache, release, published, "seg_index", "clinical_index", "clinical")
    first = build(cache, installed_release(cache))
    names = [path.stem for path in published.glob("*.parquet")]
    fetched(cache, release, published, *names)
    second = build(cache, installed_release(cache))
    assert not first.exists(), "a database of fewer tables is superseded"
    assert second == database_path(cache, installed_release(cache))
    index = open_index(cache, release, tmp_path, request)
    for relation in CORE:
        query = f"SELECT count(*), sum(hash(COLUMNS(*))) FROM {relation}"
        assert index.rows(query) == full_index.rows(query), relation


@pytest.mark.slow
def test_parquet_and_database_say_the_same_of_fetched_tables(
    release, full_cache, full_index, published, tmp_path, request, monkeypatch
):
    cache = tmp_path / "empty"
    fetched(cache, release, published, "seg_index", "ct_index", "clinical_index", "clinical")
    index = open_index(cache, release, tmp_path, request)
    monkeypatch.setattr(index._builder, "start", lambda: None)
    for query in (
        "SELECT value, count(*) FROM core.structures GROUP BY ALL ORDER BY ALL",
        "SELECT kind, count(*), count(source_key), count(source_uid) FROM core.refers "
        "WHERE kind = 'SEG' GROUP BY ALL ORDER BY ALL",
        "FROM core.clinical_columns ORDER BY ALL",
        "FROM facts.clinical_tables ORDER BY ALL",
        "FROM clinical.nlst_canc ORDER BY ALL",
        "FROM facts.columns WHERE table_name = 'ct_index' ORDER BY ALL",
        "FROM facts.values WHERE table_name = 'ct_index' ORDER BY ALL",
        "SELECT series.SeriesInstanceUID FROM core.ct_index JOIN core.series AS series "
        "USING (series_key) WHERE SliceThickness < 1 ORDER BY ALL",
    ):
        assert index.rows(query) == full_index.rows(query), query


def test_what_is_not_here_is_named_with_the_command(index):
    with pytest.raises(NotFetched, match="idc-mcp fetch seg_index") as caught:
        index.require("index", "seg_index")
    assert caught.value.tables == ("seg_index",)
    assert not index.has("clinical")
    assert index.has("index", "collections_index")


def test_a_running_server_takes_in_what_is_fetched(release, cache, published, tmp_path, request):
    index = open_index(cache, release, tmp_path, request)
    pool = SqlPool(index, index.settings)
    request.addfinalizer(pool.close)
    with pytest.raises(NotFetched):
        pool.run("SELECT count(*) FROM seg_index", max_rows=1)
    fetched(cache, release, published, "seg_index")
    with pytest.raises(NotFetched):  # until it is taken in, all is as before
        pool.run("SELECT count(*) FROM seg_index", max_rows=1)
    assert index.refresh()
    assert index.has("seg_index")
    frame = read_parquet(published / "seg_index.parquet")
    assert pool.run("SELECT count(*) FROM seg_index", max_rows=1).rows == [[len(frame)]]
    assert index.refresh(), "again, with nothing new"


def test_another_process_may_replace_the_database(release, cache, published, tmp_path, request):
    index = open_index(cache, release, tmp_path, request)
    pool = SqlPool(index, index.settings)
    request.addfinalizer(pool.close)
    assert index.value("SELECT series FROM facts.totals") == 1_044_191
    before = index.database
    fetched(cache, release, published, "ann_index")
    build(cache, installed_release(cache))
    assert not before.exists()
    assert index.value("SELECT series FROM facts.totals") == 1_044_191
    assert pool.run("SELECT count(*) > 0 FROM ann_index", max_rows=1).rows == [[True]]


def test_questions_are_answered_while_a_table_is_taken_in(
    release, cache, published, tmp_path, request
):
    index = open_index(cache, release, tmp_path, request)
    index.value("SELECT 1")
    fetched(cache, release, published, "ct_index")
    taking = threading.Thread(target=index.refresh)
    taking.start()
    answers = []
    while taking.is_alive():
        answers.append(index.value("SELECT series FROM facts.totals"))
    taking.join()
    assert set(answers) == {1_044_191}
    assert index.has("ct_index")


@pytest.mark.parametrize("how", ["cut", "garbage", "digest"])
def test_a_file_that_went_bad_is_removed_and_the_rest_built(
    release, cache, published, tmp_path, request, how, capfd
):
    place = fetched(cache, release, published, "pt_index", "seg_index")
    bad = place / "seg_index.parquet"
    match how:
        case "cut":
            bad.write_bytes(bad.read_bytes()[:-100])
        case "garbage":
            bad.write_bytes(b"<html>not found</html>")
        case "digest":
            sums_path(place, "seg_index").write_text(f"{'0' * 64}  {bad.name}\n")
    build(cache, installed_release(cache))
    assert "seg_index cannot be used" in capfd.readouterr().err
    assert not bad.exists()
    index = open_index(cache, release, tmp_path, request)
    assert index.has("pt_index")
    assert not index.has("seg_index")
    assert index.value("SELECT count(*) FROM pt_index") > 0


def test_the_layout_knows_the_tables_of_today(release):
    names = {name for name in release.schemas if name not in release.bundled}
    assert names == set(release.specialised)
    assert set(layout.VALUE_COLUMNS) == set(release.bundled)


# -- what goes wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["seg_index", "clinical"])
def test_one_bad_file_costs_no_other_question_its_answer(
    release, published, tmp_path, request, monkeypatch, bad, capfd
):
    cache = tmp_path / "empty"
    place = fetched(
        cache, release, published, "seg_index", "pt_index", "clinical_index", "clinical"
    )
    spoiled = next(
        place.glob(f"{bad}/nlst_canc/*.parquet" if bad == "clinical" else f"{bad}.parquet")
    )
    spoiled.write_bytes(spoiled.read_bytes()[:200])
    index = open_index(cache, release, tmp_path, request)
    monkeypatch.setattr(index._builder, "start", lambda: None)
    pool = SqlPool(index, index.settings)
    request.addfinalizer(pool.close)
    assert index.value("SELECT series FROM facts.totals") == 1_044_191
    assert pool.run("SELECT count(*) > 0 FROM pt_index", max_rows=1).rows == [[True]]
    assert index.has("seg_index") == (bad != "seg_index")
    assert ("nlst_canc" in index.release.clinical) == (bad != "clinical")
    assert "nlst_prsn" in index.release.clinical
    if bad == "seg_index":
        assert "seg_index cannot be read and is left out" in capfd.readouterr().err


def test_a_full_disk_removes_no_table(release, cache, published, monkeypatch):
    place = fetched(cache, release, published, "pt_index")

    def statements(*_):
        yield "CREATE TABLE facts.unfinished AS SELECT 1"
        raise duckdb.IOException("IO Error: No space left on device")

    monkeypatch.setattr(build_module.specialised, "table_statements", statements)
    monkeypatch.setattr(build_module.specialised, "layout_of", lambda *_: "x")
    with pytest.raises(Unavailable, match="No space left"):
        build(cache, installed_release(cache))
    assert (place / "pt_index.parquet").exists()
    assert not list(cache.glob("*.building*"))


def test_what_a_killed_build_left_is_removed(release, cache, published):
    family = database_path(cache, release).name[:-16]
    (cache / f"{family}-00000000.building").write_text("half")
    (cache / f"{family}-00000000.building.tmp").mkdir()
    fetched(cache, release, published, "pt_index")
    path = build(cache, installed_release(cache))
    assert not list(cache.glob("*.building*"))
    assert path.stat().st_mode & 0o077 == 0


def test_a_database_of_an_older_layout_is_not_grown(release, cache, published, monkeypatch):
    fetched(cache, release, published, "ann_index")
    build(cache, installed_release(cache))
    monkeypatch.setitem(
        build_module.specialised.REFERENCES, "ann_index", ("OLD", "referenced_SeriesInstanceUID")
    )
    fetched(cache, release, published, "pt_index")
    path = build(cache, installed_release(cache))
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT DISTINCT kind FROM core.refers").fetchall() == [("OLD",)]


def test_a_build_that_failed_is_not_tried_by_every_question(
    release, cache, published, tmp_path, request, monkeypatch
):
    index = open_index(cache, release, tmp_path, request)
    index.value("SELECT 1")
    fetched(cache, release, published, "pt_index")
    monkeypatch.setattr("idc_mcp.index.builder.sys.executable", "false")
    with pytest.raises(Unavailable, match="could not be added"):
        index.refresh()
    assert index.value("SELECT series FROM facts.totals") == 1_044_191
    monkeypatch.undo()
    with pytest.raises(Unavailable, match="could not be added"):
        index.refresh()
    monkeypatch.setattr("idc_mcp.index.builder.AGAIN_S", 0.0)
    assert index.refresh()
    assert index.has("pt_index")


def _clinical(place, table, files, columns):
    """Add a clinical table of our own: SELECTs, one a file, and what the dictionary says of it."""
    folder = place / "clinical" / table
    folder.mkdir(parents=True)
    for number, select in enumerate(files):
        duckdb.connect().execute(f"COPY ({select}) TO '{folder}/{number}.parquet' (FORMAT parquet)")
    dictionary = place / "clinical_index.parquet"
    rows = ", ".join(
        f"('nlst', 'x.y.{table}', '{table}', '{column}', '{column}', "
        f"{[{'option_code': code, 'option_description': meaning} for code, meaning in codes]})"
        for column, codes in columns.items()
    )
    made = place / "grown.parquet"
    duckdb.connect().execute(
        f"COPY (FROM '{dictionary}' UNION ALL SELECT * FROM (VALUES {rows})) TO '{made}' "
        "(FORMAT parquet)"
    )
    made.replace(dictionary)


CODED = "SELECT {} AS dicom_patient_id, {} AS answer"


def test_odd_clinical_tables(release, cache, published, tmp_path, request, capfd):
    place = fetched(cache, release, published, "clinical_index")
    book = {"answer": [("1", "one"), ("1.50", "one and a half"), ("2", "two"), ("2", "zwei")]}
    _clinical(place, "nlst_numbers", [CODED.format("100012", "1.5::DECIMAL(9,2)"),
                                      CODED.format("100013", "2::DECIMAL(9,2)")], book)  # fmt: skip
    _clinical(place, "nlst_fractions", [CODED.format("100012.0::DOUBLE", "1.0::DOUBLE")], book)
    _clinical(place, "nlst_capitals", ["SELECT 'a' AS DICOM_Patient_ID, 'x' AS stage"], book)
    _clinical(place, "NLST_capitals", ["SELECT 'b' AS DICOM_Patient_ID"], {"x": []})
    _clinical(place, "select", ['SELECT \'a\' AS dicom_patient_id, 1 AS "quo""te"'], book)
    index = open_index(cache, release, tmp_path, request)
    assert index.refresh()
    pool = SqlPool(index, index.settings)
    request.addfinalizer(pool.close)

    def rows(sql):
        return pool.run(sql, max_rows=10).rows

    assert rows("SELECT dicom_patient_id, answer_meaning FROM nlst_numbers ORDER BY 1") == [
        ["100012", "one and a half"], ["100013", "two / zwei"],
    ]  # fmt: skip
    assert rows("SELECT dicom_patient_id, answer_meaning FROM nlst_fractions") == [
        ["100012", "one"]
    ]
    assert rows("SELECT dicom_patient_id, collection_id FROM nlst_capitals") == [["b", "nlst"]]
    assert rows('SELECT count(*) FROM clinical."select"') == [[1]]
    assert "nlst_capitals" not in index.release.clinical, "SQL knows no difference of case"
