"""Open a read-only connection on the catalogue: the built database, or the bundled Parquet.

Importing DuckDB takes a tenth of a second, so nothing here happens at import.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_mcp.index import clinical, layout, specialised
from idc_mcp.index.release import CLINICAL, Release

if TYPE_CHECKING:
    import duckdb


def open_catalogue(
    release: Release, database: Path | None, *, threads: int, memory_mb: int, temp_dir: Path | None
) -> duckdb.DuckDBPyConnection:
    """A connection whose tables are those of `layout`.

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
        for statements in (
            layout.view_statements(release),
            specialised.view_statements(release),
            clinical.NONE,
            clinical.statements(connection, release, "VIEW") if release.clinical else (),
        ):
            for statement in statements:
                connection.execute(statement)
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET search_path = 'main,{CLINICAL}'")
    return connection
