"""Filters: strictly read, matched without regard to case, never a silent zero."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from idc_mcp.errors import BadArgument, NotFound
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.matching import match
from idc_mcp.idc.filters.ranges import AGE_IN_YEARS
from idc_mcp.tools import idc_cohort
from idc_mcp.tools.arguments import argument_model, check_arguments


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
    [
        ({"from": 10, "to": 20}, 10, 20),
        ({"min": 10, "max": 20}, 10, 20),
        ({"from": 10}, 10, None),
        ({"gte": "10"}, 10, None),
        (15, 15, 15),
        ("15", 15, 15),
        (">= 10", 10, None),
        ("10-20", 10, 20),
        ("10 to 20", 10, 20),
        ("10..20", 10, 20),
        ([15], 15, 15),
    ],
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
        {"instanceCount": {"gt": 5}},
        {"instanceCount": {"from": 1, "min": 5}},
        {"instanceCount": [1, 2, 3]},
        {"has_annotations": "perhaps"},
        {"has_annotations": 1},
        {"has_annotations": "null"},
        {"contrast": "null"},
        {"regularly_spaced_3d_volume": 0},
    ],
)
def test_what_is_not_understood_is_rejected(filters):
    with pytest.raises(ValidationError):
        Filters.model_validate(filters)


def _asked(filters):
    """The filters as a caller's idc_cohort gets them."""
    return check_arguments("idc_cohort", argument_model(idc_cohort), {"filters": filters})


def _refusal(filters):
    with pytest.raises(BadArgument) as error:
        _asked(filters)
    return error.value


@pytest.mark.parametrize(
    ("name", "written", "low", "high"),
    [
        ("slice_thickness_mm", "1.5 mm", 1.5, 1.5),
        ("slice_thickness_mm", "≤ 1.5 mm", None, 1.5),
        ("slice_thickness_mm", "1-2 mm", 1, 2),
        ("slice_spacing_mm", "1mm – 2mm", 1, 2),
        ("slice_spacing_mm", {"from": "1 mm", "to": "2.5mm"}, 1, 2.5),
        ("magnetic_field_strength_T", "3T", 3, 3),
        ("magnetic_field_strength_T", ">=1.5 tesla", 1.5, None),
        ("objective_power", "40x", 40, 40),
        ("objective_power", "20×", 20, 20),
        ("kvp_kV", "120 kV", 120, 120),
        ("patient_age_years", "60 years", 60, 60),
        ("echo_time_ms", "3e1 ms", 30, 30),
        ("diffusion_b_value_s_mm2", "1000 s/mm2", 1000, 1000),
        ("series_size_MB", "<= 100 MB", None, 100),
        ("instanceCount", "-1", -1, -1),
    ],
)
def test_numbers_with_the_unit_of_their_filter(name, written, low, high):
    read = getattr(_asked({name: written})["filters"], name)
    assert (read.low, read.high) == (low, high)


@pytest.mark.parametrize(
    "written",
    ["1.5 cm", "<1.5", "> 3", "thin", "1.5 mm mm", ">=1-2", "2-1", "1,5", "inf", "-Infinity", "nan",
     float("inf"), float("-inf"), float("nan"), 10**400, True, {"from": float("nan")},
     {"to": "inf"}, {"from": "1-2"}, {"from": [1]}, {"from": True}, {}, {"from": None}],
)  # fmt: skip
def test_what_is_no_range_is_refused_in_words(written):
    for name in ("slice_thickness_mm", "series_size_MB", "patient_age_years"):
        error = str(_refusal({name: written}))
        assert error.startswith(f"'filters.{name}': ")


def test_a_unit_of_another_filter_is_not_read():
    error = _refusal({"echo_time_ms": "3T"})
    assert "'3T' is not read as a number in ms; give 1.5, or {'from': …, 'to': …}" in error.what


def test_infinity_in_json_text_is_refused():
    for text in ('{"instanceCount": {"to": Infinity}}', '{"kvp_kV": NaN}'):
        assert "is not a finite number" in _refusal(text).what


@pytest.mark.parametrize(
    ("filters", "near"),
    [
        ({"slice_thickness_mm": {"lt": 1}}, ("{'to': 1}",)),
        ({"slice_thickness_mm": "< 1.5 mm"}, ("{'to': 1.5}",)),
        ({"instanceCount": {">": 5}}, ("{'from': 5}",)),
        ({"StudyDate": {"before": "2010-01-01"}}, ("{'to': '2010-01-01'}",)),
        ({"StudyDate": {"year": 2010}}, ("from", "to")),
    ],
)
def test_keys_that_are_none_name_from_and_to(filters, near):
    error = _refusal(filters)
    assert error.nearest == near
    assert "'from' and 'to'" in error.what
    assert not error.next_step.endswith(": ")


@pytest.mark.parametrize(
    ("filters", "near"),
    [
        ({"kvp_kV": [80, 140]}, "{'from': 80, 'to': 140}"),
        ({"instanceCount": [30, 10, 20]}, "{'from': 10, 'to': 30}"),
        (
            {"StudyDate": ["2010-01-01", "2011-01-01"]},
            "{'from': '2010-01-01', 'to': '2011-01-01'}",
        ),
    ],
)
def test_a_list_is_no_range(filters, near):
    error = _refusal(filters)
    assert near in error.nearest
    assert "idc_cohort(identifiers=" in error.what
    assert "idc_cohort(sql=" in error.what


@pytest.mark.parametrize(
    ("filters", "low", "high"),
    [
        ({"instanceCount": [10, 20]}, 10, 20),
        ({"instanceCount": [None, 20]}, None, 20),
        ({"StudyDate": ["2010-01-01", None]}, "2010-01-01", None),
    ],
)
def test_the_form_of_kept_definitions_is_read(index, filters, low, high):
    (name,) = filters
    read = getattr(Filters.model_validate(filters), name)
    assert (read.low, read.high) == (low, high)
    assert _one(index, **filters).canonical == [low, high]


def test_null_of_dates_ages_and_numbers(index, catalogue):
    for name in ("StudyDate", "series_size_MB", "patient_age_years"):
        condition = _one(index, **{name: "NULL"})
        assert condition.canonical == "null"
        assert _one(index, **{name: condition.canonical}).sql == condition.sql
    assert _count(index, _one(index, StudyDate="null")) == catalogue.StudyDate.isna().sum()
    ages = catalogue.PatientAge.fillna("")
    known = ages.str.fullmatch("[0-9]{1,3}[YMWDymwd]?") & (ages.str.upper() != "000Y")
    assert _count(index, _one(index, patient_age_years="null")) == (~known).sum()


@pytest.mark.parametrize("name", sorted(set(Filters.model_fields) - set(Filters.NEVER_NULL)))
def test_null_is_advised_where_it_is_taken(name):
    assert "give 'null' as text" in _refusal({name: None}).what
    assert _asked({name: "null"})


@pytest.mark.parametrize("name", Filters.NEVER_NULL)
def test_null_is_not_advised_elsewhere(name):
    assert "leave it out for any value." in _refusal({name: None}).what


@pytest.mark.parametrize("name", ["use", "sql", "identifiers", "manifest", "name"])
def test_an_argument_among_the_filters_is_named_as_one(name):
    error = _refusal({name: "commercial"})
    assert "an argument of idc_cohort, beside filters" in error.what
    assert error.nearest == (name,)


def test_an_unknown_filter_names_the_nearest():
    error = _refusal({"BodyPartExamind": "CHEST"})
    assert error.nearest[0] == "BodyPartExamined"
    assert "SeriesDescription" in error.next_step


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
