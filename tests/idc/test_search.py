"""Search as people use it: what they type, and what should come first."""

from __future__ import annotations

import json
import re
import threading

import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument, NotFound
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.matching import match
from idc_mcp.idc.identifiers import collection_ids
from idc_mcp.idc.search.search import SearchIndex
from idc_mcp.idc.search.words import joined, words_of
from idc_mcp.idc.vocabulary import MAKERS, MODALITIES, suggestions
from idc_mcp.tools.arguments import argument_model, check_arguments
from idc_mcp.tools.search import idc_search

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
        "GE chest CT", "brca slides", "non-human collections", "series with no BodyPartExamined",
        "NSCLC-Radiomics segmentations", "expert annotations of pathology slides", "toshiba CT",
        "annotations of pathology slides", "prostate MRI", "brain MRI", "general electric PET",
    ],
)  # fmt: skip
def test_suggested_filters_take_something(app, query):
    for call in app.search.search(query).next:
        if call.startswith("idc_cohort("):
            filters = json.loads(re.search(r"filters=(\{.*?\})", call)[1])
            conditions = match(app.index, Filters(**filters))
            where = " AND ".join(condition.sql for condition in conditions)
            assert app.index.value(f"SELECT count(*) FROM core.series WHERE {where}") > 0


@pytest.mark.parametrize(
    ("query", "ignored"),
    [
        ("prostate MRI", "with lesions annotated"),
        ("breast MRI", "with response to therapy"),
    ],
)
def test_words_said_to_be_ignored_drop_nothing(app, query, ignored):
    plain, found = (app.search.search(text) for text in (query, f"{query} {ignored}"))
    assert any("matched without" in note for note in found.notes)
    counts = [len(one.collections.rows) + one.collections.more for one in (plain, found)]
    assert counts[0] == counts[1] >= 10


def suggested(app, query):
    """The filters of the suggested cohorts, the first first."""
    calls = app.search.search(query).next
    found = [re.search(r"idc_cohort\(filters=(\{.*?\})", call) for call in calls]
    return [json.loads(match[1]) for match in found if match]


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("prostate MRI", {"Modality": "MR", "cancer_types": "prostate"}),
        ("prostate MRI with lesions annotated", {"Modality": "MR", "cancer_types": "prostate"}),
        ("prostate-mri", {"collection_id": "prostate_mri"}),
        ("prostate_mri", {"collection_id": "prostate_mri"}),
        ("tcga luad", {"collection_id": "tcga_luad"}),
        (
            "NSCLC-Radiomics segmentations",
            {"collection_id": "nsclc_radiomics", "Modality": "SEG"},
        ),
        ("NSCLC-Radiomics ultrasound", {"collection_id": "nsclc_radiomics"}),
        (
            "expert annotations of pathology slides",
            {"analysis_result_id": "rms_mutation_prediction_expert_annotations"},
        ),
        (
            "brca slides",
            {"Modality": "SM", "collection_id": ["tcga_brca", "cptac_brca", "cmb_brca"]},
        ),
        ("non-human collections", {"species": ["Canine", "Mouse", "Phantom"]}),
        ("series with no BodyPartExamined", {"BodyPartExamined": "null"}),
        ("CT with missing body part", {"BodyPartExamined": "null", "Modality": "CT"}),
        ("CT where BodyPartExamined is null", {"BodyPartExamined": "null", "Modality": "CT"}),
        ("breast MR", {"Modality": "MR", "cancer_types": "breast"}),
        ("siemens MR breast",
         {"Modality": "MR", "Manufacturer": "SIEMENS*", "cancer_types": "breast"}),
    ],
)  # fmt: skip
def test_the_suggested_filters_say_the_query(app, query, filters):
    assert suggested(app, query)[0] == filters


def test_a_name_written_as_words_is_suggested_beside_the_words(app):
    assert suggested(app, "prostate MRI")[1] == {"collection_id": "prostate_mri"}


def test_what_a_named_collection_lacks_is_said(app):
    calls = app.search.search("NSCLC-Radiomics ultrasound").next
    assert any("leaves out: ultrasound" in call for call in calls)


def test_a_word_that_the_listed_collections_lack_is_said_to_be_left_out(app):
    (call,) = [one for one in app.search.search("liver lesion MRI dogs").next if "filters" in one]
    said, _, left = call.partition("leaves out: ")
    assert "lesion" in left
    assert "canine" in said or "dogs" in left
    assert "liver" in said or "liver" in left


def test_annotations_of_images_keep_the_images(app, catalogue):
    filters = suggested(app, "annotations of pathology slides")[0]
    assert set(filters["Modality"]) == {"ANN", "RTSTRUCT", "SEG", "SR"}
    slides = set(catalogue.loc[catalogue.Modality == "SM", "collection_id"])
    assert set(filters["collection_id"]) <= slides
    assert "rms_mutation_prediction" in filters["collection_id"]


def test_a_region_is_a_body_part_and_a_disease_is_not(app):
    filters = suggested(app, "GE chest CT")[0]
    assert "CHEST" in filters["BodyPartExamined"]
    assert filters["Manufacturer"][:2] == ["GE", "GE *"]
    assert "tumor_locations" not in filters
    assert suggested(app, "lung cancer CT")[0] == {"Modality": "CT", "cancer_types": "lung"}


def test_non_human_is_every_other_species(app, index):
    found = app.search.search("non-human collections", ["collection"], 100).collections
    expected = index.rows("SELECT collection_id FROM collections_index WHERE species <> 'Human'")
    assert set(column(found, "collection_id")) == {row[0] for row in expected}


def test_other_negations_are_said_to_be_not_searched(app):
    found = app.search.search("CT without nodules")
    assert "not searched: 'without nodules'" in found.understood
    assert any("leaves out: without nodules" in call for call in found.next)
    assert "non" in app.search.search("non-small cell lung cancer").understood
    assert "not searched" not in app.search.search("non-small cell lung cancer").understood


@pytest.mark.parametrize("word", ["drop", "brien", "select", "luda"])
def test_words_unlike_any_are_not_corrected(app, word):
    assert "read as" not in app.search.search(f"lung {word}").understood


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


def test_suggestions_for_a_filter():
    assert suggestions("Modality", "MRI") == ["MR"]
    assert suggestions("Modality", "Mammograms") == ["MG"]
    assert suggestions("tumor_locations", "renal")[0] == "kidney"
    assert suggestions("BodyPartExamined", "thorax")[0] == "CHEST"
    assert suggestions("Modality", "nothing") == []
    assert suggestions("Manufacturer", "GE")[:2] == ["GE", "GE *"]
    assert suggestions("Manufacturer", "General Electric") == suggestions("Manufacturer", "ge")
    assert suggestions("Manufacturer", "nobody") == []


@pytest.mark.parametrize("patterns", sorted(set(MAKERS.values())))
def test_every_pattern_of_a_maker_takes_something(index, patterns):
    for pattern in patterns:
        (condition,) = match(index, Filters(Manufacturer=pattern))
        assert index.value(f"SELECT count(*) FROM core.series WHERE {condition.sql}") > 0
