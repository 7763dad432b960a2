"""Text that a filter asks for, among the values that a column is known to have."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from idc_mcp.errors import NotFound
from idc_mcp.idc.filters.conditions import NEAR_MISSES, NULL
from idc_mcp.idc.nearest import bare, nearest

COMMA_JOINED = frozenset({
    "sop_class_name", "SOPClassUID", "transfer_syntax_name", "TransferSyntaxUID",
    "PhotometricInterpretation", "AlgorithmType", "AlgorithmName",
})  # fmt: skip
"""Columns that join with commas what a series has several of."""


@dataclass(frozen=True)
class Known:
    """The known values of what a filter looks at, with their counts, most first.

    `column` says how they are spelled; `shown_by` is the call that lists them and `counted`
    what is counted: series, segmentations.
    """

    name: str
    column: str
    values: Mapping[str, int]
    shown_by: str
    release: str
    counted: str = "series"

    def fitting(self, asked: str) -> list[str]:
        """The values that are what was asked; comma-joined ones by their parts."""
        if self.column == "collection_id":
            # TCGA-LUAD is tcga_luad, and TCGA-* all that begins so.
            fits = pattern("*".join(map(bare, asked.split("*"))))
            return [value for value in self.values if fits(bare(value))]
        same = pattern(asked, literally=True)
        # A sequence name may be `*tfl3d1`: where a value is spelled so, the star is its own.
        itself = "*" in asked and any(same(value.strip()) for value in self.values)
        fits = same if itself else pattern(asked)
        joined = self.column in COMMA_JOINED
        return [
            value
            for value in self.values
            if fits(value.strip())
            or (joined and any(fits(part.strip()) for part in value.split(",")))
        ]

    def chosen(
        self, asked: list[str], suggested: Callable[[str], list[str]]
    ) -> tuple[dict[str, int], bool]:
        """The values that are asked for, with their counts, and whether `null` is among them.

        Raises
        ------
        NotFound
            A value matches nothing; the nearest are given, `suggested` first.
        """
        chosen: dict[str, int] = {}
        with_null = False
        for one in asked:
            if one.lower() == NULL:
                with_null = True
                continue
            found = self.fitting(one)
            if not found:
                raise self.nothing(one, suggested(one))
            chosen |= {value: self.values[value] for value in found}
        return chosen, with_null

    def near_misses(self, asked: list[str], chosen: Collection[str]) -> list[tuple[str, int]]:
        """Values left out that begin like, contain or are spelled like what was asked."""
        words = {bare(value) for value in asked} - {"", NULL}
        close = [
            (value, count)
            for value, count in self.values.items()
            if value not in chosen and any(_alike(word, value) for word in words)
        ]
        return sorted(close, key=lambda found: -found[1])[:NEAR_MISSES]

    def nothing(self, asked: str, suggested: list[str]) -> NotFound:
        """The error for a value that matches none of them."""
        close = [found for found in suggested if self.fitting(found)]
        close += [found for found in nearest(asked, self.values, limit=4) if found not in close]
        words = bare(asked)
        close += [
            found for found in self.values if words and words in bare(found) and found not in close
        ][: max(0, 4 - len(close))]
        close = list({found.casefold(): found for found in reversed(close)}.values())[::-1]
        begun = f"{asked}*"
        hint = f"use the pattern '{begun}', or " if self.fitting(begun) else ""
        return NotFound(
            f"{self.name} '{asked}' matches no value of IDC {self.release}.",
            nearest=[
                f"{found} ({sum(self.values[one] for one in self.fitting(found)):,} {self.counted})"
                for found in close[:5]
            ],
            next_step=f"{'use one of these, or ' if close else ''}{hint}call {self.shown_by}",
        )


def pattern(asked: str, *, literally: bool = False) -> Callable[[str], bool]:
    """Whether a value is what was asked, without regard to case; `*` is any text."""
    if literally or "*" not in asked:
        wanted = asked.casefold()
        return lambda value: value.casefold() == wanted
    expression = ".*".join(re.escape(part) for part in asked.casefold().split("*"))
    compiled = re.compile(expression, re.DOTALL)
    return lambda value: compiled.fullmatch(value.casefold()) is not None


def counted(chosen: Mapping[str, int], what: str = "") -> str:
    """Values with their counts as a person lists them, the most first."""
    unit = f" {what}" if what else ""
    ordered = sorted(chosen.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{value} ({count:,}{unit})" for value, count in ordered[:4])
    return shown + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")


def _alike(word: str, value: str) -> bool:
    """Whether a value holds what was asked: a short word as a word, a longer one anywhere."""
    if len(word) < 4:
        return word in re.split(r"[^0-9a-z]+", value.lower())
    return word in bare(value)
