"""The account of a pair of releases: what a copy of the older one lacks to be the newer.

What a release served is pieced together from two tables. A row of `index` was served by every
release since it was last revised. A row of `prior_versions_index` was served by each release of
its range; `revised` and `moved` tell two such versions of a series apart. Where `index` says that
a series had come by then, and neither table has the version that was served, its state is not
known: it is counted as not accounted for, not guessed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from idc_mcp.answers import Table
from idc_mcp.errors import BadArgument
from idc_mcp.idc.cautions import PRIOR_VERSIONS
from idc_mcp.idc.describe.description import Description
from idc_mcp.idc.describe.release import dates_of_releases, iso_date, unknown_release
from idc_mcp.index.store import Index
from idc_mcp.quantities import bytes_text

MOST_COLLECTIONS = 40
FATES = ("added", "revised", "moved", "removed", "not accounted for")

# `index` rows that are as old as the older release are the same in both, and counted apart.
_COMPARED = """
WITH prior AS (
    SELECT SeriesInstanceUID, crdc_series_uuid, collection_id, aws_bucket, gcs_bucket,
        min_idc_version, max_idc_version, CAST(round(series_size_MB * 1e6) AS BIGINT) AS bytes
    FROM prior_versions_index
), before AS (
    SELECT * FROM prior WHERE $older BETWEEN min_idc_version AND max_idc_version
    QUALIFY row_number() OVER (PARTITION BY SeriesInstanceUID ORDER BY min_idc_version) = 1
), old_after AS (
    SELECT * FROM prior WHERE $newer BETWEEN min_idc_version AND max_idc_version
    QUALIFY row_number() OVER (PARTITION BY SeriesInstanceUID ORDER BY min_idc_version) = 1
), after AS (
    SELECT SeriesInstanceUID, crdc_series_uuid, collection_id, aws_bucket, gcs_bucket, bytes
    FROM old_after UNION ALL
    SELECT SeriesInstanceUID, crdc_series_uuid, collection_id, aws_bucket, NULL, series_bytes
    FROM core.series WHERE series_revised_idc_version BETWEEN $older + 1 AND $newer
), unknown AS (
    SELECT SeriesInstanceUID, collection_id,
        series_init_idc_version <= $older AND SeriesInstanceUID NOT IN
            (SELECT SeriesInstanceUID FROM before) AS at_older,
        series_revised_idc_version > $newer AND SeriesInstanceUID NOT IN
            (SELECT SeriesInstanceUID FROM old_after) AS at_newer
    FROM core.series
    WHERE series_init_idc_version <= $newer AND series_revised_idc_version > $older
        AND (series_init_idc_version <= $older OR series_revised_idc_version > $newer)
        AND (at_older OR at_newer)
)
SELECT coalesce(before.collection_id, CASE WHEN unknown.at_older THEN unknown.collection_id END),
    coalesce(after.collection_id, CASE WHEN unknown.at_newer THEN unknown.collection_id END),
    CASE WHEN unknown.SeriesInstanceUID IS NOT NULL THEN 'not accounted for'
        WHEN before.SeriesInstanceUID IS NULL THEN 'added'
        WHEN after.SeriesInstanceUID IS NULL THEN 'removed'
        WHEN before.crdc_series_uuid <> after.crdc_series_uuid THEN 'revised'
        WHEN before.aws_bucket <> after.aws_bucket OR before.gcs_bucket <> after.gcs_bucket
            THEN 'moved'
        ELSE 'unchanged' END AS fate,
    count(*), CAST(coalesce(sum(before.bytes), 0) AS BIGINT),
    CAST(coalesce(sum(after.bytes), 0) AS BIGINT),
    coalesce(unknown.at_older, false), coalesce(unknown.at_newer, false)
FROM before FULL JOIN after USING (SeriesInstanceUID) FULL JOIN unknown USING (SeriesInstanceUID)
GROUP BY ALL
"""

_SAME = """
SELECT collection_id, collection_id, 'unchanged', CAST(sum(series) AS BIGINT),
    CAST(sum(bytes) AS BIGINT), CAST(sum(bytes) AS BIGINT), false, false
