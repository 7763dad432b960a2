"""Tables and columns found by name, read forgivingly, and the facts kept about them."""

from __future__ import annotations

import re

from idc_mcp.errors import NotFound
from idc_mcp.idc.nearest import bare, folded, nearest
from idc_mcp.idc.sql import contains as contains_text
from idc_mcp.idc.sql import literal
from idc_mcp.index import naming
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX, MAIN_TABLE, Column, TableSchema
from idc_mcp.index.store import Index
from idc_mcp.settings import PREFIX

FIRST_TABLES = (
    MAIN_TABLE, "collections_index", "analysis_results_index", "prior_versions_index",
    "version_metadata_index", "seg_index", "ct_index", "mr_index", "pt_index", "sm_index",
)  # fmt: skip
"""The order in which tables are listed and searched for a column."""

_CLINICAL_NAME = re.compile(
    r"(?:bigquery-public-data\.)?(?:idc_(?:v\d+|current)_)?clinical\.", re.IGNORECASE
)
_BIGQUERY_NAME = re.compile(r"(?:bigquery-public-data\.)?idc_(?:v\d+|current)\.", re.IGNORECASE)


def find_table(index: Index, name: str) -> TableSchema:
    """A table by its name, read forgivingly: `seg` is seg_index, `idc_index` is index.

    Raises
    ------
    NotFound
        There is none; the nearest names are given.
    """
    schemas = index.release.schemas
    plain = _BIGQUERY_NAME.sub("", _unquoted(name)).removeprefix("main.")
    wanted = folded(plain).replace(" ", "_")
    renamed = naming.RENAMED_TABLES.get(wanted, wanted)
    for candidate in (wanted, f"{wanted}_index", wanted.removeprefix("idc_"), renamed):
        if candidate in schemas:
            return schemas[candidate]
    raise NotFound(
        f"'{name}' is no table of IDC {index.release.name}.",
        nearest=nearest(plain, [*schemas, *clinical_tables(index)]) or list(schemas)[:5],
        next_step="idc_schema() lists the tables, "
        f"idc_schema(table='{CLINICAL}') the clinical ones",
    )


def find_clinical(index: Index, name: str) -> str | None:
    """A clinical table by its name, alone or as BigQuery writes it; None where it is none.

    Raises
    ------
    NotFound
        It is named as a clinical table and there is none of that name.
    NotFetched
        It is named as one, and nothing of the clinical tables is on this machine.
    """
    plain = _unquoted(name)
    prefix = _CLINICAL_NAME.match(plain)
    short = plain[prefix.end() :] if prefix else plain
    if not prefix and folded(short).replace(" ", "_") in index.release.schemas:
        return None
    known = clinical_tables(index)
    for read in (str, str.lower, bare):
        for table in known:
            if read(table) == read(short):
                return table
    if not prefix and (known or not _begins_with_a_collection(index, short)):
        return None
    if not known:
        index.require(CLINICAL)
    raise NotFound(
        f"There is no clinical table {short}.",
        nearest=nearest(short, known),
        next_step=f"idc_schema(table='{CLINICAL}') lists them; "
        f"idc_schema(table='{CLINICAL}', contains='…') finds columns by their labels too",
    )


def clinical_tables(index: Index) -> list[str]:
    """The clinical tables that are known: those that are here, and those of the dictionary."""

    def names() -> list[str]:
        told = index.rows("SELECT DISTINCT table_name FROM core.clinical_columns")
        return sorted({*index.release.clinical, *(name for (name,) in told)})

    return index.once("clinical_tables", names)


def clinical_columns(index: Index, contains: str) -> list[tuple[str, str, str]]:
    """Table, name and label of the clinical columns with a text in name or label, by name first."""
    if not index.has(CLINICAL_INDEX):
        return []
    return [
        (str(table), str(column), str(label or ""))
        for table, column, label in index.rows(
            "SELECT table_name, column_name, any_value(label) AS label FROM core.clinical_columns "
            f"WHERE {contains_text('column_name', contains)} OR {contains_text('label', contains)} "
            "GROUP BY table_name, column_name "
            f"ORDER BY NOT {contains_text('column_name', contains)}, table_name, column_name"
        )
    ]


def how_to_have(index: Index, names: str) -> str:
    """How the rows of tables that are not on this machine are had; `names` as in a command."""
    settings = index.settings
    command = f"`idc-mcp fetch {names}`"
    if settings.fetches:
        return f"fetched when a question needs them, or by {command}"
    if settings.hosted:
        return "this hosted server was built without them"
    if settings.offline:
        return f"had by {command} where there is a network ({PREFIX}OFFLINE unset)"
    return f"had by {command}; fetching by questions is turned off ({PREFIX}FETCH)"


def _begins_with_a_collection(index: Index, name: str) -> bool:
    return bool(
        index.row(
            "SELECT 1 FROM facts.collections WHERE starts_with(?, collection_id || '_')",
            [name.lower()],
        )
    )


def _unquoted(name: str) -> str:
    return re.sub(r"[`\"']", "", name).strip()


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
    renamed = naming.RENAMED_COLUMNS.get(name.strip().lower())
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
        here = [name for name in index.release.schemas if index.has(name)]
        known = [name for name in FIRST_TABLES if name in here]
        # From the footers: before the database is built, a view would read whole columns.
        return {
            name: index.value(
                f"SELECT count(*) FROM read_parquet({literal(str(index.release.parquet(name)))})"
            )
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
