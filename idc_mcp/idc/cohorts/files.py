"""Cohorts on disk: small immutable files, written whole, proven when read.

    <state>/cohorts/c_<12 hex>.json       a definition; its digest is the file's own name
    <state>/cohorts/s_<32 hex>.parquet    the series of a set; their digest is the file's name

A corrupt file can therefore never pass for a sound one.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from idc_mcp.errors import Damaged
from idc_mcp.files import private_directory, publish, scratch_file, write_whole
from idc_mcp.idc.cohorts.definitions import SeriesSet, handle_of
from idc_mcp.idc.cohorts.quota import Quota
from idc_mcp.idc.sql import literal
from idc_mcp.index.store import Index

HANDLE = re.compile(r"\bc_[0-9a-f]{12}\b", re.IGNORECASE)

_DIGEST = "sha256(coalesce(string_agg(crdc_series_uuid, chr(10) ORDER BY crdc_series_uuid), ''))"


@dataclass(frozen=True)
class Kept:
    """A cohort as its file holds it.

    `origin` is the SQL that gave its series, if SQL did, and `key` and `picked` how its rows
    name them (`Origin`). `notes` say what was left out when a SELECT or manifest was read.
    """

    handle: str
    definition: dict[str, Any]
    name: str = ""
    origin: str = ""
    key: str = ""
    picked: str = ""
    notes: list[str] = field(default_factory=list)


class CohortFiles:
    """The cohort directory below the state directory."""

    def __init__(self, index: Index, state_dir: Path) -> None:
        self.index = index
        self.directory = state_dir / "cohorts"
        self.quota = Quota(self.directory, index.settings.cohorts_mb * 1_000_000)
        self._proven: set[str] = set()
        self._writing = threading.Lock()

    def keep(self, cohort: Kept) -> None:
        """Write a cohort's file, unless the same is there already.

        Raises
        ------
        Refused
            What is kept here has reached its quota.
        """
        path = self._path(cohort.handle)
        if self._sound(path) == cohort:
            return
        private_directory(self.directory)
        content = json.dumps(asdict(cohort), indent=1, ensure_ascii=False) + "\n"
        self.quota.take(len(content.encode()), small=True)
        with self._writing:
            write_whole(path, content)

    def load(self, handle: str) -> Kept | None:
        """A kept cohort, or None where there is no such file.

        Raises
        ------
        Damaged
            The file is there and is not what its name says.
        """
        path = self._path(handle)
        if not path.exists():
            return None
        kept = self._sound(path)
        if kept is None:
            raise Damaged(
                f"The cohort file {path} is damaged.",
                next_step="call idc_cohort again with the same definition: it gives the same "
                "handle and writes the file anew",
            )
        return kept

    def known(self, handle: str) -> bool:
        """Whether a file of this handle exists."""
        return self._path(handle).exists()

    def handles(self) -> list[str]:
        """Every handle kept here, newest first."""
        files = sorted(
            self.directory.glob("c_*.json"), key=lambda path: path.stat().st_mtime, reverse=True
        )
        return [path.stem for path in files if HANDLE.fullmatch(path.stem)]

    def keep_series(self, query: str, *, current: bool = False) -> SeriesSet:
        """Keep the series of a query that yields crdc_series_uuid; returns what names them.

        `current` says that none of them is a prior version, which then need not be looked up.

        Raises
        ------
        Refused
            What is kept here has reached its quota.
        """
        private_directory(self.directory)
        with scratch_file(self.directory, ".parquet") as part:
            self.index.rows(
                f"COPY (SELECT DISTINCT crdc_series_uuid FROM ({query}) ORDER BY 1) "
                f"TO {literal(str(part))} (FORMAT parquet, COMPRESSION zstd)"
            )
            digest, count, prior = self._facts_of(part, current=current)
            path = self.series_path(digest)
            if not self.proven(digest):
                self.quota.take(part.stat().st_size)
                publish(part, path)
        self._proven.add(digest)
        return SeriesSet(digest, count, prior, path)

    def series_path(self, digest: str) -> Path:
        """Where the series of this digest lie."""
        return self.directory / f"s_{digest}.parquet"

    def proven(self, digest: str) -> bool:
        """Whether the file of this digest is there and holds just these series."""
        path = self.series_path(digest)
        if not path.exists():
            return False
        if digest in self._proven:
            return True
        try:
            found, _, _ = self._facts_of(path)
        except Exception:
            return False
        if found == digest:
            self._proven.add(digest)
        return found == digest

    def _facts_of(self, path: Path, *, current: bool = False) -> tuple[str, int, bool]:
        # No version is both current and prior: prior_versions_index is published as the
        # versions whose crdc_series_uuid the release does not serve. They are few.
        prior = "crdc_series_uuid IN (SELECT crdc_series_uuid FROM core.prior)"
        among = "false" if current else f"count(*) FILTER ({prior}) > 0"
        digest, count, found = self.index.rows(
            f"SELECT {_DIGEST}, count(*), {among} FROM read_parquet({literal(str(path))})"
        )[0]
        return str(digest)[:32], int(count), bool(found)

    def _path(self, handle: str) -> Path:
        return self.directory / f"{handle}.json"

    def _sound(self, path: Path) -> Kept | None:
        try:
            kept = Kept(**json.loads(path.read_text(encoding="utf-8")))
            same = kept.handle == path.stem == handle_of(kept.definition)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return kept if same else None
