"""Writing SQL text of our own: literals and identifiers, quoted."""

from __future__ import annotations

from collections.abc import Iterable

_KEYWORDS = frozenset({
    "all", "analyse", "analyze", "and", "anti", "any", "array", "as", "asc", "asof",
    "asymmetric", "at", "between", "both", "by", "case", "cast", "check", "collate", "column",
    "columns", "constraint", "create", "cross", "default", "deferrable", "desc", "describe",
    "distinct", "do", "else", "end", "except", "exists", "false", "fetch", "for", "foreign",
    "from", "full", "glob", "group", "having", "in", "ilike", "index", "initially", "inner",
    "intersect", "interval", "into", "is", "join", "lambda", "lateral", "leading", "left",
    "like", "limit", "map", "natural", "not", "null", "offset", "on", "only", "or", "order",
    "outer", "overlaps", "pivot", "pivot_longer", "pivot_wider", "placing", "position",
    "primary", "qualify", "references", "returning", "right", "row", "select", "semi", "show",
    "similar", "some", "struct", "summarize", "symmetric", "table", "then", "time",
    "timestamp", "to", "trailing", "true", "union", "unique", "unpivot", "unpack", "using",
    "values", "variadic", "when", "where", "window", "with",
})  # fmt: skip
"""Words of SQL that name nothing unless quoted; `index` is our main table."""


def literal(value: str | int | float) -> str:
    """A value as an SQL literal."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def literals(values: Iterable[str | int | float]) -> str:
    """Values as the inside of an IN list."""
    return ", ".join(literal(value) for value in values)


def identifier(name: str) -> str:
    """A column or table name, quoted only where it must be."""
    if name.isidentifier() and name.isascii() and name.lower() not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def contains(column: str, text: str) -> str:
    """A condition: the column's text contains `text`, without regard to case."""
    return f"contains(lower({identifier(column)}), {literal(text.lower())})"
