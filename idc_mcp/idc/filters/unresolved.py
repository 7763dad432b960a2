"""Annotations that a filter asks for and that refer to no image: said, since images lack them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from idc_mcp.idc.cohorts.definitions import SERIES, Definition
from idc_mcp.idc.filters.attributes import ANNOTATION_TABLES
from idc_mcp.idc.filters.conditions import Condition
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.rows import pairs_of
from idc_mcp.index.store import Index

_OF_ANNOTATIONS_TOO = (
    "collection_id", "PatientID", "StudyInstanceUID", *Filters.COLLECTION_TEXTS,
)  # fmt: skip
"""Filters that say the same of an annotation and of its images."""


def unresolved(index: Index, spec: Definition) -> Iterator[str]:
    """Of each kind of annotation that is asked for, how many have no known image."""
    groups: dict[str, list[Condition]] = {}
    for condition in spec.conditions:
        if condition.rows is not None and condition.rows.group in ANNOTATION_TABLES:
            groups.setdefault(condition.rows.group, []).append(condition)
    shared = tuple(one for one in spec.conditions if one.name in _OF_ANNOTATIONS_TOO)
    rest = replace(spec, conditions=shared)
    inside = ""
    if shared or rest.identifiers or rest.within or rest.series:
        inside = f" AND annotation_key IN (SELECT series_key FROM ({rest.select(SERIES)}))"
    for group, asking in groups.items():
        count = index.value(
            "SELECT count(DISTINCT annotation_key) "
            f"{pairs_of([one.rows for one in asking if one.rows])} AND source_key IS NULL{inside}"
        )
        if count:
            names = " and ".join(one.name for one in asking)
            what = ANNOTATION_TABLES[group][2]
            yield (
                f"{count:,} {what if count > 1 else what.removesuffix('s')} that {names} "
                f"{'take' if len(asking) > 1 else 'takes'} {'refer' if count > 1 else 'refers'} "
                "to no image of the catalogue"
            )
