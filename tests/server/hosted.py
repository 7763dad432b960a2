"""A hosted server as a process of its own, and what a test may ask of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.server.conftest import IDC_MCP, end, environment, free_port

PATIENCE_S = 60
"""How long a test waits for what must come; nothing is asserted about how long it took."""

LEGACY = {"MCP-Protocol-Version": "2025-11-25"}
ENDLESS = "SELECT count(*) FROM index a, index b WHERE a.SeriesDescription < b.SeriesDescription"


def eventually(found: Callable[[], Any]) -> Any:
    """What `found` gives once that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := found()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert value
    return value


@dataclass
class Answer:
    """An HTTP answer, its body read."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Hosted:
    """A server that listens on `port` of loopback."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def send(
        self, method: str = "POST", path: str = "/mcp", body: Any = b"", **headers: str
    ) -> http.client.HTTPConnection:
        """A request that is under way; headers' names are written with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        kinds = {"Content-Type": "application/json", "Accept": "application/json"}
        connection.request(method, path, body, {**kinds, **LEGACY, **given})
        return connection

    def ask(
        self, method: str = "POST", path: str = "/mcp", body: Any = b"", **headers: str
    ) -> Answer:
        """A request and its answer."""
        return answer_of(self.send(method, path, body, **headers))

    def rpc(self, method: str, params: Any = None, **headers: str) -> Answer:
        """One message of JSON-RPC and its answer."""
        return answer_of(self.begin(method, params, **headers))

    def begin(self, method: str, params: Any = None, **headers: str) -> http.client.HTTPConnection:
        """The same, without waiting."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        return self.send(body=json.dumps(message), **headers)

    def ping(self, **headers: str) -> Answer:
        return self.rpc("ping", **headers)

    def call(self, tool: str, arguments: Any, **headers: str) -> Answer:
        return self.rpc("tools/call", {"name": tool, "arguments": arguments}, **headers)

    def lines(self, event: str = "request") -> list[dict[str, Any]]:
        """The lines of the log so far; every one must be JSON."""
        whole = self.log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if line["event"] == event]

    def samples(self, **headers: str) -> dict[tuple[Any, ...], float]:
        """The counts: by name and the values of their labels, in the order of the labels' names."""
        answer = self.ask("GET", "/metrics", **headers)
        assert answer.status == 200, answer.text
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }


def answer_of(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read().decode())
    connection.close()
    return answer


@contextlib.contextmanager
def hosted(home: Path, cache_dir: Path, **more: str) -> Iterator[Hosted]:
    """`idc-mcp serve --http` on loopback as a hosted server, open unless `more` says otherwise."""
    port = free_port()
    log = home / "log"
    given = {"IDC_MCP_HOSTED": "1", "IDC_MCP_OPEN": "1", **more}
    with log.open("wb") as standard_error:
        process = subprocess.Popen(
            [IDC_MCP, "serve", "--http", "--port", str(port)],
            env=environment(home, cache_dir, **given), stderr=standard_error,
        )  # fmt: skip
    try:
        eventually(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, log.read_text()
        yield Hosted(port, process, log)
    finally:
        end(process, 30)


def _listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
