"""Answers for people: aligned, separated, and never a broken word."""

import shutil

import pytest

from idc_mcp.cli.terminal import heading, show

UID = "1.3.6.1.4.1.14519.5.2.1.7009.2403.138664001907398565334853802713"


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert shutil.get_terminal_size().columns == 80


def table(columns, *rows, **more):
    return {"rows_shown": {"columns": columns, "rows": list(rows), **more}}


def test_columns_are_aligned_numbers_to_the_right():
    lines = show(table(["id", "series"], ["nlst", 592600], ["4d_lung", 6690])).splitlines()
    assert lines[-4:] == [
        "id        series",
        "───────  ───────",
        "nlst     592,600",
        "4d_lung    6,690",
    ]


def test_thousands_are_separated_in_scalars_and_cells():
    shown = show({"series": 1044191, **table(["n"], [58784975])})
    assert "series  1,044,191" in shown
    assert "58,784,975" in shown


@pytest.mark.parametrize("value", ["2010", "063Y", "1044191"])
def test_text_stays_as_it_is(value):
    assert value in show({"date": value}).split()
    assert value in show(table(["date"], [value])).split()


def test_words_are_never_broken():
    link = f"https://viewer.example.org/?StudyInstanceUIDs={UID}"
    shown = show(
        {"link": link, "long": "word " * 60} | table(["uid", "url", "text"], [UID, link, "a " * 60])
    )
    assert shown.split().count(link) == 2
    assert UID in shown.split()


def test_text_is_wrapped_to_the_width():
    lines = show({"text": "word " * 60} | table(["a", "b"], ["x " * 60, "y " * 60])).splitlines()
    assert max(map(len, lines)) <= 80


def test_missing_values_are_empty_and_truth_is_yes_or_no():
    lines = show({"complete": True} | table(["a", "b"], ["x", None], ["y", 3])).splitlines()
    assert lines[0].split() == ["complete", "yes"]
    assert [line.split() for line in lines[-2:]] == [["x"], ["y", "3"]]


def test_what_is_left_out_is_said_with_the_call_that_gets_it():
    shown = show(table(["a"], ["x"], more=1234, rest="again with limit=9"))
    assert shown.splitlines()[-1] == "… 1,234 more: again with limit=9"


def test_a_table_and_what_follows_it_do_not_run_together():
    shown = show(table(["a", "b"], ["x", "y"]) | {"commercial": "yes"}).splitlines()
    at = next(i for i, line in enumerate(shown) if line.startswith("commercial"))
    assert shown[at - 1] == ""


def test_lists_are_bulleted():
    assert show({"warnings": ["one", "two"]}).splitlines() == ["warnings", "  • one", "  • two"]


def test_an_empty_table_has_its_columns():
    assert "a" in show(table(["a", "b"])).split()


def test_no_colours_where_nobody_sees_them():
    assert heading("Question") == "Question"
