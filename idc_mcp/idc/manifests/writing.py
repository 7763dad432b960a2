"""Writing manifests: a cohort as a file of addresses, and the one command that uses it.

The engine writes the file itself, so a manifest of the whole release takes about a second.
Lines are in the catalogue's order: by collection, patient, study, series.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from idc_mcp.errors import BadArgument
from idc_mcp.files import whole_file
from idc_mcp.idc.buckets import ENDPOINTS, Source, addressed
from idc_mcp.idc.licenses import summary
from idc_mcp.idc.manifests.reading import shortened
from idc_mcp.idc.sql import literal, literals
from idc_mcp.quantities import bytes_text

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

Format = Literal["s5cmd", "urls", "csv", "parquet", "json"]

SUFFIXES: dict[Format, tuple[str, ...]] = {
    "s5cmd": (".s5cmd", ".txt"),
    "urls": (".txt", ".urls"),
    "csv": (".csv",),
    "parquet": (".parquet",),
    "json": (".json",),
}
"""The endings of a file of each format, the usual one first."""

COLUMNS = (
    "collection_id", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "crdc_series_uuid",
    "Modality", "license_short_name", "source_DOI", "instanceCount", "series_size_MB", "url",
)  # fmt: skip
"""Columns of a csv, parquet or json manifest. `series_size_MB` is decimal megabytes."""

PREVIEW_LINES = 3
HOSTED_LINES = 50
"""Lines shown by a server that writes no files: a small manifest is then there whole."""

_LINES: dict[str, str] = {"s5cmd": "'cp ' || url || ' .'", "urls": "url"}
_COPY: dict[Format, str] = {
    # Addresses hold no quotes, tabs or line breaks: the lines are written as they are.
    "s5cmd": "FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\t'",
    "urls": "FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\t'",
    "csv": "FORMAT csv, HEADER true",
    "parquet": "FORMAT parquet",
    "json": "FORMAT json, ARRAY true",
}


@dataclass(frozen=True)
class Counts:
    """What a manifest names: series, exact bytes, and files where they are known."""

    series: int
    bytes: int
    files: int
    without_files: int
    """Series whose number of files the index does not hold (prior versions)."""


def counts(index: Index, cohort: Cohort) -> Counts:
    """The series, bytes and files of a cohort.

    Raises
    ------
    BadArgument
        The cohort has no series.
    """
    row = index.row(
        "SELECT count(*), CAST(coalesce(sum(series_bytes), 0) AS BIGINT), "
        "CAST(coalesce(sum(instanceCount), 0) AS BIGINT), count(*) - count(instanceCount) "
        f"FROM {cohort.source}"
    )
    found = Counts(*map(int, row or (0, 0, 0, 0)))
    if not found.series:
        raise BadArgument(
            f"The cohort has no series: {shortened(cohort.understood)}.",
            next_step="widen it with idc_cohort, or look for its parts with idc_search",
        )
    return found


def file_name(cohort: Cohort, form: Format, source: Source) -> str:
    """A name for the file that no other manifest has."""
    return f"{cohort.handle}{'' if source == 'aws' else f'-{source}'}{SUFFIXES[form][0]}"


def preview(
    index: Index, cohort: Cohort, form: Format, source: Source, lines: int = PREVIEW_LINES
) -> list[str]:
    """The first `lines` lines of a manifest; of the tabular formats, as CSV."""
    rows = addressed(index, cohort, source)
    if form in _LINES:
        first = index.rows(f"SELECT {_LINES[form]} FROM {rows} LIMIT {lines}")
        return [str(line) for (line,) in first]
    found = index.rows(f"SELECT {', '.join(COLUMNS)} FROM {rows} LIMIT {lines}")
    return [
        ",".join(COLUMNS),
        *(",".join("" if cell is None else str(cell) for cell in row) for row in found),
    ]


def write(index: Index, cohort: Cohort, form: Format, source: Source, path: Path) -> None:
    """Write the whole manifest to `path`, whole or not at all."""
    rows = addressed(index, cohort, source)
    if form in _LINES:
        query = f"SELECT {_LINES[form]} AS line FROM {rows}"
        if form == "s5cmd":
            head = literals(f"# {line}" for line in header(index, cohort, source, path))
            query = f"SELECT unnest([{head}]) AS line UNION ALL {query}"
    else:
        query = f"SELECT {', '.join(COLUMNS)} FROM {rows}"
    with whole_file(path) as part:
        index.rows(f"COPY ({query}) TO {literal(str(part))} ({_COPY[form]})")


def header(index: Index, cohort: Cohort, source: Source, path: Path) -> list[str]:
    """The comment lines of an s5cmd manifest: release, counts, cohort, licences, command."""
    found = counts(index, cohort)
    files = f"{found.files:,} files" if not found.without_files else "files not all counted"
    release = index.release
    lines = [
        f"NCI Imaging Data Commons {release.name} (idc-index-data {release.data_version}): "
        f"{found.series:,} series, {files}, {bytes_text(found.bytes)} ({found.bytes} bytes)",
        f"Cohort {cohort.handle}: {cohort.understood}",
        f"Licences: {summary(index, cohort).sentence}",
        f"Run: {command(path, 's5cmd', source)}",
    ]
    return [" ".join(line.split()) for line in lines]


def command(path: Path, form: Format, source: Source) -> str:
    """The one command that downloads what the manifest names, into the current directory."""
    run = f"s5cmd --no-sign-request --endpoint-url {ENDPOINTS[source]} run"
    file = shlex.quote(str(path))
    match form:
        case "s5cmd":
            return f"{run} {file}"
        case "urls":
            return f"sed 's|.*|cp & .|' {file} | {run}"
        case "csv":  # url is the last column, and holds no comma
            return f"sed -n 's|.*,\\(s3://.*\\)$|cp \\1 .|p' {file} | {run}"
        case "parquet":
            script = (
                "import sys,pandas; "
                "[print('cp',u,'.') for u in pandas.read_parquet(sys.argv[1]).url]"
            )
        case "json":
            script = (
                "import sys,json; [print('cp',r['url'],'.') for r in json.load(open(sys.argv[1]))]"
            )
    return f'python -c "{script}" {file} | {run}'
