"""Search as people use it: what they type, and what should come first."""

from __future__ import annotations

import json
import re
import threading
import time

import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument, NotFound
from idc_mcp.idc.cohorts.filters import Filters
from idc_mcp.idc.cohorts.matching import match
from idc_mcp.idc.identifiers import collection_ids
from idc_mcp.idc.search.search import SearchIndex
from idc_mcp.idc.search.words import joined, words_of
from idc_mcp.idc.vocabulary import MODALITIES, RENAMED_COLUMNS, suggestions
from idc_mcp.tools.search import idc_search
from idc_mcp.tools.strict import argument_model, check_arguments

BUDGET = 20_000


def column(table, name):
    return [row[table.columns.index(name)] for row in table.rows] if table else []


def first_collections(app, query, count=5):
    return column(app.search.search(query).collections, "collection_id")[:count]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("lung cancer CT", "nlst"),
        ("MRI prostate", "prostatex"),
        ("prostate magnetic resonance", "prostatex"),
        ("whole slide breast", "tcga_brca"),
        ("h&e kidney", "tcga_kirc"),
        ("digital pathology of the colon", "tcga_coad"),
        ("TCGA-LUAD", "tcga_luad"),
        ("tcga luad", "tcga_luad"),
        ("LIDC-IDRI", "lidc_idri"),
        ("lidc", "lidc_idri"),
        ("NLST", "nlst"),
        ("prostate x", "prostatex"),
        ("kidney", "tcga_kirc"),
        ("renal", "tcga_kirc"),
        ("kidneys", "tcga_kirc"),
        ("mouse", "mouse_astrocytoma"),
        ("mice brain", "mouse_astrocytoma"),
        ("dogs", "icdc_glioma"),
        ("covid", "covid_19_ny_sbu"),
        ("PET", "fdg_pet_ct_lesions"),
        ("PET CT", "fdg_pet_ct_lesions"),
        ("glioblastoma MR", "upenn_gbm"),
        ("glioblastom", "upenn_gbm"),
        ("gliobalstoma", "upenn_gbm"),
        ("GBM", "upenn_gbm"),
        ("prostat", "prostatex"),
        ("mamography", "ea1141"),
        ("mammograms", "ea1141"),
        ("liver ultrasound", "b_mode_and_ceus_liver"),
        ("chest x-ray covid", "covid_19_ny_sbu"),
        ("melanoma", "tcga_skcm"),
        ("colorectal", "cmb_crc"),
        ("nsclc", "nsclc_radiomics"),
        ("siemens MR breast", "ispy2"),
        ("RT structure lung", "nsclc_radiomics"),
        ("CT phantom", "cc_radiomics_phantom_3"),
    ],
)
def test_the_collection_that_a_person_means_is_among_the_first(app, query, expected):
    assert expected in first_collections(app, query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("totalsegmentator", "totalsegmentator_ct_segmentations"),
        ("TotalSegmentator-CT-Segmentations", "totalsegmentator_ct_segmentations"),
        ("expert annotations of pathology slides", "rms_mutation_prediction_expert_annotations"),
        ("nuclei segmentation", "pan_cancer_nuclei_seg_dicom"),
        ("kidney tumor annotations", "rcc_aid"),
        ("lung nodule segmentation", "dicom_lidc_idri_nodules"),
    ],
)
def test_the_analysis_result_that_a_person_means(app, query, expected):
    found = app.search.search(query)
    assert expected in column(found.analysis_results, "analysis_result_id")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("lung cancer CT", ("Modality", "CT")),
        ("lung cancer CT", ("BodyPartExamined", "LUNG")),
        ("lung cancer CT", ("BodyPartExamined", "CHEST")),
        ("GE scanner", ("Manufacturer", "GE MEDICAL SYSTEMS")),
        ("siemens", ("Manufacturer", "SIEMENS")),
        ("license", ("license_short_name", "CC BY-NC 3.0")),
        ("licence", ("license_short_name", "CC BY 4.0")),
        ("segmentation of liver", ("Modality", "SEG")),
        ("segmentation of liver", ("BodyPartExamined", "LIVER")),
        ("x-ray", ("Modality", "DX")),
        ("x-ray", ("Modality", "CR")),
        ("ultrasound", ("Modality", "US")),
        ("structured report", ("Modality", "SR")),
        ("thorax", ("BodyPartExamined", "CHEST")),
        ("mouse", ("species", "Mouse")),
        ("female", ("PatientSex", "F")),
        ("jpeg 2000", ("transfer_syntax_name", "JPEG 2000")),
    ],
)
def test_values_come_with_their_series(app, catalogue, query, expected):
    values = app.search.search(query).values
    rows = {(row[0], row[1]): row[2] for row in values.rows}
    assert expected in rows
    name, value = expected
    if name in catalogue.columns:
        assert rows[expected] == int((catalogue[name] == value).sum())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("patient age", ("index", "PatientAge")),
        ("license", ("index", "license_short_name")),
        ("slice thickness", ("ct_index", "SliceThickness")),
        ("series size", ("index", "series_size_MB")),
        ("segmented property type", ("seg_index", "SegmentedPropertyType_CodeMeanings")),
        ("staining", ("sm_index", "staining_usingSubstance_CodeMeaning")),
    ],
)
def test_columns_are_found_by_what_they_are_called(app, query, expected):
    found = app.search.search(query)
    pairs = list(zip(column(found.columns, "table"), column(found.columns, "column"), strict=True))
    assert expected in pairs
    assert any(call.startswith("idc_schema(") for call in found.next)


