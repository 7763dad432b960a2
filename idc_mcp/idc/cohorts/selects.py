"""What a SELECT's columns name: series, studies, or patients, and the series of those.

    crdc_series_uuid, SeriesInstanceUID     these series
    StudyInstanceUID                        all series of these studies
    collection_id with PatientID            all series of these patients; a clinical table calls
                                            the patient dicom_patient_id

The first of them that the columns have is what counts: a list of series may tell its patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from idc_mcp.answers import plain
from idc_mcp.errors import BadArgument, NotFound, quoted
from idc_mcp.idc.cohorts.origins import SERIES_COLUMNS
from idc_mcp.idc.identifiers import collection_ids
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.sql import identifier, literal
from idc_mcp.index.store import Index

STUDY_COLUMN = "StudyInstanceUID"
COLLECTION = "collection_id"
PATIENT_COLUMNS = ("PatientID", "dicom_patient_id")

_LOOSEN = "run it with idc_sql and loosen its conditions one by one"


@dataclass(frozen=True)
class Selected:
    """A query of the crdc_series_uuid of the series that are meant, and what to say of it.

    `key` and `picked` tell how the SELECT names them (`Origin`).
    """

    query: str
    notes: list[str] = field(default_factory=list)
    key: str = ""
    picked: str = ""


def selected(index: Index, columns: Sequence[str], types: Sequence[str], result: Path) -> Selected:
    """The series that the rows of a result name.

    Parameters
    ----------
    columns, types
        The result's columns, and their types.
    result
        A Parquet file of its rows.

    Raises
    ------
    BadArgument
        No column names series, studies or patients; none is there; or one is unknown.
    NotFound
        None of the patients has images.
    """
    named = {name.lower(): name for name in columns}
    rows = f"read_parquet({literal(str(result))})"

    def meant(found: Selected, key: Sequence[str], *given: str) -> Selected:
        told = picked([named[column.lower()] for column in given], columns, types)
        return replace(found, key=", ".join(key), picked=told)

    for column in SERIES_COLUMNS:
        if column.lower() in named:
            found = _series(index, column, _distinct(rows, named[column.lower()]))
            return meant(found, [column], column)
    if STUDY_COLUMN.lower() in named:
        found = _studies(index, _distinct(rows, named[STUDY_COLUMN.lower()]))
        return meant(found, [STUDY_COLUMN], STUDY_COLUMN)
    for column in PATIENT_COLUMNS:
        if column.lower() in named:
            found = _patients(index, column, named, rows)
            return meant(found, [COLLECTION, PATIENT_COLUMNS[0]], COLLECTION, column)
    other = next((name for name in columns if name.endswith(SERIES_COLUMNS[1])), "")
    renamed = f"write {other} AS {SERIES_COLUMNS[1]}, or " if other else ""
    raise BadArgument(
        f"The SELECT yields {', '.join(columns) or 'no columns'}, none of which identifies "
        "series, studies or patients.",
        nearest=(*SERIES_COLUMNS, STUDY_COLUMN, f"{COLLECTION} with {PATIENT_COLUMNS[0]}"),
        next_step=f"{renamed}select crdc_series_uuid or SeriesInstanceUID, for example "
        "SELECT crdc_series_uuid FROM index WHERE …; of a clinical table "
        f"SELECT {COLLECTION}, {PATIENT_COLUMNS[1]} FROM … WHERE …",
    )


def picked(wanted: Sequence[str], columns: Sequence[str], types: Sequence[str]) -> str:
    """The wanted columns as a SELECT's list, as text; '' where the rows are just these."""
    kinds = dict(zip(columns, types, strict=True))
    if list(wanted) == list(columns) and {*types} == {"VARCHAR"}:
        return ""
    return ", ".join(
        identifier(name) if kinds[name] == "VARCHAR" else f"CAST({identifier(name)} AS VARCHAR)"
        for name in wanted
    )


def _distinct(rows: str, name: str) -> str:
    column = identifier(name)
    return f"SELECT DISTINCT CAST({column} AS VARCHAR) AS id FROM {rows} WHERE {column} IS NOT NULL"


