"""Search over the specialised tables and the clinical data: what people ask, what comes first."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from idc_mcp.answers import render
from idc_mcp.errors import NotFound
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.matching import match
from idc_mcp.idc.search.measures import grades_of, read_measures, stages_of
from idc_mcp.idc.search.special_words import SEARCHED, VALUE_WEIGHTS
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.search import idc_search


def first_of(found, column):
    """The first value of a column among the values."""
    return next((row[1] for row in found.values.rows if row[0] == column), None)


def suggested(found):
    """The filters of the suggested cohorts, the first first."""
    texts = (re.search(r"idc_cohort\(filters=(\{.*\})", call) for call in found.next)
    return [json.loads(text[1]) for text in texts if text]


def suggested_sql(found):
    texts = (re.search(r"idc_cohort\(sql=(\".*\")\)", call) for call in found.next)
    return [json.loads(text[1]) for text in texts if text]


VALUES = [
    ("liver segmentation", "segmented_structure", "Liver"),
    ("hepatic segmentations", "segmented_structure", "Liver"),
    ("segmented kidneys", "segmented_structure", "Kidney"),
    ("lung nodule segmentation", "segmented_structure", "Nodule"),
    ("prostate peripheral zone segmentation", "segmented_structure",
     "Peripheral zone of prostate"),
    ("manual prostate segmentation", "segmentation_algorithm_type", "MANUAL"),
    ("hart segmentation heart", "segmented_structure", "Heart"),
    ("gross tumour volume", "roi_name", "GTV"),
    ("gross tumor volume", "roi_name", "GTV"),
    ("nuclei annotations", "annotated_property", "Nucleus"),
    ("H&E slides", "stain", "hematoxylin stain"),
    ("eosin", "stain", "water soluble eosin stain"),
    ("hematoxilin", "stain", "hematoxylin stain"),
    ("Ki-67 immunohistochemistry", "stain", "anti-Ki-67 antibody"),
    ("giemsa", "stain", "Wright Giemsa stain"),
    ("gadolinium", "contrast_agent", "GADOLINIUM"),
    ("gadolinum", "contrast_agent", "GADOLINIUM"),
    ("iodinated contrast", "contrast_agent", "IODINE"),
    ("omnipaque", "contrast_agent", "OMNIPAQUE"),
    ("FDG", "radiopharmaceutical", "FDG"),
    ("fluorodeoxyglucose", "radiopharmaceutical", "Fluorodeoxyglucose"),
    ("Ga-68", "radionuclide", "^68^Gallium"),
    ("formalin", "sm_index.tissueFixative_CodeMeaning", "Neutral Buffered Formalin"),
    ("frozen section slides", "sm_index.embeddingMedium_CodeMeaning", "Tissue freezing medium"),
    ("stage IV lung", "nlst_canc.clinical_stag", "400 = Stage IV"),
    ("stage 4 lung cancer", "nlst_canc.clinical_stag", "400 = Stage IV"),
    ("lung stage IIIA", "nlst_canc.clinical_stag", "310 = Stage IIIA"),
    ("tumor grade 3", "nlst_canc.de_grade", "3 = Poorly differentiated (G3)"),
    ("poorly differentiated", "nlst_canc.de_grade", "3 = Poorly differentiated (G3)"),
    ("emphysema", "nlst_ctab.sct_ab_desc", "59 = Emphysema"),
    ("emphisema", "nlst_ctab.sct_ab_desc", "59 = Emphysema"),
    ("vital status dead kidney", "tcga_kirc_clinical.vital_status", "Dead"),
    ("squamous cell carcinoma histology", "nlst_canc.de_type",
     "8070 = Squamous cell carcinoma, NOS"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "column", "value"), VALUES)
def test_the_value_that_a_person_means(full_app, query, column, value):
    assert first_of(full_app.search.search(query), column) == value


@pytest.mark.parametrize(
    ("query", "table", "column"),
    [
        ("stage IV lung", "nlst_canc", "clinical_stag"),
        ("smokers", "nlst_prsn", "cigsmok"),
        ("pack years", "nlst_prsn", "pkyr"),
        ("overall survival breast", "breast_diagnosis_clinical", "Survival_time"),
        ("chemotherapy", "acrin_6698_A0", "a0e2"),
        ("lesion size mm", "nlst_canc", "lesionsize"),
        ("days to death kidney", "tcga_kirc_clinical", "days_to_death"),
        ("slices under 1.5 mm", "ct_index", "SliceThickness"),
        ("3 T", "mr_index", "MagneticFieldStrength"),
        ("40x", "sm_index", "ObjectiveLensPower"),
    ],
)
def test_the_column_that_a_person_means(full_app, query, table, column):
    found = full_app.search.search(query, ["column"], 30)
    assert [table, column] in [row[:2] for row in found.columns.rows]


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("liver segmentation", {"segmented_structure": "Liver", "Modality": "SEG"}),
        ("CT with a liver segmentation", {"segmented_structure": "Liver", "Modality": "CT"}),
        (
            "CT of a segmented heart, slices under 1.5 mm",
            {"slice_thickness_mm": {"to": 1.5}, "segmented_structure": "Heart", "Modality": "CT"},
        ),
        (
            "prostate peripheral zone segmentation",
            {"segmented_structure": "Peripheral zone of prostate", "Modality": "SEG"},
        ),
        (
            "manual prostate segmentation",
            {"segmented_structure": "Prostate", "segmentation_algorithm_type": "MANUAL",
             "Modality": "SEG"},
        ),
        (
            "lung nodule segmentation",
            {"segmented_structure": "Nodule", "Modality": "SEG", "cancer_types": "lung"},
        ),
        ("gross tumour volume", {"roi_name": "gtv", "Modality": "RTSTRUCT"}),
        ("nuclei annotations", {"annotated_property": "Nucleus", "Modality": "ANN"}),
        ("H&E slides 40x", {"objective_power": 40, "stain": "*eosin*", "Modality": "SM"}),
        ("omnipaque", {"contrast_agent": "omnipaque"}),
        (
            "T2 MR at 3 T",
            {"SeriesDescription": "T2", "Modality": "MR",
             "magnetic_field_strength_T": {"from": 2.85, "to": 3.15}},
        ),
        ("slice thickness at most 2 mm", {"slice_thickness_mm": {"to": 2}}),
        ("slices of at least 5mm", {"slice_thickness_mm": {"from": 5}}),
        (
            "contrast-enhanced CT liver",
            {"contrast": True, "Modality": "CT", "BodyPartExamined": "LIVER"},
        ),
    ],
)  # fmt: skip
def test_the_suggested_filters_say_the_query(full_app, query, filters):
    assert suggested(full_app.search.search(query))[0] == filters


NEXT = [
    ("kidney tumor segmentation",
     {"segmented_structure": ["neoplasm*", "*lesion*"], "Modality": "SEG",
      "cancer_types": "kidney"}, ""),
    ("tumor segmentaton",
     {"segmented_structure": ["neoplasm*", "*lesion*"], "Modality": "SEG"}, ""),
    ("DWI", {"diffusion_b_value_s_mm2": {"from": 1}, "Modality": "MR"},
     "leaves out DWI without a recorded b-value"),
    ("DCE", {"SeriesDescription": ["DCE", "dyn"], "Modality": "MR"},
     "leaves out DCE series not described so"),
    ("semi-automatic segmentation breast",
     {"segmentation_algorithm_type": "SEMIAUTOMATIC", "segmented_structure": "Breast",
      "Modality": "SEG"}, ""),
    ("oral contrast CT",
     {"contrast": True, "columns": {"contrast_index.ContrastBolusRoute": "ORAL"},
      "Modality": "CT"}, ""),
    ("IV contrast CT",
     {"contrast": True, "Modality": "CT",
      "columns": {"contrast_index.ContrastBolusRoute": ["IV", "Intravenous route"]}}, ""),
    ("rectal contrast CT", {"contrast": True, "Modality": "CT"}, "leaves out: rectal"),
    ("without contrast CT", {"contrast": False, "Modality": "CT"}, ""),
    ("head CT", {"Modality": "CT", "BodyPartExamined": "HEAD"}, "BodyPartExamined is null in"),
    ("3D CT", {"Modality": "CT"}, "leaves out: 3d"),
    ("2D mammography", {"Modality": "MG"}, "leaves out: 2d"),
    ("tomosynthesis", {"Modality": "MG"}, "leaves out: tomosynthesis"),
    ("GTV contours head and neck",
     {"roi_name": "gtv", "Modality": "RTSTRUCT", "cancer_types": "head and neck"}, ""),
    ("CT under 1.5 mm liver segmentation",
     {"slice_thickness_mm": {"to": 1.5}, "segmented_structure": "Liver", "Modality": "CT"}, ""),
    ("CT under 1.5 mm segmentation",
     {"slice_thickness_mm": {"to": 1.5}, "Modality": "CT"}, "leaves out: segmentation"),
    ("mammography at 3 T", {"Modality": "MG"}, "leaves out: at 3 T"),
    ("lung CT 7", {"Modality": "CT", "cancer_types": "lung"}, "leaves out: 7"),
    ("low dose CT", {"Modality": "CT"}, "leaves out: low dose"),
    ("lymph node contours", {"Modality": "RTSTRUCT"}, "leaves out: lymph, node"),
    ("FLAIR", {"SeriesDescription": "FLAIR", "Modality": "MR"}, "leaves out FLAIR series"),
    ("T1 spin echo", {"SeriesDescription": "T1", "scanning_sequence": "SE", "Modality": "MR"}, ""),
    ("bone kernel CT", {"convolution_kernel": "BONE", "Modality": "CT"}, ""),
    ("Siemens B30f", {"convolution_kernel": "B30f", "Manufacturer": "SIEMENS*"}, ""),
    ("3D volume CT regularly spaced",
     {"regularly_spaced_3d_volume": True, "Modality": "CT"}, ""),
    ("gadolinium contrast MR breast",
     {"contrast_agent": ["*gad*", "*magnevist*", "*multihance*"], "Modality": "MR",
      "cancer_types": "breast"}, ""),
    ("hepatic", {"BodyPartExamined": "LIVER"}, "BodyPartExamined is null in"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "filters", "told"), NEXT)
def test_a_suggested_call_says_the_query_and_what_it_leaves_out(full_app, query, filters, told):
    call = next(one for one in full_app.search.search(query).next if "idc_cohort" in one)
    assert json.loads(re.search(r"filters=(\{.*\})", call)[1]) == filters
    assert told in call
    assert told or "(" not in call.removeprefix("idc_cohort(")
    where = " AND ".join(one.sql for one in match(full_app.index, Filters(**filters)))
    assert full_app.index.value(f"SELECT count(*) FROM index WHERE {where}") > 0


@pytest.mark.parametrize("query", ["who smokes", "patients of stage IV who were scanned"])
def test_words_of_a_question_are_no_values(full_app, query):
    calls = full_app.search.search(query).next
    assert not any("who" in call or "were" in call for call in calls)


def test_a_clinical_suggestion_asks_for_all_that_one_table_has(full_app):
    statement = suggested_sql(full_app.search.search("women with stage III breast cancer MR"))[0]
    asked = re.findall(r"c\.(\w+) (?:= |IN )", statement.partition(" WHERE ")[2])
    assert any(column.lower() in ("gender", "patientsex", "sex") for column in asked)
    assert any("stag" in column.lower() for column in asked)
    assert statement.endswith("i.Modality = 'MR'")


def test_a_column_that_is_called_so_comes_before_others_about_it(full_app):
    (call,) = full_app.search.search("vital status").next
    assert "column='vital_status'" in call


def test_the_lesion_that_is_said_comes_before_the_organ_it_is_in(full_app):
    rows = full_app.search.search("lung nodule segmentation").values.rows
    structures = [row[1] for row in rows if row[0] == "segmented_structure"]
    assert structures[0] == "Nodule"
    assert "Pulmonary artery" not in structures[:2]


def test_a_note_names_the_table_that_was_asked_for_first(app):
    (note,) = [one for one in idc_search(app, "stage IV zzyzzx").notes if "fetch" in one]
    assert "clinical_index" in note


@pytest.mark.parametrize("query", [
    "liver segmentation", "CT with a liver segmentation", "segmented heart CT slices under 1.5 mm",
    "H&E slides 40x", "gross tumour volume", "nuclei annotations", "gadolinium", "FDG", "Ga-68",
    "Ki-67 immunohistochemistry", "frozen section slides", "manual prostate segmentation",
    "T2 MR at 3 T", "1.5 tesla MRI", "contrast-enhanced CT lung",
])  # fmt: skip
def test_suggested_filters_take_something(full_app, query):
    found = suggested(full_app.search.search(query))
    assert found
    for filters in found:
        conditions = match(full_app.index, Filters(**filters))
        where = " AND ".join(condition.sql for condition in conditions)
        assert full_app.index.value(f"SELECT count(*) FROM index WHERE {where}") > 0


@pytest.mark.parametrize(
    "query",
    ["stage IV lung", "stage 3 lung", "emphysema", "tumor grade 3", "vital status dead kidney"],
)
def test_suggested_clinical_sql_joins_on_collection_and_patient(full_app, query):
    (statement,) = suggested_sql(full_app.search.search(query))
    assert "c.collection_id = i.collection_id AND c.dicom_patient_id = i.PatientID" in statement
    card = idc_cohort(full_app, sql=statement)
    assert card.series > 0


def test_a_stage_is_all_its_parts(full_app):
    (statement,) = suggested_sql(full_app.search.search("stage 3 lung"))
    assert "c.clinical_stag IN ('310', '320')" in statement


def test_images_asked_for_are_kept_in_the_clinical_sql(full_app):
    (statement,) = suggested_sql(full_app.search.search("CT of stage IV lung cancer"))
    assert statement.endswith("AND i.Modality = 'CT'")


def test_a_clinical_value_comes_with_the_series_of_its_patients(
    full_app, catalogue: Any, published: Path
):
    pandas = pytest.importorskip("pandas")
    rows = full_app.search.search("stage IV lung").values.rows
    (series,) = [row[2] for row in rows if row[0] == "nlst_canc.clinical_stag"]
    files = sorted((published / "clinical" / "nlst_canc").glob("*.parquet"))
    cancers = pandas.concat(map(pandas.read_parquet, files))
    patients = set(cancers.loc[cancers.clinical_stag == "400", "dicom_patient_id"])
    of_nlst = catalogue[catalogue.collection_id == "nlst"]
    assert series == int(of_nlst.PatientID.isin(patients).sum()) > 0


def test_a_structure_comes_with_its_segmentations(full_app, published: Path):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(published / "seg_index.parquet")
    rows = full_app.search.search("liver segmentation").values.rows
    held = table.SegmentedPropertyType_CodeMeanings.map(lambda values: "Liver" in list(values))
    assert ["segmented_structure", "Liver", int(held.sum())] in rows


def test_what_a_stage_is_asked_of_stays_found(full_app):
    found = full_app.search.search("stage IV lung")
    assert found.collections.rows[0][0] == "nlst"
    assert found.values.rows[0][0] == "nlst_canc.clinical_stag"
    assert "clinical data" in found.collections.rows[0][2]


@pytest.mark.parametrize("query", ["nlst_canc", "nlst canc", "NLST clinical data"])
def test_clinical_tables_are_found_by_name(full_app, query):
    tables = full_app.search.search(query, ["table"], 20).tables.rows
    assert "clinical.nlst_canc" in [row[0] for row in tables]


def test_clinical_data_stay_out_of_what_does_not_ask_for_them(full_app):
    found = full_app.search.search("lung cancer CT")
    assert not any("=" in row[1] for row in found.values.rows)
    assert found.tables is None
    assert render(idc_search(full_app, "lung cancer CT"), 20_000).chars <= 3_000


def test_nothing_is_absent_where_everything_is_here(full_app):
    for query in ("liver segmentation", "stage IV lung", "lung emphysemia"):
        assert full_app.search.search(query).absent == []


@pytest.mark.parametrize(
    ("query", "absent"),
    [
        ("liver segmentation", {"seg_index"}),
        ("breast slides H&E", {*SEARCHED}),
        ("CT slices under 1.5 mm", {"ct_index", "mr_index"}),
        ("stage IV lung", {"clinical_index"}),
        ("lung emphysema zzyzzx", {*SEARCHED}),
        ("lung cancer CT", set()),
        ("prostate MRI", set()),
    ],
)
def test_tables_that_might_have_answered_are_named(app, query, absent):
    assert absent <= set(app.search.search(query).absent)
    assert absent or not app.search.search(query).absent


def test_a_note_says_what_was_not_searched(app):
    for query in ("liver segmentation", "stage IV lung", "breast slides stained"):
        (note,) = [note for note in idc_search(app, query).notes if "fetch --all" in note]
        assert len(note) <= 120
    assert not any("fetch" in note for note in idc_search(app, "lung cancer CT").notes)
    assert any("fetch" in note for note in idc_search(app, "lung", ["value"]).notes)
    with pytest.raises(NotFound, match="seg_index"):
        idc_search(app, "emphysema qqqq")


@pytest.mark.parametrize(
    ("text", "rest", "name", "value"),
    [
        ("CT slices under 1.5 mm", "CT", "slice_thickness_mm", {"to": 1.5}),
        ("CT with slices thinner than 1 mm", "CT with", "slice_thickness_mm", {"to": 1}),
        ("slice thickness <= 3mm", "", "slice_thickness_mm", {"to": 3}),
        ("slice thickness ≤ 0.625 mm", "", "slice_thickness_mm", {"to": 0.625}),
        ("2 mm slices of the chest", "of the chest", "slice_thickness_mm", 2),
        ("thicker than 5 mm", "", "slice_thickness_mm", {"from": 5}),
        ("brain at 1.5T", "brain", "magnetic_field_strength_T", {"from": 1.425, "to": 1.575}),
        ("3 tesla", "", "magnetic_field_strength_T", {"from": 2.85, "to": 3.15}),
        ("3-tesla MRI", "MRI", "magnetic_field_strength_T", {"from": 2.85, "to": 3.15}),
        ("slides 20×", "slides", "objective_power", 20),
        ("CT with contrast", "CT", "contrast", True),
        ("post-contrast MR", "MR", "contrast", True),
        ("oral contrast CT", "CT", "contrast", True),
        ("CT without contrast", "CT", "contrast", False),
        ("non-contrast CT", "CT", "contrast", False),
        ("CT < 1 mm", "CT", "slice_thickness_mm", {"to": 1}),
        ("chest CT 1 mm to 2 mm", "chest CT", "slice_thickness_mm", {"from": 1, "to": 2}),
        ("CT between 1 and 2 mm", "CT", "slice_thickness_mm", {"from": 1, "to": 2}),
        ("slice thickness 1.25", "", "slice_thickness_mm", 1.25),
        ("thin slice CT < 1 mm", "CT", "slice_thickness_mm", {"to": 1}),
        ("120 kV", "", "kvp_kV", 120),
        ("CT 80-100 kVp", "CT", "kvp_kV", {"from": 80, "to": 100}),
        ("b value 800", "", "diffusion_b_value_s_mm2", 800),
        ("b=1000", "", "diffusion_b_value_s_mm2", 1000),
        ("DWI b800", "", "diffusion_b_value_s_mm2", 800),
        ("DWI", "", "diffusion_b_value_s_mm2", {"from": 1}),
        ("TE 90 ms", "", "echo_time_ms", 90),
        ("TR under 500 ms", "", "repetition_time_ms", {"to": 500}),
        ("flip angle 90", "", "mr_index.FlipAngle", 90),
        ("MR at least 3T", "MR", "magnetic_field_strength_T", {"from": 2.85}),
        ("3T or more", "", "magnetic_field_strength_T", {"from": 2.85}),
        ("over 1.5 T", "", "magnetic_field_strength_T", {"from": 1.575}),
        ("below 3 T", "", "magnetic_field_strength_T", {"to": 2.85}),
        ("7 tesla", "", "magnetic_field_strength_T", {"from": 6.65, "to": 7.35}),
        ("20x or more", "", "objective_power", {"from": 20}),
        ("spin echo", "", "scanning_sequence", "SE"),
        ("EPI", "", "scanning_sequence", "EP"),
        ("regular volume", "", "regularly_spaced_3d_volume", True),
        ("semi-automatic segmentation", "segmentation", "segmentation_algorithm_type",
         "SEMIAUTOMATIC"),
    ],
)  # fmt: skip
def test_measures_are_read(text, rest, name, value):
    left, (measure,) = read_measures(text)
    assert (" ".join(left.split()), measure.filter, measure.value) == (rest, name, value)


@pytest.mark.parametrize("text", [
    "T2 MR", "T2N0M0", "4D-Lung", "10 mm lesion", "nodules over 5 mm", "TR 2 s", "B50 CT",
    "prostate x", "20 patients", "v25", "stage", "TCGA-3T-A1",
])  # fmt: skip
def test_what_is_no_measure_stays_a_word(text):
    assert read_measures(text) == (text, [])


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("stage 4", "stage IV"), ("Stage IVA", "stage IVA"), ("stage 3b", "stage IIIB"),
     ("stage I", "stage I"), ("grade II", "grade 2"), ("grade G3", "grade 3")],
)  # fmt: skip
def test_stages_and_grades_are_read(text, meaning):
    assert read_measures(text)[1][0].meaning == meaning


def test_stages_and_grades_of_values():
    assert stages_of(["stage", "iiia"]) == {"stage:iiia": 1.0, "stage:iii": 0.8}
    assert stages_of(["4"]) == {"stage:iv": 1.0}
    assert stages_of(["lung", "t2"]) == {}
    assert grades_of(["g3"]) == {"grade:3": 1.0}


def test_the_weights_name_columns_of_the_release(release):
    columns = {
        f"{schema.name}.{column.name}"
        for schema in release.schemas.values()
        for column in schema.columns
    }
    assert set(VALUE_WEIGHTS) <= columns
    assert set(SEARCHED) <= set(release.specialised)


class _Fetching:
    """Tables that are fetched in the background, or cannot be."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.begun: list[str] = []

    def begin(self, names):
        self.begun += names

    def status(self):
        return dict.fromkeys(self.begun, self.state)

    def close(self):
        pass


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("being fetched: 3 of 20 MB", "are being fetched"),
        ("could not be fetched: refused", "refused"),
    ],
)
def test_a_search_begins_to_fetch_and_does_not_wait(make_app, state, said):
    made = make_app(offline=False)
    made.__dict__["tables"] = tables = _Fetching(state)
    (note,) = [note for note in idc_search(made, "liver segmentation").notes if "alues of" in note]
    assert said in note
    assert len(note) <= 120
    assert "seg_index" in tables.begun
