"""`idc-mcp jobs` and `idc-mcp job`: downloads looked at and steered."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from idc_mcp.app import App
from idc_mcp.cli.following import conclude, counted, follow, look_on, reasons, resume_command
from idc_mcp.cli.terminal import show
from idc_mcp.errors import BadArgument, NotFound, Refused
from idc_mcp.quantities import bytes_text, duration_text
from idc_mcp.settings import Settings
from idc_mcp.transfer.downloads import Downloads
from idc_mcp.transfer.job import ACTIVE, CANCELLED, COMPLETE, Job
from idc_mcp.transfer.status import Status, proofs

BEGIN = "idc-mcp download COHORT DIR begins one"


def jobs(arguments: argparse.Namespace) -> int:
    """Show all jobs, or one; the exit status is that of the job where it is watched."""
    with _downloads() as downloads:
        found = downloads.table.jobs()
        name = arguments.job
        if not name and arguments.watch:
            name = next((job.job for job in found if job.state in ACTIVE), "")
            if not name:
                raise BadArgument("No download is running.", next_step="`idc-mcp jobs` lists all")
        if not name and arguments.series:
            raise BadArgument(
                "--series needs a JOB.", nearest=[job.job for job in found[:3]],
                next_step="`idc-mcp jobs` lists all",
            )  # fmt: skip
        if not name:
            print(show({"jobs": _table(found)}) if found else f"No downloads yet: {BEGIN}.")
        elif arguments.watch:
            return look_on(downloads, downloads.table.job(name).job)
        elif arguments.series:
            _print_series(downloads, name)
        else:
            status = downloads.status(name)
            print("\n\n".join(filter(None, (show(_described(status)), reasons(status)))))
    return 0


def job(arguments: argparse.Namespace) -> int:
    """Cancel, resume or verify a job; the exit status is 0 where it did what was asked."""
    with _downloads() as downloads:
        found = downloads.table.job(arguments.job)
        if arguments.deep and arguments.action != "verify":
            raise BadArgument(
                f"--deep says how to verify, not how to {arguments.action}.",
                next_step="leave it out",
            )
        match arguments.action:
            case "cancel":
                return _cancel(downloads, found)
            case "resume":
                status = downloads.resume(found.job)
            case _:
                if found.state in ACTIVE:
                    raise Refused(
                        f"{found.job} is running, and proves each file as it comes.",
                        next_step=f"wait for it: idc-mcp jobs {found.job} --watch",
                    )
                status = downloads.verify(found.job, deep=arguments.deep)
        if arguments.detach:
            print(f"{found.job} goes on by itself: idc-mcp jobs {found.job} --watch")
            return 0
        return follow(downloads, status.job.job)


def _cancel(downloads: Downloads, found: Job) -> int:
    if found.state not in (*ACTIVE, "interrupted"):
        print(f"{found.job} has ended already: {found.state}.")
        return 0
    status = downloads.cancel(found.job)
    conclude(status)
    return 0 if status.job.state in (CANCELLED, COMPLETE) else 1


@contextmanager
def _downloads() -> Iterator[Downloads]:
    """The downloads of this machine; errors name this command, not the tools' calls."""
    app = App.create(Settings.from_env())
    try:
        yield app.downloads
    except NotFound as error:
        raise NotFound(
            error.what, nearest=error.nearest, next_step=f"`idc-mcp jobs` lists all; {BEGIN}"
        ) from error
    except Refused as error:
        next_step = error.next_step.replace("call idc_download again", BEGIN)
        raise Refused(error.what, nearest=error.nearest, next_step=next_step) from error
    finally:
        app.close()


def _table(found: list[Job]) -> dict[str, Any]:
    return {
        "columns": ["job", "state", "done", "of", "age", "folder"],
        "rows": [
            [
                one.job, _state(one), bytes_text(one.bytes_done), bytes_text(one.bytes),
                duration_text(max(0.0, time.time() - one.created)), one.folder,
            ]
            for one in found
        ],
    }  # fmt: skip


def _described(status: Status) -> dict[str, Any]:
    one = status.job
    said: dict[str, Any] = {
        "job": one.job,
        "state": _state(one),
        "reason": "" if one.reason == one.state else one.reason,
        "cohort": one.handle,
        "understood": one.understood,
        "release": f"IDC {one.release}",
        "folder": one.folder,
        "layout": one.layout or "flat",
        "begun": f"{duration_text(max(0.0, time.time() - one.created))} ago",
        "done": f"{bytes_text(one.bytes_done)} of {bytes_text(one.bytes)}, {counted(status)}",
        "proof": "; ".join(proofs(status)),
        "verified": one.checked,
        "next": _next(one),
    }
    return {name: value for name, value in said.items() if value}


def _next(one: Job) -> str:
    if one.state in ACTIVE:
        return f"idc-mcp jobs {one.job} --watch, idc-mcp job {one.job} cancel"
    if one.state == COMPLETE:
        return f"idc-mcp job {one.job} verify --deep"
    return resume_command(one.job)


def _state(one: Job) -> str:
    return one.state if one.action == "download" else f"{one.state} ({one.action})"


def _print_series(downloads: Downloads, name: str) -> None:
    """Every series with what it came to: a table for people, CSV with places for programs."""
    rows = [
        [uid, state, whole, files, "" if reason == state else reason, directory]
        for uid, directory, state, whole, files, reason in downloads.table.outcomes(
            downloads.table.job(name).job, "", -1
        )
    ]
    columns = ["SeriesInstanceUID", "state", "whole", "files", "reason", "directory"]
    if sys.stdout.isatty():
        print(show({"series": {"columns": columns[:-1], "rows": [row[:-1] for row in rows]}}))
    else:
        csv.writer(sys.stdout, lineterminator="\n").writerows([columns, *rows])
