"""Make a cohort from all that a caller may give at once."""

from __future__ import annotations

from collections.abc import Sequence

from idc_mcp.errors import BadArgument
from idc_mcp.idc.cohorts.cards import Card, Cards
from idc_mcp.idc.cohorts.definitions import SeriesSet
from idc_mcp.idc.cohorts.resolve import Cohort, Cohorts
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.uids import UID, UUID

FEW = 50
"""Up to this many identifiers are each looked up; a longer list is matched as a whole."""
MOST = 20_000


def make_cohort(
    cohorts: Cohorts,
    cards: Cards,
    *,
    hosted: bool,
    filters: Filters | None,
    sql: str,
    identifiers: Sequence[str] | None,
    manifest: str,
    use: str,
    name: str,
) -> tuple[Cohort, Card]:
    """A kept cohort and its card.

    Raises
    ------
    BadArgument
        Nothing defines the cohort, or two things do.
    NotFound
        A value or identifier is unknown, or no series is left.
    """
    bases = {"sql": sql.strip(), "identifiers": identifiers, "manifest": manifest.strip()}
    given = [key for key, value in bases.items() if value]
    narrowed = filters is not None and bool(filters.given())
    if identifiers is not None and not identifiers:
        raise BadArgument(
            "'identifiers' is an empty list.", next_step="leave it out or give an identifier"
        )
    if len(given) > 1:
        raise BadArgument(
            f"{' and '.join(given)} each define the cohort.",
            next_step="give one of them (and filters to narrow it); join cohorts by naming "
            "their handles as identifiers",
        )
    if not given and not narrowed:
        raise BadArgument(
            "Nothing defines the cohort.",
            next_step="give filters={'Modality': 'CT', …}, identifiers=['tcga_luad'], sql or "
            "manifest; idc_search finds what to name",
        )
    notes: list[str] | None = None
    series = None
    if sql.strip():
        chosen = cohorts.lists.of_select(sql, cohorts.views(sql))
        series, notes = chosen.series, chosen.notes
    elif manifest.strip():
        listed = cohorts.lists.of_manifest(manifest, hosted=hosted)
        series, notes = listed.series, listed.notes
    elif identifiers and len(identifiers) > FEW and all(map(_names_series, identifiers)):
        series, identifiers = _long_list(cohorts, identifiers), None
    elif identifiers and len(identifiers) > MOST:
        raise BadArgument(
            f"{len(identifiers):,} identifiers are too many for one call.",
            next_step="give them as a manifest file",
        )
    definition = cohorts.define(
        identifiers=list(identifiers or []), series=series, filters=filters, use=use
    )
    card = cards.card(Cohort.of(definition))
    return cohorts.keep(definition, name=name, notes=notes), card


def _names_series(identifier: str) -> bool:
    text = identifier.strip()
    return bool(UUID.fullmatch(text) or UID.fullmatch(text))


def _long_list(cohorts: Cohorts, identifiers: Sequence[str]) -> SeriesSet:
    texts = [identifier.strip() for identifier in identifiers]
    listed = cohorts.lists.of_list(
        [text.lower() for text in texts if UUID.fullmatch(text)],
        [text for text in texts if UID.fullmatch(text)],
    )
    if listed.notes:
        raise BadArgument(
            f"{listed.notes[0]}.",
            next_step="leave them out, or name studies by filters={'StudyInstanceUID': […]}",
        )
    return listed.series
