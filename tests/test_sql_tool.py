"""`idc_sql` as a tool: honest about what it shows, and within its budget."""

import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument
from idc_mcp.tools.sql import idc_sql


def _rendered(app, sql, **arguments):
    return render(idc_sql(app, sql, **arguments), app.settings.answer_chars)


def test_a_complete_answer_says_so(app):
    content = _rendered(app, "SELECT Modality FROM index GROUP BY ALL").structured
    assert content["complete"] is True
    assert "notes" not in content


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM collections_index",
        "SELECT DISTINCT StudyDescription FROM index",
        "SELECT repeat('x', 100000)",
        "SELECT repeat('x', 100000), 1 FROM range(50)",
        "SELECT repeat('\"', 90000)",
        "SELECT [repeat('\"', 90000), chr(10)]",
        "SELECT '\"quotes\"' || repeat('\"', 200) FROM range(1000)",
        "SELECT * FROM index",
    ],
)
def test_no_answer_over_its_budget_and_no_wrong_count(app, sql):
    rendered = _rendered(app, sql, max_rows=1000)
    assert rendered.chars <= app.settings.answer_chars
    assert rendered.structured["complete"] is False
    assert rendered.structured["notes"]
    # The engine was stopped before it had counted: no number of rows left is told.
    assert "more" not in rendered.structured["result"]


def test_rows_that_were_counted_are_told(app):
    rendered = _rendered(app, "SELECT i, repeat('x', 60) FROM range(120) t(i)", max_rows=1000)
    assert rendered.structured["complete"] is True
    small = render(idc_sql(app, "SELECT i, repeat('x', 60) FROM range(120) t(i)", 1000), 8_000)
    table = small.structured["result"]
    assert small.structured["complete"] is False
    assert len(table["rows"]) + table["more"] == 120


def test_a_file_holds_all_rows(make_app, tmp_path):
    app = make_app()
    answer = idc_sql(app, "SELECT SeriesInstanceUID FROM index LIMIT 5000", 10, "series.csv")
    assert answer.saved_rows == 5000
    assert len((tmp_path / "output" / "series.csv").read_text().splitlines()) == 5001
    assert "the file holds all" in answer.notes[0]


def test_a_limit_is_lowered_never_raised(app):
    with pytest.raises(BadArgument, match="limit of 1000"):
        idc_sql(app, "SELECT 1", app.settings.sql_max_rows + 1)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT count(*) FROM index WHERE StudyDate > '20100101'", "ISO text"),
        ("SELECT count(*) FROM index WHERE license_short_name NOT LIKE '%NC%'", "strictest"),
    ],
)
def test_what_a_statement_overlooks_is_said(app, sql, said):
    assert said in idc_sql(app, sql).notes[0]


def test_no_view_of_ours_is_shown(app):
    idc_sql(app, "SELECT now()")  # its type needs a view
    tables = [row[0] for row in idc_sql(app, "SHOW TABLES").result.rows]
    assert "the answer" not in tables
