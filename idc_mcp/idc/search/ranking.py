"""How well documents match a query, and which of them are worth showing.

Collections and analysis results should match every idea of the query, values one, tables and
columns by their names. The weights are tuned on the queries of `tests/idc/test_search.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log10, sqrt
from operator import mul

from idc_mcp.idc.filters.attributes import TABLE_MODALITIES
from idc_mcp.idc.search.documents import Document, Documents, Kind
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.vocabulary import GENERIC

NAME_BONUS = 2.0
ONLY_DESCRIBED = 0.3
"""The most a word says that stands only in a description or in the titles of sources."""
FLOOR = 0.21
"""Below that a word only stands in a description: looked at where nothing else is found."""
LEAST_OF_VALUE, LEAST_IN_VALUE = 0.25, 0.35
"""From where a word speaks for a value: by its column, and by standing in it."""


@dataclass(slots=True, eq=False)
class Hit:
    """A document and how well each term of the query matches it, 0 to about 1."""

    document: Document
    terms: list[float]
    bonus: float = 0.0
    score: float = 0.0
    covered: int = 0


def rank(
    query: Query, hits: Iterable[Hit], kinds: Iterable[Kind], *, lenient: bool
) -> dict[Kind, list[Hit]]:
    """The hits of each kind, best first; `lenient` keeps what only a description says."""
    by_kind: dict[Kind, list[Hit]] = {kind: [] for kind in kinds}
    for hit in hits:
        if hit.document.kind in by_kind:
            by_kind[hit.document.kind].append(hit)
    return {kind: _rank(kind, found, query, lenient) for kind, found in by_kind.items()}


def match(query: Query, documents: Documents, *, lenient: bool) -> list[Hit]:
    """Every document that any term matches by more than a mention; `lenient` takes those too."""
    floor = 0.0 if lenient else FLOOR
    by_term: list[dict[int, float]] = []
    for term in query.terms:
        scores: dict[int, float] = {}
        # Digits alone say nothing: those of a name are matched with the rest of it.
        for word, share in () if term.number else term.alternatives.items():
            for number, weight in documents.postings.get(word, ()):
                score = share * weight
                if score > scores.get(number, floor):
                    scores[number] = score
        by_term.append(scores)
    bonuses: dict[int, float] = {}
    for name, places in query.names.items():
        for number, weight in documents.postings[name]:
            bonus = NAME_BONUS * weight * len(places) / len(by_term)
            bonuses[number] = max(bonuses.get(number, 0.0), bonus)
            for place in places:
                by_term[place][number] = max(by_term[place].get(number, 0.0), weight)
    return [
        Hit(
            documents.items[number],
            [scores.get(number, 0.0) for scores in by_term],
            bonuses.get(number, 0.0),
        )
        for number in set().union(*by_term)
    ]


def _rank(kind: Kind, hits: list[Hit], query: Query, lenient: bool) -> list[Hit]:
    """The hits worth showing, best first."""
    terms = query.terms
    strong = [place for place, term in enumerate(terms) if not term.weak]
    if kind in ("collection", "analysis_result"):
        strong = [
            place
            for place, term in enumerate(terms)
            if not (term.weak or term.columns) or (kind == "collection" and term.word in GENERIC)
        ]
    strong = strong or list(range(len(terms)))
    shares = [1.0 if place in strong else 0.3 for place in range(len(terms))]
    least = 0.0 if lenient else ONLY_DESCRIBED
    for hit in hits:
        if kind == "collection" and not hit.bonus:
            _demand_modalities(hit, terms)
        hit.covered = len([place for place in strong if hit.terms[place] > least])
        hit.score = hit.bonus + sum(map(mul, hit.terms, shares))
    if kind == "value":
        return _rank_values(hits, strong, terms)
    if kind in ("table", "column"):
        return _rank_schema(hits, strong, lenient)
    most = max((hit.covered for hit in hits), default=0)
    kept = [hit for hit in hits if hit.covered == most and most]
    for place in strong:
        # Where some are about a word, those that only mention it are left out.
        best = max((hit.terms[place] for hit in kept), default=0.0)
        if best <= least:
            continue  # a word that none is about drops none
        kept = [hit for hit in kept if hit.terms[place] >= 0.35 * best]
    for hit in kept:
        hit.score += 0.15 * log10(1 + _relevant_series(hit.document, terms))
    return _sorted(kept)


def _demand_modalities(hit: Hit, terms: list[Term]) -> None:
    """A collection whose text says MR without MR series in this release does not match MR."""
    for place, term in enumerate(terms):
        if term.modalities and not any(code in hit.document.modalities for code in term.modalities):
            hit.terms[place] = 0.0


def _rank_values(hits: list[Hit], strong: list[int], terms: list[Term]) -> list[Hit]:
    """Values by score, those of a column that has many matches taking turns with the others.

    The clinical columns count as one: every collection has its own.
    """
    kept = []
    for hit in hits:
        if max([hit.terms[place] for place in strong]) < LEAST_OF_VALUE:
            continue
        document = hit.document
        # What says the modality of a specialised table says nothing of its values.
        further = document.table in TABLE_MODALITIES
        named = sum(
            score >= LEAST_IN_VALUE
            and not (further and terms[place].modalities and not terms[place].special)
            for place, score in enumerate(hit.terms)
        )
        precision = min(1.0, named / document.words)
        hit.score *= 0.5 + 0.5 * precision
        hit.score += 0.25 * log10(1 + document.size) * sqrt(precision)
        hit.score *= document.weight
        kept.append(hit)
    top = max((hit.score for hit in kept), default=0.0)
    ordered = _sorted(hit for hit in kept if hit.score >= 0.3 * top)
    turns: dict[str, int] = {}
    for hit in ordered:
        column = "clinical" if hit.document.clinical else hit.document.text
        turn = turns.get(column, 0)
        turns[column] = turn + 1
        hit.score -= min(1.35, 0.45 * turn)
    return _sorted(ordered)


def _rank_schema(hits: list[Hit], strong: list[int], lenient: bool) -> list[Hit]:
    """Tables and columns whose name says it; with `lenient`, else those whose description does."""
    for hit in hits:
        hit.score *= hit.document.weight
    for least in (0.45, 0.25) if lenient else (0.45,):
        kept = [
            hit for hit in hits if sum(hit.terms[place] for place in strong) / len(strong) >= least
        ]
        if kept:
            top = max(hit.score for hit in kept)
            return _in_turns(_sorted(hit for hit in kept if hit.score >= 0.5 * top))
    return []


def _in_turns(ordered: list[Hit]) -> list[Hit]:
    """Clinical columns of the same name, of which many collections have one, after others."""
    turns: dict[str, int] = {}
    for hit in ordered:
        if hit.document.clinical and hit.document.kind == "column":
            name = hit.document.name.lower()
            turn = turns[name] = turns.get(name, -1) + 1
            hit.score += 0.05 * log10(1 + hit.document.size) - min(0.6, 0.15 * turn)
    return _sorted(ordered)


def _sorted(hits: Iterable[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: (-hit.score, -hit.document.size, hit.document.name))


def _relevant_series(document: Document, terms: list[Term]) -> int:
    """Series of the modality asked for, of the rarest if several are; else all."""
    asked = [
        sum(document.modalities.get(code, 0) for code in term.modalities)
        for term in terms
        if term.modalities
    ]
    return min(asked, default=0) or document.size
