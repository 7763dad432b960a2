"""What callers' SQL may do: the policy, decided on the engine's own parse and nothing else.

1. Text       at most MAX_CHARS of valid Unicode without a NUL.
2. Statement  exactly one, and it reads: SELECT in all its forms (WITH, FROM-first, VALUES,
              TABLE, DESCRIBE, SUMMARIZE, SHOW, UNPIVOT) or EXPLAIN of one.
3. Tree       every node of the engine's tree is of a kind listed here.
4. Tables     those of the release that are on this machine, cohort handles, the statement's
              own WITH names. No files, no system tables, none of our own schemas.
5. Functions  those that only compute: `functions.py` lists every one with the reason.

The text is never changed: what was checked is what runs. Beneath this stand the locked engine
(`worker.py`) and the process that can be killed (`pool.py`), each enough for what it covers.
To allow more, add a name to a list here or in `functions.py`, and a case to the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from idc_mcp.errors import BadArgument, Refused, SqlError
from idc_mcp.index import functions
from idc_mcp.index.naming import SCHEMA, Catalogue, cohort_of, with_names

if TYPE_CHECKING:
    import duckdb

MAX_CHARS = 4_000_000
"""Longest statement: an IN list of 60,000 UIDs. Longer lists belong in idc_cohort."""

_WRITING = {"COPY", "EXPORT", "INSERT", "CREATE"}
READ_ONLY = "only reading is possible: SELECT (also WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW "
READ_ONLY += "TABLES) or EXPLAIN of one"
EXPORT = "to write rows to a file give idc_sql a SELECT and save_as"
PIVOT = (
    "name the values (PIVOT … ON x IN ('CT', 'MR')), or use conditional aggregates: "
    "count(*) FILTER (WHERE x = 'CT')"
)

NODES = frozenset(
    {
        "SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE",
        "BASE_TABLE", "TABLE_FUNCTION", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SHOW_REF",
        "SUBQUERY",
        "DISTINCT_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER",
        "ASCENDING", "DESCENDING", "ORDER_DEFAULT",
    }
)  # fmt: skip
"""Kinds of nodes that only read; a CTE that inserts (DuckDB 2.0) is INSERT_QUERY_NODE."""

EXPRESSIONS = frozenset(
    {
        "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION",
        "CONSTANT", "DEFAULT", "FUNCTION", "LAMBDA", "LAMBDA_REF", "OPERATOR", "PARAMETER",
        "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW",
    }
)  # fmt: skip


@dataclass
class Verdict:
    """What a statement that may run is: `viewable` where a view can be made of its text."""

    viewable: bool = True
    handles: set[str] = field(default_factory=set)


def check_text(sql: str) -> None:
    """Refuse what is no statement at all, before any process sees it."""
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise BadArgument(
            "The statement is not valid Unicode: it holds half of a surrogate pair.",
            next_step="write it again without that character",
        ) from None
    if "\x00" in sql:
        raise BadArgument(
            "The statement holds a NUL character.", next_step="write it again without it"
        )
    if len(sql) > MAX_CHARS:
        raise BadArgument(
            f"The statement has {len(sql):,} characters; at most {MAX_CHARS:,} are read.",
            next_step="give a long list of identifiers to idc_cohort and join its handle",
        )


def check(connection: duckdb.DuckDBPyConnection, sql: str, catalogue: Catalogue) -> Verdict:
    """Let a statement pass, or raise the error that says why not and what to do instead.

    Raises
    ------
    BadArgument, SqlError, Refused, NotFound, Unavailable
    """
    check_text(sql)
    kind = _one_statement(connection, sql)
    tree = _explained(connection, sql) if kind == "EXPLAIN" else _tree(connection, sql)
    if tree is None:
        raise _not_reading(_words(sql))
    verdict = Verdict(viewable=kind != "EXPLAIN")
    _check_tree(connection, tree, catalogue, verdict)
    return verdict


# -- statement -----------------------------------------------------------------------------


def _one_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    statements = connection.extract_statements(sql)
    if not statements:
        raise SqlError("There is no statement in this text.", next_step=f"{READ_ONLY}; {SCHEMA}")
    kinds = [_kind(statement) for statement in statements]
    if kinds in (["SELECT"], ["EXPLAIN"]):
        return kinds[0]
    words = _words(sql)
    makes_first = kinds[0] in {"CREATE", "MULTI"} and words[0][0] not in {"CREATE", ""}
    if makes_first and any(word.startswith("PIVOT") for word, _ in words):
        raise Refused("This PIVOT would first make a type of the values found.", next_step=PIVOT)
    if len(statements) > 1:
        raise Refused(
            f"The text holds {len(statements)} statements; one runs at a time.",
            next_step="send them one by one",
        )
    raise _not_reading(words)


def _kind(statement: Any) -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # a kind that the Python client has no name for
        return "?"


def _not_reading(words: list[tuple[str, int]], prefix: str = "") -> Refused:
    word = words[0][0] if words else ""
    more = f"; {EXPORT}" if word in _WRITING else ""
    return Refused(
        f"{prefix}{word or 'This'} is not a statement that reads.",
        next_step=f"{READ_ONLY}{more}; {SCHEMA}",
    )


def _words(sql: str) -> list[tuple[str, int]]:
    """The engine's tokens, their first word in upper case, with their places in the UTF-8 text."""
    import duckdb  # noqa: PLC0415

    text = sql.encode()
    # DuckDB 2.0 gives comments too.
    places = [place for place, kind in duckdb.tokenize(sql) if kind.name != "comment"]
    found = []
    for place, end in zip(places, [*places[1:], len(text)], strict=True):
        token = text[place : min(end, place + 64)].decode(errors="replace")
        found.append((re.match(r"\w*|.", token, re.ASCII)[0].upper() or token[:1], place))  # type: ignore[index]
    return found


