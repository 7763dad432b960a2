"""Statements that the documents show, run as callers run them, against pandas."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.sql import idc_sql

CANCER_TYPES = """
SELECT c.cancer_types, count(DISTINCT (i.collection_id, i.PatientID)) AS patients,
       count(*) AS series
FROM index AS i JOIN collections_index AS c USING (collection_id)
WHERE i.Modality = 'MR'
GROUP BY ALL ORDER BY series DESC, c.cancer_types
"""

LENS_POWER = """
SELECT i.collection_id, s.ObjectiveLensPower, s.min_PixelSpacing_2sf AS spacing_mm,
       count(*) AS slides, round(sum(i.series_size_MB) / 1e6, 3) AS TB
FROM index AS i JOIN sm_index AS s USING (SeriesInstanceUID)
GROUP BY ALL ORDER BY slides DESC, collection_id, ObjectiveLensPower
"""

SOURCES = """
SELECT g.SeriesInstanceUID AS segmentation, g.SegmentedPropertyType_CodeMeanings AS segmented,
       source.SeriesInstanceUID AS source, source.Modality, source.SeriesDescription
FROM seg_index AS g
JOIN index AS source ON source.SeriesInstanceUID = g.segmented_SeriesInstanceUID
WHERE list_contains(g.SegmentedPropertyType_CodeMeanings, 'Liver')
"""

TOTALSEGMENTATOR = """
SELECT i.collection_id, count(*) AS segmentations, round(avg(g.total_segments), 1) AS structures
FROM index AS i JOIN seg_index AS g USING (SeriesInstanceUID)
WHERE i.analysis_result_id = 'totalsegmentator_ct_segmentations'
GROUP BY ALL ORDER BY segmentations DESC, i.collection_id
"""

THIN_SLICES = """
SELECT i.collection_id, count(*) AS series, sum(i.series_size_MB) / 1e3 AS GB
FROM index AS i JOIN ct_index AS c USING (SeriesInstanceUID)
WHERE c.SliceThickness > 0 AND c.SliceThickness <= 1.5
GROUP BY ALL ORDER BY GB DESC
"""

CLINICAL_COLUMNS = """
SELECT collection_id, count(DISTINCT short_table_name) AS tables, count(*) AS columns,
       string_agg(DISTINCT "column", ', ') FILTER (contains(lower(column_label), 'stage')) AS stage
FROM clinical_index
GROUP BY ALL ORDER BY columns DESC, collection_id
"""

STAGE_IV = """
SELECT c.clinical_stag_meaning AS stage, count(DISTINCT c.dicom_patient_id) AS patients,
       count(DISTINCT i.PatientID) AS scanned, count(i.SeriesInstanceUID) AS ct_series
FROM nlst_canc AS c
LEFT JOIN index AS i ON i.collection_id = c.collection_id
                    AND i.PatientID = c.dicom_patient_id AND i.Modality = 'CT'
WHERE c.clinical_stag_meaning = 'Stage IV'
GROUP BY ALL
"""

REGULAR_LIVER = """
SELECT DISTINCT source.SeriesInstanceUID
FROM seg_index AS g
JOIN index AS source ON source.SeriesInstanceUID = g.segmented_SeriesInstanceUID
JOIN ct_index AS c ON c.SeriesInstanceUID = source.SeriesInstanceUID
JOIN volume_geometry_index AS v ON v.SeriesInstanceUID = source.SeriesInstanceUID
WHERE list_contains(g.SegmentedPropertyType_CodeMeanings, 'Liver')
  AND c.SliceThickness < 3 AND v.regularly_spaced_3d_volume
