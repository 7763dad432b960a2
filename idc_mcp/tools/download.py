"""The tool that downloads: a plan, a confirmation where it is large, then a job."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from idc_mcp.answers import Answer
from idc_mcp.app import App
from idc_mcp.errors import Refused
from idc_mcp.idc.cohorts.resolve import Cohort, name_for
from idc_mcp.outputs import output_directory
from idc_mcp.quantities import bytes_text
from idc_mcp.tools.calls import cancellation, confirmed
from idc_mcp.tools.job_answers import Wait, progress_line, seen
from idc_mcp.transfer.layout import DEFAULT_LAYOUT
from idc_mcp.transfer.plan import AskedEngine, From, Plan


class DownloadAnswer(Answer):
    """The plan of a download, and its job where it was begun."""

    elastic: ClassVar[tuple[str, ...]] = ("cautions", "problems")

    state: str
    job: str = ""
    folder: str
    series: int
    files: int | None
    bytes: int
    size: str = ""
    here: str = ""
    to_fetch: str = ""
    free: str = ""
    licences: str = ""
    layout: str = ""
    source: str = ""
    engine: str = ""
    problems: list[str] | None = None
    cautions: list[str] | None = None
    progress: str = ""
    next: str


def idc_download(
    app: App,
    cohort: Annotated[str, Field(description="Handle or identifiers")],
    directory: Annotated[
        str, Field(description="below the output directory; none: named by the cohort")
    ] = "",
    layout: Annotated[
        str, Field(description="Directories by %columns of index; empty: flat")
    ] = DEFAULT_LAYOUT,
    source: Annotated[From, Field(description="auto: AWS, then Google's mirror")] = "auto",
    engine: Annotated[AskedEngine, Field(description="auto is right")] = "auto",
    dry_run: Annotated[bool, Field(description="the plan only")] = False,
    confirm_over_gb: Annotated[
        float | None, Field(ge=0, description="GB the user agreed to fetch")
    ] = None,
    wait_s: Wait = 2.0,
) -> DownloadAnswer:
    """Download a cohort's DICOM files to the user's disk, each verified by size and MD5.

    Plans first (files, bytes, what is here, free disk, licences), then starts a job that goes
    on by itself: idc_jobs follows it, idc_job_control cancels, resumes, verifies. What is
    whole is never fetched twice.
    """
    resolved = app.cohorts.resolve(cohort)
    folder = output_directory(app.settings, directory or _default_directory(resolved))
    plan = app.downloads.plan(resolved, folder, layout=layout, source=source, engine=engine)
    name = name_for(app.cohorts, cohort, resolved)
    if dry_run or plan.problems:
        state: Literal["planned", "blocked"] = "blocked" if plan.problems else "planned"
        way = "change what the problems name" if plan.problems else "the same without dry_run"
        return _answer(app, plan, state, f"{way}: idc_download(cohort={name!r}, …)")
    setting = app.settings.confirm_over_gb
    limit_gb = setting if confirm_over_gb is None else min(setting, confirm_over_gb)
    if plan.remaining > limit_gb * 1e9 and not _agreed(plan, confirm_over_gb):
        return _answer(
            app,
            plan,
            "to be confirmed",
            f"over {limit_gb:g} GB: ask the user, then idc_download(cohort={name!r}, …, "
            f"confirm_over_gb={plan.remaining / 1e9 + 0.1:.1f})",
        )
    if (stopped := cancellation()) and stopped.is_set():
        raise Refused("The call was cancelled; nothing was begun.", next_step="call again")
    begun = app.downloads.start(plan)
    status = app.downloads.wait(begun.job, wait_s, seen)
    job = status.job
    following = (
        f"idc_jobs(job='{job.job}', wait_s=60) follows it"
        if status.active
        else f"idc_jobs(job='{job.job}') tells what came of it"
    )
    answer = _answer(app, plan, job.state, following)
    changes: dict[str, Any] = {"job": job.job, "progress": progress_line(status)}
    if not begun.new:
        joined = "The same download was under way already, as it was begun: nothing was added."
        changes |= {
            "source": job.source, "engine": job.engine,
            "cautions": [joined, *(answer.cautions or [])],
        }  # fmt: skip
    return answer.model_copy(update=changes)


def _agreed(plan: Plan, said_gb: float | None) -> bool:
    """Whether the user says yes; where nobody can be asked, what the caller says they agreed to.

    Raises
    ------
    Refused
        The user says no.
    """
    files = f"{plan.files:,} files" if not plan.without_files else f"{len(plan.series):,} series"
    # Nothing here may change by itself, as free space does: an answer is to these words.
    said = confirmed(
        f"Download {bytes_text(plan.remaining)} ({files}) to {plan.folder}? {plan.licences}"
    )
    if said is False:
        raise Refused(
            f"The user did not agree to download {bytes_text(plan.remaining)}; nothing was begun.",
            next_step="ask what they want instead: a smaller cohort, or another directory",
        )
    return said is True or (said_gb is not None and plan.remaining <= said_gb * 1e9)


def _default_directory(cohort: Cohort) -> str:
    """A name that the same cohort has however it is said: its collection's, or its handle."""
    return (cohort.spec.whole_collection if cohort.spec else "") or cohort.handle


def _answer(app: App, plan: Plan, state: str, following: str) -> DownloadAnswer:
    unknown = plan.without_files
    here = (
        f"{plan.here_series:,} series whole, {plan.here_files:,} files, "
        f"{bytes_text(plan.here_bytes)}"
        if plan.here_files
        else ""
    )
    cautions = [*plan.cautions, *plan.unknowns]
    return DownloadAnswer(
        release=app.release_name,
        understood=plan.cohort.understood,
        state=state,
        folder=str(plan.folder),
        series=len(plan.series),
        files=None if unknown == len(plan.series) else plan.files,
        bytes=plan.bytes,
        size=bytes_text(plan.bytes),
        here=here,
        to_fetch=bytes_text(plan.remaining),
        free=bytes_text(plan.free),
        licences=plan.licences,
        layout=plan.example,
        source=plan.source,
        engine=plan.engine,
        problems=plan.problems or None,
        cautions=cautions or None,
        next=following,
    )
