"""The tables and columns of a release, and the values of a column.

Every table that the release describes is known here; only the bundled ones have rows on this
machine, and each account says which it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from idc_mcp.answers import Table
from idc_mcp.errors import NotFound
from idc_mcp.idc.cautions import COLUMN_CAUTIONS
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.schema.lookup import (
    column_facts,
    column_names,
    find_table,
    in_order,
    row_counts,
)
from idc_mcp.index.release import Column, TableSchema
from idc_mcp.index.store import Index

ABOUT_TABLE, ABOUT_COLUMN = 64, 60
"""Characters of a description in a list."""


NOT_HERE = "schema only"


@dataclass
class Account:
    """What is known of tables, a table or a column; only what applies is set."""

    understood: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    tables: Table | None = None
    columns: Table | None = None
    values: Table | None = None
    notes: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)


def list_tables(index: Index) -> Account:
    """Every table of the release, those with rows on this machine first."""
    rows = row_counts(index)
    schemas = in_order(index)
    return Account(
        understood=f"{len(schemas)} tables, {len(rows)} with rows on this machine",
        tables=Table.of(
            ("table", "rows", "columns", "about"),
            [
                (schema.name, rows.get(schema.name, NOT_HERE), len(schema.columns), _about(schema))
                for schema in schemas
            ],
        ),
        notes=[
            f"'{NOT_HERE}': the rows are not in the bundled catalogue, and this version answers "
            "from the bundled tables; their columns are told here, idc_sql cannot read them."
        ],
        next=["idc_schema(table='index')", "idc_schema(contains='slice') finds columns"],
    )


def describe_table(index: Index, name: str, contains: str, limit: int) -> Account:
    """The columns of a table; with `contains`, those whose name or description contains it.

    Raises
    ------
    NotFound
        There is no such table, or no column contains the text.
    """
    schema = find_table(index, name)
    facts = column_facts(index, schema.name)
    columns = _containing(schema.columns, contains)
    if not columns:
        raise NotFound(
            f"No column of {schema.name} has '{contains}' in its name or description.",
            nearest=nearest(contains, [column.name for column in schema.columns]),
            next_step=f"idc_schema(table='{schema.name}') lists all, "
            f"idc_schema(contains={contains!r}) looks in every table",
        )
    account = Account(
        understood=f"table {schema.name}" + (f", columns with '{contains}'" if contains else ""),
        about={"table": schema.name, "description": _shorten(schema.description, 400)},
    )
    rest = f"idc_schema(table='{schema.name}', limit={len(columns)})"
    if facts:
        account.about["rows"] = next(iter(facts.values()))[0]
        heads = ("column", "type", "nulls", "distinct", "about")
        rows: list[tuple[Any, ...]] = [
            (
                column.name,
                column.type,
                share(facts[column.name][1], facts[column.name][0]),
                facts[column.name][2],
                _shorten(column.description, ABOUT_COLUMN),
            )
            for column in columns
        ]
        account.next = [f"idc_schema(table='{schema.name}', column='{columns[0].name}')"]
    else:
        heads = ("column", "type", "about")  # type: ignore[assignment]
        rows = [(c.name, c.type, _shorten(c.description, 2 * ABOUT_COLUMN)) for c in columns]
        account.notes = [not_here(index, schema.name)]
    account.columns = Table.of(heads, rows, limit=limit, rest=rest)
    return account


def find_columns(index: Index, contains: str, limit: int) -> Account:
    """Columns of every table whose name or description contains a text.

    Raises
    ------
    NotFound
        There is none.
    """
    here = row_counts(index)
    found = [
        (schema.name, column.name, column.type, _shorten(column.description, ABOUT_COLUMN))
        for schema in index.release.schemas.values()
        for column in _containing(schema.columns, contains)
    ]
    if not found:
        raise NotFound(
            f"No column of any table has '{contains}' in its name or description.",
            nearest=nearest(contains, column_names(index)),
            next_step=f"idc_search(query={contains!r}) knows synonyms",
        )
    words = contains.lower()
    found.sort(key=lambda row: (words not in row[1].lower(), row[0] not in here))
    away = sorted({row[0] for row in found} - set(here))
    return Account(
        understood=f"columns with '{contains}' in their name or description",
        columns=Table.of(
            ("table", "column", "type", "about"),
            found,
            limit=limit,
            rest=f"idc_schema(contains={contains!r}, limit={len(found)})",
        ),
        notes=[f"Rows not on this machine: {', '.join(away)}."] if away else [],
    )


def not_here(index: Index, table: str) -> str:
    """Why a table's rows are not here, in a sentence."""
    return (
        f"The rows of {table} are not in the bundled catalogue: this version tells its columns "
        f"only, and idc_sql cannot read it. Tables with rows: {', '.join(row_counts(index))}."
    )


def caution(column: str) -> list[str]:
    """What misleads about a column, if anything does."""
    return [COLUMN_CAUTIONS[column]] if column in COLUMN_CAUTIONS else []


def share(part: int, whole: int) -> str:
    """A part in percent; what is not nothing is never shown as 0%."""
    if not part or not whole:
        return "0%"
    percent = 100 * part / whole
    return "<0.1%" if percent < 0.1 else f"{percent:.1f}%".replace(".0%", "%")


def _containing(columns: tuple[Column, ...], text: str) -> list[Column]:
    words = text.strip().lower()
    return [c for c in columns if words in c.name.lower() or words in c.description.lower()]


def _about(schema: TableSchema) -> str:
    plain = re.sub(
        r"^This (table contains|is)( detailed)?( metadata about)?( the)? ", "", schema.description
    )
    return _shorten(plain.split(". ")[0], ABOUT_TABLE)


def _shorten(text: str, length: int) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= length else f"{plain[: length - 1].rstrip()}…"
