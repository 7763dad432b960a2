"""What `idc-mcp config` prints starts a server that a client can use."""

import json
import shlex

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.server.conftest import environment

CLIENTS = ["claude-code", "claude-desktop", "cursor", "vscode", "json"]
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def command_of(client: str, printed: str) -> list[str]:
    """The words that a client runs when it was given what was printed."""
    if client == "claude-code":
        before, _, after = printed.partition(" -- ")
        assert before == "claude mcp add --scope user idc"
        return shlex.split(after)
    entry = json.loads(printed)["servers" if client == "vscode" else "mcpServers"]["idc"]
    assert entry.get("type", "stdio") == "stdio"
    return [entry["command"], *entry["args"]]


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_so_configured_lists_the_tools(run, tmp_path, cache_dir, client):
    words = command_of(client, run("config", client).stdout)
    server = StdioServerParameters(
        command=words[0], args=words[1:], env=environment(tmp_path, cache_dir)
    )
    with anyio.fail_after(60):
        async with Client(server) as connected:
            assert len((await connected.list_tools()).tools) == 14


@pytest.mark.parametrize("client", ["claude-desktop", "cursor", "vscode"])
def test_the_place_to_paste_into_is_said_beside(run, client):
    said = run("config", client).stderr
    assert said.startswith("Put this into ")
    assert ".json" in said
