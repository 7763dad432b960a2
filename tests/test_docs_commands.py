"""Every line of a ```sh block of the documents is run here, or shown to be run elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from idc_mcp.cli.mirror import Mirror
from tests import docs_blocks
from tests.docs_blocks import DOCUMENTS, ROOT
from tests.published import Publisher, clinical_bucket
from tests.server.conftest import environment, free_port
from tests.skill.conftest import own_cache

RUN, CHECKOUT, SERVE = "run", "checkout", "serve"
HOW = {
    "make help": CHECKOUT,
    "make format": CHECKOUT,
    "make demo": "tests/cli/test_demo.py::test_demo",
    "make test": ".ci/run",
    "make lint": "Makefile::test",
    "make bench": "Makefile::bench",
    ".venv/bin/python -m benchmarks sql cohorts": CHECKOUT,
    ".venv/bin/python -m pytest tests/index/test_guard.py": "tests/index/test_guard.py",
    "make claude-code": "tests/packaging/test_plugin.py::"
    "test_one_command_from_a_checkout_is_enough",
    "claude plugin marketplace add ./": "tests/packaging/test_plugin.py::"
    "test_the_plugin_brings_the_server_and_the_skill",
    "claude plugin install idc@idc-mcp": "tests/packaging/test_plugin.py::"
    "test_the_plugin_brings_the_server_and_the_skill",
    "uvx --from . idc-mcp build": "tests/packaging/test_distributions.py::"
    "test_it_runs_without_being_installed",
    "uv tool install .": "tests/packaging/test_distributions.py::test_uv_installs_it",
    "pip install .": "tests/packaging/test_distributions.py::installed",
    "pipx install .": "tests/packaging/test_distributions.py::test_pipx_installs_it",
    "idc-mcp skill export ~/.claude/skills": RUN,
    "idc-mcp skill export . --zip": RUN,
    "idc-mcp fetch": RUN,
    "idc-mcp fetch seg_index clinical": RUN,
    "idc-mcp fetch --all": RUN,
    "idc-mcp serve --http --port 8000": SERVE,
}
"""How each line is shown to run.

`run`: here, with a server of tables on loopback. `checkout`: here, in a directory that is a
checkout for make, set up already. `serve`: here, on a free port, until it answers. Else the place
that runs it: a file, or a function of it, or a target of the Makefile that does the same.
"""

LINES = [
    pytest.param(line, id=f"{document}: {line[:50]}")
    for document in DOCUMENTS
    for block in docs_blocks.blocks(document)
    if block.kind == "sh"
    for line in block.content.replace("\\\n", " ").splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]


def lines_that_are(*ways: str) -> list[str]:
    """Each once, though several documents have it."""
    return list(dict.fromkeys(one.values[0] for one in LINES if HOW.get(one.values[0]) in ways))


@pytest.mark.parametrize("line", LINES)
def test_it_is_known_how_each_line_is_run(line):
    assert line in HOW, f"say in HOW of {Path(__file__).name} how `{line}` is shown to run"
    if HOW[line] in (RUN, CHECKOUT, SERVE):
        return
    place, _, name = HOW[line].partition("::")
    text = docs_blocks.read(place)
    if place == "Makefile":
        assert re.search(rf"^{name}:", text, re.MULTILINE)
    elif name:
        assert f"def {name}(" in text
    elif place.startswith("."):
        assert line in text.splitlines()


@pytest.fixture
def loopback(published, cache_dir, tmp_path):
    """The environment of a command whose network is on this machine."""
    roots = clinical_bucket(published, tmp_path / "buckets")
    cache = own_cache(cache_dir, tmp_path / "cache")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with Publisher(published) as publisher, Mirror(roots) as mirror:
        yield environment(
            tmp_path, cache, PATH=path, HOME=str(tmp_path),
            IDC_MCP_OFFLINE="0", IDC_MCP_AWS_URL=mirror.url,
            IDC_MCP_ARTIFACTS_URL=publisher.url, IDC_MCP_RELEASES_URL=publisher.assets_url,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("line", lines_that_are(RUN))
def test_lines_that_run_here(line, loopback, tmp_path):
    done = subprocess.run(
        ["bash", "-c", line], env=loopback, cwd=tmp_path, capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", lines_that_are(SERVE))
def test_lines_that_serve(line, loopback, tmp_path):
    port = free_port()
    assert "--port 8000" in line
    process = subprocess.Popen(
        line.replace("--port 8000", f"--port {port}").split(), env=loopback, cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        answered = False
        for _ in range(300):
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as health:
                    answered = health.status == 200
                break
            time.sleep(0.1)
        assert answered
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def checkout(tmp_path):
    """A directory with what make needs, whose `.venv` is the environment of the tests."""
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "untidy.py").write_text('"""Untidy."""\nimport sys\nimport  os\nprint( os, sys )\n')
    (tmp_path / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        if (Path(sys.prefix) / name).exists():
            (tmp_path / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    for name in (".ready", ".test-ready"):
        (tmp_path / ".venv" / name).touch()
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("line", lines_that_are(CHECKOUT))
def test_lines_that_run_in_a_checkout(line, checkout):
    if not line.startswith("make"):  # which could write what is linked
        for name in ("idc_mcp", "benchmarks", "tests"):
            (checkout / name).symlink_to(ROOT / name)
    done = subprocess.run(
        ["bash", "-c", line], cwd=checkout, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if line == "make format":
        assert "print(os, sys)" in (checkout / "untidy.py").read_text()
