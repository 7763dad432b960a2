"""An older cohort's definition, as plain data of the installed release.

Its identifiers and filter values are kept where the installed release has them; what it lacks is
collected by name. Filters keep the values that matched when the cohort was made: values that have
come since are not among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from idc_mcp.errors import NotFound
from idc_mcp.idc.cohorts.definitions import PRIOR_KIND, Definition
from idc_mcp.idc.cohorts.files import CohortFiles
from idc_mcp.idc.cohorts.superseded import PATIENT_NAME
from idc_mcp.idc.cohorts.written import Written
from idc_mcp.idc.facts import values_of
from idc_mcp.idc.filters.conditions import NULL
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.identifiers import COLUMN
from idc_mcp.index.store import Index

Load = Callable[[dict[str, Any]], Definition]

_BASES = ("identifiers", "within", "series")

_MOST_IDENTIFIERS = 1_000
"""More become a kept set of series: a definition writes its identifiers into its SQL."""


@dataclass
class Rebased:
    """Makes definitions of the installed release from older ones.

    With `revised`, a series named by its version is meant in the version of today, whichever was
    named; without, only versions that are served still. `given` is SQL that yields the series of
    a kept set, `load` makes a definition of plain data.
    """

    index: Index
    files: CohortFiles
    load: Load
    given: Callable[[dict[str, Any]], str]
    written: Written
    revised: bool
    gone: list[str] = field(default_factory=list)
    """What the installed release does not have, by name."""
    problems: list[str] = field(default_factory=list)
    """Why a definition, or one within it, has nothing there."""

    def definition(self, content: dict[str, Any]) -> Definition | None:
        """The definition on the installed release; None where nothing of it is there."""
        made: dict[str, Any] = {"release": self.index.release.name}
        identifiers = content.get("identifiers", [])
        many = len(identifiers) > _MOST_IDENTIFIERS
        if identifiers and not many:
            made["identifiers"] = self._identifiers(identifiers)
        if content.get("within"):
            within = [found for one in content["within"] if (found := self.definition(one))]
            within.sort(key=lambda found: found.handle)
            made["within"] = [found.canonical() for found in within]
        sets = self._sets(identifiers) if many else []
        if series := self._series(content.get("series"), sets):
            made["series"] = series
        had_base = any(content.get(base) for base in _BASES)
        if had_base and not any(made.get(base) for base in _BASES):
            return None
        made |= {key: content[key] for key in ("use",) if key in content}
        if content.get("filters"):
            made["filters"] = self._filters(content["filters"])
        try:
            return self.load(made)
        except NotFound as error:
            self.problems.append(error.what)
            return None

    def _identifiers(self, pairs: list[list[str]]) -> list[list[str]]:
        found: set[tuple[str, str]] = set()
        for kind, values in _by_kind(pairs).items():
            if kind in ("series", PRIOR_KIND):
                versions = self._versions(self.written.query(values))
                found |= {("series", row[0]) for row in self.index.rows(versions)}
            else:
                found |= {(kind, value) for value in self._named(kind, values)}
        return [list(pair) for pair in sorted(found)]

    def _sets(self, pairs: list[list[str]]) -> list[str]:
        """The series of identifiers as SQL that yields their crdc_series_uuid."""
        sets = []
        for kind, values in _by_kind(pairs).items():
            given = self.written.query(values)
            if kind in ("series", PRIOR_KIND):
                sets.append(self._versions(given))
            elif self._named(kind, values):
                sets.append(
                    "SELECT crdc_series_uuid FROM core.series "
                    f"WHERE {_column(kind)} IN (SELECT id FROM ({given}))"
                )
        return sets

    def _named(self, kind: str, values: list[str]) -> set[str]:
        """Those that the installed release has; the others are noted as gone."""
        there = self._there(_column(kind), values)
        self.gone += [f"{kind} {value}" for value in values if value not in there]
        return there

    def _series(self, series: dict[str, Any] | None, sets: list[str]) -> dict[str, Any]:
        """A kept set and what yields further series as one set; {} where none is there."""
        if series and not sets and not self.revised:
            return series | {"prior": False}  # only what is served of it then counts
        if series:
            sets = [*sets, self._versions(self.given(series))]
        versions = " UNION ALL ".join(sets)
        if not sets or not self.index.row(f"SELECT 1 FROM ({versions}) LIMIT 1"):
            return {}
        found = self.files.keep_series(versions)
        return {"digest": found.digest, "count": found.count, "prior": found.prior}

    def _versions(self, given: str) -> str:
        """What the installed release serves of the series whose versions `given` yields.

        One may be there twice.
        """
        current = "SELECT crdc_series_uuid FROM core.series WHERE"
        served = f"{current} crdc_series_uuid IN ({given})"
        if not self.revised:
            return served
        # Each half a join of its own: with OR the two would be tried row by row.
        return (
            f"{served} UNION ALL {current} SeriesInstanceUID IN (SELECT SeriesInstanceUID "
            f"FROM core.prior WHERE crdc_series_uuid IN ({given}))"
        )

    def _filters(self, filters: dict[str, Any]) -> dict[str, Any]:
        fitting = dict(filters)
        for name, asked in Filters.model_validate(filters).given().items():
            if name in Filters.COLUMNS:
                known = {value.casefold() for value in values_of(self.index, name)} | {NULL}
                there = [value for value in asked if value.casefold() in known]
            elif name in Filters.IDENTIFIERS:
                found = self._there(name, asked)
                there = [value for value in asked if value in found]
            else:
                continue
            self.gone += [f"{name} {value}" for value in asked if value not in there]
            # Where no value is left, matching the filter says so.
            fitting[name] = there or asked
        return fitting

    def _there(self, column: str, values: list[str]) -> set[str]:
        return {
            row[0]
            for row in self.index.rows(
                f"SELECT DISTINCT {column} FROM core.series "
                f"WHERE {column} IN ({self.written.query(values)})"
            )
        }


def _column(kind: str) -> str:
    return PATIENT_NAME if kind == "patient" else COLUMN[kind]  # type: ignore[index]


def _by_kind(pairs: list[list[str]]) -> dict[str, list[str]]:
    by_kind: dict[str, list[str]] = {}
    for kind, value in pairs:
        by_kind.setdefault(kind, []).append(value)
    return by_kind
