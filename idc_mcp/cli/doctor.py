"""`idc-mcp doctor`: what is installed, cached and reachable; what is missing, and what gets it."""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from idc_mcp import __version__
from idc_mcp.answers import plain
from idc_mcp.errors import IdcError
from idc_mcp.idc.buckets import endpoint, without_password
from idc_mcp.index.build import build, database_path
from idc_mcp.index.release import CLINICAL, Release, installed_release
from idc_mcp.quantities import bytes_text
from idc_mcp.settings import PREFIX, Settings

_REACH_TIMEOUT_S = 3.0


class Finding(NamedTuple):
    """One line of the report; `state` is ok, note or MISSING."""

    state: str
    what: str
    text: str


def doctor() -> int:
    """Print the report; the exit status is 1 where something is missing."""
    settings = Settings.from_env()
    missing = False
    for title, findings in (
        ("Installed", _installed(settings)),
        ("Directories", _directories(settings)),
        ("Reachable", _reachable(settings)),
        ("Settings", _settings(settings)),
    ):
        print(title)
        for finding in findings:
            missing |= finding.state == "MISSING"
            print(f"  {finding.state:<8}{finding.what:<24}{finding.text}", flush=True)
    return int(missing)


def build_database() -> int:
    """Build the database in the foreground."""
    settings = Settings.from_env()
    release = installed_release(settings.cache_dir)
    if not database_path(settings.cache_dir, release).exists():
        print(f"Building the database of IDC {release.name} (about 10 s) …", flush=True)
    path = build(settings.cache_dir, release)
    print(f"{path} ({bytes_text(path.stat().st_size)})")
    return 0


def _installed(settings: Settings) -> Iterator[Finding]:
    yield Finding("ok", "idc-mcp", __version__)
    yield Finding("ok", "Python", f"{platform.python_version()} ({sys.executable})")
    for package in ("mcp", "duckdb", "pydantic", "httpx2", "rapidfuzz"):
        try:
            yield Finding("ok", package, version(package))
        except PackageNotFoundError:
            yield Finding("MISSING", package, f"pip install '{package}'")
    try:
        release = installed_release(settings.cache_dir)
    except IdcError as error:
        yield Finding("MISSING", "catalogue", str(error))
        return
    yield Finding("ok", "catalogue", f"IDC {release.name} (idc-index-data {release.data_version})")
    yield Finding("ok", "bundled tables", ", ".join(release.bundled))
    if release.here:
        yield Finding("ok", "fetched tables", ", ".join(release.here))
    absent = [name for name in (*release.specialised, CLINICAL) if name not in release.here]
    if absent:
        how = "when a question needs them, or by" if settings.fetches else "by"
        yield Finding("note", "not fetched", f"{', '.join(absent)} ({how} `idc-mcp fetch`)")


def _directories(settings: Settings) -> Iterator[Finding]:
    try:
        release: Release | None = installed_release(settings.cache_dir)
    except IdcError:
        release = None
    if release:
        path = database_path(settings.cache_dir, release)
        if path.exists():
            yield Finding("ok", "database", f"{path} ({bytes_text(path.stat().st_size)})")
        else:
            yield Finding(
                "note", "database", "not built yet: the first start builds it, or `idc-mcp build`"
            )
    for name in ("cache_dir", "state_dir", "output_dir"):
        directory: Path = getattr(settings, name)
        existing = directory
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if os.access(existing, os.W_OK):
            made = "" if directory.exists() else " (made when needed)"
            yield Finding("ok", name, f"{directory}{made}")
        else:
            yield Finding(
                "MISSING", name, f"{directory} cannot be written: set {PREFIX}{name.upper()}"
            )
    cohorts = list((settings.state_dir / "cohorts").glob("c_*.json"))
    yield Finding("ok", "kept cohorts", plain(len(cohorts)))


def _reachable(settings: Settings) -> Iterator[Finding]:
    if settings.offline:
        yield Finding("note", "network", f"not tried: {PREFIX}OFFLINE is set")
        return
    places = {
        "citations (doi.org)": settings.doi_url,
        "tables of each version": settings.artifacts_url,
        "files on AWS": f"{endpoint(settings, 'aws')}/idc-open-data",
        "files on Google Cloud": f"{endpoint(settings, 'gcs')}/idc-open-data",
    }
    with ThreadPoolExecutor(len(places)) as threads:
        for what, problem in zip(places, threads.map(_problem, places.values()), strict=True):
            state = "note" if problem else "ok"
            yield Finding(state, what, f"not reachable: {problem}" if problem else "reachable")


def _problem(url: str) -> str:
    import httpx2  # noqa: PLC0415

    try:
        httpx2.head(url, timeout=_REACH_TIMEOUT_S, follow_redirects=False)
    except httpx2.HTTPError as error:
        return str(error) or type(error).__name__
    return ""


def _settings(settings: Settings) -> Iterator[Finding]:
    for setting in dataclasses.fields(settings):
        variable = f"{PREFIX}{setting.name.upper()}"
        value = getattr(settings, setting.name)
        value = without_password(value) if setting.name.endswith("_url") else value
        state = "set" if variable in os.environ else "default"
        yield Finding(state, variable, f"{value}  ({setting.metadata['about']})")
