"""What every test shares: one built database, and settings that touch nothing of the user's."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from idc_mcp.app import App
from idc_mcp.index.build import build
from idc_mcp.index.release import Release, installed_release, tables_directory
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings
from tests.published import published_small

CACHE = Path(__file__).parent / ".cache"
"""The database of the real catalogue, built once (10 s) and kept between runs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept-contract", action="store_true", help="write the tools' contract as it is now"
    )


@pytest.fixture(scope="session")
def release() -> Release:
    return installed_release()


@pytest.fixture(scope="session")
def cache_dir(release: Release) -> Path:
    build(CACHE, release)
    return CACHE


def settings_at(home: Path, cache_dir: Path, **changes: Any) -> Settings:
    """Settings whose directories lie below `home`, and that never use the network."""
    defaults = {"state_dir": home / "state", "output_dir": home / "output", "offline": True}
    return Settings(cache_dir=cache_dir, **(defaults | changes))


@pytest.fixture
def settings(cache_dir: Path, tmp_path: Path) -> Settings:
    return settings_at(tmp_path, cache_dir)


@pytest.fixture(scope="session")
def app(cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One core for tests that leave it as it was."""
    made = App.create(settings_at(tmp_path_factory.mktemp("home"), cache_dir))
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="session")
def index(app: App) -> Index:
    return app.index


@pytest.fixture(scope="session")
def published() -> Path:
    """Stand-ins for the tables that IDC publishes beside the bundled ones, as Parquet."""
    return published_small(CACHE)


@pytest.fixture(scope="session")
def full_cache(release: Release, published: Path) -> Path:
    """A cache in which those tables are fetched, and in the database."""
    cache = CACHE / f"with-{published.name}"
    tables = tables_directory(cache, release.data_version)
    if not tables.is_dir():
        tables.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tables.parent, prefix="fetching-") as made:
            shutil.copytree(published, Path(made) / "whole")
            with contextlib.suppress(OSError):  # another process was first
                (Path(made) / "whole").rename(tables)
    build(cache, installed_release(cache))
    return cache


@pytest.fixture(scope="session")
def full_app(full_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """As `app`, with every table."""
    made = App.create(settings_at(tmp_path_factory.mktemp("full-home"), full_cache))
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="session")
def full_index(full_app: App) -> Index:
    return full_app.index


@pytest.fixture
def make_app(cache_dir: Path, tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Makes cores of a test's own; `home` defaults to the test's directory."""
    made: list[App] = []

    def make(home: Path = tmp_path, **changes: Any) -> App:
        made.append(App.create(settings_at(home, cache_dir, **changes)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def catalogue(release: Release) -> Any:
    """The index as pandas reads it, the oracle for counts."""
    pandas = pytest.importorskip("pandas")
    columns = [
        "collection_id", "analysis_result_id", "PatientID", "StudyInstanceUID", "Modality",
        "BodyPartExamined", "Manufacturer", "license_short_name", "source_DOI", "StudyDate",
        "PatientAge", "SeriesDescription", "instanceCount", "series_size_MB",
        "crdc_series_uuid", "SeriesInstanceUID",
    ]  # fmt: skip
    return pandas.read_parquet(release.parquet("index"), columns=columns)
