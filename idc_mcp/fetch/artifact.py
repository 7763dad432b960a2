"""One published table: asked for, gone on with, proven, and only then put under its name.

The artifact store publishes a SHA-256 of each table. Where it was had, no file counts that
does not have it, wherever it comes from: the release assets are the same files. Where it could
not be had, version, columns and every value of the file must do.
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
from idc_mcp.index.parquet import check_parquet, sha256_of, sums_path, write_sums
from idc_mcp.index.release import Release
from idc_mcp.settings import Settings
from idc_mcp.transfer.objects import Failure, Kind
from idc_mcp.transfer.patience import Asking, Health
from idc_mcp.transfer.placing import disk_failure

if TYPE_CHECKING:
    import httpx2

GAIN = 1_000_000
"""Bytes after which a broken connection counts as the first one again."""

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
        while True:
            course.go_on()
            source, before = found[asking.place], course.gained
            try:
                return task.have(source)
            except Failure as failure:
                course.troubled(failure.why)
                if failure.kind is Kind.UNANSWERED and course.gained - before > GAIN:
                    asking = Asking(Health(course.patience_s), list(found), course.stop)
                asking.failed(failure)


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
        )

    def _sidecar(self, source: Source) -> str:
        """The SHA-256 that a source publishes; '' where it publishes none."""
        try:
            text = getting.short_text(self._client, source.sidecar)
        except Failure as failure:
            if failure.kind in (Kind.MISSING, Kind.DENIED) and "redirect" not in failure.why:
                return ""
            raise
        first = [*text.split(), ""][0]
        if not _SHA256.fullmatch(first):
            raise Failure(
                Kind.MISSING,
                f"what {host(source.sidecar)} gives as SHA-256 is none: {first[:80]!r}",
            )
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
            try:
                rows = check_parquet(
                    part.path,
                    self._release.schemas[self._table],
                    self._release.data_version,
                    read=not self._published,
                )
            except (Damaged, Unavailable) as error:
                part.drop()
                # What is of another version stays so; what is damaged may come better.
                kind = Kind.CORRUPT if isinstance(error, Damaged) else Kind.MISSING
                raise Failure(
                    kind, f"what {host(source.url)} gave cannot be used. {error.what}"
                ) from error
        return rows, digest
