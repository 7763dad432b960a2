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
from idc_mcp.idc.nearest import folded, nearest
from idc_mcp.idc.vocabulary import RENAMED_COLUMNS
from idc_mcp.index.release import MAIN_TABLE, Column, TableSchema
from idc_mcp.index.store import Index

ABOUT_TABLE, ABOUT_COLUMN = 64, 60
"""Characters of a description in a list."""

FIRST_TABLES = (MAIN_TABLE, "collections_index", "analysis_results_index")
"""The order in which tables are listed and searched for a column."""

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
    schemas = _in_order(index)
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
            nearest=nearest(contains, _column_names(index)),
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


def find_table(index: Index, name: str) -> TableSchema:
    """A table by its name, read forgivingly: `seg` is seg_index, `idc_index` is index.

    Raises
    ------
    NotFound
        There is none; the nearest names are given.
    """
    schemas = index.release.schemas
    wanted = folded(name.removeprefix("main.")).replace(" ", "_")
    for candidate in (wanted, f"{wanted}_index", wanted.removeprefix("idc_")):
        if candidate in schemas:
            return schemas[candidate]
    raise NotFound(
        f"'{name}' is no table of IDC {index.release.name}.",
        nearest=nearest(name, schemas) or list(schemas)[:5],
        next_step="idc_schema() lists the tables",
    )


def find_column(index: Index, table: str, name: str) -> tuple[TableSchema, Column, list[str]]:
    """A column, of a table or of the first table that has it, and the other tables with it.

    Raises
    ------
    NotFound
        There is none; the nearest names are given, and the successor of a renamed one.
    """
    if not table and "." in name:
        table, name = name.rsplit(".", 1)
    schemas = [find_table(index, table)] if table else _in_order(index)
    found = [
        (schema, column)
        for schema in schemas
        for column in schema.columns
        if column.name.lower() == name.strip().lower()
    ]
    if found:
        return *found[0], [schema.name for schema, _ in found[1:]]
    raise _no_column(index, table, name, schemas)


def _no_column(index: Index, table: str, name: str, schemas: list[TableSchema]) -> NotFound:
    names = {column.name: schema.name for schema in reversed(schemas) for column in schema.columns}
    everywhere = _column_names(index)
    renamed = {old.lower(): new for old, new in RENAMED_COLUMNS.items()}.get(name.strip().lower())
    of = f" of {schemas[0].name}" if table else ""
    what = f"'{name}' is no column{of}."
    if renamed and renamed in everywhere:
        where = names.get(renamed) or everywhere[renamed]
        return NotFound(
            f"{what} It is called {renamed} now, in {where}.",
            nearest=[renamed],
            next_step=f"idc_schema(table='{where}', column='{renamed}')",
        )
    close = nearest(name, names, limit=3)
    elsewhere = [other for other in nearest(name, everywhere, limit=3) if other not in names]
    return NotFound(
        what,
        nearest=close + [f"{everywhere[other]}.{other}" for other in elsewhere],
        next_step=f"idc_schema(table='{schemas[0].name}') lists its columns"
        if table
        else f"idc_schema(contains={name[:30]!r}) looks into descriptions too",
    )


def row_counts(index: Index) -> dict[str, int]:
    """Rows of each table that is on this machine, those that are asked for most first."""

    def counts() -> dict[str, int]:
        rows = dict(
            index.rows("SELECT table_name, any_value(rows) FROM facts.columns GROUP BY table_name")
        )
        known = [name for name in FIRST_TABLES if name in rows]
        return {name: rows[name] for name in (*known, *sorted(set(rows) - set(known)))}

    return index.once("row_counts", counts)


def column_facts(index: Index, table: str) -> dict[str, tuple[int, int, int]]:
    """Rows, nulls and distinct values of each column; empty for a table not on this machine."""
    found = index.rows(
        "SELECT column_name, rows, nulls, distinct_values FROM facts.columns WHERE table_name = ?",
        [table],
    )
    return {name: (rows, nulls, distinct) for name, rows, nulls, distinct in found}


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


def _column_names(index: Index) -> dict[str, str]:
    """Every column, with the first table that has it."""
    names: dict[str, str] = {}
    for schema in _in_order(index):
        for column in schema.columns:
            names.setdefault(column.name, schema.name)
    return names


def _in_order(index: Index) -> list[TableSchema]:
    """Every table, those with rows on this machine first."""
    here = list(row_counts(index))
    return sorted(
        index.release.schemas.values(),
        key=lambda schema: here.index(schema.name) if schema.name in here else len(here),
    )


def _about(schema: TableSchema) -> str:
    plain = re.sub(
        r"^This (table contains|is)( detailed)?( metadata about)?( the)? ", "", schema.description
    )
    return _shorten(plain.split(". ")[0], ABOUT_TABLE)


def _shorten(text: str, length: int) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= length else f"{plain[: length - 1].rstrip()}…"
