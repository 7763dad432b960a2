"""The tables and columns of a release.

Every table that the release describes is known here; each account says whether its rows are
on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from idc_mcp.answers import Table
from idc_mcp.errors import NotFound
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.schema.account import Account, rest_call, share, shorten
from idc_mcp.idc.schema.clinical import describe_clinical, list_clinical
from idc_mcp.idc.schema.lookup import (
    clinical_columns,
    clinical_tables,
    column_facts,
    column_names,
    find_clinical,
    find_table,
    how_to_have,
    in_order,
    row_counts,
)
from idc_mcp.idc.schema.samples import samples
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX, Column, TableSchema
from idc_mcp.index.store import Index

__all__ = ["Account", "describe_table", "find_columns", "list_tables", "not_here"]

ABOUT_TABLE, ABOUT_COLUMN = 64, 60
"""Characters of a description in a list."""

SAMPLE, WIDE = 60, 30
"""Characters of the values shown beside a column; tables of more columns than WIDE show fewer."""

NOT_HERE = "not here"


def list_tables(index: Index, states: Mapping[str, str] | None = None) -> Account:
    """Every table of the release, those with rows on this machine first.

    Parameters
    ----------
    states
        How the tables that can be fetched stand (`Tables.status`), by name.
    """
    rows = row_counts(index)
    schemas = in_order(index)
    states = states or {}
    listed: list[tuple[Any, ...]] = [
        (
            schema.name,
            rows.get(schema.name) or states.get(schema.name, NOT_HERE),
            len(schema.columns),
            _about(schema),
        )
        for schema in schemas
    ]
    listed.append(_clinical_line(index, states))
    absent = [schema.name for schema in schemas if schema.name not in rows]
    notes = []
    if absent or not index.has(CLINICAL):
        notes.append(
            f"'{NOT_HERE}': the release describes it and its rows are not on this machine; "
            f"{how_to_have(index, 'NAME')}. Columns are told all the same."
        )
    return Account(
        understood=f"{len(schemas)} tables, {len(rows)} with rows on this machine, "
        "and the clinical ones",
        tables=Table.of(("table", "rows", "columns", "about"), listed),
        notes=notes,
        next=[
            "idc_schema(table='index')",
            f"idc_schema(table='{CLINICAL}') lists the clinical tables",
            "idc_schema(contains='slice') finds columns",
        ],
    )


def describe_table(index: Index, name: str, contains: str, limit: int) -> Account:
    """The columns of a table; with `contains`, those whose name or description contains it.

    `clinical` is the list of the clinical tables.

    Raises
    ------
    NotFound
        There is no such table, or no column contains the text.
    NotFetched
        It is a clinical table, and nothing of those is on this machine.
    """
    if name.strip().strip("`\"'").lower().rstrip(".*") == CLINICAL:
        return list_clinical(index, contains, limit)
    if clinical := find_clinical(index, name):
        return describe_clinical(index, clinical, contains, limit)
    schema = find_table(index, name)
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
        about={"table": schema.name, "description": shorten(schema.description, 400)},
    )
    facts = column_facts(index, schema.name)
    rest = f"idc_schema(table='{schema.name}', limit={len(columns)})"
    if facts:
        cells = samples(index, schema, SAMPLE if len(columns) <= WIDE else SAMPLE * 2 // 3)
        account.about["rows"] = next(iter(facts.values()))[0]
        heads = ("column", "type", "nulls", "distinct", "values", "about")
        rows: list[tuple[Any, ...]] = [
            (
                column.name,
                column.type,
                share(facts[column.name][1], facts[column.name][0]),
                facts[column.name][2],
                cells.get(column.name, ""),
                shorten(column.description, ABOUT_COLUMN),
            )
            for column in columns
        ]
        telling = [
            column.name
            for column in columns
            if cells.get(column.name) and 2 * facts[column.name][2] <= facts[column.name][0]
        ]
        account.next = [
            f"idc_schema(table='{schema.name}', column='{(telling or [columns[0].name])[0]}')"
        ]
    else:
        heads = ("column", "type", "about")  # type: ignore[assignment]
        rows = [(c.name, c.type, shorten(c.description, 2 * ABOUT_COLUMN)) for c in columns]
        account.notes = [not_here(index, schema.name)]
    account.columns = Table.of(heads, rows, limit=limit, rest=rest)
    return account


def find_columns(index: Index, contains: str, limit: int) -> Account:
    """Columns of every table whose name or description contains a text, the clinical ones last.

    Raises
    ------
    NotFound
        There is none.
    """
    here = row_counts(index)
    found = [
        (schema.name, column.name, column.type, shorten(column.description, ABOUT_COLUMN))
        for schema in index.release.schemas.values()
        for column in _containing(schema.columns, contains)
    ]
    words = contains.lower()
    found.sort(key=lambda row: (words not in row[1].lower(), row[0] not in here))
    away = sorted({row[0] for row in found} - set(here))
    clinical = [
        (f"{CLINICAL}.{table}", column, "", shorten(label, ABOUT_COLUMN))
        for table, column, label in clinical_columns(index, contains)
    ]
    unread = (
        []
        if index.has(CLINICAL_INDEX)
        else [f"Columns of clinical tables were not looked through: {CLINICAL_INDEX} is not here."]
    )
    if not found and not clinical:
        raise NotFound(
            " ".join([f"No column of any table has '{contains}' in name or description.", *unread]),
            nearest=nearest(contains, column_names(index)),
            next_step=f"idc_search(query={contains!r}) knows synonyms",
        )
    return Account(
        understood=f"columns with '{contains}' in their name or description",
        columns=Table.of(
            ("table", "column", "type", "about"),
            [*found, *clinical],
            limit=limit,
            rest=rest_call(len(found) + len(clinical), f"idc_schema(contains={contains!r}"),
        ),
        notes=[
            *([f"Rows not on this machine: {', '.join(away)}."] if away else []),
            *([f"{len(clinical)} of them in clinical tables."] if clinical else []),
            *unread,
        ],
    )


def not_here(index: Index, table: str) -> str:
    """That a table's rows are not here, and how they are had, in a sentence."""
    return f"The rows of {table} are not on this machine: {how_to_have(index, table)}."


def _clinical_line(index: Index, states: Mapping[str, str]) -> tuple[Any, ...]:
    number = len(clinical_tables(index))
    here = f"{number} tables" if index.has(CLINICAL) else states.get(CLINICAL, NOT_HERE)
    about = "clinical data, as each collection gave it"
    if number and not index.has(CLINICAL):
        about = f"{number} tables of {about}"
    return f"{CLINICAL}.*", here, "", shorten(about, ABOUT_TABLE)


def _containing(columns: tuple[Column, ...], text: str) -> list[Column]:
    words = text.strip().lower()
    return [c for c in columns if words in c.name.lower() or words in c.description.lower()]


def _about(schema: TableSchema) -> str:
    plain = re.sub(
        r"^This (table contains|is)( detailed)?( metadata about)?( the)? ", "", schema.description
    )
    return shorten(plain.split(". ")[0], ABOUT_TABLE)
