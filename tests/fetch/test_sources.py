"""Where tables are asked for, where redirects may lead, and how amounts read."""

from __future__ import annotations

import dataclasses

import pytest

from idc_mcp.fetch.course import Progress, amount
from idc_mcp.fetch.sources import clinical_place, redirected, table_sources
from idc_mcp.settings import Settings
from idc_mcp.transfer.objects import Failure
from tests.fetch.conftest import SEG
from tests.published import Publisher
from tests.published.server import _text


def test_the_addresses_of_a_version(release, tmp_path):
    settings = Settings(cache_dir=tmp_path)
    store, assets = table_sources(settings, release, SEG)
    assert store.url == (
        "https://storage.googleapis.com/idc-index-data-artifacts/"
        f"{release.data_version}/release_artifacts/seg_index.parquet"
    )
    assert store.sidecar == f"{store.url}.sha256"
    assert assets.url == (
        "https://github.com/ImagingDataCommons/idc-index-data/releases/download/"
        f"{release.data_version}/seg_index.parquet"
    )
    assert assets.sidecar == ""
    place, prefix = clinical_place(settings, release)
    assert (place.endpoint, place.bucket) == ("https://s3.amazonaws.com", "idc-open-metadata")
    assert prefix == f"bigquery_export/idc_{release.name}_clinical"


@pytest.mark.parametrize("url, location, there", [
    ("https://github.com/a", "https://objects.example.org/b?c=d", "https://objects.example.org/b?c=d"),
    ("https://github.com/a/b", "/c", "https://github.com/c"),
    ("http://127.0.0.1:1/a", "http://localhost:2/b", "http://localhost:2/b"),
    ("https://github.com/a", "http://objects.example.org/b", None),
    ("https://github.com/a", "ftp://objects.example.org/b", None),
    ("https://github.com/a", "file:///etc/passwd", None),
    ("https://github.com/a", "", None),
    ("http://mirror.example.org/a", "http://127.0.0.1/b", None),
    ("http://127.0.0.1/a", "http://mirror.example.org/b", None),
])  # fmt: skip
def test_redirects_never_leave_https(url, location, there):
    if there:
        assert redirected(url, location) == there
    else:
        with pytest.raises(Failure, match="not followed"):
            redirected(url, location)


class Moving(Publisher):
    """Redirects in a circle, or to where it is not followed."""

    location = ""

    def answer(self, request):
        super().answer(request)
        return dataclasses.replace(_text(302, ""), headers={"Location": self.location})


@pytest.mark.parametrize("location, why", [
    ("/circle", "redirects more than"), ("http://mirror.example.org/", "not followed"),
    ("http://[::1", "no address"), ("http://127.0.0.1:99999/", "no address"),
    ("http://127.0.0.1:x/", "no address"),
])  # fmt: skip
def test_redirects_that_lead_nowhere(desk, published, location, why):
    with Moving(published) as server:
        server.location = location
        here = desk(artifacts_url=server.url, releases_url=server.url)
        assert why in here.fails()
        assert len(server.requests) <= 36  # a few times its sum, then the assets


def test_a_redirect_that_is_no_address_is_the_fault_of_one_source(desk, published, publisher):
    with Moving(published) as server:
        server.location = "http://[::1"
        result = desk(artifacts_url=server.url).one(SEG)
        assert (result.outcome, result.proof) == ("fetched", "contents")
        assert "release assets" in result.source and "no address" in result.notes[0]


def test_amounts_share_a_unit():
    assert amount(12_000_000, 38_100_000) == "12.0 of 38.1 MB"
    assert amount(500, 38_100_000) == "0.0 of 38.1 MB"
    assert amount(12_000_000, None) == "12 MB"
    assert amount(3, 20) == "3 of 20 B"
    told = Progress("seg_index", done=12_000_000, total=38_100_000, seconds_left=20)
    assert str(told) == "12.0 of 38.1 MB, about 20 s left"
    assert str(Progress("seg_index", trouble="nobody answers")).startswith("asking for it")
