"""What a query means: its words in the catalogue's terms, typing errors corrected.

A term is one idea of the query (`whole slide` is one). It matches a document through any of
its alternatives: the word itself, its synonyms, a modality, a column, longer words that begin
like it; each with a weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from idc_mcp.idc import vocabulary
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.search.documents import Documents
from idc_mcp.idc.search.measures import read_measures
from idc_mcp.idc.search.phrases import (
    known_words,
    makers,
    mentioned,
    phrases,
    same_words,
    special_phrases,
)
from idc_mcp.idc.search.quantities import Measure
from idc_mcp.idc.search.special_words import SEQUENCES
from idc_mcp.idc.search.words import joined, plain_words, stem, words_of

SAME_WEIGHT, LONGER_WEIGHT, NEAR_WEIGHT, MENTIONED_WEIGHT = 0.95, 0.6, 0.45, 0.3
LONGEST_PHRASE = 3
SHORTEST_CORRECTED = 5
"""Letters of a word that may be a typing error; most shorter ones are like some other word."""
LEAST_LIKENESS = 88.0
"""Of 100: below that a word more than one edit away is another word."""


@dataclass(slots=True)
class Term:
    """One idea of a query.

    `alternatives` are words of the inverted index with weights; `modalities` the codes it
    stands for; `word` is what to look for in a text; `filter` a filter's name and values, where
    the term says just that; `special` the words that mean it in the specialised and clinical
    tables alone, and `measure` the number or stage that it is.
    """

    text: str
    word: str
    alternatives: dict[str, float]
    modalities: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    known: bool = True
    filter: tuple[str, list[str]] | None = None
    special: frozenset[str] = frozenset()
    measure: Measure | None = None
    shares: dict[str, float] = field(init=False)
    """What words of those tables say about the term: `alternatives` and `special`."""

    def __post_init__(self) -> None:
        self.shares = dict.fromkeys(self.special, SAME_WEIGHT)
        for word, weight in self.alternatives.items():
            self.shares[word] = max(weight, self.shares.get(word, 0.0))

    @property
    def weak(self) -> bool:
        """Too general to be a match by itself."""
        return self.word in vocabulary.WEAK

    @property
    def number(self) -> bool:
        """Whether it is a few digits alone, which say nothing without what they count."""
        return self.text.isdigit() and len(self.text) <= 3 and not self.measure


class Lexicon(Protocol):
    """Words that stand in what is looked up for a query, beside those of the documents."""

    def spelling(self) -> Mapping[str, int]:
        """Words worth correcting a typing error to, with how often they occur."""

    def knows(self, words: Iterable[str]) -> bool:
        """Whether one of the words stands anywhere there."""


@dataclass(slots=True)
class Query:
    """A query as it was read.

    `names` are runs of terms that are a name when joined; `filters` what negations ask for;
    `unsearched` the negations that nothing answers to.
    """

    text: str
    terms: list[Term] = field(default_factory=list)
    names: dict[str, range] = field(default_factory=dict)
    corrected: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    filters: dict[str, object] = field(default_factory=dict)
    unsearched: list[str] = field(default_factory=list)

    def is_sequence(self, term: Term) -> bool:
        """Whether the term is a kind of MR series, which only descriptions of series name."""
        return term.word in SEQUENCES and any("MR" in other.modalities for other in self.terms)

    @property
    def understood(self) -> str:
        """How the query was read, for the answer."""
        parts = []
        for term in self.terms:
            if term.measure and term.text.lower() != term.measure.meaning.lower():
                parts.append(f"{term.text} = {term.measure.meaning}")
            elif term.measure:
                parts.append(term.text)
            elif term.modalities:
                parts.append(f"{term.text} = Modality {'/'.join(term.modalities)}")
            elif term.filter and term.filter[0] == "species":
                parts.append(f"{term.text} = species {'/'.join(term.filter[1])}")
            elif term.columns:
                parts.append(f"{term.text} = {'/'.join(term.columns)}")
            else:
                parts.append(term.text)
        read = ", ".join(parts)
        for name, value in self.filters.items():
            read += f"; {name} {'empty' if value == 'null' else value}"
        if self.unsearched:
            read += "; not searched: " + ", ".join(f"'{words}'" for words in self.unsearched)
        for typed, word in self.corrected.items():
            read += f"; '{typed}' read as '{word}'"
        if self.unknown:
            read += "; nothing known of " + ", ".join(f"'{word}'" for word in self.unknown)
        return read


def read_query(text: str, documents: Documents, lexicon: Lexicon) -> Query:
    """Read a query against the words of a release."""
    query = Query(text)
    rest, measures = read_measures(text)
    typed = [(word, stem(word)) for word in plain_words(rest)]
    typed = [pair for pair in typed if not vocabulary.STOPWORDS & {*pair}]
    words = [word for _, word in typed]
    for place, word in enumerate(words):
        if better := _correction(word, documents, lexicon):
            query.corrected[word] = better
            words[place] = better
    codes = _codes(words) | {code for one in measures for code in one.modalities}
    place = 0
    while place < len(words):
        if _negates(words, place):
            place += _read_negation(query, typed, words, place, documents)
            continue
        length = _length(words, place, documents)
        term = _term(tuple(words[place : place + length]), documents)
        term.text = " ".join(word for word, _ in typed[place : place + length])
        of_mr = term.word in SEQUENCES and "MR" in codes
        if term.known or of_mr or lexicon.knows(term.special | {term.word}):
            query.terms.append(term)
        else:
            query.unknown.append(term.text)
        place += length
    query.terms += [_measured(measure) for measure in measures]
    _find_names(query, documents)
    return query


def _codes(words: list[str]) -> set[str]:
    """The modalities that single words mean."""
    return {code for word in words for code in phrases().get((word,), ((), ()))[0]}


def _measured(measure: Measure) -> Term:
    return Term(
        measure.text, measure.word, dict(measure.words), measure.modalities, measure.columns,
        measure=measure,
    )  # fmt: skip


def _length(words: list[str], place: int, documents: Documents) -> int:
    """How many words from there are one idea."""
    for length in range(min(LONGEST_PHRASE, len(words) - place), 1, -1):
        phrase = tuple(words[place : place + length])
        known = any(phrase in of for of in (phrases(), makers(), special_phrases(), mentioned()))
        if known or "".join(phrase) in documents.columns:
            return length
    return 1


def _negates(words: list[str], place: int) -> bool:
    after = words[place + 1] if place + 1 < len(words) else ""
    return words[place] in vocabulary.NEGATIONS and after not in vocabulary.NOT_NEGATED


def _read_negation(
    query: Query,
    typed: list[tuple[str, str]],
    words: list[str],
    place: int,
    documents: Documents,
) -> int:
    """Read a negation and what it negates; how many words that were."""
    if words[place] in vocabulary.EMPTY and query.terms:
        name = _nullable(query.terms[-1])
        if name:
            query.filters[name] = "null"
            return 1
    start = place + 1
    if start == len(words):
        query.unsearched.append(typed[place][0])
        return 1
    length = _length(words, start, documents)
    end = start + length
    term = _term(tuple(words[start:end]), documents)
    term.text = " ".join(word for word, _ in typed[start:end])
    if name := _nullable(term):
        query.filters[name] = "null"
        query.terms.append(term)
    elif term.word in documents.species:
        others = {key: name for key, name in documents.species.items() if key != term.word}
        query.terms.append(
            Term(
                f"{typed[place][0]}-{term.text}",
                f"non{term.word}",
                {f"species:{key}": 1.0 for key in others},
                filter=("species", sorted(others.values())),
            )
        )
    else:
        query.unsearched.append(f"{typed[place][0]} {term.text}")
    return 1 + length


def _nullable(term: Term) -> str:
    """The column that the term names, where a filter can ask for its empty values."""
    if term.word in vocabulary.COMMERCIAL or term.word in ("female", "male"):
        return ""
    names = [column.removeprefix("index.") for column in term.columns]
    return next((name for name in names if name in (*Filters.COLUMNS, *Filters.TEXTS)), "")


def _find_names(query: Query, documents: Documents) -> None:
    """Runs of terms that are a name when joined: `prostate x` is prostatex."""
    count = len(query.terms)
    for start in range(count):
        for end in range(count, start, -1):
            name = joined(" ".join(term.text for term in query.terms[start:end]))
            if name in documents.names:
                query.names[name] = range(start, end)
    whole = joined(query.text)
    if whole in documents.names and count:
        query.names[whole] = range(count)


def _term(phrase: tuple[str, ...], documents: Documents) -> Term:
    codes, columns = phrases().get(phrase, ((), ()))
    if not columns and (name := documents.columns.get("".join(phrase))):
        columns = (f"index.{name}",)
    alternatives = {f"modality:{code}": 1.0 for code in codes}
    alternatives |= {f"column:{name}": 1.0 for name in columns}
    if len(phrase) == 1:
        # A word that means a modality says less where it only stands in a text.
        share = 0.6 if codes else 1.0
        for word, weight in _alternatives(phrase[0], documents).items():
            alternatives[word] = max(alternatives.get(word, 0.0), weight * share)
    maker = makers().get(phrase, ())
    for pattern in maker:
        alternatives.setdefault(words_of(pattern)[0], SAME_WEIGHT)
    for word in vocabulary.MENTIONED.get(" ".join(phrase), ()):
        alternatives.setdefault(word, MENTIONED_WEIGHT)
    if 0 < len(codes) <= 2:
        for code in codes:
            for other in vocabulary.MODALITIES[code][1]:
                if " " not in other and len(other) > 2:
                    alternatives.setdefault(words_of(other)[0], NEAR_WEIGHT)
    known = any(word in documents.postings for word in alternatives)
    special = special_phrases().get(phrase, ())
    if len(phrase) > 1 and special:
        special = (*special, "".join(phrase))
    fixed = ("Manufacturer", list(maker)) if maker else None
    return Term(
        " ".join(phrase), phrase[-1], alternatives, codes, columns, known, fixed,
        frozenset(special),
    )  # fmt: skip


def _alternatives(word: str, documents: Documents) -> dict[str, float]:
    group = same_words().get(word, (word,))
    found = {word: 1.0}
    for same in group:
        found.setdefault(same, SAME_WEIGHT)
    if len(word) >= 4:
        for longer in documents.spelling:
            if longer.startswith(word):
                found.setdefault(longer, LONGER_WEIGHT)
    for member in group:
        for near in vocabulary.NEAR.get(member, ()):
            for same in same_words().get(near, (near,)):
                found.setdefault(same, NEAR_WEIGHT)
    return found


def _correction(word: str, documents: Documents, lexicon: Lexicon) -> str | None:
    """The word that was meant, where this one is known to nobody."""
    if len(word) < SHORTEST_CORRECTED or not word.isalpha():
        return None
    if word in vocabulary.SQL_WORDS | vocabulary.STOPWORDS | vocabulary.NEGATIONS:
        return None
    further = lexicon.spelling()
    if word in known_words() or word in documents.spelling or word in further:
        return None
    longer = [known for known in documents.spelling if known.startswith(word)]
    close = [known for known in longer if len(known) - len(word) <= 3]
    if close and not lexicon.knows([word]):
        return max(close, key=lambda known: documents.spelling[known])
    if longer or close or word in documents.postings:
        return None
    from rapidfuzz import distance, fuzz, process  # noqa: PLC0415  only where a word is unknown

    candidates = {*documents.spelling, *known_words(), *further}
    candidates = {known for known in candidates if len(known) >= 4}
    found = [
        hit
        for hit in process.extract(word, candidates, scorer=fuzz.ratio, limit=10)
        if hit[1] >= LEAST_LIKENESS or distance.OSA.distance(word, str(hit[0])) <= 1
    ]
    if not found:
        return None
    best = max(found, key=lambda hit: (hit[1], documents.spelling.get(str(hit[0]), 0)))
    return None if lexicon.knows([word]) else str(best[0])
