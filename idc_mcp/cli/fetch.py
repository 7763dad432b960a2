"""`idc-mcp fetch [NAMES…]`: what can be fetched and how it stands, or fetch it now.

Progress goes to standard error, a bar each where that is a terminal and else a line now and
then; what came of it goes to standard output.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from idc_mcp.cli.terminal import show
from idc_mcp.errors import NotFound
from idc_mcp.fetch.background import command
from idc_mcp.fetch.course import PROOFS, Fetched, Progress
from idc_mcp.fetch.tables import Tables
from idc_mcp.index.build import build, database_path
from idc_mcp.index.parquet import row_count
from idc_mcp.index.release import CLINICAL, Release, installed_release
from idc_mcp.index.store import Index
from idc_mcp.quantities import bytes_text
from idc_mcp.settings import Settings

LINE_EVERY_S = 5.0
"""The least time between two lines about one table where nobody sees a bar."""

ABOUT_CLINICAL = "All clinical tables of all collections, by clinical_index"
_ABOUT_CHARS = 90

Shown = Callable[[Progress], None]


def fetch(arguments: argparse.Namespace) -> int:
    """Fetch, and take it into the database; the exit status is 0 where all of it is here.

    It is 1 where some could not be had, 2 for names that are unknown, 130 after Ctrl-C.

    Raises
    ------
    IdcError
        A name is unknown, a setting is wrong, or the network is not to be used.
    """
    settings = Settings.from_env()
    index = Index(installed_release(settings.cache_dir), settings)
    tables = Tables(index, settings)
    try:
        if arguments.all or arguments.names:
            names = ["all"] if arguments.all else arguments.names
            return _fetch(tables, settings, names, again=arguments.again)
        if arguments.again:
            raise NotFound(
                "--again needs names of what is to be fetched again.",
                nearest=tables.names()[:3],
                next_step="give names, or --all",
            )
        _list(tables, index.release)
        return 0
    finally:
        tables.close()
        index.close()


def _fetch(tables: Tables, settings: Settings, names: Sequence[str], *, again: bool) -> int:
    wanted = tables.resolve(names)
    before = installed_release(settings.cache_dir).here
    print(f"Fetching {', '.join(wanted)} …", file=sys.stderr, flush=True)
    cancelled = threading.Event()
    try:
        with _progress(wanted) as shown:
            results = tables.fetch(wanted, progress=shown, cancelled=cancelled, again=again)
    except KeyboardInterrupt:
        print(
            f"Interrupted. What has come is kept; go on with: {command(wanted)}",
            file=sys.stderr,
        )
        return 130
    for result in results:
        print(_said(result), flush=True)
    had = [result.name for result in results if result.outcome in ("fetched", "here")]
    new = [result.name for result in results if result.outcome == "fetched"]
    if had:
        try:
            _take_in(settings, anew=not set(before).isdisjoint(new))
        except KeyboardInterrupt:
            print("Interrupted. The tables are here; go on with: idc-mcp build", file=sys.stderr)
            return 130
    return 0 if len(had) == len(results) else 1


def _take_in(settings: Settings, *, anew: bool) -> None:
    """Build the database with what is here, unless it is built; `anew` if that holds old rows."""
    release = installed_release(settings.cache_dir)
    path = database_path(settings.cache_dir, release)
    if anew:
        path.unlink(missing_ok=True)
    if path.exists():
        return
    print("Adding the tables to the database …", file=sys.stderr, flush=True)
    build(settings.cache_dir, release)
    print(f"database: {path} ({bytes_text(path.stat().st_size)})")


def _said(result: Fetched) -> str:
    if result.outcome == "here":
        return f"{result.name}: here already"
    if result.outcome != "fetched":
        return f"{result.name}: not fetched: {result.why}"
    notes = "".join(f"\n  {note}" for note in result.notes)
    return (
        f"{result.name}: {result.rows:,} rows, {bytes_text(result.bytes)}, from {result.source}; "
        f"proof: {PROOFS[result.proof]}{notes}"
    )


def _list(tables: Tables, release: Release) -> None:
    rows: list[list[Any]] = []
    for name, state in tables.status().items():
        paths = (
            [path for found in release.clinical.values() for path in found]
            if name == CLINICAL
            else [path for path in [release.parquet(name)] if path]
        )
        size = bytes_text(sum(path.stat().st_size for path in paths)) if paths else None
        rows.append([name, state, row_count(paths) if paths else None, size, _about(release, name)])
    columns = ["name", "state", "rows", "size", "about"]
    print(show({"tables": {"columns": columns, "rows": rows}}))
    print("\nFetch with: idc-mcp fetch NAME …, or idc-mcp fetch --all")


def _about(release: Release, name: str) -> str:
    """What a table is about, in a line."""
    if name == CLINICAL:
        return ABOUT_CLINICAL
    text = release.schemas[name].description.split(". ")[0].removeprefix("This table contains ")
    text = " ".join(text.split())
    if len(text) > _ABOUT_CHARS:
        text = text[:_ABOUT_CHARS].rsplit(" ", 1)[0] + " …"
    return text


# -- how it looks --------------------------------------------------------------------------


@contextmanager
def _progress(names: Sequence[str]) -> Iterator[Shown]:
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _bars(names) as shown:
            yield shown
    else:
        yield _lines()


def _lines() -> Shown:
    """A line a table at once, and one now and then."""
    next_at: dict[str, float] = {}
    lock = threading.Lock()

    def shown(progress: Progress) -> None:
        with lock:
            if time.monotonic() < next_at.get(progress.name, 0.0):
                return
            next_at[progress.name] = time.monotonic() + LINE_EVERY_S
            print(f"{progress.name}: {progress}", file=sys.stderr, flush=True)

    return shown


@contextmanager
def _bars(names: Sequence[str]) -> Iterator[Shown]:
    """A bar a table, and beside it how far it is in words."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, TaskID, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    tasks: dict[str, TaskID] = {}
    with Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[words]}"),
        console=Console(stderr=True, highlight=False),
        transient=True,  # what came of it is said below
    ) as bars:
        for name in names:
            tasks[name] = bars.add_task(name, total=None, start=False, words="")

        def shown(progress: Progress) -> None:
            task = tasks[progress.name]
            if progress.total:
                bars.start_task(task)
            bars.update(task, total=progress.total, completed=progress.done, words=str(progress))

        yield shown
