"""A locked connection as the worker has it, but in the process of the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import duckdb
import pytest

from idc_mcp.index import sandbox
from idc_mcp.index.naming import Catalogue
from idc_mcp.index.release import Release
from idc_mcp.index.store import Index


@pytest.fixture(scope="module", params=["database", "parquet"])
def place(
    request: pytest.FixtureRequest, index: Index, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sandbox.Place]:
    index.value("SELECT 1")
    assert index.database is not None
    scratch = tmp_path_factory.mktemp("scratch")
    (scratch / "cohorts").mkdir()
    # Under another name: DuckDB opens a file only once in a process, with one configuration.
    linked = index.database.with_name(f"linked-{os.getpid()}.duckdb")
    linked.unlink(missing_ok=True)
    linked.hardlink_to(index.database)
    yield sandbox.Place(
        release=index.release,
        database=linked if request.param == "database" else None,
        cohorts=scratch / "cohorts",
        scratch=scratch / "own",
        threads=2,
        memory_mb=700,
    )
    linked.unlink()


@pytest.fixture(scope="module")
def connection(place: sandbox.Place) -> Iterator[duckdb.DuckDBPyConnection]:
    place.scratch.mkdir()
    with sandbox.locked_connection(place) as opened:
        yield opened


@pytest.fixture(scope="module")
def catalogue(release: Release) -> Catalogue:
    return Catalogue(release.bundled, release.schemas, collections=["nlst", "4d_lung"])
