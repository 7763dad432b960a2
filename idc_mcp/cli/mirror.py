"""A read-only S3 server over a directory, on loopback: for the demo, the benchmark and tests.

Its directories are buckets, what lies below are keys; symbolic links are not followed. Files
leave by sendfile and requests are parsed by hand: it shares cores with a client that is measured.
`python -m idc_mcp.cli.mirror DIRECTORY` prints its address and serves until its input ends.
"""

# ruff: noqa: PTH123 - pathlib would cost a request as much as all the rest of it.

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import socketserver
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from hashlib import md5
from pathlib import Path
from time import gmtime, strftime
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

from idc_mcp.cli.s3 import REGION, Answer, Request, Slice, refusal, xml

PART = 8 * 1024 * 1024
"""The size of a multipart upload's parts, which decides its ETag."""
PAGE = 1000


class Mirror:
    """The server: runs between `start` and `stop`, or in a `with` block.

    Objects of more than `multipart_over` bytes have a multipart upload's ETag; others their MD5.
    """

    def __init__(self, root: Path, *, multipart_over: int | None = None, port: int = 0) -> None:
        self.root, self.multipart_over, self.port = str(root.resolve()), multipart_over, port
        self.requests: list[tuple[str, str]] = []  # method, path with query
        self._attempts: Counter[tuple[str, str, str]] = Counter()
        self._etags: dict[tuple[str, int, int], str] = {}
        self._sound: dict[str, bool] = {}
        self._lock = threading.Lock()
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The endpoint to give to a client."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Listen; after a stop, on the same port again."""
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening, and cut the connections that are there."""
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

    def intercept(self, request: Request, answer: Answer) -> Answer:
        """Give another answer than the sound one: here a subclass brings in faults."""
        return answer

    def page(self, request: Request, after: str) -> tuple[list[str], bool]:
        """The keys and common prefixes of a listing that follow `after`, and whether more do."""
        most = min(max(0, int(request.query.get("max-keys") or PAGE)), PAGE)
        prefix, delimiter = request.key, request.query.get("delimiter", "")
        folder = prefix.rpartition("/")[0]
        start = self._place(request.bucket, folder)
        names = set()
        for key in _keys(start, f"{folder}/" if folder else "") if start else ():
            if key.startswith(prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                names.add(key if end < 0 else key[: end + len(delimiter)])
        later = sorted(name for name in names if name > after)
        return later[:most], 0 < most < len(later)

    def serve(self, connection: socket.socket, line: str, headers: dict[str, str]) -> bool:
        """Answer one request; returns whether the connection may go on."""
        method, target, *_ = [*line.split(), "", ""]
        path, _, query_text = target.partition("?")
        self.requests.append((method, target))
        if method not in ("GET", "HEAD"):
            return refusal("MethodNotAllowed").send(connection, True) and False
        bucket, _, key = unquote(path.removeprefix("/")).partition("/")
        query = dict(parse_qsl(query_text, keep_blank_values=True))
        kind = "head" if method == "HEAD" or (not key and "location" in query) else "get"
        if kind == "get" and not key:
            kind, key = "list", query.get("prefix", "")
        with self._lock:
            self._attempts[kind, bucket, key] += 1
            attempt = self._attempts[kind, bucket, key]
        request = Request(kind, bucket, key, attempt, query, headers)
        answer = self.intercept(request, self._answer(request))
        return answer.send(connection, method == "GET") and headers.get("connection") != "close"

    def _answer(self, request: Request) -> Answer:
        if request.kind != "list" and (file := self._find(request.bucket, request.key)):
            return self._object(*file, request.headers)
        bucket = self._place(request.bucket)
        if not bucket or not Path(bucket).is_dir():
            return refusal("NoSuchBucket" if request.bucket else "AccessDenied")
        if request.kind == "list":
            with contextlib.suppress(ValueError):
                return self._listing(request)
            return refusal("InvalidArgument")
        return refusal("NoSuchKey") if request.key else xml(200, "LocationConstraint", REGION)

    def _listing(self, request: Request) -> Answer:
        query = request.query
        second = query.get("list-type") == "2"
        token = bytes.fromhex(query.get("continuation-token", "")).decode()
        after = token or query.get("start-after" if second else "marker", "")
        delimiter = query.get("delimiter", "")
        names, more = self.page(request, after)
        said = quote if query.get("encoding-type") == "url" else escape
        last = names[-1] if more else ""
        fields = {
            "Name": escape(request.bucket), "Prefix": said(request.key),
            "Delimiter": said(delimiter), "EncodingType": "url" if said is quote else "",
            "MaxKeys": query.get("max-keys") or str(PAGE), "IsTruncated": str(more).lower(),
        }  # fmt: skip
        if second:
            fields |= {"KeyCount": f"{len(names)}", "NextContinuationToken": last.encode().hex()}
        else:
            fields["NextMarker"] = said(last)
        content = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items() if text)
        for name in names:
            if delimiter and delimiter in name[len(request.key) :]:
                content += f"<CommonPrefixes><Prefix>{said(name)}</Prefix></CommonPrefixes>"
            elif file := self._find(request.bucket, name):
                changed = strftime("%Y-%m-%dT%H:%M:%S.000Z", gmtime(file[1].st_mtime))
                content += (
                    f"<Contents><Key>{said(name)}</Key><LastModified>{changed}</LastModified>"
                    f"<ETag>&quot;{self.etag(*file)}&quot;</ETag><Size>{file[1].st_size}</Size>"
                    "<StorageClass>STANDARD</StorageClass></Contents>"
                )
        return xml(200, "ListBucketResult", content)

    def _object(self, path: str, found: os.stat_result, headers: dict[str, str]) -> Answer:
        etag = self.etag(path, found)
        if headers.get("if-match", "*").strip('"') not in ("*", etag):
            return refusal("PreconditionFailed")
        told = {
            "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes",
            "ETag": f'"{etag}"', "Last-Modified": formatdate(found.st_mtime, usegmt=True),
        }  # fmt: skip
        size = found.st_size
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", ""))
        if not asked or not any(asked.groups()):
            return Answer(200, told, (Slice(path, 0, size),))
        first, last = asked.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first and last else size
        if start >= end:
            return refusal("InvalidRange")
        told["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return Answer(206, told, (Slice(path, start, end - start),))

    def etag(self, path: str, found: os.stat_result) -> str:
        """The ETag of a file without its quotes, computed once for as long as it is unchanged."""
        version = path, found.st_size, found.st_mtime_ns
        if version not in self._etags:
            with open(path, "rb") as file:
                if self.multipart_over is None or found.st_size <= self.multipart_over:
                    etag = hashlib.file_digest(file, "md5").hexdigest()
                else:
                    parts = [md5(part).digest() for part in iter(lambda: file.read(PART), b"")]
                    etag = f"{md5(b''.join(parts)).hexdigest()}-{len(parts)}"
            self._etags[version] = etag
        return self._etags[version]

    def _find(self, bucket: str, key: str) -> tuple[str, os.stat_result] | None:
        """An object's path and what is known of it; None if there is none."""
        folder, _, name = key.rpartition("/")
        place = self._place(bucket, folder)
        if place and os.sep not in name and not key.startswith("/"):
            with contextlib.suppress(OSError, ValueError):
                found = os.lstat(path := f"{place}{os.sep}{name}")
                return (path, found) if stat.S_ISREG(found.st_mode) else None
        return None

    def _place(self, bucket: str, folder: str = "") -> str:
        """The path of a bucket or a folder; empty if it leads elsewhere: by "..", "//", a link."""
        path = "/".join([self.root, bucket, *filter(None, [folder])]).replace("/", os.sep)
        if path not in self._sound:
            self._sound[path] = "\0" not in path and os.path.realpath(path) == path
        return path if bucket and self._sound[path] else ""


def _keys(folder: str, prefix: str) -> Iterator[str]:
    """The keys of all files below a folder, with the prefix that leads there."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _keys(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                yield prefix + entry.name


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens, with a thread a connection, and knows the connections that are there."""

    daemon_threads = True
    allow_reuse_address = os.name == "posix"
    request_queue_size = 512

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", mirror.port), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)


class _Connection(socketserver.StreamRequestHandler):
    """Reads requests from a connection, one after the other."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has left
            while line := self.rfile.readline(65_536):
                headers = {}
                while (field := self.rfile.readline(65_536)).strip():
                    name, _, value = field.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                if not self.server.mirror.serve(self.connection, line.decode("latin-1"), headers):
                    return


def run(mirror: Mirror) -> None:
    """Serve until standard input ends, for a process that another one starts."""
    with mirror:
        print(mirror.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    run(Mirror(Path(sys.argv[1])))
