"""Numbers with units, and stages, as people write them: read before the words are.

`slices under 1.5 mm` is a slice thickness, `3 T` a field strength, `40x` an objective, `stage
IVA` a stage. What is not understood stays a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

FIELD_TOLERANCE = 0.05
"""Scanners write the field that they measure: 2.89 T is a scanner of 3 T, 1.494 T one of 1.5 T."""

_NUMBER = r"(\d{1,3}(?:\.\d+)?)"
_UNDER = (
    r"(under|below|less than|fewer than|thinner than|smaller than|not? more than|at most|up to"
    r"|maximum|max|<=|<|≤)"
)
_OVER = r"(over|above|more than|greater than|thicker than|larger than|at least|minimum|min|>=|>|≥)"
_SLICES = r"(?:slice[ -]thickness(?:es)?|(?:thin )?(?:slices?|sections?)|thickness)"
_JOIN = r"(?:\s*(?:of|is|are|with|thickness|:|=))*\s*"
_STAGES = ("0", "i", "ii", "iii", "iv")


@dataclass(frozen=True, slots=True)
class Measure:
    """A number or a stage that a query asks for.

    Attributes
    ----------
    text, meaning
        As it was written, and what it was read as.
    words
        Words of documents that answer to it, with weights.
    filter, value
        The filter of a cohort that says it, and its value; empty for a stage.
    columns
        Where the numbers stand.
    values, about
        Expressions that find the values of a stage, and what their columns are called.
    """

    text: str
    meaning: str
    words: dict[str, float]
    word: str
    filter: str = ""
    value: object = None
    columns: tuple[str, ...] = ()
    values: str = ""
    about: str = ""


def read_measures(text: str) -> tuple[str, list[Measure]]:
    """The text without its numbers and stages, and those."""
    found: list[Measure] = []
    for pattern, read in _PATTERNS:

        def take(match: re.Match[str], read: Callable[..., Measure | None] = read) -> str:
            measure = read(match)
            if measure is None:
                return match[0]
            found.append(measure)
            return " "

        text = pattern.sub(take, text)
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


def _thickness(match: re.Match[str]) -> Measure | None:
    groups = match.groupdict()
    number = float(groups["number"])
    low = high = number
    sign = "="
    if groups.get("under"):
        low, sign = 0.0, "≤"
    elif groups.get("over"):
        high, sign = 0.0, "≥"
    value: object = _plain(number)
    if sign != "=":
        value = {"from": _plain(low)} if low else {"to": _plain(high)}
    columns = ("ct_index.SliceThickness", "mr_index.SliceThickness")
    return Measure(
        match[0].strip(),
        f"slice thickness {sign} {number:g} mm",
        {f"column:{name}": 1.0 for name in columns},
        "thickness",
        "slice_thickness_mm",
        value,
        columns,
    )


def _field(match: re.Match[str]) -> Measure | None:
    number = float(match[1])
    if not 0.1 <= number <= 12:
        return None
    value = {
        "from": _plain(round(number * (1 - FIELD_TOLERANCE), 4)),
        "to": _plain(round(number * (1 + FIELD_TOLERANCE), 4)),
    }
    return Measure(
        match[0].strip(),
        f"field strength {number:g} T",
        {"column:mr_index.MagneticFieldStrength": 1.0},
        "tesla",
        "magnetic_field_strength_T",
        value,
        ("mr_index.MagneticFieldStrength",),
    )


def _objective(match: re.Match[str]) -> Measure | None:
    number = float(match[1])
    if not 1 <= number <= 200:
        return None
    return Measure(
        match[0].strip(),
        f"objective {number:g}x",
        {"column:sm_index.ObjectiveLensPower": 1.0},
        "objective",
        "objective_power",
        _plain(number),
        ("sm_index.ObjectiveLensPower",),
    )


def _contrast(match: re.Match[str]) -> Measure | None:
    return Measure(
        match[0].strip(),
        "contrast agent given",
        {"column:contrast_index.ContrastBolusAgent": 1.0},
        "contrast",
        "contrast",
        True,
        ("contrast_index.ContrastBolusAgent",),
    )


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


def _plain(number: float) -> float | int:
    return int(number) if number == int(number) else number


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_BOUND = f"(?:(?P<under>{_UNDER[1:-1]})|(?P<over>{_OVER[1:-1]}))?"
_N = r"(?P<number>\d{1,3}(?:\.\d+)?)"
_MM = r"\s*-?\s*(?:mm|millimet(?:er|re)s?)\b"

_PATTERNS: list[tuple[re.Pattern[str], Callable[[re.Match[str]], Measure | None]]] = [
    # slices under 1.5 mm · slice thickness <= 3mm · thinner than 2 mm
    (_compiled(rf"\b{_SLICES}{_JOIN}{_BOUND}{_JOIN}{_N}{_MM}"), _thickness),
    # under 1.5 mm slices · 1 mm slice thickness
    (_compiled(rf"{_BOUND}\s*{_N}{_MM}(?:\s*thick)?\s+{_SLICES}"), _thickness),
    (_compiled(rf"\b(?P<under>thinner than)\s*{_N}{_MM}"), _thickness),
    (_compiled(rf"\b(?P<over>thicker than)\s*{_N}{_MM}"), _thickness),
    (_compiled(rf"(?:\bat\s+)?\b{_NUMBER}\s*-?\s*(?:teslas?|T)\b(?![\w-])"), _field),
    (_compiled(rf"(?:\bat\s+)?\b{_NUMBER}\s*[x×](?![\w])"), _objective),
    (
        _compiled(
            r"(?<!without )(?<!no )(?<!non )(?<!non-)\b(?:with (?:iv |intravenous )?contrast"
            r"(?: agents?| medium)?|(?:post[- ])?contrast[- ]enhanced|post[- ]contrast)\b"
        ),
        _contrast,
    ),
    (_compiled(r"\bstage\s*(0|i{1,3}[abc]?|iv[abc]?|[1-4][abc]?)\b(?!\s*(?:mm|t|x)\b)"), _stage),
    (_compiled(r"\bgrade\s*(g?[1-4]|i{1,3}|iv)\b"), _grade),
]
"""How measures are written, in the order in which they are looked for."""
