"""The texts of the records in a downloaded folder: each a function that gives its lines."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Protocol

from idc_mcp import __version__
from idc_mcp.idc import licenses
from idc_mcp.idc.buckets import Source
from idc_mcp.idc.citations import citations
from idc_mcp.idc.manifests import writing as manifests
from idc_mcp.idc.terms import NOT_STATED, TERMS
from idc_mcp.quantities import bytes_text
from idc_mcp.settings import Settings

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

WHAT = "idc-mcp download record"
"""How cohort.json begins, and so how a record is told from a file of somebody else."""

FORMAT = 1
"""The version of cohort.json: raised when a key changes its meaning or goes."""

_ORIGINS = {
    "aws": "IDC's buckets on AWS",
    "gcs": "IDC's buckets on Google Cloud",
    "auto": "IDC's buckets on AWS, or on Google Cloud where AWS failed",
}
_WIDTH = 88
_ROUNDED = "The catalogue gives prior versions without instances, and their bytes to 10 kB only."
_UNREAD = (
    "The terms are not known here. The catalogue states no licence for series of prior "
    "versions: ask at the collection's own page."
)


class Placed(Protocol):
    """A series of the download, and where its files go.

    `directory` is relative to the folder, with `/`, and empty for the folder itself. `files`
    is None where the catalogue does not hold the number (prior versions).
    """

    @property
    def crdc_series_uuid(self) -> str:
        """The version of the series."""

    @property
    def SeriesInstanceUID(self) -> str:
        """The series."""

    @property
    def directory(self) -> str:
        """Where its files go."""

    @property
    def files(self) -> int | None:
        """How many there are."""

    @property
    def bytes(self) -> int:
        """What they come to."""


@dataclass(frozen=True)
class Download:
    """What all four records speak of."""

    index: Index
    cohort: Cohort
    folder: Path
    names: tuple[str, ...]
    source: str
    endpoint: str
    layout: str
    created: str

    @property
    def release(self) -> str:
        """How people name the release."""
        release = self.index.release
        return f"IDC {release.name} (idc-index-data {release.data_version})"

    @property
    def cloud(self) -> Source:
        """The cloud whose addresses the manifest has; `auto` asks Amazon's first."""
        return "gcs" if self.source == "gcs" else "aws"

    @property
    def origin(self) -> str:
        """Where the files come from, in words."""
        through = f" (through {self.endpoint})" if self.endpoint else ""
        return _ORIGINS.get(self.source, self.source) + through

    @property
    def manifest(self) -> str:
        """The path of the manifest, for a call that names it."""
        return str(self.folder / self.names[1])


# -- cohort.json ---------------------------------------------------------------------------


def cohort_json(download: Download, series: Iterable[Placed]) -> Iterator[str]:
    """JSON with a series a line, written as it goes."""
    index, cohort = download.index, download.cohort
    licence: dict[str, str | None] = dict(
        index.rows(f"SELECT crdc_series_uuid, license_short_name FROM {cohort.source}")
    )
    head = json.dumps(_facts(download), indent=1, ensure_ascii=False)
    yield f'{head.removesuffix("}").rstrip()},\n "series": ['
    encode = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps would make one a line
    line, written = "", 0
    for placed in series:
        if line:
            yield f"{line},"
        line = "  " + encode(
            {
                "crdc_series_uuid": placed.crdc_series_uuid,
                "SeriesInstanceUID": placed.SeriesInstanceUID,
                "directory": placed.directory or ".",
                "files": placed.files,
                "bytes": placed.bytes,
                "license": licence.get(placed.crdc_series_uuid) or NOT_STATED,
            }
        )
        written += 1
    yield f"{line}\n ]\n}}"
    if written != len(licence):
        raise ValueError(f"{written} series were placed of {len(licence)} in the cohort")


def _facts(download: Download) -> dict[str, Any]:
    """What cohort.json says before the series. `series` stays its only list: that is how
    `manifests.reading` finds it."""
    index, cohort, names = download.index, download.cohort, download.names
    found = manifests.counts(index, cohort)
    row = index.row(
        "SELECT count(DISTINCT collection_id), count(DISTINCT patient_key), "
        f"count(DISTINCT study_key) FROM {cohort.source}"
    )
    collections, patients, studies = row or (0, 0, 0)
    return {
        "what": f"{WHAT}: the series in this folder, and how to have them again",
        "format": FORMAT,
        "handle": cohort.handle,
        "idc_release": index.release.name,
        # These first: `records` reads them in the beginning of the file, to see whose it is.
        "layout": download.layout,
        "idc_index_data": index.release.data_version,
        "idc_mcp": __version__,
        "created": download.created,
        "name": cohort.name,
        "understood": cohort.understood,
        "counts": {
            "collections": collections,
            "patients": patients,
            "studies": studies,
            "series": found.series,
            "instances": None if found.without_files else found.files,
            "without_instances": found.without_files,
            "bytes": found.bytes,
            **({"note": _ROUNDED} if found.without_files else {}),
        },
        "source": download.source,
        "endpoint": download.endpoint or None,
        "records": ", ".join(names),
        "again": {
            "cohort": f"idc_cohort(manifest={download.manifest!r})",
            "cohort_at_a_terminal": f"idc-mcp cohort --manifest {shlex.quote(download.manifest)}",
            "download": "idc-mcp download HANDLE DIRECTORY, with the handle that these answer",
            "download_without_idc_mcp": manifests.command(
                Path(download.manifest), "s5cmd", download.cloud
            ),
        },
        "definition": cohort.spec.canonical() if cohort.spec else None,
        "sql": cohort.definition,
    }


