"""The calls that a search suggests, for what its collections have by the documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from idc_mcp.idc.search.documents import DERIVED, Document, Documents, Kind
from idc_mcp.idc.search.further import filter_of
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.ranking import ONLY_DESCRIBED, Hit
from idc_mcp.idc.search.special_calls import clinical_call, special_filters
from idc_mcp.idc.search.words import joined, spaced, words_of
from idc_mcp.idc.vocabulary import COMMERCIAL, GENERIC, SPELLED_OUT

MOST_VALUES = 8
MOST_COLLECTIONS = 40

_SCHEMA: tuple[Kind, Kind] = ("column", "table")

TEXT_FILTERS = ("cancer_types", "tumor_locations", "species", "program_id")
"""Filters of idc_cohort that look into the text of a collection."""


def next_calls(
    query: Query,
    ranked: Mapping[Kind, Sequence[Hit]],
    likely: Document | None,
    documents: Documents,
) -> list[str]:
    """At most two calls that go on from here, the best first.

    `likely` is the collection or analysis result that the query is most about.
    """
    columns, tables = ([hit.document for hit in ranked.get(kind, ())] for kind in _SCHEMA)
    describe = f"idc_describe(identifier='{likely.name}')" if likely else ""
    wanted = _wanted(query, ranked, documents)
    asked = columns and (_asks_for_column(query, wanted) or _named(columns[0], query))
    if clinical := clinical_call(query, ranked):
        return [call for call in (clinical, wanted.call(query) or describe) if call]
    if tables and tables[0].clinical and joined(tables[0].clinical.table) in joined(query.text):
        calls = [f"idc_schema(table='{tables[0].clinical.table}')", describe]
        return [call for call in calls if call]
    if likely and joined(likely.name) in query.names:
        exact = _named_filters(query, likely, ranked).call(query)
        places = query.names[joined(likely.name)]
        unsaid = any(query.terms[place] in wanted.beyond for place in places)
        if unsaid or _one_token(likely.name, query):
            rest = len(places) < len(query.terms)
            return [exact, describe] if rest else [describe, exact]
        return [call for call in dict.fromkeys((wanted.call(query), exact)) if call]
    if likely and not query.filters and _speaks_for(likely, query, ranked, asked=bool(asked)):
        return [describe, _Wanted({f"{likely.kind}_id": likely.name}).call(query)]
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


def _asks_for_column(query: Query, wanted: _Wanted) -> bool:
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


@dataclass
class _Wanted:
    """Filters that say a query, and the words that they leave out.

    `beyond` are the terms that no filter says, left out or said by a list of collections.
    """

    filters: dict[str, object]
    left: list[str] = field(default_factory=list)
    only: str = ""
    beyond: list[Term] = field(default_factory=list)

    def call(self, query: Query) -> str:
        """The call of idc_cohort."""
        if not self.filters:
            return ""
        use = ", use='commercial'" if any(term.word in COMMERCIAL for term in query.terms) else ""
        left = [*self.left, *query.unsearched]
        without = f"leaves out: {', '.join(left)}" if left else ""
        said = "; ".join(filter(None, (self.only, without)))
        text = json.dumps(self.filters, ensure_ascii=False)
        return f"idc_cohort(filters={text}{use})" + (f"  ({said})" if said else "")


def _wanted(query: Query, ranked: Mapping[Kind, Sequence[Hit]], documents: Documents) -> _Wanted:
    """The filters of idc_cohort that say the query, where something answers to them."""
    special = special_filters(query, ranked)
    wanted = _Wanted({**query.filters, **special.filters})
    filters = wanted.filters
    codes, images = _modalities(query.terms, special.modality)
    if codes:
        filters["Modality"] = _one_or_list(codes)
    left, texts = list(images), list[Term]()
    inside = [
        item
        for item in documents.items
        if item.kind == "collection" and (not codes or set(codes) & set(item.modalities))
    ]
    terms = [term for place, term in enumerate(query.terms) if place not in special.said]
    left += [term for term in query.terms if term.measure and not term.measure.filter]
    disease = any(term.word in GENERIC or _is_disease(term, inside) for term in terms)
    parts = None if disease else _body_parts(terms, inside, documents)
    # The body part last: whether a collection has it depends on what the others took.
    for term in sorted(terms, key=lambda term: bool(parts and parts[0] is term)):
        if term.modalities or term.columns or (term.weak and not _alone(term, query)):
            continue
        if term.filter:
            filters[term.filter[0]] = _one_or_list(term.filter[1])
            texts += [term] if term.filter[0] in TEXT_FILTERS else []
            continue
        if parts and parts[0] is term and "BodyPartExamined" not in filters:
            here = {part for item in inside for part in item.facets["body part"]}
            if values := [value for value in parts[1] if value in here]:
                filters["BodyPartExamined"] = _one_or_list(values)
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
            texts += [term] if name in TEXT_FILTERS else []
        else:
            left.append(term)
    wanted.beyond = list(left)
    _list_collections(query, ranked, wanted, left, texts)
    wanted.left += [term.text for term in left]
    return wanted


def _list_collections(
    query: Query,
    ranked: Mapping[Kind, Sequence[Hit]],
    wanted: _Wanted,
    left: list[Term],
    texts: list[Term],
) -> None:
    """Words that no filter says are said by the collections that they matched."""
    places = [place for place, term in enumerate(query.terms) if term in left]
    hits = ranked.get("collection", ())
    places = [place for place in places if any(hit.terms[place] > ONLY_DESCRIBED for hit in hits)]
    names = [
        hit.document.name
        for hit in hits
        if all(hit.terms[place] > ONLY_DESCRIBED for place in places)
    ]
    if not places or not names:
        return
    for name in TEXT_FILTERS:
        wanted.filters.pop(name, None)
    wanted.filters["collection_id"] = _one_or_list(names[:MOST_COLLECTIONS])
    if len(names) > MOST_COLLECTIONS:
        wanted.only = f"the first {MOST_COLLECTIONS} of {len(names)} collections"
    shown = [hit for hit in hits if hit.document.name in names]
    left[:] = [
        term
        for place, term in enumerate(query.terms)
        if (term in left and place not in places)
        or (term in texts and any(hit.terms[place] <= ONLY_DESCRIBED for hit in shown))
    ]


def _named_filters(query: Query, named: Document, ranked: Mapping[Kind, Sequence[Hit]]) -> _Wanted:
    """The filters for a collection or analysis result by its name, and what is asked of it."""
    inside = query.names[joined(named.name)]
    special = special_filters(query, ranked, inside)
    wanted = _Wanted({f"{named.kind}_id": named.name, **query.filters, **special.filters})
    terms = [term for place, term in enumerate(query.terms) if place not in inside]
    codes, images = _modalities(terms, special.modality)
    wanted.left += [term.text for term in images]
    if here := [code for code in codes if code in named.modalities]:
        wanted.filters["Modality"] = _one_or_list(here)
    else:
        wanted.left += [term.text for term in terms if term.modalities and term not in images]
    for term in terms:
        if query.terms.index(term) in special.said:
            continue
        if term.modalities or term.columns or term.weak:
            continue
        if term.filter:
            wanted.filters[term.filter[0]] = _one_or_list(term.filter[1])
        elif not any(_having([named], name, term.word) for name in TEXT_FILTERS):
            wanted.left.append(term.text)
    return wanted


def _one_or_list(values: list[str]) -> object:
    return values[0] if len(values) == 1 else values


def _modalities(terms: Sequence[Term], annotations: str = "") -> tuple[list[str], list[Term]]:
    """The codes asked for: of annotations and images the annotations, which no image is.

    The second are the terms of the images then. Where a filter says what was annotated, and
    `annotations` by which modality, it takes the images too: they are what is asked for.
    """
    terms = [term for term in terms if term.modalities]
    derived = [term for term in terms if set(term.modalities) <= DERIVED]
    images = [term for term in terms if term not in derived] if derived else []
    if annotations:
        codes = [code for term in images for code in term.modalities]
        return list(dict.fromkeys(codes)) or [annotations], []
    chosen = derived or terms
    return list(dict.fromkeys(code for term in chosen for code in term.modalities)), images


def _is_disease(term: Term, collections: Sequence[Document]) -> bool:
    """Whether the word is a disease: one by an abbreviation, or of cancer types only."""
    if term.word in SPELLED_OUT:
        return True
    if term.modalities or term.columns or term.filter or len(term.word) < 3:
        return False
    counts = [
        len(_having(collections, name, term.word)) for name in ("cancer_types", "tumor_locations")
    ]
    return counts[0] > 0 and not counts[1]


def _body_parts(
    terms: Sequence[Term], collections: Sequence[Document], documents: Documents
) -> tuple[Term, list[str]] | None:
    """The one word that is a body part, where BodyPartExamined finds more than the diseases.

    BodyPartExamined is empty in many series: breast and prostate are better found by the
    collections that are about them, a chest is not.
    """
    found = []
    for term in terms:
        if term.modalities or term.columns or term.filter or term.weak:
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
                len(_having(collections, name, word))
                for name in ("cancer_types", "tumor_locations")
                for word in words
            ),
            default=0,
        )
        if len(inside) > texts:
            found.append((term, sorted(values)))
    return found[0] if len(found) == 1 else None


def _alone(term: Term, query: Query) -> bool:
    return term.word in GENERIC and all(other.weak or other.modalities for other in query.terms)


def _filter_of(
    term: Term, collections: Sequence[Document], ranked: Mapping[Kind, Sequence[Hit]]
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
        for item in (hit.document for hit in ranked.get("value", ()))
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
