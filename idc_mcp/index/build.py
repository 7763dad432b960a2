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
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_mcp.files import private_directory
from idc_mcp.index import clinical, layout, parquet, specialised
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX, Release, installed_release

if TYPE_CHECKING:
    import duckdb

BUILD_MEMORY = "1GiB"

_HELD = "facts.fetched_tables"
"""The fetched tables that a database holds."""


def database_path(cache_dir: Path, release: Release) -> Path:
    """Where the database of this release, engine, layout and set of fetched tables lies."""
    return cache_dir / f"{_family(release)}-{specialised.key(release)}.duckdb"


def build(cache_dir: Path, release: Release, *, threads: int | None = None) -> Path:
    """Build the database unless it is there already, and return its path.

    Whoever comes second waits for the first and finds its work done. All processors are used
    unless `threads` says how many. A fetched file that is not what it was when it was fetched
    is removed, and the database built without it.
    """
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
                if release.fetched:
                    parquet.discard(release.fetched, bad.table)
                release = release.look()
                continue
            _remove_superseded(path)
            return path


class _BadTable(Exception):
    def __init__(self, table: str, why: str) -> None:
        super().__init__(f"the fetched table {table} cannot be used ({why})")
        self.table = table


def _make(path: Path, release: Release, threads: int | None) -> None:
    import duckdb  # noqa: PLC0415

    part = path.with_suffix(".building")
    for leftover in (part, Path(f"{part}.wal")):
        leftover.unlink(missing_ok=True)
    config: dict[str, Any] = {"memory_limit": BUILD_MEMORY}
    if threads:
        config["threads"] = threads
    there = _copy_of_a_smaller_one(path, part, release)
    with duckdb.connect(str(part), config=config) as connection:
        connection.execute("SET enable_progress_bar = false")
        spill = str(part).replace("'", "''")
        connection.execute(f"SET temp_directory = '{spill}.tmp'")
        if there is None:
            _run(connection, layout.table_statements(release))
            _run(connection, specialised.empty_statements())
            _run(connection, clinical.NONE)
            connection.execute(f"CREATE TABLE {_HELD} (name VARCHAR)")
        for table in release.here:
            if table not in (there or ()):
                _add(connection, release, table)
        connection.execute("CHECKPOINT")
    part.chmod(0o600)
    part.replace(path)


def _add(connection: duckdb.DuckDBPyConnection, release: Release, table: str) -> None:
    """Take a fetched table in."""
    import duckdb  # noqa: PLC0415

    damage = parquet.damage(release.fetched, table) if release.fetched else ""
    if damage:
        raise _BadTable(table, damage)
    try:
        if table == CLINICAL:
            _run(connection, clinical.statements(connection, release, "TABLE"))
        else:
            _run(connection, specialised.table_statements(release, table))
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.BinderException) as error:
        raise _BadTable(table, str(error).split("\n", maxsplit=1)[0]) from error
    connection.execute(f"INSERT INTO {_HELD} VALUES (?)", [table])


def _copy_of_a_smaller_one(path: Path, part: Path, release: Release) -> set[str] | None:
    """Copy the database of this release that holds most of the tables; None where none fits."""
    import duckdb  # noqa: PLC0415

    best: tuple[int, Path, set[str]] | None = None
    for other in path.parent.glob(f"{_family(release)}-*.duckdb"):
        try:
            with duckdb.connect(str(other), read_only=True) as connection:
                rows = connection.execute(f"SELECT name FROM {_HELD}").fetchall()
        except duckdb.Error:  # damaged, or open elsewhere in another way: build anew
            continue
        held = {name for (name,) in rows}
        decoded = CLINICAL not in held or CLINICAL_INDEX in held
        if held < set(release.here) and decoded and (best is None or len(held) > best[0]):
            best = len(held), other, held
    if best is None:
        return None
    shutil.copyfile(best[1], part)
    return best[2]


def _run(connection: duckdb.DuckDBPyConnection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(statement)


def _family(release: Release) -> str:
    """What databases of one version, engine and layout have in common."""
    from importlib.metadata import version  # noqa: PLC0415

    return f"idc-{release.data_version}-duckdb-{version('duckdb')}-{layout.key(release)}"


def _remove_superseded(path: Path) -> None:
    """Remove databases of other data versions, layouts or sets of tables with the same engine.

    Another engine version may belong to another environment of the same person: it stays.
    """
    engine = path.name.split("-duckdb-")[1].split("-", 1)[0]
    for other in path.parent.glob(f"idc-*-duckdb-{engine}-*.duckdb"):
        if other != path:
            with contextlib.suppress(OSError):  # on Windows a server may have it open
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
