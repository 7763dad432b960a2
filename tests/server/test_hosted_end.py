"""How a server over HTTP, and one on stdio, comes to its end."""

import contextlib
import http.client
import signal
import subprocess
from pathlib import Path

import pytest

from tests.server.conftest import IDC_MCP, environment
from tests.server.hosted import ENDLESS, PATIENCE_S, answer_of, eventually, hosted

ON_LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
SOME_SECONDS = "SELECT count(*) FROM range(12000) a, range(12000) b WHERE a.range * b.range % 7 = 1"


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # that thread has just ended
            found += [int(child) for child in task.read_text().split()]
    return found


def gone(pids):
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def running(server, sql):
    """A statement that its process has begun with."""
    connection = server.begin("tools/call", {"name": "idc_sql", "arguments": {"sql": sql}})
    eventually(lambda: server.samples()["idcmcp_sql_processes_busy",] == 1)
    return connection


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_call_in_flight_gets_its_answer(tmp_path, cache_dir, number):
    more = {"IDC_MCP_DRAIN_S": str(PATIENCE_S), "IDC_MCP_SQL_TIMEOUT_S": str(PATIENCE_S)}
    with hosted(tmp_path, cache_dir, **more) as server:
        connection = running(server, SOME_SECONDS)
        workers = children(server.process.pid)
        server.process.send_signal(number)
        eventually(lambda: refused(server.port))
        answer = answer_of(connection)
        assert answer.status == 200
        assert not answer.json["result"].get("isError")
        assert server.process.wait(PATIENCE_S) == 0
        eventually(lambda: gone(workers))
        assert server.lines("stop")[0]["in_flight"] == 1
        assert server.lines("end")


@ON_LINUX
@pytest.mark.slow
def test_a_call_that_takes_too_long_is_ended(tmp_path, cache_dir):
    more = {"IDC_MCP_DRAIN_S": "0.5", "IDC_MCP_SQL_TIMEOUT_S": "3600"}
    with hosted(tmp_path, cache_dir, **more) as server:
        connection = running(server, ENDLESS)
        workers = children(server.process.pid)
        assert workers
        server.process.terminate()
        assert server.process.wait(PATIENCE_S) == 0
        eventually(lambda: gone(workers))
        (line,) = [one for one in server.lines() if one.get("tool") == "idc_sql"]
        assert line["outcome"] == "ended"
        answer = answer_of(connection)
        assert answer.status == 503
        assert answer.json["error"]["data"]["reason"] == "stopping"
        assert "Traceback" not in server.log.read_text()


@ON_LINUX
@pytest.mark.slow
def test_what_has_not_begun_is_ended_in_words(tmp_path, cache_dir):
    """A body that is half here, and a call that waits for its turn."""
    more = {
        "IDC_MCP_DRAIN_S": "0.5", "IDC_MCP_SQL_TIMEOUT_S": "3600", "IDC_MCP_CALLS_AT_ONCE": "1"
    }  # fmt: skip
    with hosted(tmp_path, cache_dir, **more) as server:
        begun = running(server, ENDLESS)
        half = server.send(body=b"{", Content_Length="100")
        waiting = server.begin("ping")
        eventually(lambda: server.samples()["idcmcp_in_flight",] == 3)
        server.process.terminate()
        assert server.process.wait(PATIENCE_S) == 0
        for connection in (begun, half, waiting):
            answer = answer_of(connection)
            assert answer.status == 503
            assert answer.json["error"]["data"]["reason"] == "stopping"
        assert {line["outcome"] for line in server.lines()[-3:]} == {"ended"}
        assert "Traceback" not in server.log.read_text()


@ON_LINUX
@pytest.mark.slow
def test_a_second_interrupt_ends_at_once(tmp_path, cache_dir):
    more = {"IDC_MCP_DRAIN_S": "3600", "IDC_MCP_SQL_TIMEOUT_S": "3600"}
    with hosted(tmp_path, cache_dir, **more) as server:
        connection = running(server, ENDLESS)
        server.process.send_signal(signal.SIGINT)
        eventually(lambda: server.lines("stop"))
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 0
        assert "Traceback" not in server.log.read_text()
        connection.close()


def refused(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.connect()
    except OSError:
        return True
    finally:
        connection.close()
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_connections_that_ask_nothing_hold_nobody_up(tmp_path, cache_dir, number):
    more = {"IDC_MCP_HOSTED": "0", "IDC_MCP_DRAIN_S": "3600", "IDC_MCP_REQUEST_S": "3600"}
    with hosted(tmp_path, cache_dir, **more) as server:
        idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        idle.request("GET", "/health")
        idle.getresponse().read()
        silent = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        silent.connect()
        server.process.send_signal(number)
        assert server.process.wait(PATIENCE_S) == 0
        idle.close()
        silent.close()


LISTEN = {
    "notifications": {"toolsListChanged": True},
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    },
}
NEW_ERA = {
    "MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "subscriptions/listen",
    "Accept": "application/json, text/event-stream",
}  # fmt: skip


def test_a_client_that_listens_holds_nobody_up(tmp_path, cache_dir):
    more = {"IDC_MCP_HOSTED": "0", "IDC_MCP_DRAIN_S": "3600"}
    with hosted(tmp_path, cache_dir, **more) as server:
        connection = server.begin("subscriptions/listen", LISTEN, **NEW_ERA)
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert b"acknowledged" in response.read(200)
        server.process.terminate()
        assert server.process.wait(PATIENCE_S) == 0
        connection.close()


def test_on_a_hosted_server_nobody_holds_a_stream(tmp_path, cache_dir):
    with hosted(tmp_path, cache_dir) as server:
        answer = server.rpc("subscriptions/listen", LISTEN, **NEW_ERA)
        assert answer.json["error"]["code"] == -32601


@ON_LINUX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_on_stdio_whose_input_is_open(tmp_path, cache_dir, number):
    process = subprocess.Popen(
        [IDC_MCP, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=environment(tmp_path, cache_dir),
    )  # fmt: skip
    call = '{"name":"idc_sql","arguments":{"sql":"SELECT 1"}}'
    for message in (
        '"id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
        '"clientInfo":{"name":"t","version":"1"}}',
        '"method":"notifications/initialized"',
        f'"id":2,"method":"tools/call","params":{call}',
    ):
        process.stdin.write(f'{{"jsonrpc":"2.0",{message}}}\n'.encode())
        process.stdin.flush()
        if '"id"' in message:
            process.stdout.readline()
    workers = children(process.pid)
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == -number
    eventually(lambda: gone(workers))
    process.stdin.close()
    process.stdout.close()
