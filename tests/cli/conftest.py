"""The command as a user runs it: in this process where that is enough, in its own where not."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from idc_mcp.cli import main
from tests.server.conftest import IDC_MCP, environment


class Ran(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Ran]


@pytest.fixture
def process(tmp_path: Path, cache_dir: Path) -> Run:
    """Runs `idc-mcp` as a process; `stdin` is its input, other keywords its environment."""

    def command(*arguments: str, stdin: str = "", **more: str) -> Ran:
        done = subprocess.run(
            [IDC_MCP, *arguments], input=stdin, capture_output=True, text=True, timeout=100,
            env=environment(tmp_path, cache_dir, COLUMNS="100", **more), check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    return command


@pytest.fixture
def run(
    tmp_path: Path,
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs `idc-mcp` here, which saves a second of imports; takes what `process` takes."""

    def command(*arguments: str, stdin: str = "", **more: str) -> Ran:
        wanted = environment(tmp_path, cache_dir, COLUMNS="100", **more)
        with monkeypatch.context() as patch:
            for name in os.environ.keys() - wanted.keys():
                patch.delenv(name)
            for name, value in wanted.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO(stdin))
            capsys.readouterr()
            try:
                status = main(arguments)
            except SystemExit as exit_:  # argparse
                status = int(exit_.code or 0)
        return Ran(status, *capsys.readouterr())

    return command


@pytest.fixture
def fields() -> Callable[[str], dict[str, str]]:
    """The lines `name  value` of an answer, by name."""

    def read(printed: str) -> dict[str, str]:
        pairs = (line.split(None, 1) for line in printed.splitlines() if line[:1].strip())
        return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}

    return read
