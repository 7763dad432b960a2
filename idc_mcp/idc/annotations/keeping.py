"""The handles of an answer: series kept with the SELECT on published tables that gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idc_mcp.errors import Damaged
from idc_mcp.idc.annotations.found import Asked
from idc_mcp.idc.annotations.kinds import IMAGE
from idc_mcp.idc.sql import literal, literals
from idc_mcp.index.specialised import REFERENCES

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort, Cohorts


def keep_cohort(cohorts: Cohorts, cohort: Cohort) -> None:
    """Keep the cohort that is asked about: the SELECTs below name its handle."""
    if cohort.spec is not None and not cohorts.files.known(cohort.handle):
        cohorts.keep(cohort.spec)


def keep_series(cohorts: Cohorts, keys: str, origin: str) -> Cohort:
    """The series of a query for keys under a handle; `origin` is a caller's SQL for the same.

    Equal sets have equal handles: a name that somebody gave the set stays.
    """
    query = f"SELECT crdc_series_uuid FROM core.series WHERE series_key IN ({keys})"
    definition = cohorts.define(series=cohorts.files.keep_series(query, current=True))
    try:
        before = cohorts.files.load(definition.handle)
    except Damaged:
        before = None
    return cohorts.keep(definition, name=before.name if before else "", origin=origin)


class Origins:
    """The SELECTs that give the series of an answer, over the published tables."""

    def __init__(self, asked: Asked, cohort: Cohort) -> None:
        self.asked = asked
        self.handle = cohort.handle
        self.prior = cohort.prior
        self.kinds = f"Modality IN ({literals(asked.kinds)})"

    def annotations(self) -> str:
        """What refers to the images of the cohort."""
        return (
            f"SELECT crdc_series_uuid FROM index WHERE {self.kinds} AND SeriesInstanceUID IN "
            f"({self._references(f'source IN ({self._mine(IMAGE)})')})"
        )

    def annotated(self) -> str:
        """The images of the cohort that something refers to."""
        theirs = f"SeriesInstanceUID IN (SELECT SeriesInstanceUID FROM index WHERE {self.kinds})"
        return (
            "SELECT crdc_series_uuid FROM index WHERE SeriesInstanceUID IN "
            f"({self._references(theirs, 'source')}) AND SeriesInstanceUID IN ({self._mine(IMAGE)})"
        )

    def annotations_nearby(self) -> str:
        """Annotations in the studies of the images, whose source is not known."""
        return (
            f"SELECT crdc_series_uuid FROM index WHERE {self.kinds} "
            f"AND StudyInstanceUID IN ({self._studies(IMAGE)}) AND {self._no_source()}"
        )

    def annotations_with_images(self) -> str:
        """The annotations of the cohort whose source is known."""
        return (
            f"SELECT crdc_series_uuid FROM index WHERE SeriesInstanceUID IN "
            f"({self._mine(self.kinds)}) AND SeriesInstanceUID IN ({self._known()})"
        )

    def without_image(self, kind: str) -> str:
        """How many annotations of a kind whose source is not known, by analysis result."""
        mine = f"Modality = {literal(kind)} AND {self._no_source()}"
        return (
            f"SELECT analysis_result_id, count(*) AS series FROM {self.handle} WHERE {mine} "
            "GROUP BY ALL ORDER BY 2 DESC"
        )

    def images(self) -> str:
        """What the annotations of the cohort refer to."""
        mine = f"SeriesInstanceUID IN ({self._mine(self.kinds)})"
        return (
            "SELECT crdc_series_uuid FROM index WHERE SeriesInstanceUID IN "
            f"({self._references(mine, 'source')})"
        )

    def images_nearby(self) -> str:
        """Images in the studies of annotations whose source is not known."""
        return (
            f"SELECT crdc_series_uuid FROM index WHERE {IMAGE} AND StudyInstanceUID IN "
            f"({self._studies(f'{self.kinds} AND {self._no_source()}')})"
        )

    def _mine(self, condition: str) -> str:
        return f"SELECT SeriesInstanceUID FROM {self.handle} WHERE {condition}"

    def _studies(self, condition: str) -> str:
        if not self.prior:
            return f"SELECT StudyInstanceUID FROM {self.handle} WHERE {condition}"
        # Of a series that has a newer version, the study of that one counts.
        return (
            "SELECT StudyInstanceUID FROM index WHERE SeriesInstanceUID IN "
            f"({self._mine(condition)})"
        )

    def _no_source(self) -> str:
        if not self.asked.kinds_here:
            return "true"
        return f"SeriesInstanceUID NOT IN ({self._known()})"

    def _known(self) -> str:
        return self._references("source IN (SELECT SeriesInstanceUID FROM index)")

    def _references(self, condition: str, column: str = "SeriesInstanceUID") -> str:
        parts = " UNION ALL ".join(
            f"SELECT SeriesInstanceUID, {source} AS source FROM {table}"
            for table, (kind, source) in REFERENCES.items()
            if kind in self.asked.kinds_here
        )
        return f"SELECT {column} FROM ({parts}) AS refers WHERE {condition}"
