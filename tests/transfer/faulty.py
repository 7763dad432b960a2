"""A mirror with faults: what a network, a store or a disk may do to a download.

`server.fault("short", on="get", key="0003", times=1)` lets the first GET of each object whose
name has "0003" in it give too little. Faults add up; `server.clear()` ends them all.
"""

from __future__ import annotations

import random
import socket
import struct
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from idc_mcp.cli.mirror import Mirror
from idc_mcp.cli.s3 import Answer, Request, Slice, refusal, send_piece

Piece = bytes | Slice

STATUSES = {500: "InternalError", 503: "SlowDown", 403: "AccessDenied", 404: "NoSuchKey"}
LISTINGS = ("half", "empty")
BODIES = ("truncated", "short", "bit")
NEEDS = {"slow": "rate", "limit": "rate", "delay": "seconds"}
FAULTS: tuple[int | str, ...] = (*STATUSES, *LISTINGS, *BODIES, "reset", "stall", *NEEDS)


@dataclass
class Fault:
    """A fault and the requests that it is for."""

    what: int | str
    on: tuple[str, ...] = ("list", "get", "head")
    key: str = ""
    times: int | None = None
    fraction: float = 1.0
    seed: int = 0
    after: int | None = None
    rate: float = 0.0
    seconds: float = 0.0
    used: Counter[tuple[str, str]] = field(default_factory=Counter)
    recent: deque[float] = field(default_factory=deque)

    def is_for(self, request: Request) -> bool:
        path = f"{request.bucket}/{request.key}"
        if request.kind not in self.on or self.key not in path:
            return False
        if self.times is not None and self.used[request.kind, path] >= self.times:
            return False
        if self.fraction >= 1:
            return True
        # The same requests whatever the order in which connections bring them.
        lot = random.Random(f"{self.seed} {request.kind} {path} {request.attempt}")
        return lot.random() < self.fraction


@dataclass
class Broken(Answer):
    """An answer that goes out late, slowly or in part."""

    seconds: float = 0.0
    rate: float = 0.0
    stop_after: int | None = None
    end: str = ""
    head_too: bool = True

    def send(self, connection: socket.socket, with_body: bool) -> bool:
        time.sleep(self.seconds)
        if self.head_too:
            connection.sendall(self.head())
            body = self.body if with_body else ()
            if self.stop_after is not None:
                body = cut(body, 0, self.stop_after)
            self._send_paced(connection, body)
        if self.end == "stall":
            # Until the client leaves, or the server stops and cuts the connection.
            while connection.recv(65_536):
                pass
        if self.end == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        return not self.end

    def _send_paced(self, connection: socket.socket, body: tuple[Piece, ...]) -> None:
        step = max(1, int(self.rate / 50)) if self.rate else length(body)
        start, sent = time.monotonic(), 0
        while part := cut(body, sent, sent + step):
            for piece in part:
                send_piece(connection, piece)
            sent += length(part)
            if self.rate:
                time.sleep(max(0.0, start + sent / self.rate - time.monotonic()))


