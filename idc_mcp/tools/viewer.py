"""The tool that gives links to IDC's viewers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.app import App
from idc_mcp.idc.viewers import Links, Viewer, viewer_links

_MOST_LINKS = 50


class ViewerAnswer(Answer):
    """Links that open, one a study."""

    elastic: ClassVar[tuple[str, ...]] = ("links",)

    studies: int
    links: Table
    notes: list[str] | None = None


def idc_viewer(
    app: App,
    cohort: Annotated[str, Field(description="Handle or identifiers")],
    viewer: Annotated[
        Viewer, Field(description="auto: OHIF for radiology, SLIM for slides")
    ] = "auto",
    limit: Annotated[int, Field(ge=1, le=_MOST_LINKS, description="Most studies")] = 10,
) -> ViewerAnswer:
    """Links to see images in the browser (OHIF, SLIM), without a download: one a study.

    A segmentation, structure set, report or annotation opens its study, at the source image
    where the index tells which.
    """
    resolved = app.cohorts.resolve(cohort)
    found = viewer_links(app.index, resolved, viewer, limit)
    table = Table.of(
        ["collection_id", "PatientID", "modalities", "viewer", "opens_at", "url"],
        [
            [link.collection_id, link.patient_id, link.modalities, link.viewer, link.opens_at,
             link.url]
            for link in found.links
        ],
        rest=_rest(cohort, viewer, limit),
    )  # fmt: skip
    table.more = _viewable(found, viewer) - len(found.links)
    return ViewerAnswer(
        release=app.release_name,
        understood=resolved.understood,
        studies=found.studies,
        links=table,
        notes=[
            *_notes(found, viewer),
            *(["Viewers show current versions only."] if resolved.prior else []),
        ],
    )


def _rest(cohort: str, viewer: Viewer, limit: int) -> str:
    if limit < _MOST_LINKS and len(cohort) <= 100:
        return f"idc_viewer(cohort={cohort!r}, viewer={viewer!r}, limit={_MOST_LINKS})"
    return f"give StudyInstanceUIDs of fewer studies (at most {_MOST_LINKS}) as cohort"


def _viewable(found: Links, viewer: Viewer) -> int:
    return {
        "auto": found.radiology + found.slides,
        "ohif": found.radiology,
        "slim": found.slides,
    }[viewer]


def _notes(found: Links, viewer: Viewer) -> list[str]:
    notes = []
    if viewer == "ohif" and found.slides:
        notes.append(f"{found.slides:,} slide studies left out: they open in SLIM (viewer='slim')")
    if viewer == "slim" and found.radiology:
        notes.append(
            f"{found.radiology:,} radiology studies left out: they open in OHIF (viewer='ohif')"
        )
    if found.without_images:
        notes.append(
            f"{found.without_images:,} studies have no link: this release holds no images of them"
        )
    return notes
