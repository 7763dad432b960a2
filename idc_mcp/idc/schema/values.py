"""The values of a column: all with counts where they are few, else what sums them up.

few values      every one with its count, kept from when the database was built
text            the most frequent, counted now
identifiers     examples: a list of them says nothing
numbers         least, greatest and quantiles
arrays          what they hold, each with the rows that hold it
structs         how to read them in SQL

The rows of a table that is not on this machine are asked for (`NotFetched`) where a question
may fetch them; else the column is described without.
"""

from __future__ import annotations

from typing import Any

from idc_mcp.answers import Table
from idc_mcp.errors import BadArgument, NotFound
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.schema.account import MOST_LISTED, Account, caution, share
from idc_mcp.idc.schema.accounts import not_here
from idc_mcp.idc.schema.clinical_values import describe_clinical_column
from idc_mcp.idc.schema.lookup import (
    clinical_columns,
    column_facts,
    find_clinical,
    find_column,
)
from idc_mcp.idc.sql import contains as contains_text
from idc_mcp.idc.sql import identifier, literal
from idc_mcp.idc.vocabulary import suggestions
from idc_mcp.index import naming
from idc_mcp.index.release import Column
from idc_mcp.index.store import Index

MOST_NUMBERS = 200
"""Numbers of more distinct values than that are summed up."""

