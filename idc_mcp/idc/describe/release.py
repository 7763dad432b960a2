"""The account of a release: what it added, revised, moved, removed, by collection.

The index keeps two things: of each series served now, the release it came in and the one it
was last revised in; and `prior_versions_index`, ranges of releases that served what is not
served now. A range that ends at N-1 means that release N did one of four things:

    moved       another range of the same crdc_series_uuid begins at N (another bucket)
    revised     another version of the series begins at N, in a range or in the index
    withdrawn   release N did not serve the series; a later one did again
    removed     release N did not serve it, and none since
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from idc_mcp.answers import Table
from idc_mcp.errors import NotFound
from idc_mcp.idc.cautions import PRIOR_VERSIONS
from idc_mcp.idc.describe.description import Description
from idc_mcp.index.store import Index

MOST_COLLECTIONS = 40

_ENDED = """
WITH ended AS (
    SELECT collection_id, SeriesInstanceUID, crdc_series_uuid
    FROM prior_versions_index WHERE max_idc_version = $number - 1
        AND crdc_series_uuid NOT IN (
            SELECT crdc_series_uuid FROM prior_versions_index
            WHERE min_idc_version < $number AND max_idc_version >= $number
        )
), next AS (
    SELECT SeriesInstanceUID, bool_or(began) AS began, list(crdc_series_uuid) AS versions
    FROM (
        SELECT SeriesInstanceUID, crdc_series_uuid, min_idc_version = $number AS began
        FROM prior_versions_index WHERE min_idc_version >= $number
        UNION ALL
        SELECT SeriesInstanceUID, crdc_series_uuid, series_revised_idc_version = $number
        FROM core.series WHERE SeriesInstanceUID IN (SELECT SeriesInstanceUID FROM ended)
    ) GROUP BY SeriesInstanceUID
)
SELECT collection_id, CASE
    WHEN list_contains(versions, ended.crdc_series_uuid) AND began THEN 'moved'
    WHEN began THEN 'revised'
    WHEN versions IS NOT NULL THEN 'withdrawn'
    ELSE 'removed' END AS fate, count(*)
FROM ended LEFT JOIN next USING (SeriesInstanceUID) GROUP BY ALL
"""

_ADDED = """
SELECT collection_id, 'added', CAST(sum(series) AS BIGINT) FROM facts.groups
WHERE series_init_idc_version = $number GROUP BY collection_id
UNION ALL
SELECT collection_id, 'added, gone since', count(*) FROM (
    SELECT any_value(collection_id) AS collection_id FROM prior_versions_index
    WHERE SeriesInstanceUID NOT IN (
        SELECT SeriesInstanceUID FROM core.series WHERE series_init_idc_version <= $number
    ) GROUP BY SeriesInstanceUID HAVING min(min_idc_version) = $number
) GROUP BY collection_id
"""

_FATES = ("added", "added, gone since", "revised", "moved", "withdrawn", "removed")


def describe_release(index: Index, number: int) -> Description:
    """What a release changed.

    Raises
    ------
    NotFound
        The installed catalogue does not know this release.
    """
    dates = dates_of_releases(index)
    if number not in dates:
        raise unknown_release(index, number, dates)
    fates = index.once(("fates", number), lambda: _fates(index, number))
    totals = {fate: sum(counts.values()) for fate, counts in fates.items()}
    about: dict[str, Any] = {"release": f"v{number}", "date": iso_date(dates[number])}
    if number == index.release.number:
        about |= _totals(index)
    about |= {f"series {fate}": count for fate, count in totals.items() if count or fate != "moved"}
    new = _new_collections(index, number)
    if new:
        about["new collections"] = ", ".join(new)
    shown = [fate for fate in _FATES if totals[fate]]
    return Description(
        kind="release",
        understood=f"IDC release v{number}"
        + (" (the one installed)" if number == index.release.number else ""),
        about=about,
        collections=_by_collection(fates, shown),
        notes=_notes(number, fates, totals),
        next=[f'idc_cohort(filters={{"series_init_idc_version": {number}}})']
        if totals["added"]
        else [],
    )


def dates_of_releases(index: Index) -> dict[int, Any]:
    """The day of every release that the catalogue knows, in order."""
    return dict(
        index.rows("SELECT idc_version, version_timestamp FROM version_metadata_index ORDER BY 1")
    )


def unknown_release(index: Index, number: int, dates: dict[int, Any]) -> NotFound:
    """The error for a release that the catalogue does not know."""
    latest = max(dates)
    return NotFound(
        f"IDC v{number} is not known to the installed catalogue, idc-index-data "
        f"{index.release.data_version}: it knows v{min(dates)} to v{latest}.",
        nearest=[f"v{latest}"],
        next_step=f"idc_describe(identifier='v{latest}'); a newer release needs a newer "
        "idc-index-data",
    )


def iso_date(text: Any) -> str:
    """A release's day as `2026-09-26`."""
    return text.isoformat() if isinstance(text, date) else str(text)


def _fates(index: Index, number: int) -> dict[str, Counter[str]]:
    """Series by what happened to them and by collection."""
    fates: dict[str, Counter[str]] = {fate: Counter() for fate in _FATES}
    for query in (_ENDED, _ADDED):
        # The number stands in the text several times, and it is an integer of ours.
        for collection, fate, count in index.rows(query.replace("$number", str(number))):
            fates[fate][collection] += count
    return fates


def _by_collection(fates: dict[str, Counter[str]], shown: list[str]) -> Table | None:
    """A row a collection, most changed first."""
    if not shown:
        return None
    names = {name for fate in shown for name in fates[fate]}
    ordered = sorted(names, key=lambda name: (-sum(fates[fate][name] for fate in shown), name))
    return Table.of(
        ("collection_id", *shown),
        [(name, *(fates[fate][name] for fate in shown)) for name in ordered],
        limit=MOST_COLLECTIONS,
        rest="idc_sql with series_init_idc_version, series_revised_idc_version and "
        "prior_versions_index grouped by collection_id",
    )


def _totals(index: Index) -> dict[str, Any]:
    row = index.row(
        "SELECT collections, analysis_results, patients, studies, series FROM facts.totals"
    )
    names = ("collections", "analysis results", "patients", "studies", "series")
    return dict(zip(names, row or (), strict=True))


def _new_collections(index: Index, number: int) -> list[str]:
    """Collections served now whose first series came in this release."""
    return [
        row[0]
        for row in index.rows(
            "SELECT collection_id FROM facts.groups GROUP BY collection_id "
            "HAVING min(series_init_idc_version) = ? AND collection_id NOT IN "
            "(SELECT collection_id FROM prior_versions_index WHERE min_idc_version < ?) ORDER BY 1",
            [number, number],
        )
    ]


def _notes(number: int, fates: dict[str, Counter[str]], totals: dict[str, int]) -> list[str]:
    notes = [PRIOR_VERSIONS]
    if totals["withdrawn"]:
        notes.append("withdrawn: not in this release, but again in a later one.")
    if totals["added, gone since"]:
        notes.append(
            "'added' counts series still served; 'added, gone since' those that went, though a few "
            "came again."
        )
    again = [
        name
        for name, count in fates["removed"].items()
        if count == fates["added"][name] + fates["added, gone since"][name]
    ]
    if again:
        notes.append(
            f"As many added as removed in {', '.join(sorted(again))}: probably issued again "
            "under new identifiers."
        )
    if number == 1:
        notes.append("v1 is the first release: all it has was added in it.")
    return notes
