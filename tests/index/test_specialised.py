"""Fetched tables in the database: published as they are, keyed, taken in one after the other."""

import shutil
import threading

import pytest

from idc_mcp.errors import NotFetched
from idc_mcp.index import layout
from idc_mcp.index.build import build, database_path
from idc_mcp.index.parquet import sums_path
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.release import installed_release, tables_directory
from idc_mcp.index.store import Index
from tests.conftest import settings_at

pandas = pytest.importorskip("pandas")

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
    frame = pandas.read_parquet(published / f"{table}.parquet")
    described = full_index.rows(f"DESCRIBE main.{table}")
    assert [row[0] for row in described] == list(frame.columns)
    path = str(published / f"{table}.parquet")
    differ = full_index.rows(
        f"(FROM main.{table} EXCEPT ALL FROM read_parquet('{path}')) UNION ALL "
        f"(FROM read_parquet('{path}') EXCEPT ALL FROM main.{table})"
    )
    assert not differ


def test_references_lead_to_the_series_that_the_table_names(full_index, published, release):
    known = set(
        pandas.read_parquet(release.parquet("index"), columns=["SeriesInstanceUID"]).squeeze()
    )
    for kind, table, column in (
        ("SEG", "seg_index", "segmented_SeriesInstanceUID"),
        ("ANN", "ann_index", "referenced_SeriesInstanceUID"),
        ("RTSTRUCT", "rtstruct_index", "referenced_SeriesInstanceUID"),
    ):
        frame = pandas.read_parquet(published / f"{table}.parquet")
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
    frame = pandas.read_parquet(published / "seg_index.parquet")
    wanted = frame["SegmentedPropertyType_CodeMeanings"].explode().dropna().value_counts()
    found = full_index.rows("SELECT value, count(*) FROM core.structures GROUP BY value")
    assert dict(found) == dict(wanted)
    facts = full_index.rows(
        "SELECT value, rows FROM facts.values "
        "WHERE column_name = 'SegmentedPropertyType_CodeMeanings'"
    )
    assert dict(facts) == dict(wanted)


def test_facts_of_columns(full_index, published):
    frame = pandas.read_parquet(published / "ct_index.parquet")
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
    frame = pandas.read_parquet(path)
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
    frame = pandas.read_parquet(published / "seg_index.parquet")
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
