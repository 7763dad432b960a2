"""The values of a column of a clinical table, decoded, with the patients that have each."""

from __future__ import annotations

from typing import Any

from idc_mcp.answers import Table
from idc_mcp.errors import NotFound
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.schema.account import Account, rest_call, share, shorten
from idc_mcp.idc.schema.clinical import ClinicalColumn, columns_of, facts_of, in_sql
from idc_mcp.idc.schema.lookup import how_to_have
from idc_mcp.idc.sql import identifier, literal
from idc_mcp.index.clinical import COLLECTION, MEANING, PATIENT_COLUMN, whole
from idc_mcp.index.release import CLINICAL
from idc_mcp.index.store import Index

MOST_NUMBERS = 50
"""Numbers and dates of more distinct values than that are summed up."""

QUANTILES = {"5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95}
EXAMPLES = 3
LONGEST = 120


def describe_clinical_column(
    index: Index, table: str, name: str, contains: str, limit: int
) -> Account:
    """A column of a clinical table: its code book, and rows and patients of each value.

    `contains` keeps the values with a text in the code or in what it means.

    Raises
    ------
    NotFound
        The table has no such column, or no value contains the text.
    """
    column = _column(index, table, name)
    account = Account(
        understood=f"column {CLINICAL}.{table}.{column.name}"
        + (f", values containing '{contains}'" if contains else ""),
        about=_about(index, table, column),
    )
    if not index.has(CLINICAL):
        codes = [(code, meaning) for code, meaning in column.codes.items()]
        account.notes = [
            f"The code book alone: the rows are {how_to_have(index, CLINICAL)}."
            if codes
            else f"No values are listed for it; the rows are {how_to_have(index, CLINICAL)}."
        ]
        kept = [row for row in codes if _matches(row, contains)]
        if codes or contains:
            account.values = _shown(table, column, ("code", "meaning"), kept, contains, limit)
        return account
    found = _counts(index, table, column)
    summed = column.spanned and not column.codes and len(found) > MOST_NUMBERS
    if summed and not contains:
        account.about |= _quantiles(index, table, column)
    elif column.name == PATIENT_COLUMN and not contains:
        account.about["examples"] = sorted(row[0] for row in found)[:EXAMPLES]
    else:
        _add_values(account, index, table, column, found, contains, limit)
    return account


def _column(index: Index, table: str, name: str) -> ClinicalColumn:
    columns = columns_of(index, table)
    wanted = name.strip().strip("`\"'").lower()
    for read in (wanted, wanted.removesuffix(MEANING)):
        for column in columns:
            if column.name.lower() == read:
                return column
    labelled = [column.name for column in columns if wanted in column.label.lower()]
    raise NotFound(
        f"'{name}' is no column of {CLINICAL}.{table}.",
        nearest=list(dict.fromkeys([*nearest(name, [c.name for c in columns]), *labelled]))[:5],
        next_step=f"idc_schema(table='{table}') lists its columns with their labels",
    )


def _about(index: Index, table: str, column: ClinicalColumn) -> dict[str, Any]:
    about = {
        "column": f"{CLINICAL}.{table}.{column.name}",
        "type": column.type,
        "label": column.label,
    }
    about |= {
        key: value for key, value in facts_of(index, table).items() if key in (COLLECTION, "rows")
    }
    if column.type:
        filled, distinct = index.rows(
            f"SELECT count({identifier(column.name)}), count(DISTINCT {identifier(column.name)}) "
            f"FROM {CLINICAL}.{identifier(table)}"
        )[0]
        rows = int(about.get("rows") or 0)
        about |= {"nulls": share(rows - filled, rows), "distinct values": distinct}
    return {name: value for name, value in about.items() if value not in ("", None)}


def _counts(index: Index, table: str, column: ClinicalColumn) -> list[tuple[Any, ...]]:
    """Value, meaning, rows and patients of each value, most rows first."""
    name = identifier(column.name)
    meaning = identifier(column.name + MEANING) if column.decoded else "CAST(NULL AS VARCHAR)"
    has_patients = any(one.name == PATIENT_COLUMN for one in columns_of(index, table))
    patients = f"count(DISTINCT {PATIENT_COLUMN})" if has_patients else "NULL"
    return index.rows(
        f"SELECT CAST({name} AS VARCHAR) AS value, any_value({meaning}), count(*) AS rows, "
        f"{patients} FROM {CLINICAL}.{identifier(table)} WHERE {name} IS NOT NULL "
        "GROUP BY value ORDER BY rows DESC, value"
    )


def _add_values(
    account: Account,
    index: Index,
    table: str,
    column: ClinicalColumn,
    found: list[tuple[Any, ...]],
    contains: str,
    limit: int,
) -> None:
    rows = list(found)
    if column.decoded:
        # A code that nobody has is part of the book too.
        there = {_as_code(column, row[0]) for row in found}
        book = {_as_code(column, code): (code, meaning) for code, meaning in column.codes.items()}
        none = 0 if found and found[0][3] is not None else None
        rows += [(*entry, 0, none) for read, entry in book.items() if read not in there]
        unknown = len(there - book.keys())
        if unknown:
            account.notes.append(f"{unknown} values stand in the rows and not in the code book.")
    kept = [row for row in rows if _matches(row[:2], contains)]
    cells = {"code" if column.decoded else "value": 0, "meaning": 1, "rows": 2, "patients": 3}
    if not column.decoded:
        del cells["meaning"]
    if kept and kept[0][3] is None:
        del cells["patients"]
    account.values = _shown(
        table,
        column,
        tuple(cells),
        [tuple(row[place] for place in cells.values()) for row in kept],
        contains,
        limit,
    )
    if kept and "patients" in cells:
        value = str(kept[0][0])
        text = column.type.startswith(("VARCHAR", "DATE", "TIME"))
        written = literal(value) if text else value
        account.next = [
            f'idc_cohort(sql="SELECT {COLLECTION}, {PATIENT_COLUMN} FROM {in_sql(table)} '
            f'WHERE {_in_call(column.name)} = {written}")'
        ]


def _as_code(column: ClinicalColumn, value: str) -> str:
    """A value as codes are compared, which are text: `1` for 1.0, `true` for True."""
    if column.type == "BOOLEAN":
        return value.lower()
    return whole(value) if column.spanned else value


def _shown(
    table: str,
    column: ClinicalColumn,
    heads: Any,
    rows: list[tuple[Any, ...]],
    contains: str,
    limit: int,
) -> Table:
    if not rows and contains:
        texts = [text for row in column.codes.items() for text in row if text]
        raise NotFound(
            f"No value of {CLINICAL}.{table}.{column.name} contains '{contains}'.",
            nearest=nearest(contains, texts),
            next_step=f"idc_schema(table='{table}', column={column.name!r}) shows them",
        )
    asked = f", contains={contains!r}" if contains else ""
    return Table.of(
        heads,
        [
            [shorten(cell, LONGEST) if isinstance(cell, str) else cell for cell in row]
            for row in rows
        ],
        limit=limit,
        rest=rest_call(len(rows), f"idc_schema(table='{table}', column={column.name!r}{asked}"),
    )


def _quantiles(index: Index, table: str, column: ClinicalColumn) -> dict[str, Any]:
    name = identifier(column.name)
    least, middle, greatest = index.rows(
        f"SELECT min({name}), quantile_disc({name}, {list(QUANTILES.values())}), max({name}) "
        f"FROM {CLINICAL}.{identifier(table)}"
    )[0]
    told = {"min": least, **dict(zip(QUANTILES, middle, strict=True)), "max": greatest}
    return {name: v if isinstance(v, int | float) else str(v) for name, v in told.items()}


def _matches(row: tuple[Any, ...], contains: str) -> bool:
    return any(contains.lower() in str(text).lower() for text in row if text is not None)


def _in_call(name: str) -> str:
    return identifier(name).replace('"', '\\"')
