"""The catalogue as the rest of the program reads it: trusted SQL in, rows out.

Callers' own SQL does not come here; it goes to `index.pool`, into processes of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from idc_mcp.errors import NotFetched, Unavailable, quoted
from idc_mcp.index.build import database_path
from idc_mcp.index.builder import Builder
from idc_mcp.index.connect import Reader, open_catalogue
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX, Release, tables_directory
from idc_mcp.index.rest import Rest
from idc_mcp.settings import Settings

if TYPE_CHECKING:
    import duckdb

Row = tuple[Any, ...]
T = TypeVar("T")

MEMORY_MB = 512
"""DuckDB's limit in the server's own process: its queries are ours, and small."""

_REST_MEMORY_MB = 32
"""What the engine may keep in memory while nobody asks."""

_FIRST_ANSWER_S = 0.2
"""How long opening waits for the first answer to be out."""

_ROUNDS = 4
"""How often a refresh looks again: tables may be fetched while it takes others in."""

_DAMAGE = ("IOException", "FatalException", "InternalException", "SerializationException")
"""Errors that reading a sound database with our own statements cannot give."""


class Index:
    """One release's catalogue, open for reading by any number of threads.

    `start()` returns at once and opens in the background; the first question waits for it.
    Where the database is not built yet, the bundled Parquet answers while it is.
    """

    def __init__(self, release: Release, settings: Settings) -> None:
        fetched = tables_directory(settings.cache_dir, release.data_version)
        self.release = dataclasses.replace(release, fetched=fetched).look()
        """The release, with the fetched tables that can be asked for now."""
        self._looked = self.release.here
        self.settings = settings
        self.database: Path | None = None
        """The database in use; None while the bundled Parquet answers."""
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._failure: Exception | None = None
        self._opened = threading.Event()
        self._guard = threading.Lock()
        self._started = False
        self._builder = Builder(settings.cache_dir, self._use_built)
        self._closed = False
        self._rest = Rest(settings.sql_idle_s, self._give_back)
        self._local = threading.local()
        self._readers: list[Reader] = []
        self._facts: dict[Hashable, Any] = {}

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin opening, once; returns at once."""
        with self._guard:
            if self._started:
                return
            self._started = True
        # No daemon: a thread that Python kills inside DuckDB takes the whole process down.
        threading.Thread(target=self._open, name="idc-index-open").start()

    def start_soon(self) -> None:
        """Begin opening after a moment, so that a client's first message is answered first."""
        # Importing DuckDB holds the interpreter for most of a tenth of a second.
        timer = threading.Timer(_FIRST_ANSWER_S, self.start)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """Interrupt what runs and close; a build goes on by itself, for the next start."""
        with self._guard:
            self._closed = True
            connection, self._connection = self._connection, None
            readers, self._readers = self._readers, []
        self._rest.end()
        self._builder.leave()
        for reader in readers:
            reader.cursor.interrupt()
        if connection is not None:
            # Where a thread is in the middle of a call it closes when that call has ended.
            with contextlib.suppress(Exception):
                connection.close()

    @property
    def building(self) -> bool:
        """Whether the database is being built by this process."""
        return self._builder.running

    # -- tables ----------------------------------------------------------------------------

    def has(self, *tables: str) -> bool:
        """Whether the rows of these tables can be asked for; `clinical` is all clinical ones."""
        here = {*self.release.bundled, *self.release.here}
        return here.issuperset(tables)

    def require(self, *tables: str) -> None:
        """Go on only where these tables can be asked for.

        Raises
        ------
        NotFetched
            The rows of one are not on this machine.
        """
        absent = [table for table in tables if not self.has(table)]
        if absent:
            names = "the clinical tables" if absent == [CLINICAL] else quoted(absent)
            asked = [name for name in absent if name != CLINICAL_INDEX or CLINICAL not in absent]
            raise NotFetched(
                f"The rows of {names} are not on this machine.",
                next_step=f"idc-mcp fetch {' '.join(asked)}",
                tables=absent,
            )

    def refresh(self, timeout_s: float = 120.0) -> bool:
        """Take in what has been fetched since; whether all of it can be asked for now.

        Until then everything else is answered as before. Waits at most `timeout_s`.

        Raises
        ------
        Unavailable
            The database could not be built.
        """
        self.opened()
        deadline = time.monotonic() + timeout_s
        for _ in range(_ROUNDS):
            newer = self.release.look()
            current = newer.here == self._looked
            if current and (self.database is None or self._there()):
                return True
            path = database_path(self.settings.cache_dir, newer)
            if path.exists() and self._usable(path, newer):
                self._use(path, newer)
                continue
            if not self._there():
                self._use(None, newer)  # slower, and at once
                self._builder.start()
                return True
            self._builder.start()
            if not self._builder.wait(deadline):
                return False
            if self._builder.failed:
                raise Unavailable(
                    "What was fetched could not be added to the database.",
                    next_step="run `idc-mcp build`, which says why",
                )
        return self.release.look().here == self._looked

    def place(self) -> tuple[Release, Path | None]:
        """The release and the database that another process is to open as well."""
        self.opened()
        if self.database is not None and not self._there():
            self.refresh()
        return self.release, self.database

    def _there(self) -> bool:
        """Whether the database in use is still on the disk: a larger one may have replaced it."""
        return self.database is not None and self.database.exists()

    # -- questions -------------------------------------------------------------------------

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a statement of ours."""
        with self._rest.asking():
            return self._rows(sql, parameters)

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        try:
            return self._read(sql, parameters)
        except Exception as error:
            # A statement that reads other files too may have failed on those.
            if sql.startswith("COPY") and type(error).__name__ == "IOException":
                # What failed is the caller's file, not the database.
                raise Unavailable(
                    f"The file cannot be written: {error}.",
                    next_step="look whether its disk is full or read-only, or give another place",
                ) from error
            ours = "read_parquet(" not in sql and type(error).__name__ in _DAMAGE
            if self.database is None or not ours:
                raise
            self.report_damage(self.database)
            return self._read(sql, parameters)

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row of a statement of ours, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first value of the first row, or None."""
        found = self.row(sql, parameters)
        return found[0] if found else None

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What `compute` gives, remembered: a fact of a release and its tables never changes."""
        facts = self._facts  # of the tables of now: what is computed of older ones is not kept
        if key not in facts:
            facts[key] = compute()
        return facts[key]  # type: ignore[no-any-return]

    def report_damage(self, database: Path) -> None:
        """Stop using a damaged database: remove it, answer from Parquet, build it again."""
        with self._guard:
            if self.database != database:
                return  # somebody else reported it first
            self.database = None
        print(f"idc-mcp: {database} is damaged and will be rebuilt", file=sys.stderr)
        database.unlink(missing_ok=True)
        self._use(None, self.release.look())
        self._builder.start()

    def opened(self) -> Index:
        """This index, once it is open (or has failed to open)."""
        self.start()
        self._opened.wait()
        return self

    def _give_back(self) -> None:
        """Let go of what questions cached in memory."""
        for limit in (_REST_MEMORY_MB, MEMORY_MB):
            self._read(f"SET memory_limit = '{limit}MiB'")

    # -- opening ---------------------------------------------------------------------------

    def _read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        while True:
            reader = self._reader()
            with reader.lock:
                if reader.closed:
                    continue  # another database has just taken the place of this one
                try:
                    return reader.cursor.execute(sql, parameters or None).fetchall()
                finally:
                    if reader.connection is not self._connection:
                        reader.close()

    def _reader(self) -> Reader:
        """This thread's cursor: a connection to the same database."""
        self.opened()
        reader: Reader | None = getattr(self._local, "reader", None)
        if reader is not None and not reader.closed and reader.connection is self._connection:
            return reader
        with self._guard:  # DuckDB 2 refuses two calls on one connection at once
            if self._connection is None:
                raise Unavailable(
                    f"The catalogue could not be opened: {self._failure or 'it is closed'}.",
                    next_step="run `idc-mcp doctor`",
                )
            self._local.reader = Reader(self._connection)
            self._readers.append(self._local.reader)
        return self._local.reader  # type: ignore[no-any-return]

    def _open(self) -> None:
        try:
            path = database_path(self.settings.cache_dir, self.release)
            sound = path.exists() and self._usable(path, self.release)
            self._use(path if sound else None, self.release)
            if not sound:
                self._builder.start()
        except Exception as error:
            self._failure = error
        finally:
            self._opened.set()

    def _usable(self, path: Path, release: Release) -> bool:
        try:
            self._connect(path, release)[0].close()
        except Exception as error:
            print(f"idc-mcp: {path} is damaged and will be rebuilt: {error}", file=sys.stderr)
            path.unlink(missing_ok=True)
            return False
        return True

    def _connect(
        self, path: Path | None, release: Release
    ) -> tuple[duckdb.DuckDBPyConnection, Release]:
        return open_catalogue(
            release, path, threads=self.settings.threads, memory_mb=MEMORY_MB, temp_dir=None
        )

    def _use(self, path: Path | None, release: Release) -> None:
        connection, usable = self._connect(path, release)
        with self._guard:
            if self._closed:
                connection.close()
                return
            self._connection, self.database = connection, path
            readers, self._readers = self._readers, []
            self._looked = release.here
            if usable.here != self.release.here or usable.clinical != self.release.clinical:
                self.release, self._facts = usable, {}
        if path is not None:
            with contextlib.suppress(OSError):
                os.utime(path)  # it is in use: see `build._remove_superseded`
        for reader in readers:
            # One in the middle of a statement closes when that has ended.
            if reader.lock.acquire(blocking=False):
                reader.close()
                reader.lock.release()

    def _use_built(self) -> None:
        # What was fetched while it was being built is not in it.
        built = self.release.look()
        path = database_path(self.settings.cache_dir, built)
        if path.exists():
            self._use(path, built)
