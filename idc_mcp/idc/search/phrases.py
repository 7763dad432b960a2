"""The vocabulary as a query is read with it: phrases folded, plurals cut, by their words."""

from __future__ import annotations

from functools import cache

from idc_mcp.idc import vocabulary
from idc_mcp.idc.filters.attributes import SAID
from idc_mcp.idc.search.special_words import MEANS, SEQUENCES
from idc_mcp.idc.search.words import words_of


@cache
def phrases() -> dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]]:
    """Words that mean modalities or columns: words of the phrase to (modalities, columns)."""
    found: dict[tuple[str, ...], tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for code, (_, said) in vocabulary.MODALITIES.items():
        for phrase in said:
            key = tuple(words_of(phrase))
            codes, columns = found.get(key, ((), ()))
            found[key] = ((*codes, code) if code not in codes else codes, columns)
    for phrase, names in vocabulary.COLUMN_WORDS.items():
        key = tuple(words_of(phrase))
        codes, _ = found.get(key, ((), ()))
        found[key] = (codes, names)
    return found


@cache
def makers() -> dict[tuple[str, ...], tuple[str, ...]]:
    """How Manufacturer spells the makers, as patterns, by the words for one."""
    return {tuple(words_of(said)): patterns for said, patterns in vocabulary.MAKERS.items()}


@cache
def special_phrases() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Words of the specialised and clinical tables, by the words that mean them."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for phrase, words in MEANS.items():
        key = tuple(word for word in words_of(phrase) if word not in vocabulary.STOPWORDS)
        found[key] = tuple(word for one in words for word in words_of(one))
    for name in _BY_WORD:
        for phrase, patterns in SAID[name].items():
            # The words of patterns that are words: `*18*Fluorine*` is fluorine.
            words = tuple(word for one in patterns for word in words_of(one) if len(word) >= 3)
            if words and len(phrase) >= 3:
                key = tuple(words_of(phrase))
                found[key] = tuple(dict.fromkeys((*found.get(key, ()), *words)))
    return found


_BY_WORD = ("stain", "radionuclide", "radiopharmaceutical")
"""Attributes whose values are found by the words of what people say for them."""


@cache
def mentioned() -> frozenset[tuple[str, ...]]:
    """Phrases that are one idea, and at most mentioned somewhere."""
    return frozenset(tuple(phrase.split()) for phrase in vocabulary.MENTIONED)


@cache
def same_words() -> dict[str, tuple[str, ...]]:
    """Words that mean the same, by each of them."""
    return {word: group for group in vocabulary.SAME for word in group}


@cache
def known_words() -> frozenset[str]:
    """Every single word that the vocabulary knows."""
    words = {
        word
        for phrase in (*phrases(), *makers(), *special_phrases(), *mentioned())
        for word in phrase
    }
    words |= set(same_words()) | set(vocabulary.NEAR) | vocabulary.WEAK | set(SEQUENCES)
    return frozenset(words)
