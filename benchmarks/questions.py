"""Single questions as the server runs them, against the raw statement on the same database.

A call is timed from its arguments to its rendered answer, without the SDK's own wrapping,
which on two cores costs a client about 3 ms a call whatever the server does.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import duckdb

from benchmarks.table import Number, median_ms
from idc_mcp.app import App
from idc_mcp.idc.manifests.reading import parse_manifest
from idc_mcp.index.layout import VALUE_COLUMNS
from idc_mcp.tools import all_tools, idc_describe, idc_schema, idc_search

STATEMENTS = {
    "count of a modality": "SELECT count(*) FROM index WHERE Modality = 'CT'",
    "series by modality": "SELECT Modality, count(*) FROM index GROUP BY ALL ORDER BY ALL",
    "patients by collection": "SELECT collection_id, count(DISTINCT PatientID) FROM index GROUP BY ALL ORDER BY ALL",
    "text search": "SELECT count(*) FROM index WHERE contains(lower(SeriesDescription), 't2')",
    "one hundred rows": "SELECT * FROM index WHERE collection_id = '4d_lung' LIMIT 100",
    "join": "SELECT cancer_types, sum(series_size_MB) FROM index JOIN collections_index "
    "USING (collection_id) GROUP BY ALL ORDER BY 2 DESC LIMIT 10",
}


@contextlib.contextmanager
def straight(app: App) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB's own client on a copy of the database (one process opens a file in one way)."""
    assert app.index.database is not None
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copy(app.index.database, place)
        config = {"threads": app.settings.threads}
        with duckdb.connect(copy, read_only=True, config=config) as raw:
            yield raw


async def sql(app: App, raw: duckdb.DuckDBPyConnection) -> list[Number]:
    numbers = []
    tools = {tool.name: tool for tool in all_tools(app)}
    for what, statement in STATEMENTS.items():
        times: dict[str, list[float]] = {"ours": [], "raw": []}
        for i in range(17):
            started = time.perf_counter()
            result = await tools["idc_sql"].run({"sql": statement}, None)
            middle = time.perf_counter()
            raw.execute(statement).fetchall()
            ended = time.perf_counter()
            assert not result.is_error, result.content
            if i >= 3:
                times["ours"].append((middle - started) * 1e3)
                times["raw"].append((ended - middle) * 1e3)
        mine, bare = statistics.median(times["ours"]), statistics.median(times["raw"])
        numbers.append(
            Number(f"idc_sql: {what}", mine, "ms", bare, "≤ 1.2 × + 5 ms", mine <= 1.2 * bare + 5)
        )
    return numbers


def facts(app: App, raw: duckdb.DuckDBPyConnection) -> list[Number]:
    collections = [row[0] for row in app.index.rows("SELECT collection_id FROM facts.collections")]
    idc_describe(app, identifier=collections[0])
    times = {}
    for collection in collections:
        started = time.perf_counter()
        idc_describe(app, identifier=collection)
        times[collection] = (time.perf_counter() - started) * 1e3
    slowest = max(times, key=lambda name: times[name])
    straight = median_ms(
        lambda: raw.execute(
            "SELECT count(*), count(DISTINCT PatientID), count(DISTINCT StudyInstanceUID), "
            f"sum(series_size_MB) FROM index WHERE collection_id = '{slowest}'"
        ).fetchall()
    )
    numbers = [
        Number("describe a collection, median of all", statistics.median(times.values()), "ms"),
        Number(f"describe a collection, slowest ({slowest})", times[slowest], "ms", straight, "≤ 10 ms", times[slowest] <= 10),
    ]  # fmt: skip
    columns = {
        column: median_ms(lambda column=column: idc_schema(app, table="index", column=column), 3, 1)
        for column in VALUE_COLUMNS["index"]
    }
    slowest = max(columns, key=lambda name: columns[name])
    straight = median_ms(
        lambda: raw.execute(
            f"SELECT {slowest}, count(*) FROM index GROUP BY ALL ORDER BY 2 DESC"
        ).fetchall()
    )
    numbers.append(
        Number(f"values of a column, slowest ({slowest})", columns[slowest], "ms", straight, "≤ 10 ms", columns[slowest] <= 10)
    )  # fmt: skip
    search = median_ms(lambda: idc_search(app, query="lung cancer CT"))
    numbers.append(Number("search 'lung cancer CT'", search, "ms"))
    lines = "\n".join(
        f"cp s3://idc-open-data/{n:08x}-0000-4000-8000-000000000000/* ." for n in range(500_000)
    )
    numbers.append(
        Number(
            "read a manifest of 500,000 lines", median_ms(lambda: parse_manifest(lines), 3, 1), "ms"
        )
    )
    totals = median_ms(lambda: idc_describe(app, identifier=app.release.name))
    straight = median_ms(
        lambda: raw.execute(
            "SELECT count(*), count(DISTINCT (collection_id, PatientID)), "
            "count(DISTINCT StudyInstanceUID), sum(instanceCount), sum(series_size_MB) FROM index"
        ).fetchall()
    )
    numbers.append(
        Number("the release and its totals", totals, "ms", straight, "≤ 10 ms", totals <= 10)
    )
    return numbers


