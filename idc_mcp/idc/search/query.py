"""What a query means: its words in the catalogue's terms, typing errors corrected.

A term is one idea of the query (`whole slide` is one). It matches a document through any of
its alternatives: the word itself, its synonyms, a modality, a column, longer words that begin
like it; each with a weight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from idc_mcp.idc import vocabulary
from idc_mcp.idc.search.documents import Documents
from idc_mcp.idc.search.words import joined, plain_words, stem, words_of

SAME_WEIGHT, LONGER_WEIGHT, NEAR_WEIGHT = 0.95, 0.6, 0.45
LONGEST_PHRASE = 3
LEAST_LIKENESS = 78.0
"""Of 100: below that another spelling is another word."""


@dataclass(slots=True)
class Term:
    """One idea of a query.

    `alternatives` are words of the inverted index with weights; `modalities` the codes it
    stands for; `word` is what to look for in a text.
    """

    text: str
    word: str
    alternatives: dict[str, float]
    modalities: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    known: bool = True

    @property
    def weak(self) -> bool:
        """Too general to be a match by itself."""
        return self.word in vocabulary.WEAK


@dataclass(slots=True)
class Query:
    """A query as it was read; `names` are runs of terms that are a name when joined."""

    text: str
    terms: list[Term] = field(default_factory=list)
    names: dict[str, range] = field(default_factory=dict)
    corrected: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    @property
    def understood(self) -> str:
        """How the query was read, for the answer."""
        parts = []
        for term in self.terms:
            if term.modalities:
                parts.append(f"{term.text} = Modality {'/'.join(term.modalities)}")
            elif term.columns:
                parts.append(f"{term.text} = {'/'.join(term.columns)}")
            else:
                parts.append(term.text)
        read = ", ".join(parts)
        for typed, word in self.corrected.items():
            read += f"; '{typed}' read as '{word}'"
        if self.unknown:
            read += "; nothing known of " + ", ".join(f"'{word}'" for word in self.unknown)
        return read


@cache
def _phrases() -> dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]]:
    """Words that mean modalities or columns: words of the phrase to (modalities, columns)."""
    found: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for code, (_, phrases) in vocabulary.MODALITIES.items():
        for phrase in phrases:
            key = tuple(words_of(phrase))
            codes, columns = found.get(key, ((), ()))
            found[key] = ((*codes, code) if code not in codes else codes, columns)
    for phrase, names in vocabulary.COLUMN_WORDS.items():
        key = tuple(words_of(phrase))
        codes, _ = found.get(key, ((), ()))
        found[key] = (codes, names)
    return found


@cache
def _same() -> dict[str, tuple[str, ...]]:
    return {word: group for group in vocabulary.SAME for word in group}


@cache
def _vocabulary() -> frozenset[str]:
    """Every single word that the vocabulary knows."""
    words = {word for phrase in _phrases() for word in phrase}
    words |= set(_same()) | set(vocabulary.NEAR) | vocabulary.WEAK
    return frozenset(words)


def read_query(text: str, documents: Documents) -> Query:
    """Read a query against the words of a release."""
    query = Query(text)
    typed = [(word, stem(word)) for word in plain_words(text)]
    typed = [pair for pair in typed if not vocabulary.STOPWORDS & {*pair}]
    words = [word for _, word in typed]
    for place, word in enumerate(words):
        if better := _correction(word, documents):
            query.corrected[word] = better
            words[place] = better
    place = 0
    while place < len(words):
        for length in range(min(LONGEST_PHRASE, len(words) - place), 0, -1):
            phrase = tuple(words[place : place + length])
            if length == 1 or phrase in _phrases():
                term = _term(phrase, documents)
                term.text = " ".join(word for word, _ in typed[place : place + length])
                if term.known:
                    query.terms.append(term)
                else:
                    query.unknown.append(term.text)
                place += length
                break
    _find_names(query, documents)
    return query


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
    codes, columns = _phrases().get(phrase, ((), ()))
    alternatives = {f"modality:{code}": 1.0 for code in codes}
    alternatives |= {f"column:{name}": 1.0 for name in columns}
    if len(phrase) == 1:
        # A word that means a modality says less where it only stands in a text.
        share = 0.6 if codes else 1.0
        for word, weight in _alternatives(phrase[0], documents).items():
            alternatives[word] = max(alternatives.get(word, 0.0), weight * share)
    if 0 < len(codes) <= 2:
        for code in codes:
            for other in vocabulary.MODALITIES[code][1]:
                if " " not in other and len(other) > 2:
                    alternatives.setdefault(words_of(other)[0], NEAR_WEIGHT)
    known = any(word in documents.postings for word in alternatives)
    return Term(" ".join(phrase), phrase[-1], alternatives, codes, columns, known)


def _alternatives(word: str, documents: Documents) -> dict[str, float]:
    group = _same().get(word, (word,))
    found = {word: 1.0}
    for same in group:
        found.setdefault(same, SAME_WEIGHT)
    if len(word) >= 4:
        for longer in documents.spelling:
            if longer.startswith(word):
                found.setdefault(longer, LONGER_WEIGHT)
    for member in group:
        for near in vocabulary.NEAR.get(member, ()):
            for same in _same().get(near, (near,)):
                found.setdefault(same, NEAR_WEIGHT)
    return found


def _correction(word: str, documents: Documents) -> str | None:
    """The word that was meant, where this one is known to nobody."""
    if len(word) < 4 or not word.isalpha() or word in _vocabulary() or word in documents.spelling:
        return None
    longer = [known for known in documents.spelling if known.startswith(word)]
    close = [known for known in longer if len(known) - len(word) <= 3]
    if close:
        return max(close, key=lambda known: documents.spelling[known])
    if longer or word in documents.postings:
        return None
    from rapidfuzz import fuzz, process  # noqa: PLC0415  only where a word is unknown

    candidates = [known for known in {*documents.spelling, *_vocabulary()} if len(known) >= 4]
    found = process.extract(
        word, candidates, scorer=fuzz.ratio, score_cutoff=LEAST_LIKENESS, limit=5
    )
    if not found:
        return None
    best = max(found, key=lambda hit: (hit[1], documents.spelling.get(str(hit[0]), 0)))
    return str(best[0])
