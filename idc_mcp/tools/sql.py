"""`idc_sql`: a caller's SELECT, guarded, over the tables of the release and kept cohorts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.errors import BadArgument
from idc_mcp.outputs import output_path
from idc_mcp.tools.strict import cancellation

if TYPE_CHECKING:
    from idc_mcp.app import App

FORMATS = {".csv": "csv", ".parquet": "parquet", ".json": "json"}
DEFAULT_ROWS = 100


class SqlAnswer(Answer):
    """Columns and rows; `complete` is false where the statement has more than is shown."""

    elastic: ClassVar[tuple[str, ...]] = ("result",)

    complete: bool
    elapsed_ms: float
    types: str
    saved: str = ""
    saved_rows: int | None = None
    note: str = ""
    result: Table

    def cut(self, **changes: Any) -> Answer:
        """Rows left out to fit the budget make the answer incomplete."""
        return super().cut(
            **changes,
            complete=False,
            note="rows were left out to keep the answer short: select fewer columns, aggregate, "
            "or give save_as='result.csv' for all rows",
        )


def idc_sql(
    app: App,
    sql: Annotated[str, Field(description="one SELECT (DuckDB; WITH, FROM-first, DESCRIBE too)")],
    max_rows: Annotated[int, Field(ge=1, description="rows to return")] = DEFAULT_ROWS,
    save_as: Annotated[
        str, Field(description="write ALL rows to this file: .csv, .parquet or .json")
    ] = "",
) -> SqlAnswer:
    """Read-only SQL over the IDC tables (index, collections_index, analysis_results_index,
    prior_versions_index, version_metadata_index) and any cohort handle as a table
    (SELECT … FROM c_0123456789ab). For counts by anything, joins, and columns without a filter;
    idc_schema shows columns and values."""
    most = app.settings.sql_max_rows
    if max_rows > most:
        raise BadArgument(
            f"max_rows={max_rows} is over this server's limit of {most}.",
            next_step=f"give at most {most}, aggregate, or save_as='result.csv' for all rows",
        )
    path = output_path(app.settings, save_as, tuple(FORMATS)) if save_as else None
    result = app.pool.run(
        sql,
        max_rows=max_rows,
        max_chars=app.settings.answer_chars,
        cohorts=app.cohorts.views(sql),
        save_to=path,
        save_format=FORMATS[path.suffix.lower()] if path else "",
        cancelled=cancellation(),
    )
    note = "" if result.complete else f"stopped at {len(result.rows)} rows; there are more: raise "
    if note:
        note += f"max_rows (at most {most}) or give save_as='result.csv' for all rows"
    if path:
        note = "the file holds all rows; these are the first"
    return SqlAnswer(
        release=app.release_name,
        complete=result.complete,
        elapsed_ms=result.elapsed_ms,
        types=", ".join(result.types),
        saved=str(path or ""),
        saved_rows=result.saved_rows,
        note=note,
        result=Table(columns=result.columns, rows=result.rows),
    )
