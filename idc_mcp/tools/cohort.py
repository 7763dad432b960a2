"""`idc_cohort`: define a cohort, get its handle and its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.idc.cautions import KNOWN_BAD
from idc_mcp.idc.cohorts.making import make_cohort
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.quantities import bytes_text
from idc_mcp.tools.arguments import OneOrMany

if TYPE_CHECKING:
    from idc_mcp.app import App

_SHOWN_NAMES = 6

NEARLY = ("filter", "left_out", "rows_in_release")
"""Columns of the near-misses. A row is a series, or what a row of the filter's table is:
a segmentation, an instance, a group of annotations."""


class CohortAnswer(Answer):
    """A cohort's card."""

    elastic: ClassVar[tuple[str, ...]] = (
        "nearly", "definition", "understood", "warnings", "licenses",
    )  # fmt: skip
    floors: ClassVar[dict[str, int]] = {
        "nearly": 1, "definition": 100, "understood": 150, "warnings": max(3, len(KNOWN_BAD)),
    }  # fmt: skip
    """Of the warnings, known faults of the data come first, so that they always stay."""
    budget: ClassVar[int | None] = 2_500

    handle: str
    name: str = ""
    definition: str
    collections: int
    patients: int
    studies: int
    series: int
    instances: int
    bytes: int
    size: str
    modalities: str
    licenses: Table
    commercial: str
    nearly: Table | None = None
    warnings: list[str] = []
    next: str

    def whole(self) -> str:
        """The resource that holds definition, near-misses and warnings uncut."""
        return f"(whole: {_resource(self.handle)})"


def idc_cohort(
    app: App,
    filters: Annotated[
        Filters | None,
        Field(
            description="all must hold; a value or a list, * any text, 'null' empty; "
            "descriptions and collection texts contain it; segment*, roi_name and "
            "annotated_property take annotations and the images they refer to (add Modality); "
            "columns: {'mr_index.FlipAngle': {'to': 20}}, any column of a specialised table"
        ),
    ] = None,
    sql: Annotated[
        str,
        Field(
            description="a SELECT that yields SeriesInstanceUID, crdc_series_uuid, "
            "StudyInstanceUID, or collection_id with PatientID"
        ),
    ] = "",
    identifiers: Annotated[
        OneOrMany | None,
        Field(description="collections, patients, UIDs, DOIs, handles: their union"),
    ] = None,
    manifest: Annotated[str, Field(description="a manifest's path or text (portal, s5cmd)")] = "",
    use: Annotated[
        Literal["any", "commercial"], Field(description="only licences for this")
    ] = "any",
    name: Annotated[str, Field(description="a label", max_length=80)] = "",
) -> CohortAnswer:
    """Define a cohort of series (by filters on collection, acquisition, stain, segmented anatomy
    and more, by SQL, identifiers or a manifest) and get a handle that every other tool takes,
    with counts of patients, studies and series, size, licences, modalities, near-misses and
    warnings. Filters narrow whatever else is given."""
    cohort, card = make_cohort(
        app.cohorts,
        app.cards,
        hosted=app.settings.hosted,
        filters=filters,
        sql=sql,
        identifiers=identifiers,
        manifest=manifest,
        use=use,
        name=name,
    )
    return CohortAnswer(
        release=app.release_name,
        understood=cohort.understood,
        handle=cohort.handle,
        name=cohort.name,
        definition=cohort.definition,
        collections=len(card.collections),
        patients=card.patients,
        studies=card.studies,
        series=card.series,
        instances=card.instances,
        bytes=card.bytes,
        size=bytes_text(card.bytes),
        modalities=_counted(card.modalities),
        licenses=Table.of(
            ["licence", "series", "bytes"],
            card.licenses.rows,
            rest=f"idc_licenses(cohort='{cohort.handle}')",
        ),
        commercial=card.licenses.verdict,
        nearly=Table.of(NEARLY, card.near_misses, rest=_resource(cohort.handle))
        if card.near_misses
        else None,
        warnings=[*card.faults, *cohort.notes, *card.warnings],
        next=_next(cohort.handle, card.licenses.verdict),
    )


def _resource(handle: str) -> str:
    return f"idc://cohort/{handle}"


def _next(handle: str, verdict: str) -> str:
    if verdict == "in part":
        return f"idc_licenses(cohort='{handle}', use='commercial') gives the part that may"
    return f"idc_size(cohort='{handle}'), or idc_manifest, idc_citations, idc_viewer"


def _counted(counts: list[tuple[str, int]]) -> str:
    shown = ", ".join(f"{name} {count}" for name, count in counts[:_SHOWN_NAMES])
    return shown + (f", {len(counts) - _SHOWN_NAMES} more" if len(counts) > _SHOWN_NAMES else "")
