"""Series given by files: what is read, what is not, and what is told of it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pandas as pd
import pytest

from idc_mcp.errors import IdcError, NotFound, Refused
from idc_mcp.idc.cohorts import lists
from idc_mcp.idc.cohorts.lists import SeriesLists
from idc_mcp.tools.manifest import idc_manifest
from idc_mcp.tools.sql import idc_sql

SECRET = "hunter2-the-secret-of-the-first-line"


@pytest.fixture(scope="module")
def series(app) -> list[tuple[str, str, str]]:
    return app.index.rows(
        "SELECT crdc_series_uuid, SeriesInstanceUID, series_aws_url FROM main.index "
        "WHERE collection_id = '4d_lung' ORDER BY 1 LIMIT 20"
    )


@pytest.fixture
def given(app, tmp_path) -> SeriesLists:
    return SeriesLists(app.index, app.pool, app.cohorts.files, tmp_path / "output")


def failing(given: SeriesLists, manifest: str) -> str:
    with pytest.raises(IdcError) as error:
        given.of_manifest(manifest, hosted=False)
    assert error.value.next_step
    return str(error.value)


@pytest.mark.parametrize("path, kind", [
    ("/dev/zero", "a device"), ("/dev/urandom", "a device"), ("/dev/null", "a device"),
    ("/", "a directory"),
])  # fmt: skip
def test_what_is_no_regular_file_is_not_read(given, path, kind):
    assert f"it is {kind}, not a regular file" in failing(given, path)


def test_pipes_sockets_and_links_to_devices_are_not_read(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    assert "it is a pipe" in failing(given, str(tmp_path / "pipe"))
    assert "it is a device" in failing(given, str(tmp_path / "link"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        assert "it is a socket" in failing(given, str(tmp_path / "s"))


def test_files_that_say_they_are_empty_are_not_read(given, tmp_path):
    (tmp_path / "empty").touch()
    for path in (tmp_path / "empty", "/proc/self/environ"):
        if Path(path).exists():
            assert "it is empty" in failing(given, str(path))


def test_never_more_is_read_than_a_manifest_may_have(given, tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "MAX_MANIFEST_BYTES", 1_000)
    (tmp_path / "large").write_bytes(b"#" * 1_001)
    assert "more than 1,000 bytes" in failing(given, str(tmp_path / "large"))


def test_no_content_of_a_file_is_told(given, series, tmp_path):
    unknown = "00000000-0000-4000-8000-00000000dead"
    for content in (
        f"{SECRET}\nb\n", f"key={SECRET}", f'["{SECRET}"]', f'[{{"a": "{SECRET}"}}]',
        f"s3://{SECRET}/x", f"PatientID,crdc_series_uuid\n{SECRET},\nx,{SECRET}\n", unknown,
    ):  # fmt: skip
        (tmp_path / "file").write_text(content)
        said = failing(given, str(tmp_path / "file"))
        assert "hunter2" not in said
        assert "dead" not in said
    (tmp_path / "file").write_text(f"{series[0][0]}\n{SECRET}\n")
    (note,) = given.of_manifest(str(tmp_path / "file"), hosted=False).notes
    assert note.startswith("1 lines were not understood (the first: line 2: ")
    assert "hunter2" not in note


def test_lines_of_a_text_are_told_shortly(given):
    assert "hello" in failing(given, "hello\nthere")
    for text in ("x" * 5_000_000, "a\n" + "\0" * 5_000_000, "s3://" + "y" * 5_000_000):
        assert len(failing(given, text)) < 1_500


def test_a_single_line_may_be_a_manifest(given, series):
    uuid, uid, url = series[0]
    for line in (uuid, uid, f"  {uuid.upper()} ", f'["{uid}"]', f"cp {url} .", f"{uuid} # mine"):
        assert given.of_manifest(line, hosted=True).series.count == 1
    assert given.of_manifest(f"{uuid}, {series[1][0]}", hosted=True).series.count == 2
    with pytest.raises(NotFound, match="the first being"):
        given.of_manifest("00000000-0000-4000-8000-00000000dead", hosted=True)
    with pytest.raises(Refused):
        given.of_manifest("manifest.s5cmd", hosted=True)


def test_relative_paths_are_looked_for_below_the_output_directory(given, series, tmp_path):
    (tmp_path / "output" / "sub").mkdir(parents=True)
    (tmp_path / "output" / "sub" / "m.txt").write_text(f"{series[0][0]}\n")
    assert given.of_manifest("sub/m.txt", hosted=False).series.count == 1
    assert str(tmp_path / "output") in failing(given, "nowhere.txt")
    assert "cannot be read" in failing(given, "~no such user/m.txt")
    without = SeriesLists(given.index, given.pool, given.files)
    assert "No such file" in failing(without, "sub/m.txt")


def test_saved_parquet_is_read_back(make_app):
    app = make_app()
    given = SeriesLists(app.index, app.pool, app.cohorts.files, app.settings.output_dir)
    saved = idc_manifest(app, "4d_lung", format="parquet", save_as="a [1]*.parquet")
    assert given.of_manifest(saved.file, hosted=False).series.count == saved.series
    idc_sql(
        app,
        "SELECT Modality, SeriesInstanceUID FROM index WHERE collection_id = '4d_lung'",
        save_as="b.parquet",
    )
    read = given.of_manifest("b.parquet", hosted=False)
    assert (read.series.count, read.notes) == (saved.series, [])


@pytest.mark.parametrize("column, at", [
    ("crdc_series_uuid", 0), ("CRDC_SERIES_UUID", 0), ("SeriesInstanceUID", 1),
    ("series_aws_url", 2),
])  # fmt: skip
def test_every_column_that_names_series(given, series, tmp_path, column, at):
    pd.DataFrame({"x": 1, column: [row[at] for row in series]}).to_parquet(tmp_path / "m")
    assert given.of_manifest(str(tmp_path / "m"), hosted=False).series.count == len(series)


def test_parquet_without_such_a_column_or_with_odd_cells(given, series, tmp_path):
    path = tmp_path / "m.parquet"
    pd.DataFrame({"PatientID": [SECRET]}).to_parquet(path)
    assert "has no column that names series. Nearest: crdc_series_uuid" in failing(given, str(path))
    cells = [series[0][0], None, SECRET, "a\nb"]
    pd.DataFrame({"crdc_series_uuid": cells, "n": 0}).to_parquet(path)
    read = given.of_manifest(str(path), hosted=False)
    assert read.series.count == 1
    assert "not understood" in read.notes[0]
    assert "hunter2" not in read.notes[0]


def test_damaged_parquet_is_a_clear_error_and_harms_nothing(make_app, tmp_path):
    app = make_app()
    given = SeriesLists(app.index, app.pool, app.cohorts.files)
    made = idc_manifest(app, "4d_lung", format="parquet", save_as="m.parquet")
    whole = Path(made.file).read_bytes()
    database = app.index.opened().database
    path = tmp_path / "m.parquet"
    middle = len(whole) // 2
    for content in (
        b"x", b"PAR1", b"PAR1PAR1", whole[:middle], whole[middle:],
        whole[:-20] + b"\xff" * 12 + whole[-8:],
        whole[:200] + b"\0" * (len(whole) - 40_000) + whole[len(whole) - 39_800 :],
    ):  # fmt: skip
        path.write_bytes(content)
        said = failing(given, str(path))
        assert "it is damaged, or no Parquet file" in said
        assert len(said) < 500
    assert app.index.database == database
    assert database.exists()
