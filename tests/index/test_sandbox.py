"""The locked engine alone: with the guard out of the way nothing outside is reached."""

from __future__ import annotations

import csv
import json

import duckdb
import pytest

from idc_mcp.errors import BadArgument, Refused
from idc_mcp.index import sandbox
from idc_mcp.index.guard import check
from idc_mcp.index.naming import Catalogue

DENIED = [
    "FROM '/etc/passwd'",
    "FROM read_text('/etc/passwd')",
    "FROM read_csv('/etc/passwd')",
    "FROM glob('/*')",
    "FROM read_blob('../../etc/passwd')",
    "COPY (SELECT 1) TO '/tmp/idc-mcp-never.csv'",
    "ATTACH '/tmp/idc-mcp-never.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FROM 'https://example.org/x.parquet'",
    "FROM duckdb_secrets()",
    "EXPORT DATABASE '/tmp/idc-mcp-never'",
]
LOCKED = [
    "SET threads = 16",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET lock_configuration = false",
    "SET temp_directory = '/tmp'",
    "SET python_enable_replacements = true",
    "SET autoload_known_extensions = true",
    "RESET lock_configuration",
]


@pytest.mark.parametrize("sql", DENIED)
def test_nothing_outside_is_opened(connection, sql):
    with pytest.raises(duckdb.Error, match=r"(?i)disabled|cannot|not found|does not exist|only"):
        connection.execute(sql).fetchall()


@pytest.mark.parametrize("sql", LOCKED)
def test_no_setting_can_be_turned_back(connection, sql):
    with pytest.raises(duckdb.Error, match=r"(?i)lock|read-only|cannot|No.*setting"):
        connection.execute(sql)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("enable_external_access", False),
        ("lock_configuration", True),
        ("python_enable_replacements", False),
        ("autoload_known_extensions", False),
        ("autoinstall_known_extensions", False),
        ("allow_community_extensions", False),
        ("enable_progress_bar", False),
        ("threads", 2),
        ("TimeZone", "UTC"),
    ],
)
def test_every_setting_is_as_meant(connection, setting, value):
    assert connection.execute(f"SELECT current_setting('{setting}')").fetchone() == (value,)


def test_python_variables_are_not_tables(connection):
    never = [1]  # noqa: F841
    with pytest.raises(duckdb.Error, match="never"):
        connection.execute("FROM never")


@pytest.mark.parametrize("place", ["database"], indirect=True)
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x AS SELECT 1",
        "INSERT INTO version_metadata_index SELECT * FROM version_metadata_index",
        "DROP TABLE version_metadata_index",
        "DELETE FROM core.series",
    ],
)
def test_the_database_is_only_read(connection, sql):
    with pytest.raises(duckdb.Error, match="read-only"):
        connection.execute(sql)


@pytest.mark.parametrize(
    "sql",
    ["SELECT list(i) FROM range(1000000000) t(i)", "SELECT max(s) FROM (SELECT string_agg("
     "repeat('abc', 10), ',') AS s FROM range(31000000))"],
)  # fmt: skip
def test_memory_is_limited_by_the_engine(connection, sql):
    with pytest.raises(duckdb.Error, match=r"(?i)out of memory|offload"):
        connection.execute(sql).fetchall()


def test_a_caller_cannot_name_our_view(connection, catalogue):
    sandbox.run(
        connection, "SELECT INTERVAL 1 DAY", catalogue, max_rows=1, max_chars=99, cohorts={}
    )
    with pytest.raises(Exception, match="There is no table"):
        check(connection, 'FROM "the answer"', catalogue)


# -- cohorts and files -------------------------------------------------------------------------


def test_cohorts_are_tables_for_one_statement(connection, catalogue, place):
    stored = place.cohorts / "c_0123456789ab.parquet"
    duckdb.execute(f"COPY (SELECT 'a' AS SeriesInstanceUID) TO '{stored}'")
    cohorts = {
        "c_0123456789ab": f"SELECT * FROM read_parquet('{stored}')",
        "c_ba9876543210": "SELECT * FROM main.\"index\" WHERE collection_id = 'tcga_luad'",
    }
    known = Catalogue(catalogue.tables, catalogue.described, cohorts)

    def ask(sql):
        answer = sandbox.run(connection, sql, known, max_rows=9, max_chars=999, cohorts=cohorts)
        return [json.loads(row) for row in answer.rows]

    assert ask("FROM c_0123456789ab") == [["a"]]
    assert ask("SELECT count(*) > 9 FROM C_BA9876543210") == [[True]]
    assert ask("SELECT count(*) FROM c_ba9876543210 JOIN c_0123456789ab USING (SeriesInstanceUID)")
    assert ask("SELECT count(*) > 3 FROM (DESCRIBE c_ba9876543210)") == [[True]]
    assert ["c_0123456789ab"] not in ask("SHOW TABLES")
    # The directory is open to our definitions, not to callers.
    with pytest.raises(Refused):
        ask(f"FROM '{stored}'")


EVERYTHING = """SELECT i AS a, 'x' AS a, CAST(i AS HUGEINT) AS h, INTERVAL 1 MONTH AS m,
  TIMESTAMPTZ '2020-01-31' AS t, 'nan'::DOUBLE AS d, '\\xFF'::BLOB AS b, [1, 2] AS l,
  union_value(n := 1) AS u, 1.50 AS e, '101'::BIT AS bits FROM range(5) t(i) ORDER BY i; -- end"""


@pytest.mark.parametrize("save_format", ["csv", "parquet", "json"])
def test_saves_all_rows(connection, catalogue, place, save_format):
    target = place.scratch / f"x.{save_format}"
    answer = sandbox.run(
        connection, EVERYTHING, catalogue, max_rows=2, max_chars=9_999, cohorts={},
        save_to=target, save_format=save_format,
    )  # fmt: skip
    assert (len(answer.rows), answer.complete, answer.saved_rows) == (2, False, 5)
    if save_format == "csv":
        with target.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        first = rows[0]
        assert first["b"] == "ff"
        assert first["t"] == "2020-01-31 00:00:00+00"
    elif save_format == "json":
        rows = json.loads(target.read_text(encoding="utf-8"))
        first = rows[0]
        assert (first["h"], first["d"], first["l"]) == (0, "NaN", [1, 2])
    else:
        columns = duckdb.execute(f"DESCRIBE FROM '{target}'").fetchall()
        types = {name: kind for name, kind, *_ in columns}
        assert types["h"] == "DECIMAL(38,0)"
        assert (types["l"], types["b"], types["m"]) == ("INTEGER[]", "BLOB", "VARCHAR")
        rows = duckdb.execute(f"SELECT a, a_1, m FROM '{target}'").fetchall()
        first = dict(zip(("a", "a_1", "m"), rows[0], strict=True))
    assert len(rows) == 5
    assert (str(first["a"]), first["a_1"], first["m"]) == ("0", "x", "1 month")


def test_what_cannot_be_saved(connection, catalogue, place):
    def save(sql, save_format="csv"):
        sandbox.run(
            connection, sql, catalogue, max_rows=1, max_chars=99, cohorts={},
            save_to=place.scratch / "y", save_format=save_format,
        )  # fmt: skip

    with pytest.raises(Refused, match="EXPLAIN"):
        save("EXPLAIN SELECT 1")
    with pytest.raises(BadArgument, match="xlsx"):
        save("SELECT 1", "xlsx")