"""


@pytest.fixture
def run(full_app):
    def rows(statement: str) -> list[dict[str, Any]]:
        assert idc_sql(full_app, statement).result.rows
        answer = full_app.pool.run(statement, max_rows=10_000, max_chars=10_000_000)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    return rows


@pytest.fixture(scope="module")
def table(published):
    return lambda name: pd.read_parquet(published / f"{name}.parquet")


def test_cancer_types_of_collections(run, catalogue, release):
    collections = pd.read_parquet(release.parquet("collections_index"))
    merged = catalogue[catalogue.Modality == "MR"].merge(
        collections[["collection_id", "cancer_types"]]
    )
    series = merged.groupby("cancer_types").size()
    people = merged.drop_duplicates(["collection_id", "PatientID"]).groupby("cancer_types").size()
    found = run(CANCER_TYPES)
    assert {row["cancer_types"]: row["series"] for row in found} == series.to_dict()
    assert {row["cancer_types"]: row["patients"] for row in found} == people.to_dict()


def test_lens_power_and_pixel_spacing(run, catalogue, table):
    merged = catalogue.merge(table("sm_index"), on="SeriesInstanceUID")
    keys = ["collection_id", "ObjectiveLensPower", "min_PixelSpacing_2sf"]
    expected = merged.groupby(keys, dropna=False).size()
    found = run(LENS_POWER)
    assert len(found) == len(expected)
    assert sorted(row["slides"] for row in found) == sorted(expected)
    assert sum(row["TB"] for row in found) == pytest.approx(
        merged.series_size_MB.sum() / 1e6, abs=0.0005 * len(found)
    )


def test_segmentations_and_their_source_images(run, catalogue, table):
    seg = table("seg_index")
    liver = seg[[("Liver" in found) for found in seg.SegmentedPropertyType_CodeMeanings]]
    known = liver[liver.segmented_SeriesInstanceUID.isin(catalogue.SeriesInstanceUID)]
    found = run(SOURCES)
    expected = set(zip(known.SeriesInstanceUID, known.segmented_SeriesInstanceUID, strict=True))
    assert {(row["segmentation"], row["source"]) for row in found} == expected
    assert all("Liver" in row["segmented"] for row in found)


def test_totalsegmentator_results_by_collection(run, catalogue, table):
    wanted = catalogue.analysis_result_id == "totalsegmentator_ct_segmentations"
    merged = catalogue[wanted].merge(table("seg_index"), on="SeriesInstanceUID")
    expected = merged.groupby("collection_id").size().to_dict()
    assert {row["collection_id"]: row["segmentations"] for row in run(TOTALSEGMENTATOR)} == expected


def test_sizes_by_slice_thickness(run, catalogue, table):
    ct = table("ct_index")
    thin = ct[(ct.SliceThickness > 0) & (ct.SliceThickness <= 1.5)]
    merged = catalogue.merge(thin, on="SeriesInstanceUID").groupby("collection_id")
    expected = (merged.series_size_MB.sum() / 1e3).to_dict()
    found = {row["collection_id"]: row["GB"] for row in run(THIN_SLICES)}
    assert found == pytest.approx(expected)


def test_clinical_columns_by_collection(run, table):
    dictionary = table("clinical_index")
    found = {row["collection_id"]: row for row in run(CLINICAL_COLUMNS)}
    for collection, group in dictionary.groupby("collection_id"):
        row = found.pop(collection)
        assert row["columns"] == len(group)
        assert row["tables"] == group.short_table_name.nunique()
        stage = group[group.column_label.fillna("").str.lower().str.contains("stage")]
        assert set((row["stage"] or "").split(", ")) - {""} == set(stage.column)
    assert not found


def test_patients_of_stage_iv_who_were_scanned(run, catalogue, published):
    cancers = pd.read_parquet(published / "clinical" / "nlst_canc")
    patients = set(cancers[cancers.clinical_stag == "400"].dicom_patient_id)
    of_nlst = catalogue[(catalogue.collection_id == "nlst") & (catalogue.Modality == "CT")]
    scanned = of_nlst[of_nlst.PatientID.isin(patients)]
    (row,) = run(STAGE_IV)
    assert row["stage"] == "Stage IV"
    assert row["patients"] == len(patients)
    assert row["scanned"] == scanned.PatientID.nunique()


def test_a_cohort_of_four_tables(full_app, catalogue, table):
    seg, ct, volumes = (table(name) for name in ("seg_index", "ct_index", "volume_geometry_index"))
    liver = seg[[("Liver" in found) for found in seg.SegmentedPropertyType_CodeMeanings]]
    wanted = set(liver.segmented_SeriesInstanceUID) & set(catalogue.SeriesInstanceUID)
    wanted &= set(ct[ct.SliceThickness < 3].SeriesInstanceUID)
    wanted &= set(volumes[volumes.regularly_spaced_3d_volume].SeriesInstanceUID)
    assert idc_cohort(full_app, sql=REGULAR_LIVER).series == len(wanted) > 0
