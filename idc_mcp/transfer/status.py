"""How a download stands, and the words for it that tools and terminal share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from idc_mcp.quantities import bytes_text, duration_text
from idc_mcp.transfer.job import ACTIVE, Job


@dataclass(frozen=True)
class Status:
    """A job with what its series came to.

    Attributes
    ----------
    series
        How many series are in which state.
    unfinished
        (state, reason, series, directory of the first) of series that came to a bad end.
    """

    job: Job
    series: dict[str, int]
    unfinished: list[tuple[Any, ...]]

    @property
    def active(self) -> bool:
        """Whether a worker is at it."""
        return self.job.state in ACTIVE

    @property
    def seconds_left(self) -> float | None:
        """At the present rate; None where nothing moves."""
        left = self.job.bytes - self.job.bytes_seen
        return left / self.job.rate if self.active and self.job.rate > 0 else None


def amount(status: Status) -> str:
    """`120 MB of 300 MB`."""
    return f"{bytes_text(status.job.bytes_seen)} of {bytes_text(status.job.bytes)}"


def speed(status: Status) -> str:
    """What a download that has ended fetched, and how fast; '' where it fetched nothing."""
    job = status.job
    if status.active or job.verifies or not (job.started and job.ended and job.bytes_fetched):
        return ""
    took = max(job.ended - job.started, 0.001)
    return (
        f"{bytes_text(job.bytes_fetched)} fetched in {duration_text(took)}, "
        f"{bytes_text(job.bytes_fetched / took)}/s"
    )


def proofs(status: Status) -> list[str]:
    """How the whole files were proven, and what was not."""
    job = status.job
    parts = []
    if by_md5 := job.files_done - job.size_only:
        parts.append(f"{files_text(by_md5)} by size and MD5")
    if job.size_only:
        parts.append(
            f"{files_text(job.size_only)} by size alone (uploaded in parts: the store has no MD5)"
        )
    if job.replaced:
        parts.append(
            f"{files_text(job.replaced)} not any more what had come, fetched again; the old ones "
            "are in .idc-mcp/replaced"
        )
    if job.caution:
        parts.append(job.caution)
    return parts


def files_text(count: int) -> str:
    """`1 file`, `1,258 files`."""
    return f"{count:,} file{'' if count == 1 else 's'}"
