"""Serves a directory of tables over HTTP on loopback, as IDC's artifact store and releases do.

`/<version>/release_artifacts/<name>.parquet` answers with ranges and has a `.sha256` beside it,
`/releases/download/<version>/<name>.parquet` redirects to another path and has none. A version
is a subdirectory of that name if there is one, else the directory itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

ARTIFACTS = re.compile(r"/(?P<version>[^/]+)/release_artifacts/(?P<name>[^/]+)")
ASSETS = re.compile(r"/releases/download/(?P<version>[^/]+)/(?P<name>[^/]+)")
OBJECTS = re.compile(r"/objects/(?P<version>[^/]+)/(?P<name>[^/]+)")
"""Where the redirects of `ASSETS` lead."""
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in.</body></html>"
SUM = ".sha256"


class Request(NamedTuple):
    """A request that came, without the query; `range` is its header."""

    method: str
    path: str
    range: str | None


@dataclass
class Fault:
    """What goes wrong with the requests whose path matches; for the first `times` of them."""

    what: int | str
    path: str
    times: int | None = None
    after: int | None = None
    rate: float = 0.0
    file: Path | None = None
    used: int = 0


@dataclass(frozen=True)
class Answer:
    """What goes out: `told` is the Content-Length, `body` what is sent of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    told: int
    rate: float = 0.0
    end: str = ""


FAULTS = (
    404, 403, 500, 503, "truncated", "short", "corrupt", "html", "wrong sha256", "slow", "stall",
    "no ranges", "other file",
)  # fmt: skip


class Publisher:
    """The server: runs between `start` and `stop`, or in a `with` block.

    Parameters
    ----------
    root
        Holds `<name>.parquet`, or `<version>/<name>.parquet` for releases of their own.
    bare_sums
        Whether a sha256 stands alone, without the name that `sha256sum` prints after it.
    """

    def __init__(self, root: Path, *, bare_sums: bool = False) -> None:
        self.root, self.bare_sums = root, bare_sums
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Its address, with no slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def assets_url(self) -> str:
        """Where the assets of releases lie: `<assets_url>/<version>/<name>.parquet`."""
        return f"{self.url}/releases/download"

    def start(self) -> Self:
        """Listen; after a stop, on the same port again."""
        self._stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), self._handler())
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening, and cut the connections that are there."""
        self._stopping.set()
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()
            for connection in server.connections.copy():
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fault(self, what: int | str, path: str = "", **options: Any) -> Fault:
        """Do something wrong from now on; returns the fault, whose `used` counts.

        Parameters
        ----------
        what
            404, 403, 500, 503: the status, with a short text.
            "truncated": half of the body, or `after` bytes, under the whole Content-Length.
            "short": half of the body, or `after` bytes, with a Content-Length that matches.
            "corrupt": a byte of the body is another, in its middle.
            "html": a page with 200, as a proxy that wants a login gives it.
            "wrong sha256": the sum of other bytes (for paths that end in .sha256).
            "slow": `rate` bytes a second.
            "stall": half of the body, or `after` bytes, then silence.
            "no ranges": the whole file with 200 whatever range is asked for.
            "other file": the content of `file`, with its own length and ETag.
        path
            Text that stands in the request's path; all paths by default, but those of sums,
            which are meant only where the text names `.sha256` or the fault is of sums.
        times
            For the first so many requests (503 with times=2: then it is well again).
        """
        if what not in FAULTS or (what == "slow") != ("rate" in options):
            raise ValueError(f"No such fault, or one that needs more: {what} {options}")
        self._faults.append(Fault(what, path, **options))
        return self._faults[-1]

    def clear(self) -> None:
        """Be sound again, and forget the requests."""
        self._faults, self.requests = [], []

    def answer(self, request: Request) -> Answer:
        """What a request gets, faults and all."""
        with self._lock:
            self.requests.append(request)
            due = [fault for fault in self._faults if self._is_for(fault, request)]
            for fault in due:
                fault.used += 1
        kinds = {fault.what for fault in due}
        files = [fault.file for fault in due if fault.what == "other file"]
        if "no ranges" in kinds:
            request = request._replace(range=None)
        answer = self._sound(request, files[0] if files else None, "wrong sha256" in kinds)
        for fault in due:
            answer = spoiled(answer, fault)
        return answer

    def sums(self, version: str, name: str) -> str:
        """The text of a table's `.sha256`."""
        path = self._file(version, name)
        if path is None:
            raise FileNotFoundError(name)
        told = hashlib.sha256(path.read_bytes()).hexdigest()
        return told if self.bare_sums else f"{told}  {name}\n"

    def _is_for(self, fault: Fault, request: Request) -> bool:
        of_sums = fault.what == "wrong sha256" or SUM in fault.path
        if request.path.endswith(SUM) != of_sums or fault.path not in request.path:
            return False
        return fault.times is None or fault.used < fault.times

    def _file(self, version: str, name: str) -> Path | None:
        own = self.root / version
        path = (own if own.is_dir() else self.root) / name
        return path if "/" not in name and path.is_file() else None

    def _sound(self, request: Request, instead: Path | None, wrong_sum: bool) -> Answer:
        if asked := ASSETS.fullmatch(request.path):
            if not self._file(**asked.groupdict()):
                return _text(404, "Not Found")
            there = f"{self.url}/objects/{asked['version']}/{asked['name']}"
            return replace(_text(302, ""), headers={"Location": there})
        asked = ARTIFACTS.fullmatch(request.path) or OBJECTS.fullmatch(request.path)
        if not asked:
            return _text(404, "NoSuchKey")
        version, name = asked.group("version", "name")
        if name.endswith(SUM) and asked.re is ARTIFACTS:
            name = name.removesuffix(SUM)
            if not self._file(version, name):
                return _text(404, "NoSuchKey")
            told = self.sums(version, name)
            return _text(200, hashlib.sha256(b"").hexdigest() + told[64:] if wrong_sum else told)
        path = instead or self._file(version, name)
        return _ranged(path, request.range) if path else _text(404, "NoSuchKey")

    def _handler(self) -> Callable[..., BaseHTTPRequestHandler]:
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = unquote(urlsplit(self.path).path)
                request = Request(self.command, path, self.headers.get("Range"))
                with contextlib.suppress(OSError):
                    self._send(publisher.answer(request))

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(answer.told))
                self.end_headers()
                if self.command == "GET":
                    self._send_body(answer)
                    if answer.end:
                        self.close_connection = True
                        if answer.end == "stall":
                            publisher._stopping.wait()

            def _send_body(self, answer: Answer) -> None:
                step = max(1, int(answer.rate / 20)) if answer.rate else 1 << 20
                for start in range(0, len(answer.body), step):
                    self.wfile.write(answer.body[start : start + step])
                    if answer.rate and publisher._stopping.wait(step / answer.rate):
                        return

        return Handler


