"""What a download would do, before it does it: files, bytes, space, licences, layout."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from idc_mcp.errors import BadArgument
from idc_mcp.idc.buckets import stored
from idc_mcp.idc.licenses import summary
from idc_mcp.idc.sizes import free_bytes
from idc_mcp.idc.sql import identifier
from idc_mcp.quantities import bytes_text
from idc_mcp.transfer import receipts
from idc_mcp.transfer.clashes import Placed, clashes, long_paths
from idc_mcp.transfer.engines import DEFAULT, EngineName, check_installed
from idc_mcp.transfer.layout import Layout
from idc_mcp.transfer.objects import Series
from idc_mcp.transfer.receipts import Receipts

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

From = Literal["auto", "aws", "gcs"]
"""Where files come from; auto is AWS, and Google's mirror where AWS keeps failing."""

AskedEngine = Literal["auto", "obstore", "s5cmd"]

_COLUMNS = ("crdc_series_uuid", "SeriesInstanceUID")


@dataclass(frozen=True)
class Plan:
    """A download as it would be done.

    Attributes
    ----------
    files, without_files
        Files of the series whose number is known, and the series of which it is not.
    here_series, here_files, here_bytes
        What is whole on disk already; the files also of series that are not whole yet.
    here_size_only
        Those of the files that the store has no MD5 of.
    remaining
        Bytes that would be fetched.
    free
        Bytes free on the folder's disk.
    problems
        Why it cannot be done so, each with what to do; empty where it can.
    unknowns
        What of it cannot be proven, for want of figures in the catalogue.
    """

    cohort: Cohort
    folder: Path
    layout: str
    source: From
    engine: EngineName
    series: list[Series]
    files: int
    without_files: int
    bytes: int
    here_series: int
    here_files: int
    here_bytes: int
    here_size_only: int
    remaining: int
    free: int
    licences: str
    problems: list[str]
    cautions: list[str]
    unknowns: list[str]

    @property
    def example(self) -> str:
        """Where a first file would lie."""
        return str(Path(self.series[0].directory, "<crdc_instance_uuid>.dcm"))


def make_plan(
    index: Index,
    cohort: Cohort,
    folder: Path,
    *,
    layout: str,
    source: From = "auto",
    engine: AskedEngine = "auto",
) -> Plan:
    """Plan the download of a cohort into a folder; nothing is written.

    Raises
    ------
    BadArgument
        The cohort is empty, the layout is not one, or the engine is not installed.
    """
    template = Layout.parse(layout)
    chosen: EngineName = DEFAULT if engine == "auto" else engine
    check_installed(chosen)
    rows = _rows(index, cohort, template)
    if not rows:
        raise BadArgument(
            f"The cohort has no series: {cohort.understood[:200]}.",
            next_step="widen it with idc_cohort, or look for its parts with idc_search",
        )
    placed = [Placed(template.place(values), values) for values, _ in rows]
    series = [
        Series(number, values["crdc_series_uuid"], values["SeriesInstanceUID"], where, *rest)
        for number, ((values, rest), (where, _)) in enumerate(zip(rows, placed, strict=True))
    ]
    here = _here(folder, series)
    place, free = free_bytes(folder)
    clashing = clashes(template, placed)
    problems = [*clashing.versions, *_problems(place, here.remaining, series, source)]
    cautions = [*clashing.shared, *filter(None, [long_paths(where for where, _ in placed)])]
    if here.elsewhere:
        cautions.append(
            f"{here.elsewhere:,} series are in this folder already, in other directories: this "
            "layout would have them a second time"
        )
    if here.remaining > free:
        unproven = _unproven(folder, series)
        short = f"The disk at {place} has {bytes_text(free)} free"
        if here.remaining - unproven > free:
            problems.append(
                f"{short}, {bytes_text(here.remaining - unproven - free)} too little: give "
                "another directory or a smaller cohort"
            )
        else:
            cautions.append(
                f"{short}; it suffices if the {bytes_text(unproven)} of files that are there "
                "without receipts are whole, which is looked at first"
            )
    prior = sum(one.files is None for one in series)
    return Plan(
        cohort=cohort,
        folder=folder,
        layout=layout,
        source=source,
        engine=chosen,
        series=series,
        files=sum(one.files or 0 for one in series),
        without_files=prior,
        bytes=sum(one.bytes for one in series),
        here_series=here.series,
        here_files=here.files,
        here_bytes=here.bytes,
        here_size_only=here.size_only,
        remaining=here.remaining,
        free=free,
        licences=summary(index, cohort).sentence,
        problems=problems,
        cautions=cautions,
        unknowns=[
            f"{prior:,} series are prior versions, of which the catalogue has no number of files "
            "and sizes to 10 kB: that none is missing is proven to that."
        ]
        if prior
        else [],
    )


def _rows(index: Index, cohort: Cohort, template: Layout) -> list[tuple[dict[str, Any], Any]]:
    """For each series the values that place it, and (files, bytes, buckets)."""
    names = tuple(dict.fromkeys((*_COLUMNS, *template.columns)))
    columns = ", ".join(f"CAST({identifier(name)} AS VARCHAR)" for name in names)
    rows = index.rows(
        f"SELECT {columns}, instanceCount, series_bytes, aws_bucket, gcs_twin FROM {stored(cohort)}"
    )
    count = len(names)
    return [(dict(zip(names, row, strict=False)), row[count:]) for row in rows]


@dataclass
class _Here:
    """What is whole in a folder: series, and files and bytes also of other series."""

    series: int = 0
    files: int = 0
    bytes: int = 0
    size_only: int = 0
    remaining: int = 0
    """Bytes of the series that are not whole, less what is whole of them."""
    elsewhere: int = 0
    """Series that the folder has in other directories."""


def _here(folder: Path, series: list[Series]) -> _Here:
    """What is here by the receipts and the files; no network is asked."""
    try:
        known = {entry.name for entry in os.scandir(receipts.directory_of(folder))}
    except OSError:
        known = set()
    uuids = {name.partition(".")[0] for name in known}
    here = _Here()
    for one in series:
        if one.crdc_series_uuid not in uuids:
            here.remaining += one.bytes
            continue
        if receipts.path_of(folder, one).name not in known:
            here.remaining += one.bytes
            here.elsewhere += 1
            continue
        found = Receipts.of(folder, one)
        changed = {receipt.name for receipt in found.changed(folder, one)}
        kept = [receipt for receipt in found.files.values() if receipt.name not in changed]
        size = sum(receipt.size for receipt in kept)
        whole = not changed and found.adds_up(one)
        here.series += whole
        here.files += len(kept)
        here.bytes += size
        here.size_only += sum(receipt.checked == "size" for receipt in kept)
        here.remaining += 0 if whole else max(0, one.bytes - size)
    return here


def _unproven(folder: Path, series: list[Series]) -> int:
    """Bytes of files that lie where the series would, whoever put them there."""
    size = 0
    for directory in {one.directory for one in series}:
        with contextlib.suppress(OSError), os.scandir(folder / directory) as entries:
            size += sum(entry.stat().st_size for entry in entries if entry.name.endswith(".dcm"))
    return size


def _problems(place: Path, remaining: int, series: list[Series], source: From) -> Iterator[str]:
    if remaining and not os.access(place, os.W_OK):
        yield f"{place} cannot be written: give another directory, or change its rights"
    if source == "gcs" and (unknown := sum(one.gcs_bucket is None for one in series)):
        yield f"No bucket on Google Cloud is known for {unknown:,} series: use source='aws'"
