"""One published table: what a network or a store may do to it, and what is used in the end."""

from __future__ import annotations

import hashlib
import shutil
from collections import namedtuple

import pyarrow.parquet
import pytest

from idc_mcp.errors import NotFound, Unavailable
from idc_mcp.fetch import getting
from tests.fetch.conftest import LARGE, SEG
from tests.published import make_tables

STORE, ASSETS, OBJECT = "/release_artifacts/", "/releases/download/", "/objects/"
SUM = f"{SEG}.parquet.sha256"


def paths(publisher):
    return [request.path for request in publisher.requests]


def test_a_table_is_fetched_proven_and_kept(desk, publisher, published):
    here = desk()
    result = here.one(SEG)
    original = (published / f"{SEG}.parquet").read_bytes()
    assert (result.outcome, result.proof, result.bytes) == ("fetched", "sha256", len(original))
    assert result.rows == pyarrow.parquet.read_metadata(published / f"{SEG}.parquet").num_rows
    assert here.release.parquet(SEG).read_bytes() == original
    assert here.left() == {f"{SEG}.parquet", f"{SEG}.parquet.sha256"}
    version = here.release.data_version
    assert paths(publisher) == [
        f"/{version}{STORE}{SEG}.parquet.sha256",
        f"/{version}{STORE}{SEG}.parquet",
    ]
    publisher.requests.clear()
    assert here.one("seg").outcome == "here"
    assert not publisher.requests
    assert here.one("seg", again=True).outcome == "fetched"


def test_all_of_them_at_once(desk, publisher, bucket):
    here = desk(aws_url=bucket.url)
    results = here.fetch("all")
    assert [result.name for result in results] == here.tables.names()
    assert {result.outcome for result in results} == {"fetched"}
    assert set(here.tables.status().values()) == {"here"}
    assert set(here.release.here) == set(here.tables.names())


@pytest.mark.parametrize("name, stands_for", [
    ("seg", ["seg_index"]), ("SEG_INDEX", ["seg_index"]), ("geometry", ["volume_geometry_index"]),
    ("sm", ["sm_index"]), ("clinical", ["clinical_index", "clinical"]),
    ("nlst_canc", ["clinical_index", "clinical"]), ("clinical.nlst_canc", None),
    ("clinical_index", ["clinical_index"]),
])  # fmt: skip
def test_names_are_taken_as_people_give_them(desk, name, stands_for):
    assert desk().tables.resolve([name]) == (stands_for or ["clinical_index", "clinical"])


def test_unknown_names_are_told_with_the_nearest(desk):
    with pytest.raises(NotFound, match="seg_index"):
        desk().tables.resolve(["segm_idx"])
    with pytest.raises(NotFound, match="always here"):
        desk().tables.resolve(["collections_index"])
    with pytest.raises(NotFound, match=r"ann_(group_)?index, ann_"):
        desk().tables.resolve(["nn_"])


def test_truncated_is_gone_on_with(desk, publisher, published):
    size = (published / f"{LARGE}.parquet").stat().st_size
    publisher.fault("truncated", f"{LARGE}.parquet", times=1, after=200_000)
    here = desk()
    assert here.one(LARGE).proof == "sha256"
    ranges = [request.range for request in publisher.requests if request.path.endswith(".parquet")]
    assert ranges == [None, "bytes=200000-"]
    assert here.release.parquet(LARGE).stat().st_size == size


def test_truncated_each_time_is_gone_on_with_by_the_next_fetch(desk, publisher):
    publisher.fault("truncated", after=100_000)
    publisher.fault(404, ASSETS)
    here = desk(patience_s=0.1)
    assert "broke off" in here.fails(LARGE, parts=True)
    had = here.parts()[f"{LARGE}.artifacts.part"]
    assert had >= 100_000
    publisher.clear()
    assert here.one(LARGE).outcome == "fetched"
    assert publisher.requests[1].range == f"bytes={had}-"
    assert not here.parts()


