"""Whether a contrast agent was given, as far as contrast_index tells.

A series has a row there where it has any attribute of a contrast agent, and the value of that
is often that there was none. Where an agent is denied and yet one is named, neither is believed.
"""

from __future__ import annotations

from dataclasses import dataclass

from idc_mcp.idc.facts import values_of
from idc_mcp.idc.filters.attributes import ATTRIBUTES, TABLE_MODALITIES
from idc_mcp.idc.filters.conditions import Condition
from idc_mcp.idc.filters.rows import series_with, series_without
from idc_mcp.idc.nearest import folded
from idc_mcp.idc.sql import literals
from idc_mcp.index.store import Index

TABLE = "contrast_index"

NO_CONTRAST = frozenset({
    "none", "no", "n", "non", "not given", "none given", "nothing", "nil", "null", "0", "false",
    "w o", "wo", "without", "w o contrast", "wo contrast", "without contrast", "no contrast",
    "non contrast", "noncontrast", "unenhanced", "no iv contrast", "without iv contrast",
    "no agent", "no contrast agent", "na", "n a", "not applicable", "not administered",
})  # fmt: skip
"""Values that say that there was no agent, folded. One without letters or digits says nothing."""


def contrast(index: Index, wanted: bool) -> Condition:
    """Series with a contrast agent, or those of the same modalities without a record of one."""
    modalities = TABLE_MODALITIES[TABLE]
    covered = f"Modality IN ({literals(modalities)})"
    says = _Says.of(index)
    contradictory = _contradictory(index, says)
    if wanted:
        sql, fast = series_with([(TABLE, says.given)])
        unknown = f"{covered} AND {series_without([(TABLE, 'true')])[1]}"
        return Condition(
            "contrast", sql, f"contrast: {TABLE} names an agent, an ingredient or a route", True,
            notes=[
                "contrast: values such as NONE, NO or W/O do not count as an agent",
                *contradictory,
            ],
            fast=fast, unknown=unknown, unknown_means=f"{TABLE} says nothing of an agent",
        )  # fmt: skip
    sql, fast = series_without([(TABLE, says.named)])
    return Condition(
        "contrast",
        f"{covered} AND {sql}",
        f"contrast: {', '.join(modalities)} series of which {TABLE} names no agent",
        False,
        notes=[
            "contrast: that no agent is recorded is no proof that none was given; "
            "SeriesDescription may tell more",
            *contradictory,
        ],
        fast=f"{covered} AND {fast}",
    )


@dataclass(frozen=True)
class _Says:
    """Tests of a row: an agent was given; one is named, be it denied or not; both are said."""

    given: str
    named: str
    contradictory: str

    @classmethod
    def of(cls, index: Index) -> _Says:
        columns = (place.column for place in ATTRIBUTES["contrast"].places)
        agent, ingredient, route = (_says(index, column) for column in columns)
        named = f"({agent[0]} OR {ingredient[0]})"
        denied = f"({agent[1]} OR {ingredient[1]})"
        # A protocol's route stands there too where its agent was left out.
        return cls(
            f"(({named} OR {route[0]}) AND NOT {denied})",
            f"({named} OR ({route[0]} AND NOT {denied}))",
            f"({named} AND {denied})",
        )


def _contradictory(index: Index, says: _Says) -> list[str]:
    """What is said of series in neither answer; nothing where there are none."""
    count = index.once(
        "contradictory contrast",
        lambda: index.value(f"SELECT count(*) FROM core.{TABLE} WHERE {says.contradictory}"),
    )
    return [
        f"contrast: of {count:,} series of the release {TABLE} both denies and names an agent or "
        "ingredient; they are left out, of true and of false"
    ] if count else []  # fmt: skip


def _says(index: Index, column: str) -> tuple[str, str]:
    """Tests whether a list names something, and whether it says that there was nothing."""
    known = values_of(index, column, TABLE)
    denials = sorted(value for value in known if folded(value) in NO_CONTRAST)
    nothing = sorted([*denials, *(value for value in known if not folded(value))])
    named = (
        f"NOT list_has_all([{literals(nothing)}], {column})" if nothing else f"len({column}) > 0"
    )
    return (
        f"coalesce({named}, false)",
        f"coalesce(list_has_any({column}, [{literals(denials)}]), false)" if denials else "false",
    )
