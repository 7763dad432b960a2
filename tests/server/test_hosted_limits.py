"""How much one client may: requests in a minute and at once, sizes, slowness, kept cohorts."""

import asyncio
import http.client
import json
import socket

import anyio
import pytest
import uvicorn
from limits.aio.storage import MemoryStorage
from uvicorn.server import ServerState

from idc_mcp.errors import Refused
from idc_mcp.http import rates
from idc_mcp.http.heads import bounded
from idc_mcp.http.rates import PLACES, Rates
from idc_mcp.idc.cohorts.files import CohortFiles
from idc_mcp.idc.cohorts.quota import Quota
from tests.server.hosted import ENDLESS, PATIENCE_S, eventually, hosted

SMALL_MB = 1
LAB, CLINIC = "lab-token-0123456789", "clinic-token-0123456789"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# -- requests in a minute ------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited(tmp_path_factory, cache_dir):
    home = tmp_path_factory.mktemp("limited")
    (home / "tokens").write_text(f"lab {LAB}\nclinic {CLINIC}\n")
    more = {
        "IDC_MCP_TOKENS_FILE": str(home / "tokens"), "IDC_MCP_RATE_PER_MINUTE": "5",
        "IDC_MCP_PROXIES": "127.0.0.1",
    }  # fmt: skip
    with hosted(home, cache_dir, **more) as server:
        yield server