class FaultyMirror(Mirror):
    """A mirror that does what it is told to do wrong."""

    def __init__(self, root: Path, **options: Any) -> None:
        super().__init__(root, **options)
        self.clock = time.monotonic
        self._faults: list[Fault] = []
        self._reserved: socket.socket | None = None

    def fault(self, what: int | str, *, on: str | None = None, **options: Any) -> Fault:
        """Add a fault; returns it, and its `used` tells how often it came for each path.

        Parameters
        ----------
        what
            500, 503, 403 or 404: the status, with the error's XML.
            "reset": RST at once, or once `after` bytes of the body are sent.
            "truncated": the connection ends after half of the body, or `after` bytes.
            "short": half of the body, or `after` bytes, with a Content-Length that matches.
            "bit": one bit of the body is flipped, in the middle.
            "stall": half of the body, or `after` bytes, then silence; a HEAD is not answered.
            "slow": the body at `rate` bytes a second on each connection.
            "delay": the answer comes `seconds` late.
            "half", "empty": a listing with half of its keys or none, and nothing to follow.
            "limit": 503 over `rate` requests a second.
        on
            "list", "get" or "head"; all that the fault can be for by default.
        key
            Text that stands in the bucket/key, or in the bucket/prefix of a listing.
        times
            For the first so many requests of each kind and path; for good by default.
        fraction, seed
            For a part of the requests, chosen by kind, path, attempt and seed.
        """
        if what not in FAULTS or NEEDS.get(str(what), "what") not in {"what", *options}:
            raise ValueError(f"No such fault, or one that needs more: {what} {options}")
        able: tuple[str, ...] = ("list",) if what in LISTINGS else ("list", "get")
        able += ("head",) if what not in LISTINGS + BODIES + ("slow",) else ()
        if on is not None and on not in able:
            raise ValueError(f"{what} cannot be done on {on}.")
        self._faults.append(Fault(what, (on,) if on else able, **options))
        return self._faults[-1]

    def clear(self) -> None:
        """Be sound again, for requests to come."""
        self._faults = []

    def down(self) -> None:
        """Listen no more and cut all connections; nobody else gets the port meanwhile."""
        self.stop()
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", self.port))

    def up(self) -> None:
        """Listen again, on the same port."""
        if self._reserved:
            self._reserved.close()
        self.start()

    def page(self, request: Request, after: str) -> tuple[list[str], bool]:
        names, more = super().page(request, after)
        for fault in self._due(request, LISTINGS):
            names, more = names[: len(names) // 2 if fault.what == "half" else 0], False
        return names, more

    def intercept(self, request: Request, answer: Answer) -> Answer:
        due = self._due(request, tuple(one for one in FAULTS if one not in LISTINGS))
        if not due:
            return answer
        broken = Broken(answer.status, answer.headers, answer.body)
        for fault in due:
            broken = spoiled(broken, fault, request)
        return broken

    def _due(self, request: Request, among: tuple[int | str, ...]) -> list[Fault]:
        """The faults for a request, which are counted as used by it."""
        with self._lock:
            due = [one for one in self._faults if one.what in among and one.is_for(request)]
            due = [one for one in due if one.what != "limit" or self._over(one)]
            for one in due:
                one.used[request.kind, f"{request.bucket}/{request.key}"] += 1
            return due

    def _over(self, limit: Fault) -> bool:
        """Whether this is a request too many in the last second; those refused do not count."""
        now = self.clock()
        while limit.recent and limit.recent[0] <= now - 1:
            limit.recent.popleft()
        if len(limit.recent) >= limit.rate:
            return True
        limit.recent.append(now)
        return False


def spoiled(answer: Broken, fault: Fault, request: Request) -> Broken:
    """An answer with one more fault."""
    part = answer.length // 2 if fault.after is None else fault.after
    match fault.what:
        case int(status):
            error = refusal(STATUSES[status])
            return replace(answer, status=status, headers=error.headers, body=error.body)
        case "limit":
            return spoiled(answer, replace(fault, what=503), request)
        case "delay":
            return replace(answer, seconds=answer.seconds + fault.seconds)
        case "slow":
            return replace(answer, rate=fault.rate)
        case "short":
            return replace(answer, body=cut(answer.body, 0, part))
        case "bit":
            return replace(answer, body=flipped(answer.body, answer.length // 2))
        case "truncated":
            return replace(answer, stop_after=part, end="close")
        case "stall":
            head_too = request.kind != "head"
            return replace(answer, stop_after=part, end="stall", head_too=head_too)
        case _:
            head_too = fault.after is not None
            return replace(answer, stop_after=part, end="reset", head_too=head_too)


def length(pieces: tuple[Piece, ...]) -> int:
    return Answer(200, {}, pieces).length


def cut(pieces: tuple[Piece, ...], start: int, end: int) -> tuple[Piece, ...]:
    """The bytes from `start` to before `end`, whatever pieces they are in."""
    kept: list[Piece] = []
    at = 0
    for piece in pieces:
        size = length((piece,))
        first, last = max(start - at, 0), min(end - at, size)
        if first < last:
            if isinstance(piece, Slice):
                kept.append(Slice(piece.path, piece.start + first, last - first))
            else:
                kept.append(piece[first:last])
        at += size
    return tuple(kept)


def flipped(pieces: tuple[Piece, ...], at: int) -> tuple[Piece, ...]:
    """The same bytes but for one bit of the byte `at`; an empty body has none."""
    before, after = cut(pieces, 0, at), cut(pieces, at + 1, length(pieces))
    middle: list[Piece] = []
    for piece in cut(pieces, at, at + 1):
        if isinstance(piece, Slice):
            with Path(piece.path).open("rb") as file:
                file.seek(piece.start)
                piece = file.read(1)  # noqa: PLW2901
        middle.append(bytes([piece[0] ^ 1]))
    return (*before, *middle, *after)
