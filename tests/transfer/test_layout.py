"""Layouts: idc-index's language, names safe everywhere, and clashes found before a download."""

from __future__ import annotations

import unicodedata
from hashlib import sha256
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from idc_mcp.errors import BadArgument
from idc_mcp.transfer import layout as module
from idc_mcp.transfer.clashes import Placed, clashes, long_paths
from idc_mcp.transfer.layout import (
    DEFAULT_LAYOUT,
    MAX_NAME_BYTES,
    MISSING,
    PLACEHOLDERS,
    RESERVED,
    Layout,
    folded_name,
)

SERIES = {
    "collection_id": "tcga_luad",
    "PatientID": "TCGA-05-4244",
    "StudyInstanceUID": "1.3.6.1.4.1.1",
    "Modality": "CT",
    "SeriesInstanceUID": "1.3.6.1.4.1.2",
    "crdc_series_uuid": "0cf4ee8c-1f0c-4e5f-9f0c-5b7d0e2b6f11",
    "StudyDate": "2000-01-31",
    "BodyPartExamined": None,
    "license_short_name": "CC BY 3.0",
    "analysis_result_id": None,
    "source_DOI": "10.7937/k9/tcia.2016.jgnihep5",
}


def marked(name: str, value: str) -> str:
    digits = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{name}~{digits}"


def place(template: str, **values: str | None) -> str:
    return Layout.parse(template).place(SERIES | values)


def patient(value: str | None) -> str:
    """Where a patient goes at the top."""
    return Layout.parse("%PatientID").place({"PatientID": value})


def found(template: str, *series: dict, most: int = 5) -> list[str]:
    layout = Layout.parse(template)
    all_values = [SERIES | one for one in series]
    clashing = clashes(layout, [Placed(layout.place(one), one) for one in all_values], most=most)
    return clashing.versions + clashing.shared


@pytest.mark.parametrize(
    ("template", "path"),
    [
        (DEFAULT_LAYOUT, "tcga_luad/TCGA-05-4244/1.3.6.1.4.1.1/CT_1.3.6.1.4.1.2"),
        ("", ""),
        ("%PatientID", "TCGA-05-4244"),
        ("%collection_id%PatientID", "tcga_luadTCGA-05-4244"),
        ("%collection_id_%PatientID-%Modality", "tcga_luad_TCGA-05-4244-CT"),
        ("%Modality/%SeriesInstanceUID", "CT/1.3.6.1.4.1.2"),
        ("-%Modality_/_", "-CT_/_"),
    ],
)
def test_the_official_language(template, path):
    assert place(template) == path


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("%crdc_series_uuid", SERIES["crdc_series_uuid"]),
        ("%StudyDate/%BodyPartExamined", f"2000-01-31/{MISSING}"),
        ("%license_short_name/%analysis_result_id", f"CC BY 3.0/{MISSING}"),
        ("%source_DOI", marked("10.7937_k9_tcia.2016.jgnihep5", SERIES["source_DOI"])),
        ("images/patient=%PatientID/raw", "images/patient=TCGA-05-4244/raw"),
        ("%PatientID_x.y, z", "TCGA-05-4244_x.y, z"),
        ("%Modality_CT", "CT_CT"),
        (".cache/%Modality", ".cache/CT"),
    ],
)
def test_our_superset(template, path):
    assert place(template) == path


def test_columns_are_those_named():
    assert Layout.parse("").columns == ()
    assert Layout.parse("images").columns == ()
    assert Layout.parse("%Modality/%PatientID_%Modality").columns == ("Modality", "PatientID")
    every = "/".join(f"%{name}" for name in PLACEHOLDERS)
    assert Layout.parse(every).columns == PLACEHOLDERS
    assert Layout.parse(every).template == every