def test_a_server_without_ranges_gives_it_anew(desk, publisher, published):
    publisher.fault("truncated", f"{LARGE}.parquet", times=1)
    publisher.fault("no ranges")
    here = desk()
    assert here.one(LARGE).outcome == "fetched"
    original = (published / f"{LARGE}.parquet").read_bytes()
    assert here.release.parquet(LARGE).read_bytes() == original


def test_a_part_of_another_content_is_not_gone_on_with(desk, publisher, published):
    here = desk(patience_s=0.1)
    other = published / "mr_index.parquet"
    publisher.fault("other file", f"{SEG}.parquet", file=other)
    publisher.fault("truncated", f"{SEG}.parquet", after=100_000)
    assert here.fails(parts=True)
    publisher.clear()
    assert here.one(SEG).proof == "sha256"


@pytest.mark.parametrize("status", [404, 403])
def test_the_release_assets_stand_in(desk, publisher, status):
    publisher.fault(status, STORE)
    publisher.fault(status, SUM)
    result = desk().one(SEG)
    assert (result.outcome, result.proof) == ("fetched", "contents")
    assert "release assets" in result.source
    assert sum(STORE in path for path in paths(publisher)) == 2  # its sum and itself, once


def test_the_release_assets_are_proven_by_the_stores_sha256(desk, publisher):
    publisher.fault(404, f"{STORE}{SEG}.parquet")
    result = desk().one(SEG)
    assert (result.outcome, result.proof) == ("fetched", "sha256")
    publisher.clear()
    publisher.fault("corrupt", f"{OBJECT}")
    publisher.fault(404, f"{STORE}mr_index.parquet")
    assert "SHA-256" in desk().fails("mr_index")


def test_neither_has_it(desk, publisher):
    publisher.fault(404)
    publisher.fault(404, SUM)
    why = desk().fails()
    assert "artifact store" in why and "release assets" in why and why.count("404") == 2
    assert len(publisher.requests) == 3


def test_a_server_that_recovers(desk, publisher):
    publisher.fault(500, times=2)
    publisher.fault(503, SUM, times=1)
    assert desk().one(SEG).proof == "sha256"


def test_a_server_that_fails_for_ever(desk, publisher):
    publisher.fault(500)
    publisher.fault(500, SUM)
    why = desk().fails()
    assert why.count("500") == 2
    assert {STORE in path for path in paths(publisher)} == {True, False}


def test_nobody_listens(desk, publisher):
    publisher.stop()
    assert "refuses the connection" in desk().fails()


@pytest.mark.parametrize("fault, why", [
    ("corrupt", "SHA-256"), ("short", "SHA-256"), ("html", "web page"),
])  # fmt: skip
def test_what_is_not_as_published_is_never_used(desk, publisher, fault, why):
    publisher.fault(fault, SEG)
    assert why in desk().fails()


def test_a_sha256_of_something_else(desk, publisher):
    publisher.fault("wrong sha256")
    assert "SHA-256" in desk().fails()
    publisher.clear()
    assert desk().one(SEG).proof == "sha256"


def test_one_bad_answer_is_asked_for_again(desk, publisher):
    publisher.fault("corrupt", STORE, times=1)
    result = desk().one(SEG)
    assert result.proof == "sha256" and "artifact store" in result.source


def test_a_sidecar_that_is_a_page(desk, publisher):
    publisher.fault("html", SUM)
    result = desk().one(SEG)
    assert "release assets" in result.source and result.proof == "contents"
    assert "SHA-256 is none" in result.notes[0]
    publisher.fault(404, ASSETS)
    shutil.rmtree(desk().directory)
    assert "SHA-256 is none" in desk().fails()


@pytest.mark.parametrize("status", [404, 403])
def test_without_a_sidecar_the_contents_must_do(desk, publisher, status):
    publisher.fault(status, SUM)
    result = desk().one(SEG)
    assert "artifact store" in result.source and result.proof == "contents"
    assert result.notes == (f"the store told no SHA-256 ({status})",)


