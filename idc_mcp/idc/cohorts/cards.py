"""The card of a cohort: how much it is, under which licences, and what to beware of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from idc_mcp.errors import NotFound
from idc_mcp.idc.cohorts.definitions import Definition
from idc_mcp.idc.cohorts.findings import faults, warnings
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.idc.filters.conditions import Condition
from idc_mcp.idc.filters.unresolved import unresolved
from idc_mcp.idc.licenses import LicenseSummary, judge
from idc_mcp.idc.sql import literal
from idc_mcp.idc.terms import NOT_STATED
from idc_mcp.index.store import Index, Row

_CARDS = 512
_MIN_UNKNOWN_SHARE = 0.05

_COUNTS = (
    "collection_id, Modality, license_short_name, count(*), "
    "CAST(coalesce(sum(instanceCount), 0) AS BIGINT), "
    "CAST(coalesce(sum(series_bytes), 0) AS BIGINT)"
)
_DISTINCT = "count(DISTINCT patient_key), count(DISTINCT study_key)"
_COUNTED = (
    "collection_id, Modality, license_short_name, instanceCount, series_bytes, patient_key, "
    "study_key"
)
"""The columns of core.series that these need."""


@dataclass(frozen=True)
class Card:
    """Counts and findings; bytes are exact, `instances` counts files.

    `modalities` and `collections` are (name, series), most first. `near_misses` are (filter,
    value, rows that hold it): of `index`, or of the table that the filter is on. `faults` are
    those of the data itself, `warnings` what else is to be known.
    """

    collections: list[tuple[str, int]]
    patients: int
    studies: int
    series: int
    instances: int
    bytes: int
    modalities: list[tuple[str, int]]
    licenses: LicenseSummary
    near_misses: list[tuple[str, str, int]]
    faults: list[str]
    warnings: list[str]


class Cards:
    """Cards of cohorts; one is worked out once, since a release never changes."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.card = lru_cache(maxsize=_CARDS)(self._card)

    def _card(self, cohort: Cohort) -> Card:
        """The card of a cohort.

        Raises
        ------
        NotFound
            No series is in it; which condition removed them is said.
        """
        groups, patients, studies = self._counts(cohort)
        if not groups:
            raise self._empty(cohort)
        collections: Counter[str] = Counter()
        modalities: Counter[str] = Counter()
        licences: dict[str, list[int]] = {}
        for collection, modality, licence, series, _, size in groups:
            collections[collection] += series
            modalities[modality] += series
            entry = licences.setdefault(licence or NOT_STATED, [0, 0])
            entry[0] += series
            entry[1] += size
        series = sum(group[3] for group in groups)
        conditions = cohort.spec.conditions if cohort.spec else ()
        return Card(
            collections=collections.most_common(),
            patients=patients,
            studies=studies,
            series=series,
            instances=sum(group[4] for group in groups),
            bytes=sum(group[5] for group in groups),
            modalities=modalities.most_common(),
            licenses=judge(
                sorted(
                    ((name, count, size) for name, (count, size) in licences.items()),
                    key=lambda row: (-row[1], row[0]),
                )
            ),
            near_misses=sorted(
                (
                    (condition.name, value, count)
                    for condition in conditions
                    for value, count in condition.nearly
                ),
                key=lambda row: -row[2],
            ),
            faults=faults(cohort, {(group[0], group[1]) for group in groups}),
            warnings=[
                *(note for condition in conditions for note in condition.notes),
                *(self._unknown(cohort.spec, series) if cohort.spec else ()),
                *(unresolved(self.index, cohort.spec) if cohort.spec else ()),
                *warnings(self.index, cohort, collections, modalities),
            ],
        )

    def _counts(self, cohort: Cohort) -> tuple[list[Row], int, int]:
        """(collection, modality, licence, series, instances, bytes) rows; patients; studies."""
        collection = cohort.spec.whole_collection if cohort.spec else ""
        if collection:
            # What the release holds of a collection is known since the database was built.
            inside = f"collection_id = {literal(collection)}"
            groups = self.index.rows(
                "SELECT collection_id, Modality, license_short_name, "
                "CAST(sum(series) AS BIGINT), CAST(sum(instances) AS BIGINT), "
                f"CAST(sum(bytes) AS BIGINT) FROM facts.groups WHERE {inside} GROUP BY ALL"
            )
            keys = f"SELECT patients, studies FROM facts.collections WHERE {inside}"
        elif cohort.spec and any(condition.fast for condition in cohort.spec.conditions):
            return self._counts_at_once(cohort)
        else:
            groups = self.index.rows(f"SELECT {_COUNTS} FROM {cohort.source} GROUP BY ALL")
            keys = f"SELECT {_DISTINCT} FROM {cohort.source}"
        if not groups:
            return [], 0, 0
        patients, studies = self.index.rows(keys)[0]
        return groups, patients, studies

    def _counts_at_once(self, cohort: Cohort) -> tuple[list[Row], int, int]:
        """As `_counts`; finding the series is what takes time here, so it is done once."""
        rows = self.index.rows(
            f"WITH found AS MATERIALIZED (SELECT {_COUNTED} FROM {cohort.source}) "
            f"SELECT *, NULL, NULL FROM (SELECT {_COUNTS} FROM found GROUP BY ALL) "
            f"UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, {_DISTINCT} FROM found"
        )
        (totals,) = (row for row in rows if row[6] is not None)
        return [row[:6] for row in rows if row[6] is None], totals[6], totals[7]

    def _unknown(self, spec: Definition, series: int) -> Iterator[str]:
        """What a filter left out only because nothing is known of it."""
        for condition in spec.conditions:
            if not condition.unknown:
                continue
            left_out = self._count(_without(spec, condition), condition.unknown)
            if left_out > series * _MIN_UNKNOWN_SHARE:
                yield (
                    f"{condition.unknown_means} in {left_out:,} series that match the rest; "
                    "they are left out"
                )

    def _empty(self, cohort: Cohort) -> NotFound:
        spec = cohort.spec
        if spec is None or not (spec.conditions or spec.use != "any"):
            return NotFound(f"The cohort has no series: {cohort.understood}.")
        removed = [
            f"without {condition.name} {self._count(_without(spec, condition)):,} series"
            for condition in spec.conditions
        ]
        if spec.use != "any":
            removed.append(
                f"without use={spec.use} {self._count(replace(spec, use='any')):,} series"
            )
        return NotFound(
            f"No series matches all of this together: {cohort.understood}. "
            f"There are, {'; '.join(removed)}.",
            next_step="loosen the condition that removes them, or call idc_search",
        )

    def _count(self, spec: Definition, condition: str = "true") -> int:
        count = self.index.value(f"SELECT count(*) FROM {Cohort.of(spec).source} WHERE {condition}")
        return int(count)


def _without(spec: Definition, condition: Condition) -> Definition:
    others = tuple(other for other in spec.conditions if other.name != condition.name)
    return replace(spec, conditions=others)
