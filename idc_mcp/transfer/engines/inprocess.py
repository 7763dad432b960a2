"""The engine in this process: obstore's client, hashed while it streams.

Small objects come in one piece, larger ones in a stream, the largest in ranges that are
fetched side by side and written in order: a store limits each connection, not each client.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from idc_mcp.transfer.objects import Failure, Kind, Limits, Place, Wanted
from idc_mcp.transfer.stores import failure, open_store

ONE_PIECE = 2 << 20
RANGED_OVER = 32 << 20
RANGE = 8 << 20
_CHUNK = 1 << 20
_RANGES_AHEAD = 8
_RANGES_IN_ALL = 16
"""Ranges in memory at a time, of all large objects together: 128 MiB."""


class ObstoreEngine:
    """Fetches with obstore."""

    def __init__(self, limits: Limits) -> None:
        self._stall_s = limits.stall_s
        self._rangers = ThreadPoolExecutor(_RANGES_IN_ALL, thread_name_prefix="range")
        self._room = threading.BoundedSemaphore(_RANGES_IN_ALL)
        self._without_ranges: set[str] = set()

    def fetch(
        self,
        place: Place,
        wanted: Wanted,
        stop: threading.Event,
        moved: Callable[[int], None],
    ) -> str:
        """Bring an object into its part file; returns its MD5."""
        store = open_store(place, self._stall_s)
        digest = hashlib.md5(usedforsecurity=False)
        with wanted.part.open("wb", buffering=0) as file:
            for chunk in self._received(place, self._chunks(store, place, wanted, stop)):
                if stop.is_set():
                    raise Failure(Kind.STOPPED, "the job is being ended")
                digest.update(chunk)
                _write(file.fileno(), chunk)
                moved(len(chunk))
        return digest.hexdigest()

    def close(self) -> None:
        """End the threads that fetch ranges."""
        self._rangers.shutdown(wait=False, cancel_futures=True)

    def _received(self, place: Place, chunks: Iterator[memoryview]) -> Iterator[memoryview]:
        """The chunks, with the client's errors as failures; errors of writing are others."""
        while True:
            try:
                chunk = next(chunks, None)
            except (BaseError, OSError, ValueError) as error:
                raise failure(error, place) from error
            if chunk is None:
                return
            yield chunk

    def _chunks(
        self, store: S3Store, place: Place, wanted: Wanted, stop: threading.Event
    ) -> Iterator[memoryview]:
        if wanted.size <= ONE_PIECE:
            yield memoryview(obstore.get(store, wanted.key).bytes())
            return
        if wanted.size > RANGED_OVER and place.endpoint not in self._without_ranges:
            try:
                first = memoryview(obstore.get_range(store, wanted.key, start=0, length=RANGE))
            except BaseError as error:
                if "range" not in str(error).lower():
                    raise
                # It answered 200 with everything: such a store is asked for the whole.
                self._without_ranges.add(place.endpoint)
            else:
                yield first
                yield from self._ranges(store, wanted, stop)
                return
        for chunk in obstore.get(store, wanted.key).stream(min_chunk_size=_CHUNK):
            yield memoryview(chunk)

    def _ranges(
        self, store: S3Store, wanted: Wanted, stop: threading.Event
    ) -> Iterator[memoryview]:
        """All ranges after the first, in order, some of them under way ahead."""
        starts = iter(range(RANGE, wanted.size, RANGE))
        ahead: list[Future[Any]] = []

        def ask(*, wait: bool) -> bool:
            # Ranges are asked for in their order, so the next one to be written is never the
            # one that waits for room.
            if not self._room.acquire(blocking=wait):
                return False
            start = next(starts, None)
            if start is None or stop.is_set():
                self._room.release()
                return False
            length = min(RANGE, wanted.size - start)
            ahead.append(
                self._rangers.submit(
                    obstore.get_range, store, wanted.key, start=start, length=length
                )
            )
            return True

        try:
            while True:
                while len(ahead) < _RANGES_AHEAD and ask(wait=not ahead):
                    pass
                if not ahead:
                    return
                future = ahead.pop(0)
                try:
                    yield memoryview(future.result())
                finally:
                    self._room.release()
        finally:
            for future in ahead:
                if not future.cancel():
                    future.exception()
                self._room.release()


def _write(handle: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(handle, chunk) :]
