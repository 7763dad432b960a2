"""Build the database of a release: `python -m idc_mcp.index.build CACHE_DIR`.

Runs as a process of its own, at low priority: what it uses goes when it ends, and the server
answers from the bundled Parquet meanwhile. The file appears under its name only when whole.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from idc_mcp.files import private_directory
from idc_mcp.index import layout
from idc_mcp.index.release import Release, installed_release

BUILD_MEMORY = "1GiB"


def database_path(cache_dir: Path, release: Release) -> Path:
    """Where the database of this release, engine and layout lies."""
    from importlib.metadata import version  # noqa: PLC0415

    name = f"idc-{release.data_version}-duckdb-{version('duckdb')}-{layout.key(release)}.duckdb"
    return cache_dir / name


def build(cache_dir: Path, release: Release, *, threads: int | None = None) -> Path:
    """Build the database unless it is there already, and return its path.

    Whoever comes second waits for the first and finds its work done. All processors are used
    unless `threads` says how many.
    """
    import duckdb  # noqa: PLC0415

    private_directory(cache_dir)
    path = database_path(cache_dir, release)
    with _lock(path.with_suffix(".lock")):
        if path.exists():
            return path
        part = path.with_suffix(".building")
        for leftover in (part, Path(f"{part}.wal")):
            leftover.unlink(missing_ok=True)
        config: dict[str, Any] = {"memory_limit": BUILD_MEMORY}
        if threads:
            config["threads"] = threads
        with duckdb.connect(str(part), config=config) as connection:
            connection.execute("SET enable_progress_bar = false")
            spill = str(part).replace("'", "''")
            connection.execute(f"SET temp_directory = '{spill}.tmp'")
            for statement in layout.table_statements(release):
                connection.execute(statement)
            connection.execute("CHECKPOINT")
        part.chmod(0o600)
        part.replace(path)
        _remove_superseded(path)
    return path


def _remove_superseded(path: Path) -> None:
    """Remove databases of other data versions or layouts with the same engine.

    Another engine version may belong to another environment of the same person: it stays.
    """
    engine = path.name.split("-duckdb-")[1].rsplit("-", 1)[0]
    for other in path.parent.glob(f"idc-*-duckdb-{engine}-*.duckdb"):
        if other != path:
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
    # Half of the processors stay for the questions that are asked meanwhile.
    build(Path(sys.argv[1]), installed_release(), threads=max(1, (os.cpu_count() or 2) // 2))


if __name__ == "__main__":
    main()
