"""Links that open in IDC's viewers: OHIF for radiology, SLIM for slide microscopy.

The viewer is chosen by the study, not by the series: a segmentation, annotation or report of
a slide belongs to SLIM although its own modality is that of radiology's (no study of IDC
mixes slides with CT, MR or PT). Derived series cannot be seen alone: their study is opened,
at the source image that seg_index, ann_index or rtstruct_index names (where it is on this
machine: a link is not worth fetching it), else at the only image of the study. Addresses: IDC
documentation, "Visualizing images".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from idc_mcp.errors import BadArgument
from idc_mcp.idc.annotations.kinds import KINDS, TABLE_OF
from idc_mcp.idc.sql import literals

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

Viewer = Literal["auto", "ohif", "slim"]

BASE = "https://viewer.imaging.datacommons.cancer.gov"
OHIF_STUDY = f"{BASE}/v3/viewer/?StudyInstanceUIDs="
OHIF_SERIES = "&initialSeriesInstanceUID="
SLIM_STUDY = f"{BASE}/slim/studies/"
SLIM_SERIES = "/series/"

SLIDES = ("SM",)
RADIOLOGY = ("CT", "MR", "PT", "MG", "CR", "DX", "US", "NM", "XA", "RF", "XC", "OT")
"""Modalities that are pictures by themselves; all others are drawn on top of these."""


@dataclass(frozen=True)
class Link:
    """A study and the address that opens it.

    Attributes
    ----------
    modalities
        Of the whole study, with commas.
    opens_at
        `study`, or the modality of the series it opens at; `(source)` follows where that is
        the image that a derived series of the cohort was made from, and `(one of 2 sources)`
        where there are two. `study (source is in seg_index, not here)`: the table would tell.
    """

    collection_id: str
    patient_id: str
    modalities: str
    viewer: str
    opens_at: str
    url: str


@dataclass(frozen=True)
class Links:
    """Links of the first studies of a cohort.

    Attributes
    ----------
    radiology, slides
        Studies of the cohort that OHIF and SLIM show.
    without_images
        Studies that no viewer shows: their images are not in IDC, or only in prior versions.
    """

    links: list[Link]
    radiology: int
    slides: int
    without_images: int

    @property
    def studies(self) -> int:
        """All studies of the cohort."""
        return self.radiology + self.slides + self.without_images


@dataclass(frozen=True)
class _Series:
    uid: str
    modality: str
    instances: int
    mine: bool
    source: str | None = None


def viewer_links(index: Index, cohort: Cohort, viewer: Viewer, limit: int) -> Links:
    """Links for the first `limit` studies that the viewer shows, in the catalogue's order.

    Raises
    ------
    BadArgument
        The named viewer shows none of these studies; the error names the one that does.
    """
    shown = {"auto": ("ohif", "slim"), "ohif": ("ohif",), "slim": ("slim",)}[viewer]
    rows = index.rows(
        f"WITH kinds AS MATERIALIZED ({_kinds(cohort)}) "
        "SELECT StudyInstanceUID, kind, ohif, slim, none FROM kinds, (SELECT "
        "count(*) FILTER (kind = 'ohif') AS ohif, count(*) FILTER (kind = 'slim') AS slim, "
        "count(*) FILTER (kind = 'none') AS none FROM kinds) "
        f"ORDER BY kind NOT IN ({literals(shown)}), "
        f"collection_id, PatientID, StudyInstanceUID LIMIT {int(limit)}"
    )
    radiology, slides, without_images = map(int, rows[0][2:]) if rows else (0, 0, 0)
    other, there = ("slim", slides) if viewer == "ohif" else ("ohif", radiology)
    kinds = {str(study): str(kind) for study, kind, *_ in rows if kind in shown}
    if not kinds and there:
        what = "slide microscopy" if other == "slim" else "radiology"
        raise BadArgument(
            f"viewer={viewer!r} shows none of these studies: they are {what}.",
            nearest=[other],
            next_step=f"give viewer={other!r}, or leave it out",
        )
    links = _links(index, cohort, kinds) if kinds else []
    return Links(links, radiology, slides, without_images)


def _kinds(cohort: Cohort) -> str:
    """SQL: StudyInstanceUID, collection_id, PatientID and kind (ohif, slim, none) of studies."""
    mine = f"SELECT StudyInstanceUID FROM {cohort.source}"
    if cohort.prior:  # a study may have no current series left
        studies = f"({mine} GROUP BY 1) AS mine LEFT JOIN core.series USING (StudyInstanceUID)"
    else:
        studies = f"core.series WHERE StudyInstanceUID IN ({mine})"
    return (
        "SELECT StudyInstanceUID, any_value(collection_id) AS collection_id, "
        "min(PatientID) AS PatientID, "
        f"CASE WHEN coalesce(bool_or(Modality IN ({literals(SLIDES)})), false) THEN 'slim' "
        f"WHEN coalesce(bool_or(Modality IN ({literals(RADIOLOGY)})), false) THEN 'ohif' "
        f"ELSE 'none' END AS kind FROM {studies} GROUP BY StudyInstanceUID"
    )


def _links(index: Index, cohort: Cohort, kinds: dict[str, str]) -> list[Link]:
    rows = index.rows(
        "WITH shown AS MATERIALIZED (SELECT StudyInstanceUID, collection_id, PatientID, "
        "SeriesInstanceUID, Modality, coalesce(instanceCount, 0) AS instances, "
        "SeriesInstanceUID IN "
        f"(SELECT SeriesInstanceUID FROM {cohort.source} "
        f"WHERE StudyInstanceUID IN ({literals(kinds)})) AS mine, series_key "
        f"FROM core.series WHERE StudyInstanceUID IN ({literals(kinds)})) "
        "SELECT shown.* EXCLUDE (series_key), source.SeriesInstanceUID FROM shown "
        "LEFT JOIN (SELECT annotation_key, source_key FROM core.refers "
        "WHERE annotation_key IN (SELECT series_key FROM shown)) AS refers "
        "ON annotation_key = shown.series_key "
        "LEFT JOIN shown AS source ON source_key = source.series_key ORDER BY 4"
    )
    series: dict[str, list[_Series]] = defaultdict(list)
    owners: dict[str, tuple[str, str]] = {}
    for study, collection, patient, uid, modality, instances, mine, source in rows:
        series[study].append(_Series(uid, modality, instances, mine, source))
        if mine or study not in owners:
            owners[study] = (collection, patient)
    lacking = {kind: table for kind, table in TABLE_OF.items() if not index.has(table)}
    return [
        _link(study, *owners[study], "SLIM" if kind == "slim" else "OHIF", series[study], lacking)
        for study, kind in kinds.items()
        if study in owners
    ]


def _link(
    study: str,
    collection: str,
    patient: str,
    viewer: str,
    everything: list[_Series],
    lacking: dict[str, str],
) -> Link:
    at, why = _opening_series(everything, SLIDES if viewer == "SLIM" else RADIOLOGY, lacking)
    if viewer == "SLIM":
        url = f"{SLIM_STUDY}{study}" + (f"{SLIM_SERIES}{at.uid}" if at else "")
    else:
        url = f"{OHIF_STUDY}{study}" + (f"{OHIF_SERIES}{at.uid}" if at else "")
    modalities = ",".join(sorted({series.modality for series in everything}))
    opens_at = f"{at.modality if at else 'study'}{why}"
    return Link(collection, patient, modalities, viewer, opens_at, url)


def _opening_series(
    everything: list[_Series], kinds: tuple[str, ...], lacking: dict[str, str]
) -> tuple[_Series | None, str]:
    """The series to open at: one of the cohort's images, else the source of what it derives.

    `lacking` are the kinds whose source would be known by a table that is not here.
    """
    images = {series.uid: series for series in everything if series.modality in kinds}
    mine = [series for series in images.values() if series.mine]
    if mine:
        # Scouts and localisers are small: the largest is what was meant, if one was.
        largest = max(mine, key=lambda series: series.instances)
        return (largest, "") if len(mine) < len(images) else (None, "")
    derived = [series for series in everything if series.mine and series.modality in KINDS]
    sources = Counter(series.source for series in derived if series.source in images)
    if sources:
        most = max(sources, key=lambda uid: (sources[uid], images[str(uid)].instances))
        several = len(sources) > 1
        return images[str(most)], f" (one of {len(sources)} sources)" if several else " (source)"
    if len(images) == 1:
        # A table that is here and names no image of the study leaves no doubt either.
        unnamed = derived and all(
            series.modality in TABLE_OF and series.modality not in lacking for series in derived
        )
        return next(iter(images.values())), "" if unnamed else " (source)"
    tables = sorted({lacking[one.modality] for one in derived if one.modality in lacking})
    return None, f" (source is in {', '.join(tables)}, not here)" if tables else ""
