"""Tokens: a file of clients, read again when it changes.

One client a line, `name sha256:<hex of the token's SHA-256>` or `name <token>`; blank lines and
lines that begin with # say nothing. A client may have several lines, so that a token can be
replaced while the old one still works. Nothing of what such a line holds is ever said or logged.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread
from mcp.server.auth.provider import AccessToken

from idc_mcp.errors import BadArgument

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")
"""What RFC 6750 (2.1) lets a bearer token be; a shorter one could be guessed."""

MOST_BYTES = 1_000_000
LOOK_S = 2.0
"""Seconds that a request waits for the file to be looked at; then the tokens of before hold."""

FORM = "a line is `name sha256:<64 hex digits>`, as `idc-mcp token NAME` prints it"


class Client(NamedTuple):
    """A client and the SHA-256 of its token."""

    name: str
    digest: bytes


def new_token() -> str:
    """A token with 256 random bits."""
    return f"idc_{secrets.token_urlsafe(32)}"


def line_of(name: str, token: str) -> str:
    """The line of the file that lets this token in.

    Raises
    ------
    BadArgument
        The name has other characters than letters, digits, dot, dash and underscore.
    """
    if not NAME.fullmatch(name):
        raise BadArgument(
            "A client's name is 1 to 64 letters, digits, dots, dashes and underscores, and begins "
            "with a letter or digit.",
            next_step="idc-mcp token NAME",
        )
    return f"{name} sha256:{_digest(token).hex()}"


def read_clients(path: Path) -> list[Client]:
    """The clients of a token file.

    Raises
    ------
    BadArgument
        It cannot be read, or a line is not understood: the file and the line, never the token.
    """
    try:
        lines = _text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise BadArgument(f"The token file {path} cannot be read: {why}.", next_step=FORM) from None
    clients: list[Client] = []
    first: dict[bytes, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        client = _client(line)
        if client is None:
            raise BadArgument(f"{path}, line {number}, is no client and token.", next_step=FORM)
        if client.digest in first:
            raise BadArgument(
                f"{path}, line {number}, has the token of line {first[client.digest]}.",
                next_step="give each client a token of its own: idc-mcp token NAME",
            )
        first[client.digest] = number
        clients.append(client)
    return clients


def _text(path: Path) -> str:
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, "it is larger than 1 MB")
    return content.decode("utf-8-sig")


def _at_once(path: str, flags: int) -> int:
    # To open a pipe would wait for whoever writes into it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _client(line: str) -> Client | None:
    name, _, token = line.strip().partition(" ")
    token = token.strip()
    if not NAME.fullmatch(name):
        return None
    if hashed := HASHED.fullmatch(token):
        return Client(name, bytes.fromhex(hashed[1]))
    return Client(name, _digest(token)) if TOKEN.fullmatch(token) else None


def _digest(token: str) -> bytes:
    # A header is bytes, which the web server reads as Latin-1: so every token can be encoded.
    return hashlib.sha256(token.encode("latin-1", "replace")).digest()


class Tokens:
    """The clients of a file, as it is now; the SDK's `TokenVerifier`.

    Raises
    ------
    BadArgument
        The file cannot be read, is malformed, or holds nobody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._looking: asyncio.Future[None] | None = None
        self._seen = self._mark()
        self._clients = read_clients(path)
        if not self._clients:
            raise BadArgument(
                f"The token file {path} has no client.",
                next_step="idc-mcp token NAME prints a token and the line for the file",
            )

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whose token this is, or None."""
        await self._looked()
        given = _digest(token)
        found = None
        for client in self._clients:  # all of them, whichever it is: the time tells nothing
            if hmac.compare_digest(client.digest, given):
                found = client.name
        # What the SDK keeps of it has no token: nothing can show what is not there.
        return AccessToken(token="", client_id=found, scopes=[]) if found else None

    async def _looked(self) -> None:
        """Look at the file, in one thread however many ask: its disk may not answer."""
        if self._looking is None or self._looking.done():
            look = anyio.to_thread.run_sync(self._look, abandon_on_cancel=True)
            self._looking = asyncio.ensure_future(look)
        await asyncio.wait([self._looking], timeout=LOOK_S)

    def _look(self) -> None:
        """Take in a file that has changed; one that is not understood changes nothing."""
        if (mark := self._mark()) == self._seen:
            return
        self._seen = mark
        try:
            self._clients = read_clients(self.path)
        except BadArgument as error:
            logger.warning("%s The %d tokens of before stay valid.", error, len(self._clients))
            return
        logger.warning("%s was read again: %d tokens.", self.path, len(self._clients))

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
