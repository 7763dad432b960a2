"""The tools that follow and steer downloads."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.app import App
from idc_mcp.errors import BadArgument
from idc_mcp.quantities import bytes_text
from idc_mcp.tools.job_answers import JobAnswer, Wait, age_text, job_answer, seen

_MOST_JOBS = 20
_MOST_SERIES = 100


State = Literal["", "complete", "running", "waiting", "failed", "refused", "cancelled"]


class SeriesAnswer(Answer):
    """What each series of a download came to."""

    elastic: ClassVar[tuple[str, ...]] = ("series",)

    job: str
    series: Table


class JobsAnswer(Answer):
    """All downloads of this machine, the latest first; or one of them."""

    elastic: ClassVar[tuple[str, ...]] = ("jobs",)

    jobs: Table


def idc_jobs(
    app: App,
    job: Annotated[str, Field(description="j_…; none: all downloads")] = "",
    wait_s: Wait = 0.0,
    state: Annotated[State, Field(description="lists its series in this state")] = "",
) -> Answer:
    """How downloads stand: files, bytes, rate, time left, series by state, reasons of failures."""
    if (state or wait_s) and not job:
        raise BadArgument(
            f"'{'state' if state else 'wait_s'}' is for one job, and 'job' is not given.",
            next_step="idc_jobs() lists the jobs; then again with job='j_…'",
        )
    if state and wait_s:
        raise BadArgument(
            "'state' lists series at once; 'wait_s' waits for the job.",
            next_step="give one of the two",
        )
    if state:
        return _series(app, job, state)
    if job:
        return job_answer(app, app.downloads.wait(job, wait_s, seen))
    found = app.downloads.table.jobs()
    return JobsAnswer(
        release=app.release_name,
        jobs=Table.of(
            ["job", "state", "files", "of", "size", "folder", "cohort", "begun"],
            [
                [
                    one.job, one.state, one.files_done, one.files, bytes_text(one.bytes),
                    one.folder, one.handle, age_text(one.created),
                ]
                for one in found
            ],
            limit=_MOST_JOBS,
            rest="`idc-mcp jobs` in a terminal lists all",
        ),
    )  # fmt: skip


def _series(app: App, job: str, state: State) -> SeriesAnswer:
    found = app.downloads.table.job(job)
    rows = app.downloads.table.outcomes(found.job, state, _MOST_SERIES)
    return SeriesAnswer(
        release=f"IDC {found.release}",
        job=found.job,
        series=Table(
            columns=["SeriesInstanceUID", "directory", "state", "whole", "files", "reason"],
            rows=[list(row) for row in rows],
            more=app.downloads.table.counts(found.job).get(state, 0) - len(rows),
            rest=f"`idc-mcp jobs {found.job} --series` prints all",
        ),
    )


def idc_job_control(
    app: App,
    job: Annotated[str, Field(description="j_…")],
    action: Annotated[
        Literal["cancel", "resume", "verify"],
        Field(description="verify: by receipts, no network"),
    ],
    deep: Annotated[bool, Field(description="verify every file's MD5")] = False,
    wait_s: Wait = 2.0,
) -> JobAnswer:
    """Cancel a download (whole files stay), resume it (fetches what is missing), or verify it."""
    if deep and action != "verify":
        raise BadArgument(
            f"'deep' is for action='verify', not for '{action}'.", next_step="leave deep out"
        )
    match action:
        case "cancel":
            status = app.downloads.cancel(job)
        case "resume":
            status = app.downloads.resume(job)
        case _:
            status = app.downloads.verify(job, deep=deep)
    if status.active:
        status = app.downloads.wait(job, wait_s, seen)
    return job_answer(app, status)
