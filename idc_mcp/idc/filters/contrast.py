"""Whether a contrast agent was given, as far as contrast_index tells.

A series has a row there where it has any attribute of a contrast agent, and the value of that
is often that there was none.
"""

from __future__ import annotations

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
    agent, ingredient, route = (place.column for place in ATTRIBUTES["contrast"].places)
    modalities = TABLE_MODALITIES[TABLE]
    covered = f"Modality IN ({literals(modalities)})"
    named, denied = _says(index, agent)
    # A protocol's route stands there too where its agent was left out.
    given = f"{named} OR {_says(index, ingredient)[0]} OR ({_says(index, route)[0]}{denied})"
    found = [(TABLE, f"({given})")]
    if wanted:
        sql, fast = series_with(found)
        unknown = f"{covered} AND {series_without([(TABLE, 'true')])[1]}"
        return Condition(
            "contrast", sql, f"contrast: {TABLE} names an agent, an ingredient or a route", True,
            notes=["contrast: values such as NONE, NO or W/O do not count as an agent"],
            fast=fast, unknown=unknown, unknown_means=f"{TABLE} says nothing of an agent",
        )  # fmt: skip
    sql, fast = series_without(found)
    return Condition(
        "contrast",
        f"{covered} AND {sql}",
        f"contrast: {', '.join(modalities)} series of which {TABLE} names no agent",
        False,
        notes=[
            "contrast: that no agent is recorded is no proof that none was given; "
            "SeriesDescription may tell more"
        ],
        fast=f"{covered} AND {fast}",
    )


def _says(index: Index, column: str) -> tuple[str, str]:
    """A test whether a list names something, and one (with AND) that it denies nothing."""
    known = values_of(index, column, TABLE)
    denials = sorted(value for value in known if folded(value) in NO_CONTRAST)
    nothing = sorted([*denials, *(value for value in known if not folded(value))])
    named = (
        f"NOT list_has_all([{literals(nothing)}], {column})" if nothing else f"len({column}) > 0"
    )
    denied = f"coalesce(list_has_any({column}, [{literals(denials)}]), false)"
    return named, f" AND NOT {denied}" if denials else ""
