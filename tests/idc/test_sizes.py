"""Sizes against pandas, times, disk, and what would shrink a cohort."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument
from idc_mcp.idc import sizes
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.quantities import duration_text
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.size import idc_size
from idc_mcp.tools.sql import idc_sql


def cohort_of(where: str) -> Cohort:
    source = f"(SELECT * FROM core.series WHERE {where}) AS series"
    return Cohort(handle="c_test", understood="a test", definition="", source=source)


@pytest.fixture(scope="module")
def frame(release) -> pd.DataFrame:
    columns = ["SeriesInstanceUID", "collection_id", "Modality", "PatientAge",
               "series_init_idc_version", "instanceCount", "series_size_MB"]  # fmt: skip
    frame = pd.read_parquet(release.parquet("index"), columns=columns)
    frame["bytes"] = (frame.series_size_MB * 1e6).round().astype("int64")
    return frame


@pytest.mark.parametrize(
    "column", ["Modality", "collection_id", "PatientAge", "series_init_idc_version"]
)
def test_groups_are_what_pandas_counts(index, frame, column):
    found = sizes.measure(index, cohort_of("true"), column)
    grouped = frame.groupby(frame[column].astype("object"), dropna=False)
    expected = {
        None if pd.isna(value) else str(value): (
            len(part), int(part.instanceCount.sum()), int(part.bytes.sum())
        )
        for value, part in grouped
    }  # fmt: skip
    got = {group.value: (group.series, group.files, group.bytes) for group in found.groups}
    assert got == expected
    assert found.bytes == int(frame.bytes.sum())
    assert found.files == int(frame.instanceCount.sum())
    assert found.series == len(frame)
    assert found.without_files == 0


def test_largest_and_huge_are_exact(index, frame):
    found = sizes.measure(index, cohort_of("true"))
    assert [row[3] for row in found.largest] == frame.bytes.nlargest(sizes.LARGEST).tolist()
    over = frame[frame.bytes > sizes.HUGE_BYTES]
    assert found.huge == (len(over), int(over.bytes.sum()))


def test_an_empty_cohort_is_zero(index):
    found = sizes.measure(index, cohort_of("false"))
    assert (found.series, found.files, found.bytes, found.groups) == (0, 0, 0, [])
    assert sizes.savings(found, "Modality") == []


def test_files_of_prior_versions_are_unknown_not_zero(index):
    source = "(SELECT * REPLACE (NULL AS instanceCount) FROM core.series LIMIT 7) AS series"
    cohort = Cohort(handle="c", understood="", definition="", source=source, prior=True)
    found = sizes.measure(index, cohort)
    assert found.without_files == 7
    assert all(group.files is None for group in found.groups)


def test_unknown_and_wide_columns_are_errors(index):
    with pytest.raises(BadArgument) as error:
        sizes.measure(index, cohort_of("true"), "Modalty")
    assert str(error.value) == (
        "group_by='Modalty' is not a column of few values. Nearest: Modality. "
        "Next: idc_schema(table='index') lists the columns"
    )
    with pytest.raises(BadArgument) as error:
        sizes.measure(index, cohort_of("true"), "§" * 5_000_000)
    assert len(str(error.value)) < 600
    with pytest.raises(BadArgument):
        sizes.measure(index, cohort_of("true"), "SeriesInstanceUID")
    assert sizes.group_column(" modality ") == "Modality"


@pytest.mark.parametrize("seconds, text", [
    (0.2, "under 1 s"), (45, "45 s"), (600, "10 min"), (3 * 3600 + 300, "3 h 5 min"),
    (10 * 86400, "10.0 days"),
])  # fmt: skip
def test_duration_text(seconds, text):
    assert duration_text(seconds) == text


def test_a_gigabyte_at_eight_megabits_takes_a_thousand_seconds():
    assert sizes.seconds_at(1_000_000_000, 8) == 1000


def test_free_disk_is_of_the_nearest_directory_that_exists(tmp_path: Path):
    place, free = sizes.free_bytes(tmp_path / "not" / "yet")
    assert place == tmp_path
    assert free > 0


def test_slides_are_the_first_thing_to_leave_out(index):
    first = sizes.savings(sizes.measure(index, cohort_of("true")), "Modality")[0]
    assert first.startswith("without Modality SM (whole-slide")
    assert "−49 TB (49%)" in first


def test_where_more_groups_are_is_a_call_that_works(make_app):
    app = make_app()
    handle = idc_cohort(app, identifiers=["nlst"]).handle
    listed = ",".join(
        row[0] for row in app.index.rows("SELECT DISTINCT collection_id FROM core.series LIMIT 99")
    )
    for cohort in (handle, "nlst", listed, f"{handle}, 4d_lung"):
        answer = idc_size(app, cohort)
        arguments = eval(answer.groups.rest.replace("idc_sql(", "dict("))
        groups = idc_sql(app, **arguments).result
        assert sum(row[1] for row in groups.rows) == answer.series


def test_tool(index, settings):
    cohorts = SimpleNamespace(resolve=lambda _: cohort_of("collection_id = '4d_lung'"))
    app = SimpleNamespace(index=index, settings=settings, cohorts=cohorts, release_name="IDC v25")
    answer = idc_size(app, "4d_lung", bandwidth_mbps=100.0)
    assert answer.bytes == sum(row[3] for row in answer.groups.rows)
    assert "100 Mbit/s" in answer.time
    assert "free at" in answer.disk
    assert render(answer, 20_000).chars < 3_000