def test_a_client_that_asks_too_often_is_told_when_to_ask_again(limited):
    answers = [limited.ping(**bearer(LAB)) for _ in range(12)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused, "twelve requests fit into two minutes of five only if one had passed between"
    said = refused[0].json["error"]
    assert said["data"]["reason"] == "rate"
    assert 1 <= said["data"]["retry_after_s"] <= 60
    assert refused[0].headers["Retry-After"] == str(said["data"]["retry_after_s"])
    assert "5 requests in a minute" in said["message"]
    assert limited.ping(**bearer(CLINIC)).status == 200, "another client is not touched"
    assert limited.ask("GET", "/health").status == 200


def test_a_client_recovers_when_its_minute_is_over(monkeypatch):
    async def scenario():
        layer = Rates(_ok, per_minute=2, at_once=0)
        seen = [await _status(layer) for _ in range(3)]
        for key in layer._limiter.storage.expirations:
            layer._limiter.storage.expirations[key] = 0  # its minute is over
        return [*seen, await _status(layer)]

    assert asyncio.run(scenario()) == [200, 200, 429, 200]


def test_memory_does_not_grow_with_the_addresses_that_call():
    async def scenario():
        layer = Rates(_ok, per_minute=1_000, at_once=2)
        for i in range(3 * PLACES):
            await _status(layer, f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")
        storage = layer._limiter.storage
        assert isinstance(storage, MemoryStorage)
        return len(storage.storage), len(storage.locks), len(layer._turns)

    counters, locks, turns = asyncio.run(scenario())
    assert max(counters, locks) <= PLACES
    assert turns == 0


async def _ok(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _status(layer, address="192.0.2.1"):
    statuses = []

    async def send(message):
        statuses.append(message.get("status"))

    scope = {"type": "http", "method": "POST", "headers": [], "client": (address, 1)}
    await layer(scope, None, send)
    return statuses[0]


def test_a_forged_address_is_not_believed(tmp_path, cache_dir):
    more = {"IDC_MCP_RATE_PER_MINUTE": "5", "FORWARDED_ALLOW_IPS": "*"}
    with hosted(tmp_path, cache_dir, **more) as server:
        forged = [server.ping(X_Forwarded_For=f"198.51.100.{i}").status for i in range(12)]
        assert 429 in forged
        eventually(lambda: len(server.lines()) >= 12)
        assert {line["client"] for line in server.lines()} == {"127.0.0.1"}


def test_behind_a_proxy_that_is_named_its_clients_are_apart(tmp_path, cache_dir):
    more = {"IDC_MCP_RATE_PER_MINUTE": "5", "IDC_MCP_PROXIES": "127.0.0.1,10.0.0.0/8"}
    with hosted(tmp_path, cache_dir, **more) as server:
        # The last address that is no proxy of ours is the one that the proxy has seen.
        forged = [
            server.ping(X_Forwarded_For=f"203.0.113.{i}, 198.51.100.1, 10.0.0.7").status
            for i in range(12)
        ]
        assert 429 in forged
        assert server.ping(X_Forwarded_For="198.51.100.2").status == 200
        assert server.ping(X_Forwarded_For='"},{"').status == 200
        eventually(lambda: len(server.lines()) >= 14)
        clients = [line["client"] for line in server.lines()]
        assert set(clients) == {"198.51.100.1", "198.51.100.2", "unknown"}


# -- at the same time ----------------------------------------------------------------------


@pytest.mark.slow
def test_one_client_cannot_take_every_process(tmp_path, cache_dir):
    (tmp_path / "tokens").write_text(f"lab {LAB}\nclinic {CLINIC}\n")
    more = {
        "IDC_MCP_TOKENS_FILE": str(tmp_path / "tokens"), "IDC_MCP_SQL_WORKERS": "3",
        "IDC_MCP_CALLS_AT_ONCE": "2", "IDC_MCP_DRAIN_S": "0",
    }  # fmt: skip
    endless = {"name": "idc_sql", "arguments": {"sql": ENDLESS}}
    with hosted(tmp_path, cache_dir, **more) as server:
        # The third waits for its turn, and is refused: no turn comes.
        running = [server.begin("tools/call", endless, **bearer(LAB)) for _ in range(3)]
        eventually(lambda: [one for one in server.lines() if one.get("problem") == "busy"])
        said = server.call("idc_sql", {"sql": "SELECT 1"}, **bearer(CLINIC))
        assert not said.json["result"].get("isError"), said.text
        for connection in running:
            connection.close()
        eventually(lambda: server.ping(**bearer(LAB)).status == 200)


def test_a_turn_comes_when_another_ends(monkeypatch):
    monkeypatch.setattr(rates, "TURN_S", PATIENCE_S)

    async def scenario():
        most = now = 0

        async def slow(scope, receive, send):
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1
            await _ok(scope, receive, send)

        layer = Rates(slow, per_minute=0, at_once=2)
        return most, await asyncio.gather(*(_status(layer) for _ in range(10))), most, layer

    _, statuses, most, layer = asyncio.run(scenario())
    assert statuses == [200] * 10
    assert most == 2
    assert not layer._turns


# -- bodies --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory, cache_dir):
    home = tmp_path_factory.mktemp("plain")
    more = {
        "IDC_MCP_REQUEST_MB": str(SMALL_MB), "IDC_MCP_REQUEST_S": "1",
        "IDC_MCP_RATE_PER_MINUTE": "0",
    }  # fmt: skip
    with hosted(home, cache_dir, **more) as server:
        yield server


def parts(size, each=65_536):
    for _ in range(size // each):
        yield b" " * each


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(plain, chunked):
    size = (SMALL_MB << 20) + 65_536
    answer = plain.ask(body=parts(size) if chunked else b" " * size)
    assert answer.status == 413
    assert answer.json["error"]["data"] == {"reason": "size", "most_bytes": SMALL_MB << 20}
    assert f"{SMALL_MB} MiB" in answer.json["error"]["message"]


def test_a_body_that_is_just_not_too_large(plain):
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
    whole = message + b" " * ((SMALL_MB << 20) - len(message))
    assert plain.ask(body=whole).status == 200
    assert plain.ask(body=iter([message[:10], message[10:]])).status == 200


@pytest.mark.parametrize("length", ["-1", "abc", "1e9", "99999999999999999999999"])
def test_a_length_that_is_none(plain, length):
    with socket.create_connection(("127.0.0.1", plain.port), timeout=PATIENCE_S) as raw:
        raw.sendall(
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{plain.port}\r\nContent-Length: {length}\r\n"
            "Content-Type: application/json\r\n\r\n".encode()
        )
        assert raw.recv(1_000).split()[1] in (b"400", b"413")
    assert plain.ping().status == 200


def test_a_body_that_does_not_come(plain):
    with socket.create_connection(("127.0.0.1", plain.port), timeout=PATIENCE_S) as raw:
        raw.sendall(
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{plain.port}\r\nContent-Length: 100\r\n"
            'Content-Type: application/json\r\n\r\n{"jsonrpc'.encode()
        )
        got = b""
        while part := raw.recv(10_000):  # and then the connection is closed
            got += part
    assert got.split()[1] == b"408"
    assert b"after 1 s" in got


def test_a_get_opens_no_stream(plain):
    answer = plain.ask("GET", Accept="text/event-stream")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("line", [b"x" * 4_096, b"X-Another: " + b"x" * 4_000 + b"\r\n"])
def test_headers_that_do_not_end(http, line):
    """One long header, or many: the connection is closed, and little of it was kept."""

    async def scenario():
        transport, protocol = _connection(http, 60)
        protocol.data_received(b"POST /mcp HTTP/1.1\r\nHost: x\r\nX-Long: ")
        for sent in range(100):
            if transport.closed:
                return sent
            protocol.data_received(line)
        return None

    assert asyncio.run(scenario()) in range(1, 20)


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("begun", [b"", b"POST /mcp HTTP/1.1\r\nHost:"])
def test_headers_that_do_not_come(http, begun):
    async def scenario():
        transport, protocol = _connection(http, 0.01)
        if begun:
            protocol.data_received(begun)
        with anyio.fail_after(PATIENCE_S):
            while not transport.closed:
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_second_request_on_a_connection_has_its_own_time(plain):
    connection = http.client.HTTPConnection("127.0.0.1", plain.port, timeout=PATIENCE_S)
    for _ in range(3):
        connection.request("GET", "/health")
        assert connection.getresponse().read()
    raw = connection.sock
    raw.sendall(b"GET /health HTTP/1.1\r\n")
    assert raw.recv(1_000) == b"", "it ends with the connection"


def test_a_long_answer_is_no_slow_head(plain):
    slow = "SELECT count(*) FROM range(60000) a, range(60000) b WHERE a.range * b.range % 7 = 1"
    answer = plain.call("idc_sql", {"sql": slow})
    assert answer.status == 200


def _connection(http, seconds):
    config = uvicorn.Config(_ok, http=http, log_config=None)
    config.load()
    transport = _Transport()
    protocol = bounded(seconds, config.http_protocol_class)(config, ServerState(), {})
    protocol.connection_made(transport)
    return transport, protocol


class _Transport(asyncio.Transport):
    closed = False

    def close(self):
        self.closed = True

    def write(self, data):
        pass


# -- kept cohorts --------------------------------------------------------------------------


def test_a_full_quota_refuses_new_sets_and_leaves_the_rest(tmp_path, cache_dir):
    more = {"IDC_MCP_COHORTS_MB": "1", "IDC_MCP_RATE_PER_MINUTE": "0"}
    with hosted(tmp_path, cache_dir, **more) as server:

        def cohort(**arguments):
            return server.call("idc_cohort", arguments).json["result"]

        def part(i):
            some = f"hash(SeriesInstanceUID) % 200 = {i}"
            return cohort(sql=f"SELECT SeriesInstanceUID FROM index WHERE {some}")

        made = []
        while not (last := part(len(made))).get("isError"):
            made.append(last["structuredContent"]["handle"])
            assert len(made) < 40
        assert made
        said = last["content"][0]["text"]
        assert "IDC_MCP_COHORTS_MB" in said
        assert "go on working" in said
        used = sum(file.stat().st_size for file in (tmp_path / "state" / "cohorts").iterdir())
        assert used <= 1_000_000
        size = server.call("idc_size", {"cohort": made[0]}).json["result"]
        assert not size.get("isError"), size
        assert not part(0).get("isError"), "what is kept already takes nothing more"
        assert not cohort(filters={"Modality": "NM"}).get("isError")
        counts = server.samples()
        assert counts["idcmcp_cohorts_kept",] == len(made) + 1
        assert 0 < counts["idcmcp_cohorts_bytes",] <= 1_000_000


def test_definitions_have_a_share_of_their_own(tmp_path):
    quota = Quota(tmp_path / "cohorts", 1_000_000)
    quota.take(890_000)
    with pytest.raises(Refused):
        quota.take(10_000)
    quota.take(10_000, small=True)
    with pytest.raises(Refused):
        quota.take(200_000, small=True)


def test_what_others_keep_is_counted(tmp_path, index):
    files = CohortFiles(index, tmp_path)
    assert files.quota.most_bytes == 0
    files.quota.take(10**12)
    quota = Quota(files.directory, 100_000)
    files.directory.mkdir()
    (files.directory / "s_other.parquet").write_bytes(bytes(95_000))
    with pytest.raises(Refused):
        quota.take(1)
