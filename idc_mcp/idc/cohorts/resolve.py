"""Cohorts: from what callers say to what every tool takes, and back by a handle."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from idc_mcp.errors import Damaged, NotFound
from idc_mcp.idc.cohorts.definitions import (
    INDEX,
    PRIOR_KIND,
    SERIES,
    Definition,
    SeriesSet,
    handle_of,
)
from idc_mcp.idc.cohorts.files import HANDLE, CohortFiles, Kept
from idc_mcp.idc.cohorts.lists import SeriesLists
from idc_mcp.idc.cohorts.older import other_release
from idc_mcp.idc.cohorts.origins import SERIES_COLUMNS, Origin
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.matching import match
from idc_mcp.idc.identifiers import identify
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings

_LONGEST_NAME = 100


@dataclass(frozen=True)
class Cohort:
    """A resolved cohort.

    `source` goes behind FROM in SQL of ours: rows of core.series (the columns of `index` and
    `series_bytes`, `patient_key`, `study_key`). Series of prior versions (`prior`) have NULL
    in the columns that `prior_versions_index` lacks. `definition` is SQL that a caller can
    run, and `view` the SELECT that the handle stands for in callers' SQL. `notes` say what was
    left out when the SELECT or manifest behind it was read.
    """

    handle: str
    understood: str
    definition: str
    source: str
    prior: bool = False
    view: str = ""
    name: str = ""
    spec: Definition | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: Definition, name: str = "", notes: Sequence[str] = ()) -> Cohort:
        """The cohort of a definition."""
        return cls(
            handle=spec.handle,
            understood=spec.understood(),
            definition=spec.readable(),
            source=f"({spec.select(SERIES)}) AS series",
            prior=spec.has_prior,
            view=spec.select(INDEX),
            name=name,
            spec=spec,
            notes=tuple(notes),
        )


def name_for(cohorts: Cohorts, said: str, cohort: Cohort) -> str:
    """The cohort as a next call may name it: a long list by the handle it is then kept under."""
    if len(said) <= _LONGEST_NAME or cohort.spec is None:
        return said
    return cohorts.keep(cohort.spec).handle


class Cohorts:
    """Resolves cohorts, and keeps those that were given a handle."""

    def __init__(self, index: Index, pool: SqlPool, settings: Settings) -> None:
        self.index = index
        self.files = CohortFiles(index, settings.state_dir)
        self.lists = SeriesLists(index, pool, self.files, settings.output_dir)

    def resolve(self, cohort: str) -> Cohort:
        """A cohort as callers name it: a handle, or identifiers with commas.

        Raises
        ------
        BadArgument, NotFound
            It is empty, a part of it is unknown, or it was made on another release.
        Damaged
            Its file is corrupt and cannot be made again from what is kept.
        """
        parts = [part.strip() for part in cohort.split(",") if part.strip()]
        if len(parts) == 1 and HANDLE.fullmatch(parts[0]):
            return self._by_handle(parts[0].lower())
        return Cohort.of(self.define(identifiers=parts or [cohort]))

    def define(
        self,
        *,
        identifiers: list[str] | None = None,
        series: SeriesSet | None = None,
        filters: Filters | None = None,
        use: str = "any",
    ) -> Definition:
        """A definition from what a caller gave; handles may stand among the identifiers."""
        named: set[tuple[str, str]] = set()
        within: dict[str, Definition] = {}
        for text in identifiers or []:
            if HANDLE.fullmatch(text.strip()):
                other = self._by_handle(text.strip().lower()).spec
                assert other is not None
                within[other.handle] = other
            else:
                found = identify(self.index, text)
                named.add((PRIOR_KIND if found.prior else found.kind, found.value))
        given = filters or Filters()
        if len(within) == 1 and not named and not given.given() and use == "any":
            return next(iter(within.values()))  # a cohort named by its handle is itself
        return Definition(
            release=self.index.release.name,
            identifiers=tuple(sorted(named)),
            within=tuple(within[handle] for handle in sorted(within)),
            series=series,
            filters=given,
            conditions=tuple(match(self.index, given)),
            use=use,
        )

    def keep(
        self,
        definition: Definition,
        *,
        name: str = "",
        origin: str = "",
        notes: list[str] | None = None,
    ) -> Cohort:
        """Keep a definition under its handle.

        What is kept already under it stays where nothing else is given: the name, the SQL that
        gave its series (`origin`, which yields crdc_series_uuid, or that of its series), and the
        notes on how they were read.
        """
        handle = definition.handle
        before = None
        with contextlib.suppress(Damaged):  # it is written anew
            before = self.files.load(handle)
        if definition.series:
            source = Origin(origin, SERIES_COLUMNS[0]) if origin else definition.series.origin
            if source and self._rests_on(source.sql, handle):
                source = None  # the cohort would be made of itself
            if source is None and before:
                source = _origin(before)
            definition = replace(definition, series=replace(definition.series, origin=source))
        else:
            source = None
        kept = Kept(
            handle,
            definition.canonical(),
            name or (before.name if before else ""),
            source.sql if source else "",
            source.key if source else "",
            source.picked if source else "",
            notes if notes is not None else before.notes if before else [],
        )
        self.files.keep(kept)
        return Cohort.of(definition, kept.name, kept.notes)

    def for_use(self, cohort: Cohort, use: str) -> Cohort:
        """The part of a cohort whose licences allow `use`, kept under its own handle."""
        assert cohort.spec is not None
        if cohort.spec.use == use:
            return self.keep(cohort.spec, name=cohort.name)
        return self.keep(replace(cohort.spec, use=use))

    def views(self, sql: str) -> dict[str, str]:
        """The SELECT of every cohort that a caller's SQL may name, by handle.

        Handles that are not kept here are left out: the guard says so where one is used.
        """
        handles = {found.lower() for found in HANDLE.findall(sql)}
        return {
            handle: self._by_handle(handle).view
            for handle in sorted(handles)
            if self.files.known(handle)
        }

    def _by_handle(self, handle: str) -> Cohort:
        kept = self.files.load(handle)
        if kept is None:
            raise NotFound(
                f"No cohort {handle} is kept on this machine.",
                next_step="call idc_cohort again with the same definition: it gives the same "
                "handle",
            )
        if error := other_release(self.index, self.files, kept, self._loaded):
            raise error
        definition = self._loaded(kept.definition)
        for series in _series_sets(definition):
            if not self.files.proven(series.digest):
                self._rebuild(kept, series)
        if definition.series:
            own = replace(definition.series, origin=_origin(kept))
            definition = replace(definition, series=own)
        label = f" ({kept.name})" if kept.name else ""
        # What it means was said when the handle was given: not again with every call.
        return replace(
            Cohort.of(definition, kept.name, kept.notes), understood=f"cohort {handle}{label}"
        )

    def _rests_on(self, sql: str, handle: str) -> bool:
        """Whether a statement names a cohort, itself or through the cohorts that it names."""
        seen: set[str] = set()
        waiting = {found.lower() for found in HANDLE.findall(sql)}
        while waiting:
            if handle in waiting:
                return True
            seen |= waiting
            named: set[str] = set()
            for one in waiting:
                with contextlib.suppress(Damaged):
                    if kept := self.files.load(one):
                        named |= {found.lower() for found in HANDLE.findall(kept.origin)}
                        named |= set(_handles_within(kept.definition))
            waiting = named - seen
        return False

    def _rebuild(self, kept: Kept, series: SeriesSet) -> None:
        """Make a missing or damaged set of series again, where SQL can give the same ones."""
        problem = f"The series of cohort {kept.handle} ({series.path}) are missing or damaged"
        if not kept.origin:
            raise Damaged(
                f"{problem}, and a list or manifest cannot be read again from here.",
                next_step="call idc_cohort again with the same list or manifest",
            )
        made = self.lists.of_sql(kept.origin, self.views(kept.origin))
        if made.digest != series.digest:
            raise Damaged(
                f"{problem}, and its SQL now gives other series.",
                next_step=f"call idc_cohort(sql=…) for a new handle; the SQL was: {kept.origin}",
            )

    def _loaded(self, content: dict[str, Any]) -> Definition:
        filters = Filters.model_validate(content.get("filters", {}))
        kept = content.get("series")
        return Definition(
            release=content["release"],
            identifiers=tuple((kind, value) for kind, value in content.get("identifiers", [])),
            within=tuple(self._loaded(other) for other in content.get("within", [])),
            series=SeriesSet(**kept, path=self.files.series_path(kept["digest"])) if kept else None,
            filters=filters,
            conditions=tuple(match(self.index, filters)),
            use=content.get("use", "any"),
        )


def _origin(kept: Kept) -> Origin | None:
    return Origin(kept.origin, kept.key, kept.picked) if kept.origin else None


def _handles_within(content: dict[str, Any]) -> Iterator[str]:
    for other in content.get("within", []):
        yield handle_of(other)
        yield from _handles_within(other)


def _series_sets(definition: Definition) -> list[SeriesSet]:
    own = [definition.series] if definition.series else []
    return own + [found for other in definition.within for found in _series_sets(other)]
