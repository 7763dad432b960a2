"""The installed release of the catalogue: where its Parquet files and schemas lie.

The catalogue is the PyPI package `idc-index-data`; its major version is the IDC release
(25.0.5 is v25), minor and patch are builds of the index. The package is located without
being imported: its `__init__` reads every schema and SQL file, which a start has no time for.

Five tables are bundled with it. The others, and the clinical tables, are fetched into
`tables_directory`; a `Release` is what was there at the moment it looked.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from idc_mcp.errors import Unavailable

PACKAGE = "idc-index-data"
MAIN_TABLE = "index"
CLINICAL = "clinical"
"""The schema of the clinical tables, the directory that they lie in, and the name of them all."""

CLINICAL_INDEX = "clinical_index"
"""The dictionary of the clinical tables: their columns, and the code books of their values."""

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
    """One build of the catalogue on disk.

    Attributes
    ----------
    fetched
        The directory of the tables that are not bundled; None where nothing is looked for.
    files
        The Parquet files of fetched tables, by table, that were there.
    clinical
        Those of the clinical tables, by short table name.
    """

    data_version: str
    directory: Path
    fetched: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    clinical: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The IDC release, 25 for v25."""
        return int(self.data_version.split(".", maxsplit=1)[0])

    @property
    def name(self) -> str:
        """The IDC release as people write it: `v25`."""
        return f"v{self.number}"

    @property
    def here(self) -> tuple[str, ...]:
        """Names of what was fetched; the clinical tables count as one."""
        return (*sorted(self.files), *([CLINICAL] if self.clinical else ()))

    @cached_property
    def bundled(self) -> tuple[str, ...]:
        """Tables whose rows come with the package, the main one first."""
        return tuple(name for name in self.schemas if self._bundled(name).is_file())

    @cached_property
    def specialised(self) -> tuple[str, ...]:
        """Tables that the release describes and does not bundle."""
        return tuple(name for name in self.schemas if name not in self.bundled)

    def parquet(self, table: str) -> Path | None:
        """The Parquet file of a table, bundled or fetched; None where it is not here."""
        if table in self.files:
            return self.files[table]
        path = self._bundled(table)
        return path if path.is_file() else None

    def look(self) -> Release:
        """This release with what has been fetched of it by now."""
        if self.fetched is None:
            return self
        files = {path.stem: path for path in sorted(self.fetched.glob("*.parquet"))}
        tables = sorted((self.fetched / CLINICAL).glob("*/"))
        return replace(
            self,
            files={
                name: path
                for name, path in files.items()
                if (self.directory / f"{name}{_SCHEMA_SUFFIX}").is_file()
            },
            clinical={
                table.name: paths
                for table in tables
                if (paths := tuple(sorted(table.glob("*.parquet"))))
            },
        )

    @cached_property
    def schemas(self) -> dict[str, TableSchema]:
        """Every table that the release describes, the main one first, then by name."""
        stems = sorted(
            path.name.removesuffix(_SCHEMA_SUFFIX)
            for path in self.directory.glob(f"*{_SCHEMA_SUFFIX}")
        )
        names = sorted(map(_table_name, stems), key=lambda name: (name != MAIN_TABLE, name))
        return {name: self._schema(name) for name in names}

    def _bundled(self, table: str) -> Path:
        return self.directory / f"{_file_stem(table)}.parquet"

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


def tables_directory(cache_dir: Path, data_version: str) -> Path:
    """Where fetched tables of a version lie: `<table>.parquet`, `clinical/<table>/*.parquet`."""
    return cache_dir / "tables" / data_version


def installed_release(cache_dir: Path | None = None) -> Release:
    """The release of the installed `idc-index-data`, with what was fetched below `cache_dir`.

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
    version = importlib.metadata.version(PACKAGE)
    fetched = tables_directory(cache_dir, version) if cache_dir else None
    release = Release(version, Path(spec.origin).parent, fetched)
    if release.parquet(MAIN_TABLE) is None:
        raise Unavailable(
            f"{PACKAGE} {release.data_version} in {release.directory} has no idc_index.parquet.",
            next_step=f"pip install --force-reinstall '{PACKAGE}'",
        )
    return release.look()


def _file_stem(table: str) -> str:
    return "idc_index" if table == MAIN_TABLE else table


def _table_name(stem: str) -> str:
    return MAIN_TABLE if stem == "idc_index" else stem
