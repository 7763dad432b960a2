"""The kinds of annotations: what they are called, and which tables know their source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from idc_mcp.errors import BadArgument
from idc_mcp.idc.nearest import folded, nearest
from idc_mcp.idc.sql import literals
from idc_mcp.idc.vocabulary import MODALITIES
from idc_mcp.index.layout import ANNOTATIONS
from idc_mcp.index.specialised import REFERENCES

KINDS = ANNOTATIONS
"""Modalities of objects that are drawn on, measured in, or made from images."""

NEITHER = ("RTDOSE", "RTPLAN", "RWV")
"""Modalities of objects that are no pictures and annotate none."""

IMAGE = f"Modality NOT IN ({literals((*KINDS, *NEITHER))})"
"""The condition of an image in SQL."""

TABLE_OF = {modality: table for table, (modality, _) in REFERENCES.items()}
"""The table that names the source of each kind; other kinds have none."""

_DESCRIBED_BY = {"ANN": "ann_group_index"}
"""Where what is annotated, and by whom, stands in a table of its own."""

_ALSO = {"report": "SR", "structure": "RTSTRUCT", "roi": "RTSTRUCT", "model": "M3D"}
"""Words for a kind that mean something else elsewhere."""


def read_kinds(given: Sequence[str] | None) -> tuple[str, ...]:
    """Kinds as a caller names them: a modality, or a word for it; nothing given is all of them.

    Raises
    ------
    BadArgument
        One is no kind of annotation; the nearest are given.
    """
    found = [kind for text in given or () for kind in _read(text)]
    return tuple(kind for kind in KINDS if kind in found) or KINDS


def _read(text: str) -> list[str]:
    for word in (folded(text), folded(text).removesuffix("s"), folded(text).removesuffix("es")):
        meant = [kind for kind in KINDS if word == kind.lower() or word in MODALITIES[kind][1]]
        if also := _ALSO.get(word):
            meant = [also]
        if meant:
            return meant
    names = {word: kind for kind in KINDS for word in (kind, *MODALITIES[kind][1])}
    names |= _ALSO
    close = dict.fromkeys(names[name] for name in nearest(text, names))
    raise BadArgument(
        f"'{text}' is no kind of annotation.",
        nearest=[f"{kind} ({MODALITIES[kind][0]})" for kind in close],
        next_step=f"give one of {', '.join(KINDS)}, or leave kinds out for all of them; "
        "other modalities are a filter of idc_cohort",
    )


def tables_for(kinds: Iterable[str]) -> list[str]:
    """The tables that know the source of these kinds, and what they annotate."""
    return [
        table
        for kind in kinds
        for table in (TABLE_OF.get(kind), _DESCRIBED_BY.get(kind))
        if table is not None
    ]
