"""Phrases that a filter says as they stand: DWI, without contrast, spin echo, semi-automatic.

Each is read before the words are, so that no part of it is taken for something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from idc_mcp.idc.filters.attributes import SAID
from idc_mcp.idc.search.quantities import Measure, Reader

_ROUTES: dict[str, tuple[str, ...]] = {
    "iv": ("IV", "I.V.*", "*intravenous*"),
    "intravenous": ("IV", "I.V.*", "*intravenous*"),
    "oral": ("*oral*", "PO"),
    "rectal": ("*rectal*",),
}
_ROUTE_COLUMN = "contrast_index.ContrastBolusRoute"
ROUTES = frozenset(_ROUTES)
"""Ways in which a contrast agent is given; none is an agent."""

_ANNOTATED = re.compile(r"\b(?:seg|segment|annotat|contour|mask|label|delineat)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Saying:
    """A phrase, and the filter that says it; `within` must stand somewhere in the query."""

    phrase: str
    meaning: str
    filter: str
    value: object
    columns: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    within: re.Pattern[str] | None = None
    misses: str = ""

    def read(self, match: re.Match[str]) -> Measure | None:
        """The phrase as a measure."""
        if self.within and not self.within.search(match.string):
            return None
        words = {f"column:{name}": 1.0 for name in self.columns}
        words |= {f"modality:{code}": 1.0 for code in self.modalities}
        return Measure(
            match[0].strip(), self.meaning, words, self.filter, self.filter, self.value,
            self.columns, modalities=self.modalities, misses=self.misses,
        )  # fmt: skip


def _described(phrase: str, *said: str) -> Saying:
    return Saying(
        phrase, f"SeriesDescription {'/'.join(said)}", "SeriesDescription",
        said[0] if len(said) == 1 else [*said], modalities=("MR",),
        misses=f"{said[0]} series not described so",
    )  # fmt: skip


_AGENT = "contrast_index.ContrastBolusAgent"
_CONTRAST = r"contrast(?:[- ](?:agents?|medium|media|enhancement))?"

SAYINGS = (
    Saying(
        rf"(?:without|no|non|not|lacking)[- ]?(?:(?:iv|intravenous|oral)[- ])?{_CONTRAST}"
        r"(?:[- ]enhanced)?|unenhanced|w/o contrast",
        "no contrast agent recorded", "contrast", value=False, columns=(_AGENT,),
    ),
    Saying(
        r"diffusion[- ]weighted(?: imaging| images?| mri?)?|dwi", "diffusion b-value above 0",
        "diffusion_b_value_s_mm2", {"from": 1}, ("mr_index.DiffusionBValue",), ("MR",),
        misses="DWI without a recorded b-value",
    ),
    _described(r"dynamic contrast[- ]enhanced(?: mri?| imaging)?|dce", "DCE", "dyn"),
    *(_described(word, said) for word, said in (
        ("adc", "ADC"), ("flair", "FLAIR"), ("mprage", "MPRAGE"), ("stir", "STIR"), ("swi", "SWI"),
        ("t1w|t1[- ]weighted", "T1"), ("t2w|t2[- ]weighted", "T2"),
    )),
    Saying(
        r"(?:3-?d )?(?:regular(?:ly)?[- ](?:spaced|sampled)|regular)(?: 3-?d)? volumes?"
        r"|regularly[- ](?:spaced|sampled)(?: slices?)?|3-?d volumes?",
        "regularly spaced 3D volume", "regularly_spaced_3d_volume", value=True,
        columns=("volume_geometry_index.regularly_spaced_3d_volume",),
    ),
    Saying(
        r"semi[- ]?automat(?:ic|ed)(?:ally)?", "SEMIAUTOMATIC", "segmentation_algorithm_type",
        "SEMIAUTOMATIC", ("seg_index.AlgorithmType",), within=_ANNOTATED,
    ),
    # FLAIR is an inversion recovery too, and more than that: a description says it.
    *(
        Saying(
            phrase.replace(" ", "[- ]"), f"ScanningSequence {'/'.join(values)}",
            "scanning_sequence", values[0], ("mr_index.ScanningSequence",), ("MR",),
        )
        for phrase, values in SAID["scanning_sequence"].items() if phrase != "flair"
    ),
)  # fmt: skip


def _given(match: re.Match[str]) -> Measure | None:
    """A contrast agent was given, and by which route."""
    routes = [word for word in re.split(r"\W+", match["routes"] or "") if word.lower() in _ROUTES]
    found = Measure(
        match[0].strip(), "contrast agent given", {f"column:{_AGENT}": 1.0}, "contrast",
        "contrast", True, (_AGENT,),
    )  # fmt: skip
    if len(routes) != 1:
        # One of several values suffices a filter: it cannot ask for two routes.
        return replace(found, misses=" and ".join(routes))
    return replace(found, narrower=(_ROUTE_COLUMN, _ROUTES[routes[0].lower()], routes[0]))


_ROUTE = f"(?:{'|'.join(_ROUTES)})"
_ROUTED = rf"(?P<routes>{_ROUTE}(?:\s*(?:and|or|&|\+|/)\s*{_ROUTE})?)"
_GIVEN = (
    rf"(?:with )?{_ROUTED}[- ]{_CONTRAST}(?:[- ]enhanced)?"
    rf"|with {_CONTRAST}|(?:post[- ])?contrast[- ]enhanced|post[- ]contrast"
)


def _compiled(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{phrase})(?![\w-])", re.IGNORECASE)


PHRASES: list[tuple[re.Pattern[str], Reader]] = [
    *((_compiled(saying.phrase), saying.read) for saying in SAYINGS),
    (_compiled(_GIVEN), _given),
]
"""How phrases are written, in the order in which they are looked for: what denies comes first."""
