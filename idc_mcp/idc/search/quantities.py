"""Numbers of acquisition as people write them: bounds, ranges and units, by the filter they ask.

`slices under 1.5 mm` is a slice thickness, `at least 3T` a field strength, `b=1000` a b-value.
A number that none of `QUANTITIES` reads stays a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

FIELD_TOLERANCE = 0.05
"""Scanners write the field that they measure: 2.89 T is a scanner of 3 T, 1.494 T one of 1.5 T."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A number, a stage, or a phrase that a filter says.

    Attributes
    ----------
    text, meaning
        As it was written, and what it was read as.
    words
        Words of documents that answer to it, with weights.
    filter, value
        The filter of a cohort that says it, `table.column` for one of `columns`, and its value;
        empty for a stage.
    columns
        Where it stands.
    values, about
        Expressions that find the values of a stage, and what their columns are called.
    modalities
        What a phrase says of the modality: DWI is MR.
    narrower
        A column and patterns of its values that say the phrase more closely, where recorded.
    misses
        What the filter leaves out of what was said.
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
    modalities: tuple[str, ...] = ()
    narrower: tuple[str, tuple[str, ...], str] | None = None
    misses: str = ""


Reader = Callable[[re.Match[str]], "Measure | None"]


@dataclass(frozen=True, slots=True)
class _Quantity:
    """How a number is called, and what asks for it: `bare` is its unit where no name is said."""

    filter: str
    label: str
    unit: str
    names: str
    units: str
    columns: tuple[str, ...]
    bare: str = ""
    least: float = 0.0
    most: float = 1e5
    tolerance: float = 0.0


_THICKNESS = r"(?:slice[ -]thickness(?:es)?|(?:thin )?(?:slices?|sections?)|thickness)"
_MM = r"mm|millimet(?:er|re)s?"
_MS = r"ms|msec|milliseconds?"

QUANTITIES = (
    _Quantity("slice_spacing_mm", "slice spacing", " mm",
              r"(?:slice (?:spacing|interval)|spacing between slices)", _MM,
              ("volume_geometry_index.slice_spacing_mm",)),
    _Quantity("pixel_spacing_mm", "pixel spacing", " mm", r"pixel (?:spacing|size)", _MM,
              ("ct_index.PixelSpacing_row_mm", "mr_index.PixelSpacing_row_mm")),
    _Quantity("slice_thickness_mm", "slice thickness", " mm", _THICKNESS, _MM,
              ("ct_index.SliceThickness", "mr_index.SliceThickness"), bare=_MM),
    _Quantity("kvp_kV", "tube voltage", " kV", r"(?:tube voltage|kvp?)", r"kvp?|kilovolts?",
              ("ct_index.KVP",), bare=r"kvp?|kilovolts?", least=20, most=300),
    _Quantity("diffusion_b_value_s_mm2", "b-value", " s/mm2", r"b(?:[- ]?values?)?",
              r"s/mm(?:2|²|\^2)", ("mr_index.DiffusionBValue",)),
    _Quantity("echo_time_ms", "echo time", " ms", r"(?:TE|echo time)", _MS,
              ("mr_index.EchoTime",)),
    _Quantity("repetition_time_ms", "repetition time", " ms", r"(?:TR|repetition time)", _MS,
              ("mr_index.RepetitionTime",)),
    _Quantity("mr_index.FlipAngle", "flip angle", " degrees", r"flip angles?", r"deg(?:rees?)?|°",
              ("mr_index.FlipAngle",)),
    _Quantity("magnetic_field_strength_T", "field strength", " T",
              r"(?:magnetic )?field(?: strength)?", r"teslas?|T",
              ("mr_index.MagneticFieldStrength",), bare=r"teslas?|T", least=0.1, most=12,
              tolerance=FIELD_TOLERANCE),
    _Quantity("objective_power", "objective", "x", r"(?:objective(?: power)?|magnification)",
              r"[x×]", ("sm_index.ObjectiveLensPower",), bare=r"[x×]", least=1, most=200),
)  # fmt: skip

_N = r"\d{1,4}(?:\.\d+)?"
_STRICTLY_UNDER = r"under|below|(?:less|fewer|thinner|smaller|lower|weaker|shorter) than|<(?!=)"
_UNDER = (
    rf"(?P<strictly_under>{_STRICTLY_UNDER})|(?P<under>not? (?:more|thicker|higher) than|at most"
    r"|up to|maximum|max|<=|≤)"
)
_STRICTLY_OVER = (
    r"over|above|(?:more|greater|thicker|larger|higher|stronger|longer|bigger) than|>(?!=)"
)
_OVER = (
    rf"(?P<strictly_over>{_STRICTLY_OVER})|(?P<over>not? (?:less|thinner|lower) than|at least"
    r"|minimum|min|>=|≥)"
)
_BOUND = f"(?:(?:{_UNDER}|{_OVER})\\s*)?"
_AFTER = (
    r"(?:\s*(?:(?P<or_less>or (?:less|below|lower|under|thinner|fewer|smaller|shorter))"
    r"|(?P<or_more>\+|(?:or|and) (?:more|above|higher|over|up|thicker|greater|larger|stronger"
    r"|longer))))?(?![\w.]|-\w)"
)
_JOIN = r"(?:\s*(?:of|is|are|with|thickness|:|=))*\s*"
_START = r"(?:\bat\s+(?!least|most))?(?<![\w.-])"

