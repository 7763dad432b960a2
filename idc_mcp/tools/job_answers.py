"""How a download stands, in the words that its tools share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.quantities import bytes_text, duration_text
from idc_mcp.tools.calls import cancellation, report
from idc_mcp.transfer.job import COMPLETE
from idc_mcp.transfer.status import Status, amount, proofs, speed

if TYPE_CHECKING:
    from idc_mcp.app import App

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
    report(status.job.bytes_seen, status.job.bytes, progress_line(status))
    return not (stopped and stopped.is_set())


def progress_line(status: Status) -> str:
    """`120 MB of 300 MB (40%), 25 MB/s, 7 s left`."""
    job = status.job
    share = f" ({job.bytes_seen / job.bytes:.0%})" if job.bytes else ""
    parts = [f"{amount(status)}{share}{' looked at' if job.verifies and status.active else ''}"]
    if status.active:
        parts.append(f"{bytes_text(job.rate)}/s")
    if status.seconds_left is not None:
        parts.append(f"{duration_text(status.seconds_left)} left")
    return ", ".join([*parts, *filter(None, [speed(status)])])


def job_answer(app: App, status: Status) -> JobAnswer:
    """A job as an answer."""
    job = status.job
    return JobAnswer(
        release=f"IDC {job.release}",
        understood=job.understood,
        job=job.job,
        state=f"{job.state} ({job.action})" if job.verifies and status.active else job.state,
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
            rest=f"idc_jobs(job='{job.job}', state='{status.unfinished[0][0]}')",
        )
        if status.unfinished
        else None,
        next=_next(status),
    )


def age_text(since: float) -> str:
    """How long ago."""
    return f"{duration_text(max(0.0, time.time() - since))} ago"


def _proof(status: Status) -> str:
    verified = [f"verified again {status.job.checked}"] if status.job.checked else []
    return "; ".join(proofs(status) + verified)


def _next(status: Status) -> str:
    job = status.job
    if status.active:
        return (
            f"idc_jobs(job='{job.job}', wait_s=60), idc_job_control(job='{job.job}', "
            "action='cancel')"
        )
    if job.state == COMPLETE:
        return f"idc_job_control(job='{job.job}', action='verify') looks at the files again"
    return f"idc_job_control(job='{job.job}', action='resume') fetches only what is missing"
