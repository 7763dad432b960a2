"""Series given one by one: by a SELECT, a list, or a manifest."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from idc_mcp.answers import plain
from idc_mcp.errors import BadArgument, NotFound, Refused, SqlError
from idc_mcp.files import private_directory, scratch_file
from idc_mcp.idc.cohorts.definitions import SeriesSet
from idc_mcp.idc.cohorts.files import CohortFiles
from idc_mcp.idc.cohorts.origins import Origin
from idc_mcp.idc.cohorts.selects import selected
from idc_mcp.idc.manifests.reading import (
    UID_COLUMN,
    URL_COLUMNS,
    UUID_COLUMN,
    Problem,
    parse_manifest,
    shortened,
)
from idc_mcp.idc.sql import identifier, literal
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.store import Index

MAX_MANIFEST_BYTES = 256_000_000

_GIVEN_TABLE = "c_000000000000"
"""The name under which the processes for SQL know a Parquet manifest."""

_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Listed:
    """A set of series, and what was said about how the list was read."""

    series: SeriesSet
    notes: list[str] = field(default_factory=list)


class SeriesLists:
    """Turns series that were given one by one into a kept set."""

    def __init__(
        self, index: Index, pool: SqlPool, files: CohortFiles, output_dir: Path | None = None
    ) -> None:
        self.index = index
        self.pool = pool
        self.files = files
        self.output_dir = output_dir
        """Where `save_as` writes: manifests are looked for there too."""

    def of_sql(self, sql: str, views: Mapping[str, str]) -> SeriesSet:
        """The series that a caller's SELECT names, as `of_select`."""
        return self.of_select(sql, views).series

    def of_select(self, sql: str, views: Mapping[str, str]) -> Listed:
        """The series that a caller's SELECT names, itself or by their studies or patients.

        `views` are the cohorts that it may name.

        Raises
        ------
        BadArgument, NotFound
            As `selects.selected`.
        SqlError, Refused, NotFetched
            As `SqlPool.run`.
        """
        private_directory(self.files.directory)
        with scratch_file(self.files.directory, ".parquet") as result:
            given = self.pool.run(
                sql, max_rows=1, cohorts=views, save_to=result, save_format="parquet"
            )
            found = selected(self.index, given.columns, given.types, result)
            series = self.files.keep_series(found.query)
            origin = Origin(sql, found.key, found.picked)
            return Listed(replace(series, origin=origin), found.notes)

    def of_manifest(self, manifest: str, *, hosted: bool) -> Listed:
        """The series of a manifest: the path of a file on this machine, or its text.

        Of a file nothing is told but what a manifest says, lest a path that was talked into the
        call give away the file behind it.

        Raises
        ------
        BadArgument
            The file is none or cannot be read, or no line of it names a series.
        Refused
            A path is given to a server that is not on the caller's machine.
        NotFound
            None of its series is in this release or among its prior versions.
        """
        from_file = not _is_text(manifest)
        text = self._text_of_file(manifest.strip(), hosted=hosted) if from_file else manifest
        parsed = parse_manifest(text)
        if not parsed.series_uuids and not parsed.series_instance_uids:
            lines = ", ".join(_told(problem, from_file) for problem in parsed.problems[:3])
            raise BadArgument(
                f"No line of the manifest names a series ({lines or 'it is empty'}).",
                next_step="give a manifest of the IDC portal or s5cmd (cp s3://bucket/uuid/* .), "
                "or a list of crdc_series_uuid or SeriesInstanceUID, one a line",
            )
        listed = self.of_list(parsed.series_uuids, parsed.series_instance_uids, quiet=from_file)
        notes = list(listed.notes)
        if parsed.problems:
            notes.append(
                f"{plain(len(parsed.problems))} lines were not understood "
                f"(the first: {_told(parsed.problems[0], from_file)})"
            )
        return Listed(listed.series, notes)

    def of_list(
        self, uuids: Sequence[str], instance_uids: Sequence[str], *, quiet: bool = False
    ) -> Listed:
        """The series of crdc_series_uuids and SeriesInstanceUIDs; unknown ones are counted.

        `quiet`: where none is known, they are not told again.

        Raises
        ------
        NotFound
            None of them is known.
        """
        private_directory(self.files.directory)
        with (
            scratch_file(self.files.directory, ".uuids") as uuid_file,
            scratch_file(self.files.directory, ".uids") as uid_file,
        ):
            uuid_file.write_text("".join(f"{uuid}\n" for uuid in uuids), encoding="ascii")
            uid_file.write_text("".join(f"{uid}\n" for uid in instance_uids), encoding="ascii")
            given_uuids, given_uids = _lines(uuid_file), _lines(uid_file)
            known = (
                f"SELECT crdc_series_uuid FROM core.series SEMI JOIN {given_uuids} "
                "ON crdc_series_uuid = id UNION ALL "
                f"SELECT crdc_series_uuid FROM core.prior SEMI JOIN {given_uuids} "
                "ON crdc_series_uuid = id UNION ALL "
                f"SELECT crdc_series_uuid FROM core.series SEMI JOIN {given_uids} "
                "ON SeriesInstanceUID = id"
            )
            notes = []
            missing = self.index.rows(
                f"SELECT id FROM {given_uuids} WHERE id NOT IN (SELECT crdc_series_uuid "
                "FROM core.series UNION ALL SELECT crdc_series_uuid FROM core.prior) "
                f"UNION ALL SELECT id FROM {given_uids} WHERE id NOT IN "
                "(SELECT SeriesInstanceUID FROM core.series)"
            )
            total = len(set(uuids)) + len(set(instance_uids))
            if len(missing) >= total:
                first = "" if quiet else f", the first being {missing[0][0]}"
                raise NotFound(
                    f"None of the {plain(total)} series is in IDC {self.index.release.name} or "
                    f"among its prior versions{first}.",
                    next_step="check where the list comes from",
                )
            if missing:
                shown = ", ".join(row[0] for row in missing[:3])
                notes.append(
                    f"{plain(len(missing))} of {plain(total)} series are neither in IDC "
                    f"{self.index.release.name} nor among its prior versions and were left out: "
                    f"{shown}{', …' if len(missing) > 3 else ''}"
                )
            return Listed(self.files.keep_series(known), notes)

    def _text_of_file(self, name: str, *, hosted: bool) -> str:
        """The text of a manifest file; of a Parquet file the columns that name series, as CSV."""
        if hosted:
            raise Refused(
                "This server is not on your machine and reads no files of it.",
                next_step="give the manifest's text instead of its path",
            )
        try:
            path = self._found(name)
            content = _content(path)
            if path.suffix.lower() == ".parquet" or content.startswith(_PARQUET_MAGIC):
                return self._text_of_parquet(path, content)
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise _unreadable(name, "it is not text") from None
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "this is no path"
            if isinstance(error, FileNotFoundError) and self.output_dir is not None:
                reason += f" (relative paths are also looked for below {self.output_dir})"
            raise _unreadable(name, reason) from None

    def _found(self, name: str) -> Path:
        path = Path(name).expanduser()
        if self.output_dir is not None and not path.is_absolute() and not path.exists():
            saved = self.output_dir / path
            path = saved if saved.exists() else path
        return path.resolve()

    def _text_of_parquet(self, path: Path, content: bytes) -> str:
        # Read in the processes that callers' SQL runs in: a file made to do harm is held there.
        private_directory(self.files.directory)
        with (
            scratch_file(self.files.directory, ".parquet") as given,
            scratch_file(self.files.directory, ".csv") as result,
        ):
            given.write_bytes(content)
            table = {_GIVEN_TABLE: f"SELECT * FROM read_parquet({literal(str(given))})"}
            try:
                present = self.pool.run(
                    f"SELECT * FROM {_GIVEN_TABLE} LIMIT 0", max_rows=1, cohorts=table
                ).columns
                known = {column.lower() for column in (UUID_COLUMN, UID_COLUMN, *URL_COLUMNS)}
                named = ", ".join(identifier(name) for name in present if name.lower() in known)
                if named:
                    self.pool.run(
                        f"SELECT {named} FROM {_GIVEN_TABLE}",
                        max_rows=1,
                        cohorts=table,
                        save_to=result,
                        save_format="csv",
                    )
            except SqlError:
                raise _unreadable(path, "it is damaged, or no Parquet file") from None
            if not named:
                raise BadArgument(
                    f"The manifest {shortened(str(path))!r} has no column that names series.",
                    nearest=(UUID_COLUMN, UID_COLUMN, URL_COLUMNS[0]),
                    next_step="give a Parquet file with one of these columns",
                )
            if result.stat().st_size > MAX_MANIFEST_BYTES:
                raise _unreadable(path, f"it names series in over {MAX_MANIFEST_BYTES:,} bytes")
            return result.read_text(encoding="utf-8")