@pytest.mark.parametrize("sums", [True, False], ids=["sha256", "contents"])
def test_a_table_of_another_version_is_refused(desk, publisher, release, tmp_path, sums):
    other = make_tables(release, tmp_path / "other", only=[SEG], version="25.0.4-0-gabc")
    publisher.root = other
    if not sums:
        publisher.fault(404, SUM)
    why = desk().fails()
    assert "25.0.4-0-gabc" in why and release.data_version in why
    if not sums:
        # Which is the same at the assets, and no reason to ask three times.
        assert sum(OBJECT in path for path in paths(publisher)) == 1


def spoil(published, tmp_path, change):
    table = pyarrow.parquet.read_table(published / f"{SEG}.parquet")
    metadata = table.schema.metadata or {}
    kept = pyarrow.parquet.read_metadata(published / f"{SEG}.parquet").metadata
    table = change(table).replace_schema_metadata({**metadata, **kept})
    (tmp_path / "spoilt").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "spoilt" / f"{SEG}.parquet")
    return tmp_path / "spoilt"


def test_a_table_without_a_column_is_refused(desk, publisher, published, tmp_path):
    column = "SegmentedPropertyType_CodeMeanings"
    publisher.root = spoil(published, tmp_path, lambda table: table.drop_columns([column]))
    assert f"no column {column}" in desk().fails()


def test_a_column_of_another_type_is_refused(desk, publisher, published, tmp_path):
    def as_text(table):
        place = table.schema.get_field_index("total_segments")
        return table.set_column(
            place, "total_segments", table["total_segments"].cast(pyarrow.string())
        )

    publisher.root = spoil(published, tmp_path, as_text)
    assert "total_segments is VARCHAR, not INTEGER" in desk().fails()


def test_a_column_more_does_no_harm(desk, publisher, published, tmp_path):
    def wider(table):
        return table.append_column("later", pyarrow.array([1] * len(table)))

    publisher.root = spoil(published, tmp_path, wider)
    assert desk().one(SEG).outcome == "fetched"


def test_a_stall_is_broken_off_and_gone_on_with(desk, publisher):
    publisher.fault("stall", f"{LARGE}.parquet", times=1, after=200_000)
    here = desk(stall_s=0.3)
    assert here.one(LARGE).outcome == "fetched"
    assert "bytes=200000-" in [request.range for request in publisher.requests]


def test_a_full_disk_is_told_before_it_begins(desk, publisher, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(getting.shutil, "disk_usage", lambda _: usage(1e9, 1e9, 50_000))
    why = desk().fails()
    assert "needs 126 kB" in why and "50 kB free" in why
    assert sum(path.endswith(".parquet") for path in paths(publisher)) == 1


def test_more_than_a_table_may_have(desk, publisher, monkeypatch):
    monkeypatch.setattr(getting, "MOST_BYTES", 100_000)
    assert "over the" in desk().fails()


def test_offline_asks_nobody(desk, publisher):
    here = desk(offline=True)
    with pytest.raises(Unavailable, match="IDC_MCP_OFFLINE"):
        here.one(SEG)
    assert not publisher.requests


@pytest.mark.parametrize("changes", [{"fetch": False}, {"hosted": True}])
def test_a_command_fetches_where_questions_may_not(desk, changes):
    assert desk(**changes).one(SEG).outcome == "fetched"


def test_an_address_that_is_none(desk):
    here = desk(artifacts_url="ftp://me:secret@example.org")
    result = here.one(SEG)
    assert result.outcome == "failed" and "IDC_MCP_ARTIFACTS_URL" in result.why
    assert "secret" not in result.why


def test_a_damaged_file_is_found_and_fetched_again(desk, published):
    here = desk()
    here.one(SEG)
    path = here.release.parquet(SEG)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert here.one(SEG).outcome == "fetched"
    original = hashlib.sha256((published / f"{SEG}.parquet").read_bytes())
    assert hashlib.sha256(path.read_bytes()).digest() == original.digest()
    assert desk().one(SEG).outcome == "here"


def test_a_cache_that_cannot_be_made(desk, tmp_path):
    (tmp_path / "file").write_text("")
    result = desk(cache_dir=tmp_path / "file").one(SEG)
    assert result.outcome == "failed" and "cannot be made" in result.why
