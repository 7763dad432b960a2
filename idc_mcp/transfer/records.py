"""Records: what a folder says of itself, so that it is understood and made again years later.

Beside the data lie `cohort.json` (what it is, with every series), `manifest.s5cmd`, `LICENSES`
and `CITATIONS.bib`; their texts stand in `record_texts`. The four go together: where something
else has one of these names, all four carry the cohort's handle. What is there stays as it is,
our own too: a person may have put a better CITATIONS.bib in the place of ours.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_mcp.errors import Unavailable
from idc_mcp.files import publish, shared_scratch_file
from idc_mcp.idc.buckets import without_password
from idc_mcp.settings import Settings
from idc_mcp.transfer import record_texts
from idc_mcp.transfer.record_texts import WHAT, Download, Placed

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

NAMES = ("cohort.json", "manifest.s5cmd", "LICENSES", "CITATIONS.bib")
"""The records; the first says whose the others are."""

_HEAD_BYTES = 4_096
"""As much of a cohort.json as is read to see whose it is. A layout has 300 characters at most."""

_LOOKED_FOR = 10
"""So many names are looked through for a cohort's own records before free names are taken."""


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

    Records that are there already, of the same cohort, release and layout, are kept as they
    are: only what is missing of them is written, and nothing where all four are there. All that
    is written is whole before the first takes its place.

    The caller holds the lock of the state directory under which `Downloads` begins: two writers
    that find a folder empty at the same moment would both take the plain names. It does not
    hold off people with other state directories; of theirs, the last written would stay.

    Parameters
    ----------
    source
        `aws`, `gcs`, or `auto` (Amazon's cloud first).
    layout
        The template by which `series` are placed; empty is flat.
    series
        Every series of the cohort, read once, and only where cohort.json is to be written.
    endpoint
        The mirror that was asked instead of the cloud itself, if one was.

    Raises
    ------
    BadArgument
        The cohort has no series.
    Unavailable
        Something is to be written, and the folder cannot be made or written, or the disk is full.
    ValueError
        `series` are not as many as the cohort's.
    """
    try:
        # Not private: a laboratory's folder is read by colleagues, as its umask says.
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        names = _names(folder, cohort.handle, index.release.name, layout)
        missing = [name for name in names if not os.path.lexists(folder / name)]
        if not missing:
            return [folder / name for name in names]
        download = Download(
            index=index,
            cohort=_in_full(cohort),
            folder=folder,
            names=names,
            source=source,
            endpoint=without_password(endpoint),
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
            for name, lines in zip(names, contents, strict=True):
                if name not in missing:
                    continue
                part = parts.enter_context(shared_scratch_file(folder, Path(name).suffix))
                # A path on Linux may hold bytes that are no UTF-8; JSON reads them so.
                with part.open(
                    "w", encoding="utf-8", errors="backslashreplace", newline="\n"
                ) as file:
                    file.writelines(f"{line}\n" for line in lines)
                written.append((part, folder / name))
            # cohort.json first: where the power goes between two of them, it says whose the
            # others are, and the next run writes what is missing.
            for part, path in written:
                publish(part, path)
        return [folder / name for name in names]
    except OSError as error:
        raise _unwritable(folder, error) from error


def _in_full(cohort: Cohort) -> Cohort:
    """The cohort with its whole definition in words, where its handle alone was said."""
    return replace(cohort, understood=cohort.spec.understood()) if cohort.spec else cohort


# -- whose they are ------------------------------------------------------------------------


def _names(folder: Path, handle: str, release: str, layout: str) -> tuple[str, ...]:
    """The names of a cohort's records: those that it has there already, else free ones."""
    ours = (handle, release, layout)
    for names in islice(_candidates(handle), _LOOKED_FOR):
        if _are_ours(folder, names, ours):
            return names
    return next(
        names
        for names in _candidates(handle)
        if not any(os.path.lexists(folder / name) for name in names)
        or _are_ours(folder, names, ours)
    )


def _candidates(handle: str) -> Iterator[tuple[str, ...]]:
    yield NAMES
    yield _with(f"-{handle}")
    for number in count(2):
        yield _with(f"-{handle}-{number}")


def _with(ending: str) -> tuple[str, ...]:
    return tuple(f"{Path(name).stem}{ending}{Path(name).suffix}" for name in NAMES)


def _are_ours(folder: Path, names: tuple[str, ...], ours: tuple[str, str, str]) -> bool:
    """Whether the first of these files says that it is ours, and the others are files or free.

    Parameters
    ----------
    ours
        Handle, release and layout.
    """
    try:
        for name in names:
            # Looked at before it is opened: opening a pipe waits. Links to files are files:
            # archives such as git-annex's make them of what they keep.
            if os.path.lexists(folder / name) and not (folder / name).is_file():
                return False
        with (folder / names[0]).open("rb") as file:
            head = _head(file.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace"))
    except OSError:
        return False
    what, form = head.get("what"), head.get("format")
    if not (isinstance(what, str) and what.startswith(WHAT) and isinstance(form, int)):
        return False
    return (head.get("handle"), head.get("idc_release"), head.get("layout")) == ours


_OPEN, _COLON, _COMMA = (re.compile(rf"[ \t\n\r]*{mark}[ \t\n\r]*") for mark in (r"\{", ":", ","))


def _head(text: str) -> dict[str, Any]:
    """The keys of a JSON object whose values are whole in the beginning of its text."""
    read = json.JSONDecoder().raw_decode
    found: dict[str, Any] = {}
    mark = _OPEN.match(text)
    try:
        while mark:
            key, end = read(text, mark.end())
            colon = _COLON.match(text, end)
            if colon is None or not isinstance(key, str):
                break
            found[key], end = read(text, colon.end())
            mark = _COMMA.match(text, end)
    except (ValueError, RecursionError):
        pass  # cut off in the middle of this value, or no JSON from here on
    return found


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
