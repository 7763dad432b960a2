"""Claude Code, from npm, with an empty home: the plugin, the checkout, the make target."""

import json

import pytest

from tests.docs_blocks import ROOT
from tests.npm import run
from tests.packaging.conftest import uv_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")]
SKILL = "idc-cancer-imaging"


@pytest.fixture
def claude(uv, claude_code, cache_dir, tmp_path):
    """Runs `claude` for a newcomer who has uv; `env` is that environment."""
    env = uv_environment(tmp_path, cache_dir, claude_code)

    def command(*words, cwd=tmp_path / "home"):
        done = run(["claude", *words], env, 60, cwd=cwd)
        assert done.returncode == 0, done
        return done.stdout

    command.env = env
    return command


@pytest.mark.parametrize("what", [".", ".claude-plugin/plugin.json"])
def test_the_plugin_and_its_marketplace_are_valid(claude, checkout, what):
    assert "Validation passed" in claude("plugin", "validate", what, "--strict", cwd=checkout)


def test_the_plugin_brings_the_server_and_the_skill(claude, checkout):
    claude("plugin", "marketplace", "add", "./", cwd=checkout)
    claude("plugin", "install", "idc@idc-mcp")
    assert "enabled" in claude("plugin", "list")
    details = claude("plugin", "details", "idc@idc-mcp")
    assert f"Skills (1)  {SKILL}" in details
    assert "MCP servers (1)  idc" in details
    (listed,) = [line for line in claude("mcp", "list").splitlines() if "uv run" in line]
    assert listed.startswith("plugin:idc:idc:")
    assert listed.endswith("Connected")


def test_who_opens_the_checkout_is_offered_the_server(claude, checkout, tmp_path):
    assert "Pending approval" in claude("mcp", "list", cwd=checkout)
    # What the client writes when its user approves.
    settings = tmp_path / "home" / ".claude" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(json.dumps({"enableAllProjectMcpServers": True}))
    assert "idc: uv run --project . idc-mcp serve - ✔ Connected" in claude(
        "mcp", "list", cwd=checkout
    )


def test_one_command_from_a_checkout_is_enough(claude, checkout, tmp_path):
    """`make claude-code`; its set-up is that of `make test`, so uv does it here, faster."""
    for command in (
        ["uv", "venv", "--quiet", ".venv"],
        ["uv", "pip", "install", "--quiet", "--python", ".venv/bin/python", "--editable", "."],
    ):
        assert run(command, claude.env, 100, cwd=checkout).returncode == 0
    (checkout / ".venv" / ".ready").touch()
    for _ in range(2):
        made = run(["make", "--no-print-directory", "claude-code"], claude.env, 100, cwd=checkout)
        assert made.returncode == 0, made
        assert made.stdout.splitlines()[-1].startswith("Ready.")
    assert f"{checkout}/.venv/bin/idc-mcp serve - ✔ Connected" in claude("mcp", "list")
    exported = tmp_path / "home" / ".claude" / "skills" / SKILL
    assert (exported / "SKILL.md").read_bytes() == (ROOT / "skill" / "SKILL.md").read_bytes()
    # A server that the user has under that name is left to them.
    claude("mcp", "remove", "--scope", "user", "idc")
    claude("mcp", "add", "--scope", "user", "idc", "--", "another")
    refused = run(["make", "--no-print-directory", "claude-code"], claude.env, 100, cwd=checkout)
    assert refused.returncode == 2
    assert "Is another server called idc?" in refused.stdout
