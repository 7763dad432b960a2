"""What goes over the wire between the mirror and an S3 client: requests, answers, errors."""

# ruff: noqa: PTH123 - pathlib would cost a request as much as all the rest of it.

from __future__ import annotations

import socket
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

REGION = "us-east-1"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
REFUSALS = {
    "InvalidArgument": 400, "AccessDenied": 403, "NoSuchBucket": 404, "NoSuchKey": 404,
    "MethodNotAllowed": 405, "PreconditionFailed": 412, "InvalidRange": 416,
    "InternalError": 500, "SlowDown": 503,
}  # fmt: skip


class Slice(NamedTuple):
    """A part of a file, sent without being read here."""

    path: str
    start: int
    length: int


class Request(NamedTuple):
    """What is asked; `key` is a listing's prefix, and `attempt` counts from 1 for a kind and key.

    `kind` is "list", "get" or "head"; "head" with no key is what is asked about a bucket.
    """

    kind: str
    bucket: str
    key: str
    attempt: int
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Answer:
    """A status, headers and a body in pieces; it knows how to go out."""

    status: int
    headers: dict[str, str]
    body: tuple[bytes | Slice, ...] = ()

    @property
    def length(self) -> int:
        """The bytes of the body."""
        return sum(one.length if isinstance(one, Slice) else len(one) for one in self.body)

    def head(self) -> bytes:
        """The status line and the headers."""
        fields = self.headers | {"Date": formatdate(usegmt=True), "Content-Length": self.length}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")

    def send(self, connection: socket.socket, with_body: bool) -> bool:
        """Send it; returns whether the connection may go on."""
        with_body = with_body and self.length > 0
        # The head waits for the body's first packet, where the system can.
        connection.sendall(self.head(), getattr(socket, "MSG_MORE", 0) if with_body else 0)
        for piece in self.body if with_body else ():
            send_piece(connection, piece)
        return True


def send_piece(connection: socket.socket, piece: bytes | Slice) -> None:
    """Send a piece of a body; raises ConnectionError if the client left or the file shrank."""
    if isinstance(piece, bytes):
        connection.sendall(piece)
    elif piece.length:
        with open(piece.path, "rb", buffering=0) as file:
            if connection.sendfile(file, piece.start, piece.length) < piece.length:
                raise ConnectionAbortedError(piece.path)


def xml(status: int, element: str, content: str) -> Answer:
    """An answer that is one XML element."""
    space = "" if element == "Error" else f' xmlns="{NAMESPACE}"'
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{element}{space}>{content}</{element}>'
    headers = {"Content-Type": "application/xml", "x-amz-bucket-region": REGION}
    return Answer(status, headers, (text.encode(),))


def refusal(code: str) -> Answer:
    """An error as S3 says it."""
    return xml(REFUSALS[code], "Error", f"<Code>{code}</Code><Message>{code}</Message>")
