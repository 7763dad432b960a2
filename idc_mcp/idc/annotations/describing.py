"""What annotations are: how many of a kind, made by whom, in which analysis result, of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from idc_mcp.idc.annotations.found import Asked

if TYPE_CHECKING:
    from idc_mcp.index.store import Index, Row

OF_THE_COLLECTION = "(of the collection)"
"""What stands for an analysis result where there is none: the collection brought it."""

NOT_STATED = "not stated"

_MOST_NAMED = 3
"""So many of the things that are annotated are named."""

_DESCRIBED = {
    "SEG": (
        ("seg_index",),
        "SELECT series_key, AlgorithmType AS made_by, AlgorithmName AS algorithm, "
        "SegmentedPropertyType_CodeMeanings AS what FROM core.seg_index "
        "SEMI JOIN mine USING (series_key)",
    ),
    "ANN": (
        ("ann_index", "ann_group_index"),
        "SELECT series_key, string_agg(DISTINCT AnnotationGroupGenerationType, ',' "
        "ORDER BY AnnotationGroupGenerationType), string_agg(DISTINCT AlgorithmName, ', ' "
        "ORDER BY AlgorithmName), list(DISTINCT AnnotationPropertyType_CodeMeaning) "
        "FILTER (AnnotationPropertyType_CodeMeaning IS NOT NULL) "
        "FROM core.ann_group_index SEMI JOIN mine USING (series_key) GROUP BY series_key",
    ),
    "RTSTRUCT": (
        ("rtstruct_index",),
        "SELECT series_key, array_to_string(list_sort(ROIGenerationAlgorithms), ','), "
        "CAST(NULL AS VARCHAR), ROINames FROM core.rtstruct_index "
        "SEMI JOIN mine USING (series_key)",
    ),
}
"""The tables that describe a kind, and their rows as (series_key, made_by, algorithm, what)."""

_NOTHING = (
    "SELECT CAST(NULL AS INTEGER) AS series_key, CAST(NULL AS VARCHAR) AS made_by, "
    "CAST(NULL AS VARCHAR) AS algorithm, CAST(NULL AS VARCHAR[]) AS what WHERE false"
)


@dataclass(frozen=True)
class Made:
    """Annotations that were made alike.

    Attributes
    ----------
    made_by
        As DICOM has it (MANUAL, SEMIAUTOMATIC, AUTOMATIC), with the algorithm's name.
    annotated
        What most of them annotate, each with its number of series.
    """

    kind: str
    made_by: str
    analysis_result: str
    series: int
    patients: int
    images: int
    annotated: str


@dataclass(frozen=True)
class Unknown:
    """Annotations whose source is not known, alike in kind and reason.

    Attributes
    ----------
    one_image
        Those in a study with one image: if their source is in IDC and in their study, it is that.
    no_image
        Those in a study without an image.
    """

    kind: str
    why: str
    analysis_result: str
    series: int
    patients: int
    one_image: int
    no_image: int


_Group = TypeVar("_Group", Made, Unknown)


def made(asked: Asked, found: str) -> list[Made]:
    """The annotations that refer to what was asked for, by kind, maker and analysis result.

    The largest of each kind come first, then the others, most series first.
    """
    index = asked.index
    rows = index.rows(
        f"{_described(asked, found)} SELECT Modality, made_by, analysis_result_id, count(*), "
        "count(DISTINCT patient_key), count(DISTINCT source_key), count(DISTINCT algorithm), "
        "min(algorithm) FROM everything GROUP BY ALL ORDER BY 4 DESC, 1, 2, 3"
    )
    what = _what(index, _described(asked, found)) if rows else {}
    found_alike = [
        Made(
            kind=kind,
            made_by=_by(maker, algorithms, algorithm),
            analysis_result=result or OF_THE_COLLECTION,
            series=series,
            patients=patients,
            images=images,
            annotated=what.get((kind, maker, result), NOT_STATED),
        )
        for kind, maker, result, series, patients, images, algorithms, algorithm in rows
    ]
    return _kinds_first(found_alike)


def unknown(index: Index, found: str) -> list[Unknown]:
    """The annotations whose source is not known, in the same order."""
    rows = index.rows(
        "SELECT Modality, why, analysis_result_id, count(*), count(DISTINCT patient_key), "
        "count(*) FILTER (images = 1), count(*) FILTER (images = 0) "
        f"FROM {found} WHERE standing = 'unknown' GROUP BY ALL ORDER BY 4 DESC, 1, 2, 3"
    )
    return _kinds_first(
        [
            Unknown(kind, why, result or OF_THE_COLLECTION, *map(int, counts))
            for kind, why, result, *counts in rows
        ]
    )


def by_kind(groups: Sequence[Made | Unknown]) -> dict[str, int]:
    """Series of each kind, most first."""
    counts: dict[str, int] = {}
    for group in groups:
        counts[group.kind] = counts.get(group.kind, 0) + group.series
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _kinds_first(groups: list[_Group]) -> list[_Group]:
    # Where an answer is cut, every kind is still told of.
    first = {group.kind: group for group in reversed(groups)}
    return sorted(groups, key=lambda group: group is not first[group.kind])


def _described(asked: Asked, found: str) -> str:
    """SQL: `everything`, the rows that refer, with who made them and what they annotate."""
    parts = [
        query
        for kind, (tables, query) in _DESCRIBED.items()
        if kind in asked.kinds and asked.index.has(*tables)
    ]
    described = " UNION ALL ".join(f"({query})" for query in (_NOTHING, *parts))
    return (
        f"WITH mine AS MATERIALIZED (SELECT * FROM {found} WHERE standing = 'refers'), "
        f"described AS ({described}), "
        f"everything AS (SELECT mine.*, coalesce(nullif(made_by, ''), '{NOT_STATED}') AS made_by, "
        "algorithm, what FROM mine LEFT JOIN described USING (series_key))"
    )


def _what(index: Index, everything: str) -> dict[tuple[str, str, str | None], str]:
    rows: list[Row] = index.rows(
        f"{everything}, pieces AS (SELECT Modality, made_by, analysis_result_id, "
        "unnest(what) AS value FROM everything), counted AS (SELECT Modality, made_by, "
        "analysis_result_id, value, count(*) AS n FROM pieces GROUP BY ALL) "
        "SELECT Modality, made_by, analysis_result_id, "
        f"list(value ORDER BY n DESC, value)[:{_MOST_NAMED}], "
        f"list(n ORDER BY n DESC, value)[:{_MOST_NAMED}], count(*) FROM counted GROUP BY ALL"
    )
    return {
        (kind, maker, result): "; ".join(
            f"{value} {n}" for value, n in zip(values, counts, strict=True)
        )
        + (f"; {several - _MOST_NAMED} more" if several > _MOST_NAMED else "")
        for kind, maker, result, values, counts, several in rows
    }


def _by(maker: str, algorithms: int, algorithm: str | None) -> str:
    if algorithms > 1:
        return f"{maker} ({algorithms} algorithms)"
    return f"{maker} ({algorithm})" if algorithm else maker
