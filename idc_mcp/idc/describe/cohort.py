"""A cohort by its handle: its definition in words and SQL, and its card."""

from __future__ import annotations

from idc_mcp.answers import Table
from idc_mcp.idc.cohorts.cards import Card
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.idc.describe.description import Description, sizes
from idc_mcp.quantities import bytes_text


def describe_cohort(cohort: Cohort, card: Card) -> Description:
    """The account of a kept cohort."""
    words = cohort.spec.understood() if cohort.spec else cohort.understood
    return Description(
        kind="cohort",
        understood=cohort.understood,
        about={
            "name": cohort.name,
            "means": words,
            "definition": cohort.definition,
            **sizes(card.patients, card.studies, card.series, card.instances, card.bytes),
        },
        modalities=Table.of(("Modality", "series"), card.modalities),
        licenses=Table.of(
            ("license", "series", "size"),
            [(name, series, bytes_text(size)) for name, series, size in card.licenses.rows],
        ),
        collections=Table.of(
            ("collection_id", "series"), card.collections, limit=20, rest="idc_size(group_by=…)"
        ),
        notes=[*card.faults, card.licenses.sentence, *cohort.notes, *card.warnings],
        next=[f"idc_size(cohort='{cohort.handle}')", f"idc_licenses(cohort='{cohort.handle}')"],
    )
