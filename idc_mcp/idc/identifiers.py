"""Identifiers as people write them, read forgivingly, and what each one names.

`TCGA-LUAD` is `tcga_luad`, a DOI may come as a link, a series as its folder in the bucket.
The reading is always said; what is unknown gets the nearest names, and what could be two
things is said to be so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from idc_mcp.errors import BadArgument, NotFound
from idc_mcp.idc.nearest import bare, nearest
from idc_mcp.idc.sql import literal, literals
from idc_mcp.idc.uids import UID, UUID
from idc_mcp.index.store import Index

Kind = Literal["collection", "analysis_result", "patient", "study", "series", "doi"]

COLUMN: dict[Kind, str] = {
    "collection": "collection_id",
    "analysis_result": "analysis_result_id",
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "crdc_series_uuid",
    "doi": "source_DOI",
}
"""The column that each kind of identifier is a value of."""

_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_BUCKET_PATH = re.compile(r"(?:s3|gs)://[^/]+/(?P<uuid>[0-9a-f-]{36})(?:/.*)?", re.IGNORECASE)

_RELEASE = r"(?:idc[ _-]?)?(?:releases?[ _]?|versions?[ _]?)?v?(\d{1,3})"
_TO = r"(?:\.\.+|…|-+>|=>|→|to|vs\.?|versus|through|until)"
_BETWEEN = rf"(?: ?{_TO} ?| ?[-–—/:,&] ?| ?and ?| )"
_PAIR = re.compile(rf"(?:(?:compare|between|from) )*{_RELEASE}{_BETWEEN}{_RELEASE}", re.IGNORECASE)
_HALF = re.compile(rf"(?:{_RELEASE} ?{_TO}|{_TO} ?{_RELEASE})", re.IGNORECASE)
_MANY = re.compile(rf"{_RELEASE}(?:{_BETWEEN}{_RELEASE}){{2,}}", re.IGNORECASE)
_MARK = re.compile(r"v\d|idc|release|version", re.IGNORECASE)
_LONGEST_PAIR = 60


@dataclass(frozen=True)
class Identified:
    """What an identifier names.

    `where` is a condition on core.series; with `prior` set, on core.prior: an older version
    of a series, which only its crdc_series_uuid names.
    """

    kind: Kind
    value: str
    understood: str
    where: str
    prior: bool = False


def identify(index: Index, text: str) -> Identified:
    """What one identifier names in this release.

    Raises
    ------
    NotFound
        Nothing of this release has this name; the nearest ones are given.
    BadArgument
        It is empty, or it names two things.
    """
    name = text.strip().strip("\"'`").strip()
    if not name:
        raise BadArgument(
            "The identifier is empty.",
            next_step="give a collection_id, analysis_result_id, PatientID, StudyInstanceUID, "
            "SeriesInstanceUID, crdc_series_uuid, DOI or cohort handle; idc_search finds them",
        )
    if doi := _DOI.fullmatch(name):
        return _doi(index, doi[1].rstrip("."))
    if path := _BUCKET_PATH.fullmatch(name):
        name = path["uuid"]
    if UUID.fullmatch(name):
        return _series_version(index, name.lower())
    if UID.fullmatch(name):
        return _uid(index, name)
    if "/" in name and (patient := _patient_of_collection(index, *name.split("/", 1))):
        return patient
    named = _named(index, name)
    # Looking for a patient reads a column of a million rows: skipped where it cannot find one.
    patients = []
    shared = _shared_names(index)
    spelled = any(found.value == name for found in named)
    if not named or (name in shared if spelled else name.lower() in map(str.lower, shared)):
        patients = _patients(index, name)
    # A name spelled exactly is meant before one that is read forgivingly.
    exact = [found for found in (*named, *patients) if found.value.split("/")[-1] == name]
    if len(exact) == 1:
        return exact[0]
    if len(named) + len(patients) > 1:
        raise BadArgument(
            f"'{text}' names {len(named) + len(patients)} things: "
            + "; ".join(found.understood for found in (*named, *patients))
            + ".",
            next_step="name a patient as 'collection_id/PatientID', or use idc_cohort's filters",
        )
    if found := [*named, *patients]:
        return found[0]
    raise _unknown(index, text, name)


def releases_named(text: str, *, marked: bool) -> tuple[int, int] | None:
    """The two releases that `v20..v25`, `IDC v20 → v25` or `v25 vs v20` name, as written.

    `marked`: only where the text says that they are releases (`v20`, `release 20`), not `20-25`.

    Raises
    ------
    BadArgument
        It is one end of a pair, or more than two releases.
    """
    name = " ".join(text.split())
    if len(name) > _LONGEST_PAIR or (marked and not _MARK.search(name)):
        return None
    if pair := _PAIR.fullmatch(name):
        return int(pair[1]), int(pair[2])
    half = _HALF.fullmatch(name)
    if half or _MANY.fullmatch(name):
        number = int(half[1] or half[2]) if half else 0
        raise BadArgument(
            f"'{text}' names {'one release' if half else 'more than two releases'}, not two.",
            nearest=[f"v{number - 1}..v{number}"] if number > 1 else [],
            next_step="idc_describe(identifier='v20..v25') compares two releases, and "
            f"idc_describe(identifier='v{number or 25}') tells what one changed",
        )
    return None


def collection_ids(index: Index) -> list[str]:
    """Every collection_id of the release, in order."""
    return index.once("collection_ids", lambda: _column(index, "collection_id", "collections"))


def analysis_result_ids(index: Index) -> list[str]:
    """Every analysis_result_id that has series in the release, in order."""
    return index.once(
        "analysis_result_ids", lambda: _column(index, "analysis_result_id", "analysis_results")
    )


def _column(index: Index, column: str, table: str) -> list[str]:
    return [row[0] for row in index.rows(f"SELECT {column} FROM facts.{table} ORDER BY 1")]


def _doi(index: Index, doi: str) -> Identified:
    known = index.once(
        "dois",
        lambda: [
            row[0]
            for row in index.rows(
                "SELECT value FROM facts.values "
                "WHERE table_name = 'index' AND column_name = 'source_DOI' ORDER BY 1"
            )
        ],
    )
    for candidate in known:
        if candidate.lower() == doi.lower():
            return Identified(
                "doi", candidate, f"DOI {candidate}", f"source_DOI = {literal(candidate)}"
            )
    raise NotFound(
        f"No series of IDC {index.release.name} comes from DOI {doi}.",
        nearest=nearest(doi, known),
        next_step="call idc_search with words of the dataset's title",
    )


def _series_version(index: Index, uuid: str) -> Identified:
    condition = f"crdc_series_uuid = {literal(uuid)}"
    if index.row(f"SELECT 1 FROM core.series WHERE {condition}"):
        return Identified("series", uuid, f"series {uuid}", condition)
    prior = index.row(
        f"SELECT min_idc_version, max_idc_version, collection_id FROM core.prior WHERE {condition}"
    )
    if prior:
        return Identified(
            "series",
            uuid,
            f"series {uuid}, a prior version of {prior[2]} (IDC v{prior[0]} to v{prior[1]})",
            condition,
            prior=True,
        )
    raise NotFound(
        f"crdc_series_uuid {uuid} is neither in IDC {index.release.name} nor among its prior "
        "versions.",
        next_step="check the identifier; idc_search finds collections, idc_sql finds series",
    )


def _uid(index: Index, uid: str) -> Identified:
    row = index.row(
        f"SELECT crdc_series_uuid FROM core.series WHERE SeriesInstanceUID = {literal(uid)}"
    )
    if row:
        return Identified("series", row[0], f"series {uid}", f"SeriesInstanceUID = {literal(uid)}")
    condition = f"StudyInstanceUID = {literal(uid)}"
    if index.row(f"SELECT 1 FROM core.series WHERE {condition} LIMIT 1"):
        return Identified("study", uid, f"study {uid}", condition)
    removed = index.rows(
        "SELECT crdc_series_uuid, max_idc_version FROM main.prior_versions_index "
        f"WHERE SeriesInstanceUID = {literal(uid)} OR StudyInstanceUID = {literal(uid)} "
        "ORDER BY max_idc_version DESC LIMIT 3"
    )
    if removed:
        raise NotFound(
            f"UID {uid} is not in IDC {index.release.name}: it was last in v{removed[0][1]}.",
            nearest=[row[0] for row in removed],
            next_step="name a prior version by its crdc_series_uuid",
        )
    raise NotFound(
        f"UID {uid} is no SeriesInstanceUID or StudyInstanceUID of IDC {index.release.name}.",
        next_step="check that it is complete; instance UIDs (SOPInstanceUID) are not in the index",
    )


def _patients(index: Index, name: str) -> list[Identified]:
    condition = f"PatientID = {literal(name)}"
    query = "SELECT DISTINCT PatientID, collection_id FROM core.series WHERE {} ORDER BY ALL"
    rows = index.rows(query.format(condition))
    if not rows:
        rows = index.rows(query.format(f"lower(PatientID) = {literal(name.lower())}"))
    return [_patient(*row) for row in rows]


def _patient_of_collection(index: Index, collection: str, patient: str) -> Identified | None:
    inside = [found for found in _named(index, collection) if found.kind == "collection"]
    if not inside:
        return None
    for found in _patients(index, patient):
        if found.where.startswith(f"{inside[0].where} AND"):
            return found
    return None


def _patient(patient: str, collection: str) -> Identified:
    return Identified(
        "patient",
        f"{collection}/{patient}",
        f"patient {patient} of {collection}",
        f"collection_id = {literal(collection)} AND PatientID = {literal(patient)}",
    )


def _named(index: Index, name: str) -> list[Identified]:
    """Collections and analysis results of this name, by identifier, else by title."""
    wanted = bare(name)
    found: list[Identified] = []
    for kind, identifiers, titles in (
        (
            "collection",
            collection_ids,
            "SELECT collection_name, collection_id FROM collections_index",
        ),
        (
            "analysis_result",
            analysis_result_ids,
            "SELECT analysis_result_title, analysis_result_id FROM analysis_results_index",
        ),
    ):
        names = index.once(("names", kind), _names_of(index, identifiers, titles))
        if wanted in names:
            found.append(_of_kind(kind, names[wanted], name))  # type: ignore[arg-type]
    return found


def _shared_names(index: Index) -> set[str]:
    """PatientIDs that are names of collections or analysis results too (QIBA_CT_1C in v25)."""

    def shared() -> set[str]:
        names = [*collection_ids(index), *analysis_result_ids(index)]
        query = (
            "SELECT DISTINCT PatientID FROM core.series "
            f"WHERE lower(PatientID) IN ({literals(names)})"
        )
        return {row[0] for row in index.rows(query)}

    return index.once("shared_names", shared)


def _names_of(
    index: Index, identifiers: Callable[[Index], list[str]], titles: str
) -> Callable[[], dict[str, str]]:
    def names() -> dict[str, str]:
        ids = identifiers(index)
        known = {bare(title): id_ for title, id_ in index.rows(titles) if title and id_ in ids}
        return known | {bare(id_): id_ for id_ in ids}

    return names


def _of_kind(kind: Kind, value: str, written: str) -> Identified:
    read = "" if written == value else f" (read from '{written}')"
    label = kind.replace("_", " ")
    return Identified(kind, value, f"{label} {value}{read}", f"{COLUMN[kind]} = {literal(value)}")


def _unknown(index: Index, text: str, name: str) -> NotFound:
    close = nearest(name, [*collection_ids(index), *analysis_result_ids(index)])
    close += [
        row[0]
        for row in index.rows(
            "SELECT DISTINCT PatientID FROM core.series "
            f"WHERE starts_with(lower(PatientID), {literal(name.lower())}) ORDER BY 1 LIMIT 3"
        )
    ]
    return NotFound(
        f"'{text}' is no collection, analysis result, patient, study, series or DOI of "
        f"IDC {index.release.name}.",
        nearest=close,
        next_step=f"call idc_search(query={name[:60]!r})",
    )
