"""Clinical tables as collections deposit them: columns, labels and code books, none harmonised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.published.lots import choose, lot, sometimes, weighted


class Column(NamedTuple):
    """A column: an expression over a patient's row, its label, its code book if there is one."""

    name: str
    kind: str
    sql: str
    label: str | None = None
    codes: Mapping[str, str] = {}


class Form(NamedTuple):
    """A table: of `share` in 1,000 patients of a collection, up to `rows` a patient."""

    collection: str
    name: str
    columns: tuple[Column, ...]
    share: int = 900
    rows: int = 1
    names_patients: bool = True
    files: int = 1


STAGES = {
    "110": "Stage IA", "120": "Stage IB", "210": "Stage IIA", "220": "Stage IIB",
    "310": "Stage IIIA", "320": "Stage IIIB", "400": "Stage IV", "888": "TNM not available",
    "900": "Unknown, cannot be assessed", ".M": "Missing",
}  # fmt: skip
_STAGE_SHARES = {
    "110": 330, "120": 120, "210": 60, "220": 40, "310": 110, "320": 80, "400": 180, "888": 20,
    "900": 20, ".M": 20,
}  # fmt: skip
_SEX = {"1": "Male", "2": "Female"}
_YES = {"0": "No", "1": "Yes"}
_TYPES = {
    "8000": "Neoplasm, malignant", "8041": "Small cell carcinoma, NOS",
    "8070": "Squamous cell carcinoma, NOS", "8140": "Adenocarcinoma, NOS",
    "8250": "Bronchiolo-alveolar adenocarcinoma, NOS",
}  # fmt: skip


def _coded(name: str, label: str | None, codes: dict[str, str], kind: str = "VARCHAR") -> Column:
    return Column(name, kind, choose(name, list(codes)), label, codes)


def _stage(name: str, label: str) -> Column:
    return Column(name, "VARCHAR", weighted(name, _STAGE_SHARES), label, STAGES)


_PID = Column("pid", "BIGINT", "TRY_CAST(dicom_patient_id AS BIGINT)", "Participant identifier")
_SCREEN_YEAR = _coded("study_yr", "Study year of screening", {"0": "T0", "1": "T1", "2": "T2"},
                      "BIGINT")  # fmt: skip

NLST = (
    Form(
        "nlst", "nlst_canc",
        (
            _PID,
            _stage("clinical_stag", "Clinical stage of the cancer, AJCC 6"),
            _stage("de_stag", "Stage of the cancer, combined from clinical and pathologic"),
            _coded("clinical_t", "Clinical T", {"100": "T1", "200": "T2", "300": "T3",
                                                "400": "T4"}),
            _coded("de_type", "ICD-O-3 morphology", _TYPES, "BIGINT"),
            _coded("de_grade", "Histopathologic grade", {
                "1": "Well differentiated (G1)", "2": "Moderately differentiated (G2)",
                "3": "Poorly differentiated (G3)", "9": "Unknown"}, "BIGINT"),
            Column("lesionsize", "DOUBLE", sometimes("lesion", 820, f"{lot('size', 80)} + 4.0"),
                   "Size of the lesion (mm)"),
            Column("candx_days", "BIGINT", lot("days", 2600),
                   "Days from randomization to diagnosis"),
            Column("can_scr", "BIGINT", choose("screen", [0, 1, 1, 2]),
                   "Result of the associated screen",
                   {"0": "No cancer", "1": "Positive screen", "2": "Negative screen"}),
        ),
        share=0, rows=2,
    ),
    Form(
        "nlst", "nlst_prsn",
        (
            _PID,
            Column("age", "BIGINT", f"55 + {lot('age', 20)}", "Age at randomization (years)"),
            _coded("gender", "Gender", _SEX, "BIGINT"),
            _coded("race", "Race", {"1": "White", "2": "Black or African-American", "3": "Asian",
                                    "99": "Unknown/ decline to answer"}, "BIGINT"),
            _coded("cigsmok", "Smoking status at T0", {"0": "Former", "1": "Current"}, "BIGINT"),
            Column("pkyr", "DOUBLE", f"30 + {lot('pkyr', 900)} / 10", "Pack-years"),
            _stage("de_stag", "Stage of the first lung cancer"),
            Column("canc_free_days", "BIGINT", lot("free", 2700), None),
            Column("weight", "BIGINT", f"110 + {lot('weight', 170)}", "Weight (lbs) at T0"),
        ),
        share=1000, files=2,
    ),
    Form(
        "nlst", "nlst_ctab",
        (
            _PID, _SCREEN_YEAR,
            _coded("sct_ab_desc", "Abnormality", {
                "51": "Non-calcified nodule or mass (opacity >= 4 mm diameter)",
                "53": "Benign lung nodule(s) (benign calcification)", "59": "Emphysema",
                "61": "Consolidation"}, "BIGINT"),
            Column("sct_long_dia", "DOUBLE", sometimes("dia", 500, f"{lot('dia', 40)} + 4.0"),
                   "Longest diameter (mm)"),
        ),
        share=500, rows=4,
    ),
    Form("nlst", "nlst_ctabc", (_PID, _SCREEN_YEAR, _coded("sct_ab_invg", None, _YES, "BIGINT")),
         share=250, rows=2),
    Form(
        "nlst", "nlst_screen",
        (
            _PID, _SCREEN_YEAR,
            _coded("ctdxqual", "Overall diagnostic quality of CT", {
                "1": "Diagnostic CT", "2": "Limited CT, but interpretable", "3": "Non-diagnostic"},
                "BIGINT"),
            Column("screen_date", "DATE", f"DATE '2002-08-01' + CAST({lot('on', 900)} AS INTEGER)",
                   "Date of the screen"),
        ),
        share=950, rows=3,
    ),
)  # fmt: skip


