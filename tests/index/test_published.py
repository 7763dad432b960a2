"""The stand-in for the published tables is what it says: schemas, marks, real series, a server."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from idc_mcp.index.release import Release
from tests.conftest import CACHE
from tests.published import Publisher, make_tables, published_small
from tests.published.tables import NAMES

parquet = pytest.importorskip("pyarrow.parquet")
pandas = pytest.importorskip("pandas")

ARROW = {"STRING": "string", "INTEGER": "int64", "FLOAT": "double", "BOOLEAN": "bool"}


@pytest.fixture(scope="module")
def published() -> Path:
    return published_small(CACHE)


@pytest.fixture(scope="module")
def bundled(release: Release) -> Any:
    columns = ["SeriesInstanceUID", "StudyInstanceUID", "Modality", "collection_id", "PatientID"]
    return pandas.read_parquet(release.parquet("index"), columns=columns)


@pytest.fixture
def publisher(published: Path) -> Iterator[Publisher]:
    with Publisher(published) as running:
        yield running


def get(publisher: Publisher, path: str, method: str = "GET", **headers: str) -> Any:
    """The answer with its body as `content`; an incomplete one raises."""
    connection = http.client.HTTPConnection(urlsplit(publisher.url).netloc, timeout=20)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


def at(release: Release, name: str) -> str:
    return f"/{release.data_version}/release_artifacts/{name}"


@pytest.mark.parametrize("name", NAMES)
def test_the_columns_are_those_of_the_bundled_schema(
    published: Path, release: Release, name: str
) -> None:
    told = json.loads((release.directory / f"{name}_schema.json").read_text("utf-8"))["columns"]
    found = parquet.read_schema(published / f"{name}.parquet")
    assert found.names == [column["name"] for column in told]
    for column in told:
        kind = found.field(column["name"]).type
        if column["mode"] == "REPEATED":
            kind = kind.value_type
        if column["type"] == "RECORD":
            assert [field.name for field in kind] == ["option_code", "option_description"]
        else:
            assert str(kind) == ARROW[column["type"]]


def test_a_file_says_its_version(published: Path, release: Release, tmp_path: Path) -> None:
    def version(path: Path) -> bytes:
        return parquet.read_metadata(path).metadata[b"idc_index_data_version"]

    for name in NAMES:
        told = version(published / f"{name}.parquet")
        assert told == f"{release.data_version}-0-gstandin".encode()
    make_tables(release, tmp_path, only=["ann_index"], version="24.1.0-0-gother")
    assert [path.name for path in tmp_path.iterdir()] == ["ann_index.parquet"]
    assert version(tmp_path / "ann_index.parquet") == b"24.1.0-0-gother"


def test_the_series_are_real_and_so_are_their_sources(published: Path, bundled: Any) -> None:
    study = dict(zip(bundled.SeriesInstanceUID, bundled.StudyInstanceUID, strict=True))
    modality = dict(zip(bundled.SeriesInstanceUID, bundled.Modality, strict=True))
    for name in NAMES:
        if name != "clinical_index":
            series = list(pandas.read_parquet(published / f"{name}.parquet").SeriesInstanceUID)
            several = name in ("ann_group_index", "sm_instance_index")
            assert study.keys() >= set(series)
            assert several or len(series) == len(set(series))
    seg = pandas.read_parquet(published / "seg_index.parquet")
    known = seg.segmented_SeriesInstanceUID.dropna()
    assert 0.02 < 1 - len(known) / len(seg) < 0.06
    references = zip(seg.SeriesInstanceUID[known.index], known, strict=True)
    pairs = [pair for pair in references if pair[1] in study]
    assert 0 < len(known) - len(pairs) < 20
    assert all(study[one] == study[source] for one, source in pairs)
    assert {modality[source] for _, source in pairs} >= {"CT", "MR", "PT", "SM"}


def test_the_same_rows_come_again(published: Path, release: Release, tmp_path: Path) -> None:
    make_tables(release, tmp_path, only=["seg_index", "clinical_index"])
    for name in ("seg_index", "clinical_index"):
        made, kept = (
            # Rows alone: engines differ in whether they write that a column may be empty.
            parquet.read_table(place / f"{name}.parquet").to_pydict()
            for place in (tmp_path, published)
        )
        assert made == kept


def test_clinical_tables_are_those_of_their_dictionary(published: Path, bundled: Any) -> None:
    told = pandas.read_parquet(published / "clinical_index.parquet")
    for name, rows in told.groupby("short_table_name"):
        (full,) = rows.table_name.unique()
        assert full.startswith("bigquery-public-data.idc_v") and full.endswith(f"_clinical.{name}")
        files = sorted((published / "clinical" / name).iterdir())
        assert files[0].name == "000000000000.parquet"
        assert parquet.read_schema(files[0]).names == list(rows.column)
    assert len(list((published / "clinical" / "nlst_prsn").iterdir())) == 2
    assert set(told.short_table_name) == {path.name for path in (published / "clinical").iterdir()}
    stages = told[(told.short_table_name == "nlst_canc") & (told.column == "clinical_stag")]
    book = {one["option_code"]: one["option_description"] for one in stages["values"].iloc[0]}
    assert book["400"] == "Stage IV"
    cancers = pandas.read_parquet(published / "clinical" / "nlst_canc")
    patients = set(bundled[bundled.collection_id == "nlst"].PatientID)
    imaged = cancers.dicom_patient_id.isin(patients)
    assert imaged.sum() > 20 and not imaged.all()
    assert set(cancers.clinical_stag.dropna()) <= set(book)
    assert "400" in set(cancers.clinical_stag[imaged])


@pytest.mark.parametrize("bare", [False, True])
def test_a_sum_lies_beside_each_table(published: Path, release: Release, bare: bool) -> None:
    with Publisher(published, bare_sums=bare) as publisher:
        content = get(publisher, at(release, "pt_index.parquet")).content
        told = get(publisher, at(release, "pt_index.parquet.sha256")).content.decode()
    assert content == (published / "pt_index.parquet").read_bytes()
    assert told.split()[0] == hashlib.sha256(content).hexdigest()
    assert told[64:] == ("" if bare else "  pt_index.parquet\n")


def test_parts_of_a_file(publisher: Publisher, published: Path, release: Release) -> None:
    path, whole = at(release, "pt_index.parquet"), (published / "pt_index.parquet").read_bytes()
    for asked, part in (("100-199", whole[100:200]), ("100-", whole[100:]), ("-8", whole[-8:])):
        answer = get(publisher, path, Range=f"bytes={asked}")
        assert (answer.status, answer.content) == (206, part)
        assert answer.headers["Content-Range"].endswith(f"/{len(whole)}")
    assert get(publisher, path, Range=f"bytes={len(whole)}-").status == 416
    head = get(publisher, path, "HEAD")
    assert (head.content, int(head.headers["Content-Length"])) == (b"", len(whole))
    assert head.headers["ETag"] == get(publisher, path).headers["ETag"]
    assert publisher.requests[0] == ("GET", path, "bytes=100-199")


def test_a_release_asset_is_elsewhere(publisher: Publisher, published: Path) -> None:
    path = "/releases/download/25.0.5/pt_index.parquet"
    answer = get(publisher, path)
    assert answer.status == 302
    there = urlsplit(answer.headers["Location"]).path
    assert get(publisher, there).content == (published / "pt_index.parquet").read_bytes()
    assert get(publisher, f"{path}.sha256").status == 404
    assert get(publisher, "/releases/download/25.0.5/none_index.parquet").status == 404


def test_faults(publisher: Publisher, published: Path, release: Release) -> None:
    path, whole = at(release, "pt_index.parquet"), (published / "pt_index.parquet").read_bytes()

    def with_fault(what: int | str, **options: Any) -> Any:
        publisher.clear()
        publisher.fault(what, "pt_index", **options)
        return get(publisher, path, Range=f"bytes=0-{len(whole) - 1}")

    assert [with_fault(status).status for status in (404, 403, 500)] == [404, 403, 500]
    assert with_fault(503, times=1).status == 503
    assert get(publisher, path).content == whole
    with pytest.raises(http.client.IncompleteRead) as raised:
        with_fault("truncated", after=1000)
    assert raised.value.partial == whole[:1000]
    assert with_fault("short", after=1000).content == whole[:1000]
    corrupt = with_fault("corrupt").content
    assert len(corrupt) == len(whole) and corrupt != whole
    page = with_fault("html")
    assert page.status == 200 and page.content.startswith(b"<!DOCTYPE html>")
    assert with_fault("slow", rate=400_000).content == whole
    assert with_fault("no ranges").status == 200
    other = published / "ann_index.parquet"
    assert with_fault("other file", file=other).content == other.read_bytes()[: len(whole)]
    publisher.clear()
    publisher.fault("wrong sha256")
    assert get(publisher, f"{path}.sha256").content[:64] != hashlib.sha256(whole).hexdigest()
    assert get(publisher, path).content == whole


def test_a_stall_ends_with_the_server(published: Path, release: Release) -> None:
    with Publisher(published) as publisher:
        publisher.fault("stall", after=10)
        connection = http.client.HTTPConnection(urlsplit(publisher.url).netloc, timeout=20)
        connection.request("GET", at(release, "pt_index.parquet"))
        answer = connection.getresponse()
        assert answer.read(10) == (published / "pt_index.parquet").read_bytes()[:10]
    with pytest.raises((http.client.IncompleteRead, OSError)):
        answer.read()