FROM facts.groups WHERE series_revised_idc_version <= $older GROUP BY collection_id
"""


@dataclass(frozen=True)
class Change:
    """Series of one fate and one collection; None where a release did not have the series.

    Where a release had them in a version that no table has (`unknown_before`, `unknown_after`),
    the collection is that of today.
    """

    before: str | None
    after: str | None
    fate: str
    series: int
    bytes_before: int
    bytes_after: int
    unknown_before: bool
    unknown_after: bool

    @property
    def collection(self) -> str:
        """Where the series is listed: its collection in the newer release, else in the older."""
        return self.after or self.before or ""


def describe_changes(index: Index, pair: tuple[int, int], written: str) -> Description:
    """What changed from one release to another; `written` is the identifier as it was given.

    Raises
    ------
    NotFound
        The installed catalogue does not know one of them.
    BadArgument
        Both are the same.
    """
    older, newer = sorted(pair)
    dates = dates_of_releases(index)
    for number in pair:
        if number not in dates:
            raise unknown_release(index, number, dates)
    if older == newer:
        other = older - 1 if older - 1 in dates else older + 1
        raise BadArgument(
            f"'{written}' names IDC v{older} twice.",
            nearest=[f"v{min(older, other)}..v{max(older, other)}"],
            next_step=f"idc_describe(identifier='v{older}') tells what v{older} itself changed",
        )
    found = index.once(("changes", older, newer), lambda: _changes(index, older, newer))
    totals: Counter[str] = Counter()
    for change in found:
        totals[change.fate] += change.series
    return Description(
        kind="changes between releases",
        understood=_understood(pair, written),
        about=_about(found, totals, {f"v{number}": dates[number] for number in (older, newer)}),
        collections=_by_collection(found, [fate for fate in FATES if totals[fate]], older, newer),
        notes=_notes(found, older, newer),
        next=_next(index, totals, older, newer),
    )


def _changes(index: Index, older: int, newer: int) -> list[Change]:
    # The numbers stand in the text several times, and they are integers of ours.
    return [
        Change(*row)
        for query in (_COMPARED, _SAME)
        for row in index.rows(query.replace("$older", str(older)).replace("$newer", str(newer)))
    ]


def _understood(pair: tuple[int, int], written: str) -> str:
    older, newer = sorted(pair)
    text = f"what changed from IDC v{older} to v{newer}"
    if pair != (older, newer):
        return f"{text} (read from '{written}', the older release first)"
    return text if written == f"v{older}..v{newer}" else f"{text} (read from '{written}')"


def _about(found: list[Change], totals: Counter[str], dates: dict[str, Any]) -> dict[str, Any]:
    (older, begun), (newer, ended) = dates.items()
    before, after = _served(found)
    about: dict[str, Any] = {
        "from": f"{older} of {iso_date(begun)}",
        "to": f"{newer} of {iso_date(ended)}",
        f"series of {older}": before.total(),
        f"series of {newer}": after.total(),
    }
    about |= {f"series {fate}": totals[fate] for fate in FATES[:4]}
    if totals["not accounted for"]:
        about["series not accounted for"] = totals["not accounted for"]
    about["series unchanged"] = totals["unchanged"]
    for fate in ("added", "revised", "removed"):
        size = sum(
            change.bytes_before if fate == "removed" else change.bytes_after
            for change in found
            if change.fate == fate
        )
        if size:
            about[f"size {fate}"] = bytes_text(size)
    names = _with_unknown(found)
    new, gone = sorted(names[1] - names[0]), sorted(names[0] - names[1])
    if new:
        about["new collections"] = _some(new)
    if gone:
        about["collections gone"] = _some(gone)
    return about


def _some(names: list[str]) -> str:
    more = len(names) - MOST_COLLECTIONS
    return ", ".join(names[:MOST_COLLECTIONS]) + (f" and {more} more" if more > 0 else "")


def _served(found: list[Change]) -> tuple[Counter[str], Counter[str]]:
    """Series that each release is known to have served, by its collections."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for change in found:
        if change.before and not change.unknown_before:
            before[change.before] += change.series
        if change.after and not change.unknown_after:
            after[change.after] += change.series
    return before, after


def _with_unknown(found: list[Change]) -> tuple[set[str], set[str]]:
    """Collections of each release, those of series not accounted for included."""
    return (
        {change.before for change in found if change.before},
        {change.after for change in found if change.after},
    )