def test_tables_are_found_and_said_not_to_be_here(app):
    tables = app.search.search("seg_index", ["table"]).tables
    assert tables.rows[0][:2] == ["seg_index", "not here"]


def test_the_first_answer_is_short_ranked_and_goes_on(app):
    answer = idc_search(app, "lung cancer CT")
    rendered = render(answer, BUDGET)
    assert rendered.chars <= 3_000
    assert answer.collections.rows[0][0] == "nlst"
    assert "Lung Cancer" in answer.collections.rows[0][2]
    assert "CT 203,111" in answer.collections.rows[0][2]
    assert answer.next[0] == 'idc_cohort(filters={"Modality": "CT", "cancer_types": "lung"})'


def test_a_collection_without_the_modality_does_not_match_it(app, catalogue):
    with_mr = set(catalogue.loc[catalogue.Modality == "MR", "collection_id"])
    assert "tcga_gbm" not in with_mr
    found = app.search.search("glioblastoma MR", ["collection"], 100)
    assert set(column(found.collections, "collection_id")) <= with_mr


@pytest.mark.parametrize(
    "query",
    [
        "lung cancer CT", "MRI prostate", "whole slide breast", "mouse", "covid", "nsclc",
        "GE scanner", "siemens MR breast", "commercial lung CT", "segmentation of liver",
        "brain tumor", "head and neck RTSTRUCT", "mouse brain", "renal pathology", "NLST",
        "colon", "x-ray chest", "totalsegmentator", "PET lymphoma", "pancreatic cancer",
    ],
)  # fmt: skip
def test_suggested_filters_take_something(app, query):
    for call in app.search.search(query).next:
        if call.startswith("idc_cohort("):
            filters = json.loads(re.search(r"filters=(\{.*?\})", call)[1])
            conditions = match(app.index, Filters(**filters))
            where = " AND ".join(condition.sql for condition in conditions)
            assert app.index.value(f"SELECT count(*) FROM core.series WHERE {where}") > 0


def test_a_question_of_use_is_passed_on(app):
    calls = app.search.search("lung CT for commercial use").next
    assert any("use='commercial'" in call for call in calls)


def test_corrections_and_unknown_words_are_said(app):
    assert "'glioblastom' read as 'glioblastoma'" in app.search.search("glioblastom").understood
    assert "nothing known of 'zzyzzx'" in app.search.search("lung zzyzzx").understood
    assert "mri = Modality MR" in app.search.search("MRI").understood


