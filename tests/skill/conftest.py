"""What the tests of the skill share: kept stand-ins, the servers, a directory a document."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from idc_mcp.app import App
from idc_mcp.index.build import database_path
from idc_mcp.index.release import installed_release, tables_directory
from tests.conftest import CACHE
from tests.skill.addresses import Servers
from tests.skill.kept import kept


@pytest.fixture(scope="session")
def made(app: App, published: Path) -> Path:
    return kept(CACHE, app, published)


@pytest.fixture(scope="session")
def servers(made: Path, published: Path) -> Iterator[Servers]:
    with Servers(made, published) as running:
        yield running


@pytest.fixture
def caches(cache_dir: Path, full_cache: Path, tmp_path: Path) -> dict[bool, Path]:
    """Caches of a test's own, with the bundled tables and with all: what is fetched goes there."""
    return {
        whole: own_cache(cache, tmp_path / f"cache-{name}")
        for whole, cache, name in ((False, cache_dir, "bundled"), (True, full_cache, "whole"))
    }


def own_cache(cache: Path, place: Path) -> Path:
    """The database and the fetched tables of a cache in another place, linked where that can be."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy(source, target)

    release = installed_release(cache)
    place.mkdir(mode=0o700)
    database = database_path(cache, release)
    link(str(database), str(place / database.name))
    tables = tables_directory(cache, release.data_version)
    if release.here:
        shutil.copytree(tables, tables_directory(place, release.data_version), copy_function=link)
    return place


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    """The directory in which a document's scripts run: it has a copy of `data/`."""
    desk = tmp_path / "desk"
    shutil.copytree(made / "data", desk / "data")
    return desk
