"""Filters: strictly read, matched without regard to case, never a silent zero."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from idc_mcp.errors import NotFound
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.matching import match
from idc_mcp.idc.filters.ranges import AGE_IN_YEARS


def _one(index, **filters):
    (condition,) = match(index, Filters.model_validate(filters))
    return condition


def _count(index, condition):
    return index.value(f"SELECT count(*) FROM main.index WHERE {condition.sql}")


@pytest.mark.parametrize("written", ["CT", "ct", ["ct"], ["CT", "Ct"], "C*T"])
def test_same_question_same_condition(index, catalogue, written):
    condition = _one(index, Modality=written)
    assert condition.canonical == ["CT"]
    assert _count(index, condition) == (catalogue.Modality == "CT").sum()


def test_pattern(index, catalogue):
    condition = _one(index, Manufacturer="siemens*")
    expected = catalogue.Manufacturer.str.lower().str.startswith("siemens").fillna(False).sum()
    assert _count(index, condition) == expected
    assert len(condition.canonical) > 1


def test_null_is_a_value(index, catalogue):
    condition = _one(index, analysis_result_id="null")
    assert _count(index, condition) == catalogue.analysis_result_id.isna().sum()


def test_comma_joined_columns_match_by_part(index):
    condition = _one(index, transfer_syntax_name="JPEG 2000")
    assert any("," in value for value in condition.canonical)


def test_a_comma_in_a_name_is_no_list(index):
    condition = _one(index, Manufacturer="GE MEDICAL SYSTEMS")
    assert "GE MEDICAL SYSTEMS, NUCLEAR" not in condition.canonical


def test_near_misses_are_named_with_counts(index, catalogue):
    condition = _one(index, BodyPartExamined="CHEST")
    near = dict(condition.nearly)
    assert near["CHESTABDOMEN"] == (catalogue.BodyPartExamined == "CHESTABDOMEN").sum()


def test_a_small_match_beside_a_large_near_miss_warns(index):
    (note,) = _one(index, Manufacturer="GE").notes
    assert "GE MEDICAL SYSTEMS" in note


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("Modality", "MRI", "MR"),
        ("Modality", "PET", "PT"),
        ("Modality", "mammography", "MG"),
        ("Modality", "pathology", "SM"),
        ("BodyPartExamined", "THORACS", "THORAX"),
        ("cancer_types", "lugn", "Lung Cancer"),
        ("license_short_name", "CC-BY 4", "CC BY 4.0"),
        ("collection_id", "tcga_luadd", "tcga_luad"),
    ],
)
def test_a_value_that_matches_nothing_names_the_nearest(index, name, value, near):
    with pytest.raises(NotFound) as error:
        _one(index, **{name: value})
    assert any(found.split(" (")[0] == near for found in error.value.nearest)
    assert error.value.next_step


def test_unknown_uid_is_an_error(index):
    with pytest.raises(NotFound, match="1 of 1 values of SeriesInstanceUID"):
        _one(index, SeriesInstanceUID="1.2.3")


def test_collection_texts(index, release):
    pandas = pytest.importorskip("pandas")
    collections = pandas.read_parquet(release.parquet("collections_index"))
    condition = _one(index, cancer_types=["Lung", "breast"])
    expected = set(
        collections[
            collections.cancer_types.str.lower().str.contains("lung|breast", na=False)
        ].collection_id
    )
    got = {
        row[0]
        for row in index.rows(
            f"SELECT DISTINCT collection_id FROM main.index WHERE {condition.sql}"
        )
    }
    assert got <= expected
    assert str(len(expected)) in condition.matched


@pytest.mark.parametrize(
    ("given_range", "low", "high"),
    [({"from": 10, "to": 20}, 10, 20), ([10, 20], 10, 20), ({"from": 10}, 10, None), (15, 15, 15)],
)
def test_number_ranges(index, catalogue, given_range, low, high):
    condition = _one(index, instanceCount=given_range)
    counts = catalogue.instanceCount
    expected = (counts >= low) & ((counts <= high) if high is not None else True)
    assert _count(index, condition) == expected.sum()


def test_dates_compare_as_dates(index, catalogue):
    condition = _one(index, StudyDate={"from": "2000-01-01", "to": "2005-12-31"})
    assert _count(index, condition) == catalogue.StudyDate.between("2000-01-01", "2005-12-31").sum()


@pytest.mark.parametrize(
    ("text", "years"),
    [("063Y", 63), ("018M", 1.5), ("052W", 52 / 52.1775), ("004D", 4 / 365.2425), ("999y", 999),
     ("99", 99), ("N-A", None), ("000Y", None)],
)  # fmt: skip
def test_ages_as_dicom_writes_them(index, text, years):
    got = index.value(f"SELECT {AGE_IN_YEARS} FROM (SELECT ? AS PatientAge)", [text])
    assert got == pytest.approx(years) if years is not None else got is None


def test_annotated_studies_the_fast_and_the_plain_way(index):
    condition = _one(index, has_annotations=True)
    fast = index.value(f"SELECT count(*) FROM core.series WHERE {condition.fast}")
    assert fast == _count(index, condition) > 0


@pytest.mark.parametrize(
    "filters",
    [
        {"Modality": []},
        {"Modality": None},
        {"Modality": ""},
        {"Modality": 3.5},
        {"Modality": {"a": 1}},
        {"modality": "CT"},
        {"StudyDate": "20100101"},
        {"StudyDate": {"from": "2010-13-01"}},
        {"StudyDate": {"from": "2011-01-01", "to": "2010-01-01"}},
        {"StudyDate": {}},
        {"instanceCount": {"from": 5, "to": 4}},
        {"instanceCount": {"min": 5}},
        {"instanceCount": [1, 2, 3]},
        {"has_annotations": "perhaps"},
    ],
)
def test_what_is_not_understood_is_rejected(filters):
    with pytest.raises(ValidationError):
        Filters.model_validate(filters)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(Filters.model_fields)), st.text(max_size=12), max_size=3)
)
def test_any_filter_is_a_condition_or_an_error_in_words(full_index, filters):
    try:
        conditions = match(full_index, Filters.model_validate(filters))
    except ValidationError:
        return
    except NotFound as error:
        assert error.what
        return
    for condition in conditions:
        assert _count(full_index, condition) >= 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["CT", "MR", "SEG", "SM", "PT", "SR"]), min_size=1, max_size=6))
def test_canonical_form_has_no_order_case_or_repetition(index, modalities):
    mixed = [value.lower() if i % 2 else value for i, value in enumerate(modalities)]
    assert _one(index, Modality=mixed).canonical == sorted(set(modalities))


def test_a_word_in_the_sister_column_is_a_near_miss(index):
    condition = _one(index, tumor_locations="lung")
    assert ("collection nlst (cancer_types)", 592_600) in condition.nearly
    assert "cancer_types only" in condition.notes[0]


def test_collections_of_many_cancer_types_are_named(index):
    condition = _one(index, cancer_types="pancrea")
    assert any("eay131" in note for note in condition.notes)


def test_makers_by_their_name(index):
    with pytest.raises(NotFound) as error:
        _one(index, Manufacturer="General Electric")
    assert error.value.nearest[0].startswith("GE")
    assert any("GE *" in near or "GE MEDICAL SYSTEMS" in near for near in error.value.nearest)


def test_collections_by_a_pattern_as_the_literature_writes_them(index):
    assert (
        _one(index, collection_id="TCGA-*").canonical
        == _one(index, collection_id="tcga_*").canonical
    )
