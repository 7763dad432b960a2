"""What to beware of in a cohort: known faults of its data, and what its counts do not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from idc_mcp.idc.cautions import SEGMENTED_ANATOMY, known_faults
from idc_mcp.idc.cohorts.definitions import Definition
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.idc.cohorts.superseded import AS_THEY_STAND, ON_VALUES
from idc_mcp.idc.filters.attributes import ATTRIBUTES, COLUMNS_FILTER
from idc_mcp.idc.filters.conditions import Condition
from idc_mcp.index.layout import ANNOTATIONS
from idc_mcp.index.store import Index

_SEG = "SEG"
_SEG_TABLE = "seg_index"


def faults(cohort: Cohort, present: set[tuple[str, str]]) -> list[str]:
    """Known faults of the data, of which (collection_id, Modality) are `present`.

    Images that were selected by segmentations are no better than these are.
    """
    if cohort.spec and _rests_on_segmentations(cohort.spec):
        present = present | {(collection, _SEG) for collection, _ in present}
    return known_faults(present)


def warnings(
    index: Index,
    cohort: Cohort,
    collections: Counter[str],
    modalities: Counter[str],
) -> Iterator[str]:
    """What the counts do not show; `collections` and `modalities` count series."""
    if cohort.prior:
        yield from _superseded(index, cohort)
        yield "series of prior versions have no licence or instance count in the index"
        if cohort.spec:
            yield from _of_prior_versions(cohort.spec)
    total = collections.total()
    name, most = collections.most_common(1)[0]
    if len(collections) > 1 and most > total / 2:
        share = "over 99%" if most > 0.99 * total else f"{most / total:.0%}"
        yield f"{name} alone is {share} of the series"
    if slides := modalities.get("SM"):
        yield (
            f"{slides:,} SM series are whole slide pyramids: several resolutions and gigabytes each"
        )
    derived = sum(count for name, count in modalities.items() if name in ANNOTATIONS)
    if derived and derived < total:
        yield f"{derived:,} series are derived objects (filter Modality for images alone)"
    filtered = {condition.name for condition in cohort.spec.conditions} if cohort.spec else set()
    if "BodyPartExamined" in filtered and modalities.keys() & {_SEG, "RTSTRUCT"}:
        yield SEGMENTED_ANATOMY


def _rests_on_segmentations(spec: Definition) -> bool:
    origin = spec.series.origin if spec.series else None
    return (
        any(one.rows is not None and one.rows.group == _SEG for one in spec.conditions)
        or (origin is not None and _SEG_TABLE in origin.sql.lower())
        or any(_rests_on_segmentations(other) for other in spec.within)
    )


def _of_prior_versions(spec: Definition) -> Iterator[str]:
    """What a filter asks of prior versions that nothing is recorded of."""
    recorded_now: dict[str, None] = {}
    lacking: dict[str, None] = {}
    for one, use in _asked_of_prior(spec):
        if one is None:
            lacking[f"license_short_name (use={use})"] = None
        elif (
            one.name in ATTRIBUTES
            or one.name.startswith(f"{COLUMNS_FILTER}.")
            or one.name == "has_annotations"
        ):
            recorded_now[one.name] = None
        elif one.name not in (*ON_VALUES, *AS_THEY_STAND):
            lacking[one.name] = None
    if recorded_now:
        yield (
            f"{', '.join(recorded_now)}: prior versions are judged by what is recorded of the "
            "current version, which may differ; of removed series nothing is recorded"
        )
    if lacking:
        yield f"{', '.join(lacking)}: not known of prior versions, for which it counts as empty"


def _asked_of_prior(spec: Definition) -> Iterator[tuple[Condition | None, str]]:
    if not spec.has_prior:
        return
    yield from ((one, "") for one in spec.conditions)
    if spec.use != "any":
        yield None, spec.use
    for other in spec.within:
        yield from _asked_of_prior(other)


def _superseded(index: Index, cohort: Cohort) -> Iterator[str]:
    """Which of a cohort's prior versions have a successor, and how that is had."""
    now = "SELECT SeriesInstanceUID FROM core.series"
    row = index.row(
        f"SELECT count(*), count(*) FILTER (SeriesInstanceUID IN ({now})) FROM {cohort.source} "
        "WHERE crdc_series_uuid IN (SELECT crdc_series_uuid FROM core.prior)"
    )
    prior, replaced = row or (0, 0)
    if replaced:
        yield (
            f"{replaced:,} prior versions are superseded: {index.release.name} serves another "
            "version; for that, idc_cohort(sql='SELECT crdc_series_uuid FROM index WHERE "
            f"SeriesInstanceUID IN (SELECT SeriesInstanceUID FROM {cohort.handle})')"
        )
    if prior > replaced:
        yield (
            f"{prior - replaced:,} prior versions were removed: {index.release.name} serves no "
            "version of those series"
        )
