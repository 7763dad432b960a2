"""A definition as a condition on core.prior: which of its series are no longer served.

The same condition finds the series of which `index` says that they had come by then, and of which
no table has the version that was served.

Prior versions keep few columns (`prior_versions_index`). What a definition asks of another column
cannot be told of them: the column is named, and the condition leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from idc_mcp.errors import NotFound
from idc_mcp.idc.cohorts.definitions import PRIOR_KIND
from idc_mcp.idc.cohorts.written import Written
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.matching import match
from idc_mcp.idc.identifiers import COLUMN
from idc_mcp.idc.sql import literals
from idc_mcp.index.store import Index

ON_VALUES = (
    "collection_id", "Modality", "aws_bucket", "PatientID", "StudyInstanceUID",
    "SeriesInstanceUID", "crdc_series_uuid",
)  # fmt: skip
"""Filters on values of a column that prior_versions_index has too."""

AS_THEY_STAND = ("series_size_MB", *Filters.COLLECTION_TEXTS)
"""Other filters whose condition can be asked of it."""

_NO_COLUMN = ("doi", "analysis_result")
"""Kinds of identifiers that it has no column for."""

PATIENT_NAME = "collection_id || '/' || PatientID"
"""A patient as definitions name one."""

_MAY_DIFFER = ("aws_bucket", "series_size_MB")
"""Columns that a version may have had another value of than the one served today."""


@dataclass
class Superseded:
    """Definitions of release `number`, asked of what the catalogue has ceased to serve.

    `given` is SQL that yields the series of a kept set.
    """

    index: Index
    number: int
    given: Callable[[dict[str, Any]], str]
    written: Written
    untold: dict[str, None] = field(default_factory=dict)
    """The columns that prior versions lack."""
    open_ended: bool = False
    """Whether one of them would have widened the condition."""
    named: dict[str, None] = field(default_factory=dict)
    """SQL that yields what the definition names by crdc_series_uuid, list by list."""
    narrowed: bool = False
    """Whether something narrows what it names."""
    differing: bool = False
    """Whether it asks for what a version may have had another value of."""

    def condition(self, content: dict[str, Any]) -> str:
        """The condition; '' where the definition can name no prior version.

        A version that the definition names itself is meant whenever it was served; what it
        names otherwise is what its release served.
        """
        return self._condition(
            content, f"crdc_series_uuid IN ({self._prior('crdc_series_uuid')})", unaccounted=False
        )

    def unaccounted(self, content: dict[str, Any]) -> int:
        """Series that had come by then as `index` says, with no version of then in any table.

        Where `differing` is set they may be fewer: what is not known of them is left out.
        """
        condition = self._condition(content, "true", unaccounted=True)
        if not condition:
            return 0
        return int(
            self.index.value(
                f"SELECT count(*) FROM core.series WHERE series_init_idc_version <= {self.number} "
                f"AND series_revised_idc_version > {self.number} "
                f"AND SeriesInstanceUID NOT IN ({self._prior('SeriesInstanceUID')}) "
                f"AND ({condition})"
            )
        )

    def unknown(self) -> int:
        """How many of the versions named are none that a release had until then, as far as known.

        To be asked after `condition`.
        """
        if not self.named:
            return 0
        return int(
            self.index.value(
                f"SELECT count(*) FROM ({' UNION '.join(self.named)}) AS named(id) ANTI JOIN "
                "(SELECT crdc_series_uuid AS id FROM core.prior UNION ALL "
                "SELECT crdc_series_uuid FROM core.series "
                f"WHERE series_revised_idc_version <= {self.number}) AS known USING (id)"
            )
        )

    def _prior(self, column: str) -> str:
        return (
            f"SELECT {column} FROM prior_versions_index "
            f"WHERE {self.number} BETWEEN min_idc_version AND max_idc_version"
        )

    def _condition(self, content: dict[str, Any], served: str, *, unaccounted: bool) -> str:
        """The condition; a version `unaccounted` for has no crdc_series_uuid that is known."""
        by_kind: dict[str, list[str]] = {}
        for kind, value in content.get("identifiers", []):
            by_kind.setdefault(kind, []).append(value)
        base = []
        for kind, values in by_kind.items():
            if kind in _NO_COLUMN:
                self.untold[COLUMN[kind]] = None  # type: ignore[index]
                self.open_ended = True
            elif kind in ("series", PRIOR_KIND):
                base += self._versions(self.written.query(values), unaccounted)
            else:
                column = PATIENT_NAME if kind == "patient" else COLUMN[kind]  # type: ignore[index]
                base.append(f"({column} IN ({self.written.query(values)}) AND {served})")
        for other in content.get("within", []):
            if inner := self._condition(other, served, unaccounted=unaccounted):
                base.append(f"({inner})")
        if content.get("series"):
            base += self._versions(self.given(content["series"]), unaccounted)
        filters = Filters.model_validate(content.get("filters", {})).given()
        narrowing = [
            part for name in filters if (part := self._filter(name, filters, content, unaccounted))
        ]
        if content.get("use", "any") != "any":
            self.untold["license_short_name"] = None
            self.narrowed = True
        if not base and any(content.get(key) for key in ("identifiers", "within", "series")):
            return ""
        return " AND ".join([f"({' OR '.join(base)})" if base else served, *narrowing])

    def _versions(self, query: str, unaccounted: bool) -> list[str]:
        self.named[f"SELECT * FROM ({query})"] = None
        return [] if unaccounted else [f"crdc_series_uuid IN ({query})"]

    def _filter(
        self, name: str, filters: dict[str, Any], content: dict[str, Any], unaccounted: bool
    ) -> str:
        """A filter as a condition; '' where there is no column for it, or no value known."""
        self.narrowed = True
        if name == "crdc_series_uuid":
            return (self._versions(self.written.query(filters[name]), unaccounted) or ["false"])[0]
        if name in _MAY_DIFFER:
            self.differing = True
            if unaccounted:
                return ""
        if name in ON_VALUES:
            return f"{name} IN ({literals(filters[name])})"
        if name in AS_THEY_STAND:
            try:
                only = Filters.model_validate({name: content["filters"][name]})
                return match(self.index, only)[0].sql
            except NotFound:
                pass  # no collection of today has this text: which had it then is not known
        self.untold[name] = None
        return ""
