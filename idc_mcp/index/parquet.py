"""Whether a Parquet file that came from elsewhere is the table it should be, and still is.

Beside a fetched table lies its SHA-256 as it was received (`<table>.parquet.sha256`); the
clinical tables have theirs in one list (`clinical/SHA256SUMS`), both as `sha256sum` writes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from idc_mcp.errors import Damaged, Unavailable
from idc_mcp.files import write_whole
from idc_mcp.index.release import CLINICAL, TableSchema

if TYPE_CHECKING:
    import duckdb

VERSION_KEY = "idc_index_data_version"
"""Embedded in every published table: `25.0.5-0-gf08b112`, the version before the first dash."""

SUMS = "SHA256SUMS"

_GONE = ".clinical.gone-"
"""Clinical tables that are being removed have it before a word of their own."""

_MAGIC = b"PAR1"
_LEAST = 12
"""Bytes of the smallest file: the magic twice, and the length of the footer."""
_MEMORY = "1GiB"
_WHOLE_NUMBERS = (
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
    "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
)  # fmt: skip
_NUMBERS = (*_WHOLE_NUMBERS, "DOUBLE", "FLOAT", "DECIMAL")
COMPATIBLE = {
    "STRING": ("VARCHAR",),
    # Whole numbers with gaps leave pandas as doubles.
    "INTEGER": _NUMBERS,
    "FLOAT": _NUMBERS,
    "BOOLEAN": ("BOOLEAN",),
    "RECORD": ("STRUCT",),
}
"""DuckDB's types that do for a type of the schemas; a type that is not named here takes any."""


class Reader:
    """Reads files that nobody has proven yet; for several calls, one after the other."""

    def __init__(self) -> None:
        import duckdb  # noqa: PLC0415  a tenth of a second

        self.connection = duckdb.connect(config=_config())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what it holds."""
        self.connection.close()


def check_parquet(
    path: Path,
    schema: TableSchema | None,
    data_version: str,
    *,
    read: bool = False,
    reader: Reader | None = None,
) -> int:
    """Prove that a file is the table it should be; returns its number of rows.

    Parameters
    ----------
    schema
        What the release says of the table; None where it says nothing (a clinical table).
    data_version
        The version that the file must say it is of, such as `25.0.5`; '' for any.
    read
        Read every value, which finds damage that the footer does not know of; always done
        where there is no schema.
    reader
        For many small files; else one is opened.

    Raises
    ------
    Damaged
        It is cut short or corrupt.
    Unavailable
        It is sound, but no Parquet, of another version, or without a column of the schema.
    """
    import duckdb  # noqa: PLC0415  a tenth of a second

    _check_ends(path)
    quoted = "'" + str(path).replace("'", "''") + "'"
    try:
        with contextlib.nullcontext(reader) if reader else Reader() as used:
            connection = used.connection
            if data_version:
                _check_version(connection, quoted, data_version)
            described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({quoted})")
            columns = {str(name): str(kind) for name, kind, *_ in described.fetchall()}
            if schema:
                _check_columns(schema, columns)
            return _rows(connection, quoted, columns if schema is None or read else {})
    except duckdb.Error as error:
        first = str(error).strip().split("\n", maxsplit=1)[0]
        raise Damaged(f"It does not read as Parquet: {first}") from error


def distinct(path: Path, column: str) -> list[str]:
    """The values of a text column, sorted, without NULL.

    Raises
    ------
    Damaged
        The file cannot be read.
    """
    import duckdb  # noqa: PLC0415  a tenth of a second

    quoted = str(path).replace("'", "''")
    try:
        with Reader() as reader:
            found = reader.connection.execute(
                f"SELECT DISTINCT \"{column}\" FROM read_parquet('{quoted}') "
                f'WHERE "{column}" IS NOT NULL ORDER BY 1'
            ).fetchall()
    except duckdb.Error as error:
        raise Damaged(f"{path} cannot be read: {error}") from error
    return [str(value) for (value,) in found]


def row_count(paths: Iterable[Path]) -> int | None:
    """Rows of some files together, as their footers say; None where one cannot be read."""
    import duckdb  # noqa: PLC0415  a tenth of a second

    total = 0
    try:
        with Reader() as reader:
            for path in paths:
                total += _footer_rows(reader.connection, "'" + str(path).replace("'", "''") + "'")
    except duckdb.Error:
        return None
    return total


# -- as it was received --------------------------------------------------------------------


def sums_path(fetched: Path, name: str) -> Path:
    """Where the SHA-256 of a fetched table lies, or those of all clinical tables."""
    return fetched / CLINICAL / SUMS if name == CLINICAL else fetched / f"{name}.parquet.sha256"


def write_sums(path: Path, sums: Mapping[str, str]) -> None:
    """Write down what was received: SHA-256 by file, relative to the directory of `path`."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    write_whole(path, "".join(lines))


