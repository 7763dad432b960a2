"""One GET over HTTP into a part file: redirects, ranges, and its errors in a person's words.

A part is gone on with only where the same address gives the same strong ETag; else it begins
anew. What it holds is judged elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from idc_mcp.fetch import pace
from idc_mcp.fetch.course import Course
from idc_mcp.fetch.pace import Pace
from idc_mcp.fetch.sources import MAX_REDIRECTS, MOST_BYTES, host, redirected
from idc_mcp.files import write_whole
from idc_mcp.quantities import bytes_text
from idc_mcp.transfer.objects import Failure, Kind
from idc_mcp.transfer.placing import disk_failure

if TYPE_CHECKING:
    import httpx2

_CONNECT_S = 10.0
_MOST_TEXT = 4_096
_REDIRECTS = (301, 302, 303, 307, 308)
_AGAIN = (408, 425, 429)
SPARE_BYTES = 32_000_000
"""What must stay free on the disk."""


@dataclass(frozen=True)
class Known:
    """What a part file was begun with."""

    url: str
    etag: str
    size: int | None


class Part:
    """A file that is coming, and beside it what it was begun with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes = path.with_suffix(".json")

    def known(self, url: str) -> Known | None:
        """What it was begun with, where it can be gone on with from this address."""
        try:
            known = Known(**json.loads(self._notes.read_text(encoding="utf-8")))
            there = self.path.stat().st_size
        except (OSError, ValueError, TypeError):
            return None
        strong = known.etag.startswith('"')
        fits = known.size is None or there <= known.size
        return known if known.url == url and strong and there and fits else None

    def begin(self, known: Known) -> None:
        """Begin anew: what there is of it is dropped."""
        self.drop()
        self.path.touch(mode=0o600)
        write_whole(self._notes, json.dumps(asdict(known)))

    def drop(self) -> None:
        """Remove it."""
        # The notes go first: a part without them is never gone on with.
        self._notes.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def size(self) -> tuple[int, int | None]:
        """Bytes that are there, and those that are to come in all where that is known."""
        total = None
        with contextlib.suppress(OSError, ValueError, TypeError):
            total = Known(**json.loads(self._notes.read_text(encoding="utf-8"))).size
        try:
            return self.path.stat().st_size, total
        except OSError:
            return 0, None


@contextmanager
def client(stall_s: float) -> Iterator[httpx2.Client]:
    """A client whose redirects are ours to follow, and which waits `stall_s` for a byte."""
    import httpx2  # noqa: PLC0415  only where the network is asked

    timeout = httpx2.Timeout(stall_s, connect=min(stall_s, _CONNECT_S))
    headers = {"User-Agent": "idc-mcp", "Accept-Encoding": "identity"}
    # Each answer has a connection of its own, which can be cut: see `pace`.
    limits = httpx2.Limits(max_keepalive_connections=0)
    with httpx2.Client(
        timeout=timeout, follow_redirects=False, headers=headers, limits=limits
    ) as made:
        yield made


class Refused(Failure):
    """A server's answer that is not what was asked for, but a status."""

    def __init__(self, kind: Kind, why: str, status: int) -> None:
        super().__init__(kind, why)
        self.status = status


def short_text(client: httpx2.Client, url: str) -> str:
    """A short text at an address.

    Raises
    ------
    Failure
        It could not be had, or is not short.
    """
    body = bytearray()
    with _answered(client, url, {}) as (response, watched):
        for chunk in response.iter_raw():
            watched.moved(len(chunk))
            body += chunk
            if len(body) > _MOST_TEXT:
                raise Failure(Kind.MISSING, f"{host(url)} gave more than a short text")
    return body.decode("utf-8", errors="replace")


def bring(client: httpx2.Client, url: str, part: Part, course: Course) -> None:
    """Bring what is at an address into a part file, going on where that is sound.

    Raises
    ------
    Failure
        It did not come whole. The part is kept where it can be gone on with.
    """
    known = part.known(url)
    start = part.size()[0] if known else 0
    if known and start == known.size:
        course.started(start, start)
        return
    headers = {"Range": f"bytes={start}-", "If-Range": known.etag} if known else {}
    try:
        with _answered(client, url, headers) as (response, watched):
            start, total = _begin(response, url, part, start, known, course.name)
            course.started(start, total)
            came = _write(response, part, start, course, watched)
    except OSError as error:
        raise disk_failure(error, part.path) from error
    if total is not None and came < total:
        raise Failure(Kind.UNANSWERED, f"{host(url)} broke off after {bytes_text(came)}")
    if total is not None and came > total:
        part.drop()
        raise Failure(Kind.CORRUPT, f"{host(url)} gave more bytes than it announced")


