"""What a search suggests of the specialised tables and the clinical data: filters and SQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from idc_mcp.idc.filters.attributes import (
    ANNOTATION_TABLES,
    ATTRIBUTES,
    COLUMNS_FILTER,
    TABLE_MODALITIES,
    said,
)
from idc_mcp.idc.filters.known import pattern
from idc_mcp.idc.search.clinical import clinical_join, is_clinical
from idc_mcp.idc.search.documents import Document, Kind
from idc_mcp.idc.search.further import filter_of
from idc_mcp.idc.search.lookups import OWN, own_words, score
from idc_mcp.idc.search.measures import grades_of, stages_of
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.ranking import Hit
from idc_mcp.idc.search.special_words import ANATOMY, SEQUENCES
from idc_mcp.idc.search.words import words_of
from idc_mcp.idc.vocabulary import STOPWORDS

SURE = 0.9
"""From where a value is what a term says."""
STAGE_PART = 0.75
"""From where a value is a part of the stage that was asked for: IIIA of III."""
MOST_LOOKED_AT, MOST_VALUES = 40, 8
LONGEST_SQL = 320

_NEVER_SUGGESTED = ("segmented_region", "specimen_type", "convolution_kernel")
"""Filters whose values are seldom what a word means."""


@dataclass
class Special:
    """Filters on specialised tables that say terms of a query.

    `said` are the places of those terms; `modality` that of the annotations asked for.
    """

    filters: dict[str, object] = field(default_factory=dict)
    said: set[int] = field(default_factory=set)
    modality: str = ""


def special_filters(
    query: Query, ranked: Mapping[Kind, Sequence[Hit]], skipped: Collection[int] = ()
) -> Special:
    """The filters that say what terms of the query ask of the specialised tables."""
    special = Special()
    asked = {code for term in query.terms for code in term.modalities}
    for place, term in enumerate(query.terms):
        if term.measure:
            special.said.add(place)
            if term.measure.filter:
                special.filters[term.measure.filter] = term.measure.value
        elif query.is_sequence(term):
            special.said.add(place)
            special.filters["SeriesDescription"] = SEQUENCES[term.word]
    columns: dict[str, object] = {}
    candidates = [
        (hit, name, places)
        for hit in ranked.get("value", ())[:MOST_LOOKED_AT]
        if (name := _filter_in_context(hit, asked))
        if (places := _said_by(hit, query.terms) - special.said - {*skipped})
        if "." not in name
        or _exact(hit, query.terms, places)
        or all(query.terms[place].special for place in places)
    ]
    # A structure of several words says more of them; of two, the one that is no disease's site.
    candidates.sort(
        key=lambda one: (-len(one[2]), "." in one[1], not _exact(one[0], query.terms, one[2]))
    )
    for _, name, found in candidates:
        places = found - special.said
        if not places or name in special.filters:
            continue
        hits = [hit for hit, other, of in candidates if other == name and of >= places]
        value = _value(name, hits, query.terms, places)
        if "." in name:
            columns[name] = value
        else:
            special.filters[name] = value
        special.said |= places
        table = name.split(".")[0] if "." in name else ATTRIBUTES[name].places[0].table
        codes = TABLE_MODALITIES[table]
        if len(codes) == 1 and codes[0] in ANNOTATION_TABLES:
            special.modality = codes[0]
    if columns:
        special.filters[COLUMNS_FILTER] = columns
    return special


def _filter_in_context(hit: Hit, asked: Collection[str]) -> str:
    """The filter that takes a value, where the query is about what its table describes.

    A column without a filter of its own is named by its table too.
    """
    document = hit.document
    if document.clinical or document.table not in TABLE_MODALITIES:
        return ""
    name = filter_of(document.table, document.text)
    codes = TABLE_MODALITIES[document.table]
    needs = f"{document.table}.{document.text}" in ANATOMY or document.table in ("seg_index",)
    if name in _NEVER_SUGGESTED or (needs and name != "roi_name" and not {*codes} & {*asked}):
        return ""
    return name or f"{document.table}.{document.text}"


def _said_by(hit: Hit, terms: Sequence[Term]) -> set[int]:
    """The terms that the value itself says; `segmentation` says its table, not the value."""
    found = set()
    words = words_of(hit.document.name)
    for place, term in enumerate(terms):
        shares = [term.shares.get(word, 0.0) for word in words]
        named = not term.modalities or any(word in term.special for word in words)
        if named and not term.weak and max(shares, default=0.0) >= SURE:
            found.add(place)
    if hit.document.table == "rtstruct_index" and not any(
        "RTSTRUCT" in term.modalities or terms[place].special for term in terms for place in found
    ):
        return set()
    return found


def _exact(hit: Hit, terms: Sequence[Term], places: Collection[int]) -> bool:
    """Whether every word of the value is said."""
    return all(
        any(terms[place].shares.get(word, 0.0) >= SURE for place in places)
        for word in words_of(hit.document.name)
        if word not in STOPWORDS
    )


def _value(
    name: str, hits: Sequence[Hit], terms: Sequence[Term], places: Collection[int]
) -> object:
    """The value of a filter: those that are just what was said, else what they have in common."""
    called = [
        one
        for place in sorted(places)
        for one in said(name, terms[place].text)
        if any(pattern(one)(hit.document.name) for hit in hits)
    ]
    if called:
        # Of what people call H&E it is the eosin that tells it from other stains.
        return called[0] if name == "stain" else _one_or_list(called)
    if name in ATTRIBUTES and ATTRIBUTES[name].kind == "contains":
        words = [
            word
            for hit in hits
            for word in words_of(hit.document.name)
            if any(terms[place].shares.get(word, 0.0) >= SURE for place in places)
        ]
        return _one_or_list(words)
    exact = [hit.document.name for hit in hits if _exact(hit, terms, places)]
    if exact:
        return _one_or_list(exact)
    return _one_or_list([hit.document.name for hit in hits])


def _one_or_list(values: Sequence[str]) -> object:
    # Filters match without regard to case.
    distinct = list({value.casefold(): value for value in reversed(values)}.values())[::-1]
    return distinct[0] if len(distinct) == 1 else distinct[:MOST_VALUES]


def clinical_call(query: Query, ranked: Mapping[Kind, Sequence[Hit]]) -> str:
    """The cohort of patients who have a clinical value that the query names; else nothing."""
    asks = any(is_clinical(term) for term in query.terms)
    modalities = [code for term in query.terms if not is_clinical(term) for code in term.modalities]
    strong = [place for place, term in enumerate(query.terms) if not term.weak]
    for hit in ranked.get("value", ())[:MOST_LOOKED_AT]:
        first = hit.document.clinical
        whole = all(hit.terms[place] >= OWN for place in strong)
        if first is None or first.code is None or not (asks or whole):
            continue
        places = [place for place, term in enumerate(query.terms) if _says(hit.document, term)]
        codes = [
            other.document.clinical.code or ""
            for other in ranked["value"]
            if other.document.clinical
            and (other.document.clinical.table, other.document.clinical.column)
            == (first.table, first.column)
            and all(_says(other.document, query.terms[place]) for place in places)
        ]
        sql = clinical_join(first, sorted(codes)[:MOST_VALUES], list(dict.fromkeys(modalities)))
        if not places or len(sql) > LONGEST_SQL:
            continue
        left = [
            term.text
            for place, term in enumerate(query.terms)
            if hit.terms[place] < OWN and not term.modalities and not term.weak
        ]
        about = f"of {', '.join(first.collections)}" if first.collections else ""
        without = f"leaves out: {', '.join(left)}" if left else ""
        told = "; ".join(filter(None, (about, without)))
        call = f"idc_cohort(sql={json.dumps(sql, ensure_ascii=False)})"
        return f"{call}  ({told})" if told else call
    return ""


def _says(value: Document, term: Term) -> bool:
    """Whether a clinical value itself says a term."""
    words = own_words(value.name)
    weights = dict.fromkeys(words, 1.0)
    if term.measure and term.measure.values:
        weights |= stages_of(words) if term.measure.word == "stage" else grades_of(words)
    return score(term, weights) >= STAGE_PART
