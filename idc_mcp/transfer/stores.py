"""Speaking to a store: how it is opened, what it lists, and its errors in a person's words."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import obstore
from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError
from obstore.store import S3Store

from idc_mcp.idc.buckets import without_password
from idc_mcp.quantities import bytes_text
from idc_mcp.transfer.objects import Failure, Kind, Listed, Place, Series

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_KEY = re.compile(r'Path ("(?:[^"\\]|\\.)*")')
"""How the client names a key that it does not take."""
_CONNECT_S = 10
_LONGEST_REASON = 200

_PAGE = 1000
PAGE_S = 60.0
"""Seconds for the next keys of a listing, however many answers without any come meanwhile."""

MOST_KEYS = 100_000
"""Of a folder of tables; the clinical ones are some hundreds."""
MOST_FILES = 1_000_000
"""Of a series; the largest has 91,980."""

_POLL_S = 0.1


@lru_cache(maxsize=64)
def open_store(place: Place, stall_s: float) -> S3Store:
    """A store, read without an account; `stall_s` is how long it may send nothing."""
    return S3Store(
        place.bucket,
        endpoint=place.endpoint,
        region="us-east-1",
        skip_signature=True,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": True,
            # The timeout of a whole request would end a large object that comes slowly.
            "timeout": "24h",
            "read_timeout": f"{int(stall_s * 1000)}ms",
            "connect_timeout": f"{int(min(stall_s, _CONNECT_S) * 1000)}ms",
            "pool_max_idle_per_host": "256",
            "user_agent": "idc-mcp",
        },
        # Retries are ours: they know patience, the mirror, and that the job may be cancelled.
        retry_config={"max_retries": 0},
    )


def list_series(place: Place, crdc_series_uuid: str, stall_s: float) -> list[Listed]:
    """The objects of a series, all pages of them.

    Raises
    ------
    Failure
        The store does not answer or refuses, or goes on without end. An empty listing is no
        failure here.
    """
    found: list[Listed] = []
    try:
        for page in _pages(place, crdc_series_uuid, stall_s):
            _take(page, place, crdc_series_uuid, found, MOST_FILES)
    except (BaseError, OSError, ValueError) as error:
        raise failure(error, place) from error
    return found


def list_below(
    place: Place, prefix: str, stall_s: float, go_on: Callable[[], None]
) -> list[Listed]:
    """The objects below a folder, all pages of them, named relative to it.

    `go_on` is called again and again, between pages and while one is waited for; what it raises
    ends the listing.

    Raises
    ------
    Failure
        The store does not answer or refuses, gives no keys for `PAGE_S` seconds, or more than
        `MOST_KEYS`. An empty listing is no failure here.
    """

    async def listed() -> list[Listed]:
        found: list[Listed] = []
        pages = _pages(place, prefix, stall_s)
        clock = asyncio.get_running_loop().time
        while True:
            # Answers without a key never come back from the client: it is asked from outside.
            coming = asyncio.ensure_future(anext(pages, None))
            until = clock() + PAGE_S
            try:
                while not (await asyncio.wait([coming], timeout=_POLL_S))[0]:
                    go_on()
                    if clock() > until:
                        raise Failure(
                            Kind.UNANSWERED, f"{place} listed nothing more in {PAGE_S:g} seconds"
                        )
            finally:
                coming.cancel()
            if (page := coming.result()) is None:
                return found
            _take(page, place, prefix, found, MOST_KEYS)
            go_on()

    try:
        return asyncio.run(listed())
    except (BaseError, OSError, ValueError) as error:
        raise failure(error, place) from error


def _pages(place: Place, prefix: str, stall_s: float) -> Any:
    return obstore.list(open_store(place, stall_s), prefix=prefix, chunk_size=_PAGE)


def _take(page: Iterable[Any], place: Place, prefix: str, found: list[Listed], most: int) -> None:
    for item in page:
        name = item["path"].removeprefix(f"{prefix}/")
        tag = _MD5.fullmatch(item["e_tag"] or "")
        found.append(Listed(name, item["size"], tag.group(1) if tag else None))
    if len(found) > most:
        raise Failure(Kind.MISSING, f"{place} lists more than {most:,} keys below {prefix}/")


def check_listing(series: Series, found: list[Listed]) -> None:
    """Prove that a listing is the series as the catalogue has it.

    Raises
    ------
    Failure
        The number of objects or of bytes differs, or a name is not that of a file.
    """
    size = sum(item.size for item in found)
    expected = "" if series.files is None else f"{series.files:,} files, "
    all_there = bool(found) if series.files is None else len(found) == series.files
    if not (all_there and series.is_of_size(size)):
        if not found:
            raise Failure(
                Kind.MISSING,
                "the store has no files of it; the catalogue has "
                f"{expected}{bytes_text(series.bytes)}",
            )
        raise Failure(
            Kind.CORRUPT,
            f"the store lists {len(found):,} files, {size:,} bytes; the catalogue has "
            f"{expected}{series.bytes:,} bytes",
        )
    for item in found:
        if "/" in item.name or "\\" in item.name or item.name in ("", ".", ".."):
            raise Failure(Kind.CORRUPT, f"the store lists a key that is no file: {item.name!r}")


def failure(error: Exception, place: Place) -> Failure:
    """An error of the store's client as a failure in a person's words."""
    # An endpoint may hold a password, and the client repeats it.
    text = str(error).replace(place.endpoint, without_password(place.endpoint))
    if isinstance(error, InvalidPathError):
        # The client gives up on the whole listing: what else is there cannot be known.
        key = _KEY.search(text)
        named = f": {key.group(1)[:_LONGEST_REASON]}" if key else ""
        return Failure(Kind.CORRUPT, f"{place} lists a key that is no path{named}")
    status = re.search(r"status code: (\d{3})", text)
    if isinstance(error, FileNotFoundError) or (status and status.group(1) == "404"):
        return Failure(Kind.MISSING, f"{place} answered 404, not found")
    if isinstance(error, PermissionDeniedError) or (status and status.group(1) in ("401", "403")):
        return Failure(
            Kind.DENIED, f"{place} answered {status.group(1) if status else 403}, denied"
        )
    return Failure(Kind.UNANSWERED, f"{place}: {_reason(text, status)}")


_SIGNS = {
    "connectionrefused": "connection refused",
    "dns error": "its name is not known",
    "timedout": "no data came in time",
    "kind: timeout": "no data came in time",
    "certificate": "its certificate is not trusted",
    "connectionreset": "the connection was reset",
    "unexpectedeof": "the connection broke off",
    "incomplete": "the connection broke off",
    "brokenpipe": "the connection broke off",
}
"""What the client's nested message says somewhere, and what a person calls that."""


def _reason(text: str, status: re.Match[str] | None) -> str:
    if status:
        return f"answered {status.group(1)}"
    folded = text.lower()
    for sign, words in _SIGNS.items():
        if sign in folded:
            return words
    return " ".join(text.split("\n\nDebug source", maxsplit=1)[0].split())[:_LONGEST_REASON]
