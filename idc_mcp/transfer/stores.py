"""Speaking to a store: how it is opened, what it lists, and its errors in a person's words."""

from __future__ import annotations

import re
from functools import lru_cache

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError
from obstore.store import S3Store

from idc_mcp.idc.buckets import without_password
from idc_mcp.quantities import bytes_text
from idc_mcp.transfer.objects import Failure, Kind, Listed, Place, Series

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_CONNECT_S = 10
_LONGEST_REASON = 200


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
        The store does not answer or refuses. An empty listing is no failure here.
    """
    return list_below(place, crdc_series_uuid, stall_s)


def list_below(place: Place, prefix: str, stall_s: float) -> list[Listed]:
    """The objects below a folder, all pages of them, named relative to it.

    Raises
    ------
    Failure
        The store does not answer or refuses. An empty listing is no failure here.
    """
    store = open_store(place, stall_s)
    found: list[Listed] = []
    try:
        for page in obstore.list(store, prefix=prefix, chunk_size=1000):
            for item in page:
                name = item["path"].removeprefix(f"{prefix}/")
                tag = _MD5.fullmatch(item["e_tag"] or "")
                found.append(Listed(name, item["size"], tag.group(1) if tag else None))
    except (BaseError, OSError, ValueError) as error:
        raise failure(error, place) from error
    return found


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
