"""The filters of a cohort that say a query, and the words that they leave unsaid."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from idc_mcp.idc.filters.attributes import ATTRIBUTES, TABLE_MODALITIES
from idc_mcp.idc.search.collection_texts import (
    TEXT_FILTERS,
    alone,
    body_parts,
    having,
    is_disease,
    text_filter,
)
from idc_mcp.idc.search.documents import DERIVED, Document, Documents, Kind
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.ranking import ONLY_DESCRIBED, Hit
from idc_mcp.idc.search.special_calls import Recorded, Special, special_filters
from idc_mcp.idc.search.words import joined
from idc_mcp.idc.vocabulary import COMMERCIAL, GENERIC, NARROWER

MOST_COLLECTIONS = 40


@dataclass
class Wanted:
    """Filters that say a query, and the words that they leave out.

    `beyond` are the terms that no filter says, left out or said by a list of collections.
    """

    filters: dict[str, object]
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    beyond: list[Term] = field(default_factory=list)

    def call(self, query: Query) -> str:
        """The call of idc_cohort."""
        if not self.filters:
            return ""
        use = ", use='commercial'" if any(term.word in COMMERCIAL for term in query.terms) else ""
        left = list(dict.fromkeys([*self.left, *query.unsearched, *query.unknown]))
        without = [f"leaves out: {', '.join(left)}"] if left else []
        said = "; ".join([*self.notes, *without])
        text = json.dumps(self.filters, ensure_ascii=False)
        return f"idc_cohort(filters={text}{use})" + (f"  ({said})" if said else "")


def wanted_of(
    query: Query,
    ranked: Mapping[Kind, Sequence[Hit]],
    documents: Documents,
    recorded: Recorded,
) -> Wanted:
    """The filters of idc_cohort that say the query, where something answers to them."""
    special = special_filters(query, ranked, recorded)
    codes, unsaid = _modalities(query.terms, special)
    of = special.agree(codes)
    wanted = Wanted({**query.filters, **special.filters}, notes=[*special.notes])
    filters = wanted.filters
    if codes:
        filters["Modality"] = _one_or_list(codes)
    # Collections that hold images say which; that some of theirs are segmented says nothing.
    left, texts = [term for term in unsaid if not set(term.modalities) <= DERIVED], list[Term]()
    wanted.left += [term.text for term in unsaid if term not in left]
    every = [item for item in documents.items if item.kind == "collection"]
    inside = [
        item
        for item in every
        if all(not some or some & {*item.modalities} for some in (set(codes), of))
        and (not special.modality or special.modality in item.modalities)
    ]
    terms = [term for place, term in enumerate(query.terms) if place not in special.said]
    left += [term for term in query.terms if term.measure and not term.measure.filter]
    disease = any(term.word in GENERIC or is_disease(term, inside) for term in terms)
    parts = None if disease else body_parts(terms, inside, documents)
    # The body part last: whether a collection has it depends on what the others took.
    for term in sorted(terms, key=lambda term: bool(parts and parts[0] is term)):
        if term.modalities or term.columns or (term.weak and not alone(term, query)):
            continue
        if term.number:
            wanted.left.append(term.text)
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
        name, value = text_filter(term, inside, every, ranked)
        if name in filters:
            # Two words of one text: together where they stand side by side, else the first.
            together = [f"{filters[name]}{mark}{value}" for mark in (" ", " and ", "-")]
            value = next((one for one in together if having(inside, name, one)), together[0])
        if name in TEXT_FILTERS:
            narrower = having(inside, name, str(value))
            inside = narrower or inside
            name = name if narrower else ""
        if name:
            filters[name] = value
            texts += [term] if name in TEXT_FILTERS else []
        else:
            left.append(term)
    wanted.beyond = list(left)
    _list_collections(query, ranked, wanted, left, texts, {item.name for item in inside})
    wanted.left = [term.text for term in left] + wanted.left + special.left
    wanted.left += _unsaid(query, terms, wanted)
    return wanted


def _unsaid(query: Query, terms: Sequence[Term], wanted: Wanted) -> list[str]:
    """The words that are no filter's value and that no filter says in another way."""
    filters = wanted.filters
    found = []
    for term in terms:
        if term.measure or term.text in wanted.left:
            continue
        if term.word in NARROWER:
            found.append(term.text)
        elif term.columns and not term.modalities and term.word not in COMMERCIAL:
            if term.word == "contrast" and _takes_contrast(filters):
                filters["contrast"] = True
            elif not any(_asks(filters, name) for name in term.columns):
                found.append(term.text)
        elif term.word in GENERIC and not term.filter:
            # Texts and lists of collections are of diseases; a human tissue is something else.
            by = ("cancer_types", "tumor_locations", "collection_id", "species")
            if not any(name in filters for name in by):
                found.append(term.text)
    return found


