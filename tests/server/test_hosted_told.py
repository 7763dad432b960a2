"""What a hosted server tells of itself: lines of its log, counts, health."""

import json
import logging
import time

import anyio
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from idc_mcp.http.logs import LONGEST, JsonLines
from idc_mcp.server import create_server
from tests.conftest import settings_at
from tests.server.hosted import ENDLESS, eventually, hosted
from tests.server.test_protocol import CALLS

SECRET = "a-patient-of-mine"
TOKEN = "lab-token-0123456789"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory, cache_dir):
    home = tmp_path_factory.mktemp("told")
    (home / "tokens").write_text(f"lab {TOKEN}\n")
    more = {
        "IDC_MCP_TOKENS_FILE": str(home / "tokens"), "IDC_MCP_OPEN": "0",
        "IDC_MCP_RATE_PER_MINUTE": "0",
    }  # fmt: skip
    with hosted(home, cache_dir, **more) as one:
        yield one


def line_of(server, answer):
    """The log's line of an answer."""
    name = answer.headers["X-Request-Id"]
    found = eventually(lambda: [line for line in server.lines() if line["request"] == name])
    assert len(found) == 1
    return found[0]


# -- the log -------------------------------------------------------------------------------


def test_a_request_is_a_line(server):
    answer = server.call("idc_describe", {"identifier": "4d_lung"}, **RIGHT)
    line = line_of(server, answer)
    assert {name: line[name] for name in ("level", "client", "method", "tool", "outcome")} == {
        "level": "info", "client": "lab", "method": "tools/call", "tool": "idc_describe",
        "outcome": "ok",
    }  # fmt: skip
    assert line["status"] == 200
    assert line["bytes_out"] == len(answer.text.encode())
    assert line["bytes_in"] > 0
    assert line["ms"] > 0
    assert line["time"].endswith("+00:00")
    assert "asked" not in line


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.anyio
async def test_both_eras_are_told_alike(server, mode):
    before = len(server.lines())
    with anyio.fail_after(60):
        async with (
            create_mcp_http_client(headers=RIGHT) as http,
            Client(streamable_http_client(server.url, http_client=http), mode=mode) as client,
        ):
            await client.call_tool("idc_sql", {"sql": "SELECT 1"})
            await client.call_tool("idc_sql", {"sql": "SELECT no_such_column FROM index"})

    def told():
        new = server.lines()[before:]
        return [one["outcome"] for one in new if one.get("tool") == "idc_sql"]

    eventually(lambda: told() == ["ok", "tool_error"])


