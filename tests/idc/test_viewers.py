"""Viewer links: the study decides, and derived series open on their source."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from idc_mcp.errors import BadArgument
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.idc.viewers import OHIF_STUDY, RADIOLOGY, SLIM_STUDY, viewer_links
from idc_mcp.tools.viewer import idc_viewer


def cohort_of(where: str) -> Cohort:
    source = f"(SELECT * FROM core.series WHERE {where}) AS series"
    return Cohort(handle="c_test", understood="a test", definition="", source=source)


def study_where(index, condition: str) -> str:
    """A study that meets a condition over its series."""
    found = index.value(
        f"SELECT StudyInstanceUID FROM core.series GROUP BY 1 HAVING {condition} ORDER BY 1 LIMIT 1"
    )
    assert found
    return str(found)


def test_every_study_of_the_release_has_one_viewer_or_a_reason(index):
    found = viewer_links(index, cohort_of("true"), "auto", 1)
    assert found.studies == index.value("SELECT count(DISTINCT StudyInstanceUID) FROM core.series")
    slides = "SELECT count(DISTINCT StudyInstanceUID) FROM core.series WHERE Modality = 'SM'"
    assert found.slides == index.value(slides)


@pytest.mark.parametrize("modality", ["SEG", "ANN", "SR", "SM", "OT", "PR"])
def test_whatever_belongs_to_a_slide_opens_in_slim(index, modality):
    study = study_where(index, f"bool_or(Modality = 'SM') AND bool_or(Modality = '{modality}')")
    cohort = cohort_of(f"StudyInstanceUID = '{study}' AND Modality = '{modality}'")
    (link,) = viewer_links(index, cohort, "auto", 5).links
    assert link.viewer == "SLIM"
    assert link.url.startswith(SLIM_STUDY + study)
    with pytest.raises(BadArgument, match="slide microscopy") as error:
        viewer_links(index, cohort, "ohif", 5)
    assert error.value.nearest == ("slim",)


@pytest.mark.parametrize("derived, image", [("SEG", "CT"), ("RTSTRUCT", "CT"), ("SR", "CT")])
def test_a_derived_series_opens_on_its_only_possible_source(index, derived, image):
    study = study_where(
        index,
        f"count(*) FILTER (Modality = '{image}') = 1 AND bool_or(Modality = '{derived}') "
        "AND count(*) FILTER (Modality NOT IN ('CT', 'SEG', 'SR', 'RTSTRUCT')) = 0",
    )
    source = index.value(
        "SELECT SeriesInstanceUID FROM core.series WHERE StudyInstanceUID = ? AND Modality = ?",
        [study, image],
    )
    cohort = cohort_of(f"StudyInstanceUID = '{study}' AND Modality = '{derived}'")
    (link,) = viewer_links(index, cohort, "auto", 5).links
    assert link.url == f"{OHIF_STUDY}{study}&initialSeriesInstanceUID={source}"
    assert link.opens_at == f"{image} (source)"


def test_a_segmentation_opens_on_the_source_that_seg_index_names(full_index, published, catalogue):
    told = pd.read_parquet(published / "seg_index.parquet").merge(catalogue, on="SeriesInstanceUID")
    images = catalogue[catalogue.Modality == "CT"].groupby("StudyInstanceUID").size()
    told["images"] = told.StudyInstanceUID.map(images)
    named = told.merge(
        catalogue[["SeriesInstanceUID", "StudyInstanceUID", "Modality"]],
        left_on="segmented_SeriesInstanceUID", right_on="SeriesInstanceUID",
        suffixes=("", "_source"),
    )  # fmt: skip
    several = named[(named.images > 1) & (named.StudyInstanceUID == named.StudyInstanceUID_source)]
    for row in several.head(5).itertuples():
        cohort = cohort_of(f"SeriesInstanceUID = '{row.SeriesInstanceUID}'")
        (link,) = viewer_links(full_index, cohort, "auto", 5).links
        assert link.url.endswith(f"&initialSeriesInstanceUID={row.segmented_SeriesInstanceUID}")
        assert link.opens_at == f"{row.Modality_source} (source)"
    sources = several.groupby("StudyInstanceUID").segmented_SeriesInstanceUID.nunique()
    study = sources[sources > 1].index[0]
    cohort = cohort_of(f"StudyInstanceUID = '{study}' AND Modality = 'SEG'")
    (link,) = viewer_links(full_index, cohort, "auto", 5).links
    counts = several[several.StudyInstanceUID == study].segmented_SeriesInstanceUID.value_counts()
    assert link.opens_at.endswith(f"(one of {sources[study]} sources)")
    assert counts[link.url.rsplit("=", 1)[1]] == counts.max()

    unnamed = told[told.segmented_SeriesInstanceUID.isna() & (told.images > 1)].iloc[0]
    cohort = cohort_of(f"SeriesInstanceUID = '{unnamed.SeriesInstanceUID}'")
    (link,) = viewer_links(full_index, cohort, "auto", 5).links
    assert (link.opens_at, link.url) == ("study", OHIF_STUDY + unnamed.StudyInstanceUID)


def test_the_only_image_is_not_called_the_source_where_the_table_names_none(
    full_index, published, catalogue
):
    told = pd.read_parquet(published / "seg_index.parquet").merge(catalogue, on="SeriesInstanceUID")
    images = catalogue[catalogue.Modality == "CT"].groupby("StudyInstanceUID").size()
    every = catalogue[catalogue.Modality.isin(RADIOLOGY)].groupby("StudyInstanceUID").size()
    alone = (told.StudyInstanceUID.map(images) == 1) & (told.StudyInstanceUID.map(every) == 1)
    unnamed = told[told.segmented_SeriesInstanceUID.isna() & alone].iloc[0]
    cohort = cohort_of(f"SeriesInstanceUID = '{unnamed.SeriesInstanceUID}'")
    (link,) = viewer_links(full_index, cohort, "auto", 5).links
    assert link.opens_at == "CT"
    assert "initialSeriesInstanceUID" in link.url


def test_where_the_source_is_in_doubt_the_study_opens(index):
    study = study_where(
        index, "count(*) FILTER (Modality = 'CT') > 1 AND bool_or(Modality = 'SEG')"
    )
    cohort = cohort_of(f"StudyInstanceUID = '{study}' AND Modality = 'SEG'")
    (link,) = viewer_links(index, cohort, "auto", 5).links
    assert link.url == OHIF_STUDY + study
    assert link.opens_at == "study (source is in seg_index, not here)"


def test_one_image_of_several_opens_at_itself(index):
    study = study_where(index, "count(*) FILTER (Modality = 'MR') > 2")
    series = index.value(
        "SELECT min(SeriesInstanceUID) FROM core.series "
        "WHERE StudyInstanceUID = ? AND Modality = 'MR'",
        [study],
    )
    (link,) = viewer_links(index, cohort_of(f"SeriesInstanceUID = '{series}'"), "auto", 5).links
    assert link.url.endswith(f"&initialSeriesInstanceUID={series}")


def test_studies_without_images_are_counted_not_linked(index):
    study = study_where(index, "bool_and(Modality = 'SR')")
    found = viewer_links(index, cohort_of(f"StudyInstanceUID = '{study}'"), "auto", 5)
    assert (found.links, found.without_images, found.studies) == ([], 1, 1)


def test_links_are_unique_and_never_longer_than_the_limit(index):
    found = viewer_links(index, cohort_of("collection_id = '4d_lung'"), "auto", 7)
    assert len({link.url for link in found.links}) == len(found.links) == 7
    assert found.radiology > 7


def test_a_study_without_current_series_is_kept_in_the_count(index):
    source = "(SELECT * REPLACE ('1.2.3' AS StudyInstanceUID) FROM core.series LIMIT 1) AS series"
    cohort = Cohort(handle="c", understood="", definition="", source=source, prior=True)
    found = viewer_links(index, cohort, "auto", 5)
    assert (found.without_images, found.links) == (1, [])


def test_tool_tells_the_total_and_what_it_left_out(index):
    mixed = "collection_id IN ('nlst') AND PatientID < '101'"
    cohorts = SimpleNamespace(resolve=lambda _: cohort_of(mixed))
    app = SimpleNamespace(index=index, cohorts=cohorts, release_name="IDC v25")
    answer = idc_viewer(app, "x", viewer="slim", limit=2)
    assert len(answer.links.rows) + answer.links.more <= answer.studies
    assert "radiology studies left out" in answer.notes[0]
    assert answer.links.rest == "idc_viewer(cohort='x', viewer='slim', limit=50)"
    assert "limit=" not in idc_viewer(app, "x", limit=50).links.rest
