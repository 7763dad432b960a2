"""The values that a transfer speaks of: a series to have, an object to get, what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from idc_mcp.idc.buckets import without_password


class Kind(StrEnum):
    """Why something did not come; what follows depends on it."""

    MISSING = "missing"
    """The store has no such object: the other store may."""
    DENIED = "denied"
    """The store refuses it: the other store may not."""
    UNANSWERED = "unanswered"
    """Unreachable, broken off, stalled or a server's error: it is asked again, with patience."""
    CORRUPT = "corrupt"
    """What came is not what the store lists: it is fetched again, a few times."""
    CHANGED = "changed"
    """Files that were whole are not any more: somebody else is at work here."""
    FOREIGN = "foreign"
    """A file that is not ours stands in the way: it stays, the series is refused."""
    UNWRITABLE = "unwritable"
    """The folder of one series cannot be written."""
    DISK = "disk"
    """The disk is full or gone: the whole job ends."""
    STOPPED = "stopped"
    """The job is being ended: this is no verdict on what was under way."""


class Failure(Exception):
    """Something that keeps a file or series from being whole, in a person's words."""

    def __init__(self, kind: Kind, why: str) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why


@dataclass(frozen=True)
class Place:
    """A bucket behind an endpoint; `source` is aws or gcs."""

    source: str
    endpoint: str
    bucket: str

    def __str__(self) -> str:
        return f"{without_password(self.endpoint)}/{self.bucket}"


PRIOR_ROUNDING = 5_000
"""Bytes by which the size of a prior version may be off: all 82,428 of v25 have two decimals
of a megabyte, where the sizes of `index` have six."""


@dataclass(frozen=True)
class Series:
    """A series of a job.

    `directory` is where its files go, relative to the job's folder. `bytes` is exact, and
    `files` their number. Of prior versions the catalogue has no number of files (None), and
    sizes that are rounded to ten kilobytes.
    """

    number: int
    crdc_series_uuid: str
    SeriesInstanceUID: str
    directory: str
    files: int | None
    bytes: int
    aws_bucket: str
    gcs_bucket: str | None

    def is_of_size(self, size: int) -> bool:
        """Whether `size` bytes are what the catalogue has, as exactly as it has them."""
        return abs(size - self.bytes) <= (0 if self.files is not None else PRIOR_ROUNDING)

    def places(self, source: str, endpoints: dict[str, str]) -> list[Place]:
        """Where its objects lie, the first to be asked first."""
        buckets = {"aws": self.aws_bucket, "gcs": self.gcs_bucket}
        wanted = ("aws", "gcs") if source == "auto" else (source,)
        return [
            Place(name, endpoints[name], bucket) for name in wanted if (bucket := buckets[name])
        ]


@dataclass(frozen=True)
class Listed:
    """An object as a store lists it; `md5` is None where its ETag is no MD5 (multipart)."""

    name: str
    size: int
    md5: str | None


@dataclass(frozen=True)
class Wanted:
    """An object to be fetched into the file `part`."""

    key: str
    size: int
    part: Path


Moved = Callable[[int], None]
"""Is told of the bytes of a file as they come."""


@dataclass(frozen=True)
class Limits:
    """What an engine may take: objects in flight, and seconds in which nothing comes."""

    connections: int
    stall_s: float
