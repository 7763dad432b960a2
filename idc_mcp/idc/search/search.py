"""Search over what a release holds: collections, analysis results, tables, columns, values.

The documents are collected at the first search and kept (`documents`); what a query
means is read by `query`; here they meet and are ranked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from idc_mcp.answers import Table
from idc_mcp.errors import BadArgument, NotFound, quoted
from idc_mcp.idc.cautions import SEGMENTED_ANATOMY
from idc_mcp.idc.facts import null_share
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.search.clinical import is_clinical
from idc_mcp.idc.search.documents import (
    DERIVED,
    KINDS,
    Document,
    Documents,
    Kind,
    build_documents,
)
from idc_mcp.idc.search.further import Further, absent_for, filter_of, through_clinical
from idc_mcp.idc.search.next_calls import next_calls
from idc_mcp.idc.search.query import Query, Term, read_query
from idc_mcp.idc.search.ranking import ONLY_DESCRIBED, Hit, match, rank
from idc_mcp.idc.search.words import joined, words_of
from idc_mcp.index.store import Index

LONGEST_QUERY = 400
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

_LISTED = 6
"""Values of a first answer."""

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
    absent: list[str] = field(default_factory=list)
    """Tables that might have answered and whose values are not on this machine."""


class SearchIndex:
    """Search over one release; the first search collects the documents."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.further = Further(index)
        self._guard = threading.Lock()

    def documents(self) -> Documents:
        """The documents, collected once and again when tables are added."""
        with self._guard:
            self.further.spelling()
            return self.index.once("search documents", lambda: build_documents(self.index))

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
        read = read_query(query, documents, self.further)
        known = match(read, documents, lenient=bool(kinds))
        further = self.further.hits(read, known, clinical=bool(kinds))
        ranked = rank(read, [*known, *further], kinds or KINDS, lenient=bool(kinds))
        if not any(ranked.values()):
            known = match(read, documents, lenient=True)
            ranked = rank(read, [*known, *further], kinds or KINDS, lenient=True)
        absent = absent_for(read, ranked, self.further.absent(), kinds)
        if not any(ranked.values()):
            raise _nothing(query, read, kinds, documents, absent)
        through = through_clinical(ranked)
        found = Found(read.understood, notes=_notes(read, ranked, through), absent=absent)
        for kind, best in ranked.items():
            if best:
                name, columns = _TABLES[kind]
                most = limit if kinds else max(1, int(limit * _SHARES[kind]))
                left = max(0, len(best) - most)
                rest = f"again with kinds='{kind}', limit={min(100, len(best))}" if left else ""
                shown = best[:most]
                if kind == "value":
                    self.further.count_series([hit.document for hit in shown])
                rows = [_row(kind, hit, read, through) for hit in shown]
                table = Table(columns=list(columns), rows=rows, more=left, rest=rest)
                setattr(found, name, table)
        found.next = next_calls(
            read, ranked, _most_likely(ranked, read), documents, self.further.recorded,
            null_share(self.index, "BodyPartExamined"),
        )  # fmt: skip
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


def _most_likely(ranked: dict[Kind, list[Hit]], query: Query) -> Document | None:
    """The collection or analysis result that the query is most about."""
    first = [ranked[kind][0] for kind in ("collection", "analysis_result") if ranked.get(kind)]
    if not first:
        return None
    if len(first) == 2 and any(set(term.modalities) & DERIVED for term in query.terms):
        # Of annotations, what answers to more of the words.
        images, result = (sum(score > ONLY_DESCRIBED for score in hit.terms) for hit in first)
        if result > images:
            return first[1].document
    # Much the same score means the images: an annotation of them says so in its own name.
    best = max(first, key=lambda hit: hit.score - 0.5 * (hit.document.kind != "collection"))
    return best.document


