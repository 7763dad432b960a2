"""Filters by meaning on the specialised tables, against pandas over the published Parquet."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from idc_mcp.cli import main
from idc_mcp.errors import BadArgument, NotFetched, NotFound
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.idc.filters.attributes import ATTRIBUTES, TABLE_MODALITIES
from idc_mcp.idc.filters.columns import described, places
from idc_mcp.idc.filters.contrast import NO_CONTRAST
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.matching import match
from idc_mcp.idc.nearest import folded
from idc_mcp.tools import idc_cohort, idc_sql
from tests.server.conftest import environment

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def table(published):
    read = {}

    def of(name):
        if name not in read:
            read[name] = pandas.read_parquet(published / f"{name}.parquet")
        return read[name]

    return of


@pytest.fixture(scope="module")
def modality(release):
    frame = pandas.read_parquet(release.parquet("index"), columns=["SeriesInstanceUID", "Modality"])
    return dict(zip(frame.SeriesInstanceUID, frame.Modality, strict=True))


def _define(app, **filters):
    return app.cohorts.define(filters=Filters.model_validate(filters))


def _series(app, **filters):
    """The series of the cohort on the built database, and as anyone can run its SQL."""
    spec = _define(app, **filters)
    fast = {
        uid for (uid,) in app.index.rows(f"SELECT SeriesInstanceUID FROM {Cohort.of(spec).source}")
    }
    plain = {
        uid
        for (uid,) in app.index.rows(f"SELECT SeriesInstanceUID FROM ({spec.readable()})".replace(
            "FROM index", 'FROM main."index"'))
    }  # fmt: skip
    assert fast == plain
    return fast


def _one(app, **filters):
    (condition,) = match(app.index, Filters.model_validate(filters))
    return condition


def _with(frame, rows):
    return set(frame[rows].SeriesInstanceUID)


def _any(column, test):
    return column.map(lambda values: values is not None and any(map(test, values)))


def _and_images(frame, rows, source, modality):
    chosen = frame[rows]
    return (set(chosen.SeriesInstanceUID) | set(chosen[source].dropna())) & modality.keys()


# -- the table ----------------------------------------------------------------------------------


def test_every_attribute_is_a_filter_and_every_place_a_column(release):
    every = set(places(release))
    assert set(ATTRIBUTES) <= set(Filters.model_fields)
    for attribute in ATTRIBUTES.values():
        assert set(attribute.places) <= every
        for place in attribute.places:
            kind = described(release, place).kind
            assert attribute.kind in (kind, "contains", "contrast")
    assert {place.table for place in every} == set(TABLE_MODALITIES)


# -- numbers ------------------------------------------------------------------------------------


def test_a_range_of_all_acquisitions_leaves_zero_out_and_says_so(full_app, table):
    expected = set()
    zeros = 0
    for name in ("ct_index", "mr_index", "pt_index"):
        thickness = table(name).SliceThickness
        expected |= _with(table(name), (thickness > 0) & (thickness.round(6) <= 1.5))
        zeros += (thickness <= 0).sum()
    assert _series(full_app, slice_thickness_mm={"to": 1.5}) == expected
    (note,) = _one(full_app, slice_thickness_mm={"to": 1.5}).notes
    assert f"in {zeros} series of the release" in note
    with_zero = _one(full_app, slice_thickness_mm={"from": 0, "to": 1.5})
    assert not with_zero.notes
    assert (
        len(_series(full_app, slice_thickness_mm={"from": 0, "to": 1.5})) == len(expected) + zeros
    )


def test_float_noise_stays_within_a_range(full_app, table):
    thickness = table("ct_index").SliceThickness
    assert ((thickness > 2) & (thickness < 2.000001)).any()
    found = _series(full_app, Modality="CT", slice_thickness_mm={"to": 2})
    assert _with(table("ct_index"), (thickness > 2) & (thickness < 2.000001)) <= found


def test_one_number_is_half_a_percent_wide(full_app, table):
    frame = table("mr_index")
    field = _tesla(frame)
    assert _series(full_app, magnetic_field_strength_T=1.5) == _with(
        frame, (field - 1.5).abs() <= 0.0075
    )
    condition = _one(full_app, magnetic_field_strength_T=3)
    near = dict(condition.nearly)
    assert near["2.8936"] == ((field - 2.8936).abs() < 1e-4).sum()
    assert all(float(value) < 4 for value in near)
    assert not _series(full_app, magnetic_field_strength_T=3) & _with(frame, field < 2.9)


def _tesla(frame):
    field = frame.MagneticFieldStrength
    return field.where(~(field > 100), field / 10_000)


@pytest.mark.parametrize(
    ("low", "high"), [(2.5, None), (None, 1.5), (2.85, 3.15), (1.5, 1.5), (None, 2), (9, None)]
)
def test_field_strengths_in_gauss_are_read_in_tesla(full_app, table, low, high):
    frame = table("mr_index")
    field, gauss = _tesla(frame), frame.MagneticFieldStrength > 100
    asked = {side: bound for side, bound in (("from", low), ("to", high)) if bound is not None}
    taken = (field >= (low or 1e-9)) & (field <= (high or 100))
    if low == high:
        taken = (field - low).abs() <= low * 0.005
    expected = _with(frame, taken)
    assert _series(full_app, magnetic_field_strength_T=asked) == expected
    column = {"mr_index.MagneticFieldStrength": asked}
    assert _series(full_app, columns=column) == expected
    assert (
        _define(full_app, columns=column).handle
        == _define(full_app, magnetic_field_strength_T=asked).handle
    )
    notes = [one for one in _one(full_app, columns=column).notes if "gauss" in one]
    count = (gauss & taken).sum()
    assert [f"in gauss in {count:,} of the series" in one for one in notes] == [True] * bool(count)


def test_field_strengths_that_nothing_has_are_named_in_tesla(full_app):
    with pytest.raises(NotFound) as error:
        _one(full_app, magnetic_field_strength_T=15000)
    assert "from 0 to 9.4" in error.value.what


def test_whole_numbers_are_taken_as_they_are(full_app, table):
    frame = table("mr_index")
    assert _series(full_app, columns={"mr_index.Rows": 256}) == _with(frame, frame.Rows == 256)
    slides = table("sm_index")
    assert _series(full_app, objective_power=40) == _with(slides, slides.ObjectiveLensPower == 40)


def test_of_a_list_one_number_suffices(full_app, table):
    frame = table("mr_index")
    expected = _with(frame, _any(frame.DiffusionBValue, lambda value: value >= 999.999))
    assert _series(full_app, diffusion_b_value_s_mm2={"from": 1000}) == expected
    zero = _with(frame, _any(frame.DiffusionBValue, lambda value: value <= 50.00005))
    assert _series(full_app, diffusion_b_value_s_mm2={"to": 50}) == zero


def test_a_number_that_nothing_has_names_what_there_is(full_app):
    with pytest.raises(NotFound, match="the values go from") as error:
        _one(full_app, objective_power=63)
    assert error.value.nearest[0].startswith("40 (")
    with pytest.raises(NotFound):
        _one(full_app, slice_thickness_mm={"to": 0.001})


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("seg_index.total_segments", "segmentations"),
        ("sm_instance_index.PixelSpacing_0", "instances"),
        ("ct_index.KVP", "series"),
    ],
)
def test_the_error_counts_what_the_rows_are(full_app, column, what):
    with pytest.raises(NotFound, match=f"is recorded in no {what} of IDC") as error:
        _one(full_app, columns={column: 123456789})
    assert all(near.endswith(f" {what})") for near in error.value.nearest)


# -- texts --------------------------------------------------------------------------------------


def test_texts_match_without_case_and_as_patterns(full_app, table):
    frame = table("sm_index")
    stains = frame.staining_usingSubstance_CodeMeaning
    expected = _with(frame, _any(stains, lambda value: "eosin" in value.lower()))
    assert _series(full_app, stain="*EOSIN*") == expected
    assert _series(full_app, specimen_site="BREAST") == _with(
        frame, frame.primaryAnatomicStructure_CodeMeaning == "Breast"
    )


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("stain", "H&E", "*eosin*"),
        ("scanning_sequence", "gradient echo", "GR"),
        ("segmented_structure", "hepatic", "Liver"),
        ("segmented_structure", "Livr", "Liver"),
        ("radionuclide", "18F", "*18*Fluorine*"),
        ("segmentation_algorithm", "total segmentator", "TotalSegmentator"),
        ("roi_name", "hart", "Heart"),
    ],
)
def test_a_text_that_nothing_has_names_the_nearest(full_app, name, value, near):
    with pytest.raises(NotFound) as error:
        _one(full_app, **{name: value})
    assert any(found.lower().startswith(near.lower()) for found in error.value.nearest)
    assert "idc_schema(table=" in error.value.next_step


def test_what_people_call_the_same_is_a_near_miss(full_app):
    near = dict(_one(full_app, radionuclide="F-18").nearly)
    assert {"^18^Fluorine", "Fluorine F18"} <= near.keys()


def test_a_star_that_belongs_to_the_value_is_its_own(full_app, table):
    frame = table("mr_index")
    found = _one(full_app, columns={"SequenceName": "*tfl3d1"})
    assert found.canonical == ["*tfl3d1"]
    assert _series(full_app, columns={"SequenceName": "*tfl3d1"}) == _with(
        frame, frame.SequenceName == "*tfl3d1"
    )


def test_contained_texts_look_at_agent_and_ingredient(full_app, table):
    frame = table("contrast_index")
    has = [
        _any(frame[name], lambda value: "gado" in value.lower())
        for name in ("ContrastBolusAgent", "ContrastBolusIngredient")
    ]
    assert _series(full_app, contrast_agent="Gado") == _with(frame, has[0] | has[1])


def test_null_is_what_the_tables_say_nothing_of(full_app, table, modality):
    frame = table("sm_index")
    filled = _with(frame, frame.staining_usingSubstance_CodeMeaning.map(len) > 0)
    slides = {uid for uid, name in modality.items() if name == "SM"}
    assert _series(full_app, stain="null") == slides - filled
    both = _series(full_app, stain=["null", "Wright Giemsa stain"])
    assert both == (slides - filled) | _series(full_app, stain="Wright Giemsa stain")


def test_null_of_numbers_and_flags_is_within_the_modalities(full_app, table, modality):
    def lacking(name, rows, codes):
        filled = _with(table(name), rows)
        return {uid for uid, code in modality.items() if code in codes} - filled

    kvp = table("ct_index").KVP
    assert kvp.isna().any()
    expected = lacking("ct_index", kvp.notna(), {"CT"})
    assert _series(full_app, kvp_kV="null") == expected
    assert _series(full_app, columns={"ct_index.KVP": "null"}) == expected
    times = lacking("mr_index", table("mr_index").EchoTime.map(len) > 0, {"MR"})
    assert _series(full_app, echo_time_ms="Null") == times
    regular = table("volume_geometry_index").regularly_spaced_3d_volume
    assert _series(full_app, regularly_spaced_3d_volume="null") == lacking(
        "volume_geometry_index", regular.notna(), {"CT", "MR", "PT"}
    )


def test_the_canonical_form_is_read_from_disk(full_app):
    spec = _define(
        full_app,
        kvp_kV={"from": 80, "to": 120},
        echo_time_ms="null",
        regularly_spaced_3d_volume="null",
        columns={"mr_index.FlipAngle": {"to": 20}, "uniform_slice_spacing": "null"},
    )
    filters = spec.canonical()["filters"]
    assert filters["kvp_kV"] == [80, 120]  # as in files that were kept before
    assert filters["columns"]["mr_index.FlipAngle"] == [None, 20]
    full_app.cohorts.keep(spec)
    assert full_app.cohorts.resolve(spec.handle).spec == spec


# -- yes and no ---------------------------------------------------------------------------------


def test_volumes(full_app, table):
    frame = table("volume_geometry_index")
    for wanted in (True, False):
        expected = _with(frame, frame.regularly_spaced_3d_volume == wanted)
        assert _series(full_app, regularly_spaced_3d_volume=wanted) == expected


def test_contrast_counts_no_denial(full_app, table, modality):
    frame = table("contrast_index")

    def says(values):
        return any(folded(value) and folded(value) not in NO_CONTRAST for value in values)

    denied = _any(frame.ContrastBolusAgent, lambda value: folded(value) in NO_CONTRAST)
    given_ = (
        frame.ContrastBolusAgent.map(says)
        | frame.ContrastBolusIngredient.map(says)
        | (frame.ContrastBolusRoute.map(says) & ~denied)
    )
    assert denied.any()
    assert _series(full_app, contrast=True) == _with(frame, given_ & ~denied)
    without = _series(full_app, contrast=False)
    covered = {uid for uid, name in modality.items() if name in TABLE_MODALITIES["contrast_index"]}
    assert without == covered - _with(frame, given_)
    assert "no proof" in _one(full_app, contrast=False).notes[0]
    both = (denied & given_).sum()
    assert both
    for wanted in (True, False):
        assert f"of {both:,} series" in _one(full_app, contrast=wanted).notes[-1]


# -- annotations --------------------------------------------------------------------------------


def test_a_structure_takes_its_segmentations_and_their_images(full_app, table, modality):
    frame = table("seg_index")
    rows = _any(
        frame.SegmentedPropertyType_CodeMeanings, lambda value: value.strip().lower() == "liver"
    )
    found = _series(full_app, segmented_structure="liver")
    assert found == _and_images(frame, rows, "segmented_SeriesInstanceUID", modality)
    images = _series(full_app, segmented_structure="liver", Modality="CT")
    assert images == {uid for uid in found if modality[uid] == "CT"}
    both = _series(full_app, segmented_structure="liver", Modality=["CT", "SEG"])
    assert both == {uid for uid in found if modality[uid] in ("CT", "SEG")}
    condition = _one(full_app, segmented_structure="liver")
    assert "segmentations" in condition.matched
    assert "images that they refer to" in condition.matched


def test_thin_slices_with_a_liver(full_app, table, modality):
    segmentations, images = table("seg_index"), table("ct_index")
    livers = segmentations[
        _any(segmentations.SegmentedPropertyType_CodeMeanings, lambda one: one.lower() == "liver")
    ]
    thin = images[(images.SliceThickness > 0) & (images.SliceThickness <= 1.5)]
    expected = thin.merge(
        livers, left_on="SeriesInstanceUID", right_on="segmented_SeriesInstanceUID"
    ).SeriesInstanceUID_x
    found = _series(
        full_app, Modality="CT", slice_thickness_mm={"to": 1.5}, segmented_structure="liver"
    )
    assert found == {uid for uid in expected if modality[uid] == "CT"}
    assert found


def test_filters_of_annotations_hold_of_the_same_one(full_app, table, modality):
    frame = table("seg_index")
    has = _any(frame.SegmentedPropertyType_CodeMeanings, lambda one: one.lower() == "prostate")
    manual = frame.AlgorithmType.fillna("").str.contains("MANUAL")
    manual &= frame.AlgorithmType.fillna("").map(lambda text: "MANUAL" in text.split(","))
    found = _series(full_app, segmented_structure="Prostate", segmentation_algorithm_type="manual")
    assert found == _and_images(frame, has & manual, "segmented_SeriesInstanceUID", modality)
    apart = _series(full_app, segmented_structure="Prostate") & _series(
        full_app, segmentation_algorithm_type="manual"
    )
    assert found < apart


def test_structure_sets_by_a_part_of_a_name(full_app, table, modality):
    frame = table("rtstruct_index")
    rows = _any(frame.ROINames, lambda name: "gtv" in name.lower())
    assert _series(full_app, roi_name="GTV") == _and_images(
        frame, rows, "referenced_SeriesInstanceUID", modality
    )


def test_groups_of_bulk_annotations(full_app, table, modality):
    groups, frame = table("ann_group_index"), table("ann_index")
    rows = groups[
        (groups.AnnotationPropertyType_CodeMeaning == "Cell") & (groups.GraphicType == "POINT")
    ]
    found = _series(
        full_app, annotated_property="cell", columns={"ann_group_index.GraphicType": "point"}
    )
    assert found == _and_images(
        frame,
        frame.SeriesInstanceUID.isin(rows.SeriesInstanceUID),
        "referenced_SeriesInstanceUID",
        modality,
    )


def test_annotations_without_a_known_image_are_counted(full_app, table, modality):
    frame = table("seg_index")
    rows = _any(frame.SegmentedPropertyType_CodeMeanings, lambda one: one.lower() == "liver")
    lost = (~frame[rows].segmented_SeriesInstanceUID.isin(modality)).sum()
    card = full_app.cards.card(Cohort.of(_define(full_app, segmented_structure="liver")))
    assert lost
    assert any(
        f"{lost} segmentations that segmented_structure takes refer to no image" in one
        for one in card.warnings
    )
    two = _define(full_app, segmented_structure="liver", segmentation_algorithm="*")
    assert any(
        "segmented_structure and segmentation_algorithm take refer to no image" in one
        for one in full_app.cards.card(Cohort.of(two)).warnings
    )


@pytest.mark.parametrize(
    ("filters", "note"),
    [
        (
            {"Modality": ["CT", "SEG"], "segmented_structure": "liver",
             "slice_thickness_mm": {"to": 1.5}},
            "no SEG: slice_thickness_mm is recorded of CT, MR and PT only; "
            "idc_annotations(cohort=…) gives the segmentations of these images",
        ),
        (
            {"Modality": ["CT", "MR"], "magnetic_field_strength_T": 3},
            "no CT: magnetic_field_strength_T is recorded of MR only",
        ),
        (
            {"Modality": ["CT", "MR"], "columns": {"mr_index.FlipAngle": {"to": 90}}},
            "no CT: columns.mr_index.FlipAngle is recorded of MR only",
        ),
        (
            {"Modality": ["CT", "SM", "RTSTRUCT"], "contrast": True},
            "no RTSTRUCT or SM: contrast is recorded of CT, MR, PT, XA and RF only; "
            "idc_annotations(cohort=…) gives the structure sets of these images",
        ),
    ],
)  # fmt: skip
def test_a_modality_that_cannot_have_it_is_named(full_app, filters, note):
    card = full_app.cards.card(Cohort.of(_define(full_app, **filters)))
    assert note in card.warnings


@pytest.mark.parametrize(
    "filters",
    [
        {"Modality": ["CT", "SEG"], "segmented_structure": "liver"},
        {"Modality": ["CT", "MR"], "slice_thickness_mm": 1},
        {"slice_thickness_mm": 1},
    ],
)
def test_modalities_that_can_have_it_are_not(full_app, filters):
    conditions = match(full_app.index, Filters.model_validate(filters))
    assert not [note for one in conditions for note in one.notes if note.startswith("no ")]


# -- columns ------------------------------------------------------------------------------------


def test_rows_of_one_instance(full_app, table):
    frame = table("sm_instance_index")
    rows = _any(frame.ImageType, "LABEL".__eq__) & (frame.PixelSpacing_0 <= 0.001)
    found = _series(
        full_app,
        columns={"sm_instance_index.ImageType": "label", "PixelSpacing_0": {"to": 0.001}},
    )
    assert found == _with(frame, rows)


@pytest.mark.parametrize("asked", ["ct_index.KVP", "KVP", "CT_INDEX.kvp"])
def test_a_column_that_has_a_filter_is_the_same_question(full_app, asked):
    assert (
        _define(full_app, columns={asked: {"from": 80, "to": 100}}).handle
        == _define(full_app, kvp_kV={"from": 80, "to": 100}).handle
    )


def test_a_column_beside_the_filter_of_the_same(full_app):
    spec = _define(full_app, kvp_kV={"from": 80}, columns={"KVP": {"to": 100}})
    assert [one.name for one in spec.conditions] == ["kvp_kV", "columns.ct_index.KVP"]


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        ({"SliceThickness": 1}, BadArgument, "slice_thickness_mm"),
        ({"SliceThicknes": 1}, NotFound, "ct_index.SliceThickness"),
        ({"ct_index.FlipAngle": 1}, NotFound, "no specialised table ct_index"),
        ({"Modality": "CT"}, BadArgument, "filter of its own"),
        ({"ct_index.SeriesInstanceUID": "1.2"}, BadArgument, "SeriesInstanceUID"),
        ({"KVP": "high"}, BadArgument, "a number, or"),
        ({"KVP": {"lt": 80}}, BadArgument, "{'to': 80}"),
        ({"KVP": "80 mA"}, BadArgument, "'80 mA' is not read as a number in kV"),
        ({"KVP": float("inf")}, BadArgument, "'KVP' was inf: inf is not a finite number"),
        ({"KVP": ["80", "100"]}, BadArgument, "a list is no range"),
        ({"single_orientation": 1}, BadArgument, "give true or false"),
        (
            {"nlst_canc.clinical_stag": "400"},
            BadArgument,
            "JOIN nlst_canc c ON c.collection_id = i.collection_id AND "
            "c.dicom_patient_id = i.PatientID WHERE c.clinical_stag",
        ),
        ({"clinical.nlst_canc.clinical_stag": "400"}, BadArgument, "idc_cohort(sql="),
        ({"clinical_stag": "400"}, BadArgument, "JOIN nlst_canc c"),
        ({"KVP": [80, 100, 120]}, BadArgument, "a number, or"),
        ({"KVP": 80, "ct_index.KVP": 90}, BadArgument, "given twice"),
        ({"uniform_slice_spacing": "perhaps"}, BadArgument, "true or false"),
        ({"ReceiveCoilName": {"to": 3}}, BadArgument, "a text"),
        ({"ReceiveCoilName": "HAED"}, NotFound, "HEAD ("),
        ({"ContainerIdentifier": "slide*"}, NotFound, "whole values"),
    ],
)
def test_what_columns_cannot_hold_says_why(full_app, columns, error, said):
    with pytest.raises(error) as found:
        _define(full_app, columns=columns)
    assert said in str(found.value)


@pytest.mark.parametrize("columns", [{}, {"KVP": None}, {"KVP": []}, "KVP", ["KVP"]])
def test_empty_columns_are_rejected(columns):
    with pytest.raises(ValidationError):
        Filters.model_validate({"columns": columns})


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("SliceThickness", "slice_thickness_mm"),
        ("KVP", "kvp_kV"),
        ("field_strength", "magnetic_field_strength_T"),
        ("SegmentedPropertyType", "segmented_structure"),
        ("SegmentedPropertyType_CodeMeanings", "segmented_structure"),
        ("magnification", "objective_power"),
        ("tracer", "radiopharmaceutical"),
        ("FlipAngle", "columns={'mr_index.FlipAngle': …}"),
        ("segmentation_type", "segmentation_algorithm_type"),
        ("ct_index.ScanOptions", "columns={'ct_index.ScanOptions': …}"),
        ("TotalSegmentator", "segmentation_algorithm"),
    ],
)
def test_another_name_of_a_filter_names_it(asked, near):
    with pytest.raises(BadArgument) as error:
        Filters.model_validate({asked: "x"})
    assert error.value.nearest[0] == near


def test_the_type_of_a_segmentation_is_not_that_of_its_algorithm():
    with pytest.raises(BadArgument) as error:
        Filters.model_validate({"segmentation_type": "BINARY"})
    assert "columns={'seg_index.SegmentationType': …}" in error.value.nearest


def test_names_of_single_things_are_looked_up(full_app, table):
    frame = table("sm_index")
    one = frame.ContainerIdentifier.iloc[0]
    found = _series(full_app, columns={"ContainerIdentifier": one})
    assert found == _with(frame, frame.ContainerIdentifier == one)


# -- what is not known, not fetched, not asked again --------------------------------------------


def test_what_is_not_recorded_is_counted_for_its_modalities(full_app, table, modality):
    frame = table("mr_index")
    filled = _with(frame, frame.MagneticFieldStrength.notna())
    missing = sum(name == "MR" for name in modality.values()) - len(filled)
    card = full_app.cards.card(Cohort.of(_define(full_app, magnetic_field_strength_T=3)))
    assert any(
        one.startswith(f"magnetic_field_strength_T is not recorded in {missing:,} series")
        for one in card.warnings
    )


def test_only_the_tables_of_the_modalities_asked_for_are_needed(index):
    def needed(**filters):
        with pytest.raises(NotFetched) as error:
            match(index, Filters.model_validate(filters))
        return set(error.value.tables)

    assert needed(Modality="CT", slice_thickness_mm=1) == {"ct_index"}
    assert needed(slice_thickness_mm=1) == {"ct_index", "mr_index", "pt_index"}
    assert needed(segmented_structure="x", kvp_kV=120) == {"seg_index", "ct_index"}
    assert needed(annotated_property="x") == {"ann_group_index", "ann_index"}


def test_a_wrong_filter_is_said_before_a_table_is_fetched(index):
    with pytest.raises(NotFound):
        match(index, Filters.model_validate({"Modality": "MRI", "kvp_kV": 120}))
    with pytest.raises(BadArgument):
        match(index, Filters.model_validate({"columns": {"SliceThickness": 1}, "kvp_kV": 120}))


def test_the_definition_runs_and_the_handle_is_the_same_series(full_app):
    answer = idc_cohort(
        full_app,
        filters=Filters.model_validate(
            {
                "Modality": ["CT", "SEG"],
                "segmented_structure": "Liver",
                "slice_thickness_mm": {"to": 3},
                "contrast": False,
            }
        ),
    )
    counts = [
        idc_sql(full_app, f"SELECT count(*) AS n FROM ({sql})").result.rows[0][0]
        for sql in (answer.definition, answer.handle)
    ]
    assert counts == [answer.series, answer.series]


def test_prior_versions_are_narrowed_by_what_is_recorded_of_their_series(full_app, table):
    recorded = table("seg_index")
    liver = recorded[
        _any(recorded.SegmentedPropertyType_CodeMeanings, lambda one: one.lower() == "liver")
    ]
    (now,) = full_app.index.rows(
        "SELECT crdc_series_uuid FROM core.series WHERE SeriesInstanceUID = ?",
        [liver.SeriesInstanceUID.iloc[0]],
    )[0]
    (before,) = full_app.index.rows("SELECT min(crdc_series_uuid) FROM core.prior")[0]
    spec = full_app.cohorts.define(
        identifiers=[now, before], filters=Filters.model_validate({"segmented_structure": "liver"})
    )
    assert spec.has_prior
    rows = full_app.index.rows(f"SELECT crdc_series_uuid FROM {Cohort.of(spec).source}")
    assert (now,) in rows
    assert full_app.cards.card(Cohort.of(spec)).series == len(rows)


def test_the_command_takes_ranges_columns_and_yes(
    full_app, full_cache, tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("IDC_MCP_OLD_CLIENT", raising=False)  # of `make test`, and no setting
    for name, value in environment(tmp_path, full_cache, COLUMNS="100").items():
        monkeypatch.setenv(name, value)
    given_ = (
        "Modality=CT", "slice_thickness_mm=..2.5", "contrast=yes",
        "columns.ct_index.KVP=80..120", "columns.ScanOptions=helical mode,helix",
    )  # fmt: skip
    assert main(["cohort", *(part for one in given_ for part in ("-f", one))]) == 0
    spec = _define(
        full_app,
        Modality="CT",
        slice_thickness_mm={"to": 2.5},
        contrast=True,
        columns={"KVP": {"from": 80, "to": 120}, "ScanOptions": ["HELICAL MODE", "HELIX"]},
    )
    assert spec.handle in capsys.readouterr().out


_VALUES = {
    "Modality": ["CT", ["mr", "SEG"], "SM"],
    "collection_id": ["nlst", ["TCGA-BRCA", "prostatex"]],
    "slice_thickness_mm": [{"to": 2}, 1.25, {"from": 0, "to": 1}, {"from": 2.5}, "null"],
    "pixel_spacing_mm": [{"from": 0.5, "to": 0.8}, 0.00025],
    "magnetic_field_strength_T": [1.5, 3, {"from": 1}],
    "diffusion_b_value_s_mm2": [{"from": 500}, 0],
    "regularly_spaced_3d_volume": [True, False, "null"],
    "contrast": [True, False],
    "contrast_agent": ["omni", "ISOVUE"],
    "scanning_sequence": ["se", ["GR", "ep"], "null"],
    "stain": ["*hematoxylin*", "null"],
    "segmented_structure": ["Liver", ["kidney", "Prostate"], "Nod*"],
    "segmented_region": ["Lung", "null", ["lung", "null"]],
    "segmentation_algorithm_type": ["AUTOMATIC", "semiautomatic"],
    "roi_name": ["gtv", ["heart", "liver"]],
    "annotated_property": ["Nucleus", "cell"],
    "columns": [
        {"FlipAngle": {"to": 20}},
        {"seg_index.total_segments": {"from": 3}},
        {"uniform_slice_spacing": False, "rtstruct_index.RTROIInterpretedTypes": "ORGAN"},
        {"ScanOptions": ["helical mode", "null"]},
        {"sm_index.tissueFixative_CodeMeaning": "null"},
        {"KVP": "null", "mr_index.EchoTime": {"from": 5, "to": 10}},
        {"uniform_slice_spacing": "null"},
        {"seg_index.total_segments": "null"},
    ],
}
_FILTERS = st.lists(st.sampled_from(sorted(_VALUES)), unique=True, min_size=1, max_size=4).flatmap(
    lambda names: st.fixed_dictionaries({n: st.sampled_from(_VALUES[n]) for n in names})
)


def _otherwise(value):
    """The same value in another spelling."""
    if isinstance(value, str):
        return [value.swapcase(), value] if value != "null" else value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [one.upper() for one in reversed(value)]
    if isinstance(value, dict) and not value.keys() & {"from", "to"}:
        return {column: _otherwise(one) for column, one in reversed(value.items())}
    return {"from": value, "to": value} if type(value) in (int, float) else value


@settings(max_examples=60, deadline=None)
@given(_FILTERS)
def test_any_filters_mean_the_same_however_they_are_said(full_app, filters):
    spec = _define(full_app, **filters)
    _series(full_app, **filters)  # the SQL shown and the fast way agree
    other = {name: _otherwise(value) for name, value in reversed(filters.items())}
    assert _define(full_app, **other).handle == spec.handle
    kept = json.loads(json.dumps(spec.canonical()["filters"]))
    assert _define(full_app, **kept).handle == spec.handle
    full_app.cohorts.keep(spec)
    assert full_app.cohorts.resolve(spec.handle).spec.handle == spec.handle
