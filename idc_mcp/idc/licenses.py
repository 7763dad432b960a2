"""Licences of a cohort: by series and bytes, with a verdict on its use.

A licence belongs to a series, not to a collection or a bucket; what each one permits stands
in `terms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idc_mcp.idc.terms import NOT_STATED, TERMS, allowed_names, condition
from idc_mcp.quantities import bytes_text

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index


@dataclass(frozen=True)
class LicenseSummary:
    """The licences of a cohort.

    Attributes
    ----------
    rows
        (licence, series, bytes), most series first; bytes are exact.
    verdict
        May the cohort be used commercially: `yes`, `no`, `in part`, or `unknown` (nothing is
        known to be allowed, and some terms are not known).
    sentence
        The verdict in words, with series and bytes.
    """

    rows: list[tuple[str, int, int]]
    verdict: str
    sentence: str

    @property
    def mixed(self) -> bool:
        """Whether more than one licence governs."""
        return len(self.rows) > 1


def summary(index: Index, cohort: Cohort) -> LicenseSummary:
    """The licences of a cohort with series and bytes, and whether commercial use is allowed."""
    rows = index.rows(
        "SELECT coalesce(license_short_name, ?), count(*), "
        f"CAST(coalesce(sum(series_bytes), 0) AS BIGINT) FROM {cohort.source} "
        "GROUP BY 1 ORDER BY 2 DESC, 1",
        [NOT_STATED],
    )
    return judge([(str(name), int(series), int(size)) for name, series, size in rows])


def judge(rows: list[tuple[str, int, int]]) -> LicenseSummary:
    """The verdict on commercial use over (licence, series, bytes)."""
    allowed = allowed_names("commercial")
    free = [row for row in rows if row[0] in allowed]
    unknown = [row for row in rows if row[0] not in TERMS]
    if not rows:
        return LicenseSummary(rows, "unknown", "The cohort is empty.")
    names = ", ".join(name for name, _, _ in rows)
    if len(free) == len(rows):
        mix = f"a mix of {names}, " if len(rows) > 1 else f"{names}, "
        return LicenseSummary(
            rows, "yes", f"Commercial use is allowed: {mix}with attribution. {_portion(rows)}."
        )
    withheld = [row for row in rows if row[0] not in allowed]
    reasons = "; ".join(f"{row[0]}: {_portion([row])}" for row in withheld)
    if not free:
        verdict = "unknown" if unknown else "no"
        what = "cannot be cleared" if unknown else "is not allowed"
        mix = "a mix of " if len(rows) > 1 else ""
        return LicenseSummary(rows, verdict, f"Commercial use {what}: {mix}{reasons}.")
    return LicenseSummary(
        rows,
        "in part",
        f"A mix: {_portion(free)} of {_portion(rows)} may be used commercially, the rest may "
        f"not ({reasons}); taken as a whole, the strictest terms govern.",
    )


def answer_for(found: LicenseSummary, use: str) -> tuple[str, str]:
    """May it be used so (yes, no, in part, unknown), and why, in words."""
    if use == "commercial" or not found.rows:
        return found.verdict, found.sentence
    unread = [row for row in found.rows if row[0] not in TERMS]
    if not unread:
        return "yes", f"Use is allowed under the terms below. {found.sentence}"
    names = ", ".join(f"{row[0]}: {_portion([row])}" for row in unread)
    may = "unknown" if len(unread) == len(found.rows) else "in part"
    return may, f"Terms that are not known here: {names}. {found.sentence}"


def obligations(found: LicenseSummary) -> list[str]:
    """What the licences of a cohort ask for, those that ask the same together."""
    names: dict[str, list[str]] = {}
    for name, _, _ in found.rows:
        asked = TERMS[name].obligations if name in TERMS else "Unknown: ask the data's source."
        names.setdefault(asked, []).append(name)
    return [f"{', '.join(together)}: {asked}" for asked, together in names.items()]


def withheld(index: Index, source: str) -> list[tuple[str, str, int, int]]:
    """(collection_id, licence, series, bytes) of what may not be used commercially."""
    rows = index.rows(
        "SELECT collection_id, coalesce(license_short_name, ?), count(*), "
        f"CAST(coalesce(sum(series_bytes), 0) AS BIGINT) FROM {source} "
        f"WHERE ({condition('commercial')}) IS NOT TRUE GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
        [NOT_STATED],
    )
    return [(str(where), str(name), int(series), int(size)) for where, name, series, size in rows]


def contradictions(index: Index, source: str) -> list[str]:
    """Where the catalogue names one licence for a DOI of the cohort and links another.

    Series are judged by the name they carry; the reader should know that it is in doubt.
    """
    rows = index.rows(
        "SELECT DISTINCT collection_id, source.license.license_short_name, "
        "source.license.license_url FROM "
        "(SELECT collection_id, unnest(sources) AS source FROM main.collections_index) "
        f"WHERE lower(source.source_doi) IN (SELECT lower(source_DOI) FROM {source}) ORDER BY 1"
    )
    return [
        f"{collection}: the catalogue calls its licence {name} and links {url}; "
        "the name was taken at its word"
        for collection, name, url in rows
        if name in TERMS and url and TERMS[name].url.rstrip("/") != str(url).rstrip("/")
    ]


def _portion(rows: list[tuple[str, int, int]]) -> str:
    series = sum(count for _, count, _ in rows)
    return f"{series:,} series ({bytes_text(sum(size for _, _, size in rows))})"
