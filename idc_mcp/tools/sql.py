"""`idc_sql`: a caller's SELECT, guarded, over the tables of the release and kept cohorts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.errors import BadArgument
from idc_mcp.idc.cautions import sql_cautions
from idc_mcp.outputs import output_path
from idc_mcp.tools.calls import cancellation

if TYPE_CHECKING:
    from idc_mcp.app import App

FORMATS = {".csv": "csv", ".parquet": "parquet", ".json": "json"}
DEFAULT_ROWS = 100
MOST_TYPES = 8
"""Of more columns the types are not told: DESCRIBE tells them."""

_AROUND = 600
_SHOWN = "shown are the first"
_FOR_ALL = "for more select fewer columns, aggregate, or save_as a file with all rows"


class SqlAnswer(Answer):
    """Columns and rows; `complete` is false where the statement has more than is shown."""

    elastic: ClassVar[tuple[str, ...]] = ("result",)

    complete: bool
    elapsed_ms: float
    types: str = ""
    saved: str = ""
    saved_rows: int | None = None
    notes: list[str] = Field(default_factory=list)
    result: Table

    def cut(self, **changes: Any) -> Answer:
        """Rows left out to fit the budget make the answer incomplete."""
        table: Table = changes["result"]
        if not (self.complete or self.result.more):
            # How many there are was never counted: no number is better than a wrong one.
            table = table.model_copy(update={"more": 0})
        notes = [note for note in self.notes if not note.startswith(_SHOWN)]
        shown = f"{_SHOWN} {len(table.rows)} rows, to keep the answer short; {_FOR_ALL}"
        return super().cut(result=table, complete=False, notes=[shown, *notes])


def idc_sql(
    app: App,
    sql: Annotated[str, Field(description="one SELECT (DuckDB; WITH, FROM-first, DESCRIBE too)")],
    max_rows: Annotated[int, Field(ge=1, description="rows to return")] = DEFAULT_ROWS,
    save_as: Annotated[
        str, Field(description="write ALL rows to this file: .csv, .parquet or .json")
    ] = "",
) -> SqlAnswer:
    """Read-only SQL over the IDC tables (index, collections_index, analysis_results_index,
    prior_versions_index, version_metadata_index; seg_index, ct_index, sm_index and the other
    specialised ones; clinical tables, decoded) and any cohort handle as a table
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
        # The rows travel twice, as text and structured, with a little around them.
        max_chars=app.settings.answer_chars // 2 - _AROUND,
        cohorts=app.cohorts.views(sql),
        save_to=path,
        save_format=FORMATS[path.suffix.lower()] if path else "",
        cancelled=cancellation(),
    )
    notes = sql_cautions(sql)
    if result.clipped:
        notes.insert(0, "long cells were cut: select parts of them, or save_as a file")
    if not result.complete:
        how = (
            "the file holds all" if path else f"there are more: max_rows goes to {most}; {_FOR_ALL}"
        )
        notes.insert(0, f"{_SHOWN} {len(result.rows)} rows; {how}")
    return SqlAnswer(
        release=app.release_name,
        complete=result.complete and not result.clipped,
        elapsed_ms=result.elapsed_ms,
        types=", ".join(result.types) if len(result.types) <= MOST_TYPES else "",
        saved=str(path or ""),
        saved_rows=result.saved_rows,
        notes=notes,
        result=Table(columns=result.columns, rows=result.rows),
    )
