"""Tables and columns found by name, read forgivingly, and the facts kept about them."""

from __future__ import annotations

from idc_mcp.errors import NotFound
from idc_mcp.idc.nearest import folded, nearest
from idc_mcp.idc.sql import identifier, literal
from idc_mcp.idc.vocabulary import RENAMED_COLUMNS
from idc_mcp.index.release import MAIN_TABLE, Column, TableSchema
from idc_mcp.index.store import Index

FIRST_TABLES = (MAIN_TABLE, "collections_index", "analysis_results_index")
"""The order in which tables are listed and searched for a column."""


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
    schemas = [find_table(index, table)] if table else in_order(index)
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
    everywhere = column_names(index)
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
        here = [name for name in index.release.schemas if index.release.parquet(name)]
        known = [name for name in FIRST_TABLES if name in here]
        # Not from facts.columns: before the database is built that would count every column.
        return {
            name: index.value(f"SELECT count(*) FROM {identifier(name)}")
            for name in (*known, *sorted(set(here) - set(known)))
        }

    return index.once("row_counts", counts)


def column_facts(index: Index, table: str, column: str = "") -> dict[str, tuple[int, int, int]]:
    """Rows, nulls and distinct values of each column; empty for a table not on this machine."""
    found = index.rows(
        "SELECT column_name, rows, nulls, distinct_values FROM facts.columns "
        f"WHERE table_name = {literal(table)}"
        + (f" AND column_name = {literal(column)}" if column else "")
    )
    return {name: (rows, nulls, distinct) for name, rows, nulls, distinct in found}


def column_names(index: Index) -> dict[str, str]:
    """Every column, with the first table that has it."""
    names: dict[str, str] = {}
    for schema in in_order(index):
        for column in schema.columns:
            names.setdefault(column.name, schema.name)
    return names


def in_order(index: Index) -> list[TableSchema]:
    """Every table, those with rows on this machine first."""
    here = list(row_counts(index))
    return sorted(
        index.release.schemas.values(),
        key=lambda schema: here.index(schema.name) if schema.name in here else len(here),
    )
