"""One published table: asked for, gone on with, proven, and only then put under its name.

The artifact store publishes a SHA-256 of each table. Where it was had, no file counts that
does not have it, wherever it comes from: the release assets are the same files. Where the store
has none, or cannot be asked at all, version, columns and every value of the file must do, and
what is told of the table says so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from idc_mcp.errors import Damaged, Unavailable
from idc_mcp.fetch import getting
from idc_mcp.fetch.course import Course, Fetched
from idc_mcp.fetch.sources import Source, host, table_sources
from idc_mcp.files import publish
from idc_mcp.index.parquet import sha256_of, sums_path, write_sums
from idc_mcp.index.proving import Prover
from idc_mcp.index.release import Release
from idc_mcp.settings import Settings
from idc_mcp.transfer.objects import Failure, Kind
from idc_mcp.transfer.patience import Asking, Health
from idc_mcp.transfer.placing import disk_failure

if TYPE_CHECKING:
    import httpx2

_OF_A_SOURCE = (Kind.UNANSWERED, Kind.MISSING, Kind.DENIED, Kind.CORRUPT)

GAIN = 1_000_000
"""Bytes after which a broken connection counts as the first one again."""

_NOT_PUBLISHED = (403, 404, 410)
"""Statuses of a SHA-256 that is not there: a store that is not to be listed says 403 for 404."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def fetch_table(
    release: Release, table: str, fetched: Path, parts: Path, settings: Settings, course: Course
) -> Fetched:
    """Fetch a table into `fetched`, whatever is there; the caller holds the table's lock.

    Raises
    ------
    Failure
        It could not be had: its `why` says of each source why. What had come is kept in
        `parts` where it can be gone on with.
    """
    with getting.client(settings.stall_s) as client:
        task = _Task(release, table, fetched, parts, client, course)
        found = {source.place: source for source in table_sources(settings, release, table)}
        asking = Asking(Health(course.patience_s), list(found), course.stop)
        unasked, said = list(found), ""
        while True:
            course.go_on()
            source, before = found[asking.place], course.gained
            unasked = [place for place in unasked if place != asking.place]
            try:
                return task.have(source)
            except Failure as failure:
                course.troubled(failure.why)
                if failure.kind is Kind.UNANSWERED and course.gained - before > GAIN:
                    asking = Asking(Health(course.patience_s), list(found), course.stop)
                try:
                    asking.failed(failure)
                except Failure as last:
                    if failure.kind not in _OF_A_SOURCE or last.kind is Kind.STOPPED:
                        raise
                    if not unasked:
                        why = f"{said}{source.name}: {last.why}" if said else last.why
                        raise Failure(last.kind, why) from last
                    # One that is slow to fail outlasts patience: the next is asked all the same.
                    said = f"{source.name}: {last.why}; "
                    asking = Asking(Health(course.patience_s), unasked, course.stop)


class _Task:
    """What is known of one table while it is being had."""

    def __init__(
        self,
        release: Release,
        table: str,
        fetched: Path,
        parts: Path,
        client: httpx2.Client,
        course: Course,
    ) -> None:
        self._release = release
        self._table = table
        self._target = fetched / f"{table}.parquet"
        self._sums = sums_path(fetched, table)
        self._parts = parts
        self._client = client
        self._course = course
        self._published = ""
        """The SHA-256 that the table must have, once it is known."""
        self._unknown = ""
        """Why it is not known."""

    def have(self, source: Source) -> Fetched:
        """The table from one source."""
        if source.sidecar and not self._published:
            self._published = self._sidecar(source)
        part = getting.Part(self._parts / f"{self._table}.{source.short}.part")
        getting.bring(self._client, source.url, part, self._course)
        self._course.checks()
        try:
            rows, digest = self._prove(part, source)
            size = part.path.stat().st_size
            # The SHA-256 goes first: a file is never there without it.
            write_sums(self._sums, {self._target.name: digest})
            publish(part.path, self._target)
        except OSError as error:
            raise disk_failure(error, self._target) from error
        for left in self._parts.glob(f"{self._table}.*"):
            if left.suffix in (".part", ".json"):
                left.unlink(missing_ok=True)
        return Fetched(
            self._table,
            "fetched",
            rows=rows,
            bytes=size,
            source=f"{source.name} ({host(source.url)})",
            proof="sha256" if self._published else "contents",
            notes=() if self._published or not self._unknown else (self._unknown,),
        )

    def _sidecar(self, source: Source) -> str:
        """The SHA-256 that a source publishes; '' where it publishes none.

        Raises
        ------
        Failure
            UNANSWERED: whether it does cannot be told, so nothing of it is used.
        """
        try:
            text = getting.short_text(self._client, source.sidecar)
            first = [*text.split(), ""][0]
            if not _SHA256.fullmatch(first):
                where = host(source.sidecar)
                raise Failure(
                    Kind.UNANSWERED, f"what {where} gives as SHA-256 is none: {first[:80]!r}"
                )
        except Failure as failure:
            if isinstance(failure, getting.Refused) and failure.status in _NOT_PUBLISHED:
                self._unknown = f"the store told no SHA-256 ({failure.status})"
                return ""
            self._unknown = f"the store told no SHA-256: {failure.why}"
            raise Failure(Kind.UNANSWERED, f"no SHA-256: {failure.why}") from failure
        return first.lower()

    def _prove(self, part: getting.Part, source: Source) -> tuple[int, str]:
        """Rows and SHA-256 of what came; a part that is wrong is dropped."""
        digest = sha256_of(part.path)
        if self._published and digest != self._published:
            part.drop()
            raise Failure(
                Kind.CORRUPT,
                f"what {host(source.url)} gave is not what is published: "
                f"its SHA-256 is {digest[:12]}…, not {self._published[:12]}…",
            )
        with self._course.proving:
            self._course.go_on()
            with Prover() as prover:
                try:
                    rows = prover.check(
                        part.path,
                        self._release.schemas[self._table],
                        self._release.data_version,
                        read=not self._published,
                        go_on=self._course.go_on,
                    )
                except (Damaged, Unavailable) as error:
                    part.drop()
                    # What is of another version stays so; what is damaged may come better.
                    kind = Kind.CORRUPT if isinstance(error, Damaged) else Kind.MISSING
                    raise Failure(
                        kind, f"what {host(source.url)} gave cannot be used. {error.what}"
                    ) from error
        return rows, digest
