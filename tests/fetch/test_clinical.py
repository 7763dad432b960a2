"""The clinical tables: all of them, proven, in one step; what is whole is not fetched twice."""

from __future__ import annotations

import hashlib
import shutil

import pandas
import pyarrow
import pyarrow.parquet
import pytest

from idc_mcp.fetch.clinical import PARTS
from tests.fetch.conftest import Desk
from tests.transfer.faulty import FaultyMirror

CLINICAL = "clinical"


@pytest.fixture
def here(desk, bucket) -> Desk:
    return desk(aws_url=bucket.url)


@pytest.fixture
def folder(bucket, release):
    """The directory behind the prefix of the clinical tables."""
    return bucket.root_path / f"idc_v{release.number}_clinical"


@pytest.fixture
def bucket(bucket, tmp_path) -> FaultyMirror:
    bucket.root_path = tmp_path / "buckets" / "idc-open-metadata" / "bigquery_export"
    return bucket


@pytest.fixture(autouse=True)
def alone(desk):
    """The dictionary comes along with the clinical tables; here it was had before."""
    desk().one("clinical_index")


def one_of(here):
    return next(result for result in here.fetch(CLINICAL) if result.name == CLINICAL)


def why_not(here):
    """Why they cannot be had; nothing of them is published then."""
    result = one_of(here)
    assert result.outcome == "failed"
    assert not here.release.clinical
    assert not (here.directory / CLINICAL).exists()
    return result.why


def gets(bucket):
    return [path for method, path in bucket.requests if method == "GET" and ".parquet" in path]


def test_they_are_those_of_the_bucket(here, published, bucket, folder):
    result = one_of(here)
    assert (result.outcome, result.proof, result.notes) == ("fetched", "md5", ())
    files = {
        f"{path.parent.name}/{path.name}": hashlib.md5(path.read_bytes()).hexdigest()
        for path in folder.glob("*/*.parquet")
    }
    got = here.release.clinical
    assert files == {
        f"{table}/{path.name}": hashlib.md5(path.read_bytes()).hexdigest()
        for table, paths in got.items()
        for path in paths
    }
    assert result.rows == sum(len(pandas.read_parquet(path)) for path in folder.glob("*/*"))
    assert len(gets(bucket)) == len(files)
    bucket.requests.clear()
    assert one_of(here).outcome == "here"
    assert not bucket.requests
    assert not (here.directory / PARTS).exists()


def test_tables_that_the_dictionary_names_and_the_bucket_lacks_are_told(here, folder):
    shutil.rmtree(folder / "nlst_canc")
    result = one_of(here)
    assert result.outcome == "fetched"
    assert "nlst_canc" in result.notes[0] and "1 tables" in result.notes[0]


def test_the_folders_that_describe_the_dataset_are_no_clinical_tables(here, folder):
    shutil.copytree(folder / "nlst_canc", folder / "table_metadata")
    assert one_of(here).notes == ()
    assert "table_metadata" not in here.release.clinical


def test_what_is_no_table_is_told(here, folder):
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / "nlst_canc" / "notes.txt").write_text("something")
    (folder / "nlst_canc" / "deeper").mkdir()
    (folder / "nlst_canc" / "deeper" / "a.parquet").write_text("something")
    (note,) = one_of(here).notes
    assert "2 objects" in note and "notes.txt" in note and "deeper/a.parquet" in note


def test_a_listing_of_pages(here, folder, bucket):
    table = pyarrow.table({"dicom_patient_id": ["a", "b"]})
    (folder / "many").mkdir()
    for number in range(1100):
        pyarrow.parquet.write_table(table, folder / "many" / f"{number:012}.parquet")
    assert one_of(here).outcome == "fetched"
    assert len(here.release.clinical["many"]) == 1100
    assert sum("list-type" in path for _, path in bucket.requests) >= 2


def test_a_listing_without_any(here, folder):
    shutil.rmtree(folder)
    folder.mkdir()
    assert "no clinical tables" in why_not(here)


def test_no_bucket(here, bucket):
    bucket.stop()
    assert "refused" in why_not(here)


@pytest.mark.parametrize("fault, why", [
    ("short", "bytes came"), ("bit", "MD5"), ("truncated", "broke off"), (500, "500"),
    (403, "403"), (404, "404"), ("stall", "in time"),
])  # fmt: skip
def test_a_file_that_never_comes_whole(desk, bucket, fault, why):
    here = desk(aws_url=bucket.url, stall_s=0.3)
    bucket.fault(fault, on="get", key="nlst_canc")
    assert why in why_not(here)
    kept = {path.parent.name for path in (here.directory / PARTS).glob("*/*.parquet")}
    assert "nlst_canc" not in kept


@pytest.mark.parametrize("fault", ["short", "bit", "truncated", 500, "reset"])
def test_a_file_that_comes_at_the_second_try(here, bucket, fault):
    bucket.fault(fault, on="get", times=1)
    assert one_of(here).outcome == "fetched"


def test_an_etag_that_is_no_md5(desk, bucket):
    bucket.multipart_over = 0
    result = one_of(desk(aws_url=bucket.url))
    assert (result.outcome, result.proof) == ("fetched", "size")


def test_a_file_that_is_no_parquet(here, folder):
    page = b"<html>" + b" " * 500
    next((folder / "nlst_canc").iterdir()).write_bytes(page)
    assert "web page" in why_not(here)


def test_what_is_whole_is_kept_and_not_asked_for_again(here, bucket, folder):
    last = sorted(path.name for path in folder.iterdir())[-1]
    bucket.fault(403, on="get", key=f"/{last}/")
    why_not(here)
    kept = {
        f"/{path.parent.name}/{path.name}" for path in here.directory.glob(f"{PARTS}/*/*.parquet")
    }
    assert kept
    damaged = next(here.directory.glob(f"{PARTS}/*/*.parquet"))
    damaged.write_bytes(b"\0" * damaged.stat().st_size)
    (here.directory / PARTS / "gone_since").mkdir()
    (here.directory / PARTS / "gone_since" / "0.parquet").write_bytes(b"old")
    bucket.clear()
    bucket.requests.clear()
    assert one_of(here).outcome == "fetched"
    again = {path for path in kept if any(path in asked for asked in gets(bucket))}
    assert again == {f"/{damaged.parent.name}/{damaged.name}"}
    assert "gone_since" not in here.release.clinical


def test_damage_is_found_and_mended(here):
    one_of(here)
    path = here.release.clinical["nlst_canc"][0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert one_of(here).outcome == "fetched"
    assert one_of(here).outcome == "here"


def test_again_replaces_all(here, folder):
    one_of(here)
    shutil.rmtree(folder / "nlst_canc")
    results = here.fetch(CLINICAL, again=True)
    assert {result.outcome for result in results} == {"fetched"}
    assert "nlst_canc" not in here.release.clinical
    assert not list(here.directory.glob(".clinical*"))
