"""The guard alone, and the guard with the locked engine: the corpus of `sql_cases`."""

from __future__ import annotations

import json

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from idc_mcp.errors import IdcError
from idc_mcp.index import functions, sandbox
from idc_mcp.index.guard import check
from idc_mcp.index.naming import Catalogue, hint
from tests.index.sql_cases import EXPLAINED, PASSED_ON, REFUSED, RUNS


def rows(
    connection: duckdb.DuckDBPyConnection, catalogue: Catalogue, sql: str
) -> list[list[object]]:
    answer = sandbox.run(connection, sql, catalogue, max_rows=100, max_chars=50_000, cohorts={})
    assert answer.complete
    return [json.loads(row) for row in answer.rows]


@pytest.mark.parametrize(("sql", "expected"), RUNS, ids=lambda case: str(case)[:60])
def test_runs_and_gives_exactly_this(connection, catalogue, sql, expected):
    assert rows(connection, catalogue, sql) == expected


@pytest.mark.parametrize("sql", EXPLAINED)
def test_explains(connection, catalogue, sql):
    assert rows(connection, catalogue, sql)


@pytest.mark.parametrize(("sql", "error", "words"), REFUSED, ids=lambda case: str(case)[:60])
def test_the_guard_refuses_with_a_hint(connection, catalogue, sql, error, words):
    with pytest.raises((IdcError, duckdb.Error)) as caught:
        check(connection, sql, catalogue)
    if isinstance(caught.value, IdcError):
        assert type(caught.value) is error
        assert caught.value.next_step
    assert words in str(caught.value)


@pytest.mark.parametrize(("sql", "words", "added"), PASSED_ON, ids=lambda case: str(case)[:60])
def test_the_engine_speaks_for_itself(connection, catalogue, sql, words, added):
    with pytest.raises(duckdb.Error) as caught:
        rows(connection, catalogue, sql)
    assert words in str(caught.value)
    assert added in hint(str(caught.value))


def test_a_cte_may_not_write(connection, catalogue):
    # DuckDB 2.0 parses this as a SELECT; 1.5 has no such thing.
    with pytest.raises((IdcError, duckdb.Error), match=r"INSERT|syntax|not supported|A CTE needs"):
        check(connection, "WITH x AS (INSERT INTO index VALUES (1) RETURNING *) FROM x", catalogue)


def test_a_handle_is_a_table_once_it_is_known(connection, release):
    known = Catalogue(release.bundled, (), {"c_0123456789ab"})
    verdict = check(connection, "FROM c_0123456789ab JOIN index USING (SeriesInstanceUID)", known)
    assert verdict.handles == {"c_0123456789ab"}


def test_every_function_of_the_engine_is_reviewed(connection):
    """A new DuckDB version fails here until somebody has looked at its new functions."""
    found = connection.execute(
        "SELECT DISTINCT lower(function_name), function_type LIKE 'table%' FROM duckdb_functions() "
        "WHERE function_type <> 'pragma'"
    ).fetchall()
    assert len(found) > 500
    unreviewed = [
        name
        for name, as_table in found
        if not (name in functions.TABLE_FUNCTIONS if as_table else functions.allowed(name))
        and functions.refusal(name, as_table=as_table) is None
    ]
    assert unreviewed == []
    assert not [name for name in functions.ALLOWED if functions.refusal(name)]
    assert not [name for name in functions.TABLE_FUNCTIONS if functions.refusal(name)]


def test_every_table_function_not_listed_is_refused_in_a_statement(connection, catalogue):
    found = connection.execute(
        "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
        "WHERE function_type LIKE 'table%'"
    ).fetchall()
    for (name,) in found:
        if name not in functions.TABLE_FUNCTIONS:
            with pytest.raises(IdcError):
                check(connection, f"FROM {name}()", catalogue)


def test_every_system_view_is_refused(connection, catalogue):
    found = connection.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE internal"
    ).fetchall()
    assert found
    for schema, view in found:
        with pytest.raises(IdcError):
            check(connection, f"FROM {schema}.{view}", catalogue)
        if schema == "main":
            with pytest.raises(IdcError):
                check(connection, f"WITH {view} AS (SELECT 1) FROM {view}", catalogue)


WORDS = strategies.sampled_from(
    ["SELECT", "1", "FROM", "index", ";", "--", "$$", "'", '"', "(", ")", "WITH", "x", "AS", ",",
     "query", "INSERT", "INTO", "PRAGMA", "core.series", "EXPLAIN", "ANALYZE", "/*", "*/", "\n",
     "read_csv", "'a.csv'", "DESCRIBE", "SHOW", "TABLES", "UNION", "VALUES", "SET", "COPY", "TO"]
)  # fmt: skip


@given(strategies.one_of(strategies.text(max_size=40), strategies.lists(WORDS).map(" ".join)))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_is_one_reading_statement_or_an_error(connection, catalogue, sql):
    try:
        check(connection, sql, catalogue)
    except (IdcError, duckdb.Error):
        return
    kinds = [statement.type.name for statement in connection.extract_statements(sql)]
    assert kinds in (["SELECT"], ["EXPLAIN"])
