"""What is looked up for each query: values of the specialised tables, and the clinical data.

These are many more than the documents that are kept in memory, so a query asks the database
for those that have one of its words, and scores them as documents are scored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from idc_mcp.idc.facts import values_of
from idc_mcp.idc.filters.attributes import ATTRIBUTES, TABLE_MODALITIES
from idc_mcp.idc.search.clinical import (
    ABOUT,
    ADDED,
    VALUE,
    clinical_hits,
    clinical_series,
    is_clinical,
    named_tables,
)
from idc_mcp.idc.search.documents import Document, Kind
from idc_mcp.idc.search.lookups import (
    MOST,
    OWN,
    asked_of,
    matching,
    most_of,
    own_words,
    pattern_of,
    score,
    stands_in,
)
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.ranking import ONLY_DESCRIBED, Hit
from idc_mcp.idc.search.special_words import OTHER_WEIGHT, SEARCHED, UNSEARCHED, VALUE_WEIGHTS
from idc_mcp.idc.search.words import stem, words_of
from idc_mcp.idc.sql import identifier, literal, literals
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX
from idc_mcp.index.store import Index

MOST_SPELLINGS = 5_000
"""Words against which typing errors are corrected, beside those of the documents."""


_ANNOTATED = frozenset({"SEG", "ANN", "RTSTRUCT", "SM"})
"""Modalities of which people ask what was annotated or stained."""
_FIRST = 10
_THROUGH = 0.5

MOST_COUNTED = 10
"""Clinical values of an answer whose series are counted, each some milliseconds."""


class Further:
    """Looks up what is not kept in memory, as far as its tables are on this machine."""

    def __init__(self, index: Index) -> None:
        self.index = index

    def absent(self) -> list[str]:
        """The tables whose values are not on this machine, those asked for most first."""
        known = self.index.release.schemas
        searched = [*self.tables, *([CLINICAL_INDEX] if self.has_clinical else ())]
        return [name for name in SEARCHED if name in known and name not in searched]

    @property
    def tables(self) -> list[str]:
        """The specialised tables on this machine whose values are searched.

        None before the database is built: counting the values of the Parquet takes seconds.
        """
        index = self.index
        if index.database is None:
            return []
        specialised = [name for name in index.release.specialised if index.has(name)]
        return [name for name in specialised if name not in UNSEARCHED]

    @property
    def has_clinical(self) -> bool:
        """Whether the dictionary of the clinical tables is on this machine."""
        return self.index.has(CLINICAL_INDEX)

    def spelling(self) -> dict[str, int]:
        """Words worth correcting a typing error to, the most frequent, with how often."""
        key = ("search spelling", self.index.database is None)
        return self.index.once(key, self._spelling)

    def _spelling(self) -> dict[str, int]:
        sources = []
        if self.tables:
            sources.append(
                "SELECT lower(value) AS text FROM facts.values "
                f"WHERE table_name IN ({literals(self.tables)}) AND (contains(column_name, "
                "'CodeMeaning') OR column_name = 'Radiopharmaceutical')"
            )
        if self.has_clinical:
            named = f"FROM core.clinical_columns WHERE column_name NOT IN ({literals(ADDED)})"
            sources += [
                f"SELECT DISTINCT {ABOUT} AS text {named}",
                f"SELECT DISTINCT lower(meaning) AS text {named} AND meaning IS NOT NULL",
            ]
        if not sources:
            return {}
        found: dict[str, int] = {}
        for word, count in self.index.rows(
            "SELECT word, count(*) FROM (SELECT unnest(string_split_regex(text, '[^a-z0-9]+')) "
            f"AS word FROM ({' UNION ALL '.join(sources)})) "
            "WHERE regexp_full_match(word, '[a-z]{4,30}') "
            f"GROUP BY word ORDER BY count(*) DESC, word LIMIT {MOST_SPELLINGS}"
        ):
            found[stem(word)] = found.get(stem(word), 0) + count
        return found

    def knows(self, words: Iterable[str]) -> bool:
        """Whether a value, a clinical column or its meaning has one of these words."""
        pattern = pattern_of(words)
        if not pattern:
            return False
        both = f"concat_ws(' ', {ABOUT}, {VALUE})"
        sources = []
        if self.tables:
            sources.append(
                f"SELECT 1 FROM facts.values WHERE table_name IN ({literals(self.tables)}) "
                f"AND {matching('lower(value)', [pattern])}"
            )
        if self.has_clinical:
            sources.append(
                f"SELECT 1 FROM core.clinical_columns WHERE column_name NOT IN ({literals(ADDED)})"
                f" AND {matching(both, [pattern])}"
            )
        return any(self.index.rows(f"{source} LIMIT 1") for source in sources)

    def hits(self, query: Query, known: Sequence[Hit], *, clinical: bool) -> list[Hit]:
        """Values, columns and clinical tables that have words of the query, scored.

        Parameters
        ----------
        known
            The documents that match: what a collection is about, its clinical tables are about.
        clinical
            Look into clinical data in any case, not only where the query asks for it or has a
            word that no document is about.
        """
        asked = asked_of(query.terms)
        # A number alone stands in many a name.
        words = {place: one for place, one in asked.items() if not query.terms[place].number}
        found = list(self._values(query.terms, words)) if words and self.tables else []
        if self.has_clinical and (clinical or _asks_for_more(self.index, query, [*known, *found])):
            about = {
                hit.document.name: hit.terms for hit in known if hit.document.kind == "collection"
            }
            found += clinical_hits(self.index, query, asked, about)
        return found

    def recorded(self, column: str) -> Collection[str]:
        """The values of a column (`table.column`), most first; none where it is not here."""
        table, name = column.split(".", 1)
        return values_of(self.index, name, table) if table in self.tables else ()

    def count_series(self, documents: Iterable[Document]) -> None:
        """Count the series of the values whose tables do not have a row for each series."""
        if self.index.database is None:
            return
        counted = 0
        for document in documents:
            place = document.clinical
            if place is None and document.table == "ann_group_index":
                document.series = self.index.value(
                    f"SELECT count(DISTINCT series_key) FROM core.{document.table} "
                    f"WHERE {identifier(document.text)} = {literal(document.name)}"
                )
            elif place and place.code is not None and self.index.has(CLINICAL):
                counted += 1
                if counted <= MOST_COUNTED:
                    document.series = clinical_series(self.index, place)

    def _values(self, terms: Sequence[Term], asked: Mapping[int, str]) -> Iterator[Hit]:
        most = most_of([matching("text", [one]) for one in asked.values()])
        for table, column, value, rows in self.index.rows(
            "SELECT table_name, column_name, value, rows FROM (SELECT *, lower(value) AS text "
            f"FROM facts.values WHERE table_name IN ({literals(self.tables)}) "
            f"AND {matching('lower(value)', asked.values())}) "
            f"ORDER BY {most}rows DESC, value LIMIT {MOST}"
        ):
            name = f"{table}.{column}"
            own = own_words(value)
            words = dict.fromkeys(own, 1.0)
            words |= {f"column:{name}": 0.5}
            for word in own_words(column):
                words.setdefault(word, 0.4)
            codes = TABLE_MODALITIES.get(table, ())
            if len(codes) == 1:
                words[f"modality:{codes[0]}"] = 0.7
            if not stands_in(terms, asked, own):
                continue
            scores = [score(term, words) for term in terms]
            document = Document(
                "value", value, table, size=rows, words=max(1, len(set(words_of(value)))),
                weight=VALUE_WEIGHTS.get(name, OTHER_WEIGHT), text=column,
            )  # fmt: skip
            yield Hit(document, scores)


def filter_of(table: str, column: str) -> str:
    """The filter of a cohort that takes the values of a column; empty where there is none."""
    for attribute in ATTRIBUTES.values():
        if attribute.kind in ("text", "contains"):
            for place in attribute.places:
                if (place.table, place.column) == (table, column):
                    return attribute.name
    return ""


def _asks_for_more(index: Index, query: Query, hits: Sequence[Hit]) -> bool:
    """Whether the query is about patients, or has a word that nothing else is about."""
    if any(is_clinical(term) for term in query.terms):
        return True
    return bool(_unmatched(query, hits) or named_tables(index, query))


def _unmatched(query: Query, hits: Sequence[Hit]) -> list[int]:
    """The places of terms that nothing is about."""
    return [
        place
        for place, term in enumerate(query.terms)
        if not term.weak and not query.is_sequence(term)
        if not any(hit.terms[place] > ONLY_DESCRIBED for hit in hits)
    ]


def absent_for(
    query: Query, ranked: Mapping[Kind, Sequence[Hit]], absent: Sequence[str], kinds: Sequence[str]
) -> list[str]:
    """Of the tables that are not here, those that the query may be about."""
    if not absent:
        return []
    strong = [place for place, term in enumerate(query.terms) if not term.weak]
    hits = [hit for found in ranked.values() for hit in found[:_FIRST]]
    every = bool({"value", "column", "table"} & {*kinds}) or bool(
        query.unknown or _unmatched(query, hits)
    )
    wanted: set[str] = set()
    for term in query.terms:
        wanted |= {name.split(".")[0] for name in (term.measure.columns if term.measure else ())}
        if is_clinical(term):
            wanted.add(CLINICAL_INDEX)
        if len(strong) > 1:
            wanted |= {
                table
                for table, codes in TABLE_MODALITIES.items()
                if len(codes) == 1 and set(codes) & set(term.modalities) & _ANNOTATED
            }
    every = every or any(term.special and not is_clinical(term) for term in query.terms)
    # Those that are asked for come first: where they are many, the first is named.
    first = [name for name in absent if name in wanted]
    return first + [name for name in absent if name not in wanted] if every else first


def through_clinical(ranked: Mapping[Kind, list[Hit]]) -> dict[str, str]:
    """By collection, that its clinical data say what else is asked of it.

    Those collections are moved up: their patients can be told apart by it.
    """
    found: dict[str, str] = {}
    for value in ranked.get("value", ()):
        place = value.document.clinical
        for hit in ranked.get("collection", ()) if place else ():
            name = hit.document.name
            if place is None or name in found or name not in place.collections:
                continue
            pairs = zip(hit.terms, value.terms, strict=True)
            if any(here <= ONLY_DESCRIBED and there >= OWN for here, there in pairs):
                found[name] = "clinical data"
                hit.score += _THROUGH
    if "collection" in ranked:
        ranked["collection"].sort(key=lambda hit: -hit.score)
    return found