def _series(index: Index, column: str, given: str) -> Selected:
    count = _count(index, given, "series")
    tables = ["core.series"]
    if column == "crdc_series_uuid":
        tables.append("core.prior")
    known = " UNION ALL ".join(
        f"SELECT crdc_series_uuid FROM {table} SEMI JOIN ({given}) ON {column} = id"
        for table in tables
    )
    found = index.value(f"SELECT count(DISTINCT crdc_series_uuid) FROM ({known})")
    if found != count:
        raise BadArgument(
            f"{plain(count - found)} of the {plain(count)} values of {column} that the SELECT "
            f"yields are no series of IDC {index.release.name}.",
            next_step="join with index on SeriesInstanceUID (or select crdc_series_uuid for "
            "prior versions)",
        )
    return Selected(known)


def _studies(index: Index, given: str) -> Selected:
    count = _count(index, given, "studies")
    known = f"FROM core.series SEMI JOIN ({given}) ON {STUDY_COLUMN} = id"
    found = index.value(f"SELECT count(DISTINCT study_key) {known}")
    if found != count:
        raise BadArgument(
            f"{plain(count - found)} of the {plain(count)} values of {STUDY_COLUMN} that the "
            f"SELECT yields are no studies of IDC {index.release.name}.",
            next_step=f"join with index on {STUDY_COLUMN} (or select crdc_series_uuid for "
            "prior versions)",
        )
    return Selected(
        f"SELECT crdc_series_uuid {known}",
        [f"the SELECT names no series: these are all series of its {plain(count)} studies"],
    )


def _patients(index: Index, column: str, named: Mapping[str, str], rows: str) -> Selected:
    patient = f"CAST({identifier(named[column.lower()])} AS VARCHAR)"
    if COLLECTION not in named:
        raise BadArgument(
            f"The SELECT yields {column} without {COLLECTION}, and one PatientID may occur in "
            "two collections.",
            nearest=[f"{COLLECTION}, {column}"],
            next_step=f"add {COLLECTION} to the SELECT; clinical tables have it as a column",
        )
    collection = f"CAST({identifier(named[COLLECTION])} AS VARCHAR)"
    everyone = f"SELECT DISTINCT {collection} AS collection, {patient} AS patient FROM {rows}"
    given = f"SELECT * FROM ({everyone}) WHERE collection IS NOT NULL AND patient IS NOT NULL"
    count = index.value(f"SELECT count(*) FROM ({given})")
    unnamed = index.value(
        f"SELECT count(*) FROM {rows} WHERE {collection} IS NULL OR {patient} IS NULL"
    )
    if not count:
        raise BadArgument(
            "The SELECT yields no patients"
            + (f": in all of its rows {COLLECTION} or {column} is empty." if unnamed else "."),
            next_step=_LOOSEN,
        )
    known = (
        f"FROM core.series SEMI JOIN ({given}) AS given "
        f"ON {COLLECTION} = given.collection AND PatientID = given.patient"
    )
    found = index.value(f"SELECT count(DISTINCT patient_key) {known}")
    absent = index.rows(
        f"SELECT collection, patient FROM ({given}) AS given ANTI JOIN core.series AS series "
        f"ON series.{COLLECTION} = given.collection AND series.PatientID = given.patient "
        "ORDER BY ALL LIMIT 3"
    )
    strange = sorted({str(row[0]) for row in absent} - set(collection_ids(index)))
    if not found:
        raise NotFound(
            f"None of the {plain(count)} patients that the SELECT yields has images in IDC "
            f"{index.release.name}"
            + (f": {quoted(strange)} is no {COLLECTION}." if strange else "."),
            nearest=nearest(strange[0], collection_ids(index)) if strange else [],
            next_step=f"look at them with idc_sql; {column} must be PatientID of index",
        )
    missing = ", ".join("/".join(row) for row in absent) + (", …" if count - found > 3 else "")
    imaged = f"{plain(found)} of them have" if found < count else "all of them with"
    notes = [
        f"the SELECT names no series: these are all series of its patients; {plain(count)} "
        f"patients given, {imaged} images in IDC {index.release.name}"
        + (f", {plain(count - found)} have none ({missing})" if missing else "")
    ]
    if unnamed:
        notes.append(f"{plain(unnamed)} rows of the SELECT name no patient and were left out")
    return Selected(f"SELECT crdc_series_uuid {known}", notes)


def _count(index: Index, given: str, what: str) -> int:
    count = int(index.value(f"SELECT count(*) FROM ({given})"))
    if not count:
        raise BadArgument(f"The SELECT yields no {what}.", next_step=_LOOSEN)
    return count