@pytest.mark.parametrize(
    ("method", "params", "told"),
    [
        ("tools/call", {"name": "idc_sql", "arguments": {"sql": f"SELECT '{SECRET}', x"}},
         {"tool": "idc_sql", "outcome": "tool_error"}),
        ("tools/call", {"name": SECRET, "arguments": {}}, {"tool": "unknown"}),
        ("tools/call", {"name": {"a": SECRET}}, {"tool": "unknown", "outcome": "protocol_error"}),
        (SECRET, {}, {"method": "unknown", "outcome": "protocol_error", "problem": "-32601"}),
        ("prompts/get", {"name": SECRET}, {"method": "prompts/get", "problem": "-32602"}),
        ("resources/read", {"uri": f"idc://{SECRET}"}, {"outcome": "protocol_error"}),
        ("tools/call", SECRET, {"outcome": "protocol_error"}),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told_without_the_callers_words(server, method, params, told):
    line = line_of(server, server.rpc(method, params, **RIGHT))
    assert {name: line.get(name) for name in told} == told
    assert SECRET not in server.log.read_text()


def test_refusals_are_told(server):
    line = line_of(server, server.ping())
    assert (line["status"], line["outcome"], line["problem"]) == (401, "refused", "token")
    assert line["client"] == "127.0.0.1"
    assert "method" not in line
    line = line_of(server, server.ask(body=b"{" * 10, **RIGHT))
    assert (line["outcome"], line["bytes_in"]) == ("protocol_error", 10)


def test_callers_cannot_write_lines_of_their_own(server):
    forged = 'x\n{"event": "request", "client": "forged"}\u2028'
    server.rpc(forged, {}, **RIGHT)
    line = line_of(server, server.call(forged, {forged: forged}, **RIGHT))
    assert line["tool"] == "unknown"
    assert "forged" not in {one["client"] for one in server.lines()}


def test_a_client_that_leaves_is_told(server):
    before = len([one for one in server.lines() if one["outcome"] == "cancelled"])
    connection = server.begin(
        "tools/call", {"name": "idc_sql", "arguments": {"sql": ENDLESS}}, **RIGHT
    )
    eventually(lambda: server.samples(**RIGHT)["idcmcp_sql_processes_busy",] == 1)
    connection.close()
    found = eventually(
        lambda: [one for one in server.lines() if one["outcome"] == "cancelled"][before:]
    )
    assert found[0]["tool"] == "idc_sql"
    assert "status" not in found[0]
    eventually(lambda: server.samples(**RIGHT)["idcmcp_sql_processes_busy",] == 0)


def test_what_was_asked_is_told_where_it_is_wanted(tmp_path, cache_dir):
    with hosted(tmp_path, cache_dir, IDC_MCP_LOG="arguments") as server:
        line = line_of(server, server.call("idc_sql", {"sql": f"SELECT '{SECRET}'"}))
        assert json.loads(line["asked"]) == {
            "method": "tools/call", "name": "idc_sql", "arguments": {"sql": f"SELECT '{SECRET}'"},
        }  # fmt: skip
        line = line_of(server, server.call("idc_sql", {"sql": f"SELECT '{'x' * 9_000}'"}))
        assert len(line["asked"]) < LONGEST + 100
        assert line["asked"].endswith("more characters)")


def test_nothing_is_told_unless_asked(tmp_path, cache_dir):
    with hosted(tmp_path, cache_dir, IDC_MCP_LOG="none") as server:
        assert server.call("idc_sql", {"sql": "SELECT 1"}).status == 200
        server.ping(Host="evil.example.org")
        assert '"event"' not in server.log.read_text()


def test_warnings_and_traces_are_lines_too():
    def raised():
        try:
            raise ValueError("two\nlines")
        except ValueError:
            return logging.sys.exc_info()

    record = logging.LogRecord("mcp", logging.ERROR, "x.py", 1, "a %s", ("b\nc",), raised())
    text = JsonLines().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["message"], line["from"]) == ("error", "a b\nc", "mcp")
    assert "ValueError" in line["trace"]
    record = logging.LogRecord("mcp", logging.ERROR, "x.py", 1, "x" * 10_000, (), None)
    assert len(JsonLines().format(record)) < LONGEST + 300


# -- counts --------------------------------------------------------------------------------


def test_requests_are_counted_by_what_they_were(server):
    key = ("idcmcp_requests_total", "tools/call", "ok", "idc_schema")
    before = server.samples(**RIGHT)
    for _ in range(3):
        server.call("idc_schema", {}, **RIGHT)
    server.ping()
    eventually(lambda: server.samples(**RIGHT)[key] == before.get(key, 0) + 3)
    after = server.samples(**RIGHT)
    timed = ("idcmcp_request_seconds_count", "tools/call", "idc_schema")
    assert after[timed] == before.get(timed, 0) + 3
    refused = ("idcmcp_refused_total", "token")
    assert after[refused] == before[refused] + 1
    assert after["idcmcp_in_flight",] == 0
    assert after["idcmcp_sql_processes_limit",] == 4
    assert after["process_resident_memory_bytes",] > 0


def test_the_release_is_told(server, release):
    (info,) = [key for key in server.samples(**RIGHT) if key[0] == "idcmcp_release_info"]
    assert {release.name, release.data_version} < set(info)


def test_a_caller_makes_no_labels(server):
    for i in range(30):
        server.call(f"tool-{i}", {}, **RIGHT)
        server.rpc(f"method-{i}", {}, **RIGHT)
        server.rpc(f"notifications/strange-{i}", {}, **RIGHT)
        server.ask(body=json.dumps({"jsonrpc": "2.0", "method": f"notifications/n-{i}"}), **RIGHT)
        server.ping(Authorization=f"Bearer guess-{i}-0123456789")
    samples = server.samples(**RIGHT)
    named = " ".join(str(key) for key in samples)
    assert "tool-" not in named
    assert "method-" not in named
    assert "strange" not in named
    assert "guess" not in named
    methods = {key[1] for key in samples if key[0] == "idcmcp_requests_total"}
    assert methods <= {
        "tools/call", "ping", "unknown", "notification", "none", "prompts/get", "resources/read",
        "initialize", "server/discover", "tools/list",
    }  # fmt: skip


def test_methods_of_an_extension_have_their_name(server):
    assert server.rpc("skills/list", {}, **RIGHT).json["result"]["skills"]
    key = ("idcmcp_requests_total", "skills/list", "ok", "")
    eventually(lambda: server.samples(**RIGHT).get(key))


def test_two_servers_count_apart(tmp_path, cache_dir):
    from idc_mcp.http.metrics import Metrics

    one, two = (Metrics(create_server(settings_at(tmp_path, cache_dir)).core) for _ in range(2))
    one.begin()
    assert b"idcmcp_in_flight 1.0" in one.text()
    assert b"idcmcp_in_flight 0.0" in two.text()


# -- health --------------------------------------------------------------------------------


def test_health_and_ready(server, release):
    eventually(lambda: server.ask("GET", "/ready").status == 200)
    answer = server.ask("GET", "/health")
    assert answer.status == 200
    assert answer.json == {
        "status": "ok", "release": f"IDC {release.name} (idc-index-data {release.data_version})",
        "database": "ready",
    }  # fmt: skip


@pytest.mark.slow
def test_a_first_start_is_ready_before_its_database_is(tmp_path, release):
    with hosted(tmp_path, tmp_path / "cache") as server:
        eventually(lambda: server.ask("GET", "/ready").status == 200)
        assert server.ask("GET", "/health").json["database"] == "building"
        assert (
            not server.call("idc_describe", {"identifier": "4d_lung"}).json["result"].get("isError")
        )
        deadline = time.monotonic() + 100
        while server.ask("GET", "/health").json["database"] != "ready":
            assert time.monotonic() < deadline
            time.sleep(0.5)


@pytest.mark.anyio
async def test_a_server_that_drains_or_cannot_answer_is_not_ready(tmp_path, cache_dir):
    from idc_mcp.http.health import Health
    from idc_mcp.http.metrics import Metrics

    app = create_server(settings_at(tmp_path, cache_dir)).core
    health = Health(app, Metrics(app))
    assert (await health.ready(None)).status_code == 503
    await health.wait_for_index()
    assert (await health.ready(None)).status_code == 200
    health.draining = True
    answer = await health.ready(None)
    assert answer.status_code == 503
    assert json.loads(answer.body)["status"] == "draining"
    assert (await health.health(None)).status_code == 200
    app.close()
    closed = Health(app, Metrics(app))
    with anyio.move_on_after(1):
        await closed.wait_for_index()
    assert (await closed.ready(None)).status_code == 503


@pytest.mark.anyio
async def test_an_index_that_fails_once_is_asked_again(tmp_path, cache_dir, monkeypatch):
    from idc_mcp.http.health import Health
    from idc_mcp.http.metrics import Metrics

    app = create_server(settings_at(tmp_path, cache_dir)).core
    answers = iter([OSError("no memory"), 1])

    def value(_):
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    monkeypatch.setattr(app.index, "value", value)
    monkeypatch.setattr("idc_mcp.http.health.PAUSE_S", 0)
    health = Health(app, Metrics(app))
    await health.wait_for_index()
    assert (await health.ready(None)).status_code == 200
    app.close()


def test_every_tool_of_a_hosted_server_is_a_label_of_its_own(server):
    assert len(CALLS) >= 10
    listed = {
        tool["name"] for tool in server.rpc("tools/list", {}, **RIGHT).json["result"]["tools"]
    }
    for name, arguments in CALLS:
        if name in listed:
            assert line_of(server, server.call(name, arguments, **RIGHT))["tool"] == name
