"""`idc_schema`: the tables, a table's columns, a column's values; clinical tables too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.idc.schema.accounts import describe_table, find_columns, list_tables
from idc_mcp.idc.schema.values import describe_column
from idc_mcp.index.release import CLINICAL

if TYPE_CHECKING:
    from idc_mcp.app import App


class SchemaAnswer(Answer):
    """Tables, columns or values, whichever was asked for."""

    elastic: ClassVar[tuple[str, ...]] = ("values", "columns", "tables")

    about: dict[str, Any] = Field(default_factory=dict)
    tables: Table | None = None
    columns: Table | None = None
    values: Table | None = None
    notes: list[str] = Field(default_factory=list)
    next: list[str] = Field(default_factory=list)


def idc_schema(
    app: App,
    table: Annotated[
        str, Field(description="Table; empty lists all, clinical the clinical ones")
    ] = "",
    column: Annotated[str, Field(description="Column whose values to list")] = "",
    contains: Annotated[str, Field(description="Keep columns or values containing this")] = "",
    limit: Annotated[int, Field(ge=1, le=500, description="Most rows")] = 50,
) -> SchemaAnswer:
    """Tables, columns and column values of the IDC catalogue, for filters and SQL.

    No arguments: tables with rows. A table: columns with type, null share, description.
    A column: its values with counts, or quantiles, or examples.
    """
    if column.strip():
        account = describe_column(app.index, table.strip(), column.strip(), contains.strip(), limit)
    elif table.strip():
        account = describe_table(app.index, table.strip(), contains.strip(), limit)
    elif contains.strip():
        account = find_columns(app.index, contains.strip(), limit)
    else:
        whole = app.index.has(*app.release.specialised, CLINICAL)
        account = list_tables(app.index, {} if whole else app.tables.status())
    return SchemaAnswer(release=app.release_name, **vars(account))
