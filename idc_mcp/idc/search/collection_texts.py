"""Words that the texts of collections say: diseases, sites, body parts, by the filter for them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from idc_mcp.idc.search.documents import Document, Documents, Kind
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.ranking import Hit
from idc_mcp.idc.search.words import joined, words_of
from idc_mcp.idc.vocabulary import GENERIC, SPELLED_OUT

MOST_VALUES = 8

TEXT_FILTERS = ("cancer_types", "tumor_locations", "species", "program_id")
"""Filters of idc_cohort that look into the text of a collection."""


def is_disease(term: Term, collections: Sequence[Document]) -> bool:
    """Whether the word is a disease: one by an abbreviation, or of cancer types only."""
    if term.word in SPELLED_OUT:
        return True
    if term.modalities or term.columns or term.filter or len(term.word) < 3:
        return False
    counts = [
        len(having(collections, name, term.word)) for name in ("cancer_types", "tumor_locations")
    ]
    return counts[0] > 0 and not counts[1]


def body_parts(
    terms: Sequence[Term], collections: Sequence[Document], documents: Documents
) -> tuple[Term, list[str]] | None:
    """The one word that is a body part, where BodyPartExamined finds more than the diseases.

    BodyPartExamined is empty in many series: breast and prostate are better found by the
    collections that are about them, a chest is not.
    """
    found = []
    for term in terms:
        if term.modalities or term.columns or term.filter or term.weak or term.number:
            continue
        words = {word for word, weight in term.alternatives.items() if weight >= 0.9}
        values = {
            item.name
            for word in words
            for number, _ in documents.postings.get(word, ())
            if (item := documents.items[number]).text == "BodyPartExamined"
            and joined(item.name) in words
        }
        inside = [item for item in collections if values & {*item.facets.get("body part", ())}]
        texts = max(
            (
                len(having(collections, name, word))
                for name in ("cancer_types", "tumor_locations")
                for word in words
            ),
            default=0,
        )
        if len(inside) > texts:
            found.append((term, sorted(values)))
    return found[0] if len(found) == 1 else None


def alone(term: Term, query: Query) -> bool:
    """Whether a general word is all that is said beside modalities."""
    return term.word in GENERIC and all(other.weak or other.modalities for other in query.terms)


def text_filter(
    term: Term,
    collections: Sequence[Document],
    every: Sequence[Document],
    ranked: Mapping[Kind, Sequence[Hit]],
) -> tuple[str, object]:
    """The filter that takes most collections for this word; else values of a column."""
    best = ("", "", 0)
    words = sorted(term.alternatives, key=lambda word: -term.alternatives[word])
    words = [word for word in words if len(word) >= 3 and term.alternatives[word] >= 0.9]
    spelled = SPELLED_OUT.get(term.word)
    # A word that stands by itself somewhere is not the beginning of another: lymph, lymphoma.
    begun = not any(having(every, name, term.word, whole=True) for name in TEXT_FILTERS)
    for word in [spelled, *words] if spelled else words:
        for name in TEXT_FILTERS:
            if not begun and not having(collections, name, word, whole=True):
                continue
            count = len(having(collections, name, word))
            if count > best[2]:
                best = (name, word, count)
        if best[2]:
            return best[0], best[1]
    values = [
        item
        for item in (hit.document for hit in ranked.get("value", ()))
        if item.table == "index" and item.words <= 3 and term.word in words_of(item.name)
        if len(term.word) > 2 or item.words == 1  # of 3D Slicer, 3D says little
        if item.text != "BodyPartExamined" or having(collections, "body part", item.name.lower())
    ]
    if not values:
        return "", ""
    column = values[0].text
    if column == "StudyDescription":
        return column, term.word
    values = sorted((item for item in values if item.text == column), key=lambda item: -item.size)
    chosen = [item.name for item in values[:MOST_VALUES]]
    return column, chosen[0] if len(chosen) == 1 else chosen


def having(
    collections: Sequence[Document], name: str, word: str, *, whole: bool = False
) -> list[Document]:
    """Collections with a word in that text that begins so, or is so (or its plural)."""
    facet = "program" if name == "program_id" else name
    ends = r"(?:s|es)?\b" if whole else ""
    begins = re.compile(rf"\b{re.escape(word)}{ends}")
    return [
        item
        for item in collections
        if any(begins.search(part.lower()) for part in item.facets.get(facet, ()))
    ]
