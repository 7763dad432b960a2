"""Records: what a folder says of itself, so that it is understood and made again years later.

Beside the data lie `cohort.json` (what it is, with every series), `manifest.s5cmd`, `LICENSES`
and `CITATIONS.bib`; their texts stand in `record_texts`. The four go together: where others
have one of these names, all four carry the cohort's handle, and nothing that is not ours is
replaced.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from idc_mcp.errors import Unavailable
from idc_mcp.files import publish, shared_scratch_file
from idc_mcp.settings import Settings
from idc_mcp.transfer import record_texts
from idc_mcp.transfer.record_texts import WHAT, Download, Placed

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

NAMES = ("cohort.json", "manifest.s5cmd", "LICENSES", "CITATIONS.bib")
"""The records; the first says whose the others are."""

_OURS = re.compile(
    rf'\s*\{{\s*"what"\s*:\s*"{WHAT}[^"]*"\s*,\s*"format"\s*:\s*\d+\s*,'
    r'\s*"handle"\s*:\s*"(?P<handle>[^"]*)"\s*,\s*"idc_release"\s*:\s*"(?P<release>[^"]*)"'
)
_HEAD_BYTES = 4_096
"""As much of a cohort.json as is read to see whose it is."""


def write_records(
    index: Index,
    cohort: Cohort,
    folder: Path,
    *,
    settings: Settings,
    source: str,
    layout: str,
    series: Iterable[Placed],
    endpoint: str = "",
) -> list[Path]:
    """Write the records of a cohort into the folder of its data; returns their paths.

    Earlier records of the same cohort and release are replaced. All four are written before
    the first takes its place. The caller holds the folder's lock: two writers that find it
    empty at the same moment would both take the plain names.

    Parameters
    ----------
    source
        `aws`, `gcs`, or `auto` (Amazon's cloud first).
    layout
        The template by which `series` are placed; empty is flat.
    series
        Every series of the cohort, read once.
    endpoint
        The mirror that was asked instead of the cloud itself, if one was.

    Raises
    ------
    BadArgument
        The cohort has no series.
    Unavailable
        The folder cannot be made or written, or the disk is full.
    ValueError
        `series` are not as many as the cohort's.
    """
    try:
        # Not private: a laboratory's folder is read by colleagues, as its umask says.
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        download = Download(
            index=index,
            cohort=_in_full(cohort),
            folder=folder,
            names=_names(folder, cohort.handle, index.release.name),
            source=source,
            endpoint=_without_password(endpoint),
            layout=layout,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        contents = (
            record_texts.cohort_json(download, series),
            record_texts.manifest(download),
            record_texts.license_text(download),
            record_texts.bibliography(download, settings),
        )
        with ExitStack() as parts:
            written = []
            for name, lines in zip(download.names, contents, strict=True):
                part = parts.enter_context(shared_scratch_file(folder, Path(name).suffix))
                # A path on Linux may hold bytes that are no UTF-8; JSON reads them so.
                with part.open(
                    "w", encoding="utf-8", errors="backslashreplace", newline="\n"
                ) as file:
                    file.writelines(f"{line}\n" for line in lines)
                written.append((part, folder / name))
            for part, path in written:
                publish(part, path)
        return [path for _, path in written]
    except OSError as error:
        raise _unwritable(folder, error) from error


def _in_full(cohort: Cohort) -> Cohort:
    """The cohort with its whole definition in words, where its handle alone was said."""
    return replace(cohort, understood=cohort.spec.understood()) if cohort.spec else cohort


# -- whose they are ------------------------------------------------------------------------


def _names(folder: Path, handle: str, release: str) -> tuple[str, ...]:
    """The names of a cohort's records: those that it has there already, else free ones."""
    endings = ["", f"-{handle}"]
    for names in map(_with, endings):
        if _are_ours(folder, names, handle, release):
            return names
    more = (f"-{handle}-{number}" for number in count(2))
    return next(
        names
        for names in map(_with, chain(endings, more))
        if _are_ours(folder, names, handle, release)
        or not any(os.path.lexists(folder / name) for name in names)
    )


def _with(ending: str) -> tuple[str, ...]:
    return tuple(f"{Path(name).stem}{ending}{Path(name).suffix}" for name in NAMES)


def _are_ours(folder: Path, names: tuple[str, ...], handle: str, release: str) -> bool:
    """Whether the first of these files is this cohort's, and the others can be replaced."""
    for name in names:
        path = folder / name
        # Looked at before it is opened: opening a pipe waits.
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            return False
    try:
        with (folder / names[0]).open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return False
    found = _OURS.match(head)
    return found is not None and found.groups() == (handle, release)


# -- errors --------------------------------------------------------------------------------


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_MINE = {errno.EACCES, errno.EPERM, errno.EROFS}


def _unwritable(folder: Path, error: OSError) -> Unavailable:
    next_step = "give another directory"
    if error.errno in _FULL:
        next_step = "free space there, or give another directory"
    elif error.errno in _NOT_MINE:
        next_step = "give a directory that you can write, or have its owner let you"
    return Unavailable(
        f"The records of the download (licences, citations, manifest) cannot be written to "
        f"{folder}: {error.strerror or error}.",
        next_step=next_step,
    )


def _without_password(endpoint: str) -> str:
    """An endpoint as colleagues may read it: what stands before an @ is a secret."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