# -- tree ----------------------------------------------------------------------------------


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> Any | None:
    """The engine's tree of a SELECT; None where the text is something else."""
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    try:
        answer = json.loads(row[0]) if row else {"error": True}
    except RecursionError:
        raise SqlError(
            "The statement is nested too deeply.", next_step="write it with fewer levels"
        ) from None
    if answer["error"]:
        return None
    return answer["statements"]


def _explained(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """The tree of what EXPLAIN explains, which must be a SELECT too."""
    text = sql.encode()
    rest = _words(sql)[1:]
    if rest and rest[0][0] in {"ANALYZE", "ANALYSE"}:
        rest = rest[1:]
    if rest and rest[0][0] == "(":  # either options or a SELECT in parentheses
        tree = _tree(connection, text[rest[0][1] :].decode())
        if tree is not None:
            return tree
        rest = rest[next((i for i, word in enumerate(rest) if word[0] == ")"), 0) + 1 :]
    tree = _tree(connection, text[rest[0][1] :].decode()) if rest else None
    if tree is None:
        raise _not_reading(rest, "EXPLAIN ")
    return tree


def _check_tree(
    connection: duckdb.DuckDBPyConnection, tree: Any, catalogue: Catalogue, verdict: Verdict
) -> None:
    nodes = list(_nodes(tree))
    ctes = with_names(nodes)
    as_table = {id(node["function"]) for node in nodes if node.get("type") == "TABLE_FUNCTION"}
    for node in nodes:
        _check_kind(node)
        if "function_name" in node:
            name = str(node["function_name"]).lower()
            _check_function(connection, name, as_table=id(node) in as_table)
        if "class" in node:
            continue
        handle = None
        if node.get("type") == "BASE_TABLE":
            handle = cohort_of(node, ctes, catalogue)
        elif node.get("type") == "SHOW_REF":
            handle = _check_show(node, ctes, catalogue)
        elif node.get("type") == "TABLE_FUNCTION" and "function_name" not in node["function"]:
            raise Refused("A table function of an unknown form.", next_step=READ_ONLY)
        if handle:
            verdict.handles.add(handle)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    stack = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _check_kind(node: dict[str, Any]) -> None:
    if "class" in node:
        known = node["class"] in EXPRESSIONS
    else:
        kind = node.get("type")
        known = not isinstance(kind, str) or kind in NODES or kind.endswith("_TYPE_INFO")
    if not known:
        name = str(node.get("class") or node.get("type"))
        raise Refused(
            f"{name.removesuffix('_NODE')} may not stand in a statement here.",
            next_step=f"{READ_ONLY}; {SCHEMA}",
        )


def _check_show(node: dict[str, Any], ctes: set[str], catalogue: Catalogue) -> str | None:
    """Check a SHOW, DESCRIBE or SUMMARIZE; the cohort's handle where it is of one."""
    if node["query"] is not None:  # what it names is a table of the tree, checked by itself
        return None
    name = str(node["table_name"]).strip('"')
    where = (node["catalog_name"], str(node["schema_name"]).lower())
    if (where == ("", "") and name.lower() == "tables") or (where == ("", "main") and not name):
        return None
    if node["show_type"] == "SHOW":  # DuckDB 2.0: a table or else a setting, and no setting here
        return cohort_of(node, ctes, catalogue)
    raise Refused("This SHOW tells about the server itself.", next_step=f"SHOW TABLES, or {SCHEMA}")


def _check_function(connection: duckdb.DuckDBPyConnection, name: str, *, as_table: bool) -> None:
    if name in functions.TABLE_FUNCTIONS if as_table else functions.allowed(name):
        return
    reason = functions.refusal(name, as_table=as_table)
    if reason is None:
        if not _engine_has(connection, name):
            return  # the engine says so itself, and what was probably meant
        if functions.allowed(name) or name in functions.TABLE_FUNCTIONS:
            return  # of the other kind: the engine says so itself
        reason = functions.UNREVIEWED
    raise Refused(f"The function {name} may not be used: {reason[0]}.", next_step=reason[1])


def _engine_has(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM duckdb_functions() WHERE lower(function_name) = ? LIMIT 1", [name]
    )
    return found.fetchone() is not None
