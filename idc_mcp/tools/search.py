"""`idc_search`: where a person would start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from idc_mcp.answers import Answer, Table
from idc_mcp.idc.search.documents import Kind

if TYPE_CHECKING:
    from idc_mcp.app import App


_MOST_NAMED, _MOST_CHARS = 50, 120
"""Characters of the names of tables, and of the whole line about them."""


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
    notes = [*found.notes, *_about_absent(app, found.absent)]
    shown = {name: value for name, value in vars(found).items() if name != "absent"}
    return SearchAnswer(release=app.release_name, **(shown | {"notes": notes}))


def _about_absent(app: App, absent: list[str]) -> list[str]:
    """One line about tables whose values were not searched, fetching them where that may be."""
    if not absent:
        return []
    named = absent[0] if len(absent) == 1 else f"{absent[0]} and {len(absent) - 1} more"
    if len(", ".join(absent)) <= _MOST_NAMED:
        named = ", ".join(absent)
    values = f"values of {named}"
    fetched = [name for name in absent if not app.index.has(name)]
    if not fetched:
        return [f"Not searched: {values} (being prepared; ask again in a moment)."]
    if not app.settings.fetches:
        return [f"Not searched: {values} (not on this machine; idc-mcp fetch --all)."]
    app.tables.begin(fetched)
    states = app.tables.status()
    if any(states[name].startswith("being") for name in fetched):
        return [f"{values[0].upper()}{values[1:]} are being fetched; ask again in a moment."]
    why = next((states[name] for name in fetched if states[name] != "here"), "soon here")
    return [f"Not searched: {values}: {why}"[:_MOST_CHARS]]
