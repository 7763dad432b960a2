"""The catalogue: answered at once from Parquet, built once, rebuilt when damaged."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from idc_mcp.index import layout
from idc_mcp.index.build import build, database_path
from idc_mcp.index.store import Index
from tests.conftest import settings_at

TOTALS = "SELECT * FROM facts.totals"


def _index(release, home, cache):
    return Index(release, settings_at(home, cache))


def _await_build(index, seconds=90):
    deadline = time.monotonic() + seconds
    while index.database is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert index.database is not None


def test_totals_of_the_release(release, cache_dir, tmp_path, request):
    index = _index(release, tmp_path, cache_dir)
    request.addfinalizer(index.close)
    (totals,) = index.rows(TOTALS)
    assert totals == (179, 26, 86_451, 168_507, 1_044_191, 58_784_975, 99_944_891_647_274)
    subjects = index.value("SELECT sum(subjects) FROM collections_index")
    assert subjects == totals[2]


def test_keys_count_what_they_stand_for(index):
    row = index.row(
        "SELECT count(DISTINCT patient_key), count(DISTINCT (collection_id, PatientID)), "
        "count(DISTINCT study_key), count(DISTINCT StudyInstanceUID), "
        "count(DISTINCT (study_key, StudyInstanceUID)) FROM core.series"
    )
    assert row[0] == row[1]
    assert row[2] == row[3] == row[4]


def test_bytes_are_exact(index):
    assert index.value("SELECT bool_and(series_bytes / 1e6 = series_size_MB) FROM core.series")


@pytest.mark.slow
def test_parquet_and_database_say_the_same(release, index, tmp_path, monkeypatch, request):
    parquet = _index(release, tmp_path, tmp_path / "cache")
    monkeypatch.setattr(parquet._builder, "start", lambda: None)
    request.addfinalizer(parquet.close)
    for relation in layout.facts(release):
        query = f"SELECT * FROM {relation.name} ORDER BY ALL"
        assert parquet.rows(query) == index.rows(query), relation.name
    for table in release.bundled:
        query = f'SELECT count(*), count(COLUMNS(*)) FROM main."{table}"'
        assert parquet.rows(query) == index.rows(query)
    count = "SELECT count(*) FROM core.{}"
    for name in ("series", "prior", "annotated_studies"):
        assert parquet.rows(count.format(name)) == index.rows(count.format(name))


@pytest.mark.slow
def test_first_start_answers_while_the_database_is_built(release, tmp_path, request):
    index = _index(release, tmp_path, tmp_path / "cache")
    request.addfinalizer(index.close)
    index.start()
    assert index.value("SELECT series FROM facts.totals") == 1_044_191
    assert index.database is None
    assert index.building
    _await_build(index)
    assert index.value("SELECT series FROM facts.totals") == 1_044_191
    assert index.database == database_path(tmp_path / "cache", release)
    if os.name == "posix":
        assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
        assert index.database.stat().st_mode & 0o077 == 0
    assert [path.suffix for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"] == [
        ".duckdb"
    ]


@pytest.mark.slow
def test_two_builds_at_once_do_not_collide(release, tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-m", "idc_mcp.index.build", str(tmp_path)])
        for _ in range(2)
    ]
    assert [process.wait(110) for process in processes] == [0, 0]
    databases = list(tmp_path.glob("*.duckdb"))
    assert databases == [database_path(tmp_path, release)]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "middle"])
def test_a_damaged_database_is_rebuilt_and_nothing_is_lost(
    release, cache_dir, tmp_path, damage, request
):
    cache = tmp_path / "cache"
    cache.mkdir()
    path = database_path(cache, release)
    content = bytearray(database_path(cache_dir, release).read_bytes())
    match damage:
        case "truncated":
            del content[len(content) // 2 :]
        case "empty":
            content.clear()
        case "garbage":
            content[:] = b"not a database" * 1000
        case "middle":
            for place in range(20_000_000, len(content), 50_000):
                content[place] ^= 0xFF
    path.write_bytes(content)
    index = _index(release, tmp_path, cache)
    request.addfinalizer(index.close)
    query = "SELECT count(DISTINCT SeriesInstanceUID), sum(series_bytes) FROM core.series"
    assert index.row(query) == (1_044_191, 99_944_891_647_274)
    _await_build(index)
    assert index.row(query) == (1_044_191, 99_944_891_647_274)


def test_a_cache_that_cannot_be_written_costs_only_speed(release, tmp_path, request):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    index = _index(release, tmp_path, blocked / "cache")
    request.addfinalizer(index.close)
    assert index.value("SELECT series FROM facts.totals") == 1_044_191
    assert not index.building


def test_building_removes_what_it_replaces_and_what_nobody_opens(release, tmp_path):
    from idc_mcp.index.build import _remove_superseded

    path = database_path(tmp_path, release)
    replaced = path.with_name(f"{path.stem[:-8]}00000000.duckdb")
    another = path.with_name(path.name.replace(layout.key(release), "00000000"))
    abandoned = path.with_name("idc-24.0.0-duckdb-0.0.1-00000000-00000000.duckdb")
    for one in (path, replaced, another, abandoned):
        one.write_text("x")
    long_ago = time.time() - 100 * 86_400
    os.utime(abandoned, (long_ago, long_ago))
    _remove_superseded(path, release)
    assert path.exists()
    assert another.exists(), "another environment may have it open"
    assert not replaced.exists()
    assert not abandoned.exists()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux tells open files")
def test_a_replaced_database_is_let_go_of(release, cache_dir, tmp_path, request):
    cache = tmp_path / "cache"
    cache.mkdir()
    path = database_path(cache, release)
    shutil.copy(database_path(cache_dir, release), path)
    index = _index(release, tmp_path, cache)
    request.addfinalizer(index.close)
    asked = threading.Barrier(4)
    leave = threading.Event()

    def ask_and_stay():
        index.value("SELECT 1")
        asked.wait()
        leave.wait()

    threads = [threading.Thread(target=ask_and_stay) for _ in range(3)]
    for thread in threads:
        thread.start()
    asked.wait()
    second = tmp_path / "second.duckdb"
    shutil.copy(path, second)
    index._use(second, index.release)
    path.unlink()
    try:
        assert index.value("SELECT series FROM facts.totals") == 1_044_191
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        held = [str(link.readlink()) for link in links]
        assert not [name for name in held if name.startswith(str(path))]
    finally:
        leave.set()
        for thread in threads:
            thread.join()


def test_many_threads_ask_at_once(index):
    answers = []

    def ask():
        answers.extend(index.value("SELECT series FROM facts.totals") for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1_044_191] * 160


def test_build_returns_what_is_there(release, cache_dir):
    path = database_path(cache_dir, release)
    before = path.stat().st_mtime_ns
    assert build(cache_dir, release) == path
    assert path.stat().st_mtime_ns == before
