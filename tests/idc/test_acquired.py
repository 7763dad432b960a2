"""What a series' description gains of the specialised tables."""

from __future__ import annotations

import pandas as pd
import pytest

from idc_mcp.answers import render
from idc_mcp.idc.describe.acquired import COLUMNS, TABLES
from idc_mcp.idc.describe.describe import describe
from idc_mcp.tools.describe import idc_describe

BUDGET = 20_000


@pytest.fixture(scope="module")
def first(published):
    """The first row of a table for which something holds."""

    def row(table: str, condition=lambda rows: rows.index >= 0):
        rows = pd.read_parquet(published / f"{table}.parquet")
        return rows[condition(rows)].sort_values("SeriesInstanceUID").iloc[0]

    return row


def test_every_column_that_is_told_is_there(full_app):
    for table, columns in COLUMNS.items():
        known = {column.name for column in full_app.release.schemas[table].columns}
        assert set(columns) <= known
    assert {table for tables in TABLES.values() for table in tables} <= {
        *COLUMNS, "ann_group_index",
    }  # fmt: skip


def test_ct_with_units(full_app, first):
    row = first("ct_index", lambda rows: rows.SliceThickness.notna() & rows.KVP.notna())
    told = describe(full_app.index, row.SeriesInstanceUID).about["ct_index"]
    assert told["SliceThickness"] == f"{row.SliceThickness:g} mm"
    assert told["KVP"] == f"{row.KVP:g} kV"
    assert told["Rows"] == row.Rows


def test_mr_with_units_and_arrays(full_app, first):
    row = first("mr_index", lambda rows: rows.EchoTime.map(len) > 1)
    told = describe(full_app.index, row.SeriesInstanceUID).about["mr_index"]
    assert told["MagneticFieldStrength"] == f"{row.MagneticFieldStrength:g} T"
    assert told["EchoTime"] == ", ".join(f"{time:g}" for time in row.EchoTime) + " ms"


def test_gauss_is_told_in_tesla(full_app, first):
    row = first("mr_index", lambda rows: rows.MagneticFieldStrength == 15000)
    told = describe(full_app.index, row.SeriesInstanceUID).about["mr_index"]
    assert told["MagneticFieldStrength"] == "1.5 T (recorded as 15000, in gauss)"


def test_contrast_and_geometry(full_app, first):
    row = first("contrast_index", lambda rows: rows.ContrastBolusAgent.map(len) > 0)
    told = describe(full_app.index, row.SeriesInstanceUID).about["contrast_index"]
    assert told["ContrastBolusAgent"] == ", ".join(row.ContrastBolusAgent)
    row = first("volume_geometry_index", lambda rows: ~rows.regularly_spaced_3d_volume)
    told = describe(full_app.index, row.SeriesInstanceUID).about["volume_geometry_index"]
    assert told["regularly_spaced_3d_volume"] is False
    failed = [name for name, value in row.items() if value is False or value == False]  # noqa: E712
    assert set(told["checks not passed"].split(", ")) == set(failed) - {
        "regularly_spaced_3d_volume", "obliquity_degrees",
    }  # fmt: skip


def test_slides(full_app, first):
    row = first("sm_index", lambda rows: rows.ObjectiveLensPower.notna())
    told = describe(full_app.index, row.SeriesInstanceUID).about["sm_index"]
    assert told["ObjectiveLensPower"] == f"{row.ObjectiveLensPower:.0f} ×"
    assert told["min_PixelSpacing_2sf"] == f"{row.min_PixelSpacing_2sf:g} mm"


def test_segmentations_and_their_source(full_app, first, catalogue):
    known = set(catalogue.SeriesInstanceUID)
    row = first("seg_index", lambda rows: rows.segmented_SeriesInstanceUID.isin(known))
    found = describe(full_app.index, row.SeriesInstanceUID)
    assert found.about["seg_index"]["total_segments"] == row.total_segments
    structures = found.about["seg_index"]["SegmentedPropertyType_CodeMeanings"]
    assert row.SegmentedPropertyType_CodeMeanings[0] in structures
    assert found.about["source"].startswith(row.segmented_SeriesInstanceUID)
    assert f"idc_describe(identifier='{row.segmented_SeriesInstanceUID}')" in found.next
    row = first("seg_index", lambda rows: rows.segmented_SeriesInstanceUID.isna())
    found = describe(full_app.index, row.SeriesInstanceUID)
    assert "source" not in found.about
    assert any("segmented_SeriesInstanceUID is empty" in note for note in found.notes)


def test_many_structures_are_counted(full_app, first):
    row = first("seg_index", lambda rows: rows.SegmentedPropertyType_CodeMeanings.map(len) > 20)
    told = describe(full_app.index, row.SeriesInstanceUID).about["seg_index"]
    many = len(row.SegmentedPropertyType_CodeMeanings) - 8
    assert f"and {many} more" in told["SegmentedPropertyType_CodeMeanings"]


def test_structure_sets_and_bulk_annotations(full_app, first, published):
    row = first("rtstruct_index", lambda rows: rows.ROINames.map(len) > 0)
    told = describe(full_app.index, row.SeriesInstanceUID).about["rtstruct_index"]
    assert told["total_rois"] == row.total_rois
    assert row.ROINames[0] in told["ROINames"]
    groups = pd.read_parquet(published / "ann_group_index.parquet")
    counts = groups.SeriesInstanceUID.value_counts()
    found = describe(full_app.index, counts.index[0])
    assert len(found.columns.rows) + found.columns.more == counts.iloc[0]
    of_series = groups[groups.SeriesInstanceUID == counts.index[0]]
    assert {row[4] for row in found.columns.rows} <= set(of_series.NumberOfAnnotations)
    assert found.about["ann_index"]


def test_nothing_is_fetched_and_what_is_not_here_is_named(make_app, first):
    app = make_app(offline=False)
    series = first("ct_index").SeriesInstanceUID
    found = describe(app.index, series)
    assert "ct_index" not in found.about
    (note,) = [note for note in found.notes if "Not on this machine" in note]
    assert "ct_index, contrast_index, volume_geometry_index" in note
    assert "idc-mcp fetch ct_index contrast_index volume_geometry_index" in note


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_answers_are_bounded(full_app, first, table):
    answer = idc_describe(full_app, first(table).SeriesInstanceUID)
    assert answer.about[table]
    assert render(answer, BUDGET).chars < 6_000
