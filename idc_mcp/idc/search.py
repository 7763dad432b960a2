"""Search over what a release holds: collections, analysis results, tables, columns, values.

The documents are collected at the first search and kept (`search_documents`); what a query
means is read by `search_query`; here they meet and are ranked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import log10, sqrt
from operator import mul

from idc_mcp.answers import Table
from idc_mcp.errors import BadArgument, NotFound, quoted
from idc_mcp.idc.cautions import SEGMENTED_ANATOMY
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.search_documents import (
    KINDS,
    Document,
    Documents,
    Kind,
    build_documents,
    joined,
    words_of,
)
from idc_mcp.idc.search_next import next_calls
from idc_mcp.idc.search_query import Query, Term, read_query
from idc_mcp.idc.vocabulary import GENERIC
from idc_mcp.index.store import Index

LONGEST_QUERY = 400
NAME_BONUS = 2.0
ONLY_DESCRIBED = 0.3
"""The most a word says that stands only in a description or in the titles of sources."""
FLOOR = 0.21
"""Below that a word only stands in a description: looked at where nothing else is found."""
LEAST_OF_VALUE, LEAST_IN_VALUE = 0.25, 0.35
"""From where a word speaks for a value: by its column, and by standing in it."""
SHORT = 50
"""Characters of a description in a list."""

_TABLES: dict[Kind, tuple[str, tuple[str, ...]]] = {
    "collection": ("collections", ("collection_id", "patients", "why")),
    "analysis_result": ("analysis_results", ("analysis_result_id", "series", "why")),
    "value": ("values", ("column", "value", "series")),
    "table": ("tables", ("table", "rows", "about")),
    "column": ("columns", ("table", "column", "about")),
}

_SHARES: dict[Kind, float] = {
    "collection": 1.0, "analysis_result": 0.3, "value": 0.6, "table": 0.2, "column": 0.4,
}  # fmt: skip
"""Of the limit, where the caller named no kinds: one answer has room for so much."""

_LABELS = {"cancer_types": "", "tumor_locations": "", "species": "", "name": "named "}


@dataclass
class Found:
    """What a search found: a table for each kind that has any, and the calls that go on."""

    understood: str
    collections: Table | None = None
    analysis_results: Table | None = None
    values: Table | None = None
    columns: Table | None = None
    tables: Table | None = None
    notes: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Hit:
    """A document and how well each term of the query matches it, 0 to about 1."""

    document: Document
    terms: list[float]
    bonus: float = 0.0
    score: float = 0.0
    covered: int = 0


class SearchIndex:
    """Search over one release; the first search collects the documents."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._documents: Documents | None = None
        self._guard = threading.Lock()

    def documents(self) -> Documents:
        """The documents, collected once."""
        with self._guard:
            if self._documents is None:
                self._documents = build_documents(self.index)
            return self._documents

    def search(self, query: str, kinds: Sequence[Kind] = (), limit: int = 10) -> Found:
        """The best matches of each kind.

        Parameters
        ----------
        kinds
            The kinds wanted; none means all, of which all but collections get a part of the limit.
        limit
            Most rows of a kind; what is left out is counted in the table.

        Raises
        ------
        BadArgument
            The query is empty, too long, or a kind is unknown.
        NotFound
            Nothing matches; the nearest names are given.
        """
        _check(query, kinds)
        documents = self.documents()
        read = read_query(query, documents)
        ranked = _ranked(read, documents, kinds or KINDS, lenient=bool(kinds))
        if not any(ranked.values()):
            ranked = _ranked(read, documents, kinds or KINDS, lenient=True)
        if not any(ranked.values()):
            raise _nothing(query, read, kinds, documents)
        found = Found(read.understood, notes=_notes(read, ranked))
        for kind, best in ranked.items():
            if best:
                name, columns = _TABLES[kind]
                most = limit if kinds else max(1, int(limit * _SHARES[kind]))
                left = max(0, len(best) - most)
                rest = f"again with kinds='{kind}', limit={min(100, len(best))}" if left else ""
                rows = [_row(kind, hit, read) for hit in best[:most]]
                table = Table(columns=list(columns), rows=rows, more=left, rest=rest)
                setattr(found, name, table)
        shown = {kind: [hit.document for hit in best] for kind, best in ranked.items()}
        found.next = next_calls(read, shown, _most_likely(ranked), documents)
        return found


