"""Writing SQL text of our own: literals and identifiers, quoted."""

from __future__ import annotations

from collections.abc import Iterable


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
    if name.isidentifier() and name.isascii() and name != "index":
        return name
    return '"' + name.replace('"', '""') + '"'


def contains(column: str, text: str) -> str:
    """A condition: the column's text contains `text`, without regard to case."""
    return f"contains(lower({identifier(column)}), {literal(text.lower())})"
