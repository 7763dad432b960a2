"""How a download stands, in the words that its tools share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.quantities import bytes_text, duration_text
from idc_mcp.tools.calls import cancellation, report

if TYPE_CHECKING:
    from idc_mcp.app import App
    from idc_mcp.transfer.downloads import Status

Wait = Annotated[float, Field(ge=0, le=600, description="Seconds to wait for its end")]


class JobAnswer(Answer):
    """A download as it stands, and what its series came to."""

    elastic: ClassVar[tuple[str, ...]] = ("unfinished",)

    job: str
    state: str
    reason: str = ""
    folder: str = ""
    files: str = ""
    bytes: int
    progress: str = ""
    series: str = ""
    proof: str = ""
    unfinished: Table | None = None
    next: str = ""


def seen(status: Status) -> bool:
    """Tell the client how far a job is; False where the client waits no longer."""
    stopped = cancellation()
    report(status.job.bytes_done, status.job.bytes, progress_line(status))
    return not (stopped and stopped.is_set())


def progress_line(status: Status) -> str:
    """`120 MB of 300 MB (40%), 25 MB/s, 7 s left`."""
    job = status.job
    share = f" ({job.bytes_done / job.bytes:.0%})" if job.bytes else ""
    parts = [f"{bytes_text(job.bytes_done)} of {bytes_text(job.bytes)}{share}"]
    if status.active:
        parts.append(f"{bytes_text(job.rate)}/s")
        if status.seconds_left is not None:
            parts.append(f"{duration_text(status.seconds_left)} left")
    elif job.started and job.ended and job.bytes_fetched:
        took = max(job.ended - job.started, 0.001)
        verb = "fetched" if job.action == "download" else "read"
        parts.append(
            f"{bytes_text(job.bytes_fetched)} {verb} in {duration_text(took)}, "
            f"{bytes_text(job.bytes_fetched / took)}/s"
        )
    return ", ".join(parts)


def job_answer(app: App, status: Status) -> JobAnswer:
    """A job as an answer."""
    job = status.job
    return JobAnswer(
        release=f"IDC {job.release}",
        understood=job.understood,
        job=job.job,
        state=job.state if job.action == "download" else f"{job.state} ({job.action})",
        reason=job.reason,
        folder=job.folder,
        files=f"{job.files_done:,} of {job.files:,} whole" if job.files else f"{job.files_done:,}",
        bytes=job.bytes,
        progress=progress_line(status),
        series=", ".join(f"{count:,} {state}" for state, count in status.series.items()),
        proof=_proof(status),
        unfinished=Table.of(
            ["state", "reason", "series", "first"],
            status.unfinished,
            rest=f"idc_jobs(job='{job.job}', state='failed')",
        )
        if status.unfinished
        else None,
        next=_next(status),
    )


def age_text(since: float) -> str:
    """How long ago."""
    return f"{duration_text(max(0.0, time.time() - since))} ago"


def _proof(status: Status) -> str:
    job = status.job
    parts = []
    if by_md5 := job.files_done - job.size_only:
        parts.append(f"{by_md5:,} files by size and MD5")
    if job.size_only:
        parts.append(
            f"{job.size_only:,} by size alone (uploaded in parts, the store has no MD5 of them)"
        )
    if job.checked:
        parts.append(f"verified again {job.checked}")
    return "; ".join(parts)


def _next(status: Status) -> str:
    job = status.job
    if status.active:
        return (
            f"idc_jobs(job='{job.job}', wait_s=60), idc_job_control(job='{job.job}', "
            "action='cancel')"
        )
    if job.state == "complete":
        return f"idc_job_control(job='{job.job}', action='verify') looks at the files again"
    return f"idc_job_control(job='{job.job}', action='resume') fetches only what is missing"