def damage(fetched: Path, name: str) -> str:
    """Why what was fetched under a name is not what was received; '' where it is.

    Every byte is read. Where nothing was written down (files put there by hand) nothing is
    known, and this is '' too.
    """
    listed = sums_path(fetched, name)
    try:
        lines = listed.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        return f"{listed} cannot be read: {error}"
    for line in lines:
        digest, _, file = line.partition("  ")
        path = listed.parent / file
        try:
            if sha256_of(path) != digest:
                return f"{path} is not what was received: its SHA-256 is another"
        except OSError as error:
            return f"{path} cannot be read: {error.strerror or error}"
    return ""


def discard(fetched: Path, name: str) -> None:
    """Remove what was fetched under a name, so that it is fetched again."""
    remove_gone(fetched)
    if name != CLINICAL:
        (fetched / f"{name}.parquet").unlink(missing_ok=True)
        sums_path(fetched, name).unlink(missing_ok=True)
        return
    # One step takes it all away from whoever looks.
    aside = fetched / f"{_GONE}{secrets.token_hex(4)}"
    try:
        (fetched / CLINICAL).rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def remove_gone(fetched: Path) -> None:
    """Remove what a process that was killed while it discarded has left."""
    for left in fetched.glob(f"{_GONE}*"):
        shutil.rmtree(left, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- what is looked at ---------------------------------------------------------------------


def _config() -> dict[str, Any]:
    return {
        "threads": "1",
        "memory_limit": _MEMORY,
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "temp_directory": "",
    }


def _check_ends(path: Path) -> None:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(512)
            file.seek(max(0, size - 8))
            end = file.read(8)
    except OSError as error:
        raise Damaged(f"It cannot be read: {error.strerror or error}") from error
    if not start.startswith(_MAGIC):
        if re.match(rb"\s*<(!doctype|html|\?xml|head|body)", start, re.IGNORECASE):
            raise Unavailable("It is a web page, not Parquet.")
        raise Unavailable("It is no Parquet file.")
    if size < _LEAST or end[4:] != _MAGIC:
        raise Damaged("It is cut short: it does not end as Parquet does.")
    if int.from_bytes(end[:4], "little") > size - _LEAST:
        raise Damaged("Its footer is corrupt.")


def _check_version(connection: duckdb.DuckDBPyConnection, quoted: str, data_version: str) -> None:
    found = connection.execute(
        f"SELECT CAST(value AS VARCHAR) FROM parquet_kv_metadata({quoted}) "
        f"WHERE CAST(key AS VARCHAR) = '{VERSION_KEY}'"
    ).fetchall()
    said = str(found[0][0]) if found else ""
    if said.split("-", maxsplit=1)[0] != data_version:
        raise Unavailable(
            f"It is of version {said}, not {data_version}."
            if said
            else f"It does not say that it is of version {data_version} ({VERSION_KEY})."
        )


def _check_columns(schema: TableSchema, columns: Mapping[str, str]) -> None:
    problems = []
    for column in schema.columns:
        kind = columns.get(column.name)
        if kind is None:
            problems.append(f"it has no column {column.name}")
        elif not _fits(column.type, kind):
            problems.append(f"{column.name} is {kind}, not {column.type}")
    if problems:
        raise Unavailable(f"It does not fit the schema of {schema.name}: {'; '.join(problems)}.")


def _fits(wanted: str, kind: str) -> bool:
    listed = wanted.startswith("ARRAY OF ")
    if kind.strip('"').removesuffix("[]").strip('"') == "NULL":
        return True  # a column without any value has no type
    if listed != kind.endswith("[]"):
        return False
    allowed = COMPATIBLE.get(wanted.removeprefix("ARRAY OF "))
    return allowed is None or kind.removesuffix("[]").partition("(")[0] in allowed


def _rows(connection: duckdb.DuckDBPyConnection, quoted: str, columns: Mapping[str, str]) -> int:
    told = _footer_rows(connection, quoted)
    if columns:
        # A hash of each needs every value; a count would be answered from the footer.
        names = ['"' + name.replace('"', '""') + '"' for name in columns]
        hashes = ", ".join(f"bit_xor(hash({name}))" for name in names)
        found = connection.execute(
            f"SELECT count(*), {hashes} FROM read_parquet({quoted})"
        ).fetchone()
        if not found or found[0] != told:
            raise Damaged(f"It has {found[0] if found else 0:,} rows, its footer says {told:,}.")
    return told


def _footer_rows(connection: duckdb.DuckDBPyConnection, quoted: str) -> int:
    found = connection.execute(
        f"SELECT sum(num_rows) FROM parquet_file_metadata({quoted})"
    ).fetchone()
    return int(found[0] or 0) if found else 0
