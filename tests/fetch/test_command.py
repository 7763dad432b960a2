"""`idc-mcp fetch` as a person runs it, with the real database behind it."""

from __future__ import annotations

import argparse
import os
import signal
import threading

import pytest

from idc_mcp.cli.fetch import fetch
from idc_mcp.errors import NotFetched, NotFound
from idc_mcp.fetch.tables import Tables
from idc_mcp.index.release import installed_release
from idc_mcp.index.store import Index
from tests.fetch.conftest import LARGE, SEG


@pytest.fixture
def run(desk, cache_dir, bucket, monkeypatch, capsys):
    """Runs the command in a cache that has the database of the bundled tables."""
    settings = desk(aws_url=bucket.url).settings
    settings.cache_dir.mkdir()
    for path in cache_dir.glob("*.duckdb"):
        os.link(path, settings.cache_dir / path.name)
    for name in ("cache_dir", "state_dir", "output_dir", "artifacts_url", "releases_url",
                 "aws_url", "patience_s", "stall_s"):  # fmt: skip
        monkeypatch.setenv(f"IDC_MCP_{name.upper()}", str(getattr(settings, name)))

    def ran(*names, **options):
        given = {"all": False, "again": False} | options
        status = fetch(argparse.Namespace(names=list(names), **given))
        said = capsys.readouterr()
        return status, said.out, said.err

    ran.settings = settings
    return ran


def test_what_can_be_fetched_is_listed(run, publisher):
    status, out, _ = run()
    assert status == 0
    for name in Tables(Index(installed_release(), run.settings), run.settings).names():
        assert name in out
    assert out.count("not here") == 13
    assert "idc-mcp fetch --all" in out
    assert not publisher.requests


def test_it_fetches_and_adds_to_the_database(run):
    status, out, err = run("seg", "nlst_canc")
    assert status == 0
    assert "seg_index: " in out and "SHA-256 as published" in out and "size and MD5" in out
    assert "Adding the tables to the database" in err
    index = Index(installed_release(), run.settings)
    try:
        assert index.value("SELECT count(*) FROM main.seg_index") > 0
        assert index.value("SELECT count(*) FROM clinical.nlst_canc") > 0
    finally:
        index.close()
    status, out, err = run("seg")
    assert (status, out) == (0, "seg_index: here already\n")
    status, out, _ = run("seg", again=True)
    assert status == 0
    assert "seg_index: " in out and "database: " in out
    listed = run()[1]
    assert "  here  " in listed


def test_what_cannot_be_had_is_named(run, publisher):
    publisher.fault(404, SEG)
    publisher.fault(404, f"{SEG}.parquet.sha256")
    status, out, _ = run(SEG, "ann_index")
    assert status == 1
    assert "seg_index: not fetched: " in out and "404" in out
    assert "ann_index: " in out and "rows" in out


def test_unknown_names(run):
    with pytest.raises(NotFound, match="seg_index"):
        run("segm_idx")


def test_ctrl_c_keeps_what_has_come(run, publisher, desk):
    publisher.fault("slow", f"{LARGE}.parquet", rate=150_000)
    directory = desk().directory

    def interrupt():
        for _ in range(1000):
            if any(path.stat().st_size for path in directory.glob(".parts/*.part")):
                os.kill(os.getpid(), signal.SIGINT)  # never where nothing is under way
                return
            threading.Event().wait(0.02)

    threading.Thread(target=interrupt).start()
    status, _, err = run(LARGE)
    assert status == 130
    assert f"go on with: idc-mcp fetch {LARGE}" in err
    assert any(path.stat().st_size for path in directory.glob(".parts/*.part"))


def test_a_question_is_answered_by_the_real_database(run, publisher):
    index = Index(installed_release(), run.settings)
    tables = Tables(index, run.settings)
    try:
        with pytest.raises(NotFetched):
            index.require(SEG)
        try:
            tables.have([SEG])
        except NotFetched as late:  # a slow machine: it is still being added
            assert "being added" in late.what
            index.refresh()
        index.require(SEG)
        assert index.value("SELECT count(*) FROM main.seg_index") > 0
    finally:
        tables.close()
        index.close()