def _row(kind: Kind, hit: Hit, query: Query, through: Mapping[str, str]) -> list[object]:
    document = hit.document
    match kind:
        case "collection":
            why = _why(document, query)
            clinical = through.get(document.name)
            return [document.name, document.patients, f"{why}; {clinical}" if clinical else why]
        case "analysis_result":
            return [document.name, document.size, _why(document, query)]
        case "value":
            return [_column_of(document), document.name, document.counted]
        case "table":
            return [document.name, document.size or "not here", _short(document.text)]
        case _:
            return [document.table, document.name, _short(document.text)]


def _column_of(document: Document) -> str:
    """A column of a specialised table by the filter that takes its values, else by its name."""
    if document.clinical or document.table in ("index", "collections_index"):
        return document.text
    named = filter_of(document.table, document.text)
    return named or f"{document.table}.{document.text}"


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
            score, fitting = _fitting(parts, term, name)
            if score > best:
                more = f" +{len(fitting) - 1}" if len(fitting) > 1 else ""
                best, reason = score, f"{_LABELS.get(name, name + ' ')}{fitting[0]}{more}"
        if reason:
            reasons.append(reason)
    reasons += [f"on {source}" for source in document.sources if joined(source) in query.names]
    if document.text:
        reasons.append(_short(document.text))
    return "; ".join(dict.fromkeys(reasons)) or "description"


def _fitting(parts: Iterable[str], term: Term, name: str) -> tuple[float, list[str]]:
    """How well the parts of a text match, and those that do, the best first."""
    scores = {
        part: max(
            (
                term.alternatives.get(word, 0.0)
                for word in (*words_of(part), f"{name}:{joined(part)}")
            ),
            default=0.0,
        )
        for part in parts
    }
    fitting = sorted((part for part in scores if scores[part]), key=lambda part: -scores[part])
    return max(scores.values(), default=0.0), fitting


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= SHORT else f"{plain[: SHORT - 1].rstrip()}…"


def _notes(query: Query, ranked: dict[Kind, list[Hit]], through: Mapping[str, str]) -> list[str]:
    notes = []
    best = ranked.get("collection")
    if best:
        hit = best[0]
        missed = [
            term.text
            for term, score in zip(query.terms, hit.terms, strict=True)
            if score <= ONLY_DESCRIBED and not term.weak and not (term.columns and query.filters)
            if not (term.measure or query.is_sequence(term) or _of_series(term))
            if not (is_clinical(term) and through.get(hit.document.name))
        ]
        if missed and len(missed) < len(query.terms):
            notes.append(f"Collections are matched without {quoted(missed)}.")
    segments = any({"SEG", "RTSTRUCT"} & set(term.modalities) for term in query.terms)
    if segments and any(not term.modalities and not term.weak for term in query.terms):
        structures = any(
            hit.document.table == "seg_index" for hit in ranked.get("value", ())[:_LISTED]
        )
        notes += [] if structures else [SEGMENTED_ANATOMY]
    return notes


def _of_series(term: Term) -> bool:
    """Whether the term names a column of a specialised table, which no collection matches."""
    tables = {name.split(".")[0] for name in term.columns}
    return bool(tables) and not tables & {"index", "collections_index", "analysis_results_index"}


def _nothing(
    query: str, read: Query, kinds: Sequence[str], documents: Documents, absent: Sequence[str]
) -> NotFound:
    if read.terms and kinds:
        return NotFound(
            f"Nothing among {', '.join(kinds)} matches {query!r} (read as: {read.understood}).",
            next_step=f"idc_search(query={query!r}) looks among every kind",
        )
    unsearched = f"; nor are values of {', '.join(absent)}, not on this machine" if absent else ""
    names = [
        item.name
        for item in documents.items
        if len(item.name) >= 4 and (item.kind != "value" or item.size > 1000)
    ]
    return NotFound(
        f"Nothing matches {query!r} among collections, analysis results, tables, columns and "
        "values (SeriesDescription is not searched"
        f"{unsearched}).",
        nearest=nearest(query, names, limit=5),
        next_step="try a disease, organ or modality; idc_schema(table='index', "
        f"column='SeriesDescription', contains={query[:40]!r}) looks into series descriptions",
    )