def _by_collection(found: list[Change], shown: list[str], older: int, newer: int) -> Table | None:
    """A row a collection, most changed first; its size is what the newer release has anew."""
    if not shown:
        return None
    counts: dict[str, Counter[str]] = {}
    fresh: Counter[str] = Counter()
    for change in found:
        if change.fate in shown:
            counts.setdefault(change.collection, Counter())[change.fate] += change.series
            if change.fate in ("added", "revised"):
                fresh[change.collection] += change.bytes_after
    before, after = _served(found)
    ordered = sorted(counts, key=lambda name: (-counts[name].total(), name))
    return Table.of(
        ("collection_id", *shown, f"in v{older}", f"in v{newer}", "size added or revised"),
        [
            (
                name,
                *(counts[name][fate] for fate in shown),
                before[name],
                after[name],
                bytes_text(fresh[name]) if fresh[name] else "",
            )
            for name in ordered
        ],
        limit=MOST_COLLECTIONS,
        rest="the calls in next, with GROUP BY collection_id",
    )


def _notes(found: list[Change], older: int, newer: int) -> list[str]:
    notes = [
        PRIOR_VERSIONS,
        "Only both ends are compared: what came and went in between is not here. Sizes of prior "
        "versions are rounded to 10 kB. A version that is still served has the collection and "
        "bucket of today, so that its moves between buckets cannot be told.",
    ]
    renamed: Counter[tuple[str, str]] = Counter()
    for change in found:
        known = not change.unknown_before and not change.unknown_after
        if known and change.before and change.after and change.before != change.after:
            renamed[change.before, change.after] += change.series
    if renamed:
        told = ", ".join(
            f"{count:,} of {before} are in {after}"
            for (before, after), count in sorted(renamed.items(), key=lambda item: -item[1])
        )
        notes.append(f"Under another collection_id in v{newer}: {told}; counted there.")
    ends = (
        (older, sum(change.series for change in found if change.unknown_before)),
        (newer, sum(change.series for change in found if change.unknown_after)),
    )
    notes += [
        f"{unknown:,} series had come by v{release} as index says, but no table has the version "
        f"served then: not among the series of v{release} that are counted here."
        for release, unknown in ends
        if unknown
    ]
    return notes


def _next(index: Index, totals: Counter[str], older: int, newer: int) -> list[str]:
    """Calls that give the series themselves, each by the uuid of the version meant."""
    latest = newer == index.release.number

    def prior(release: int) -> str:
        return (
            f"FROM prior_versions_index WHERE {release} BETWEEN min_idc_version AND max_idc_version"
        )

    def had(release: int) -> str:
        now = f"SELECT SeriesInstanceUID FROM index WHERE series_init_idc_version <= {release}"
        return f"{now} UNION ALL SELECT SeriesInstanceUID {prior(release)}"

    names = "SeriesInstanceUID, crdc_series_uuid, collection_id"
    after = "index"
    if not latest:
        after = (
            f"(SELECT {names} FROM index WHERE series_revised_idc_version <= {newer} "
            f"UNION ALL SELECT {names} {prior(newer)})"
        )
    gone = had(newer) if not latest else "SELECT SeriesInstanceUID FROM index"
    calls = []
    if totals["added"]:
        since = index.value(
            "SELECT coalesce(sum(series), 0) FROM facts.groups "
            f"WHERE series_init_idc_version BETWEEN {older + 1} AND {newer}"
        )
        # The filter finds what is served now: often just the added ones, else SQL does.
        bounds = f'{{"from": {older + 1}, "to": {newer}}}'
        if latest and since == totals["added"]:
            calls.append(f'idc_cohort(filters={{"series_init_idc_version": {bounds}}})')
        else:
            calls.append(
                f'idc_cohort(sql="SELECT DISTINCT crdc_series_uuid FROM {after} '
                f'WHERE SeriesInstanceUID NOT IN ({had(older)})")'
            )
    if totals["revised"]:
        calls.append(
            f'idc_sql(sql="SELECT DISTINCT SeriesInstanceUID, old.crdc_series_uuid AS v{older}, '
            f"new.crdc_series_uuid AS v{newer}, new.collection_id FROM "
            f"(SELECT {names} {prior(older)}) AS old JOIN {after} AS new "
            'USING (SeriesInstanceUID) WHERE old.crdc_series_uuid <> new.crdc_series_uuid")'
        )
    if totals["removed"]:
        calls.append(
            f'idc_sql(sql="SELECT DISTINCT {names} {prior(older)} '
            f'AND SeriesInstanceUID NOT IN ({gone})")'
        )
    return calls