FILTERS: list[dict[str, Any]] = [
    {"Modality": "CT"},
    {"Modality": "MR", "Manufacturer": "SIEMENS*"},
    {"Modality": "CT", "BodyPartExamined": "CHEST"},
    {"Modality": ["CT", "PT"], "cancer_types": "lung"},
    {"license_short_name": "CC BY 4.0", "Modality": "SM"},
    {"StudyDate": {"from": "2000-01-01"}, "Modality": "MR"},
    {"Modality": "CT", "has_annotations": True},
    {"Modality": "CT", "BodyPartExamined": "CHEST", "Manufacturer": ["GE", "GE *"]},
]


async def cohorts(app: App, raw: duckdb.DuckDBPyConnection) -> list[Number]:
    tools = {tool.name: tool for tool in all_tools(app)}
    numbers = []
    collections = [
        {"collection_id": row[0]}
        for row in app.index.rows(
            "SELECT collection_id FROM facts.collections ORDER BY series DESC"
        )
    ]
    counts = (
        "SELECT count(*), count(DISTINCT (collection_id, PatientID)), "
        "count(DISTINCT StudyInstanceUID), sum(instanceCount), sum(series_size_MB), "
        "count(DISTINCT license_short_name), count(DISTINCT Modality) FROM (SELECT * FROM index WHERE {})"
    )
    await tools["idc_cohort"].run({"filters": {"Modality": "NM"}}, None)
    for what, asked, goal in (
        ("filters over the whole index", FILTERS, 60),
        ("one collection", collections, 20),
    ):
        times, straight = [], []
        for i, filters in enumerate(asked):
            # Each is asked once. For filters a bound that excludes nothing makes the cohort
            # new, so that no remembered card helps.
            fresh = dict(filters)
            if goal == 60:
                fresh["series_size_MB"] = {"from": 0, "to": 1e9 + i}
            started = time.perf_counter()
            result = await tools["idc_cohort"].run({"filters": fresh}, None)
            times.append((time.perf_counter() - started) * 1e3)
            assert not result.is_error, result.content
            handle = result.structured_content["handle"]
            definition = app.cohorts.resolve(handle).definition
            condition = definition.split(" WHERE ", 1)[1]
            straight.append(
                median_ms(lambda c=condition: raw.execute(counts.format(c)).fetchall(), 1, 0)
            )
        for name, pick in (("median", statistics.median), ("slowest", max)):
            mine = pick(times)
            numbers.append(
                Number(f"cohort by {what}, {name} of {len(times)}", mine, "ms", pick(straight), f"≤ {goal} ms", mine <= goal)
            )  # fmt: skip
    again = []
    for filters in FILTERS * 3:
        started = time.perf_counter()
        await tools["idc_cohort"].run({"filters": filters}, None)
        again.append((time.perf_counter() - started) * 1e3)
    numbers.append(Number("cohort asked before", statistics.median(again[len(FILTERS) :]), "ms"))
    return numbers
