"""A definition as a condition on core.prior: which of its series are no longer served.

Prior versions keep few columns (`prior_versions_index`). What a definition asks of another column
cannot be told of them: the column is named, and the condition leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from idc_mcp.errors import NotFound
from idc_mcp.idc.cohorts.definitions import PRIOR_KIND
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


@dataclass
class Superseded:
    """Definitions of release `number`, asked of what the catalogue has ceased to serve.

    `given` is SQL that yields the series of a kept set. `untold` collects the columns that prior
    versions lack; `open_ended` is set where one of them would have widened the condition.
    """

    index: Index
    number: int
    given: Callable[[dict[str, Any]], str]
    untold: dict[str, None] = field(default_factory=dict)
    open_ended: bool = False

    def condition(self, content: dict[str, Any]) -> str:
        """The condition; '' where the definition can name no prior version.

        A version that the definition names itself is meant whenever it was served; what it
        names otherwise is what its release served.
        """
        served = (
            "crdc_series_uuid IN (SELECT crdc_series_uuid FROM prior_versions_index "
            f"WHERE {self.number} BETWEEN min_idc_version AND max_idc_version)"
        )
        by_kind: dict[str, list[str]] = {}
        for kind, value in content.get("identifiers", []):
            by_kind.setdefault(kind, []).append(value)
        base = []
        for kind, values in by_kind.items():
            if kind in _NO_COLUMN:
                self.untold[COLUMN[kind]] = None  # type: ignore[index]
                self.open_ended = True
            elif kind in ("series", PRIOR_KIND):
                base.append(f"crdc_series_uuid IN ({literals(values)})")
            else:
                column = PATIENT_NAME if kind == "patient" else COLUMN[kind]  # type: ignore[index]
                base.append(f"({column} IN ({literals(values)}) AND {served})")
        for other in content.get("within", []):
            if inner := self.condition(other):
                base.append(f"({inner})")
        if content.get("series"):
            base.append(f"crdc_series_uuid IN ({self.given(content['series'])})")
        filters = Filters.model_validate(content.get("filters", {})).given()
        narrowing = [part for name in filters if (part := self._filter(name, filters, content))]
        if content.get("use", "any") != "any":
            self.untold["license_short_name"] = None
        if not base and any(content.get(key) for key in ("identifiers", "within")):
            return ""
        return " AND ".join([f"({' OR '.join(base)})" if base else served, *narrowing])

    def _filter(self, name: str, filters: dict[str, Any], content: dict[str, Any]) -> str:
        """A filter as a condition; '' where there is no column for it."""
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
