"""Annotations of images, and images of annotations: the answer to either question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from idc_mcp.errors import BadArgument
from idc_mcp.idc.annotations.describing import Made, Unknown, by_kind, made, unknown
from idc_mcp.idc.annotations.found import Asked, annotations_of, asked_of, images_of
from idc_mcp.idc.annotations.keeping import Origins, keep_cohort, keep_series
from idc_mcp.idc.annotations.kinds import IMAGE, KINDS, NEITHER
from idc_mcp.idc.cautions import known_faults
from idc_mcp.idc.cohorts.resolve import name_for

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort, Cohorts

Direction = Literal["annotations", "images"]


@dataclass
class Linked:
    """What was found of the series that a cohort asks about.

    Attributes
    ----------
    asked, linked
        Series asked about, and those of them whose counterpart is known.
    linked_handle
        The latter; '' where there are none.
    handle, series
        The counterparts; '' and 0 where none is known.
    kinds, unknown_kinds
        Annotations of each kind, of known source and of unknown.
    kinds_here, kinds_away
        The kinds asked for whose source stands in a table: that is on this machine, that is not.
    cohort
        The handle of what was asked about.
    unlisted
        For each kind of unknown source, the SELECT that counts these by analysis result.
    candidates, candidate_series
        Series of the same study that may be counterparts: of which nothing more is known.
    made, images
        The annotations that refer, by how they were made; the sources, as
        (Modality, collection_id, series, patients, annotations).
    unknown
        Annotations whose source is not known.
    elsewhere
        Annotations in the studies of the images that refer to other images; None of annotations.
    warnings
        What to beware of.
    """

    asked: int
    linked: int = 0
    linked_handle: str = ""
    handle: str = ""
    series: int = 0
    candidates: str = ""
    candidate_series: int = 0
    made: list[Made] = field(default_factory=list)
    images: list[tuple[str, str, int, int, int]] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    elsewhere: int | None = None
    kinds: dict[str, int] = field(default_factory=dict)
    kinds_here: list[str] = field(default_factory=list)
    kinds_away: list[str] = field(default_factory=list)
    cohort: str = ""
    unlisted: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def unknown_kinds(self) -> dict[str, int]:
        """Annotations of unknown source, of each kind."""
        return by_kind(self.unknown)


def linked(
    cohorts: Cohorts, said: str, cohort: Cohort, direction: Direction, kinds: tuple[str, ...]
) -> Linked:
    """What was made of these images, or the images of these annotations; `said` names the cohort.

    Both sets are kept under handles. Of the kinds whose table is not on this machine, only what
    lies in the same studies is known.

    Raises
    ------
    BadArgument
        The cohort has nothing to ask about in this direction.
    """
    directory = cohorts.files.directory
    with asked_of(cohorts.index, cohort, kinds, directory) as asked:
        wanted = [
            name
            for name in asked.modalities
            if (name in kinds if direction == "images" else name not in (*KINDS, *NEITHER))
        ]
        if not wanted:
            raise _nothing_asked(asked, name_for(cohorts, said, cohort), direction)
        keep_cohort(cohorts, cohort)
        origins = Origins(asked, cohort)
        answer = Linked(sum(asked.modalities[name] for name in wanted), cohort=cohort.handle)
        # Of images any kind may exist; of annotations those in the cohort are asked about.
        of = wanted if direction == "images" else kinds
        answer.kinds_here = [kind for kind in asked.kinds_here if kind in of]
        answer.kinds_away = [kind for kind in asked.kinds_away if kind in of]
        if direction == "images":
            with images_of(asked, directory) as found:
                _images(cohorts, asked, found, origins, answer)
        else:
            with annotations_of(asked, directory) as found:
                _annotations(cohorts, asked, found, origins, answer)
        answer.warnings += [*_not_asked(asked, wanted, direction), *_versions(asked)]
    return answer


def _annotations(
    cohorts: Cohorts, asked: Asked, found: str, origins: Origins, answer: Linked
) -> None:
    index = asked.index
    answer.made = made(asked, found)
    answer.kinds = by_kind(answer.made)
    answer.unknown = unknown(index, found)
    answer.series, answer.linked, answer.candidate_series, answer.elsewhere = index.rows(
        "SELECT count(*) FILTER (standing = 'refers'), "
        "count(DISTINCT source_key) FILTER (standing = 'refers'), "
        "count(*) FILTER (standing = 'unknown'), count(*) FILTER (standing = 'elsewhere') "
        f"FROM {found}"
    )[0]
    if answer.series:
        refer = f"SELECT series_key FROM {found} WHERE standing = 'refers'"
        answer.handle = keep_series(cohorts, refer, origins.annotations()).handle
        images = f"SELECT source_key FROM {found} WHERE standing = 'refers'"
        answer.linked_handle = keep_series(cohorts, images, origins.annotated()).handle
    if answer.candidate_series:
        unsure = f"SELECT series_key FROM {found} WHERE standing = 'unknown'"
        kept = keep_series(cohorts, unsure, origins.annotations_nearby())
        answer.candidates = kept.handle
    answer.warnings = list(_cautions(asked, found, answer.handle))


def _images(cohorts: Cohorts, asked: Asked, found: str, origins: Origins, answer: Linked) -> None:
    index = asked.index
    answer.images = [
        (str(modality), str(collection), *map(int, counts))  # type: ignore[misc]
        for modality, collection, *counts in index.rows(
            "SELECT source_modality, source_collection, count(DISTINCT source_key), "
            f"count(DISTINCT source_patient), count(*) FROM {found} WHERE standing = 'refers' "
            "GROUP BY ALL ORDER BY 3 DESC, 1, 2"
        )
    ]
    answer.series = sum(row[2] for row in answer.images)
    answer.linked = sum(row[4] for row in answer.images)
    answer.kinds = {
        str(kind): int(series)
        for kind, series in index.rows(
            f"SELECT Modality, count(*) FROM {found} WHERE standing = 'refers' "
            "GROUP BY 1 ORDER BY 2 DESC, 1"
        )
    }
    answer.unknown = unknown(index, found)
    answer.unlisted = {kind: origins.without_image(kind) for kind in answer.unknown_kinds}
    if answer.series:
        sources = f"SELECT source_key FROM {found} WHERE standing = 'refers'"
        answer.handle = keep_series(cohorts, sources, origins.images()).handle
        theirs = f"SELECT series_key FROM {found} WHERE standing = 'refers'"
        kept = keep_series(cohorts, theirs, origins.annotations_with_images())
        answer.linked_handle = kept.handle
    if any(row.series > row.no_image for row in answer.unknown):
        nearby = (
            f"SELECT series_key FROM core.series WHERE {IMAGE} AND study_key IN "
            f"(SELECT study_key FROM {found} WHERE standing = 'unknown' AND images > 0)"
        )
        kept = keep_series(cohorts, nearby, origins.images_nearby())
        assert kept.spec is not None and kept.spec.series is not None
        answer.candidates, answer.candidate_series = kept.handle, kept.spec.series.count
    answer.warnings = list(_cautions(asked, found, answer.handle))
    if alone := sum(row.no_image for row in answer.unknown):
        answer.warnings.append(
            f"{alone:,} annotations whose source is not known lie in studies without images: "
            "they have no candidates"
        )


def _cautions(asked: Asked, found: str, handle: str) -> Iterator[str]:
    """Known faults of the annotations, and licences stricter than those of their images."""
    rows = asked.index.rows(
        "SELECT collection_id, Modality, "
        "count(*) FILTER (standing = 'refers' AND source_free AND NOT free) "
        f"FROM {found} WHERE standing <> 'elsewhere' GROUP BY 1, 2"
    )
    yield from known_faults({(row[0], row[1]) for row in rows})
    if stricter := sum(row[2] for row in rows):
        yield (
            f"{stricter:,} annotations may not be used commercially although their images may: "
            f"idc_licenses(cohort='{handle}')"
        )


def _not_asked(asked: Asked, wanted: list[str], direction: Direction) -> Iterator[str]:
    """What the cohort holds besides what the question is about, and what becomes of it."""
    others = {name: n for name, n in asked.modalities.items() if name not in wanted}
    told = {name: n for name, n in others.items() if name in asked.kinds}
    if told and direction == "annotations":
        yield (
            f"the cohort's own {_counted(told)} series are counted above where they refer to its "
            "images or lie in their studies"
        )
        others = {name: n for name, n in others.items() if name not in told}
    if others:
        what = "images" if direction == "annotations" else "annotations of the kinds asked for"
        yield (
            f"the cohort also holds {_counted(others)} series: no {what}, so the question passes "
            "them over"
        )


def _versions(asked: Asked) -> Iterator[str]:
    if asked.superseded:
        yield (
            f"{asked.superseded:,} series are prior versions: what is told is of their current "
            "version, as references are known of the current release only"
        )
    if asked.gone:
        yield (
            f"{asked.gone:,} series are prior versions of series that this release no longer "
            "serves: nothing is known of their references"
        )


def _nothing_asked(asked: Asked, name: str, direction: Direction) -> BadArgument:
    has = f"it has {_counted(asked.modalities)}" if asked.modalities else "it has no current series"
    derived = any(kind in asked.modalities for kind in KINDS)
    if direction == "annotations":
        return BadArgument(
            f"The cohort has no images whose annotations could be looked for: {has}.",
            next_step=f"idc_annotations(cohort={name!r}, direction='images') gives the images of "
            "these annotations"
            if derived
            else "give images, or their collection, as cohort",
        )
    if derived:
        step = f"idc_annotations(cohort={name!r}, direction='images') without kinds"
    elif asked.modalities:
        step = (
            f"idc_annotations(cohort={name!r}, direction='annotations') gives what was made of them"
        )
    else:
        step = "give current series as cohort"
    return BadArgument(
        f"The cohort has no {', '.join(asked.kinds)} whose images could be looked for: {has}.",
        next_step=step,
    )


def _counted(modalities: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in modalities.items())
