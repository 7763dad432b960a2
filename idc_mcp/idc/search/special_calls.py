"""The filters on specialised tables that a search suggests."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from idc_mcp.idc.filters.attributes import (
    ANNOTATION_TABLES,
    ATTRIBUTES,
    COLUMNS_FILTER,
    SAID,
    TABLE_MODALITIES,
    Place,
    modalities_of,
    said,
)
from idc_mcp.idc.filters.known import pattern
from idc_mcp.idc.search.documents import Kind
from idc_mcp.idc.search.further import filter_of
from idc_mcp.idc.search.quantities import Measure
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.ranking import Hit
from idc_mcp.idc.search.sayings import ROUTES
from idc_mcp.idc.search.special_words import ANATOMY, SEQUENCES
from idc_mcp.idc.search.words import words_of
from idc_mcp.idc.vocabulary import STOPWORDS

SURE = 0.9
"""From where a value is what a term says."""
MOST_LOOKED_AT, MOST_VALUES = 40, 8

_NEVER_SUGGESTED = ("segmented_region", "specimen_type")
"""Filters whose values are seldom what a word means."""

_ONLY_WHERE_SAID = {
    "mr_index.ReceiveCoilName": "coil", "ct_index.FilterType": "filter",
    "convolution_kernel": "kernel",
}  # fmt: skip
"""Columns whose values are words of organs and sizes: meant where the column is said."""

LESIONS: dict[str, tuple[str, ...]] = {
    "tumor": ("neoplasm*", "*tumor", "*tumour", "*lesion*"),
    "tumour": ("neoplasm*", "*tumor", "*tumour", "*lesion*"),
    "neoplasm": ("neoplasm*", "*tumor", "*tumour"),
    "lesion": ("*lesion*", "neoplasm*", "*tumor", "*tumour"),
}
"""What was segmented where a lesion was, as patterns of segmented_structure."""
_STRUCTURES = "seg_index.SegmentedPropertyType_CodeMeanings"

Recorded = Callable[[str], Collection[str]]
"""The values that a column (`table.column`) records on this machine."""


@dataclass
class Special:
    """Filters on specialised tables that say terms of a query.

    `said` are the places of those terms, `by` their texts by filter; `left` what the filters
    leave out of them, `notes` what a filter misses of its own; `modality` that of the
    annotations asked for.
    """

    filters: dict[str, object] = field(default_factory=dict)
    said: set[int] = field(default_factory=set)
    by: dict[str, list[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    modality: str = ""

    def take(self, name: str, value: object, texts: Sequence[str]) -> bool:
        """Ask for a value by a filter, or by a column as `table.column`, that asks nothing yet."""
        into = self.filters
        if "." in name:
            into = self.filters.setdefault(COLUMNS_FILTER, {})  # type: ignore[assignment]
        if name in into:
            return False
        into[name] = value
        self.by[name] = [*texts]
        return True

    def drop(self, name: str) -> None:
        """Leave a filter out, and say so."""
        columns = self.filters.get(COLUMNS_FILTER)
        if "." in name and isinstance(columns, dict):
            columns.pop(name)
            if not columns:
                del self.filters[COLUMNS_FILTER]
        else:
            del self.filters[name]
        self.left += self.by.pop(name)

    @property
    def of_images(self) -> bool:
        """Whether a filter asks for how images were acquired."""
        return any({*modalities_of(_places(name))} - {*ANNOTATION_TABLES} for name in self.by)

    def agree(self, codes: Collection[str]) -> set[str]:
        """Leave out filters of images of other modalities than these; the modalities left.

        None given are all; annotations are not looked at, for a filter on them takes their
        images too.
        """
        allowed = set(codes)
        for name in [*self.by]:
            of = {*modalities_of(_places(name))} - {*ANNOTATION_TABLES}
            if not of:
                continue
            if allowed and not allowed & of:
                self.drop(name)
            else:
                allowed = allowed & of if allowed else of
        return allowed


def _places(name: str) -> tuple[Place, ...]:
    if "." in name:
        return (Place(*name.split(".", 1)),)
    return ATTRIBUTES[name].places if name in ATTRIBUTES else ()


def special_filters(
    query: Query,
    ranked: Mapping[Kind, Sequence[Hit]],
    recorded: Recorded,
    skipped: Collection[int] = (),
) -> Special:
    """The filters that say what terms of the query ask of the specialised tables."""
    special = Special()
    asked = {code for term in query.terms for code in term.modalities}
    for place, term in enumerate(query.terms):
        if term.measure:
            _measured(special, term.measure, recorded)
            special.said.add(place)
        elif query.is_sequence(term):
            special.said.add(place)
            if not special.take("SeriesDescription", SEQUENCES[term.word], [term.text]):
                special.left.append(term.text)
    _lesions(special, query.terms, recorded, skipped)
    candidates = [
        (hit, name, places)
        for hit in ranked.get("value", ())[:MOST_LOOKED_AT]
        if (name := _filter_in_context(hit, asked, query.terms))
        if (places := _said_by(hit, query.terms) - special.said - {*skipped})
        if not ("." in name or name == "convolution_kernel")
        or _exact(hit, query.terms, places)
        or all(query.terms[place].special for place in places)
        if name != "segmentation_algorithm" or _begins(hit, query.terms, places)
    ]
    # A structure of several words says more of them; of two, the one that is no disease's site.
    candidates.sort(
        key=lambda one: (-len(one[2]), "." in one[1], not _exact(one[0], query.terms, one[2]))
    )
    for _, name, found in candidates:
        places = found - special.said
        if not places:
            continue
        hits = [hit for hit, other, of in candidates if other == name and of >= places]
        value = _value(name, hits, query.terms, places, recorded)
        if not special.take(name, value, [query.terms[place].text for place in sorted(places)]):
            continue
        special.said |= places
        special.modality = _annotation(name) or special.modality
    _called(special, query.terms, asked, skipped)
    return special


def _measured(special: Special, measure: Measure, recorded: Recorded) -> None:
    if not measure.filter:
        return
    if not special.take(measure.filter, measure.value, [measure.text]):
        special.left.append(measure.text)
        return
    special.modality = _annotation(measure.filter) or special.modality
    special.notes += [f"leaves out {measure.misses}"] if measure.misses else []
    if measure.narrower:
        column, patterns, text = measure.narrower
        if values := _fitting(recorded(column), patterns):
            special.take(column, _one_or_list(values), [text])
        else:
            special.left.append(text)


def _annotation(name: str) -> str:
    """The modality of the annotations that a filter looks at; empty for one of images."""
    codes = modalities_of(_places(name))
    return codes[0] if len(codes) == 1 and codes[0] in ANNOTATION_TABLES else ""


def _fitting(values: Iterable[str], patterns: Iterable[str]) -> list[str]:
    tests = [pattern(one) for one in patterns]
    return [value for value in values if any(test(value.strip()) for test in tests)]


def _lesions(
    special: Special, terms: Sequence[Term], recorded: Recorded, skipped: Collection[int]
) -> None:
    """Of segmented lesions, their structures: of the organ that is said where one is recorded."""
    if not any(term.modalities == ("SEG",) for term in terms):
        return
    for place, term in enumerate(terms):
        patterns = LESIONS.get(term.word)
        if not patterns or place in special.said or place in skipped:
            continue
        values = recorded(_STRUCTURES)
        for other, organ in enumerate(terms):
            named = [
                value
                for value in values
                if other != place and not (organ.weak or organ.modalities or organ.number)
                if _says_any(organ, value) and _says_any(term, value)
            ]
            if named and special.take(
                "segmented_structure", _one_or_list(named), [organ.text, term.text]
            ):
                special.said |= {place, other}
        taken = [one for one in patterns if _fitting(values, [one])]
        if place not in special.said and taken:
            special.take("segmented_structure", _one_or_list(taken), [term.text])
            special.said.add(place)
        if place in special.said:
            special.modality = "SEG"
            return


def _says_any(term: Term, value: str) -> bool:
    return any(term.shares.get(word, 0.0) >= SURE for word in words_of(value))


def _called(
    special: Special, terms: Sequence[Term], asked: Collection[str], skipped: Collection[int]
) -> None:
    """What people call values whose words are others: AI is AUTOMATIC."""
    for name in SAID:
        if not {*modalities_of(_places(name))} & {*asked}:
            continue
        for place, term in enumerate(terms):
            values = [] if term.weak or term.modalities else said(name, term.text)
            if not values or place in special.said or place in skipped:
                continue
            value = values[0] if name == "stain" else _one_or_list(values)
            if special.take(name, value, [term.text]):
                special.said.add(place)
                special.modality = _annotation(name) or special.modality


def _filter_in_context(hit: Hit, asked: Collection[str], terms: Sequence[Term]) -> str:
    """The filter that takes a value, where the query is about what its table describes.

    A column without a filter of its own is named by its table too.
    """
    document = hit.document
    if document.clinical or document.table not in TABLE_MODALITIES:
        return ""
    name = filter_of(document.table, document.text)
    codes = TABLE_MODALITIES[document.table]
    shared = bool({*codes} & {*asked})
    needs = f"{document.table}.{document.text}" in ANATOMY or document.table in ("seg_index",)
    if name in _NEVER_SUGGESTED or (needs and name != "roi_name" and not shared):
        return ""
    # A filter on annotations takes their images; a column of theirs is named by nobody.
    annotated = name and {*codes} & {*ANNOTATION_TABLES}
    if asked and not shared and not annotated:
        return ""
    name = name or f"{document.table}.{document.text}"
    needed = _ONLY_WHERE_SAID.get(name)
    coded = name == "convolution_kernel" and _CODE.search(document.name)
    if needed and not coded and not any(needed in term.text.split() for term in terms):
        return ""
    return name


_CODE = re.compile(r"[A-Za-z]\d|\d[A-Za-z]")
"""A kernel such as B30f is no other word."""


def _said_by(hit: Hit, terms: Sequence[Term]) -> set[int]:
    """The terms that the value itself says; `segmentation` says its table, not the value."""
    found = set()
    words = words_of(hit.document.name)
    for place, term in enumerate(terms):
        shares = [term.shares.get(word, 0.0) for word in words]
        named = not term.modalities or any(word in term.special for word in words)
        route = term.word in ROUTES and hit.document.table == "contrast_index"
        if named and not (term.weak or route) and max(shares, default=0.0) >= SURE:
            found.add(place)
    if all(terms[place].number for place in found):
        return set()
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


def _begins(hit: Hit, terms: Sequence[Term], places: Collection[int]) -> bool:
    """Whether the first word is said: an algorithm's name ends with organs and versions."""
    first = words_of(hit.document.name)[:1]
    return any(terms[place].shares.get(word, 0.0) >= SURE for word in first for place in places)


def _value(
    name: str,
    hits: Sequence[Hit],
    terms: Sequence[Term],
    places: Collection[int],
    recorded: Recorded,
) -> object:
    """The value of a filter: those that are just what was said, else what they have in common."""
    called = [
        one
        for place in sorted(places)
        for one in said(name, terms[place].text)
        if any(_fitting(recorded(str(at)), [one]) for at in _places(name))
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
