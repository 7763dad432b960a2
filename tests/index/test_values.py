"""Every type's stated form, exactly; and how much of a value comes back."""

from __future__ import annotations

import json
import sys

import pytest

from idc_mcp.index import sandbox, values

FORMS = [
    ("true", "BOOLEAN", True),
    ("NULL::VARCHAR", "VARCHAR", None),
    ("'é ''\"'", "VARCHAR", "é '\""),
    ("'CT'::ENUM('CT', 'MR')", "ENUM('CT', 'MR')", "CT"),
    ("'{\"a\": 1}'::JSON", "JSON", '{"a": 1}'),
    ("1::TINYINT", "TINYINT", 1),
    ("255::UTINYINT", "UTINYINT", 255),
    ("9007199254740991", "BIGINT", 9007199254740991),
    ("9007199254740992", "BIGINT", "9007199254740992"),
    ("-9007199254740992", "BIGINT", "-9007199254740992"),
    ("18446744073709551615::UBIGINT", "UBIGINT", "18446744073709551615"),
    ("1::HUGEINT", "HUGEINT", 1),
    ("170141183460469231731687303715884105727::HUGEINT", "HUGEINT",
     "170141183460469231731687303715884105727"),
    ("12345678901234567890123::BIGNUM", "BIGNUM", "12345678901234567890123"),
    ("1.5::DECIMAL(38, 9)", "DECIMAL(38,9)", "1.500000000"),
    ("12345678901234567890.123456789::DECIMAL(38, 9)", "DECIMAL(38,9)",
     "12345678901234567890.123456789"),
    ("0::DECIMAL(38, 30)", "DECIMAL(38,30)", "0." + "0" * 30),
    ("0.1::FLOAT", "FLOAT", 0.1),
    ("16777216::FLOAT", "FLOAT", 16777216.0),
    ("0.1::DOUBLE", "DOUBLE", 0.1),
    ("'nan'::DOUBLE", "DOUBLE", "NaN"),
    ("'inf'::DOUBLE", "DOUBLE", "Infinity"),
    ("'-inf'::FLOAT", "FLOAT", "-Infinity"),
    ("DATE '2020-01-31'", "DATE", "2020-01-31"),
    ("'infinity'::DATE", "DATE", "infinity"),
    ("'-infinity'::DATE", "DATE", "-infinity"),
    ("DATE '9999-12-31'", "DATE", "9999-12-31"),
    ("DATE '0001-01-01'", "DATE", "0001-01-01"),
    ("'0044-03-15 (BC)'::DATE", "DATE", "0044-03-15 (BC)"),
    ("DATE '12020-01-01'", "DATE", "12020-01-01"),
    ("TIME '12:30:00.5'", "TIME", "12:30:00.5"),
    ("TIME '24:00:00'", "TIME", "24:00:00"),
    ("'12:00:00+01'::TIMETZ", "TIME WITH TIME ZONE", "12:00:00+01"),
    ("TIMESTAMP '2020-01-31 12:00:00'", "TIMESTAMP", "2020-01-31 12:00:00"),
    ("TIMESTAMP '2020-01-31 12:00:00.120'", "TIMESTAMP", "2020-01-31 12:00:00.12"),
    ("'infinity'::TIMESTAMP", "TIMESTAMP", "infinity"),
    ("'-infinity'::TIMESTAMP", "TIMESTAMP", "-infinity"),
    ("'0044-03-15 (BC)'::TIMESTAMP", "TIMESTAMP", "0044-03-15 (BC) 00:00:00"),
    ("TIMESTAMP_S '2020-01-31 12:00:01'", "TIMESTAMP_S", "2020-01-31 12:00:01"),
    ("'infinity'::TIMESTAMP_S", "TIMESTAMP_S", "infinity"),
    ("TIMESTAMP_MS '2020-01-31 12:00:01.5'", "TIMESTAMP_MS", "2020-01-31 12:00:01.5"),
    ("'infinity'::TIMESTAMP_MS", "TIMESTAMP_MS", "infinity"),
    ("TIMESTAMP_NS '2020-01-31 12:00:00.123456789'", "TIMESTAMP_NS",
     "2020-01-31 12:00:00.123456789"),
    ("TIMESTAMPTZ '2020-01-31 12:00:00+02'", "TIMESTAMP WITH TIME ZONE", "2020-01-31 10:00:00+00"),
    ("'infinity'::TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", "infinity"),
    ("INTERVAL 1 MONTH", "INTERVAL", "1 month"),
    ("INTERVAL 30 DAYS", "INTERVAL", "30 days"),
    ("'00000000-0000-0000-0000-000000000001'::UUID", "UUID",
     "00000000-0000-0000-0000-000000000001"),
    ("'\\x00\\xFF'::BLOB", "BLOB", "00ff"),
    ("'1010'::BIT", "BIT", "1010"),
    ("[1, NULL, 3]", "INTEGER[]", [1, None, 3]),
    ("[1, 2]::INTEGER[2]", "INTEGER[2]", [1, 2]),
    ("[TIMESTAMPTZ '2020-01-31', NULL]", "TIMESTAMP WITH TIME ZONE[]",
     ["2020-01-31 00:00:00+00", None]),
    ("[INTERVAL 1 MONTH, INTERVAL 2 DAYS]::INTERVAL[2]", "INTERVAL[2]", ["1 month", "2 days"]),
    ("{'a': 1, 'b': ['x']}", "STRUCT(a INTEGER, b VARCHAR[])", {"a": 1, "b": ["x"]}),
    ("{'a b': INTERVAL 1 YEAR, 'c': 1.50}", 'STRUCT("a b" INTERVAL, c DECIMAL(3,2))',
     {"a b": "1 year", "c": "1.50"}),
    ("{'d': 'infinity'::DATE}", "STRUCT(d DATE)", {"d": "infinity"}),
    ("MAP {'a': 1, 'b': 2}", "MAP(VARCHAR, INTEGER)", [["a", 1], ["b", 2]]),
    ("MAP {'key': [1], 'value': [2]}", "MAP(VARCHAR, INTEGER[])", [["key", [1]], ["value", [2]]]),
    ("MAP {[1]: 'x'}", "MAP(INTEGER[], VARCHAR)", [[[1], "x"]]),
    ("MAP {{'a': 1}: 2}", "MAP(STRUCT(a INTEGER), INTEGER)", [[{"a": 1}, 2]]),
    ("MAP {DATE '2020-01-31': INTERVAL 1 MONTH}", "MAP(DATE, INTERVAL)",
     [["2020-01-31", "1 month"]]),
    ("union_value(n := 1)", "UNION(n INTEGER)", {"n": 1}),
    ("union_value(t := 'x')::UNION(n INTEGER, t VARCHAR)", "UNION(n INTEGER, t VARCHAR)",
     {"t": "x"}),
    ("[union_value(d := 'nan'::DOUBLE)]", "UNION(d DOUBLE)[]", [{"d": "NaN"}]),
    ("union_value(n := 9007199254740993)", "UNION(n BIGINT)", {"n": "9007199254740993"}),
    ("NULL::UNION(n INTEGER)", "UNION(n INTEGER)", None),
    ("'POINT (1 2)'::GEOMETRY", "GEOMETRY", "POINT (1 2)"),
    ("42::VARIANT", "VARIANT", "42"),
]  # fmt: skip