@pytest.mark.parametrize(
    ("template", "close"),
    [
        ("%patientid", "%PatientID"),
        ("%collection_id/%PatientId", "%PatientID"),
        ("%PatientIDs", "%PatientID"),
        ("%patient_id_%Modality", "%PatientID"),
        ("%StudyDateTime", "%StudyDate"),
        ("%SeriesUID", "%SeriesInstanceUID"),
        ("%modality_%SeriesInstanceUID", "%Modality"),
        ("%doi", "%source_DOI"),
        ("PatientID/%Modality", "%PatientID"),
        ("patient_id", "%PatientID"),
    ],
)
def test_an_unknown_placeholder_is_met_with_the_nearest(template, close):
    with pytest.raises(BadArgument) as error:
        Layout.parse(template)
    assert error.value.nearest[0] == close
    assert DEFAULT_LAYOUT in error.value.next_step
    assert all(f"%{name}" in str(error.value) for name in PLACEHOLDERS)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("/%PatientID", "absolute"),
        ("//server/%PatientID", "absolute"),
        ("C:/%PatientID", "':' is not safe"),
        ("C:\\%PatientID", "not safe"),
        ("%PatientID\\%Modality", "not safe"),
        ("..", "'..'"),
        ("../%PatientID", "'..'"),
        ("%PatientID/../x", "'..'"),
        ("..%PatientID", "'..'"),
        (".", "dot"),
        ("%PatientID/.", "dot"),
        ("%PatientID.", "dot"),
        (" %PatientID", "space"),
        (" ", "space"),
        ("%PatientID /x", "space"),
        ("%PatientID//%Modality", "no name"),
        ("%PatientID/", "no name"),
        ("~/%PatientID", "'~' is not safe"),
        ("%PatientID~", "'~' is not safe"),
        ("%", "% begins"),
        ("%%PatientID", "% begins"),
        ("100%/%PatientID", "% begins"),
        ("%_%PatientID", "% begins"),
        ("%PatientID/a\nb", "not safe"),
        ("%PatientID\0", "not safe"),
        ("%PatientID/ä", "not safe"),
        ("{PatientID}", "not safe"),
        ("$PatientID", "not safe"),
        ("%PatientID*", "not safe"),
        ("CON/%PatientID", "reserved"),
        ("%PatientID/aux.txt", "reserved"),
        ("%PatientID/lpt1", "reserved"),
        (".idc-mcp/%PatientID", "reserved"),
        ("%PatientID/.IDC-MCP-parts", "reserved"),
        ("licenses/%PatientID", "reserved"),
        ("manifest.s5cmd", "reserved"),
        ("x" * 121, "too long"),
        ("%PatientID" * 40, "300 characters"),
    ],
)
def test_a_template_that_is_not_safe_is_an_error(template, why):
    with pytest.raises(BadArgument) as error:
        Layout.parse(template)
    assert why in error.value.what
    assert error.value.next_step


@pytest.mark.parametrize(
    "value",
    ["TCGA-05-4244", "a b", "ä", "患者", "100%", "a.b", ".hidden", "-x", "(1)", "{#1}", "CONE",
     "x.con", "COM10", "COM", "none2", "manifest", "x" * 120, "é" * 60, "a'b", "Bo=3T"],
)  # fmt: skip
def test_a_safe_value_is_itself(value):
    assert patient(value) == value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a/b", "a_b"), ("a\\b", "a_b"), ('<>:"|?*', "_______"), ("a\tb", "a_b"), ("a\0", "a_"),
        ("a.", "a"), ("a . ", "a"), (" a", "a"), ("", "_"), (" ", "_"), (".", "_"), ("..", "_"),
        ("../../etc/passwd", "../.._etc_passwd".replace("/", "_")), ("~root", "_root"),
        ("CON", "_CON"), ("nul.txt", "_nul.txt"), ("Com1", "_Com1"), ("LPT¹.a.b", "_LPT¹.a.b"),
        ("AUX .x", "_AUX .x"), ("CON.", "_CON"), ("conin$", "_conin$"),
        ("LICENSES", "LICENSES"), ("licenses", "licenses"), ("LICEN\u017fES", "LICEN\u017fES"),
        ("Manifest.S5CMD", "Manifest.S5CMD"), (".idc-mcp", "_.idc-mcp"),
        (".IDC-mcp-part", "_.IDC-mcp-part"), ("e\u0301", "é"), ("a\u202eb", "a_b"),
        ("a\ufe00", "a_"), ("a\ud800", "a_"), ("a\u00a0", "a_"), ("\ue000", "_"),
        ("x" * 121, "x" * 113), ("é" * 61, "é" * 56), ("x" * 112 + "." * 20 + "y", "x" * 112),
        ("none", "none"), ("NONE", "NONE"),
    ],
)  # fmt: skip
def test_a_changed_value_says_so(value, name):
    assert patient(value) == marked(name, value)


def test_a_value_that_looks_like_a_changed_one_is_not_it():
    changed = patient("a/b")
    again = patient(changed)
    assert again == marked(changed.replace("~", "_"), changed) != changed
    assert len({patient("a_b"), changed, again, patient(again), patient(changed.upper())}) == 5


def test_our_records_are_reserved_at_the_top_only():
    for name in RESERVED - {".idc-mcp"}:
        assert place("%PatientID", PatientID=name) == marked(name, name)
        assert place("x/%PatientID", PatientID=name) == f"x/{name}"
    assert place("x/%PatientID", PatientID=".idc-mcp") == "x/" + marked("_.idc-mcp", ".idc-mcp")