_LESION = r"(?:nodul|lesion|tumou?r|mass|margin|node|metasta|calcif|polyp|cyst|stone|ring)\w*"
_SIZED = re.compile(rf"(?:\b{_LESION}|\bdiameter|\bsize)\s+(?:of|is|are|sized|with)?\s*$", re.I)
_OF_A_LESION = re.compile(rf"(?:\s+\w+)?\s+(?:{_LESION}|diameter)", re.I)
_DIFFUSION = re.compile(r"\b(?:dwi|diffusion|adc|mri?|b[- ]?values?)\b", re.I)


def _read(quantity: _Quantity, match: re.Match[str]) -> Measure | None:
    groups = match.groupdict()
    if groups.get("low"):
        low, high = sorted((float(groups["low"]), float(groups["high"])))
        sign = ""
    else:
        low = high = float(groups["number"])
        sign = next((name for name in _SIGNS if groups.get(name)), "")
    if not (quantity.least <= low <= high <= quantity.most):
        return None
    if quantity.filter == "slice_thickness_mm" and not groups.get("name"):
        # A bare number of millimetres before or after a lesion is the lesion's size.
        before, after = match.string[: match.start()], match.string[match.end() :]
        if _SIZED.search(before) or _OF_A_LESION.match(after):
            return None
    elif quantity.filter == "diffusion_b_value_s_mm2" and not (
        low >= 100 or "=" in match[0] or _DIFFUSION.search(match.string)
    ):
        return None  # B50 is a convolution kernel
    single = low == high
    lows, highs = _tolerant(low, -quantity.tolerance), _tolerant(high, quantity.tolerance)
    if sign in ("strictly_under", "under", "or_less"):
        bound = _tolerant(low, -quantity.tolerance) if sign == "strictly_under" else highs
        value: object = {"to": bound}
        said = f"≤ {bound:g}"
    elif sign:
        bound = _tolerant(low, quantity.tolerance) if sign == "strictly_over" else lows
        value = {"from": bound}
        said = f"≥ {bound:g}"
    elif single and not quantity.tolerance:
        value, said = lows, f"= {low:g}"
    else:
        value = {"from": lows, "to": highs}
        said = f"{low:g}" if single else f"{low:g} to {high:g}"
    return Measure(
        match[0].strip(), f"{quantity.label} {said}{quantity.unit}",
        {f"column:{name}": 1.0 for name in quantity.columns}, quantity.label.split()[-1],
        quantity.filter, value, quantity.columns,
    )  # fmt: skip


_SIGNS = (
    "strictly_under", "under", "or_less", "strictly_over", "over", "or_more",
)  # fmt: skip


def _tolerant(number: float, share: float) -> float | int:
    value = round(number * (1 + share), 4)
    return int(value) if value == int(value) else value


def _patterns(quantity: _Quantity) -> list[tuple[re.Pattern[str], Reader]]:
    """How the quantity is written, what says most first."""
    unit, maybe = rf"\s*-?\s*(?:{quantity.units})", rf"(?:\s*-?\s*(?:{quantity.units}))?"
    # `1 to 2`, `1-2`; `and` joins two bounds only after `between`.
    to = r"\s*(?:to|-|–)\s*"
    several = rf"between\s+(?P<low>{_N}){maybe}\s*(?:and|to|-|–)\s*(?P<high>{_N})"
    listed = rf"(?:from\s+)?(?P<low>{_N}){maybe}{to}(?P<high>{_N})"
    one = rf"{_BOUND}(?P<number>{_N})"
    named = rf"\b(?P<name>{quantity.names}){_JOIN}"
    seconds = r"(?!\s*s(?:ec(?:onds?)?)?\b)"
    found = [rf"{named}{text}{maybe}{_AFTER}{seconds}" for text in (several, listed, one)] + [
        rf"{_START}{text}{unit}(?:\s*thick)?\s+(?P<name>{quantity.names})\b"
        for text in (several, listed, one)
    ]
    if quantity.filter == "slice_thickness_mm":
        found.append(
            rf"\b(?:(?P<strictly_under>thinner than)|(?P<strictly_over>thicker than))\s*"
            rf"(?P<name>)(?P<number>{_N}){unit}{_AFTER}"
        )
    if quantity.bare:
        unit = rf"\s*-?\s*(?:{quantity.bare})"
        found += [rf"{_START}{text}{unit}{_AFTER}" for text in (several, listed, one)]
    return [(re.compile(text, re.IGNORECASE), partial(_read, quantity)) for text in found]


NUMBERS: list[tuple[re.Pattern[str], Reader]] = [
    pattern for quantity in QUANTITIES for pattern in _patterns(quantity)
]
"""How numbers are written, in the order in which they are looked for."""