# -- manifest, licences, citations ---------------------------------------------------------


def manifest(download: Download) -> Iterator[str]:
    """The manifest's lines. Not written by the engine: where the disk is full, the index
    would take the engine's error for damage of its database."""
    index, cohort, cloud = download.index, download.cohort, download.cloud
    *head, run = manifests.header(index, cohort, cloud, Path(download.names[1]))
    yield from (f"# {line}" for line in head)
    yield f"# Downloaded by idc-mcp {__version__} from {download.origin}, begun {download.created}"
    yield f"# Where each series lies, {download.names[0]} says. All of them flat, in one place:"
    yield f"# {run}"
    series = manifests.counts(index, cohort).series
    yield from manifests.preview(index, cohort, "s5cmd", cloud, series)


def bibliography(download: Download, settings: Settings) -> Iterator[str]:
    """BibTeX of all DOIs and of IDC itself, and the sentence for the methods section."""
    # Offline: a download does not wait for doi.org. What it has answered before is used.
    offline = replace(settings, offline=True)
    found = citations.cite(download.index, download.cohort, "bibtex", offline)
    methods = citations.methods_sentence(download.index, download.cohort)
    head = (
        f"What to cite for the data in this folder: cohort {download.cohort.handle}",
        f"Written by idc-mcp {__version__} on {download.created}",
        "The first entry is IDC's own, cited with every use; the others are the data's.",
        "For the methods section:",
        methods,
    )
    # BibTeX knows no comments: outside of entries it passes over everything but @.
    yield from (f"% {line.replace('@', ' at ')}" for line in head)
    yield ""
    yield citations.document(found, "bibtex", download.release).rstrip("\n")


def license_text(download: Download) -> Iterator[str]:
    """Plain text for a person: may I use this, what must I do, which files are under what."""
    index, cohort = download.index, download.cohort
    found = licenses.summary(index, cohort)
    may, why = licenses.answer_for(found, "any")
    yield from _titled("Licences of the data in this folder", "=")
    yield _wrapped(f"Cohort:   {cohort.handle} ({cohort.understood})", hang=10)
    if cohort.name:
        yield _wrapped(f"Name:     {cohort.name}", hang=10)
    yield f"Holds:    {_amount([row[1:] for row in found.rows])}"
    yield f"Release:  NCI Imaging Data Commons, {download.release}"
    yield f"From:     {download.origin}"
    yield f"Written:  {download.created} by idc-mcp {__version__}, as the download began"
    yield from ("", f"May it be used?       {may}", f"Also commercially?    {found.verdict}", "")
    yield _wrapped(why)
    if found.verdict == "in part":
        call = f"idc_cohort(manifest={download.manifest!r}, use='commercial')"
        yield _wrapped(f"The part that may be used commercially: {call}")
    yield ""
    yield _wrapped("This is a summary. What counts is the text of the licences behind the links.")
    yield from ("", *_titled("The licences"))
    for name, series, size in found.rows:
        terms = TERMS.get(name)
        commercial = "unknown" if terms is None else "yes" if terms.commercial else "no"
        yield name if terms is None or terms.long_name == name else f"{name}: {terms.long_name}"
        yield f"  {terms.url}" if terms else f"  {_wrapped(_UNREAD, hang=2)}"
        yield f"  {_amount([(series, size)])}; commercial use: {commercial}"
        yield ""
    yield from _titled("What they ask of you")
    yield from (_wrapped(f"- {asked}", hang=2) for asked in licenses.obligations(found))
    yield from ("", *_titled("Which data are under which licence"))
    yield from _by_collection(index, cohort)
    yield ""
    yield _wrapped(
        f"The licence of each series, with its directory, stands in {download.names[0]}; what "
        f"to cite, in {download.names[3]}."
    )
    if doubts := licenses.contradictions(index, cohort.source):
        yield from ("", *_titled("In doubt"))
        yield from (_wrapped(f"- {doubt}", hang=2) for doubt in doubts)


def _by_collection(index: Index, cohort: Cohort) -> Iterator[str]:
    rows = index.rows(
        "SELECT collection_id, coalesce(source_DOI, ?), "
        "string_agg(DISTINCT Modality, ' ' ORDER BY Modality), count(*), "
        "CAST(coalesce(sum(series_bytes), 0) AS BIGINT), coalesce(license_short_name, ?) "
        f"FROM {cohort.source} GROUP BY ALL ORDER BY 1, 4 DESC, 2, 6",
        ["no DOI", NOT_STATED],
    )
    cells = [("collection_id", "DOI", "Modality", "series", "size", "licence")] + [
        (str(where), str(doi), str(kinds or ""), f"{series:,}", bytes_text(size), str(name))
        for where, doi, kinds, series, size, name in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = [
            cell.rjust(width) if at in (3, 4) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(aligned).rstrip()


def _titled(title: str, rule: str = "-") -> tuple[str, str, str]:
    return title, rule * len(title), ""


def _wrapped(text: str, hang: int = 0) -> str:
    return fill(
        text,
        _WIDTH,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _amount(rows: Iterable[tuple[int, int]]) -> str:
    counted = list(rows)
    series = sum(row[0] for row in counted)
    return f"{series:,} series, {bytes_text(sum(row[1] for row in counted))}"
