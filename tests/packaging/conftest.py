"""A checkout, what is built from it, and uv with its packages already there.

uv keeps what it downloads in `tests/.cache/uv`; where its packages cannot be had, tests that need
them are skipped with the reason.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from idc_mcp import __version__
from tests import npm
from tests.conftest import CACHE
from tests.docs_blocks import ROOT
from tests.npm import newcomer, run
from tests.server.conftest import environment

BIN = Path(sys.executable).parent
WARM_S = 110
"""How long the first download of the packages may take, of a test's two minutes."""


class Built(NamedTuple):
    """What `python -m build` made: the sdist, the wheel of it, and one of the checkout itself."""

    sdist: Path
    wheel: Path
    direct: Path


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository as a clone has it, with what is not committed yet."""
    copy = tmp_path_factory.mktemp("clone") / "idc-mcp"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip(f"git does not list the files here: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, copy / name
        if source.is_file() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return copy


def uv_environment(home: Path, cache_dir: Path, *programs: Path, **more: str) -> dict[str, str]:
    """A newcomer's environment, with uv and its packages."""
    env = newcomer(environment(home, cache_dir), home / "home", *programs, BIN)
    for name in ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):
        env.pop(name, None)
    return env | {"UV_CACHE_DIR": str(CACHE / "uv"), "UV_PYTHON": sys.executable, **more}


@pytest.fixture(scope="session")
def uv(checkout: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which uv has every package, so that a start waits for no download."""
    if not (BIN / "uv").exists():
        pytest.skip("uv is not installed")
    env = uv_environment(tmp_path_factory.mktemp("uv"), cache_dir)
    try:
        warmed = run(["uvx", "--from", str(checkout), "idc-mcp", "--version"], env, WARM_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"uv did not install the packages within {WARM_S} s")
    if "error sending request" in warmed.stderr:
        pytest.skip(f"uv does not reach the packages here: {warmed.stderr[-300:]}")
    assert warmed.returncode == 0, warmed.stderr
    assert warmed.stdout == f"idc-mcp {__version__}\n"
    return env


@pytest.fixture(scope="session")
def claude_code() -> Path:
    return npm.claude_code()


@pytest.fixture(scope="session")
def built(checkout: Path, uv: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The distributions, built as `make dist` does (and the wheel once more from the tree)."""
    both, direct = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("direct")
    build = [sys.executable, "-m", "build", "--installer", "uv"]
    for command in (
        [*build, "--outdir", str(both)],
        [*build, "--wheel", "--outdir", str(direct)],
    ):
        made = run(command, uv, 100, cwd=checkout)
        assert made.returncode == 0, made.stderr[-2000:]
    return Built(*both.glob("*.tar.gz"), *both.glob("*.whl"), *direct.glob("*.whl"))


def only(names: str, env: dict[str, str]) -> dict[str, str]:
    """`env` without the variables that start so."""
    return {name: value for name, value in env.items() if not name.startswith(names)}
