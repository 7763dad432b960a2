"""Cohorts: a set of series of one release, by identifiers, filters, SQL, list or manifest."""

from __future__ import annotations

from dataclasses import dataclass

from idc_mcp.index.pool import SqlPool
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings


@dataclass(frozen=True)
class Cohort:
    """A resolved cohort.

    `source` goes behind FROM in SQL of ours: rows of core.series (the columns of `index` and
    `series_bytes`, `patient_key`, `study_key`). Series of prior versions have NULL in the
    columns that `prior_versions_index` lacks.
    """

    handle: str
    understood: str
    definition: str
    source: str
    prior: bool = False


class Cohorts:
    """Resolves and keeps cohorts."""

    def __init__(self, index: Index, pool: SqlPool, settings: Settings) -> None:
        self.index = index
        self.pool = pool
        self.settings = settings

    def resolve(self, cohort: str) -> Cohort:
        """A cohort as callers name it: a handle, or identifiers with commas."""
        raise NotImplementedError
