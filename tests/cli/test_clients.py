"""What `idc-mcp config` prints is what each client reads, and starts a server that it can use."""

import json
import shlex
import tomllib

import anyio
import pytest
from mcp import Client, StdioServerParameters

from idc_mcp.cli import CLIENTS
from idc_mcp.cli.clients import CLIENTS as KNOWN
from tests.server.conftest import environment

URL = "https://idc.example.org/mcp"
PLACE = {
    "claude-desktop": ["mcpServers"], "codex": ["mcp_servers"], "cursor": ["mcpServers"],
    "gemini-cli": ["mcpServers"], "json": ["mcpServers"], "opencode": ["mcp"],
    "vscode": ["servers"], "windsurf": ["mcpServers"], "zed": ["context_servers"],
}  # fmt: skip
"""Where the entry stands in the file of each client that has one."""
REMOTE = {
    "claude-code", "codex", "cursor", "gemini-cli", "json", "opencode", "vscode", "windsurf", "zed",
}  # fmt: skip


@pytest.fixture
def anyio_backend():
    return "asyncio"


def entry_of(client: str, printed: str) -> dict:
    """The server's entry, as the client's own parser reads it."""
    whole = tomllib.loads(printed) if client == "codex" else json.loads(printed)
    for key in PLACE[client]:
        whole = whole[key]
    assert set(whole) == {"idc"}
    return whole["idc"]


def command_of(client: str, printed: str) -> list[str]:
    """The words that a client runs when it was given what was printed."""
    if client == "claude-code":
        before, _, after = printed.partition(" -- ")
        assert before == "claude mcp add --scope user idc"
        return shlex.split(after)
    entry = entry_of(client, printed)
    if client == "opencode":
        assert entry["type"] == "local"
        return entry["command"]
    assert entry.get("type", "stdio") == "stdio"
    return [entry["command"], *entry["args"]]


def test_the_command_offers_every_client():
    assert set(CLIENTS) == set(KNOWN) == {"claude-code", *PLACE}


@pytest.mark.anyio
async def test_the_command_that_every_client_runs_lists_the_tools(run, tmp_path, cache_dir):
    (words,) = {tuple(command_of(client, run("config", client).stdout)) for client in KNOWN}
    server = StdioServerParameters(
        command=words[0], args=list(words[1:]), env=environment(tmp_path, cache_dir)
    )
    with anyio.fail_after(60):
        async with Client(server) as connected:
            assert len((await connected.list_tools()).tools) == 14


@pytest.mark.parametrize("client", [name for name in KNOWN if KNOWN[name].place])
def test_the_place_to_paste_into_is_said_beside(run, client):
    said = run("config", client).stderr
    assert said.startswith("Put this into ")
    assert ".json" in said or ".toml" in said


@pytest.mark.parametrize("client", sorted(REMOTE))
def test_a_server_elsewhere_is_told_by_its_address(run, client):
    printed = run("config", client, "--url", URL).stdout
    assert printed.count(URL) == 1
    assert "uthorization" not in printed
    if client == "claude-code":
        assert shlex.split(printed)[-2:] == ["idc", URL]
        return
    entry = entry_of(client, printed)
    assert "command" not in entry
    assert URL in entry.values()


@pytest.mark.parametrize(
    ("client", "value"),
    [
        ("codex", None),
        ("cursor", "Bearer ${env:LAB_TOKEN}"),
        ("gemini-cli", "Bearer ${LAB_TOKEN}"),
        ("json", "Bearer ${LAB_TOKEN}"),
        ("opencode", "Bearer {env:LAB_TOKEN}"),
        ("vscode", "Bearer ${input:idc-token}"),
        ("windsurf", "Bearer ${env:LAB_TOKEN}"),
        ("zed", "Bearer YOUR_TOKEN"),
    ],
)
def test_a_token_is_read_where_it_is_kept(run, client, value):
    ran = run("config", client, "--url", URL, "--token-env", "LAB_TOKEN", LAB_TOKEN="s3cret-token")
    assert "s3cret" not in ran.stdout + ran.stderr
    entry = entry_of(client, ran.stdout)
    if client == "codex":
        assert entry == {"url": URL, "bearer_token_env_var": "LAB_TOKEN"}
    else:
        assert entry["headers"] == {"Authorization": value}
    if client in ("vscode", "zed"):
        assert "LAB_TOKEN" in ran.stderr
    if client == "vscode":
        (asked,) = json.loads(ran.stdout)["inputs"]
        assert (asked["id"], asked["password"]) == ("idc-token", True)


def test_claude_code_keeps_the_name_of_the_variable(run):
    printed = run("config", "claude-code", "--url", URL, "--token-env", "LAB_TOKEN").stdout
    assert shlex.split(printed)[-2:] == ["--header", "Authorization: Bearer ${LAB_TOKEN}"]
    assert "'Authorization: Bearer ${LAB_TOKEN}'" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["claude-desktop", "--url", URL], "Connectors"),
        (["cursor", "--url", "idc.example.org/mcp"], "https://idc.example.org/mcp"),
        (["cursor", "--url", "https://idc.example.org/'; rm -rf ~'"], "is not the address"),
        (["cursor", "--token-env", "LAB_TOKEN"], "--url"),
        (["cursor", "--url", URL, "--token-env", "idc-s3cret token"], "name of an environment"),
    ],
)
def test_what_cannot_be_configured_is_said(run, words, said):
    refused = run("config", *words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert not refused.stdout
    assert "s3cret" not in refused.stderr
