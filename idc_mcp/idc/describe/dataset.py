"""Accounts of collections, analysis results and DOIs, from facts computed at build."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from idc_mcp.answers import Table
from idc_mcp.idc.cautions import known_faults
from idc_mcp.idc.describe.description import (
    MOST_LISTED,
    Description,
    Group,
    groups,
    license_note,
    listed,
    sizes,
    tally,
)
from idc_mcp.idc.identifiers import Identified
from idc_mcp.index.store import Index

COUNTS = "patients, studies, series, instances, bytes"
LONGEST_TITLE = 56


def describe_collection(index: Index, found: Identified) -> Description:
    """What a collection holds, of what, under which licences, from where, since when."""
    id_ = found.value
    names = (
        "name", "cancer_types", "tumor_locations", "species", "program", "status", "updated",
        "supporting_data",
    )  # fmt: skip
    row = (
        index.row(
            "SELECT collection_name, cancer_types, tumor_locations, species, program_id, status, "
            "updated, supporting_data, [{'doi': source.source_doi, 'title': source.source_title} "
            "FOR source IN sources] FROM collections_index WHERE collection_id = ?",
            [id_],
        )
        or (None,) * 9
    )
    counts = index.row(f"SELECT {COUNTS} FROM facts.collections WHERE collection_id = ?", [id_])
    inside = groups(index, "collection_id", id_)
    titles = {source["doi"]: source["title"] for source in row[8] or [] if source["doi"]}
    description = Description(
        kind="collection",
        understood=found.understood,
        about={"collection_id": id_}
        | {name: value for name, value in zip(names, row, strict=False) if value}
        | sizes(*(counts or (0, 0, 0, 0, 0)))
        | {"body_parts": listed(inside, lambda group: group.BodyPartExamined)},
        modalities=tally(inside, lambda group: group.Modality, ("Modality",)),
        licenses=tally(inside, lambda group: group.license_short_name, ("license",)),
        sources=_sources(inside, titles),
        versions=_versions(inside),
    )
    derived = sum(group.series for group in inside if group.analysis_result_id)
    description.about["series of analysis results"] = derived
    clinical = _clinical(index, id_)
    if clinical:
        description.about["clinical tables"] = clinical
    description.notes = _collection_notes(index, id_, row[3], description)
    description.next = [
        f"idc_sql(sql=\"SELECT description FROM collections_index WHERE collection_id = '{id_}'\")",
        f'idc_cohort(filters={{"collection_id": "{id_}"}})',
    ]
    if clinical:
        description.next.append(f"idc_schema(table='clinical', contains='{id_}')")
    return description


def _clinical(index: Index, id_: str) -> str:
    """The clinical tables of a collection as far as what is here tells, with their patients."""
    found = index.rows(
        "SELECT table_name, patients, imaged FROM "
        "(SELECT DISTINCT table_name FROM core.clinical_columns WHERE collection_id = $1 "
        "UNION SELECT table_name FROM facts.clinical_tables WHERE collection_id = $1) "
        "LEFT JOIN facts.clinical_tables USING (table_name) ORDER BY patients DESC, table_name",
        [id_],
    )
    shown = [
        f"{table} ({patients:,} patients, {imaged:,} with images)" if patients else table
        for table, patients, imaged in found[:MOST_LISTED]
    ]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def describe_analysis_result(index: Index, found: Identified) -> Description:
    """What an analysis result holds and which collections it is on."""
    id_ = found.value
    names = ("title", "source_DOI", "license", "updated", "subjects")
    row = (
        index.row(
            "SELECT analysis_result_title, source_DOI, license_short_name, updated, subjects "
            "FROM analysis_results_index WHERE analysis_result_id = ?",
            [id_],
        )
        or (None,) * 5
    )
    counts = index.row(
        f"SELECT {COUNTS} FROM facts.analysis_results WHERE analysis_result_id = ?", [id_]
    )
    inside = groups(index, "analysis_result_id", id_)
    description = Description(
        kind="analysis_result",
        understood=found.understood,
        about={"analysis_result_id": id_}
        | {name: value for name, value in zip(names, row, strict=True) if value}
        | sizes(*(counts or (0, 0, 0, 0, 0))),
        modalities=tally(inside, lambda group: group.Modality, ("Modality",)),
        licenses=tally(inside, lambda group: group.license_short_name, ("license",)),
        collections=tally(inside, lambda group: group.collection_id, ("collection_id",)),
        versions=_versions(inside),
    )
    description.notes = [
        "Its series keep the collection_id of the images they were made from.",
        *license_note(description.licenses or Table(columns=[], rows=[])),
    ]
    description.next = [
        'idc_sql(sql="SELECT description FROM analysis_results_index '
        f"WHERE analysis_result_id = '{id_}'\")",
        f'idc_cohort(filters={{"analysis_result_id": "{id_}"}})',
    ]
    return description


def describe_doi(index: Index, found: Identified) -> Description:
    """What of the release comes from a DOI."""
    inside = groups(index, "source_DOI", found.value)
    title, citation = _cited(index, found.value)
    results = sorted({group.analysis_result_id for group in inside if group.analysis_result_id})
    about: dict[str, Any] = {"doi": found.value, "url": f"https://doi.org/{found.value}"}
    if title:
        about["title"] = title
    if results:
        about["analysis results"] = ", ".join(results)
    if citation:
        # The catalogue keeps citations as hypertext with hard line breaks.
        about["citation"] = " ".join(unescape(re.sub(r"</?\w+>", "", citation)).split())
    counts = index.row(
        "SELECT count(DISTINCT patient_key), count(DISTINCT study_key), count(*), "
        "CAST(sum(instanceCount) AS BIGINT), CAST(sum(series_bytes) AS BIGINT) "
        f"FROM core.series WHERE {found.where}"
    )
    licenses = tally(inside, lambda group: group.license_short_name, ("license",))
    return Description(
        kind="doi",
        understood=found.understood,
        about=about | sizes(*(counts or (0, 0, 0, 0, 0))),
        modalities=tally(inside, lambda group: group.Modality, ("Modality",)),
        licenses=licenses,
        collections=tally(inside, lambda group: group.collection_id, ("collection_id",)),
        versions=_versions(inside),
        notes=license_note(licenses),
        next=[f"idc_citations(cohort='{found.value}')"],
    )


def _sources(inside: list[Group], titles: dict[str, str]) -> Table:
    """The datasets that a collection is made of, and what was derived from it."""
    known = {doi.lower(): title for doi, title in titles.items()}
    table = tally(
        inside,
        lambda group: (
            group.source_DOI,
            group.analysis_result_id or "",
            group.license_short_name,
        ),
        ("doi", "analysis_result_id", "license"),
    )
    table.columns.append("title")
    for row in table.rows:
        title = " ".join((known.get(str(row[0]).lower()) or "").split())
        row.append(title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…")
    return table


def _versions(inside: list[Group]) -> Table:
    """Of the series served now: in which release they came, and were last revised."""
    added: dict[int, int] = {}
    revised: dict[int, int] = {}
    for group in inside:
        first, last = group.series_init_idc_version, group.series_revised_idc_version
        added[first] = added.get(first, 0) + group.series
        if last != first:
            revised[last] = revised.get(last, 0) + group.series
    return Table.of(
        ("release", "series added", "series revised"),
        [
            (f"v{number}", added.get(number, 0), revised.get(number, 0))
            for number in sorted({*added, *revised}, reverse=True)
        ],
    )


def _collection_notes(
    index: Index, id_: str, species: str | None, description: Description
) -> list[str]:
    notes = license_note(description.licenses or Table(columns=[], rows=[]))
    if species and species != "Human":
        notes.append(f"Not only human: species {species}.")
    modalities = description.modalities.rows if description.modalities else []
    notes += known_faults({(id_, str(row[0])) for row in modalities})
    prior = index.value("SELECT count(*) FROM prior_versions_index WHERE collection_id = ?", [id_])
    if prior:
        notes.append(
            f"{prior:,} earlier versions of its series (superseded, moved or removed) are in "
            "prior_versions_index."
        )
    return notes


def _cited(index: Index, doi: str) -> tuple[str, str]:
    """Title and citation of a DOI."""
    row = index.row(
        "SELECT source.source_title, source.citation FROM "
        "(SELECT unnest(sources) AS source FROM collections_index) "
        "WHERE lower(source.source_doi) = lower(?) LIMIT 1",
        [doi],
    ) or index.row(
        "SELECT analysis_result_title, citation FROM analysis_results_index "
        "WHERE lower(source_DOI) = lower(?)",
        [doi],
    )
    return (row[0] or "", row[1] or "") if row else ("", "")
