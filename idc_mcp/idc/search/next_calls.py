"""The calls that a search suggests, for what its collections have by the documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from idc_mcp.idc.search.documents import Document, Documents, Kind
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.words import joined, spaced, words_of
from idc_mcp.idc.vocabulary import COMMERCIAL, GENERIC, SPELLED_OUT

DERIVED = frozenset({"ANN", "KO", "M3D", "PR", "REG", "RTSTRUCT", "RWV", "SEG", "SR"})
"""Modalities of objects made from images."""

MOST_VALUES = 8

TEXT_FILTERS = ("cancer_types", "tumor_locations", "species", "program_id")
"""Filters of idc_cohort that look into the text of a collection."""


def next_calls(
    query: Query,
    ranked: Mapping[Kind, Sequence[Document]],
    likely: Document | None,
    documents: Documents,
) -> list[str]:
    """At most two calls that go on from here, the best first.

    `likely` is the collection or analysis result that the query is most about.
    """
    columns, tables = ranked.get("column", ()), ranked.get("table", ())
    asked = columns and (any(term.columns for term in query.terms) or _named(columns[0], query))
    describe = f"idc_describe(identifier='{likely.name}')" if likely else ""
    named = likely and joined(likely.name) in query.names
    if likely and (named or not (asked or ranked.get("collection"))):
        exact = json.dumps({f"{likely.kind}_id": likely.name})
        return [describe, f"idc_cohort(filters={exact})"]
    filters = _filters(query, ranked, documents)
    calls = [describe, filters] if "leaves out" in filters else [filters]
    if asked or (columns and not likely):
        calls.insert(0, f"idc_schema(table='{columns[0].table}', column='{columns[0].name}')")
    elif tables and not likely:
        calls.append(f"idc_schema(table='{tables[0].name}')")
    return [call for call in dict.fromkeys((*calls, describe)) if call][:2]


def _named(column: Document, query: Query) -> bool:
    """Whether the query is several words of the column's name."""
    words = {term.word for term in query.terms}
    return len(words) > 1 and words <= set(words_of(spaced(column.name)))


def _filters(query: Query, ranked: Mapping[Kind, Sequence[Document]], documents: Documents) -> str:
    """The filters of idc_cohort that say the query, where something answers to them."""
    filters: dict[str, object] = {}
    left: list[str] = []
    if codes := _modalities(query, left):
        filters["Modality"] = codes[0] if len(codes) == 1 else codes
    inside = [
        item
        for item in documents.items
        if item.kind == "collection" and (not codes or set(codes) & set(item.modalities))
    ]
    for term in query.terms:
        if term.modalities or term.columns or (term.weak and not _alone(term, query)):
            continue
        name, value = _filter_of(term, inside, ranked)
        if name in filters:
            # Two words of one text: together where they stand side by side, else the first.
            value = f"{filters[name]} {value}"
        if name in TEXT_FILTERS:
            narrower = _having(inside, name, str(value))
            inside = narrower or inside
            name = name if narrower else ""
        if name:
            filters[name] = value
        else:
            left.append(term.text)
    if not filters:
        return ""
    use = ", use='commercial'" if any(term.word in COMMERCIAL for term in query.terms) else ""
    without = f"  (leaves out: {', '.join(left)})" if left else ""
    return f"idc_cohort(filters={json.dumps(filters, ensure_ascii=False)}{use}){without}"


def _modalities(query: Query, left: list[str]) -> list[str]:
    """The codes asked for; of annotations and images the annotations, which no image is."""
    terms = [term for term in query.terms if term.modalities]
    derived = [term for term in terms if set(term.modalities) <= DERIVED]
    if derived and len(derived) < len(terms):
        left += [term.text for term in terms if term not in derived]
        terms = derived
    return list(dict.fromkeys(code for term in terms for code in term.modalities))


def _alone(term: Term, query: Query) -> bool:
    return term.word in GENERIC and all(other.weak or other.modalities for other in query.terms)


def _filter_of(
    term: Term, collections: Sequence[Document], ranked: Mapping[Kind, Sequence[Document]]
) -> tuple[str, object]:
    """The filter that takes most collections for this word; else values of a column."""
    best = ("", "", 0)
    words = sorted(term.alternatives, key=lambda word: -term.alternatives[word])
    words = [word for word in words if len(word) >= 3 and term.alternatives[word] >= 0.9]
    spelled = SPELLED_OUT.get(term.word)
    for word in [spelled, *words] if spelled else words:
        for name in TEXT_FILTERS:
            count = len(_having(collections, name, word))
            if count > best[2]:
                best = (name, word, count)
        if best[2]:
            return best[0], best[1]
    values = [
        item
        for item in ranked.get("value", ())
        if item.table == "index" and item.words <= 3 and term.word in words_of(item.name)
        if item.text != "BodyPartExamined" or _having(collections, "body part", item.name.lower())
    ]
    if not values:
        return "", ""
    column = values[0].text
    if column == "StudyDescription":
        return column, term.word
    values = sorted((item for item in values if item.text == column), key=lambda item: -item.size)
    chosen = [item.name for item in values[:MOST_VALUES]]
    return column, chosen[0] if len(chosen) == 1 else chosen


def _having(collections: Sequence[Document], name: str, word: str) -> list[Document]:
    """Collections with a word that begins so in that text."""
    facet = "program" if name == "program_id" else name
    begins = re.compile(rf"\b{re.escape(word)}")
    return [
        item
        for item in collections
        if any(begins.search(part.lower()) for part in item.facets.get(facet, ()))
    ]