def tcga(collection: str) -> list[Form]:
    """As the GDC's clinical table has them: text, no codes, labels that repeat the name."""

    def text(name: str, values: list[str | None]) -> Column:
        return Column(name, "VARCHAR", choose(name, values), name)

    return [
        Form(
            collection, f"{collection}_clinical",
            (
                Column("case_barcode", "VARCHAR", "dicom_patient_id", "case_barcode"),
                text("ajcc_pathologic_tumor_stage", [
                    "Stage I", "Stage IA", "Stage IIA", "Stage IIB", "Stage IIIA", "Stage IIIC",
                    "Stage IV", "Stage IVA", "[Not Available]", None]),
                text("gender", ["FEMALE", "MALE"]),
                text("race", ["WHITE", "BLACK OR AFRICAN AMERICAN", "ASIAN", None]),
                text("vital_status", ["Alive", "Alive", "Dead"]),
                Column("age_at_diagnosis", "BIGINT", f"25 + {lot('age', 62)}", "age_at_diagnosis"),
                Column("days_to_death", "DOUBLE", sometimes("dead", 300, f"{lot('died', 4000)}"),
                       "days_to_death"),
            ),
            share=980,
        )
    ]  # fmt: skip


def acrin(collection: str) -> list[Form]:
    """As a trial's case report forms: cryptic columns, numeric codes, several tables."""
    forms = []
    for number, part in enumerate(("A0", "A1", "BX", "D1", "I1", "M3", "SA", "TA")):
        columns = [
            Column(f"{part.lower()}e{place}", "BIGINT", choose(f"{part}{place}", [1, 2, 3, 98]),
                   f"Form {part}, element {place}: {subject}" if place != 4 else None,
                   {"1": "Yes", "2": "No", "3": "Unknown", "98": "Not applicable"})
            for place, subject in enumerate(
                ("eligible", "prior chemotherapy", "contrast given", "reader's confidence", "",
                 "lesion seen"), start=1)
        ]  # fmt: skip
        uptake = sometimes("suv", 900, f"{lot('suv', 200)} / 10")
        columns.append(Column(f"{part.lower()}e9", "DOUBLE", uptake, "SUV maximum"))
        name, rows = f"{collection}_{part}", 1 + number % 3
        forms.append(Form(collection, name, tuple(columns), 900, rows, part != "TA"))
    return forms


def htan(collection: str) -> list[Form]:
    """Five tables, with values for which nobody wrote descriptions."""
    return [
        Form(
            collection, f"{collection}_{part}",
            (
                Column("HTAN_Participant_ID", "VARCHAR", "dicom_patient_id", "HTAN_Participant_ID"),
                Column("Tumor_Grade", "VARCHAR", choose("grade", ["G1", "G2", "G3", "unknown"]),
                       "Tumor_Grade"),
                Column("AJCC_Pathologic_Stage", "VARCHAR",
                       choose("stage", ["Stage IA", "Stage IIB", "Stage IV", "Not Reported"]),
                       "AJCC_Pathologic_Stage"),
            ),
            1000, 1 + place % 2,
        )
        for place, part in enumerate(
            ("demographics", "diagnosis", "exposure", "followup", "therapy"))
    ]  # fmt: skip


def generic(collection: str, number: int) -> list[Form]:
    """One table, differently spelled in each collection."""
    sex, age = [("Gender", "Age"), ("sex", "age_years"), ("PatientSex", "AGE"), ("c3", "c4")][
        number % 4
    ]
    values = [["M", "F"], ["Male", "Female"], ["1", "2"], ["male", "female", "U"]][number % 4]
    return [
        Form(
            collection, f"{collection}_clinical",
            (
                Column(sex, "VARCHAR", choose("sex", values),
                       None if number % 4 == 3 else "Sex of the patient",
                       _SEX if values == ["1", "2"] else {}),
                Column(age, "BIGINT" if number % 3 else "VARCHAR",
                       f"18 + {lot('age', 70)}" if number % 3
                       else f"printf('%03dY', 18 + {lot('age', 70)})",
                       "Age at imaging (years)"),
                Column("Overall_Stage", "VARCHAR",
                       choose("stage", ["I", "II", "IIIa", "IIIb", "IV", "NA"]),
                       "Overall stage"),
                Column("deadstatus_event" if number % 5 == 0 else "survival_status", "BIGINT",
                       choose("event", [0, 1]), "Death observed", _YES),
                Column("Survival_time", "DOUBLE", f"{lot('time', 3000)}", "Survival time in days"),
                Column("notes", "VARCHAR", sometimes("notes", 100, "'see ' || h"), None),
            ),
            900, 1 + (number % 6 == 1), number % 16 != 9,
        )
    ]  # fmt: skip
