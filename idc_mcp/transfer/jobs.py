"""The table of jobs: SQLite in WAL mode, one file for a user's machine.

`jobs` has a row a download with its totals and how far it is; `series` a row for each series
with what it came to. A worker writes both, in batches; any process reads them. Whether a
worker lives is not written here: it holds the job's lock.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from idc_mcp.errors import Damaged, NotFound, Unavailable
from idc_mcp.files import private_directory
from idc_mcp.transfer.job import (
    COMPLETE,
    DOWNLOAD,
    INTERRUPTED,
    RUNNING,
    SERIES_STATES,
    STARTING,
    WAITING,
    Job,
)  # fmt: skip
from idc_mcp.transfer.locks import is_held
from idc_mcp.transfer.objects import Series
from idc_mcp.transfer.progress import Changes

START_S = 20.0
"""A worker that has not begun after this long never will."""

_VERSION = 1
_BATCH = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job TEXT PRIMARY KEY, created REAL, handle TEXT, understood TEXT, release TEXT, folder TEXT,
    layout TEXT, source TEXT, engine TEXT, options TEXT, action TEXT, state TEXT, reason TEXT,
    wanted TEXT DEFAULT '', pid INTEGER, started REAL, ended REAL, updated REAL,
    series INTEGER, files INTEGER, bytes INTEGER,
    files_done INTEGER DEFAULT 0, bytes_done INTEGER DEFAULT 0, bytes_fetched INTEGER DEFAULT 0,
    bytes_moving INTEGER DEFAULT 0, size_only INTEGER DEFAULT 0, requests INTEGER DEFAULT 0,
    rate REAL DEFAULT 0, replaced INTEGER DEFAULT 0, checked TEXT DEFAULT '',
    caution TEXT DEFAULT ''
);
CREATE TABLE IF NOT EXISTS series (
    job TEXT, number INTEGER, crdc_series_uuid TEXT, SeriesInstanceUID TEXT, directory TEXT,
    files INTEGER, bytes INTEGER, aws_bucket TEXT, gcs_bucket TEXT, state TEXT DEFAULT 'waiting',
    reason TEXT DEFAULT '', files_done INTEGER DEFAULT 0,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS series_by_state ON series (job, state);
CREATE INDEX IF NOT EXISTS series_ended_badly ON series (job, state, reason, directory)
    WHERE state IN ('failed', 'refused');
"""
_SERIES = (
    "number, crdc_series_uuid, SeriesInstanceUID, directory, files, bytes, aws_bucket, gcs_bucket"
)


