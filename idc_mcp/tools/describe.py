"""`idc_describe`: what an identifier names, and what matters about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.idc.cohorts.files import HANDLE
from idc_mcp.idc.describe.cohort import describe_cohort
from idc_mcp.idc.describe.describe import describe

if TYPE_CHECKING:
    from idc_mcp.app import App


class DescribeAnswer(Answer):
    """An account of one thing; which tables it has depends on its kind."""

    elastic: ClassVar[tuple[str, ...]] = (
        "versions", "series", "studies", "tables", "columns", "collections", "sources",
        "modalities",
    )  # fmt: skip

    kind: str
    about: dict[str, Any] = Field(default_factory=dict)
    modalities: Table | None = None
    licenses: Table | None = None
    sources: Table | None = None
    collections: Table | None = None
    versions: Table | None = None
    studies: Table | None = None
    series: Table | None = None
    tables: Table | None = None
    columns: Table | None = None
    notes: list[str] = Field(default_factory=list)
    next: list[str] = Field(default_factory=list)


def idc_describe(
    app: App,
    identifier: Annotated[
        str,
        Field(
            description="collection_id, analysis_result_id, PatientID (or collection/patient), "
            "study, series or crdc_series_uuid, DOI, table, cohort handle, release (v25), or two "
            "(v20..v25)"
        ),
    ],
) -> DescribeAnswer:
    """Describe one collection, analysis result, patient, study, series, DOI, table or release.

    Counts, sizes, modalities, licences, sources with DOIs, derived objects, versions; of one
    or two releases what was added, revised and removed. Read forgivingly (TCGA-LUAD is tcga_luad).
    """
    handle = identifier.strip().lower()
    if HANDLE.fullmatch(handle):
        cohort = app.cohorts.resolve(handle)
        found = describe_cohort(cohort, app.cards.card(cohort))
    else:
        found = describe(app.index, identifier)
    return DescribeAnswer(release=app.release_name, **vars(found))
