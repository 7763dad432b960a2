"""Build the database of a release: `python -m idc_mcp.index.build CACHE_DIR`.

Runs as a process of its own, at low priority: what it uses goes when it ends, and the server
answers meanwhile. The file appears under its name only when whole. Tables that were fetched
since are added to a copy of the last database, which takes seconds where building takes ten.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_mcp.errors import IdcError, Unavailable
from idc_mcp.files import private_directory
from idc_mcp.index import clinical, layout, parquet, specialised
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX, Release, installed_release

if TYPE_CHECKING:
    import duckdb

BUILD_MEMORY = "1GiB"

_HELD = "facts.fetched_tables"
"""The fetched tables that a database holds, and how each was laid out."""

_PART = ".building"

_UNUSED_S = 30 * 86_400
"""A database that no server has opened for so long belongs to nobody. (Opening touches it.)"""


def database_path(cache_dir: Path, release: Release) -> Path:
    """Where the database of this release, engine, layout and set of fetched tables lies."""
    return cache_dir / f"{_family(release)}-{specialised.key(release)}.duckdb"


def build(cache_dir: Path, release: Release, *, threads: int | None = None) -> Path:
    """Build the database unless it is there already, and return its path.

    Whoever comes second waits for the first and finds its work done. All processors are used
    unless `threads` says how many. A fetched file that is not what it was when it was fetched
    is removed, and the database built without it.

    Raises
    ------
    Unavailable
        The disk is full, say; what was fetched stays.
    """
    import duckdb  # noqa: PLC0415

    private_directory(cache_dir)
    with _lock(cache_dir / f"{_family(release)}.lock"):
        while True:  # ends: each round has a fetched table less
            path = database_path(cache_dir, release)
            if path.exists():
                return path
            try:
                _make(path, release, threads)
            except _BadTable as bad:
                print(f"idc-mcp: {bad}; it is removed", file=sys.stderr)
                parquet.discard(bad.fetched, bad.table)
                release = release.look()
                continue
            except duckdb.Error as error:
                raise Unavailable(
                    f"The database could not be built: {str(error).splitlines()[0]}",
                    next_step=f"look whether the disk of {cache_dir} is full",
                ) from error
            _remove_superseded(path, release)
            return path


class _BadTable(Exception):
    def __init__(self, fetched: Path, table: str, why: str) -> None:
        super().__init__(f"the fetched table {table} cannot be used ({why})")
        self.fetched, self.table = fetched, table


def _make(path: Path, release: Release, threads: int | None) -> None:
    import duckdb  # noqa: PLC0415

    part = path.with_suffix(_PART)
    _remove_parts(path.parent, release)  # of builds that were killed: the lock is ours
    config: dict[str, Any] = {"memory_limit": BUILD_MEMORY}
    if threads:
        config["threads"] = threads
    try:
        there = _copy_of_a_smaller_one(path, part, release)
        with duckdb.connect(str(part), config=config) as connection:
            part.chmod(0o600)
            connection.execute("SET enable_progress_bar = false")
            spill = str(part).replace("'", "''")
            connection.execute(f"SET temp_directory = '{spill}.tmp'")
            if there is None:
                _run(connection, layout.table_statements(release))
                _run(connection, specialised.empty_statements())
                _run(connection, clinical.NONE)
                connection.execute(f"CREATE TABLE {_HELD} (name VARCHAR, layout VARCHAR)")
            for table in release.here:
                if table not in (there or ()):
                    _add(connection, release, table)
            connection.execute("CHECKPOINT")
        part.replace(path)
    finally:
        _remove_parts(path.parent, release)


def _add(connection: duckdb.DuckDBPyConnection, release: Release, table: str) -> None:
    """Take a fetched table in."""
    import duckdb  # noqa: PLC0415

    fetched = release.fetched
    if fetched and (damage := parquet.damage(fetched, table)):
        raise _BadTable(fetched, table, damage)
    try:
        if table == CLINICAL:
            for name, why in clinical.take_in(connection, release, "TABLE").items():
                print(f"idc-mcp: {CLINICAL}.{name} is left out: {why}", file=sys.stderr)
        else:
            _run(connection, specialised.table_statements(release, table))
    except duckdb.Error:
        # Is it the table, or the disk, or the memory? Only a bad table is given up.
        if fetched and (why := _unreadable(release, table)):
            raise _BadTable(fetched, table, why) from None
        raise
    held = [table, specialised.layout_of(release, table)]
    connection.execute(f"INSERT INTO {_HELD} VALUES (?, ?)", held)


def _unreadable(release: Release, table: str) -> str:
    """Why a fetched table is none; '' where it is sound."""
    schema = None if table == CLINICAL else release.schemas[table]
    paths = [release.files[table]] if schema else sum(release.clinical.values(), ())
    try:
        for path in paths:
            parquet.check_parquet(path, schema, release.data_version if schema else "")
    except IdcError as error:
        return error.what
    return ""


def _copy_of_a_smaller_one(path: Path, part: Path, release: Release) -> set[str] | None:
    """Copy the database of this release that holds most of the tables; None where none fits."""
    import duckdb  # noqa: PLC0415

    wanted = {(table, specialised.layout_of(release, table)) for table in release.here}
    best: tuple[int, Path, set[str]] | None = None
    for other in path.parent.glob(f"{_family(release)}-*.duckdb"):
        try:
            with duckdb.connect(str(other), read_only=True) as connection:
                held = set(connection.execute(f"SELECT name, layout FROM {_HELD}").fetchall())
        except duckdb.Error:  # damaged, or open elsewhere in another way: build anew
            continue
        names = {name for name, _ in held}
        decoded = CLINICAL not in names or CLINICAL_INDEX in names
        if held < wanted and decoded and (best is None or len(held) > best[0]):
            best = len(held), other, names
    if best is None:
        return None
    shutil.copyfile(best[1], part)
    return best[2]


def _remove_parts(cache_dir: Path, release: Release) -> None:
    """Remove what unfinished builds of this version and layout left."""
    for left in cache_dir.glob(f"{_family(release)}-*{_PART}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _run(connection: duckdb.DuckDBPyConnection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _family(release: Release) -> str:
    """What databases of one version, engine and layout have in common."""
    from importlib.metadata import version  # noqa: PLC0415

    return f"idc-{release.data_version}-duckdb-{version('duckdb')}-{layout.key(release)}"


def _remove_superseded(path: Path, release: Release) -> None:
    """Remove databases that this one replaces, and those that nobody has opened for a while.

    What is of another data version, layout or engine may be another environment's.
    """
    for other in path.parent.glob("idc-*.duckdb"):
        ours = other.name.startswith(_family(release))
        with contextlib.suppress(OSError):  # on Windows a server may have it open
            if other != path and (ours or time.time() - other.stat().st_mtime > _UNUSED_S):
                other.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            import fcntl  # noqa: PLC0415  not on Windows, where two builds only cost time

            fcntl.flock(handle, fcntl.LOCK_EX)
        except ImportError:  # pragma: no cover
            pass
        yield


def main() -> None:
    """Build at low priority into the directory named on the command line."""
    with contextlib.suppress(OSError):
        os.nice(10)
    cache_dir = Path(sys.argv[1])
    # Half of the processors stay for the questions that are asked meanwhile.
    threads = max(1, (os.cpu_count() or 2) // 2)
    build(cache_dir, installed_release(cache_dir), threads=threads)


if __name__ == "__main__":
    main()
