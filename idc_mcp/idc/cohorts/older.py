"""Cohorts of another release: what has changed since, and which cohorts of today they are.

A handle stands for the series of one release, so an older one is never read as one of today. The
error says what became of its series and names two cohorts that are kept for the next call: the
series as they were, prior versions by their crdc_series_uuid, and the same definition today.

Of what the catalogue no longer serves it keeps few columns. A filter on another one finds what is
still served; of what was revised or removed it cannot tell, and that is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from idc_mcp.errors import BadArgument, Damaged, IdcError
from idc_mcp.idc.cohorts.definitions import PRIOR_KIND, SERIES, Definition
from idc_mcp.idc.cohorts.files import CohortFiles, Kept
from idc_mcp.idc.cohorts.rebased import Load, Rebased
from idc_mcp.idc.cohorts.superseded import Superseded
from idc_mcp.idc.cohorts.written import Written
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.identifiers import COLUMN
from idc_mcp.idc.sql import literal
from idc_mcp.index.store import Index

_RELEASE = re.compile(r"v([1-9][0-9]{0,2})")
_DIGEST = re.compile(r"[0-9a-f]{32}")
_KEYS = {"release", "identifiers", "within", "series", "filters", "use"}
_NAMED = 3
_DEEPEST = 100
"""How deep cohorts may lie within one another."""


def other_release(index: Index, files: CohortFiles, kept: Kept, load: Load) -> IdcError | None:
    """Why a kept cohort is none of the installed release; None where it is one.

    `load` makes a definition of the installed release from plain data. The cohorts that the
    error names are kept.

    Raises
    ------
    Damaged
        The file's content is no definition, or cohorts are nested too deep in it.
    """
    numbers = _releases(kept.definition, kept.handle)
    now = index.release
    label = f"Cohort {kept.handle}" + (f" ({kept.name})" if kept.name else "")
    if max(numbers) > now.number:
        return BadArgument(
            f"{label} was made on IDC v{max(numbers)}; this server has {now.name}, which does "
            "not know that release's series.",
            next_step="pip install --upgrade idc-index-data, restart the server, and name the "
            "cohort again",
        )
    if min(numbers) == now.number:
        return None
    text, offered = _told(index, files, kept, load, min(numbers))
    return BadArgument(
        f"{label} was made on IDC v{min(numbers)}; this server has {now.name}. {text}",
        next_step=(
            f"name {' or '.join(offered)} instead"
            if offered
            else "call idc_cohort again with what it should hold today"
        ),
    )


def _told(
    index: Index, files: CohortFiles, kept: Kept, load: Load, number: int
) -> tuple[str, list[str]]:
    """What has changed, and the handles that are offered: of a release and its tables facts."""

    def told() -> tuple[str, list[str]]:
        with Written.below(files.directory) as written:
            return _Reading(index, files, kept, load, number, written).told()

    found = index.once(("older cohort", kept.handle, kept.name), told)
    return found if all(_is_kept(files, handle) for handle in found[1]) else told()


def _is_kept(files: CohortFiles, handle: str) -> bool:
    """Whether a cohort's files are there, as they were written."""

    def whole(content: dict[str, Any]) -> bool:
        series = content.get("series")
        return (not series or files.proven(series["digest"])) and all(
            whole(other) for other in content.get("within", [])
        )

    try:
        kept = files.load(handle)
    except Damaged:
        return False
    return kept is not None and whole(kept.definition)


def _releases(content: Any, handle: str, depth: int = 0) -> set[int]:
    """The releases of a definition and of those within, which has the shape of one."""
    if depth > _DEEPEST:
        raise Damaged(
            f"The file of cohort {handle} holds cohorts that are nested more than {_DEEPEST} deep.",
            next_step="call idc_cohort again with what it should hold, its identifiers and "
            "filters in place of handles",
        )
    try:
        found = _RELEASE.fullmatch(content["release"])
        identifiers = content.get("identifiers", [])
        series = content.get("series")
        sound = (
            found is not None
            and content.keys() <= _KEYS
            and all(kind in (*COLUMN, PRIOR_KIND) for kind, _ in identifiers)
            and all(isinstance(value, str) for _, value in identifiers)
            and all(kind != "patient" or "/" in value for kind, value in identifiers)
            and (not series or set(series) == {"digest", "count", "prior"})
            and (not series or bool(_DIGEST.fullmatch(series["digest"])))
            and (not series or isinstance(series["count"], int))
            and content.get("use", "any") in ("any", "commercial")
        )
        if found and sound:
            Filters.model_validate(content.get("filters", {}))
            inner = [_releases(other, handle, depth + 1) for other in content.get("within", [])]
            return {int(found[1])}.union(*inner)
    except (TypeError, KeyError, ValueError, AttributeError):
        pass
    raise Damaged(
        f"The file of cohort {handle} holds no definition of a cohort.",
        next_step="call idc_cohort again with what it should hold",
    )


