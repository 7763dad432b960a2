"""The tool that goes from images to what was made of them, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.errors import NotFetched
from idc_mcp.idc.annotations.both_ways import Direction, Linked, linked
from idc_mcp.idc.annotations.kinds import KINDS, read_kinds, tables_for
from idc_mcp.idc.cohorts.resolve import name_for
from idc_mcp.tools.arguments import OneOrMany
from idc_mcp.tools.calls import cancellation, report

if TYPE_CHECKING:
    from idc_mcp.app import App


class AnnotationsAnswer(Answer):
    """What refers to images, or what annotations refer to; and what may, but is not known to."""

    elastic: ClassVar[tuple[str, ...]] = ("images", "annotations", "candidates", "warnings")
    floors: ClassVar[dict[str, int]] = {
        "images": 2, "annotations": 2, "candidates": 2, "warnings": 4,
    }  # fmt: skip
    budget: ClassVar[int | None] = 3_500

    handle: str = ""
    series: int
    asked: int = 0
    linked: int = 0
    annotations: Table | None = None
    images: Table | None = None
    candidates_handle: str = ""
    candidate_series: int = 0
    candidates: Table | None = None
    elsewhere: int | None = None
    warnings: list[str] = []
    next: list[str] = []


def idc_annotations(
    app: App,
    cohort: Annotated[str, Field(description="Handle or identifiers")],
    direction: Annotated[Direction, Field(description="What to find")] = "annotations",
    kinds: Annotated[OneOrMany | None, Field(description="Only these (SEG, SR, …)")] = None,
) -> AnnotationsAnswer:
    """Segmentations, structure sets, reports, annotations and meshes of these images, by kind,
    maker and content, or the images of these annotations: a handle, and one of same-study
    candidates of unknown source."""
    wanted = read_kinds(kinds)
    resolved = app.cohorts.resolve(cohort)
    lacking = _lacking(app, tables_for(wanted))
    found = linked(app.cohorts, cohort, resolved, direction, wanted)
    name = name_for(app.cohorts, cohort, resolved)
    return AnnotationsAnswer(
        release=app.release_name,
        understood=f"{resolved.understood}; {_question(direction, wanted, found)}",
        handle=found.handle,
        series=found.series,
        asked=found.asked,
        linked=found.linked,
        annotations=Table.of(
            ["kind", "made_by", "analysis_result", "series", "patients", "images", "annotated"],
            [list(vars(row).values()) for row in found.made],
            rest=_by_result(found.handle),
        )
        if found.made
        else None,
        images=Table.of(
            ["Modality", "collection_id", "series", "patients", "annotations"],
            found.images,
            rest=f"idc_size(cohort='{found.handle}', group_by='collection_id')",
        )
        if found.images
        else None,
        candidates_handle=found.candidates,
        candidate_series=found.candidate_series,
        candidates=_candidates(found, direction),
        elsewhere=found.elsewhere,
        warnings=[*lacking, *found.warnings],
        next=_next(name, found, direction),
    )


def _lacking(app: App, tables: list[str]) -> list[str]:
    """Have these tables; what it means where one cannot be had.

    Raises
    ------
    NotFetched
        One is on its way: the answer would be another in a moment.
    """
    missing = [table for table in tables if not app.index.has(table)]
    if not missing:
        return []
    app.tables.begin(missing)
    said = []
    # Together where they are refused together, else each by itself: some may be had.
    for together in [[name] for name in missing] if app.settings.fetches else [missing]:
        try:
            app.tables.have(together, report=report, cancelled=cancellation())
        except NotFetched as absent:
            states = app.tables.status()
            if any(states[name].startswith(("being", "here")) for name in together):
                raise
            said.append(
                f"{absent.what} Of what it describes only the study is known here. "
                f"{absent.next_step}"
            )
    return said


def _question(direction: Direction, kinds: tuple[str, ...], found: Linked) -> str:
    what = "all kinds" if kinds == KINDS else ", ".join(kinds)
    if direction == "annotations":
        without = found.asked - found.linked
        return (
            f"annotations ({what}) of its {found.asked:,} images: {found.linked:,} have some, "
            f"of {without:,} none is known"
        )
    return (
        f"images of its {found.asked:,} annotations ({what}): the source of {found.linked:,} "
        f"is known, of {found.asked - found.linked:,} not"
    )


def _candidates(found: Linked, direction: Direction) -> Table | None:
    """Annotations whose source is not known; `one_image` of them have one image in their study."""
    if not found.unknown:
        return None
    return Table.of(
        ["kind", "source", "analysis_result", "series", "patients", "one_image_in_study"],
        [
            [row.kind, row.why, row.analysis_result, row.series, row.patients, row.one_image]
            for row in found.unknown
        ],
        rest=_by_result(found.candidates) if direction == "annotations" else "",
    )


def _by_result(handle: str) -> str:
    return f"idc_size(cohort='{handle}', group_by='analysis_result_id')"


def _next(name: str, found: Linked, direction: Direction) -> list[str]:
    if not found.handle:
        return [f"idc_viewer(cohort='{found.candidates}')"] if found.candidates else []
    both = f"idc_cohort(identifiers={[name, found.handle]!r}) is images and annotations together"
    if direction == "annotations" and found.linked < found.asked:
        back = f"idc_annotations(cohort='{found.handle}', direction='images')"
        return [f"{back} is the images that have some", both]
    return [both, f"idc_viewer(cohort='{found.handle}')"]
