"""The catalogue as the rest of the program reads it: trusted SQL in, rows out.

Callers' own SQL does not come here; it goes to `index.pool`, into processes of its own.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from idc_mcp.errors import Unavailable
from idc_mcp.index.build import database_path
from idc_mcp.index.release import Release
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

_DAMAGE = ("IOException", "FatalException", "InternalException", "SerializationException")
"""Errors that reading a sound database with our own statements cannot give."""


class Index:
    """One release's catalogue, open for reading by any number of threads.

    `start()` returns at once and opens in the background; the first question waits for it.
    Where the database is not built yet, the bundled Parquet answers while it is.
    """

    def __init__(self, release: Release, settings: Settings) -> None:
        self.release = release
        self.settings = settings
        self.database: Path | None = None
        """The database in use; None while the bundled Parquet answers."""
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._failure: Exception | None = None
        self._opened = threading.Event()
        self._guard = threading.Lock()
        self._started = False
        self._builder: subprocess.Popen[bytes] | None = None
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
            self._builder = None
            connection, self._connection = self._connection, None
            cursors, self._cursors = self._cursors, []
        for cursor in cursors:
            cursor.interrupt()
        if connection is not None:
            # Where a thread is in the middle of a call it closes when that call has ended.
            with contextlib.suppress(Exception):
                connection.close()

    @property
    def building(self) -> bool:
        """Whether the database is being built by this process."""
        return self._builder is not None

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
        """What `compute` gives, remembered: a fact of a release never changes."""
        if key not in self._facts:
            self._facts[key] = compute()
        return self._facts[key]  # type: ignore[no-any-return]

    def report_damage(self, database: Path) -> None:
        """Stop using a damaged database: remove it, answer from Parquet, build it again."""
        with self._guard:
            if self.database != database:
                return  # somebody else reported it first
            self.database = None
        print(f"idc-mcp: {database} is damaged and will be rebuilt", file=sys.stderr)
        database.unlink(missing_ok=True)
        self._use(None)
        self._build()

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
            if path.exists() and self._usable(path):
                self._use(path)
            else:
                self._use(None)
                self._build()
        except Exception as error:
            self._failure = error
        finally:
            self._opened.set()

    def _usable(self, path: Path) -> bool:
        try:
            self._connect(path).close()
        except Exception as error:
            print(f"idc-mcp: {path} is damaged and will be rebuilt: {error}", file=sys.stderr)
            path.unlink(missing_ok=True)
            return False
        return True

    def _connect(self, path: Path | None) -> duckdb.DuckDBPyConnection:
        from idc_mcp.index.connect import open_catalogue  # noqa: PLC0415

        return open_catalogue(
            self.release, path, threads=self.settings.threads, memory_mb=MEMORY_MB, temp_dir=None
        )

    def _use(self, path: Path | None) -> None:
        connection = self._connect(path)
        with self._guard:
            if self._closed:
                connection.close()
                return
            # The old connection is not closed here: other threads may be reading from it.
            self._connection, self.database = connection, path
            self._cursors = []

    def _build(self) -> None:
        with self._guard:
            if self._closed or self._builder is not None:
                return
            try:
                self.settings.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._builder = subprocess.Popen(
                    # -P: the directory that we were started in may hold a json.py of its own.
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "idc_mcp.index.build",
                        str(self.settings.cache_dir),
                    ],
                    # It may outlive us: a client that waits for our pipes must not wait for it.
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                # Without a place to keep it the Parquet goes on answering, slower.
                print(f"idc-mcp: the database cannot be built: {error}", file=sys.stderr)
                return
            builder = self._builder
        threading.Thread(
            target=self._await_build, args=(builder,), name="idc-index-build", daemon=True
        ).start()

    def _await_build(self, builder: subprocess.Popen[bytes]) -> None:
        status = builder.wait()
        with self._guard:
            if self._builder is not builder:
                return
            self._builder = None
        if status != 0:
            print(f"idc-mcp: building the database failed (status {status})", file=sys.stderr)
            return
        try:
            self._use(database_path(self.settings.cache_dir, self.release))
        except Exception as error:
            print(f"idc-mcp: the built database cannot be opened: {error}", file=sys.stderr)