@dataclass(frozen=True)
class _Reading:
    """One old definition, read on the installed release."""

    index: Index
    files: CohortFiles
    kept: Kept
    load: Load
    number: int
    written: Written

    def told(self) -> tuple[str, list[str]]:
        """What has changed, in sentences, and the handles that are offered."""
        content = self.kept.definition
        gone = Superseded(self.index, self.number, self._given, self.written)
        prior = gone.condition(content)
        then = f"SELECT crdc_series_uuid FROM core.prior WHERE {prior}" if prior else ""
        same = self._rebased(revised=False).definition(content)
        still = (
            f"SELECT crdc_series_uuid FROM ({same.select(SERIES)}) "
            f"WHERE series_revised_idc_version <= {self.number}"
            if same
            else ""
        )
        sentences = self._fates(still, then, gone)
        offered: list[str] = []
        if not gone.untold:
            sentences += self._as_it_was(" UNION ALL ".join(filter(None, (still, then))), offered)
        sentences += self._today(offered)
        return " ".join(sentences), offered

    def _rebased(self, *, revised: bool) -> Rebased:
        return Rebased(self.index, self.files, self.load, self._given, self.written, revised)

    def _fates(self, still: str, then: str, gone: Superseded) -> list[str]:
        """What became of the series that the old release served, as far as can be told.

        Series are counted that no table has as they were served then: as not accounted for where
        `index` says that they had come, as unknown where the definition names them. Whether the
        rest of the definition held for them may not be known; then they are so many at most.
        """
        unchanged = int(self.index.value(f"SELECT count(*) FROM ({still})")) if still else 0
        revised, removed, already, moved = self._prior_counts(then) if then else (0, 0, 0, 0)
        unaccounted, unknown = gone.unaccounted(self.kept.definition), gone.unknown()
        if gone.untold:
            most = revised + removed + unaccounted + unknown
            most_told = f"; by its other conditions they are at most {most:,}"
            return [
                f"Of its series {unchanged:,} are unchanged. Those revised or removed since "
                "cannot be told: prior_versions_index has no "
                f"{', '.join(gone.untold)}{'' if gone.open_ended else most_told}."
            ]
        told = [f"{unchanged:,} unchanged", f"{revised:,} revised since", f"{removed:,} removed"]
        if already:
            told.append(f"{already:,} prior versions already then")
        least = most = unchanged + revised + removed + already
        both = unaccounted and unknown  # what is named may be just what is not accounted for
        for count, unsure, what in (
            (unknown, gone.narrowed or both, "unknown to this catalogue"),
            (unaccounted, gone.differing or both, "not accounted for"),
        ):
            if count:
                told.append(f"{'up to ' if unsure else ''}{count:,} {what}")
                least, most = least + (0 if unsure else count), most + count
        if moved:
            told.append(f"{moved:,} of the prior versions in another bucket since")
        total = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        sentences = [f"Of its {total} series: {', '.join(told)}."]
        if unaccounted:
            sentences.append(
                f"Those not accounted for had come by v{self.number} as index says, but no table "
                "has the version served then."
            )
        return sentences

    def _prior_counts(self, then: str) -> tuple[int, int, int, int]:
        """Versions revised since, removed, prior already then; and those in another bucket."""
        row = self.index.row(
            "WITH versions AS ("
            "SELECT crdc_series_uuid, any_value(SeriesInstanceUID) AS uid, "
            f"max(max_idc_version) >= {self.number} AS served_then, "
            "count(DISTINCT coalesce(aws_bucket, '') || ' ' || coalesce(gcs_bucket, '')) "
            f"FILTER (max_idc_version >= {self.number}) > 1 AS moved "
            f"FROM prior_versions_index WHERE crdc_series_uuid IN ({then}) "
            "GROUP BY crdc_series_uuid), known AS ("
            "SELECT *, uid IN (SELECT SeriesInstanceUID FROM core.series) AS served_now "
            "FROM versions) "
            "SELECT count(*) FILTER (served_then AND served_now), "
            "count(*) FILTER (served_then AND NOT served_now), "
            "count(*) FILTER (NOT served_then), count(*) FILTER (moved) FROM known"
        )
        assert row is not None
        return row[0], row[1], row[2], row[3]

    def _listed(self) -> int | None:
        """How many series it held, where it lists them and nothing else."""
        content = self.kept.definition
        if content.keys() == {"release", "series"}:
            return int(content["series"]["count"])
        if content.keys() == {"release", "identifiers"}:
            kinds = [kind for kind, _ in content["identifiers"]]
            return len(kinds) if {*kinds} <= {"series", PRIOR_KIND} else None
        return None

    def _as_it_was(self, query: str, offered: list[str]) -> list[str]:
        if not query or not self.index.row(f"SELECT 1 FROM ({query}) LIMIT 1"):
            return []
        series = self.files.keep_series(query)
        definition = Definition(release=self.index.release.name, series=series)
        offered.append(self._offer(definition, f"as of v{self.number}"))
        return [
            f"Kept for you: {offered[0]}, {series.count:,} series in the versions of "
            f"v{self.number}."
        ]

    def _today(self, offered: list[str]) -> list[str]:
        """The same definition on the installed release: its handle and what is new in it."""
        name = self.index.release.name
        rebased = self._rebased(revised=True)
        today = rebased.definition(self.kept.definition)
        sentences = [f"{problem.rstrip('.')}." for problem in rebased.problems]
        if rebased.gone:
            more = len(rebased.gone) - _NAMED
            shown = ", ".join(rebased.gone[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
            sentences.append(f"Not in {name}: {shown}.")
        count, added, revised = (0, 0, 0)
        if today:
            count, added, revised = self.index.rows(
                "SELECT count(*), count(*) FILTER (series_init_idc_version > $old), "
                "count(*) FILTER (series_init_idc_version <= $old "
                "AND series_revised_idc_version > $old) "
                f"FROM ({today.select(SERIES)})".replace("$old", str(self.number))
            )[0]
        if today is None or not count:
            return [*sentences, f"On {name} it has no series."]
        handle = self._offer(today, "")
        if handle in offered:
            return [*sentences, f"{name} serves just these."]
        offered.append(handle)
        what = "their versions of" if self._listed() is not None else "the same definition on"
        return [
            *sentences,
            f"{'Kept for you' if len(offered) == 1 else 'And'}: {handle}, {what} {name}: "
            f"{count:,} series, {added:,} of them added and {revised:,} revised after "
            f"v{self.number}.",
        ]

    def _offer(self, definition: Definition, suffix: str) -> str:
        """Keep a definition, unless it is kept already, under whatever name."""
        try:
            kept = self.files.load(definition.handle)
        except Damaged:
            kept = None
        if kept is None:
            name = f"{self.kept.name} {suffix}".strip() if self.kept.name else ""
            self.files.keep(Kept(definition.handle, definition.canonical(), name))
        return definition.handle

    def _given(self, series: dict[str, Any]) -> str:
        """SQL that yields a kept set of series, as the old release named them."""
        path = self.files.series_path(series["digest"])
        if not self.files.proven(series["digest"]):
            sql = f"; its SQL was: {self.kept.origin}" if self.kept.origin else ""
            raise Damaged(
                f"Cohort {self.kept.handle} was made on IDC v{self.number}, and the file of its "
                f"{series['count']:,} series ({path}) is missing or damaged: what became of them "
                "cannot be told.",
                next_step=f"call idc_cohort again with the same SQL, list or manifest{sql}",
            )
        return f"SELECT crdc_series_uuid FROM read_parquet({literal(str(path))})"
