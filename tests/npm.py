"""Programs of others for tests, installed from npm below `tests/.cache/npm` and kept there.

A test that needs one is skipped, with the reason, where npm or the package cannot be had.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import CACHE

KEPT = CACHE / "npm"
CLAUDE_CODE = ("@anthropic-ai/claude-code", "2.1.197")
INSTALL_S, RUN_S = 50, 25


def installed(package: tuple[str, str], command: list[str]) -> Path:
    """Where `package` is, after `command` has put it into the directory that it is run in."""
    name, version = package
    place = KEPT / f"{name.rpartition('/')[2]}-{version}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes may want it at once
        return place if place.exists() else _install(name, version, command, place)


def _install(name: str, version: str, command: list[str], place: Path) -> Path:
    part = Path(tempfile.mkdtemp(prefix="part-", dir=KEPT))
    try:
        result = subprocess.run(
            command, cwd=part, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
        if result.returncode:
            pytest.skip(f"{name} {version} could not be installed: {result.stderr[-300:]}")
        part.rename(place)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name} {version} was not installed within {INSTALL_S} s")
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place


def from_npm(package: tuple[str, str]) -> Path:
    """The `node_modules` that has the package."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed")
    quiet = ["--no-fund", "--no-audit", "--ignore-scripts", "--prefix", "."]
    return installed(package, [npm, "install", *quiet, "@".join(package)]) / "node_modules"


def claude_code() -> Path:
    """The directory that has the command `claude`."""
    modules = from_npm(CLAUDE_CODE)
    made = run(["node", "install.cjs"], dict(os.environ), cwd=modules / CLAUDE_CODE[0])
    if made.returncode:
        pytest.skip(f"claude-code does not install here: {made.stderr[-300:]}")
    return modules / ".bin"


def newcomer(
    environ: Mapping[str, str], home: Path, *programs: Path, **more: str
) -> dict[str, str]:
    """The environment of a person who has these programs and has configured nothing yet."""
    home.mkdir(exist_ok=True)
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("ANTHROPIC_", "CLAUDE", "GEMINI_", "CODEX_", "OPENCODE", "XDG_"))
    }
    return kept | {
        "HOME": str(home),
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        **more,
    }


def run(
    command: list[str] | str, env: Mapping[str, str], timeout: float = RUN_S, **more: object
) -> subprocess.CompletedProcess[str]:
    """The command, to its end, with what it printed."""
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=timeout, check=False, **more
    )