EXAMPLES = 3
MOST_OTHERS = 8
"""Other clinical tables with a column that are named."""
LONGEST_VALUE = 120
QUANTILES = {"5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95}

_COUNTED = {"collections_index": "collections"} | dict.fromkeys(
    ("index", "seg_index", "ann_index", "rtstruct_index", "ct_index", "mr_index", "pt_index",
     "sm_index", "contrast_index", "volume_geometry_index"),
    "series",
)  # fmt: skip
"""What a row of a table is."""
_LONG_TEXTS = ("description", "citation")
_IDENTIFIERS = ("UID", "uuid", "_url", "PatientID")


def describe_column(index: Index, table: str, name: str, contains: str, limit: int) -> Account:
    """A column and its values; `contains` keeps those that contain a text, in any case.

    Raises
    ------
    NotFound
        There is no such table or column, or no value contains the text.
    BadArgument
        `contains` is given for a column that it cannot be looked for in.
    """
    clinical = _clinical(index, table, name)
    if clinical:
        return _of_clinical(index, *clinical, contains, limit)
    schema, column, others = find_column(index, table, name)
    account = Account(
        understood=f"column {schema.name}.{column.name}"
        + (f" (written '{name}')" if column.name not in name else "")
        + (f", values containing '{contains}'" if contains else ""),
        about={
            "column": f"{schema.name}.{column.name}",
            "type": column.type,
            "description": column.description,
        },
        notes=caution(column.name),
    )
    if others:
        account.notes.append(f"Also a column of {', '.join(others)}.")
    if not index.has(schema.name):
        if index.settings.fetches:
            index.require(schema.name)
        account.notes.append(not_here(index, schema.name))
        return account
    rows, nulls, distinct = column_facts(index, schema.name, column.name)[column.name]
    counted = _COUNTED.get(schema.name, "rows")
    account.about |= {counted: rows, "nulls": share(nulls, rows), "distinct values": distinct}
    nested = "RECORD" in column.type
    numeric = column.type.endswith(("INTEGER", "FLOAT")) and distinct > MOST_NUMBERS
    if nested or numeric:
        if contains:
            raise BadArgument(
                f"contains looks in text; {column.name} is {column.type}.",
                next_step=f'idc_sql(sql="SELECT … FROM {_in_call(schema.name)} WHERE …")',
            )
        account.next = _reading(index, schema.name, column) if nested else []
        if numeric:
            account.about |= _quantiles(index, schema.name, column)
        return account
    if _is_identifier(column.name, distinct) and not contains:
        account.about["examples"] = _examples(index, schema.name, column.name)
        account.next = [f"idc_schema(table='{schema.name}', column='{column.name}', contains='…')"]
        return account
    _add_values(account, index, schema.name, column, contains, limit)
    return account


def _clinical(index: Index, table: str, name: str) -> tuple[str, str, list[str]] | None:
    """The clinical table and column that are meant, and the other tables with such a column."""
    if table:
        found = find_clinical(index, table)
        return (found, name, []) if found else None
    head, _, last = name.rpartition(".")
    if head and (found := find_clinical(index, head)):
        return found, last, []
    try:
        find_column(index, "", name)
    except NotFound:
        if name.strip().lower() in naming.RENAMED_COLUMNS:
            raise
        tables = [
            table
            for table, column, _ in clinical_columns(index, name.strip())
            if column.lower() == name.strip().lower()
        ]
        if not tables:
            raise
        return tables[0], name, tables[1:]
    return None


def _of_clinical(
    index: Index, table: str, name: str, others: list[str], contains: str, limit: int
) -> Account:
    account = describe_clinical_column(index, table, name, contains, limit)
    if others:
        shown = ", ".join(others[:MOST_OTHERS])
        more = f" and {len(others) - MOST_OTHERS} more" if len(others) > MOST_OTHERS else ""
        account.notes.append(f"Also a column of {shown}{more}: name the table.")
    return account


def _is_identifier(name: str, distinct: int) -> bool:
    return distinct > MOST_NUMBERS and name.endswith(_IDENTIFIERS)


def _add_values(
    account: Account, index: Index, table: str, column: Column, contains: str, limit: int
) -> None:
    counted = _COUNTED.get(table, "rows")
    most = 5 if column.name in _LONG_TEXTS else limit
    source = _source(index, table, column)
    where = f"WHERE {contains_text('value', contains)}" if contains else ""
    found = index.rows(
        "SELECT value, rows, count(*) OVER (), CAST(sum(rows) OVER () AS BIGINT) "
        f"FROM ({source}) {where} ORDER BY rows DESC, value LIMIT {most}"
    )
    if not found:
        raise _no_value(index, table, column, contains)
    total = found[0][2]
    if contains:
        account.about |= {"matching values": total, f"matching {counted}": found[0][3]}
    if column.name.endswith("Date"):
        account.about |= _span(index, table, column.name)
    asked = f", contains={contains!r}" if contains else ""
    rest = (
        f"idc_schema(table='{table}', column='{column.name}'{asked}, limit={total})"
        if total <= MOST_LISTED
        else "narrow it with contains, or use idc_sql"
    )
    account.values = Table(
        columns=["value", counted],
        rows=[[_shortened(value, contains), count] for value, count, *_ in found],
        more=total - len(found),
        rest=rest if total > len(found) else "",
    )
    if any(len(value) > LONGEST_VALUE for value, *_ in found):
        account.notes.append("Long values are cut (…).")
        account.next.append(
            f'idc_sql(sql="SELECT {identifier(column.name)} FROM {_in_call(table)} WHERE …")'
        )
    if column.type.startswith("ARRAY") and found:
        account.next.append(_containing(table, column, found[0][0]))


def _source(index: Index, table: str, column: Column) -> str:
    """A query of the values of a column, as text, and the rows that have each."""
    kept = f"table_name = {literal(table)} AND column_name = {literal(column.name)}"
    if index.row(f"SELECT 1 FROM facts.values WHERE {kept} LIMIT 1"):
        return f"SELECT value, rows FROM facts.values WHERE {kept}"
    return (
        "SELECT CAST(value AS VARCHAR) AS value, count(*) AS rows "
        f"FROM ({_each(table, column)}) WHERE value IS NOT NULL GROUP BY 1"
    )


def _each(table: str, column: Column) -> str:
    """A query of the values of a column, one a row that has it."""
    name = identifier(column.name)
    if column.type.startswith("ARRAY"):
        name = f"unnest(list_distinct({name}))"
    return f"SELECT {name} AS value FROM {identifier(table)}"


def _no_value(index: Index, table: str, column: Column, contains: str) -> NotFound:
    known = [
        str(row[0])
        for row in index.rows(
            f"SELECT value FROM ({_source(index, table, column)}) ORDER BY rows DESC LIMIT 20000"
        )
    ]
    lower = {value.lower() for value in known}
    words = [
        word for word in suggestions(column.name, contains) if any(word.lower() in v for v in lower)
    ]
    close = [value[:LONGEST_VALUE] for value in nearest(contains, known, limit=5)]
    return NotFound(
        f"No value of {table}.{column.name} contains '{contains}'.",
        nearest=list(dict.fromkeys([*words, *close]))[:5],
        next_step=f"idc_schema(table='{table}', column='{column.name}') shows the most frequent "
        "values",
    )


def _examples(index: Index, table: str, column: str) -> list[str]:
    name = identifier(column)
    found = index.rows(
        f"SELECT DISTINCT {name} FROM (SELECT {name} FROM {identifier(table)} LIMIT 20000) "
        f"WHERE {name} IS NOT NULL ORDER BY 1 LIMIT {EXAMPLES}"
    )
    return [str(row[0]) for row in found]


def _quantiles(index: Index, table: str, column: Column) -> dict[str, Any]:
    least, middle, greatest = index.rows(
        f"SELECT min(value), quantile_disc(value, {list(QUANTILES.values())}), max(value) "
        f"FROM ({_each(table, column)})"
    )[0]
    return {"min": least, **dict(zip(QUANTILES, middle, strict=True)), "max": greatest}


def _span(index: Index, table: str, column: str) -> dict[str, Any]:
    name = identifier(column)
    first, last = index.rows(f"SELECT min({name}), max({name}) FROM {identifier(table)}")[0]
    return {"first": first, "last": last}


def _reading(index: Index, table: str, column: Column) -> list[str]:
    """How SQL reads an array or struct, and its fields as the engine names them."""
    name = identifier(column.name)
    fields = index.value(f"SELECT typeof({name}) FROM {identifier(table)} LIMIT 1")
    key = column_key(table)
    if column.type == "ARRAY OF RECORD":
        return [
            f'idc_sql(sql="SELECT {key}, item.* FROM {_in_call(table)}, '
            f'unnest({_in_call(column.name)}) AS part(item)")',
            f"fields of item: {fields}",
        ]
    return [
        f'idc_sql(sql="SELECT {key}, {_in_call(column.name)}.* FROM {_in_call(table)}")',
        f"fields: {fields}",
    ]


def _containing(table: str, column: Column, value: str) -> str:
    """The call that finds the rows of an array column that hold a value."""
    held = literal(value) if column.type.endswith("STRING") else value
    condition = f"list_contains({identifier(column.name)}, {held})".replace('"', '\\"')
    return f'idc_sql(sql="SELECT {column_key(table)} FROM {_in_call(table)} WHERE {condition}")'


def column_key(table: str) -> str:
    """The column that names a row of a table."""
    return {
        "collections_index": "collection_id",
        "analysis_results_index": "analysis_result_id",
        "clinical_index": "short_table_name",
        "version_metadata_index": "idc_version",
    }.get(table, "SeriesInstanceUID")


def _in_call(name: str) -> str:
    """A table's or column's name inside the quotes of a call that is written out."""
    return identifier(name).replace('"', '\\"')


def _shortened(value: str, contains: str) -> str:
    """A value cut to a readable length, the part that was looked for in sight."""
    text = " ".join(value.split()) if len(value) > LONGEST_VALUE else value
    if len(text) <= LONGEST_VALUE:
        return text
    place = text.lower().find(contains.lower()) if contains else 0
    start = max(0, place - LONGEST_VALUE // 2)
    end = start + LONGEST_VALUE
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
