"""What a hosted server takes of a request: sizes, slowness, and what it does with the rest."""

import asyncio
import http.client
import json
import socket

import anyio
import pytest
import uvicorn
from mcp import Client
from mcp.shared.exceptions import MCPError
from uvicorn.server import ServerState

from idc_mcp.http.heads import MOST_BYTES, bounded
from tests.server.hosted import PATIENCE_S, answer_of, hosted

SMALL_MB = 1
PARSERS = pytest.mark.parametrize("http", ["httptools", "h11"])


# -- bodies --------------------------------------------------------------------------------


def serving(tmp_path_factory, cache_dir, **more):
    return hosted(
        tmp_path_factory.mktemp("bodies"), cache_dir, IDC_MCP_REQUEST_MB=str(SMALL_MB),
        IDC_MCP_RATE_PER_MINUTE="0", **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory, cache_dir):
    with serving(tmp_path_factory, cache_dir, IDC_MCP_REQUEST_S="1") as server:
        yield server


@pytest.fixture(scope="module", params=["httptools", "h11"])
def patient(request, tmp_path_factory, cache_dir):
    """A server with each of the parsers that uvicorn may use."""
    more = {}
    if request.param == "h11":  # what uvicorn takes where there is no httptools
        place = tmp_path_factory.mktemp("without")
        (place / "httptools.py").write_text("raise ImportError")
        more["PYTHONPATH"] = str(place)
    with serving(tmp_path_factory, cache_dir, **more) as server:
        yield server


def large(times):
    return b" " * (times * SMALL_MB << 20)


def test_the_answer_to_a_large_body_is_seen(patient):
    """Nothing is reset under a client that sends all before it reads."""
    for more in ({}, {"Connection": "close"}):
        answer = patient.ask(body=large(3), **more)
        assert answer.status == 413
        assert answer.json["error"]["data"]["reason"] == "size"
    assert patient.ask(body=iter([large(1)] * 3)).status == 413
    assert patient.ask(body=large(3), Host="evil.example.org").status == 421


def test_a_connection_goes_on_after_a_refusal(patient):
    connection = http.client.HTTPConnection("127.0.0.1", patient.port, timeout=PATIENCE_S)
    connection.request("POST", "/mcp", large(3))
    assert connection.getresponse().read()
    mine = connection.sock
    connection.request("GET", "/health")
    assert connection.sock is mine
    assert answer_of(connection).status == 200


def test_a_client_that_waits_to_go_on_is_told_no(patient):
    with socket.create_connection(("127.0.0.1", patient.port), timeout=PATIENCE_S) as raw:
        raw.sendall(
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{patient.port}\r\n"
            f"Content-Length: {3 * SMALL_MB << 20}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        got = b""
        while part := raw.recv(10_000):
            got += part
    assert got.split()[1] == b"413"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.anyio
async def test_a_client_of_the_protocol_hears_why(patient, mode):
    with anyio.fail_after(PATIENCE_S):
        async with Client(patient.url, mode=mode) as client:
            with pytest.raises(MCPError) as error:
                await client.call_tool("idc_sql", {"sql": large(3).decode()})
            assert not isinstance(error.value, OSError)
            assert (await client.call_tool("idc_sql", {"sql": "SELECT 1"})).is_error is False


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


@PARSERS
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


BEGUN = b"POST /mcp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"


@PARSERS
@pytest.mark.parametrize("begun", [b"0\r\n", b"0\r\nX-Long: ", b"1;"])
def test_trailers_that_do_not_end(http, begun):
    """Trailers, one long trailer, a chunk's extension: what comes beside a body."""

    async def scenario():
        transport, protocol = _connection(http, 60)
        protocol.data_received(BEGUN + begun)
        line = b"A: b\r\n" * 500 if begun == b"0\r\n" else b"x" * 3_000
        for sent in range(100):
            if transport.closed:
                return sent
            protocol.data_received(line)
        return None

    assert asyncio.run(scenario()) in range(1, 30)


@PARSERS
def test_a_body_in_small_parts_is_no_head(http):
    async def scenario():
        transport, protocol = _connection(http, 60)
        protocol.data_received(BEGUN)
        for _ in range(3 * MOST_BYTES // 5_000):
            protocol.data_received(b"1\r\nx\r\n" * 1_000)
        return transport.closed

    assert not asyncio.run(scenario())


@PARSERS
def test_a_peer_that_does_not_read(http):
    async def scenario():
        transport, protocol = _connection(http, 0.05)
        protocol.pause_writing()
        protocol.resume_writing()
        assert protocol._unread.cancelled()
        protocol.pause_writing()
        with anyio.fail_after(PATIENCE_S):
            while not transport.aborted:
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


@PARSERS
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
    slow = "SELECT count(*) FROM range(10000) a, range(10000) b WHERE a.range * b.range % 7 = 1"
    connection = plain.begin("tools/call", {"name": "idc_sql", "arguments": {"sql": slow}})
    answer = answer_of(connection)
    assert answer.status == 200
    assert not answer.json["result"].get("isError"), answer.text


async def _silent(scope, receive, send):
    await asyncio.sleep(PATIENCE_S)


def _connection(http, seconds):
    config = uvicorn.Config(_silent, http=http, log_config=None)
    config.load()
    transport = _Transport()
    protocol = bounded(seconds, config.http_protocol_class)(config, ServerState(), {})
    protocol.connection_made(transport)
    return transport, protocol


class _Transport(asyncio.Transport):
    closed = aborted = False

    def close(self):
        self.closed = True

    def abort(self):
        self.aborted = True

    def pause_reading(self):
        pass

    resume_reading = pause_reading

    def write(self, data):
        pass
