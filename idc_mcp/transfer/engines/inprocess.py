"""The engine in this process: obstore's client, hashed as it comes.

Small objects come in one piece, larger ones in a stream, the largest in ranges that are
fetched side by side: a store limits each connection, not each client. Ranges are written
where they belong as they come, and hashed in order from the system's cache.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from idc_mcp.transfer.objects import Failure, Kind, Limits, Moved, Place, Wanted
from idc_mcp.transfer.stores import failure, open_store

ONE_PIECE = 2 << 20
RANGED_OVER = 32 << 20
RANGE = 8 << 20
RANGES_AT_A_TIME = 16
"""Of all large objects together: each holds a chunk or two in memory."""
_CHUNK = 1 << 20
_RANGE_TRIES = 3
"""Failures of a range, nothing gained in between, after which the whole object is given up."""
_RANGE_PAUSE_S = 0.2


class ObstoreEngine:
    """Fetches with obstore."""

    def __init__(self, limits: Limits) -> None:
        self._stall_s = limits.stall_s
        self._ranges = ThreadPoolExecutor(RANGES_AT_A_TIME, thread_name_prefix="range")
        self._without_ranges: set[str] = set()

    def fetch(self, place: Place, wanted: Wanted, stop: threading.Event, moved: Moved) -> str:
        """Bring an object into its part file; returns its MD5."""
        store = open_store(place, self._stall_s)
        if wanted.size > RANGED_OVER and place.endpoint not in self._without_ranges:
            try:
                return self._fetch_in_ranges(store, place, wanted, stop, moved)
            except _NoRanges:
                # Such a store answers with everything: it is asked for the whole.
                self._without_ranges.add(place.endpoint)
        digest = hashlib.md5(usedforsecurity=False)
        with wanted.part.open("wb", buffering=0) as file:
            for chunk in _received(place, _whole(store, wanted)):
                if stop.is_set():
                    raise Failure(Kind.STOPPED, "the job is being ended")
                digest.update(chunk)
                _write(file.fileno(), chunk)
                moved(len(chunk))
        return digest.hexdigest()

    def close(self) -> None:
        """End the threads that fetch ranges."""
        self._ranges.shutdown(wait=False, cancel_futures=True)

    def _fetch_in_ranges(
        self, store: S3Store, place: Place, wanted: Wanted, stop: threading.Event, moved: Moved
    ) -> str:
        # A range that comes late, when the object was given up, writes to a file that is gone:
        # the part is unlinked then, and each range has opened it for itself.
        wanted.part.write_bytes(b"")
        over = threading.Event()
        ranges = [
            _Range(store, place, wanted, start, min(start + RANGE, wanted.size))
            for start in range(0, wanted.size, RANGE)
        ]
        coming = [self._ranges.submit(one.fetch, stop, over, moved) for one in ranges]
        try:
            digest = hashlib.md5(usedforsecurity=False)
            with wanted.part.open("rb", buffering=0) as file:
                for future, one in zip(coming, ranges, strict=True):
                    future.result()
                    left = one.end - one.start
                    while left and (chunk := file.read(min(_CHUNK, left))):
                        digest.update(chunk)
                        left -= len(chunk)
            return digest.hexdigest()
        finally:
            over.set()
            for future in coming:
                future.cancel()


class _NoRanges(Exception):
    """The store answers a range with the whole object."""


@dataclass(frozen=True)
class _Range:
    """Some bytes of an object, from `start` up to `end`."""

    store: S3Store
    place: Place
    wanted: Wanted
    start: int
    end: int

    def fetch(self, stop: threading.Event, over: threading.Event, moved: Moved) -> None:
        """Bring it to its place in the part file, going on where a connection broke off."""
        at, tries = self.start, 0
        with self.wanted.part.open("r+b", buffering=0) as file:
            file.seek(self.start)
            while at < self.end:
                before = at
                try:
                    for chunk in _received(self.place, self._chunks(at)):
                        if stop.is_set() or over.is_set():
                            raise Failure(Kind.STOPPED, "the job is being ended")
                        if at + len(chunk) > self.end:
                            raise Failure(Kind.CORRUPT, f"{self.wanted.key}: too much came")
                        _write(file.fileno(), chunk)
                        at += len(chunk)
                        moved(len(chunk))
                    if at < self.end:
                        raise Failure(Kind.CORRUPT, f"{self.wanted.key}: too little came")
                except Failure as failed:
                    tries = tries + 1 if at == before else 0
                    if failed.kind is not Kind.UNANSWERED or tries >= _RANGE_TRIES:
                        raise
                    over.wait(_RANGE_PAUSE_S * 2**tries)

    def _chunks(self, start: int) -> Iterator[memoryview]:
        try:
            got = obstore.get(self.store, self.wanted.key, options={"range": (start, self.end)})
        except BaseError as error:
            if "non-partial" in str(error):
                raise _NoRanges from error
            raise
        yield from _views(got)


def _whole(store: S3Store, wanted: Wanted) -> Iterator[memoryview]:
    """An object's content, in one piece or as a stream."""
    got = obstore.get(store, wanted.key)
    if wanted.size <= ONE_PIECE:
        yield memoryview(got.bytes())
    else:
        yield from _views(got)


def _views(got: obstore.GetResult) -> Iterator[memoryview]:
    for chunk in got.stream(min_chunk_size=_CHUNK):
        yield memoryview(chunk)


def _received(place: Place, chunks: Iterator[memoryview]) -> Iterator[memoryview]:
    """The chunks, with the client's errors as failures; errors of writing are others."""
    while True:
        try:
            chunk = next(chunks, None)
        except (BaseError, OSError, ValueError) as error:
            raise failure(error, place) from error
        if chunk is None:
            return
        yield chunk


def _write(handle: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(handle, chunk) :]
