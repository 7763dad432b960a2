"""Accounts of a patient, a study, a series, and a prior version of a series."""

from __future__ import annotations

from typing import Any

from idc_mcp.answers import Table
from idc_mcp.idc.annotations.kinds import KINDS, TABLE_OF
from idc_mcp.idc.describe.acquired import add_acquired
from idc_mcp.idc.describe.description import Description, sizes
from idc_mcp.idc.identifiers import Identified
from idc_mcp.idc.sql import literal
from idc_mcp.index.store import Index
from idc_mcp.quantities import bytes_text

MOST_STUDIES, MOST_SERIES = 30, 40


def describe_patient(index: Index, found: Identified) -> Description:
    """A patient's studies."""
    description = Description("patient", found.understood, _facts(index, found.where))
    rows = index.rows(
        "SELECT StudyInstanceUID, any_value(StudyDate), any_value(StudyDescription), "
        "string_agg(DISTINCT Modality, '+' ORDER BY Modality), count(*), "
        f"CAST(sum(series_bytes) AS BIGINT) FROM core.series WHERE {found.where} "
        "GROUP BY StudyInstanceUID ORDER BY 2, 1"
    )
    description.studies = Table.of(
        ("StudyInstanceUID", "date", "description", "modalities", "series", "size"),
        [(*row[:5], bytes_text(row[5])) for row in rows],
        limit=MOST_STUDIES,
        rest=_rest("StudyInstanceUID, StudyDate, StudyDescription", found.where),
    )
    description.notes = ["Dates are shifted per patient: they order within this patient only."]
    description.next = [f"idc_viewer(cohort='{row[0]}')" for row in rows[:1]]
    return description


def describe_study(index: Index, found: Identified) -> Description:
    """A study's series."""
    description = Description("study", found.understood, _facts(index, found.where))
    rows = index.rows(
        "SELECT SeriesInstanceUID, Modality, SeriesDescription, instanceCount, series_bytes, "
        f"analysis_result_id FROM core.series WHERE {found.where} "
        "ORDER BY Modality, TRY_CAST(SeriesNumber AS INTEGER), SeriesInstanceUID"
    )
    description.series = Table.of(
        ("SeriesInstanceUID", "Modality", "description", "instances", "size", "analysis_result_id"),
        [(*row[:4], bytes_text(row[4]), row[5]) for row in rows],
        limit=MOST_SERIES,
        rest=_rest("SeriesInstanceUID, Modality, SeriesDescription, instanceCount", found.where),
    )
    description.next = [f"idc_viewer(cohort='{found.value}')"]
    return description


def describe_series(index: Index, found: Identified) -> Description:
    """All that the index and the specialised tables here say of a series, and earlier versions."""
    names = [column.name for column in index.release.schemas["index"].columns]
    row = index.row(f"SELECT {', '.join(names)}, series_bytes FROM core.series WHERE {found.where}")
    values = dict(zip([*names, "size"], row or (), strict=False))
    values["size"] = bytes_text(values["size"])
    del values["series_size_MB"]
    description = Description(
        "series",
        found.understood,
        {name: value for name, value in values.items() if value is not None},
    )
    earlier = index.rows(
        "SELECT crdc_series_uuid, min(min_idc_version), max(max_idc_version) "
        "FROM prior_versions_index WHERE SeriesInstanceUID = ? GROUP BY 1 ORDER BY 2",
        [values["SeriesInstanceUID"]],
    )
    if earlier:
        description.versions = Table.of(("crdc_series_uuid", "from release", "to release"), earlier)
        description.notes = ["versions lists earlier versions; each is had by its own uuid."]
    add_acquired(index, description, values["Modality"], values["SeriesInstanceUID"])
    if values["Modality"] in KINDS and values["Modality"] not in TABLE_OF:
        call = f"idc_annotations(cohort='{values['SeriesInstanceUID']}', direction='images')"
        description.notes.append(
            f"No table tells which images this {values['Modality']} refers to: {call} gives the "
            "images of its study as candidates."
        )
    description.next.append(f"idc_viewer(cohort='{values['SeriesInstanceUID']}')")
    return description


def describe_prior(index: Index, found: Identified) -> Description:
    """A version of a series that the current release does not serve."""
    names = (
        "crdc_series_uuid", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id",
        "Modality", "series_aws_url", "gcs_bucket", "min_idc_version", "max_idc_version",
    )  # fmt: skip
    rows = index.rows(
        f"SELECT {', '.join(names)}, CAST(round(series_size_MB * 1e6) AS BIGINT) "
        f"FROM main.prior_versions_index WHERE {found.where} ORDER BY min_idc_version"
    )
    last = rows[-1]
    about: dict[str, Any] = dict(zip(names, last, strict=False))
    about["min_idc_version"] = min(row[8] for row in rows)
    about["size"] = bytes_text(last[10])
    current = index.row(
        "SELECT crdc_series_uuid, series_revised_idc_version FROM core.series "
        f"WHERE SeriesInstanceUID = {literal(last[1])}"
    )
    note = (
        f"Superseded: {index.release.name} serves this series as {current[0]} "
        f"(since v{current[1]}). Joining on SeriesInstanceUID gives that one."
        if current
        else f"Its series is not in {index.release.name}: last served in v{last[9]}."
    )
    return Description(
        "prior version of a series",
        found.understood,
        about,
        notes=[note],
        next=[f"idc_describe(identifier='{current[0]}')"] if current else [],
    )


def _facts(index: Index, where: str) -> dict[str, Any]:
    """What the series of a patient or study have in common, and their counts."""
    names = ("collection_id", "PatientID", "PatientSex", "PatientAge", "StudyDate",
             "StudyDescription", "license_short_name", "source_DOI")  # fmt: skip
    texts = ", ".join(f"string_agg(DISTINCT {name}, ', ' ORDER BY {name})" for name in names)
    row = index.row(
        f"SELECT {texts}, count(DISTINCT patient_key), count(DISTINCT study_key), count(*), "
        f"CAST(sum(instanceCount) AS BIGINT), CAST(sum(series_bytes) AS BIGINT) "
        f"FROM core.series WHERE {where}"
    )
    assert row is not None
    facts = {
        name: value if len(value) <= 200 else f"{value[:199]}…"
        for name, value in zip(names, row, strict=False)
        if value
    }
    return facts | sizes(*row[8:])


def _rest(columns: str, where: str) -> str:
    return f'idc_sql(sql="SELECT DISTINCT {columns} FROM \\"index\\" WHERE {where}")'
