"""`python -m benchmarks [PART …]`: startup, memory, first, sql, facts, cohorts, tables, reading,
load, downloads."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
from pathlib import Path

import duckdb

from benchmarks import downloads, load, questions, reading, startup, tables
from benchmarks.table import show
from idc_mcp.app import App
from idc_mcp.index.build import build
from idc_mcp.index.release import installed_release
from idc_mcp.settings import Settings

PARTS = (
    "startup", "memory", "first", "sql", "facts", "cohorts", "tables", "reading", "load",
    "downloads",
)  # fmt: skip


def main() -> None:
    parts = sys.argv[1:] or list(PARTS)
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(
        f"# {os.cpu_count()} cores, Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    )
    with tempfile.TemporaryDirectory() as home:
        # The database is shared with the tests: building it is measured on its own.
        cache = Path(__file__).parent.parent / "tests" / ".cache"
        build(cache, installed_release())
        settings = Settings(
            cache_dir=cache, state_dir=Path(home) / "state", output_dir=Path(home) / "out",
            offline=True,
        )  # fmt: skip
        app = App.create(settings)
        app.index.rows("SELECT 1")
        for part in parts:
            match part:
                case "startup":
                    show("Start", startup.startup(cache))
                case "memory":
                    show("Memory", startup.memory(cache))
                case "first":
                    show("First start", startup.first_start())
                case "sql":
                    with questions.straight(app) as raw:
                        show("SQL", asyncio.run(questions.sql(app, raw)))
                case "facts":
                    with questions.straight(app) as raw:
                        show("Facts of a release", questions.facts(app, raw))
                case "cohorts":
                    with questions.straight(app) as raw:
                        show("Cohorts", asyncio.run(questions.cohorts(app, raw)))
                case "tables":
                    show("All tables", tables.tables(cache))
                case "reading":
                    show("What a model reads", asyncio.run(reading.reading(app)))
                case "load":
                    show("HTTP", load.load(cache))
                case "downloads":
                    downloads.downloads(app)
        app.close()


if __name__ == "__main__":
    main()
