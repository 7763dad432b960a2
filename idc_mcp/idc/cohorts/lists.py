"""Series given one by one: by a SELECT, a list, or a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from idc_mcp.answers import plain
from idc_mcp.errors import BadArgument, NotFound, Refused
from idc_mcp.files import private_directory, scratch_file
from idc_mcp.idc.cohorts.definitions import SeriesSet
from idc_mcp.idc.cohorts.files import CohortFiles
from idc_mcp.idc.manifests.reading import parse_manifest
from idc_mcp.idc.sql import identifier, literal
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.store import Index

SERIES_COLUMNS = ("crdc_series_uuid", "SeriesInstanceUID")
MAX_MANIFEST_BYTES = 256_000_000


@dataclass(frozen=True)
class Listed:
    """A set of series, and what was said about how the list was read."""

    series: SeriesSet
    notes: list[str] = field(default_factory=list)


class SeriesLists:
    """Turns series that were given one by one into a kept set."""

    def __init__(self, index: Index, pool: SqlPool, files: CohortFiles) -> None:
        self.index = index
        self.pool = pool
        self.files = files

    def of_sql(self, sql: str, views: Mapping[str, str]) -> SeriesSet:
        """The series that a caller's SELECT yields; `views` are the cohorts that it may name.

        Raises
        ------
        BadArgument
            No column of the result identifies series, or the result is empty.
        SqlError, Refused
            As `SqlPool.run`.
        """
        private_directory(self.files.directory)
        with scratch_file(self.files.directory, ".parquet") as result:
            given = self.pool.run(
                sql, max_rows=1, cohorts=views, save_to=result, save_format="parquet"
            )
            found = {name.lower(): name for name in given.columns}
            for column in SERIES_COLUMNS:
                if column.lower() in found:
                    return self._keep(column, identifier(found[column.lower()]), result)
        raise BadArgument(
            f"The SELECT yields {', '.join(given.columns) or 'no columns'}, none of which "
            "identifies series.",
            nearest=SERIES_COLUMNS,
            next_step="select crdc_series_uuid or SeriesInstanceUID, for example "
            "SELECT crdc_series_uuid FROM index WHERE …",
        )

    def of_manifest(self, manifest: str, *, hosted: bool) -> Listed:
        """The series of a manifest: the path of a file on this machine, or its text.

        Raises
        ------
        BadArgument
            The file cannot be read, or no line of it names a series.
        Refused
            A path is given to a server that is not on the caller's machine.
        NotFound
            None of its series is in this release or among its prior versions.
        """
        text = manifest if _is_text(manifest) else _read(manifest, hosted=hosted)
        parsed = parse_manifest(text)
        if not parsed.series_uuids and not parsed.series_instance_uids:
            lines = ", ".join(f"line {number}: {why}" for number, _, why in parsed.problems[:3])
            raise BadArgument(
                f"No line of the manifest names a series ({lines or 'it is empty'}).",
                next_step="give a manifest of the IDC portal or s5cmd (cp s3://bucket/uuid/* .), "
                "or a list of crdc_series_uuid or SeriesInstanceUID, one a line",
            )
        listed = self.of_list(parsed.series_uuids, parsed.series_instance_uids)
        notes = list(listed.notes)
        if parsed.problems:
            number, _, why = parsed.problems[0]
            notes.append(
                f"{plain(len(parsed.problems))} lines were not understood "
                f"(the first: line {number}, {why})"
            )
        return Listed(listed.series, notes)

    def of_list(self, uuids: Sequence[str], instance_uids: Sequence[str]) -> Listed:
        """The series of crdc_series_uuids and SeriesInstanceUIDs; unknown ones are counted.

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
                raise NotFound(
                    f"None of the {plain(total)} series is in IDC {self.index.release.name} or "
                    f"among its prior versions, the first being {missing[0][0]}.",
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

    def _keep(self, column: str, name: str, result: Path) -> SeriesSet:
        rows = f"read_parquet({literal(str(result))})"
        given = (
            f"SELECT DISTINCT CAST({name} AS VARCHAR) AS id FROM {rows} WHERE {name} IS NOT NULL"
        )
        count = self.index.value(f"SELECT count(*) FROM ({given})")
        if not count:
            raise BadArgument(
                "The SELECT yields no series.",
                next_step="run it with idc_sql and loosen its conditions one by one",
            )
        tables = ["core.series"]
        if column == "crdc_series_uuid":
            tables.append("core.prior")
        known = " UNION ALL ".join(
            f"SELECT crdc_series_uuid FROM {table} SEMI JOIN ({given}) ON {column} = id"
            for table in tables
        )
        found = self.index.value(f"SELECT count(DISTINCT crdc_series_uuid) FROM ({known})")
        if found != count:
            raise BadArgument(
                f"{plain(count - found)} of the {plain(count)} values of {column} that the SELECT "
                f"yields are no series of IDC {self.index.release.name}.",
                next_step="join with index on SeriesInstanceUID (or select crdc_series_uuid for "
                "prior versions)",
            )
        return self.files.keep_series(known)


def _is_text(manifest: str) -> bool:
    return "\n" in manifest.strip() or "://" in manifest


def _read(path_text: str, *, hosted: bool) -> str:
    if hosted:
        raise Refused(
            "This server is not on your machine and reads no files of it.",
            next_step="give the manifest's text instead of its path",
        )
    path = Path(path_text).expanduser()
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise BadArgument(
                f"{path} has more than {MAX_MANIFEST_BYTES:,} bytes.",
                next_step="give a manifest of series, not of instances",
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise BadArgument(
            f"The manifest {str(path)[:200]!r} cannot be read: {reason}.",
            next_step="give the absolute path of a manifest file, or its text",
        ) from None


def _lines(path: Path) -> str:
    return (
        f"(SELECT DISTINCT id FROM read_csv({literal(str(path))}, header = false, "
        "delim = '\\t', quote = '', escape = '', columns = {'id': 'VARCHAR'})) AS given"
    )
