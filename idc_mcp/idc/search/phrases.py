"""The vocabulary as a query is read with it: phrases folded, plurals cut, by their words."""

from __future__ import annotations

from functools import cache

from idc_mcp.idc import vocabulary
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
    return {
        tuple(word for word in words_of(phrase) if word not in vocabulary.STOPWORDS): tuple(
            word for one in words for word in words_of(one)
        )
        for phrase, words in MEANS.items()
    }


@cache
def same_words() -> dict[str, tuple[str, ...]]:
    """Words that mean the same, by each of them."""
    return {word: group for group in vocabulary.SAME for word in group}


@cache
def known_words() -> frozenset[str]:
    """Every single word that the vocabulary knows."""
    words = {word for phrase in (*phrases(), *makers(), *special_phrases()) for word in phrase}
    words |= set(same_words()) | set(vocabulary.NEAR) | vocabulary.WEAK | set(SEQUENCES)
    return frozenset(words)
