"""Every table at its real size: cohorts over the specialised ones, annotations, the build.

The tables are stand-ins of `tests/published`: rows as many as the release has, with its UIDs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import startup
from benchmarks.questions import straight
from benchmarks.table import Number, median_ms
from idc_mcp.app import App
from idc_mcp.index.build import build
from idc_mcp.index.release import installed_release, tables_directory
from idc_mcp.settings import Settings
from idc_mcp.tools import all_tools
from tests import published

COHORTS: list[dict[str, Any]] = [
    {"Modality": "CT", "segmented_structure": "Liver", "slice_thickness_mm": {"to": 1.5}},
    {"segmented_structure": "Spleen", "slice_thickness_mm": {"from": 2, "to": 3}},
    {"Modality": "CT", "segmented_structure": "Liver", "slice_thickness_mm": {"to": 5}},
]
SERIES = 10_000


def tables(cache: Path) -> list[Number]:
    """All numbers; `cache` keeps the stand-ins between runs."""
    full = _published(cache)
    numbers = []
    with tempfile.TemporaryDirectory() as home:
        bundled, everything = Path(home) / "bundled", Path(home) / "all"
        shutil.copytree(full, tables_directory(everything, installed_release().data_version))
        seconds = {}
        for place in (bundled, everything):
            started = time.perf_counter()
            build(place, installed_release(place))
            seconds[place] = time.perf_counter() - started
        numbers.append(
            Number(
                "build the database with all tables (straight: bundled alone)",
                seconds[everything], "s", seconds[bundled], "≤ 2.5 ×",
                seconds[everything] <= 2.5 * seconds[bundled],
            )
        )  # fmt: skip
        with _app(everything, Path(home)) as app:
            numbers += asyncio.run(_cohorts(app))
            numbers += asyncio.run(_annotations(app))
        numbers += _memory(bundled, everything)
    return numbers


async def _cohorts(app: App) -> list[Number]:
    tool = {tool.name: tool for tool in all_tools(app)}["idc_cohort"]
    await tool.run({"filters": {"Modality": "NM", "slice_thickness_mm": {"from": 1}}}, None)
    times, bare = [], []
    with straight(app) as raw:
        for i, filters in enumerate(COHORTS * 3):
            # A bound that excludes nothing makes the cohort new: no remembered card helps.
            fresh = {**filters, "series_size_MB": {"from": 0, "to": 1e9 + i}}
            started = time.perf_counter()
            result = await tool.run({"filters": fresh}, None)
            times.append((time.perf_counter() - started) * 1e3)
            assert not result.is_error, result.content
            handle = result.structured_content["handle"]
            definition = app.cohorts.resolve(handle).definition
            counts = (
                "SELECT count(*), count(DISTINCT (collection_id, PatientID)), "
                "count(DISTINCT StudyInstanceUID), sum(instanceCount), sum(series_size_MB), "
                f"count(DISTINCT license_short_name) FROM ({definition})"
            )
            bare.append(median_ms(lambda sql=counts: raw.execute(sql).fetchall(), 1, 0))
    return [
        Number(
            f"cohort by structure and slice thickness, {name} of {len(times)}",
            pick(times), "ms", pick(bare), "≤ 150 ms", pick(times) <= 150,
        )
        for name, pick in (("median", statistics.median), ("slowest", max))
    ]  # fmt: skip


async def _annotations(app: App) -> list[Number]:
    tools = {tool.name: tool for tool in all_tools(app)}
    times: dict[str, list[float]] = {"annotations": [], "images": []}
    for i in range(5):
        for direction, modality in (("annotations", "'CT'"), ("images", "'SEG'")):
            made = await tools["idc_cohort"].run(
                {
                    "sql": f"SELECT SeriesInstanceUID FROM index WHERE Modality IN ({modality}) "
                    f"ORDER BY md5(SeriesInstanceUID || '{i}') LIMIT {SERIES}"
                },
                None,
            )
            assert not made.is_error, made.content
            handle = made.structured_content["handle"]
            started = time.perf_counter()
            found = await tools["idc_annotations"].run(
                {"cohort": handle, "direction": direction}, None
            )
            times[direction].append((time.perf_counter() - started) * 1e3)
            assert not found.is_error, found.content
    return [
        Number(
            f"idc_annotations of {SERIES:,} series, direction {direction}",
            statistics.median(taken), "ms", None, "≤ 300 ms", statistics.median(taken) <= 300,
        )
        for direction, taken in times.items()
    ]  # fmt: skip


def _memory(bundled: Path, everything: Path) -> list[Number]:
    """The server at rest with all tables, against the one with the bundled tables."""
    at_rest = {place: startup.memory(place)[0] for place in (bundled, everything)}
    mine, bare = at_rest[everything].ours, at_rest[bundled].ours
    return [
        Number(
            "at rest with all tables (straight: bundled alone)",
            mine, "MB", bare, "unchanged", mine <= 1.03 * bare,
        )
    ]  # fmt: skip


@contextlib.contextmanager
def _app(cache: Path, home: Path) -> Iterator[App]:
    settings = Settings(
        cache_dir=cache, state_dir=home / "state", output_dir=home / "out", offline=True
    )
    app = App.create(settings)
    try:
        app.index.rows("SELECT 1")
        yield app
    finally:
        app.close()


def _published(cache: Path) -> Path:
    """The stand-ins at full size, made once for each state of their generator."""
    sources = sorted(Path(published.__file__).parent.glob("*.py"))
    told = b"".join(path.read_bytes() for path in sources)
    kept = cache / f"published-full-{hashlib.sha256(told).hexdigest()[:12]}"
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(dir=cache) as made:
            published.publish(installed_release(), Path(made) / "whole", scale="full")
            (Path(made) / "whole").rename(kept)
    return kept
