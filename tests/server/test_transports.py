"""Real processes over real transports, with this SDK's client and an older one."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.server.conftest import IDC_MCP, environment, http_server

pytestmark = pytest.mark.anyio
OLD_CLIENT = """
import asyncio, os, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    server = StdioServerParameters(command=sys.argv[1], args=["serve"], env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        tools = await session.list_tools()
        result = await session.call_tool("idc_cohort", {"filters": {"Modality": "NM"}})
        assert not result.isError, result
        print(len(tools.tools), result.structuredContent["series"])

asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_stdio(tmp_path, cache_dir, mode):
    server = StdioServerParameters(
        command=IDC_MCP, args=["serve"], env=environment(tmp_path, cache_dir)
    )
    with anyio.fail_after(60):
        async with Client(server, mode=mode) as client:
            assert len((await client.list_tools()).tools) == 14
            result = await client.call_tool("idc_sql", {"sql": "SELECT count(*) FROM index"})
            assert result.structured_content["result"]["rows"] == [[1_044_191]]


def test_the_server_ends_with_its_input_and_leaves_no_process(tmp_path, cache_dir):
    process = subprocess.Popen(
        [IDC_MCP, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=environment(tmp_path, cache_dir),
    )  # fmt: skip
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "idc_sql", "arguments": {"sql": "SELECT 1"}}},
    ]  # fmt: skip
    for message in messages:
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        while "id" in message and json.loads(process.stdout.readline()).get("id") != message["id"]:
            pass
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    process.stdin.close()
    assert process.wait(15) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_an_older_client(tmp_path, cache_dir):
    python = os.environ.get("IDC_MCP_OLD_CLIENT")
    if not python:
        pytest.skip("IDC_MCP_OLD_CLIENT names no Python with mcp 1.30; `make test` makes one")
    result = subprocess.run(
        [python, "-c", OLD_CLIENT, IDC_MCP], env=environment(tmp_path, cache_dir),
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert result.stdout.split() == ["14", "100"], result.stderr


async def test_http_in_both_eras_and_many_at_once(tmp_path, cache_dir):
    with http_server(tmp_path, cache_dir) as port:
        url = f"http://127.0.0.1:{port}/mcp"

        async def ask(mode, modality):
            async with Client(url, mode=mode) as client:
                result = await client.call_tool("idc_cohort", {"filters": {"Modality": modality}})
                return result.structured_content["modalities"].split()[0]

        modalities = ["CT", "MR", "NM", "US", "XA", "SM"]
        got = await asyncio.gather(
            *(ask(("auto", "legacy")[i % 2], modality) for i, modality in enumerate(modalities))
        )
        assert got == modalities


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example.org"}, 421), ({"Origin": "https://evil.example.org"}, 403)],
)
def test_http_refuses_strange_hosts_and_origins(tmp_path, cache_dir, headers, status):
    with http_server(tmp_path, cache_dir) as port:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/mcp", b"{}",
            {"Content-Type": "application/json", "Accept": "application/json", **headers},
        )  # fmt: skip
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=10)
        assert error.value.code == status


def test_other_machines_are_served_only_by_name(tmp_path, cache_dir):
    result = subprocess.run(
        [IDC_MCP, "serve", "--http", "--host", "0.0.0.0", "--port", "1"],
        env=environment(tmp_path, cache_dir), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "IDC_MCP_ALLOWED_HOSTS" in result.stderr


@pytest.mark.slow
def test_while_a_statement_runs_away_others_are_answered(tmp_path, cache_dir):
    runaway = (
        "SELECT count(*) FROM index a, index b WHERE a.SeriesDescription < b.SeriesDescription"
    )
    with http_server(tmp_path, cache_dir, IDC_MCP_SQL_TIMEOUT_S="8") as port:

        async def scenario():
            async with (
                Client(f"http://127.0.0.1:{port}/mcp") as slow,
                Client(f"http://127.0.0.1:{port}/mcp") as quick,
            ):
                stopped = asyncio.create_task(slow.call_tool("idc_sql", {"sql": runaway}))
                answered = 0
                while not stopped.done() and answered < 50:
                    for tool, arguments in (
                        ("idc_sql", {"sql": "SELECT count(*) FROM index"}),
                        ("idc_cohort", {"identifiers": ["4d_lung"]}),
                    ):
                        assert not (await quick.call_tool(tool, arguments)).is_error
                        answered += 1
                assert answered >= 50
                assert not stopped.done()
                result = await stopped
                assert result.is_error
                assert "limit of 8 s" in result.content[0].text

        asyncio.run(scenario())


def test_python_dash_m(tmp_path, cache_dir):
    result = subprocess.run(
        [sys.executable, "-m", "idc_mcp", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("idc-mcp ")
