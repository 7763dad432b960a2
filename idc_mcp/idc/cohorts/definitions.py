"""What a cohort is, as a value: its canonical form, its handle, its SQL.

The base of a cohort is the union of identifiers, of other cohorts and of a kept set of
series (no base means the whole release); filters and a use narrow it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from idc_mcp.idc import terms
from idc_mcp.idc.cohorts.origins import Origin, statement
from idc_mcp.idc.filters.conditions import Condition
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.rows import narrowing
from idc_mcp.idc.identifiers import COLUMN
from idc_mcp.idc.sql import literal, literals
from idc_mcp.index.layout import PATIENT

INDEX = 'main."index"'
SERIES = "core.series"
PRIOR_KIND = "prior"
"""The kind of an identifier that names a prior version of a series (a row of core.prior)."""

_PRIOR_COLUMNS = (
    "collection_id, PatientID, SeriesInstanceUID, StudyInstanceUID, Modality, crdc_series_uuid, "
    "series_size_MB, series_aws_url, aws_bucket"
)
_PRIOR_VERSIONS = (
    f"SELECT DISTINCT ON (crdc_series_uuid) {_PRIOR_COLUMNS} FROM prior_versions_index"
)
_LAST_FIRST = " ORDER BY max_idc_version DESC"
"""As core.prior, on the published table: of a version that was moved, where it lies now."""

_HASHED_KEYS = f"hash({PATIENT}) AS patient_key, hash(StudyInstanceUID) AS study_key"


@dataclass(frozen=True)
class SeriesSet:
    """Series kept in a file, named by the digest of their sorted crdc_series_uuid.

    `prior` says that prior versions are among them, `origin` is the SELECT that gave them, if
    one did.
    """

    digest: str
    count: int
    prior: bool
    path: Path = field(compare=False)
    origin: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Definition:
    """A cohort of a release; equal definitions have equal handles."""

    release: str
    identifiers: tuple[tuple[str, str], ...] = ()
    within: tuple[Definition, ...] = ()
    series: SeriesSet | None = None
    filters: Filters = field(default_factory=Filters, compare=False)
    conditions: tuple[Condition, ...] = field(default=(), compare=False)
    use: str = "any"

    def canonical(self) -> dict[str, Any]:
        """The definition as plain data, without what does not change the cohort."""
        content: dict[str, Any] = {"release": self.release}
        if self.identifiers:
            content["identifiers"] = [list(pair) for pair in self.identifiers]
        if self.within:
            content["within"] = [definition.canonical() for definition in self.within]
        if self.series:
            content["series"] = {
                "digest": self.series.digest,
                "count": self.series.count,
                "prior": self.series.prior,
            }
        if self.conditions:
            content["filters"] = _canonical(self.conditions)
        if self.use != "any":
            content["use"] = self.use
        return content

    @cached_property
    def handle(self) -> str:
        """`c_` and twelve hex digits of the canonical definition's SHA-256."""
        return handle_of(self.canonical())

    @property
    def has_prior(self) -> bool:
        """Whether series of prior versions may be among them."""
        return (
            any(kind == PRIOR_KIND for kind, _ in self.identifiers)
            or bool(self.series and self.series.prior)
            or any(definition.has_prior for definition in self.within)
        )

    @property
    def whole_collection(self) -> str:
        """The collection_id, where the cohort is one whole collection; else ''."""
        if self.within or self.series or self.use != "any":
            return ""
        named = [value for kind, value in self.identifiers if kind == "collection"]
        if len(named) == len(self.identifiers) == 1 and not self.conditions:
            return named[0]
        if len(self.conditions) == 1 and not self.identifiers:
            (condition,) = self.conditions
            if condition.name == "collection_id" and len(condition.canonical) == 1:
                return str(condition.canonical[0])
        return ""

    # -- as SQL ------------------------------------------------------------------------------

    def select(self, table: str) -> str:
        """A SELECT of the cohort's rows from `table`, which is INDEX or SERIES.

        Series of prior versions have NULL in the columns that `prior_versions_index` lacks.
        """
        if not self.has_prior:
            where = self._condition(table)
            return f"SELECT * FROM {table}" + (f" WHERE {where}" if where else "")
        # In the built database the keys are numbers that prior versions have none of; a hash
        # means the same on both sides.
        keyed = table == SERIES
        replace = f" REPLACE ({_HASHED_KEYS})" if keyed else ""
        added = f", series_bytes, {_HASHED_KEYS}" if keyed else ""
        everything = (
            f"SELECT *{replace} FROM {table} WHERE {self._base(prior=False) or 'false'} "
            f"UNION ALL BY NAME SELECT {_PRIOR_COLUMNS}{added} FROM core.prior "
            f"WHERE {self._base(prior=True) or 'false'}"
        )
        conditions = self._narrowing(INDEX)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT * FROM ({everything}){where}"

    def readable(self) -> str:
        """SQL that gives the cohort when a caller runs it.

        Other cohorts that are lists stand in it by their handles; a list that is the cohort's
        own cannot be written out, so only its own handle gives it.
        """
        narrowing = self._narrowing(INDEX)
        alone = not self.identifiers and len(self.within) + bool(self.series) == 1
        if self.series:
            origin = self.series.origin
            if origin and origin.names_series and alone and not narrowing:
                return statement(origin.sql)
            if not (origin and origin.key):
                return f"SELECT * FROM {self.handle}"
        if alone and self.within and not self.within[0]._is_plain:
            return _where(f"SELECT * FROM {self.within[0].handle}", narrowing)
        current = self._readable_base(prior=False)
        if not self.has_prior:
            base = [f"({current})" if narrowing and " OR " in current else current]
            return _where("SELECT * FROM index", [*filter(None, base), *narrowing])
        prior = _where(_PRIOR_VERSIONS, [self._readable_base(prior=True)]) + _LAST_FIRST
        if not current and not narrowing:
            return prior
        everything = f"SELECT * FROM index WHERE {current or 'false'} UNION ALL BY NAME ({prior})"
        return _where(f"SELECT * FROM ({everything})", narrowing) if narrowing else everything

    def understood(self) -> str:
        """The definition in a person's words."""
        by_kind = _by_kind(self.identifiers)
        parts = [f"{_label(kind)} {_some(values)}" for kind, values in by_kind.items()]
        parts += [f"cohort {other.handle}" for other in self.within]
        if self.series:
            parts.append(f"a kept list of {self.series.count:,} series")
        return "; ".join(
            [
                " or ".join(parts) or f"all of IDC {self.release}",
                *(condition.matched for condition in self.conditions),
                *([f"licences that allow {self.use} use"] if self.use != "any" else []),
            ]
        )

    def _condition(self, table: str) -> str:
        base = self._base(prior=False)
        conditions = self._narrowing(table)
        if base and conditions and " OR " in base:
            base = f"({base})"
        return " AND ".join([*([base] if base else []), *conditions])

    @property
    def _is_plain(self) -> bool:
        """Whether it can be written as a condition on `index`."""
        return not (self.series or self.within or self.has_prior)

    def _readable_base(self, *, prior: bool) -> str:
        """As `_base`, for callers: with handles and SELECTs of theirs in place of files."""
        parts = _identifier_conditions(self.identifiers, prior=prior)
        for other in self.within:
            if not other._is_plain:
                parts.append(f"crdc_series_uuid IN (SELECT crdc_series_uuid FROM {other.handle})")
            elif not prior:
                parts.append(f"({other._condition(INDEX) or 'true'})")
        if self.series and self.series.origin and (self.series.prior or not prior):
            parts.append(self.series.origin.condition())
        return " OR ".join(parts)

    def _narrowing(self, table: str) -> list[str]:
        conditions = narrowing(self.conditions, fast=table == SERIES)
        if self.use != "any":
            conditions.append(terms.condition(self.use))
        return conditions

    def _base(self, *, prior: bool) -> str:
        """The base as a condition, on the current series or on prior versions; '' for all."""
        parts = _identifier_conditions(self.identifiers, prior=prior)
        for other in self.within:
            if self.has_prior:
                parts.append(
                    f"crdc_series_uuid IN (SELECT crdc_series_uuid FROM ({other.select(INDEX)}))"
                )
            else:
                parts.append(f"({other._condition(INDEX) or 'true'})")
        if self.series:
            parts.append(
                "crdc_series_uuid IN (SELECT crdc_series_uuid "
                f"FROM read_parquet({literal(str(self.series.path))}))"
            )
        return " OR ".join(parts)


