"""The clinical tables as `idc_schema` tells them: which there are, and the columns of one.

Names, labels and code books come from clinical_index, counts from the tables themselves; where
only one of the two is on this machine, what it knows is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from idc_mcp.answers import Table
from idc_mcp.errors import NotFound
from idc_mcp.idc.nearest import bare, nearest
from idc_mcp.idc.schema.account import (
    SAMPLES,
    Account,
    counted_values,
    rest_call,
    share,
    shorten,
    span,
)
from idc_mcp.idc.schema.lookup import clinical_columns, clinical_tables, how_to_have
from idc_mcp.idc.sql import identifier, literal
from idc_mcp.index.clinical import COLLECTION, MEANING, PATIENT_COLUMN
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX
from idc_mcp.index.store import Index

MOST_NUMBERS = 20
"""Numbers and dates of more distinct values than that are shown as a span."""

_LABEL, _VALUES = 60, 60
_SPANNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
            "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIME")  # fmt: skip

NO_PATIENTS = f"No {PATIENT_COLUMN}: its rows cannot be joined with images."
JOIN = f"A patient is {COLLECTION} and {PATIENT_COLUMN}, which is PatientID in index."


@dataclass
class ClinicalColumn:
    """A column of a clinical table; `type` is empty where the table is not on this machine."""

    name: str
    type: str = ""
    label: str = ""
    codes: dict[str, str | None] = field(default_factory=dict)
    """Values that the dictionary lists, and what they mean where it says so."""
    decoded: bool = False
    """Whether a `_meaning` stands beside it in SQL."""

    @property
    def spanned(self) -> bool:
        """Whether it is told by its least and greatest value where it has many."""
        return self.type.startswith(_SPANNED)


def list_clinical(index: Index, contains: str, limit: int) -> Account:
    """The clinical tables; with `contains`, those of such a name, and columns of such a label.

    Raises
    ------
    NotFound
        Nothing contains the text.
    NotFetched
        Neither the tables nor their dictionary are on this machine.
    """
    if not clinical_tables(index):
        index.require(CLINICAL)
    told = {
        table: (collections, columns)
        for table, collections, columns in index.rows(
            f"SELECT table_name, string_agg(DISTINCT {COLLECTION}, ', ' ORDER BY {COLLECTION}), "
            "count(DISTINCT column_name) FROM core.clinical_columns GROUP BY table_name"
        )
    }
    counted = {row[0]: row[1:] for row in index.rows("FROM facts.clinical_tables")}
    rows = []
    for table in clinical_tables(index):
        collections, columns = told.get(table, (counted.get(table, [""])[0], None))
        rows.append((table, collections, *(counted.get(table, (None,) * 4)[1:]), columns))
    rows.sort(key=lambda row: (str(row[1]), row[0]))
    wanted = bare(contains)
    rows = [row for row in rows if wanted in bare(f"{row[0]} {row[1]}")]
    columns_found = clinical_columns(index, contains) if contains else []
    if not rows and not columns_found:
        raise NotFound(
            f"No clinical table, and no column of one by name or label, has '{contains}'.",
            nearest=nearest(contains, clinical_tables(index)),
            next_step=f"idc_schema(table='{CLINICAL}') lists all; "
            f"idc_search(query={contains!r}) knows synonyms",
        )
    asked = f", contains={contains!r}" if contains else ""
    account = Account(
        understood=f"{len(clinical_tables(index))} clinical tables"
        + (f", those with '{contains}'" if contains else ""),
        notes=[JOIN],
    )
    if rows:
        heads = ["table", COLLECTION, "rows", "patients", "with images", "columns"]
        kept = range(6) if counted else (0, 1, 5)
        account.tables = Table.of(
            [heads[place] for place in kept],
            [[row[place] for place in kept] for row in rows],
            limit=limit,
            rest=rest_call(len(rows), f"idc_schema(table='{CLINICAL}'{asked}"),
        )
        account.next = [f"idc_schema(table='{rows[0][0]}')"]
        if counted and any(row[3] is None for row in rows[:limit]):
            account.notes.append(f"patients is empty where a table has no {PATIENT_COLUMN}.")
    if columns_found:
        account.columns = Table.of(
            ("table", "column", "label"),
            [(table, name, shorten(label, _LABEL)) for table, name, label in columns_found],
            limit=limit,
            rest=rest_call(len(columns_found), f"idc_schema(table='{CLINICAL}'{asked}"),
        )
    account.notes += _absent(index)
    return account


def describe_clinical(index: Index, table: str, contains: str, limit: int) -> Account:
    """The columns of a clinical table; with `contains`, those of such a name, label or value.

    Raises
    ------
    NotFound
        No column contains the text.
    """
    columns = columns_of(index, table)
    words = contains.lower()
    found = [column for column in columns if _mentions(column, words)]
    if not found:
        raise NotFound(
            f"No column of {CLINICAL}.{table} has '{contains}' in name, label or code book.",
            nearest=nearest(contains, [column.name for column in columns]),
            next_step=f"idc_schema(table='{table}') lists all",
        )
    rest = rest_call(len(found), f"idc_schema(table='{table}'")
    account = Account(
        understood=f"clinical table {table}" + (f", columns with '{contains}'" if contains else ""),
        about=facts_of(index, table),
        notes=[JOIN if any(column.name == PATIENT_COLUMN for column in columns) else NO_PATIENTS],
    )
    if any(column.decoded for column in found):
        account.notes.append(
            f"Beside each coded column SQL has <column>{MEANING}, the code in words."
        )
    telling = next(
        (column for column in found if any(column.codes.values())),
        next((column for column in found if column.codes), found[0]),
    )
    account.next = [f"idc_schema(table='{table}', column={telling.name!r})"]
    if index.has(CLINICAL):
        shown = found[:limit]
        cells = _cells(index, table, shown)
        account.next.append(f'idc_sql(sql="SELECT … FROM {in_sql(table)}")')
        account.columns = Table.of(
            ("column", "type", "nulls", "distinct", "label", "values"),
            [
                (column.name, _type(column), *cells[column.name][:2], _label(column),
                 cells[column.name][2])
                for column in shown
            ],
            rest=rest,
        )  # fmt: skip
        account.columns.more = len(found) - len(shown)
    else:
        account.columns = Table.of(
            ("column", "label", "values"),
            [(column.name, _label(column), _book(column)) for column in found],
            limit=limit,
            rest=rest,
        )
    account.notes += _absent(index)
    return account


def columns_of(index: Index, table: str) -> list[ClinicalColumn]:
    """The columns of a clinical table in its own order, without those that SQL adds.

    Raises
    ------
    NotFetched
        Neither the tables nor their dictionary are on this machine.
    """
    columns: dict[str, ClinicalColumn] = {}
    for name, label, code, meaning in index.rows(
        "SELECT column_name, label, code, meaning FROM core.clinical_columns "
        f"WHERE table_name = {literal(table)}"
    ):
        column = columns.setdefault(name, ClinicalColumn(name, label=label or ""))
        if code is not None:
            column.codes[code] = meaning
    if not index.has(CLINICAL):
        if not columns:
            index.require(CLINICAL)
        return list(columns.values())
    types = {
        str(row[0]): str(row[1]) for row in index.rows(f"DESCRIBE {CLINICAL}.{identifier(table)}")
    }
    found = []
    for name, type_ in types.items():
        added = name == COLLECTION or name.removesuffix(MEANING) in {*types} - {name}
        if added and columns and name not in columns:
            continue
        column = columns.get(name, ClinicalColumn(name))
        column.type = type_
        column.decoded = name + MEANING in types and name + MEANING not in columns
        found.append(column)
    return found


def facts_of(index: Index, table: str) -> dict[str, Any]:
    """What is known of a clinical table as a whole."""
    collections = index.rows(
        f"SELECT DISTINCT {COLLECTION} FROM core.clinical_columns "
        f"WHERE table_name = {literal(table)} AND {COLLECTION} IS NOT NULL ORDER BY 1"
    )
    about: dict[str, Any] = {"table": f"{CLINICAL}.{table}"}
    about[COLLECTION] = ", ".join(row[0] for row in collections)
    row = index.row(
        f"SELECT {COLLECTION}, rows, patients, imaged FROM facts.clinical_tables "
        f"WHERE table_name = {literal(table)}"
    )
    if row:
        about[COLLECTION] = about[COLLECTION] or row[0]
        names = ("rows", "patients", "patients with images")
        about |= {
            name: value for name, value in zip(names, row[1:], strict=True) if value is not None
        }
    return {name: value for name, value in about.items() if value not in (None, "")}


def in_sql(table: str) -> str:
    """A clinical table as SQL names it, inside the quotes of a call that is written out."""
    return f"{CLINICAL}.{identifier(table)}".replace('"', '\\"')


def _cells(
    index: Index, table: str, columns: Sequence[ClinicalColumn]
) -> dict[str, tuple[str, int, str]]:
    """By column: the share of nulls, how many distinct values, and what they are."""
    source = f"{CLINICAL}.{identifier(table)}"
    parts = ["count(*)"]
    for column in columns:
        name = identifier(column.name)
        ends = [f"min({name})", f"max({name})"] if column.spanned else ["NULL", "NULL"]
        parts += [f"count({name})", f"count(DISTINCT {name})", *ends]
    row = index.row(f"SELECT {', '.join(parts)} FROM {source}") or ()
    whole = row[0]
    facts = {
        column.name: row[1 + 4 * place : 5 + 4 * place] for place, column in enumerate(columns)
    }
    listed = [
        column
        for column in columns
        if column.name != PATIENT_COLUMN
        and (column.codes or not column.spanned or facts[column.name][1] <= MOST_NUMBERS)
    ]
    frequent = _frequent(index, source, listed)
    cells = {}
    for column in columns:
        filled, distinct, least, greatest = facts[column.name]
        cell = frequent.get(column.name) or span(least, greatest)
        cells[column.name] = (share(whole - filled, whole), distinct, cell)
    return cells


def _frequent(index: Index, source: str, columns: Sequence[ClinicalColumn]) -> dict[str, str]:
    """The most frequent values of each column, decoded, with their rows."""
    if not columns:
        return {}
    queries = []
    for column in columns:
        name = identifier(column.name)
        text = f"CAST({name} AS VARCHAR)"
        if column.decoded:
            meaning = identifier(column.name + MEANING)
            text = f"coalesce({text} || ' ' || {meaning}, {text})"
        queries.append(
            f"(SELECT {literal(column.name)} AS name, {text} AS value, count(*) AS rows "
            f"FROM {source} WHERE {name} IS NOT NULL GROUP BY value "
            f"ORDER BY rows DESC, value LIMIT {SAMPLES})"
        )
    found: dict[str, list[tuple[str, int]]] = {}
    for name, value, rows in index.rows(
        f"FROM ({' UNION ALL '.join(queries)}) ORDER BY name, rows DESC, value"
    ):
        found.setdefault(name, []).append((value, rows))
    return {name: counted_values(values, _VALUES) for name, values in found.items()}


def _mentions(column: ClinicalColumn, words: str) -> bool:
    texts = [column.name, column.label, *column.codes, *filter(None, column.codes.values())]
    return any(words in text.lower() for text in texts)


def _type(column: ClinicalColumn) -> str:
    return f"{column.type}, coded" if column.decoded else column.type


def _label(column: ClinicalColumn) -> str:
    return "" if column.label == column.name else shorten(column.label, _LABEL)


def _book(column: ClinicalColumn) -> str:
    shown = [f"{code} {meaning}" if meaning else code for code, meaning in column.codes.items()]
    return shorten("; ".join(shown), _VALUES)


def _absent(index: Index) -> list[str]:
    if not index.has(CLINICAL):
        return [f"The rows are not on this machine: {how_to_have(index, CLINICAL)}."]
    if not index.has(CLINICAL_INDEX):
        return [f"Labels and code books are in {CLINICAL_INDEX}, which is not on this machine."]
    return []
