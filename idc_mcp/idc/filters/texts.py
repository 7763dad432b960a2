"""Filters by a text that is contained: in descriptions, and in what is said of a collection."""

from __future__ import annotations

from idc_mcp.errors import NotFound
from idc_mcp.idc.filters.conditions import NEAR_MISSES, NULL, Condition, any_of, either
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.sql import contains, identifier
from idc_mcp.idc.vocabulary import suggestions
from idc_mcp.index.store import Index

SISTERS = {"cancer_types": "tumor_locations", "tumor_locations": "cancer_types"}
"""Where the same word may stand instead: `Lung` cancer of a collection whose site is `Chest`."""

MANY = 5
"""A collection that lists so many cancer types is not all of one of them."""


def text(name: str, asked: list[str]) -> Condition:
    """A description that contains one of the texts."""
    wanted = sorted({value.lower() for value in asked})
    parts = [
        f"{identifier(name)} IS NULL" if value == NULL else contains(name, value)
        for value in wanted
    ]
    return Condition(
        name,
        any_of(parts),
        f"{name} contains {either(wanted)}",
        wanted,
        unknown="" if NULL in wanted else f"{identifier(name)} IS NULL",
        unknown_means=f"{name} is empty",
    )


def collection_text(index: Index, name: str, asked: list[str]) -> Condition:
    """Series of collections whose text contains one of the words.

    Raises
    ------
    NotFound
        No collection has it; the nearest are given.
    """
    wanted = sorted({value.lower() for value in asked})
    texts = _texts(index, name)
    for value in wanted:
        if not any(value in text.lower() for text in texts.values()):
            parts = {part.strip() for text in texts.values() for part in text.split(",")} - {""}
            raise NotFound(
                f"No collection of IDC {index.release.name} has '{value}' in its {name}.",
                nearest=[*suggestions(name, value), *nearest(value, parts, limit=5)][:5],
                next_step="use one of these, or call "
                f"idc_schema(table='collections_index', column='{name}')",
            )
    matching = _with_any(texts, wanted)
    condition = any_of([contains(name, value) for value in wanted])
    nearly, notes = _elsewhere(index, name, wanted, matching)
    many = [id_ for id_ in sorted(matching) if texts[id_].count(",") >= MANY - 1]
    if name == "cancer_types" and many:
        notes.append(
            f"cancer_types describes a collection, not each patient: {', '.join(many[:3])}"
            f"{' and others' if len(many) > 3 else ''} list {MANY} or more"
        )
    return Condition(
        name,
        f"collection_id IN (SELECT collection_id FROM collections_index WHERE {condition})",
        f"{name} contains {either(wanted)}: {len(matching)} collections",
        wanted,
        nearly,
        notes,
    )


def _elsewhere(
    index: Index, name: str, wanted: list[str], matching: set[str]
) -> tuple[list[tuple[str, int]], list[str]]:
    """Collections that have the word in the sister column only: the largest, and a note."""
    sister = SISTERS.get(name)
    if sister is None:
        return [], []
    series: dict[str, int] = index.once(
        "collection series",
        lambda: dict(index.rows("SELECT collection_id, series FROM facts.collections")),
    )
    missed = {
        id_: series[id_]
        for id_ in _with_any(_texts(index, sister), wanted) - matching
        if id_ in series
    }
    if not missed:
        return [], []
    largest = sorted(missed.items(), key=lambda item: -item[1])[:NEAR_MISSES]
    return (
        [(f"collection {id_} ({sister})", count) for id_, count in largest],
        [
            f"{len(missed)} more collections have {either(wanted)} in {sister} only and are left "
            f"out: name them by collection_id, or ask by {sister}"
        ],
    )


def _texts(index: Index, name: str) -> dict[str, str]:
    return index.once(
        ("collection texts", name),
        lambda: {
            id_: text or ""
            for id_, text in index.rows(f"SELECT collection_id, {name} FROM collections_index")
        },
    )


def _with_any(texts: dict[str, str], wanted: list[str]) -> set[str]:
    return {id_ for id_, text in texts.items() if any(value in text.lower() for value in wanted)}