def handle_of(canonical: dict[str, Any]) -> str:
    """The handle of a canonical definition."""
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return f"c_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _where(select: str, conditions: list[str]) -> str:
    return f"{select} WHERE {' AND '.join(conditions)}" if conditions else select


def _canonical(conditions: tuple[Condition, ...]) -> dict[str, Any]:
    """The filters as a caller could give them; columns of tables stand in one filter."""
    content: dict[str, Any] = {}
    for condition in conditions:
        of_columns, dot, column = condition.name.partition(".")
        if dot:
            content.setdefault(of_columns, {})[column] = condition.canonical
        else:
            content[condition.name] = condition.canonical
    return content


def _identifier_conditions(pairs: tuple[tuple[str, str], ...], *, prior: bool) -> list[str]:
    conditions: list[str] = []
    for kind, values in _by_kind(pairs).items():
        if (kind == PRIOR_KIND) != prior:
            continue
        if kind == "patient":
            split = [value.split("/", 1) for value in values]
            conditions += [
                f"(collection_id = {literal(collection)} AND PatientID = {literal(patient)})"
                for collection, patient in split
            ]
            continue
        column = COLUMN["series"] if kind == PRIOR_KIND else COLUMN[kind]  # type: ignore[index]
        conditions.append(f"{column} IN ({literals(values)})")
    return conditions


def _by_kind(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    by_kind: dict[str, list[str]] = {}
    for kind, value in pairs:
        by_kind.setdefault(kind, []).append(value)
    return by_kind


def _label(kind: str) -> str:
    return "prior version" if kind == PRIOR_KIND else kind.replace("_", " ")


def _some(values: list[str]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")
