"""Words as they are compared: folded, plurals cut, names joined."""

from __future__ import annotations

import re

from idc_mcp.idc.nearest import folded

_UNSTEMMED = ("ss", "us", "is", "as")
"""Endings of words that are no plurals: glass, uterus, pelvis, pancreas."""


def plain_words(text: str) -> list[str]:
    """The words of a text, folded."""
    if "non" in text or "Non" in text:
        text = re.sub(r"\bnon[- ](cancer|diseased)", r"non\1", text.lower())
    return folded(text).split()


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared: folded, plurals cut."""
    return [stem(word) for word in plain_words(text)]


def stem(word: str) -> str:
    """A word without its plural: `biopsies` is `biopsy`."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(_UNSTEMMED):
        return word
    if word.endswith("ies"):
        return word if word in ("series", "species") else f"{word[:-3]}y"
    return word[:-1]


def parts_of(text: str | None) -> list[str]:
    """The parts of a comma-joined text."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def joined(text: str) -> str:
    """A name without what people write differently: `TCGA-LUAD` and `tcga_luad` are one."""
    return folded(text).replace(" ", "")


def spaced(name: str) -> str:
    """`BodyPartExamined` as words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
