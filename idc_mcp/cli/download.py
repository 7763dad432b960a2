"""`idc-mcp download COHORT DIR`: the plan, a yes where it is large, and the way to the end."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idc_mcp.app import App
from idc_mcp.cli.following import follow, look_on
from idc_mcp.cli.terminal import show
from idc_mcp.errors import BadArgument, Refused
from idc_mcp.idc.buckets import without_password
from idc_mcp.outputs import directory_at
from idc_mcp.quantities import bytes_text
from idc_mcp.settings import PREFIX, Settings
from idc_mcp.transfer.layout import DEFAULT_LAYOUT

if TYPE_CHECKING:
    from idc_mcp.transfer.plan import Plan

STORES = {"aws": "AWS", "gcs": "Google Cloud"}
"""In the order in which they are asked."""


def download(arguments: argparse.Namespace) -> int:
    """Plan and download; the exit status is 0 complete, 1 not all of it, 130 after Ctrl-C.

    Raises
    ------
    IdcError
        The cohort, the directory or an option cannot be used; nothing was begun.
    """
    folder = _folder(arguments.directory)
    # Who sits at a terminal owns the disk: any directory of theirs will do.
    settings = replace(Settings.from_env(), output_dir=folder.parent, hosted=False)
    app = App.create(settings)
    try:
        plan = app.downloads.plan(
            app.cohorts.resolve(arguments.cohort),
            folder,
            layout=DEFAULT_LAYOUT if arguments.layout is None else arguments.layout,
            source=arguments.source,
            engine=arguments.engine,
        )
        print(show({"release": app.release_name} | _summary(plan, settings)), flush=True)
        if plan.problems:
            raise Refused(
                f"This download cannot be done so: {'; '.join(plan.problems)}.",
                next_step="change what is named; nothing was begun",
            )
        if arguments.dry_run:
            return 0
        large = plan.remaining > settings.confirm_over_gb * 1e9
        if large and not arguments.yes and not _agreed(plan, settings):
            print("Nothing was begun.")
            return 1
        print()
        return _run(app, plan, detach=arguments.detach)
    finally:
        app.close()


def _run(app: App, plan: Plan, *, detach: bool) -> int:
    job, new = app.downloads.start(plan)
    if not new:
        print(f"{job} does the same already, as it was begun. Ctrl-C leaves it alone.")
        return 0 if detach else look_on(app.downloads, job)
    if not detach:
        return follow(app.downloads, job)
    print(
        show(
            {
                "job": f"{job} goes on by itself",
                "follow": f"idc-mcp jobs {job} --watch",
                "cancel": f"idc-mcp job {job} cancel",
            }
        )
    )
    return 0


def _folder(directory: str) -> Path:
    """Where the files go: relative to the current directory, `~` is the user's home."""
    return directory_at(directory, said=repr(directory), example="./lung-ct")


def _summary(plan: Plan, settings: Settings) -> dict[str, Any]:
    """The plan as a person reads it; what says nothing is left out."""
    files = f"{plan.files:,}" if plan.files else "not known to the catalogue"
    here = (
        f"{plan.here_files:,} files, {bytes_text(plan.here_bytes)} are whole already "
        f"({plan.here_series:,} of {len(plan.series):,} series complete)"
    )
    said: dict[str, Any] = {
        "understood": plan.cohort.understood,
        "series": len(plan.series),
        "files": files,
        "size": bytes_text(plan.bytes),
        "here": here if plan.here_files else "",
        "to fetch": bytes_text(plan.remaining),
        "free": bytes_text(plan.free),
        "licences": plan.licences,
        "folder": str(plan.folder),
        "layout": plan.example,
        "source": _source(plan, settings),
        "engine": plan.engine,
        "cautions": [*plan.cautions, *plan.unknowns],
    }
    return {name: value for name, value in said.items() if value not in ("", [])}


def _source(plan: Plan, settings: Settings) -> str:
    """`AWS, then Google Cloud`, and the mirrors that stand in for them."""
    urls = {"aws": settings.aws_url, "gcs": settings.gcs_url}
    mirrors = {place: without_password(url) for place, url in urls.items()}
    return ", then ".join(
        STORES[place] + (f" (its mirror {mirrors[place]})" if mirrors[place] else "")
        for place in (STORES if plan.source == "auto" else (plan.source,))
    )


def _agreed(plan: Plan, settings: Settings) -> bool:
    """Whether the person at the terminal says yes.

    Raises
    ------
    BadArgument
        Nobody sits there.
    """
    size = bytes_text(plan.remaining)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadArgument(
            f"{size} are over {settings.confirm_over_gb:g} GB ({PREFIX}CONFIRM_OVER_GB), and there "
            "is no terminal to ask on.",
            next_step="add --yes to agree",
        )
    print(f"\nDownload {size}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