def test_a_name_of_several_parts_is_checked_whole():
    assert place("%Modality%PatientID", Modality="CO", PatientID="N") == marked("_CON", "CON")
    assert place("LICEN%Modality", Modality="SES") == marked("LICENSES", "LICENSES")
    assert place("COM%Modality", Modality="1") == marked("_COM1", "COM1")
    assert place("e%Modality", Modality="\u0301") == marked("é", "e\u0301")
    long = f"{'x' * 100}_{'y' * 100}"
    assert place("%Modality_%PatientID", Modality="x" * 100, PatientID="y" * 100) == marked(
        long[:113], long
    )
    ends = place("%Modality_%PatientID", Modality="a/b", PatientID="c/d")
    assert ends == f"{marked('a_b', 'a/b')}_{marked('c_d', 'c/d')}"


def test_nothing_that_looks_plain_is_left_unchecked():
    for name in ("CON", "nul", "COM1", "lpt9", "CONIN$", "none", "cohort.json", "citations.bib"):
        for value in (name, name.upper(), name.lower()):
            assert patient(value) != value
    for value in ("CON.1-2", "com1.a_b", "NUL.a-b", "AUX.x.y_z", "x-1.", "1."):
        assert patient(value) != value
    for value in ("CON_1", "com1-a", "NUL2.a"):
        assert patient(value) == value


@given(st.from_regex(module._PLAIN.__self__, fullmatch=True))
def test_the_quick_look_agrees_with_the_rules(value):
    assert module._piece(value) == module._component(value, True) == value


# Values that are near the rules, more often than chance would have them.
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=200),
    st.text(st.sampled_from("aAäÄßſ\u0301eé.~ /\\_:019nulNUL"), max_size=12),
    st.sampled_from([*RESERVED, "CON", "aux.x", "COM1", "none", "a~abcdef", "x" * 119, "ü" * 60]),
)


def assert_safe_everywhere(name: str, *, top: bool) -> None:
    assert name not in ("", ".", "..")
    assert len(name.encode("utf-8")) <= MAX_NAME_BYTES
    assert not set(name) & set('<>:"/\\|?*')
    assert all(unicodedata.category(char)[0] != "C" for char in name)
    assert unicodedata.is_normalized("NFC", name)
    assert not name.startswith(" ")
    assert not name.endswith((" ", "."))
    assert not PureWindowsPath(name).is_reserved()
    assert not name.lower().startswith(".idc-mcp")
    if top:
        assert folded_name(name) not in {folded_name(one) for one in RESERVED}


@given(st.lists(VALUES, min_size=3, max_size=3))
@example(["e", "\u0301", "N"])
@example(["CO", "N", "LICENSES"])
def test_any_values_are_safe_on_every_system(values):
    first, second, third = values
    path = place(
        "%Modality%PatientID/%StudyDate_%Modality/%StudyDate",
        Modality=first, PatientID=second, StudyDate=third,
    )  # fmt: skip
    names = path.split("/")
    assert len(names) == 3
    for number, name in enumerate(names):
        assert_safe_everywhere(name, top=number == 0)
    assert not PurePosixPath(path).is_absolute()
    assert not PureWindowsPath(path).drive


@given(VALUES, VALUES)
@example("none", "NONE")
@example("a/b", "a\\b")
@example("a", "a ")
@example("é", "e\u0301")
def test_two_values_are_two_names(first, second):
    assume(first != second)
    assert patient(first) != patient(second)
    assert patient(first) != patient(None)
    if folded_name(patient(first)) == folded_name(patient(second)):
        # One directory on macOS and Windows: only values of the same letters can be, both of
        # them safe as they are, and the plan says so.
        assert (patient(first), patient(second)) == (first, second)
        assert folded_name(first) == folded_name(second)
        assert found("%PatientID", {"PatientID": first}, {"PatientID": second})


@given(VALUES)
def test_a_name_depends_on_its_value_and_stays(value):
    name = patient(value)
    fresh = Layout.parse("%PatientID").place({"PatientID": "".join(list(value))})
    assert fresh == name
    assert patient(name) == name or name != value
    assert (name == value) == ("~" not in name)


def test_series_may_share_a_directory():
    two = ({}, {"SeriesInstanceUID": "1.2.9", "crdc_series_uuid": "b"})
    for template in ("", "all", "%PatientID", DEFAULT_LAYOUT):
        assert found(template, *two) == []
        assert found(template, two[0], two[0]) == []


def test_two_versions_of_a_series_clash():
    versions = ({"crdc_series_uuid": "v1"}, {"crdc_series_uuid": "v2"})
    for template in ("", DEFAULT_LAYOUT):
        (sentence,) = found(template, *versions)
        assert "1.3.6.1.4.1.2" in sentence
        assert "v1 and v2" in sentence
        advised = sentence.split("'")[-2]
        assert found(advised, *versions) == []
    # Not in other directories, and not only against the first.
    third = {"crdc_series_uuid": "v3", "StudyDate": "2001"}
    assert found("%StudyDate", versions[0], third) == []
    assert len(found("%StudyDate", versions[0], third, third | {"crdc_series_uuid": "v4"})) == 1


