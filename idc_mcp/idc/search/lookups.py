"""How a query looks into the database: patterns of its words, and how well what they find matches.

What is found is scored in Python with the alternatives of the terms, as documents are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from idc_mcp.idc.search.query import LONGER_WEIGHT, Term
from idc_mcp.idc.search.words import spaced, words_of
from idc_mcp.idc.sql import literal

MOST = 300
"""Values, and columns, that are scored for a query: those with most of its words first."""
MOST_WORDS = 12
"""Alternatives of a term that are looked for."""
LEAST_LIKE = 0.25
"""Alternatives that say less are not looked for."""
OWN = 0.45
"""From where a word stands in a value or column itself."""


@lru_cache(maxsize=4096)
def own_words(text: str) -> tuple[str, ...]:
    """Words as they are compared, each once; of `gtv1` also `gtv`."""
    words = words_of(spaced(text))
    bare = [short for word in words if len(short := word.rstrip("0123456789")) >= 2]
    return tuple(dict.fromkeys([*words, *bare]))


def score(term: Term, words: Mapping[str, float], *, begun: bool = False) -> float:
    """How well a term matches words with weights; `begun` takes `stag` for stage."""
    shares = term.shares
    best = max((shares[word] * words[word] for word in shares.keys() & words.keys()), default=0.0)
    if best < LONGER_WEIGHT and len(term.word) >= 4 and not term.modalities:
        for word, weight in words.items():
            longer = word.startswith(term.word)
            shorter = begun and len(word) >= 4 and term.word.startswith(word)
            if longer or shorter:
                best = max(best, LONGER_WEIGHT * weight)
    return best


def stands_in(terms: Sequence[Term], asked: Iterable[int], own: Iterable[str]) -> bool:
    """Whether a word that was looked for stands in the value or column itself."""
    words = dict.fromkeys(own, 1.0)
    return any(score(terms[place], words, begun=True) >= OWN for place in asked)


def asked_of(terms: Sequence[Term]) -> dict[int, str]:
    """By the place of a term, the pattern of its words; weak ones only where all are."""
    for weak in (False, True):
        found = {}
        for place, term in enumerate(terms):
            if term.weak == weak and not term.measure and (pattern := _pattern_of_term(term)):
                found[place] = pattern
        if found:
            return found
    return {}


def _pattern_of_term(term: Term) -> str:
    # The words of a modality are said by the tables of it; their values rarely say them.
    sought = [
        (weight, word)
        for word, weight in term.shares.items()
        if weight >= LEAST_LIKE and ":" not in word
        if word in term.special or not term.modalities
    ]
    sought.sort(key=lambda pair: -pair[0])
    return pattern_of(word for _, word in sought[:MOST_WORDS])


def pattern_of(words: Iterable[str]) -> str:
    """An expression that finds texts with one of the words; '' where there is none to find.

    Long words may stand in others, short ones not; of a plural in -ies the stem is sought, and
    of a long word also its first four letters as a word, as column names cut it
    (`clinical_stag`). What is found too much is left to the scores.
    """
    short, long = [], []
    for word in dict.fromkeys(words):
        if not re.fullmatch(r"[0-9a-z]+", word):
            continue
        if len(word) < 4:
            short.append(word)
        else:
            long.append(word[:-1] if word.endswith("y") else word)
            short += [word[:4]] if len(word) >= 5 else []
    if short:
        # A number may follow a word: GTV1 is a GTV. After a number nothing may.
        ends = "|".join(f"{word}([^a-z]|$)" if word.isalpha() else f"{word}([^a-z0-9]|$)"
                        for word in dict.fromkeys(short))  # fmt: skip
        long.append(f"(^|[^a-z0-9])({ends})")
    return "|".join(long)


def matching(text: str, patterns: Iterable[str]) -> str:
    """The condition that a text matches one of the patterns."""
    return f"regexp_matches({text}, {literal('|'.join(filter(None, patterns)))})"


def most_of(conditions: Sequence[str]) -> str:
    """The beginning of an ORDER BY: what holds most of the conditions first."""
    if len(conditions) == 1:
        return ""  # all that was found holds it
    flags = (f"CAST(coalesce({condition}, false) AS INTEGER)" for condition in conditions)
    return f"{' + '.join(flags)} DESC, "