class JobTable:
    """The jobs of a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / "downloads"
        self.path = self.directory / "jobs.sqlite"

    def lock_path(self, job: str) -> Path:
        """The file that a job's worker holds locked while it lives."""
        return self.directory / f"{job}.lock"

    def log_path(self, job: str) -> Path:
        """Where a worker's own errors go."""
        return self.directory / f"{job}.log"

    def create(self, series: Sequence[Series], **columns: Any) -> str:
        """Write a new job with its series; returns its name."""
        name = f"j_{secrets.token_hex(5)}"
        now = time.time()
        row = columns | {
            "job": name, "created": now, "updated": now, "action": DOWNLOAD,
            "state": STARTING, "reason": "", "options": json.dumps(columns["options"]),
            "series": len(series), "files": sum(one.files or 0 for one in series),
            "bytes": sum(one.bytes for one in series),
        }  # fmt: skip
        rows = (
            (
                name, one.number, one.crdc_series_uuid, one.SeriesInstanceUID, one.directory,
                one.files, one.bytes, one.aws_bucket, one.gcs_bucket,
            )
            for one in series
        )  # fmt: skip
        insert = f"INSERT INTO series (job, {_SERIES}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        # Some at a time, so that other jobs can write between; the job itself last.
        while batch := list(islice(rows, _BATCH)):
            with self._writing() as db:
                db.executemany(insert, batch)
        with self._writing() as db:
            db.execute(
                f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                list(row.values()),
            )
        return name

    def job(self, name: str) -> Job:
        """A job as it stands.

        Raises
        ------
        NotFound
            There is none of this name; the latest ones are named.
        """
        found = self._jobs("WHERE job = ?", [name.strip()])
        if not found:
            raise NotFound(
                f"There is no download {name!r} on this machine.",
                nearest=[job.job for job in self.jobs(limit=3)],
                next_step="idc_jobs() lists all of them",
            )
        return found[0]

    def jobs(self, limit: int = -1) -> list[Job]:
        """All jobs, the latest first."""
        return self._jobs("ORDER BY created DESC LIMIT ?", [limit])

    def _jobs(self, where: str, parameters: list[Any]) -> list[Job]:
        if not self.path.exists():
            return []
        found = self._read(where, parameters)
        gone = {job.job for job in found if self._is_without_worker(job)}
        if gone:
            # A worker that ended between the two looks has written how.
            found = self._read(where, parameters)
        return [
            dataclasses.replace(job, state=INTERRUPTED, reason="its process is gone")
            if job.job in gone and job.state in (STARTING, RUNNING)
            else job
            for job in found
        ]

    def _read(self, where: str, parameters: list[Any]) -> list[Job]:
        names = [field.name for field in dataclasses.fields(Job)]
        with self._reading() as db:
            if _version(db) == 0:
                return []  # another process is making it, or it was emptied
            rows = db.execute(f"SELECT {', '.join(names)} FROM jobs {where}", parameters)
            found = [dict(zip(names, row, strict=True)) for row in rows]
        try:
            return [Job(**row | {"options": json.loads(row["options"])}) for row in found]
        except (TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def _is_without_worker(self, job: Job) -> bool:
        """Whether a job that should run has no process that does it."""
        if job.state not in (STARTING, RUNNING) or is_held(self.lock_path(job.job)):
            return False
        return job.state == RUNNING or time.time() - job.updated > START_S

    def update(self, job: str, **columns: Any) -> None:
        """Change a job's row."""
        with self._writing() as db:
            _update_job(db, job, columns)

    def save(self, job: str, changes: Changes) -> None:
        """Write down how far a job is."""
        names = ("state", "reason", "files_done", "files", "bytes")
        with self._writing() as db:
            db.executemany(
                f"UPDATE series SET {', '.join(f'{name} = coalesce(?, {name})' for name in names)} "
                "WHERE job = ? AND number = ?",
                (
                    (*(row.get(name) for name in names), job, number)
                    for number, row in changes.series.items()
                ),
            )
            _update_job(db, job, changes.job)

    def begin(self, job: str, action: str, options: dict[str, Any]) -> None:
        """Set a job up for another worker; every series waits where it downloads.

        What was whole stays counted until the worker has counted again.
        """
        with self._writing() as db:
            if action == DOWNLOAD:
                db.execute("UPDATE series SET state = ?, reason = '' WHERE job = ?", [WAITING, job])
            _update_job(
                db, job,
                {
                    "state": STARTING, "action": action, "reason": "", "wanted": "", "ended": None,
                    "options": json.dumps(options), "bytes_fetched": 0, "bytes_moving": 0,
                    "requests": 0, "rate": 0, "replaced": 0, "pid": None,
                },
            )  # fmt: skip

    def end_open_series(self, job: str, state: str, reason: str) -> None:
        """Give every series that is waiting or running an end."""
        with self._writing() as db:
            db.execute(
                "UPDATE series SET state = ?, reason = ? "
                "WHERE job = ? AND state IN ('waiting', 'running')",
                [state, reason, job],
            )

    def complete_all(self, job: str, columns: dict[str, Any]) -> None:
        """Write down that every file of a job was here already."""
        with self._writing() as db:
            db.execute(
                "UPDATE series SET state = ?, files_done = coalesce(files, 0) WHERE job = ?",
                [COMPLETE, job],
            )
            _update_job(db, job, columns | {"state": COMPLETE, "ended": time.time()})

    def wanted(self, job: str) -> str:
        """What a caller asks of the worker: '' or `cancel`."""
        with self._reading() as db:
            row = db.execute("SELECT wanted FROM jobs WHERE job = ?", [job]).fetchone()
        return str(row[0]) if row else "cancel"

    def all_series(self, job: str) -> Iterator[Series]:
        """The series of a job in their order, read some at a time."""
        after = -1
        while True:
            with self._reading() as db:
                rows = db.execute(
                    f"SELECT {_SERIES} FROM series WHERE job = ? AND number > ? "
                    "ORDER BY number LIMIT 1000",
                    [job, after],
                ).fetchall()
            if not rows:
                return
            yield from (Series(*row) for row in rows)
            after = rows[-1][0]

    def state_of(self, job: str, number: int) -> str:
        """What a series of a job came to."""
        with self._reading() as db:
            row = db.execute(
                "SELECT state FROM series WHERE job = ? AND number = ?", [job, number]
            ).fetchone()
        return str(row[0]) if row else ""

    def counts(self, job: str, *, rest: str = "", total: int = 0) -> dict[str, int]:
        """How many series are in which state; states that none is in are left out.

        Counting takes as long as there are series: with `rest`, that state is what remains of
        `total` when the others are counted.
        """
        with self._reading() as db:
            db.execute("BEGIN")  # one moment for all of them
            counted = {
                state: db.execute(
                    "SELECT count(*) FROM series WHERE job = ? AND state = ?", [job, state]
                ).fetchone()[0]
                for state in SERIES_STATES
                if state != rest
            }
        if rest:
            counted[rest] = total - sum(counted.values())
        return {state: counted[state] for state in SERIES_STATES if counted[state]}

    def reasons(self, job: str, limit: int) -> list[tuple[Any, ...]]:
        """(state, reason, series, directory of the first) of series that ended badly."""
        with self._reading() as db:
            return db.execute(
                "SELECT state, reason, count(*), min(directory) FROM series "
                # The list is that of the index, word for word.
                "WHERE job = ? AND state IN ('failed', 'refused') "
                "GROUP BY state, reason ORDER BY count(*) DESC LIMIT ?",
                [job, limit],
            ).fetchall()

    def outcomes(self, job: str, state: str, limit: int) -> list[tuple[Any, ...]]:
        """(SeriesInstanceUID, directory, state, files whole, files, reason), in order."""
        with self._reading() as db:
            return db.execute(
                "SELECT SeriesInstanceUID, directory, state, files_done, files, reason "
                "FROM series WHERE job = ? AND (? = '' OR state = ?) ORDER BY number LIMIT ?",
                [job, state, state, limit],
            ).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        private_directory(self.directory)
        with self._reading() as db, db:
            if _version(db) == 0:
                db.executescript(
                    f"PRAGMA journal_mode=WAL;{_SCHEMA}PRAGMA user_version={_VERSION};"
                )
            db.execute("BEGIN IMMEDIATE")
            yield db

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=10, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous=NORMAL")
                if _version(db) > _VERSION:
                    raise Unavailable(
                        f"The table of downloads {self.path} was made by a newer idc-mcp.",
                        next_step="use that one, or set IDC_MCP_STATE_DIR to another directory",
                    )
                yield db
        except sqlite3.OperationalError as error:
            raise Unavailable(
                f"The table of downloads {self.path} cannot be used: {error}.",
                next_step="look whether its disk is full or read-only, and try again",
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> Damaged:
        return Damaged(
            f"The table of downloads {self.path} cannot be used: {error}.",
            next_step="move that file away: downloaded files keep their receipts, and a new "
            "idc_download of the same cohort fetches only what is missing",
        )


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _update_job(db: sqlite3.Connection, job: str, columns: dict[str, Any]) -> None:
    columns = columns | {"updated": time.time()}
    db.execute(
        f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in columns)} WHERE job = ?",
        [*columns.values(), job],
    )