def _check(query: str, kinds: Iterable[str]) -> None:
    if not any(letter.isalnum() for letter in query):
        raise BadArgument(
            "The query is empty.",
            next_step="idc_search(query='lung cancer CT'), or idc_schema() to see the tables",
        )
    if len(query) > LONGEST_QUERY:
        raise BadArgument(
            f"The query has {len(query)} characters; at most {LONGEST_QUERY} are read.",
            next_step="give a few words: disease, organ, modality, name of a collection",
        )
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise BadArgument(
            f"kinds has {quoted(unknown)}.", nearest=KINDS, next_step="use these, or leave it out"
        )


def _match(query: Query, documents: Documents, floor: float) -> list[Hit]:
    """Every document that any term matches by more than `floor`."""
    by_term: list[dict[int, float]] = []
    for term in query.terms:
        scores: dict[int, float] = {}
        for word, share in term.alternatives.items():
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


def _ranked(
    query: Query, documents: Documents, kinds: Iterable[Kind], *, lenient: bool
) -> dict[Kind, list[Hit]]:
    hits = _match(query, documents, 0.0 if lenient else FLOOR)
    by_kind: dict[Kind, list[Hit]] = {kind: [] for kind in kinds}
    for hit in hits:
        if hit.document.kind in by_kind:
            by_kind[hit.document.kind].append(hit)
    return {kind: _rank(kind, found, query, lenient) for kind, found in by_kind.items()}


def _rank(kind: Kind, hits: list[Hit], query: Query, lenient: bool) -> list[Hit]:
    """The hits worth showing, best first."""
    terms = query.terms
    strong = [place for place, term in enumerate(terms) if not term.weak]
    if kind in ("collection", "analysis_result"):
        strong = [
            place
            for place, term in enumerate(terms)
            if term.word in GENERIC or not (term.weak or term.columns)
        ]
    strong = strong or list(range(len(terms)))
    shares = [1.0 if place in strong else 0.3 for place in range(len(terms))]
    least = 0.0 if lenient else ONLY_DESCRIBED
    for hit in hits:
        if kind == "collection":
            _demand_modalities(hit, terms)
        hit.covered = len([place for place in strong if hit.terms[place] > least])
        hit.score = hit.bonus + sum(map(mul, hit.terms, shares))
    if kind == "value":
        return _rank_values(hits, strong)
    if kind in ("table", "column"):
        return _rank_schema(hits, strong, lenient)
    most = max((hit.covered for hit in hits), default=0)
    kept = [hit for hit in hits if hit.covered == most and most]
    for place in strong:
        # Where some are about a word, those that only mention it are left out.
        best = max((hit.terms[place] for hit in kept), default=0.0)
        kept = [hit for hit in kept if hit.terms[place] >= 0.35 * best]
    for hit in kept:
        hit.score += 0.15 * log10(1 + _relevant_series(hit.document, terms))
    return _sorted(kept)


def _demand_modalities(hit: Hit, terms: list[Term]) -> None:
    """A collection whose text says MR without MR series in this release does not match MR."""
    for place, term in enumerate(terms):
        if term.modalities and not any(code in hit.document.modalities for code in term.modalities):
            hit.terms[place] = 0.0


def _rank_values(hits: list[Hit], strong: list[int]) -> list[Hit]:
    """Values by score, those of a column that has many matches taking turns with the others."""
    kept = []
    for hit in hits:
        if not any(hit.terms[place] >= LEAST_OF_VALUE for place in strong):
            continue
        named = len([score for score in hit.terms if score >= LEAST_IN_VALUE])
        precision = min(1.0, named / hit.document.words)
        hit.score *= 0.5 + 0.5 * precision
        hit.score += 0.25 * log10(1 + hit.document.size) * sqrt(precision)
        hit.score *= hit.document.weight
        kept.append(hit)
    ordered = _sorted(kept)
    top = ordered[0].score if ordered else 0.0
    turns: dict[str, int] = {}
    kept = []
    for hit in ordered:
        if hit.score < 0.3 * top:
            break
        turn = turns.get(hit.document.text, 0)
        turns[hit.document.text] = turn + 1
        hit.score -= min(1.35, 0.45 * turn)
        kept.append(hit)
    return _sorted(kept)


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
            return _sorted(hit for hit in kept if hit.score >= 0.5 * top)
    return []


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