@pytest.mark.parametrize(
    ("first", "second"), [("abc", "ABC"), ("é", "É"), ("straße", "STRASSE"), ("Σας", "ΣΑΣ")]
)
def test_values_that_only_case_tells_apart_clash(first, second):
    (sentence,) = found(DEFAULT_LAYOUT, {"PatientID": first}, {"PatientID": second})
    assert f"'{first}'; '{second}'" in sentence
    assert "Windows and macOS" in sentence
    assert "%PatientID_%StudyInstanceUID" in sentence
    two = ({"PatientID": first}, {"PatientID": second, "StudyInstanceUID": "1.2.9"})
    assert found("%PatientID_%StudyInstanceUID", *two) == []
    # What differs elsewhere is nobody's clash.
    assert found("%collection_id/%SeriesInstanceUID", *two) == []


def test_values_that_run_together_clash():
    two = ({"collection_id": "a_b", "PatientID": "c"}, {"collection_id": "a", "PatientID": "b_c"})
    (sentence,) = found("%collection_id_%PatientID", *two)
    assert "'a_b' and 'c'; 'a' and 'b_c'" in sentence
    assert "Put a / between" in sentence
    assert "macOS" not in sentence
    assert found("%collection_id/%PatientID", *two) == []


def test_the_same_patient_in_two_collections_is_no_clash():
    two = ({"collection_id": "a"}, {"collection_id": "b"})
    assert found("%PatientID/%Modality", *two) == []


def test_clashes_are_bounded_and_counted():
    names = [f"p{number}" for number in range(50)]
    series = [{"PatientID": name} for name in (*names, *(name.upper() for name in names))]
    sentences = found("%PatientID", *series, most=3)
    assert len(sentences) == 4
    assert sentences[-1] == "And 47 more directories like these."
    long = found("%PatientID_x", {"PatientID": "a" * 118}, {"PatientID": "A" * 118})
    assert len(long[0]) < 800


def test_long_paths_are_a_caution():
    assert long_paths([]) == long_paths(["a" * 100]) == ""
    assert long_paths(["a" * 199]) == ""
    assert long_paths(["a" * 200, "b", "ä" * 200]).startswith("2 series")
    # Windows counts a character beyond the first 65,536 twice.
    assert "(the longest 243)" in long_paths(["😀" * 101])


def test_nothing_in_the_catalogue_but_dois_needs_a_change(catalogue):
    for column in PLACEHOLDERS:
        layout = Layout.parse(f"%{column}")
        # A series' own identifiers are a million and all of one make.
        every = 20 if column in ("SeriesInstanceUID", "crdc_series_uuid") else 1
        values = catalogue[column].iloc[::every].dropna().unique().tolist()
        changed = [value for value in values if layout.place({column: value}) != value]
        assert all("/" in value for value in changed)
        assert len(changed) == (len(values) if column == "source_DOI" else 0)


def placed(frame, template: str) -> tuple[Layout, list[Placed]]:
    layout = Layout.parse(template)
    rows = zip(*(frame[column].tolist() for column in frame.columns), strict=True)
    records = (dict(zip(frame.columns, row, strict=True)) for row in rows)
    return layout, [Placed(layout.place(one), one) for one in records]


def test_no_patient_or_study_of_the_catalogue_is_in_anothers_way(catalogue):
    columns = ["collection_id", "PatientID", "StudyInstanceUID"]
    others = ["Modality", "SeriesInstanceUID", "crdc_series_uuid"]
    first = ~catalogue["StudyInstanceUID"].duplicated()
    studies = catalogue.loc[first, columns + others]
    patients = studies.drop_duplicates(columns[:2])
    layout, series = placed(patients, "%collection_id_%PatientID")
    assert clashes(layout, series) == ([], [])
    assert len({one.directory for one in series}) == len(patients)
    layout, series = placed(studies.iloc[::8], DEFAULT_LAYOUT)
    assert clashes(layout, series) == ([], [])


def test_body_parts_of_the_catalogue_differ_by_case(catalogue):
    columns = ["BodyPartExamined", "SeriesInstanceUID", "crdc_series_uuid"]
    frame = catalogue[columns].drop_duplicates("BodyPartExamined").dropna()
    (sentence,) = clashes(*placed(frame, "%BodyPartExamined")).shared
    assert "PHANTOM" in sentence
    assert "Phantom" in sentence
    assert "%BodyPartExamined_%SeriesInstanceUID" in sentence