def spoiled(answer: Answer, fault: Fault) -> Answer:
    """An answer with a fault."""
    part = len(answer.body) // 2 if fault.after is None else fault.after
    match fault.what:
        case int(status):
            return _text(status, "Something went wrong.")
        case "html":
            told = {"Content-Type": "text/html; charset=utf-8"}
            return Answer(200, told, PAGE, len(PAGE))
        case "truncated" | "stall":
            end = "stall" if fault.what == "stall" else "close"
            return replace(answer, body=answer.body[:part], end=end)
        case "short":
            body = answer.body[:part]
            return replace(answer, body=body, told=len(body))
        case "corrupt":
            middle = len(answer.body) // 2
            changed = bytes(byte ^ 1 for byte in answer.body[middle : middle + 1])
            return replace(answer, body=answer.body[:middle] + changed + answer.body[middle + 1 :])
        case "slow":
            return replace(answer, rate=fault.rate)
        case _:
            return answer


def _text(status: int, text: str) -> Answer:
    return Answer(status, {"Content-Type": "text/plain"}, text.encode(), len(text.encode()))


def _ranged(path: Path, asked: str | None) -> Answer:
    """A file or the part of it that is asked for (RFC 9110, section 14)."""
    content = path.read_bytes()
    size = len(content)
    told = {
        "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes",
        "ETag": f'"{hashlib.md5(content).hexdigest()}"',
    }  # fmt: skip
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
    if not wanted or not any(wanted.groups()):
        return Answer(200, told, content, size)
    first, last = wanted.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        return replace(_text(416, ""), headers={"Content-Range": f"bytes */{size}"})
    told["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Answer(206, told, content[start:end], end - start)


class _Server(ThreadingHTTPServer):
    """Knows the connections that are there, to cut them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self.connections: set[Any] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that leaves is no news."""
