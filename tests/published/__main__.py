"""`python -m tests.published DIRECTORY --full|--small` writes tables and prints their sizes."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from idc_mcp.index.release import installed_release
from tests.published.clinical import publish


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.published", description=__doc__)
    parser.add_argument("directory", type=Path)
    scale = parser.add_mutually_exclusive_group(required=True)
    for name in ("full", "small"):
        scale.add_argument(f"--{name}", dest="scale", action="store_const", const=name)
    told = parser.parse_args()
    start = time.monotonic()
    publish(installed_release(), told.directory, scale=told.scale)
    _print(told.directory)
    print(f"{time.monotonic() - start:.1f} s")


def _print(directory: Path) -> None:
    import duckdb

    def row(name: str, files: list[Path]) -> None:
        names = [str(file) for file in files]
        found = duckdb.execute(
            "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata($1)", [names]
        ).fetchall()
        size = sum(file.stat().st_size for file in files)
        print(f"{name:24}{found[0][0]:>12,} rows{size:>14,} bytes")

    for path in sorted(directory.glob("*.parquet")):
        row(path.stem, [path])
    folders = [path for path in (directory / "clinical").iterdir() if path.is_dir()]
    row(f"{len(folders)} clinical tables", sorted((directory / "clinical").rglob("*.parquet")))


if __name__ == "__main__":
    main()
