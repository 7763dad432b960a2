"""The catalogue as the rest of the program reads it: trusted SQL in, rows out.

Callers' own SQL does not come here; it goes to `index.pool`, into processes of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from idc_mcp.errors import NotFetched, Unavailable, quoted
from idc_mcp.index.build import database_path
from idc_mcp.index.builder import Builder
from idc_mcp.index.release import CLINICAL, Release, tables_directory
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
        self._ending = threading.Event()
        self._resting = False
        self._asked = 0.0
        self._local = threading.local()
        self._cursors: list[duckdb.DuckDBPyConnection] = []
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
            self._ending.set()
            connection, self._connection = self._connection, None
            cursors, self._cursors = self._cursors, []
        self._builder.leave()
        for cursor in cursors:
            cursor.interrupt()
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
            raise NotFetched(
                f"The rows of {names} are not on this machine.",
                next_step=f"idc-mcp fetch {' '.join(absent)}",
                tables=absent,
            )

    def refresh(self, timeout_s: float = 120.0) -> bool:
        """Take in what has been fetched since; whether all of it can be asked for now.

        Until then everything else is answered as before. Waits at most `timeout_s`.
        """
        self.opened()
        deadline = time.monotonic() + timeout_s
        for _ in range(_ROUNDS):
            newer = self.release.look()
            current = newer.here == self.release.here
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
        return self.release.look().here == self.release.here

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
        self._rest_later()
        try:
            return self._cursor().execute(sql, parameters or None).fetchall()
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
            return self._cursor().execute(sql, parameters or None).fetchall()

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

    # -- rest ------------------------------------------------------------------------------

    def _rest_later(self) -> None:
        """See to it that what questions cached in memory is given back when they stop."""
        self._asked = time.monotonic()
        with self._guard:
            if self._resting or self._closed:
                return
            self._resting = True
        threading.Thread(target=self._rest, name="idc-index-rest").start()

    def _rest(self) -> None:
        idle = self.settings.sql_idle_s
        while (left := self._asked + idle - time.monotonic()) > 0:
            if self._ending.wait(left):
                return
        with self._guard:
            self._resting = False
        with contextlib.suppress(Exception):  # a connection that is closing meanwhile
            cursor = self._cursor()
            for limit in (_REST_MEMORY_MB, MEMORY_MB):
                cursor.execute(f"SET memory_limit = '{limit}MiB'")

    # -- opening ---------------------------------------------------------------------------

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        self.opened()
        connection = self._connection
        if connection is None:
            raise Unavailable(
                f"The catalogue could not be opened: {self._failure or 'it is closed'}.",
                next_step="run `idc-mcp doctor`",
            )
        # A cursor is a connection to the same database; one a thread, made again after a swap.
        if getattr(self._local, "connection", None) is not connection:
            with self._guard:  # DuckDB 2 refuses two calls on one connection at once
                self._local.cursor = connection.cursor()
                self._local.connection = connection
                self._cursors.append(self._local.cursor)
        return self._local.cursor  # type: ignore[no-any-return]

    def _open(self) -> None:
        try:
            path = database_path(self.settings.cache_dir, self.release)
            if path.exists() and self._usable(path, self.release):
                self._use(path, self.release)
            else:
                self._use(None, self.release)
                self._builder.start()
        except Exception as error:
            self._failure = error
        finally:
            self._opened.set()

    def _usable(self, path: Path, release: Release) -> bool:
        try:
            self._connect(path, release).close()
        except Exception as error:
            print(f"idc-mcp: {path} is damaged and will be rebuilt: {error}", file=sys.stderr)
            path.unlink(missing_ok=True)
            return False
        return True

    def _connect(self, path: Path | None, release: Release) -> duckdb.DuckDBPyConnection:
        from idc_mcp.index.connect import open_catalogue  # noqa: PLC0415

        return open_catalogue(
            release, path, threads=self.settings.threads, memory_mb=MEMORY_MB, temp_dir=None
        )

    def _use(self, path: Path | None, release: Release) -> None:
        connection = self._connect(path, release)
        with self._guard:
            if self._closed:
                connection.close()
                return
            # The old connection is not closed here: other threads may be reading from it.
            self._connection, self.database = connection, path
            self._cursors = []
            if release.here != self.release.here:
                self.release, self._facts = release, {}

    def _use_built(self) -> None:
        # What was fetched while it was being built is not in it.
        built = self.release.look()
        path = database_path(self.settings.cache_dir, built)
        if path.exists():
            self._use(path, built)