def _takes_contrast(filters: Mapping[str, object]) -> bool:
    codes = filters.get("Modality", [])
    asked = {codes} if isinstance(codes, str) else {*codes}  # type: ignore[misc]
    said = {"contrast", "contrast_agent"} & {*filters}
    return bool(asked) and asked <= {*TABLE_MODALITIES["contrast_index"]} and not said


def _asks(filters: Mapping[str, object], name: str) -> bool:
    """Whether a filter asks of this column."""
    column = name.split(".", 1)[1]
    by = [one.name for one in ATTRIBUTES.values() if name in map(str, one.places)]
    columns = filters.get("columns")
    return (
        column in filters
        or any(one in filters for one in by)
        or (isinstance(columns, dict) and name in columns)
    )


def _list_collections(
    query: Query,
    ranked: Mapping[Kind, Sequence[Hit]],
    wanted: Wanted,
    left: list[Term],
    texts: list[Term],
    inside: Collection[str],
) -> None:
    """Words that no filter says are said by the collections that they matched.

    `inside` are the collections that have what the filters ask for.
    """
    places = [place for place, term in enumerate(query.terms) if term in left]
    hits = [hit for hit in ranked.get("collection", ()) if hit.document.name in inside]
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
        wanted.notes.append(f"the first {MOST_COLLECTIONS} of {len(names)} collections")
    shown = [hit for hit in hits if hit.document.name in names]
    left[:] = [
        term
        for place, term in enumerate(query.terms)
        if (term in left and place not in places)
        or (term in texts and any(hit.terms[place] <= ONLY_DESCRIBED for hit in shown))
    ]


def named_filters(
    query: Query, named: Document, ranked: Mapping[Kind, Sequence[Hit]], recorded: Recorded
) -> Wanted:
    """The filters for a collection or analysis result by its name, and what is asked of it."""
    inside = query.names[joined(named.name)]
    special = special_filters(query, ranked, recorded, inside)
    terms = [term for place, term in enumerate(query.terms) if place not in inside]
    codes, unsaid = _modalities(terms, special)
    here = [code for code in codes if code in named.modalities]
    special.agree(here or named.modalities)
    filters = {f"{named.kind}_id": named.name, **query.filters, **special.filters}
    wanted = Wanted(filters, notes=[*special.notes])
    wanted.left += [term.text for term in unsaid]
    if here:
        wanted.filters["Modality"] = _one_or_list(here)
    else:
        wanted.left += [
            term.text
            for term in terms
            if term.modalities and not term.measure and term not in unsaid
        ]
    wanted.left += special.left
    for term in terms:
        if query.terms.index(term) in special.said:
            continue
        if term.modalities or term.columns or term.weak:
            continue
        if term.filter:
            wanted.filters[term.filter[0]] = _one_or_list(term.filter[1])
        elif term.number or not any(having([named], name, term.word) for name in TEXT_FILTERS):
            wanted.left.append(term.text)
    said = [term for term in terms if query.terms.index(term) not in special.said]
    wanted.left += _unsaid(query, said, wanted)
    return wanted


def _one_or_list(values: list[str]) -> object:
    return values[0] if len(values) == 1 else values


def _modalities(terms: Sequence[Term], special: Special) -> tuple[list[str], list[Term]]:
    """The codes asked for, and the terms of others: of annotations and images the annotations.

    Where a filter says what was annotated, it takes the images too: they are what is asked
    for. So are they where a filter asks for how they were acquired, which no annotation was.
    """
    terms = [term for term in terms if term.modalities]
    derived = [term for term in terms if set(term.modalities) <= DERIVED]
    images = [term for term in terms if term not in derived]
    acquired = special.of_images
    if special.modality or (acquired and derived):
        codes = list(dict.fromkeys(code for term in images for code in term.modalities))
        if special.modality:
            return codes or ([] if acquired else [special.modality]), []
        return codes, derived
    chosen = derived or terms
    return (
        list(dict.fromkeys(code for term in chosen for code in term.modalities)),
        images if derived else [],
    )
