"""Open a read-only connection on the catalogue: the built database, or the Parquet.

Importing DuckDB takes a tenth of a second, so nothing here happens at import.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_mcp.index import clinical, layout, specialised
from idc_mcp.index.release import CLINICAL, Release

if TYPE_CHECKING:
    import duckdb


_CLINICAL_TABLES = (
    f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{CLINICAL}'"
)


def open_catalogue(
    release: Release, database: Path | None, *, threads: int, memory_mb: int, temp_dir: Path | None
) -> tuple[duckdb.DuckDBPyConnection, Release]:
    """A connection whose tables are those of `layout`, and the release as it has it.

    What of the fetched tables cannot be asked for is not in that release.

    Parameters
    ----------
    database
        The built database; None for views over the bundled Parquet, in memory.
    memory_mb
        DuckDB's own limit, in mebibytes. It does not cover every allocation.
    temp_dir
        Where the engine may spill; None forbids it.

    Raises
    ------
    duckdb.Error
        The file is missing, damaged, or of another engine version.
    """
    import duckdb  # noqa: PLC0415

    config: dict[str, Any] = {
        "threads": threads,
        "memory_limit": f"{memory_mb}MiB",
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "allow_community_extensions": "false",
        "temp_directory": str(temp_dir) if temp_dir else "",
    }
    if database is not None:
        connection = duckdb.connect(str(database), read_only=True, config=config)
    else:
        connection = duckdb.connect(config=config)
        for statement in layout.view_statements(release):
            connection.execute(statement)
        release = specialised.take_views(connection, release)
        for statement in clinical.NONE:
            connection.execute(statement)
        if release.clinical:
            clinical.take_in(connection, release, "VIEW")
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET search_path = 'main,{CLINICAL}'")
    if release.clinical:
        made = {row[0] for row in connection.execute(_CLINICAL_TABLES).fetchall()}
        kept = {name: paths for name, paths in release.clinical.items() if name in made}
        release = replace(release, clinical=kept)
    return connection, release


class Reader:
    """A thread's own cursor on a connection; whoever reads or closes holds its lock."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection: duckdb.DuckDBPyConnection | None = connection
        self.cursor = connection.cursor()
        self.lock = threading.Lock()
        self.closed = False

    def close(self) -> None:
        """Close the cursor, and let go of the connection: its file may be gone already."""
        self.closed = True
        self.connection = None
        self.cursor.close()
