"""The installed release of the catalogue: where its Parquet files and schemas lie.

The catalogue is the PyPI package `idc-index-data`; its major version is the IDC release
(25.0.5 is v25), minor and patch are builds of the index. The package is located without
being imported: its `__init__` reads every schema and SQL file, which a start has no time for.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from idc_mcp.errors import Unavailable

PACKAGE = "idc-index-data"
MAIN_TABLE = "index"
_SCHEMA_SUFFIX = "_schema.json"


@dataclass(frozen=True)
class Column:
    """A column as the release describes it; `type` is BigQuery's name for it."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class TableSchema:
    """A table as the release describes it, whether or not its rows are on this machine."""

    name: str
    description: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Release:
    """One build of the catalogue on disk."""

    data_version: str
    directory: Path

    @property
    def number(self) -> int:
        """The IDC release, 25 for v25."""
        return int(self.data_version.split(".", maxsplit=1)[0])

    @property
    def name(self) -> str:
        """The IDC release as people write it: `v25`."""
        return f"v{self.number}"

    def parquet(self, table: str) -> Path | None:
        """The bundled Parquet file of a table, or None where it is not bundled."""
        path = self.directory / f"{_file_stem(table)}.parquet"
        return path if path.is_file() else None

    @cached_property
    def schemas(self) -> dict[str, TableSchema]:
        """Every table that the release describes, the main one first, then by name."""
        stems = sorted(
            path.name.removesuffix(_SCHEMA_SUFFIX)
            for path in self.directory.glob(f"*{_SCHEMA_SUFFIX}")
        )
        names = sorted(map(_table_name, stems), key=lambda name: (name != MAIN_TABLE, name))
        return {name: self._schema(name) for name in names}

    def _schema(self, table: str) -> TableSchema:
        path = self.directory / f"{_file_stem(table)}{_SCHEMA_SUFFIX}"
        content = json.loads(path.read_text(encoding="utf-8"))
        return TableSchema(
            name=table,
            description=content.get("table_description", ""),
            columns=tuple(
                Column(
                    name=column["name"],
                    type=("ARRAY OF " if column.get("mode") == "REPEATED" else "") + column["type"],
                    description=column.get("description", ""),
                )
                for column in content["columns"]
            ),
        )


def installed_release() -> Release:
    """The release of the installed `idc-index-data`.

    Raises
    ------
    Unavailable
        The package is missing or has no main table.
    """
    spec = importlib.util.find_spec("idc_index_data")
    if spec is None or spec.origin is None:
        raise Unavailable(
            f"The catalogue (PyPI package {PACKAGE}) is not installed.",
            next_step=f"pip install '{PACKAGE}'",
        )
    release = Release(importlib.metadata.version(PACKAGE), Path(spec.origin).parent)
    if release.parquet(MAIN_TABLE) is None:
        raise Unavailable(
            f"{PACKAGE} {release.data_version} in {release.directory} has no idc_index.parquet.",
            next_step=f"pip install --force-reinstall '{PACKAGE}'",
        )
    return release


def _file_stem(table: str) -> str:
    return "idc_index" if table == MAIN_TABLE else table


def _table_name(stem: str) -> str:
    return MAIN_TABLE if stem == "idc_index" else stem
