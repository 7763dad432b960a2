"""`idc_search`: where a person would start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from idc_mcp.answers import Answer, Table
from idc_mcp.idc.search.documents import Kind

if TYPE_CHECKING:
    from idc_mcp.app import App


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) and value else value or []


Kinds = Annotated[list[Kind], BeforeValidator(_one_or_many)]


class SearchAnswer(Answer):
    """The best matches of each kind, and the calls that go on from here."""

    elastic: ClassVar[tuple[str, ...]] = (
        "tables", "columns", "analysis_results", "values", "collections",
    )  # fmt: skip

    collections: Table | None = None
    analysis_results: Table | None = None
    values: Table | None = None
    columns: Table | None = None
    tables: Table | None = None
    notes: list[str] = Field(default_factory=list)
    next: list[str] = Field(default_factory=list)


def idc_search(
    app: App,
    query: Annotated[str, Field(description="Words: disease, organ, modality, name, topic")],
    kinds: Annotated[Kinds, Field(description="Only these kinds")] = (),  # type: ignore[assignment]
    limit: Annotated[int, Field(ge=1, le=100, description="Most rows of a kind")] = 10,
) -> SearchAnswer:
    """Find cancer imaging data: start here with any words, e.g. "lung cancer CT".

    Matches collections, analysis results, column values (with series counts), columns and
    tables. Reads synonyms (MRI, whole slide, renal) and typing errors; suggests the next call.
    """
    found = app.search.search(query, list(kinds), limit)
    return SearchAnswer(release=app.release_name, **vars(found))
