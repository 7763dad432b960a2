"""Numbers with units, phrases and stages, as people write them: read before the words are.

`quantities` reads the numbers, `sayings` the phrases; here are `stage IVA` and `grade 3`. What
is not understood stays a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from idc_mcp.idc.search.quantities import NUMBERS, Measure, Reader
from idc_mcp.idc.search.sayings import PHRASES

_STAGES = ("0", "i", "ii", "iii", "iv")


def read_measures(text: str) -> tuple[str, list[Measure]]:
    """The text without its numbers, phrases and stages, and those.

    A filter is said once: DWI with a b-value is that b-value, and what would say a filter
    again stays a word.
    """
    found: list[Measure] = []
    for pattern, read in _PATTERNS:

        def take(match: re.Match[str], read: Reader = read) -> str:
            measure = read(match)
            if measure is None:
                return match[0]
            same = [one for one in found if one.filter and one.filter == measure.filter]
            if any(one.value == measure.value for one in same):
                return " "
            if same and measure.filter == "diffusion_b_value_s_mm2":
                place = found.index(same[0])
                found[place] = replace(same[0], modalities=("MR",))
                return " "
            if same:
                return match[0]
            found.append(measure)
            return " "

        text = pattern.sub(take, text)
    if any(measure.filter == "slice_thickness_mm" for measure in found):
        text = _SLICED.sub(" ", text)
    return text, found


def stages_of(words: Iterable[str]) -> dict[str, float]:
    """The stages that the words of a value name: `Stage IIIA` is `stage:iiia` and near iii."""
    found: dict[str, float] = {}
    for word in words:
        if stage := _stage_name(word):
            found[f"stage:{stage}"] = 1.0
            found.setdefault(f"stage:{stage.rstrip('abc')}", 0.8)
    return found


def grades_of(words: Iterable[str]) -> dict[str, float]:
    """The grades that the words of a value name: `G3` is `grade:3`."""
    found = {}
    for word in words:
        number = word.removeprefix("g")
        if number in _STAGES:
            number = str(_STAGES.index(number))
        if number in ("1", "2", "3", "4"):
            found[f"grade:{number}"] = 1.0
    return found


def _stage_name(word: str) -> str:
    """`iva` of IVA, 4a and iva; empty where the word is no stage."""
    match = re.fullmatch(r"(0|i{1,3}|iv|[1-4])([abc]?)\d?", word)
    if not match:
        return ""
    main = _STAGES[int(match[1])] if match[1].isdigit() else match[1]
    return main + match[2]


def _stage(match: re.Match[str]) -> Measure | None:
    stage = _stage_name(match[1].lower())
    if not stage:
        return None
    main = stage.rstrip("abc")
    # Of IVA a table that only says IV is near; of IV, every part of it is one.
    words = {f"stage:{stage}": 1.0, "about:stage": 0.9, "stage": 0.3}
    if main != stage:
        words[f"stage:{main}"] = 0.5
    number = str(_STAGES.index(main))
    values = f"(^|[^a-z0-9])({main}|{number})[abc]?[0-9]?([^a-z0-9]|$)"
    return Measure(
        match[0].strip(), f"stage {stage.upper()}", words, "stage", values=values,
        about="stag|ajcc|tnm|figo",
    )  # fmt: skip


def _grade(match: re.Match[str]) -> Measure | None:
    (name,) = grades_of([match[1].lower()]) or ("",)
    if not name:
        return None
    words = {name: 1.0, "about:grade": 0.9, "grade": 0.3}
    number = name[-1]
    values = f"(^|[^a-z0-9])(g?{number}|{_STAGES[int(number)]})([^a-z0-9]|$)"
    return Measure(
        match[0].strip(), f"grade {number}", words, "grade", values=values, about="grad|nottingham"
    )


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_SLICED = re.compile(r"\b(?:thin|thick|slices?|sections?|thickness)\b", re.IGNORECASE)

_PATTERNS: list[tuple[re.Pattern[str], Reader]] = [
    *NUMBERS,
    *PHRASES,
    (_compiled(r"\bstage\s*(0|i{1,3}[abc]?|iv[abc]?|[1-4][abc]?)\b(?!\s*(?:mm|t|x)\b)"), _stage),
    (_compiled(r"\bgrade\s*(g?[1-4]|i{1,3}|iv)\b"), _grade),
]
"""How measures are written, in the order in which they are looked for."""