def _most_likely(ranked: dict[Kind, list[Hit]]) -> Document | None:
    """The collection or analysis result that the query is most about."""
    first = [ranked[kind][0] for kind in ("collection", "analysis_result") if ranked.get(kind)]
    if not first:
        return None
    # Much the same score means the images: an annotation of them says so in its own name.
    best = max(first, key=lambda hit: hit.score - 0.5 * (hit.document.kind != "collection"))
    return best.document


def _row(kind: Kind, hit: Hit, query: Query) -> list[object]:
    document = hit.document
    match kind:
        case "collection":
            return [document.name, document.patients, _why(document, query)]
        case "analysis_result":
            return [document.name, document.size, _why(document, query)]
        case "value":
            return [document.text, document.name, document.size]
        case "table":
            return [document.name, document.size or "not here", _short(document.text)]
        case _:
            return [document.table, document.name, _short(document.text)]


def _why(document: Document, query: Query) -> str:
    """What in the document the terms matched."""
    reasons: list[str] = []
    for term in query.terms:
        codes = [code for code in term.modalities if code in document.modalities]
        if codes:
            reasons += [f"{code} {document.modalities[code]:,}" for code in codes]
            continue
        best, reason = 0.0, ""
        for name, parts in document.facets.items():
            if term.weak and name != "cancer_types":
                continue
            score, fitting = _fitting(parts, term)
            if score > best:
                more = f" +{len(fitting) - 1}" if len(fitting) > 1 else ""
                best, reason = score, f"{_LABELS.get(name, name + ' ')}{fitting[0]}{more}"
        if reason:
            reasons.append(reason)
    reasons += [f"on {source}" for source in document.sources if joined(source) in query.names]
    if document.text:
        reasons.append(_short(document.text))
    return "; ".join(dict.fromkeys(reasons)) or "description"


def _fitting(parts: Iterable[str], term: Term) -> tuple[float, list[str]]:
    """How well the parts of a text match, and those that do, the best first."""
    scores = {
        part: max((term.alternatives.get(word, 0.0) for word in words_of(part)), default=0.0)
        for part in parts
    }
    fitting = sorted((part for part in scores if scores[part]), key=lambda part: -scores[part])
    return max(scores.values(), default=0.0), fitting


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= SHORT else f"{plain[: SHORT - 1].rstrip()}…"


def _notes(query: Query, ranked: dict[Kind, list[Hit]]) -> list[str]:
    notes = []
    best = ranked.get("collection")
    if best:
        hit = best[0]
        missed = [
            term.text
            for term, score in zip(query.terms, hit.terms, strict=True)
            if score <= ONLY_DESCRIBED and not term.weak
        ]
        if missed and len(missed) < len(query.terms):
            notes.append(f"Collections are matched without {quoted(missed)}.")
    segments = any({"SEG", "RTSTRUCT"} & set(term.modalities) for term in query.terms)
    if segments and any(not term.modalities and not term.weak for term in query.terms):
        notes.append(SEGMENTED_ANATOMY)
    return notes


def _nothing(query: str, read: Query, kinds: Sequence[str], documents: Documents) -> NotFound:
    if read.terms and kinds:
        return NotFound(
            f"Nothing among {', '.join(kinds)} matches {query!r} (read as: {read.understood}).",
            next_step=f"idc_search(query={query!r}) looks among every kind",
        )
    names = [
        item.name
        for item in documents.items
        if len(item.name) >= 4 and (item.kind != "value" or item.size > 1000)
    ]
    return NotFound(
        f"Nothing matches {query!r} among collections, analysis results, tables, columns and "
        "values (SeriesDescription is not searched).",
        nearest=nearest(query, names, limit=5),
        next_step="try a disease, organ or modality; idc_schema(table='index', "
        f"column='SeriesDescription', contains={query[:40]!r}) looks into series descriptions",
    )
