"""The tool that goes from images to what was made of them, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, PrivateAttr

from idc_mcp.answers import Answer, Table
from idc_mcp.errors import NotFetched
from idc_mcp.idc.annotations import further
from idc_mcp.idc.annotations.both_ways import Direction, Linked, linked
from idc_mcp.idc.annotations.kinds import KINDS, TABLE_OF, read_kinds, tables_for
from idc_mcp.idc.cohorts.resolve import name_for
from idc_mcp.tools.arguments import OneOrMany
from idc_mcp.tools.calls import cancellation, report

if TYPE_CHECKING:
    from idc_mcp.app import App


class AnnotationsAnswer(Answer):
    """What refers to images, or what annotations refer to; and what may, but is not known to.

    Counts that need a table which is not on this machine are left out: unknown is not 0.
    """

    elastic: ClassVar[tuple[str, ...]] = ("images", "candidates", "annotations", "warnings")
    floors: ClassVar[dict[str, int]] = {
        "images": 2, "annotations": 3, "candidates": 3, "warnings": 4,
    }  # fmt: skip
    budget: ClassVar[int | None] = 3_500

    handle: str = ""
    series: int | None = None
    kinds: str = ""
    asked_series: int = 0
    linked_series: int | None = None
    linked_handle: str = ""
    annotations: Table | None = None
    images: Table | None = None
    candidates_handle: str = ""
    candidate_series: int = 0
    kinds_of_unknown_source: str = ""
    candidates: Table | None = None
    of_other_images: int | None = None
    warnings: list[str] = []
    next: list[str] = []

    _whole: dict[str, Table] = PrivateAttr(default_factory=dict)
    _rest: Callable[[str, set[str]], str] | None = PrivateAttr(None)

    def cut(self, **changes: Any) -> Answer:
        """The call for rows that are left out is one for their kinds."""
        for name in self._whole.keys() & changes.keys():
            table: Table = changes[name]
            kinds = {str(row[0]) for row in self._whole[name].rows[len(table.rows) :]}
            if self._rest:
                changes[name] = table.model_copy(update={"rest": self._rest(name, kinds)})
        return super().cut(**changes)


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
    lacking = _lacking(app, wanted)
    found = linked(app.cohorts, cohort, resolved, direction, wanted)
    name = name_for(app.cohorts, cohort, resolved)
    known = bool(found.kinds_here)
    answer = AnnotationsAnswer(
        release=app.release_name,
        understood=f"{resolved.understood}; {_question(direction, wanted, found)}",
        handle=found.handle,
        series=found.series if known else None,
        kinds=_counted(found.kinds),
        asked_series=found.asked,
        linked_series=found.linked if known else None,
        linked_handle=found.linked_handle,
        annotations=_annotations(found),
        images=_images(found),
        candidates_handle=found.candidates,
        candidate_series=found.candidate_series,
        kinds_of_unknown_source=_counted(found.unknown_kinds),
        candidates=_candidates(found),
        of_other_images=found.elsewhere if known else None,
        warnings=[*lacking, *found.warnings],
        next=_next(found),
    )
    tables = {"annotations": answer.annotations, "candidates": answer.candidates}
    answer._whole = {key: table for key, table in tables.items() if table}
    answer._rest = lambda key, left: _rest(name, found, direction, key, left)
    return answer


def _lacking(app: App, kinds: Sequence[str]) -> list[str]:
    """Have the tables of these kinds; what it means where one cannot be had.

    Raises
    ------
    NotFetched
        One is on its way: the answer would be another in a moment.
    """
    missing = [table for table in tables_for(kinds) if not app.index.has(table)]
    if not missing:
        return []
    app.tables.begin(missing)
    said = []
    # Together where they are refused together, else each by itself: some may be had.
    for together in [[name] for name in missing] if app.settings.fetches else [missing]:
        try:
            app.tables.have(together, report=report, cancelled=cancellation())
        except NotFetched as absent:
            if absent.coming:
                raise
            sourceless = [kind for kind in kinds if TABLE_OF.get(kind) in together]
            lost = (
                f"Of {', '.join(sourceless)} only the study is known without"
                if sourceless
                else "Who made bulk annotations (ANN), and of what, is not known without"
            )
            it = "it" if len(together) == 1 else "them"
            said.append(f"{absent.what} {lost} {it}. Next: {absent.next_step}")
    return said


def _question(direction: Direction, kinds: tuple[str, ...], found: Linked) -> str:
    what = "all kinds" if kinds == KINDS else ", ".join(kinds)
    without = found.asked - found.linked
    if direction == "annotations":
        asked = f"annotations ({what}) of its {found.asked:,} images"
        told = f"{found.linked:,} have some, of {without:,} none is known"
        if found.elsewhere:
            told += f"; {found.elsewhere:,} more in their studies are of other images"
    else:
        asked = f"images of its {found.asked:,} annotations ({what})"
        told = f"the source of {found.linked:,} is known, of {without:,} not"
    away = ", ".join(found.kinds_away)
    tables = "its table is" if len(found.kinds_away) == 1 else "their tables are"
    away = f"not known for {away} ({tables} not on this machine)" if away else ""
    if found.kinds_here:
        return f"{asked}: {told}" + (f"; {away}" if away else "")
    return f"{asked}: {away or 'no table tells which images these kinds refer to'}"


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {series:,}" for kind, series in kinds.items())


def _annotations(found: Linked) -> Table | None:
    if not found.made:
        return None
    return Table.of(
        ["kind", "made_by", "analysis_result", "series", "patients", "images", "annotated"],
        [list(vars(row).values()) for row in found.made],
    )


def _images(found: Linked) -> Table | None:
    if not found.images:
        return None
    return Table.of(
        ["Modality", "collection_id", "series", "patients", "annotations"],
        found.images,
        rest=further.sources(found.handle),
    )


def _candidates(found: Linked) -> Table | None:
    """Annotations whose source is not known; `one_image` of them have one image in their study."""
    if not found.unknown:
        return None
    return Table.of(
        ["kind", "source", "analysis_result", "series", "patients", "one_image_in_study"],
        [
            [row.kind, row.why, row.analysis_result, row.series, row.patients, row.one_image]
            for row in found.unknown
        ],
    )


def _rest(name: str, found: Linked, direction: Direction, table: str, kinds: set[str]) -> str:
    """The call for rows of these kinds that were left out of a table."""
    if len(found.kinds.keys() | found.unknown_kinds.keys()) > 1:
        return further.kind_by_kind(name, direction, kinds)
    (kind,) = kinds
    if table == "annotations":
        return further.makers(found.handle, kind)
    if direction == "annotations":
        return f"idc_size(cohort='{found.candidates}', group_by='analysis_result_id')"
    return further.sql_call(found.unlisted[kind])


def _next(found: Linked) -> list[str]:
    if not found.handle:
        return [f"idc_viewer(cohort='{found.candidates}')"] if found.candidates else []
    pair = [found.linked_handle, found.handle]
    both = f"idc_cohort(identifiers={pair!r}) is the images and annotations that belong together"
    return [both, f"idc_viewer(cohort='{found.handle}')"]