@pytest.fixture
def ask(connection, catalogue):
    def run(sql, **limits):
        limits = {"max_rows": 100, "max_chars": 20_000, **limits}
        answer = sandbox.run(connection, sql, catalogue, cohorts={}, **limits)
        return [json.loads(row) for row in answer.rows], answer

    return run


@pytest.mark.parametrize(("expression", "kind", "form"), FORMS, ids=lambda case: str(case)[:50])
def test_form(ask, expression, kind, form):
    rows, answer = ask(f"SELECT {expression} AS value")
    assert rows == [[form]]
    assert answer.types == [kind]


def test_all_forms_in_one_row_and_with_every_null(ask):
    shown = ", ".join(f"{expression} AS a" for expression, _, _ in FORMS)
    rows, _ = ask(f"SELECT {shown}")
    assert rows == [[form for _, _, form in FORMS]]
    nulls = ", ".join(f"CASE WHEN i < 0 THEN {expression} END" for expression, _, _ in FORMS)
    rows, _ = ask(f"SELECT {nulls} FROM range(1) t(i)")
    assert rows == [[None] * len(FORMS)]


def test_a_row_without_names_is_an_array(ask):
    assert ask("SELECT row(1, 'a', DATE '2020-01-31')")[0] == [[[1, "a", "2020-01-31"]]]


def test_every_type_of_the_engine_has_a_form(ask):
    rows, answer = ask("SELECT * FROM test_all_types()", max_chars=10_000_000)
    assert len(rows) == 3
    assert all(len(row) == len(answer.columns) for row in rows)
    assert set(rows[2]) == {None}


def test_repeated_names_swallow_no_column_and_order_is_kept(ask):
    rows, answer = ask(
        "SELECT INTERVAL (i) DAY AS a, i AS a FROM range(300) t(i) ORDER BY i DESC LIMIT 3"
    )
    assert answer.columns == ["a", "a"]
    assert rows == [["299 days", 299], ["298 days", 298], ["297 days", 297]]


def test_the_same_without_pytz(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytz", None)
    assert ask("SELECT TIMESTAMPTZ '2020-01-31'")[0] == [["2020-01-31 00:00:00+00"]]


def test_max_rows(ask):
    rows, answer = ask("FROM range(10)", max_rows=3)
    assert rows == [[0], [1], [2]]
    assert not answer.complete
    assert ask("FROM range(3)", max_rows=3)[1].complete
    assert ask("FROM range(3)", max_rows=0)[0] == []


def test_max_chars_cuts_between_rows(ask):
    rows, answer = ask("SELECT repeat('x', 100) FROM range(100)", max_chars=1_000)
    assert rows == [["x" * 100]] * 9
    assert not answer.complete


@pytest.mark.parametrize("value", ["repeat('x', 20000000)", "range(300000)"])
def test_a_large_cell_is_cut_and_says_so(ask, value):
    rows, answer = ask(f"SELECT 1, {value}, 'kept'", max_chars=2_000)
    assert answer.complete
    ((first, cut, kept),) = rows
    assert (first, kept) == (1, "kept")
    assert len(cut) < 2_000
    assert cut.endswith("characters)")


def test_shortened_leaves_what_fits():
    assert values.shortened("abc", 3) == "abc"
    assert values.shortened("abcd", 3) == "abc… (4 characters)"
    assert values.shortened([1, 2, 3], 4) == "[1, … (9 characters)"
    assert values.shortened(12345, 2) == 12345
