"""What becomes of calls and processes when clients leave, signals come, or places are strange."""

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from idc_mcp.index.build import database_path
from tests.server.conftest import IDC_MCP, connected, environment, http_process

ENDLESS = "SELECT count(*) FROM index a, index b WHERE a.SeriesDescription < b.SeriesDescription"
ON_LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # that thread has just ended
            found += [int(child) for child in task.read_text().split()]
    return found


def _gone(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _ask(port: int, sql: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "idc_sql", "arguments": {"sql": sql}}}  # fmt: skip
    connection.request(
        "POST", "/mcp", json.dumps(body),
        {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
         "MCP-Protocol-Version": "2025-11-25"},
    )  # fmt: skip
    return connection


def _await_worker(pid: int) -> list[int]:
    deadline = time.monotonic() + 20
    while not (workers := _children(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    return workers


@ON_LINUX
@pytest.mark.slow
def test_a_statement_ends_with_its_client(tmp_path, cache_dir):
    with http_process(tmp_path, cache_dir) as (port, process):
        connection = _ask(port, ENDLESS)
        workers = _await_worker(process.pid)
        assert workers
        connection.close()
        assert _gone(workers, 10)
        assert _ask(port, "SELECT 1").getresponse().status == 200


@ON_LINUX
@pytest.mark.slow
def test_a_signal_ends_the_server_with_a_call_in_flight(tmp_path, cache_dir):
    with http_process(tmp_path, cache_dir) as (port, process):
        connection = _ask(port, ENDLESS)
        workers = _await_worker(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert _gone(workers, 20)
        connection.close()


def test_modules_of_the_working_directory_are_not_imported(tmp_path, cache_dir):
    for name in ("queue", "json", "struct", "duckdb", "idc_mcp"):
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r}); raise SystemExit(3)"
        )
    result = subprocess.run(
        [IDC_MCP, "sql", "SELECT 40 + 2 AS answer"],
        cwd=tmp_path, env=environment(tmp_path, cache_dir), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert "42" in result.stdout, result.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_first_start_leaves_no_pipe_open_and_its_build_goes_on(tmp_path, release):
    started = time.monotonic()
    result = subprocess.run(
        [IDC_MCP, "sql", "SELECT count(*) AS n FROM index"],
        env=environment(tmp_path, tmp_path / "cache"), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert "1,044,191" in result.stdout, result.stderr
    path = database_path(tmp_path / "cache", release)
    while not path.exists() and time.monotonic() < started + 90:
        time.sleep(0.1)
    assert path.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("trainingset", {}, "training_set"),
        ("check_licence", {}, "'cohort' is missing"),
        ("check_licence", {"cohort": "x", "licence": "y"}, "'licence' is not an argument"),
    ],
)
async def test_errors_of_prompts_say_what_is_there(settings, mode, name, arguments, said):
    async with connected(settings, mode) as client:
        with pytest.raises(MCPError) as error:
            await client.get_prompt(name, arguments)
        assert error.value.code == -32602
        assert said in error.value.message


@pytest.mark.anyio
async def test_our_own_origin_and_allowed_hosts_are_answered(tmp_path, cache_dir):
    with http_process(tmp_path, cache_dir, IDC_MCP_ALLOWED_HOSTS="idc.example.org") as (port, _):
        for headers in ({"Origin": f"http://localhost:{port}"}, {"Host": "idc.example.org"}):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            connection.request(
                "POST", "/mcp", json.dumps(body),
                {"Content-Type": "application/json", "MCP-Protocol-Version": "2025-11-25",
                 "Accept": "application/json, text/event-stream", **headers},
            )  # fmt: skip
            assert connection.getresponse().status == 200
        async with Client(f"http://127.0.0.1:{port}/mcp") as client:
            assert len((await client.list_tools()).tools) == 14


def test_a_port_that_is_none(tmp_path, cache_dir):
    result = subprocess.run(
        [sys.executable, "-m", "idc_mcp", "serve", "--http", "--port", "99999"],
        env=environment(tmp_path, cache_dir), capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "no port" in result.stderr