def test_words_that_no_collection_matches_are_said(app):
    notes = app.search.search("siemens MR breast").notes
    assert any("'siemens'" in note for note in notes)


def test_segmented_anatomy_is_pointed_out(app):
    notes = app.search.search("segmentation of liver").notes
    assert any("SegmentedPropertyType_CodeMeanings" in note for note in notes)


@pytest.mark.parametrize("query", ["", "   ", "?!", "--"])
def test_an_empty_query_is_an_error(app, query):
    with pytest.raises(BadArgument, match="empty"):
        app.search.search(query)


def test_a_query_without_end_is_an_error(app):
    with pytest.raises(BadArgument, match="characters"):
        app.search.search("lung " * 200)


@pytest.mark.parametrize("query", ["zzyzzx", "qqqq wwww", "12345678901", "的"])
def test_nothing_found_says_what_to_do(app, query):
    with pytest.raises(NotFound, match="SeriesDescription"):
        app.search.search(query)


def test_nothing_of_a_kind_says_so(app):
    with pytest.raises(NotFound, match="every kind"):
        app.search.search("prostatex", ["table"])


def test_words_that_say_nothing_find_nothing(app):
    with pytest.raises(NotFound):
        app.search.search("what is there for me")


def test_kinds_and_limit_are_kept(app):
    found = app.search.search("lung", ["value"], 3)
    assert found.collections is None
    assert len(found.values.rows) == 3
    assert found.values.more > 0
    assert "kinds='value'" in found.values.rest
    everything = app.search.search("lung", ["value"], 100).values
    assert len(everything.rows) == 3 + found.values.more


def test_kinds_take_a_bare_word_and_name_the_valid_ones():
    model = argument_model(idc_search)
    checked = check_arguments("idc_search", model, {"query": "x", "kinds": "value"})
    assert checked["kinds"] == ["value"]
    assert list(check_arguments("idc_search", model, {"query": "x"})["kinds"]) == []
    with pytest.raises(BadArgument, match="collection"):
        check_arguments("idc_search", model, {"query": "x", "kinds": ["patients"]})


def test_every_collection_is_found_by_its_name(app):
    for name in collection_ids(app.index):
        for written in (name.upper().replace("_", "-"), name.replace("_", " ")):
            assert first_collections(app, written, 1) == [name]


def test_a_warm_search_is_fast(app):
    app.search.search("lung cancer CT")
    times = []
    for _ in range(9):
        start = time.thread_time()
        app.search.search("lung cancer CT")
        times.append(time.thread_time() - start)
    assert min(times) < 0.05


def test_the_documents_are_collected_once_by_any_number_of_threads(index):
    search = SearchIndex(index)
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(id(search.documents()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
    assert len(set(seen)) == 1


def test_every_answer_is_within_its_budget(app):
    for query in ("lung", "cancer", "CT", "image", "series", "breast cancer", "mr"):
        for limit in (1, 10, 100):
            assert render(idc_search(app, query, [], limit), BUDGET).chars <= BUDGET


def test_words_are_folded():
    assert words_of("Non-Cancer biopsies, Kidneys & Uterus") == [
        "noncancer", "biopsy", "kidney", "uterus",
    ]  # fmt: skip
    assert joined("TCGA-LUAD") == joined("tcga_luad")


def test_the_vocabulary_names_what_the_release_has(app, catalogue):
    assert set(catalogue.Modality) <= set(MODALITIES)
    columns = {column.name for schema in app.release.schemas.values() for column in schema.columns}
    assert set(RENAMED_COLUMNS.values()) <= columns


def test_suggestions_for_a_filter():
    assert suggestions("Modality", "MRI") == ["MR"]
    assert suggestions("Modality", "Mammograms") == ["MG"]
    assert suggestions("tumor_locations", "renal")[0] == "kidney"
    assert suggestions("BodyPartExamined", "thorax")[0] == "CHEST"
    assert suggestions("Modality", "nothing") == []