def _is_text(manifest: str) -> bool:
    line = manifest.strip()
    if "\n" in line or "\r" in line or "://" in line:
        return True
    parsed = parse_manifest(line)
    return bool(parsed.series_uuids or parsed.series_instance_uids)


def _told(problem: Problem, from_file: bool) -> str:
    text = "" if from_file else f" ({problem.text!r})"
    return f"line {problem.line}: {problem.why}{text}"


def _content(path: Path) -> bytes:
    """The bytes of a regular file, at most as many as a manifest may have.

    Raises
    ------
    BadArgument
        It is something else, empty, or too large.
    OSError
    """
    # Looked at before it is opened: opening a pipe waits, opening a device may do something.
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise _unreadable(path, f"it is {_kind(found.st_mode)}, not a regular file")
    if not found.st_size:  # so are the kernel's files, which may have no end
        raise _unreadable(path, "it is empty")
    with path.open("rb") as file:
        content = file.read(MAX_MANIFEST_BYTES + 1)
    if len(content) > MAX_MANIFEST_BYTES:
        raise BadArgument(
            f"The manifest {shortened(str(path))!r} has more than {MAX_MANIFEST_BYTES:,} bytes.",
            next_step="give a manifest of series, not of instances",
        )
    return content


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a socket"


def _unreadable(path: Path | str, reason: str) -> BadArgument:
    return BadArgument(
        f"The manifest {shortened(str(path))!r} cannot be read: {reason}.",
        next_step="give the absolute path of a manifest file, or its text",
    )


def _lines(path: Path) -> str:
    return (
        f"(SELECT DISTINCT id FROM read_csv({literal(str(path))}, header = false, "
        "delim = '\\t', quote = '', escape = '', columns = {'id': 'VARCHAR'})) AS given"
    )
