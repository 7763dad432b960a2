"""A download followed at a terminal: how far it is until its end, then what came of it.

Progress goes to standard error, as a bar where that is a terminal and else as a line now and
then; what came of it goes to standard output.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from idc_mcp.cli.terminal import heading, show
from idc_mcp.quantities import bytes_text, duration_text
from idc_mcp.transfer.job import CANCELLED, COMPLETE, FAILED, INTERRUPTED, REFUSED
from idc_mcp.transfer.status import Status, amount, files_text, proofs, speed

if TYPE_CHECKING:
    from idc_mcp.transfer.downloads import Downloads

LINE_EVERY_S = 5.0
"""The least time between two lines where nobody sees a bar."""

COUNT_EVERY_S = 1.0
"""The least time between two counts of a job's series."""
MOST_REASONS = 10

Shown = Callable[["Status"], bool]


def follow(downloads: Downloads, job: str) -> int:
    """Show a job to its end and what came of it; the exit status is 0 where all is complete.

    Ctrl-C cancels the job, another one leaves without waiting for that.
    """
    try:
        status = watched(downloads, job)
    except KeyboardInterrupt:
        print("Cancelling; Ctrl-C again leaves at once …", file=sys.stderr, flush=True)
        try:
            status = downloads.cancel(job)
        except KeyboardInterrupt:
            print(f"Left. Go on with: {resume_command(job)}", file=sys.stderr)
            return 130
        conclude(status)
        return 130
    return conclude(status)


def look_on(downloads: Downloads, job: str) -> int:
    """The same for a job that somebody else began: Ctrl-C leaves it alone."""
    try:
        return conclude(watched(downloads, job))
    except KeyboardInterrupt:
        print(f"{job} goes on by itself. Cancel it with: idc-mcp job {job} cancel")
        return 130


def watched(downloads: Downloads, job: str) -> Status:
    """Show how far a job is until it ends."""
    counts: dict[str, int] = {}
    count_at = 0.0

    with _progress() as shown:

        def seen(status: Status) -> bool:
            # While it runs the series are not counted at each look: there may be many.
            nonlocal counts, count_at
            if time.monotonic() >= count_at:
                counts = downloads.table.counts(job)
                count_at = time.monotonic() + COUNT_EVERY_S
            return shown(replace(status, series=counts))

        status = downloads.wait(job, inf, seen)
        shown(status)
    return status


def conclude(status: Status) -> int:
    """Say what came of a job that has ended; 0 where all of it is complete, else 1."""
    job = status.job
    whole = job.state == COMPLETE
    verifying = job.verifies
    print(heading(_headline(status)))
    said: dict[str, Any] = {"job": job.job}
    # Of files that are gone or damaged, the table below speaks.
    if job.reason and not (status.unfinished or job.reason == job.state):
        said["reason"] = job.reason
    said["proof"] = "; ".join(proofs(status))
    if verifying and job.checked and whole:
        said["looked at"] = job.checked
    said["speed"] = speed(status)
    if whole and not verifying:
        said["verify"] = f"idc-mcp job {job.job} verify --deep"
    if not whole:
        said["resume"] = f"{resume_command(job.job)}  (fetches only what is missing)"
    print(show({name: text for name, text in said.items() if text}))
    if unfinished := reasons(status):
        print(f"\n{unfinished}")
    return 0 if whole else 1


def reasons(status: Status) -> str:
    """Why series are not complete, and the first one of each; empty where nothing went wrong.

    No table: reasons are sentences, and directories are long.
    """
    if not status.unfinished or status.job.state == CANCELLED:
        return ""
    lines = ["not complete:"]
    for state, reason, series, first in status.unfinished[:MOST_REASONS]:
        lines += [f"  {series:,} series {state}: {reason}", f"    first  {first}"]
    if len(status.unfinished) > MOST_REASONS:
        lines.append("  …")
    return "\n".join([*lines, f"  all    idc-mcp jobs {status.job.job} --series"])


def counted(status: Status) -> str:
    """`114 of 253 files, 2 of 6 series complete`, and what else series have come to."""
    job, series = status.job, status.series
    of = f" of {job.files:,}" if job.files else ""
    parts = [
        f"{job.files_done:,}{of} files",
        f"{series.get(COMPLETE, 0):,} of {job.series:,} series complete",
    ]
    parts += [f"{series[state]:,} {state}" for state in (FAILED, REFUSED) if series.get(state)]
    return ", ".join(parts)


def resume_command(job: str) -> str:
    """What a person types to go on with a job."""
    return f"idc-mcp job {job} resume"


def _headline(status: Status) -> str:
    job = status.job
    amount = f"{files_text(job.files_done)}, {bytes_text(job.bytes_done)}"
    if job.state == COMPLETE:
        word = "Verified" if job.verifies else "Complete"
        return f"{word}: {amount}, in {job.folder}"
    word = {CANCELLED: "Cancelled", INTERRUPTED: "Interrupted"}.get(job.state, "Not complete")
    if job.verifies:
        word = "Not all is as received" if job.state == FAILED else f"Verification {job.state}"
    of = f" of {job.files:,}" if job.files else ""
    return (
        f"{word}: {job.files_done:,}{of} files, {bytes_text(job.bytes_done)} of "
        f"{bytes_text(job.bytes)}, are whole in {job.folder}"
    )


def _amounts(status: Status) -> tuple[str, str, str]:
    """`28.9 MB of 64.3 MB`, `15.8 MB/s` and `2 s left`."""
    job = status.job
    rate = f"{bytes_text(job.rate)}/s" if status.active and job.rate else ""
    seconds = status.seconds_left
    return amount(status), rate, f"{duration_text(seconds)} left" if seconds is not None else ""


# -- how it looks --------------------------------------------------------------------------


@contextmanager
def _progress() -> Iterator[Shown]:
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        try:
            with _bar() as shown:
                yield shown
        finally:
            print(file=sys.stderr)
    else:
        yield _lines()


def _lines() -> Shown:
    """A line at once, one now and then, and one at the end."""
    next_at = time.monotonic()

    def shown(status: Status) -> bool:
        nonlocal next_at
        if not status.active or time.monotonic() >= next_at:
            next_at = time.monotonic() + LINE_EVERY_S
            share = f"{status.job.bytes_seen / status.job.bytes:.0%}" if status.job.bytes else ""
            parts = filter(None, (share, *_amounts(status), counted(status)))
            print(", ".join(parts), file=sys.stderr, flush=True)
        return True

    return shown


@contextmanager
def _bar() -> Iterator[Shown]:
    """A bar with its amounts, and below it a line with files and series."""
    from rich.console import Console, RenderableType  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    below = Text("     starting …", style="dim", no_wrap=True, overflow="ellipsis")

    class TwoLines(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            yield below

    with TwoLines(
        TaskProgressColumn("{task.percentage:>3.0f}%"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[amounts]}"),
        console=Console(stderr=True, highlight=False),
        expand=True,
    ) as progress:
        task = progress.add_task("", total=1, amounts="")
        widest = 0

        def shown(status: Status) -> bool:
            nonlocal widest
            amounts = "  ".join(filter(None, _amounts(status)))
            widest = max(widest, len(amounts))  # or the bar would be another one each time
            below.plain = f"     {counted(status)}"
            progress.update(
                task,
                total=max(1, status.job.bytes),
                completed=status.job.bytes_seen,
                amounts=amounts.ljust(widest if status.active else 0),
            )
            return True

        yield shown
