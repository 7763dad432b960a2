"""The calls that a search suggests, for what its collections have by the documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from idc_mcp.idc.search.clinical_calls import clinical_call
from idc_mcp.idc.search.documents import DERIVED, Document, Documents, Kind
from idc_mcp.idc.search.further import filter_of
from idc_mcp.idc.search.query import Query
from idc_mcp.idc.search.ranking import Hit
from idc_mcp.idc.search.special_calls import Recorded
from idc_mcp.idc.search.wanted import Wanted, named_filters, wanted_of
from idc_mcp.idc.search.words import joined, spaced, words_of

_SCHEMA: tuple[Kind, Kind] = ("column", "table")


def next_calls(
    query: Query,
    ranked: Mapping[Kind, Sequence[Hit]],
    likely: Document | None,
    documents: Documents,
    recorded: Recorded,
    empty_body_parts: float = 0.0,
) -> list[str]:
    """At most two calls that go on from here, the best first.

    `likely` is the collection or analysis result that the query is most about, `recorded` tells
    the values of a column of a specialised table, `empty_body_parts` the share of series without
    BodyPartExamined.
    """
    columns, tables = ([hit.document for hit in ranked.get(kind, ())] for kind in _SCHEMA)
    describe = f"idc_describe(identifier='{likely.name}')" if likely else ""
    wanted = wanted_of(query, ranked, documents, recorded)
    if "BodyPartExamined" in wanted.filters and empty_body_parts:
        wanted.notes.append(f"BodyPartExamined is null in {empty_body_parts:.0%} of series")
    asked = columns and (_asks_for_column(query, wanted) or _named(columns[0], query))
    if clinical := clinical_call(query, ranked):
        return [call for call in (clinical, wanted.call(query) or describe) if call]
    if tables and tables[0].clinical and joined(tables[0].clinical.table) in joined(query.text):
        calls = [f"idc_schema(table='{tables[0].clinical.table}')", describe]
        return [call for call in calls if call]
    if likely and joined(likely.name) in query.names:
        exact = named_filters(query, likely, ranked, recorded).call(query)
        places = query.names[joined(likely.name)]
        unsaid = any(query.terms[place] in wanted.beyond for place in places)
        if unsaid or _one_token(likely.name, query):
            rest = len(places) < len(query.terms)
            return [exact, describe] if rest else [describe, exact]
        return [call for call in dict.fromkeys((wanted.call(query), exact)) if call]
    if likely and not query.filters and _speaks_for(likely, query, ranked, asked=bool(asked)):
        return [describe, Wanted({f"{likely.kind}_id": likely.name}).call(query)]
    filters = wanted.call(query)
    calls = [describe, filters] if wanted.left else [filters]
    measured = any(term.measure for term in query.terms) and bool(filters)
    if asked or (columns and not likely and not measured):
        calls.insert(0, f"idc_schema(table='{columns[0].table}', column='{columns[0].name}')")
        if query.filters:
            calls = [filters, calls[0]]
    elif tables and not likely:
        name = tables[0].clinical.table if tables[0].clinical else tables[0].name
        calls.append(f"idc_schema(table='{name}')")
    calls = [call for call in dict.fromkeys((*calls, describe)) if call][:2]
    values = [hit.document for hit in ranked.get("value", ())]
    if not calls and values and values[0].table:
        column = values[0].clinical.column if values[0].clinical else values[0].text
        calls = [f"idc_schema(table='{values[0].table}', column='{column}')"]
    return calls


def _asks_for_column(query: Query, wanted: Wanted) -> bool:
    """Whether the query names a column, and no filter already says what is asked of it."""
    return any(
        filter_of(*name.split(".", 1)) not in wanted.filters
        for term in query.terms
        if not term.measure
        for name in term.columns
    )


def _one_token(name: str, query: Query) -> bool:
    """Whether the name was written as one: `prostate-mri` is a name, `prostate MRI` words."""
    return any(joined(token) == joined(name) for token in re.split(r"[\s,;]+", query.text))


def _speaks_for(
    likely: Document, query: Query, ranked: Mapping[Kind, Sequence[Hit]], *, asked: bool
) -> bool:
    """Whether what was found is one analysis result rather than images of several collections."""
    if not ranked.get("collection"):
        return not asked
    mixed = {bool(set(term.modalities) & DERIVED) for term in query.terms if term.modalities}
    return likely.kind == "analysis_result" and mixed == {True, False}


def _named(column: Document, query: Query) -> bool:
    """Whether the query is several words of the column's name."""
    words = {term.word for term in query.terms}
    return len(words) > 1 and words <= set(words_of(spaced(column.name)))
