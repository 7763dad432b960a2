"""What every test shares: one built database, and settings that touch nothing of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from idc_mcp.index.build import build
from idc_mcp.index.release import Release, installed_release
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings

CACHE = Path(__file__).parent / ".cache"
"""The database of the real catalogue, built once (10 s) and kept between runs."""


@pytest.fixture(scope="session")
def release() -> Release:
    return installed_release()


@pytest.fixture(scope="session")
def cache_dir(release: Release) -> Path:
    build(CACHE, release)
    return CACHE


@pytest.fixture
def settings(cache_dir: Path, tmp_path: Path) -> Settings:
    return Settings(
        cache_dir=cache_dir,
        state_dir=tmp_path / "state",
        output_dir=tmp_path / "output",
        offline=True,
    )


@pytest.fixture(scope="session")
def index(release: Release, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(
        cache_dir=cache_dir, state_dir=home / "state", output_dir=home / "output", offline=True
    )
    opened = Index(release, settings)
    opened.start()
    yield opened
    opened.close()