def _begin(
    response: httpx2.Response, url: str, part: Part, start: int, known: Known | None, name: str
) -> tuple[int, int | None]:
    """The byte that the answer begins with, and how many the whole has."""
    if "text/html" in response.headers.get("content-type", ""):
        raise Failure(Kind.MISSING, f"{host(url)} answered with a web page")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Failure(Kind.MISSING, f"{host(url)} answered with compressed bytes, unasked")
    etag = response.headers.get("etag", "")
    if response.status_code == 416:
        part.drop()
        raise Failure(Kind.UNANSWERED, f"{host(url)} has less than had come of it before")
    if response.status_code == 206 and known:
        said = re.fullmatch(
            r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("content-range", "").strip()
        )
        same = etag in ("", known.etag) and said and int(said[1]) == start
        if not same or not said or known.size not in (None, int(said[3])):
            part.drop()
            raise Failure(Kind.UNANSWERED, f"{host(url)} answered with another range than asked")
        check_space(part.path.parent, int(said[3]) - start, name)
        return start, int(said[3])
    length = response.headers.get("content-length", "")
    total = int(length) if length.isdecimal() else None
    if total is not None and total > MOST_BYTES:
        raise Failure(
            Kind.MISSING,
            f"{host(url)} would give {bytes_text(total)}, over the {bytes_text(MOST_BYTES)} "
            "that a table may have",
        )
    part.drop()
    check_space(part.path.parent, total or 0, name)
    part.begin(Known(url, etag, total))
    return 0, total


def _write(response: httpx2.Response, part: Part, start: int, course: Course, watched: Pace) -> int:
    """Append what comes; returns the bytes that are there then."""
    at = start
    with part.path.open("ab", buffering=0) as file:
        for chunk in response.iter_raw():  # as it comes: a larger piece would be lost half-read
            watched.moved(len(chunk))
            at += len(chunk)
            if at > MOST_BYTES:
                file.close()
                part.drop()
                raise Failure(
                    Kind.MISSING, f"more than the {bytes_text(MOST_BYTES)} of a table came"
                )
            rest = memoryview(chunk)
            while rest:
                rest = rest[file.write(rest) :]
            course.moved(len(chunk))
    return at


def check_space(directory: Path, needed: int, name: str) -> None:
    """Raise a Failure where a disk has no room for so many bytes more."""
    free = shutil.disk_usage(directory).free
    if free < needed + SPARE_BYTES:
        raise Failure(
            Kind.DISK,
            f"{name} needs {bytes_text(needed)} and the disk of {directory} has "
            f"{bytes_text(free)} free ({bytes_text(SPARE_BYTES)} of which stay free)",
        )


@contextmanager
def _answered(
    client: httpx2.Client, url: str, headers: dict[str, str]
) -> Iterator[tuple[httpx2.Response, Pace]]:
    """The answer with content at an address, behind its redirects, and who watches its rate."""
    import httpx2  # noqa: PLC0415  it is loaded by now

    at = url
    with Pace() as watched:
        try:
            for _ in range(MAX_REDIRECTS + 1):
                with client.stream(
                    "GET", at, headers=headers, extensions={"trace": watched.trace}
                ) as response:
                    if response.status_code not in _REDIRECTS:
                        _check_status(response, at)
                        yield response, watched
                        # Of an answer without a length, a cut looks like its end.
                        if watched.too_slow:
                            raise _too_slow(at)
                        return
                    at = redirected(at, response.headers.get("location", ""))
        except httpx2.TimeoutException as error:
            raise Failure(Kind.UNANSWERED, f"{host(at)} sent nothing in time") from error
        # A name of a server that is too long to be looked up is an UnicodeError.
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, UnicodeError) as error:
            raise Failure(Kind.MISSING, f"{host(at)} is no address: {error}") from error
        except httpx2.HTTPError as error:
            if watched.too_slow:
                raise _too_slow(at) from error
            if isinstance(error, httpx2.ConnectError):
                why = f"{host(at)} {_no_connection(str(error))}"
            else:
                why = f"the connection to {host(at)} broke off ({type(error).__name__})"
            raise Failure(Kind.UNANSWERED, why) from error
    raise Failure(Kind.MISSING, f"{host(url)} redirects more than {MAX_REDIRECTS} times")


def _too_slow(url: str) -> Failure:
    return Failure(
        Kind.UNANSWERED,
        f"{host(url)} gave less than {bytes_text(pace.LEAST_RATE)} a second over {pace.OVER_S:g} s",
    )


def _check_status(response: httpx2.Response, url: str) -> None:
    status = response.status_code
    if status == 200 or (status in (206, 416) and "range" in response.request.headers):
        return
    where = f"{host(url)} answered {status}"
    if status in (401, 403, 407, 451):
        raise Refused(Kind.DENIED, f"{where}, denied", status)
    if status in _AGAIN or status >= 500:
        raise Refused(Kind.UNANSWERED, where, status)
    raise Refused(Kind.MISSING, f"{where}, not found" if status in (404, 410) else where, status)


_SIGNS = {
    "refused": "refuses the connection",
    "name": "is a name that is not known here",
    "getaddrinfo": "is a name that is not known here",
    "certificate": "has a certificate that is not trusted",
    "unreachable": "cannot be reached",
}
"""What the client's message says somewhere, and what a person calls that."""


def _no_connection(text: str) -> str:
    folded = text.lower()
    return next((words for sign, words in _SIGNS.items() if sign in folded), "cannot be reached")
