"""A publisher and a bucket on this machine, and tables that are fetched from them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from idc_mcp.fetch import course
from idc_mcp.fetch.tables import Tables
from idc_mcp.index.release import Release, installed_release, tables_directory
from idc_mcp.settings import PREFIX, Settings
from tests.conftest import CACHE
from tests.published import Publisher, clinical_bucket, published_small
from tests.transfer.faulty import FaultyMirror

SEG = "seg_index"
LARGE = "sm_instance_index"
NOBODY = "http://127.0.0.1:9"
"""Where nobody listens: tests ask no bucket by mistake."""


class Shown:
    """An index as far as fetching asks it: what is on the disk can be asked for after a refresh."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.refreshed = 0
        self.broken = False

    def has(self, *tables: str) -> bool:
        return {*self.release.bundled, *self.release.here}.issuperset(tables)

    def refresh(self, timeout_s: float = 0.0) -> bool:
        self.refreshed += 1
        if not self.broken:
            self.release = self.release.look()
        return not self.broken


class Desk(SimpleNamespace):
    """Settings, tables and the index behind them, of one process as it were."""

    settings: Settings
    tables: Tables
    index: Shown

    @property
    def release(self) -> Release:
        return self.index.release.look()

    @property
    def directory(self) -> Path:
        return tables_directory(self.settings.cache_dir, self.index.release.data_version)

    def fetch(self, *names: str, **options: Any) -> list[course.Fetched]:
        return self.tables.fetch(names, **options)

    def one(self, name: str, **options: Any) -> course.Fetched:
        """What came of one table."""
        (result,) = self.fetch(name, **options)
        return result

    def left(self) -> set[str]:
        """Names of all that is there but locks, relative to the directory."""
        return {
            str(path.relative_to(self.directory))
            for path in self.directory.rglob("*")
            if path.is_file() and path.suffix != ".lock"
        }

    def parts(self) -> dict[str, int]:
        """Sizes of what is kept to be gone on with."""
        return {path.name: path.stat().st_size for path in self.directory.glob(".parts/*.part")}

    def fails(self, name: str = SEG, *, parts: bool = False) -> str:
        """Why a table cannot be had; nothing is published then."""
        result = self.one(name)
        assert result.outcome == "failed"
        assert result.why
        assert self.release.parquet(name) is None
        left = {path for path in self.left() if name in path}
        assert all(path.startswith(".parts/") for path in left)
        assert bool(left) == parts
        return result.why


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith(PREFIX):
            monkeypatch.delenv(variable)


@pytest.fixture(scope="session")
def published() -> Path:
    return published_small(CACHE)


@pytest.fixture
def publisher(published: Path) -> Iterator[Publisher]:
    with Publisher(published) as server:
        yield server


@pytest.fixture
def desk(tmp_path: Path, publisher: Publisher) -> Iterator[Callable[..., Desk]]:
    """Makes desks that ask `publisher`; they share a cache unless told otherwise."""
    made: list[Desk] = []

    def make(**changes: Any) -> Desk:
        settings = Settings(
            cache_dir=tmp_path / "cache", state_dir=tmp_path / "state",
            output_dir=tmp_path / "output", artifacts_url=publisher.url,
            releases_url=publisher.assets_url, aws_url=NOBODY,
            patience_s=0.5, stall_s=1.0, fetch_wait_s=20.0,
        )  # fmt: skip
        settings = dataclasses.replace(settings, **changes)
        index = Shown(installed_release(settings.cache_dir))
        made.append(Desk(settings=settings, index=index, tables=Tables(index, settings)))
        return made[-1]

    yield make
    for one in made:
        one.tables.close()


@pytest.fixture
def bucket(published: Path, tmp_path: Path) -> Iterator[FaultyMirror]:
    """The bucket of open metadata, with the clinical tables."""
    with FaultyMirror(clinical_bucket(published, tmp_path / "buckets")) as mirror:
        yield mirror
