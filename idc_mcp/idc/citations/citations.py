"""Citations of a cohort: one for each DOI, from the catalogue's text or from doi.org.

Every DOI of a release has a text in the catalogue, so nothing here needs the network. Exact
BibTeX, CSL-JSON and Turtle come from doi.org where it answers; BibTeX and CSL-JSON are else
built from the text, and said to be. A citation that cannot be given is listed with the
reason, never left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from idc_mcp.idc.citations import doi, references
from idc_mcp.idc.citations.references import IDC_TEXT, Reference, clean
from idc_mcp.settings import Settings

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

Format = Literal["apa", "bibtex", "csl-json", "turtle"]

SUFFIXES: dict[Format, tuple[str, ...]] = {
    "apa": (".txt", ".md"),
    "bibtex": (".bib",),
    "csl-json": (".json",),
    "turtle": (".ttl",),
}

CATALOGUE = "catalogue"
RESOLVER = "doi.org"

PORTAL = "https://imaging.datacommons.cancer.gov"


@dataclass(frozen=True)
class Citation:
    """One DOI of the cohort, cited.

    `origin` is CATALOGUE (the text of the release, or an entry built from it) or RESOLVER.
    """

    doi: str
    series: int
    text: str
    origin: str


@dataclass(frozen=True)
class Missing:
    """A citation that cannot be given in the format, why, and the plain text if there is one."""

    doi: str
    series: int
    why: str
    apa: str = ""


@dataclass
class Citations:
    """All citations of a cohort; `dois` of them are cited or missing, none is left out."""

    cited: list[Citation] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    idc: str = ""
    reasons: list[str] = field(default_factory=list)
    """Why doi.org gave no record, where an entry was built from the catalogue instead."""

    @property
    def dois(self) -> int:
        """DOIs of the cohort."""
        return len(self.cited) + sum(1 for item in self.missing if item.doi)


def cite(index: Index, cohort: Cohort, form: Format, settings: Settings) -> Citations:
    """The citations of a cohort in a format, most series first."""
    rows = index.rows(
        f"SELECT lower(source_DOI), count(*) FROM {cohort.source} WHERE source_DOI IS NOT NULL "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    series = {str(name): int(count) for name, count in rows}
    texts = catalogue_texts(index)
    found = Citations(idc=_idc_entry(form))
    wanted = [name for name in series if form != "apa" or name not in texts]
    # The catalogue's text is what IDC asks to be cited with: apa needs no other.
    records = doi.fetch(wanted, form, settings) if form != "apa" else doi.Records()
    keys: set[str] = {references.bibtex_key(references.idc_reference())}
    for name, count in series.items():
        text = texts.get(name, "")
        if form == "apa" and text:
            found.cited.append(Citation(name, count, clean(text), CATALOGUE))
        elif name in records.found:
            record = _with_new_key(records.found[name], keys) if form == "bibtex" else (
                _one_line_json(records.found[name]) if form == "csl-json" else records.found[name]
            )  # fmt: skip
            found.cited.append(Citation(name, count, record, RESOLVER))
        elif text and form in ("bibtex", "csl-json"):
            built = _built(references.read_references(text, name), form, keys)
            found.cited.append(Citation(name, count, built, CATALOGUE))
            found.reasons.append(records.failed[name])
        else:
            why = records.failed.get(name, "the catalogue has no citation text for it")
            found.missing.append(Missing(name, count, why, clean(text)))
    found.missing += _without_doi(index, cohort)
    return found


def catalogue_texts(index: Index) -> dict[str, str]:
    """The citation text of every DOI (lower case: DOIs compare so), as the release has it."""
    rows = index.rows(
        "SELECT lower(source.source_doi) AS doi, any_value(source.citation) FROM "
        "(SELECT unnest(sources) AS source FROM main.collections_index) "
        "WHERE source.source_doi IS NOT NULL AND source.citation <> '' GROUP BY 1 "
        "UNION ALL SELECT lower(source_DOI), any_value(citation) "
        "FROM main.analysis_results_index "
        "WHERE source_DOI IS NOT NULL AND citation <> '' GROUP BY 1"
    )
    return {str(name): str(text) for name, text in rows}


def methods_sentence(index: Index, cohort: Cohort) -> str:
    """A sentence for the methods section: what was used, of which release, how to have it."""
    row = index.row(
        "SELECT count(*), count(DISTINCT study_key), count(DISTINCT patient_key), "
        f"count(DISTINCT collection_id) FROM {cohort.source}"
    )
    series, studies, patients, collections = map(int, row or (0, 0, 0, 0))
    release = index.release
    when = index.value(
        "SELECT max(version_timestamp) FROM main.version_metadata_index "
        "WHERE CAST(idc_version AS VARCHAR) = ?",
        [str(release.number)],
    )
    return (
        f"Images ({_count(series, 'series', 'series')}, {_count(studies, 'study', 'studies')}, "
        f"{_count(patients, 'patient', 'patients')}, "
        f"{_count(collections, 'collection', 'collections')}) were obtained from the NCI Imaging "
        f"Data Commons (IDC; {PORTAL}) [Fedorov et al., 2023], data release {release.name}"
        f"{_date_text(when)} (idc-index-data {release.data_version})."
    )


def document(citations: Citations, form: Format, release: str) -> str:
    """All citations as one file of the format, IDC's own first."""
    built = f"Built from the citation text in the catalogue of {release}, not from doi.org"
    if form == "csl-json":
        items: list[dict[str, Any]] = json.loads(citations.idc)
        for citation in citations.cited:
            record = json.loads(citation.text)
            items += record if isinstance(record, list) else [record]
        return json.dumps(items, ensure_ascii=False, indent=1) + "\n"
    mark = {"apa": "", "bibtex": "% ", "turtle": "# "}[form]
    parts = [citations.idc]
    for citation in citations.cited:
        is_built = form == "bibtex" and citation.origin == CATALOGUE
        parts.append(f"% {built}\n{citation.text}" if is_built else citation.text)
    parts += [
        f"{mark}MISSING {item.doi or 'DOI'} ({item.series} series): {item.why}. {item.apa}".strip()
        for item in citations.missing
    ]
    return "\n\n".join(parts) + "\n"


def _built(found: Iterable[Reference], form: Format, keys: set[str]) -> str:
    if form == "csl-json":
        items = [references.csl(reference) for reference in found]
        return json.dumps(items[0] if len(items) == 1 else items, ensure_ascii=False)
    return "\n".join(
        references.bibtex(reference, _new_key(references.bibtex_key(reference), keys))
        for reference in found
    )


def _idc_entry(form: Format) -> str:
    reference = references.idc_reference()
    match form:
        case "bibtex":
            return references.bibtex(reference, references.bibtex_key(reference))
        case "csl-json":
            return json.dumps([references.csl(reference)], ensure_ascii=False)
        case "turtle":
            return f"# {IDC_TEXT}"
        case _:
            return IDC_TEXT


def _without_doi(index: Index, cohort: Cohort) -> list[Missing]:
    rows = index.rows(
        f"SELECT collection_id, count(*) FROM {cohort.source} WHERE source_DOI IS NULL "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    return [
        Missing(
            "",
            int(count),
            f"collection {name}: the index names no DOI for these series (prior versions); "
            f"cite as idc_citations(cohort='{name}') says",
        )
        for name, count in rows
    ]


_NOT_CITED = {"abstract", "reference", "references", "link", "relation", "assertion"}
"""What registries add to CSL-JSON that no citation style prints, and that is long."""

_ENTRY_KEY = re.compile(r"^(\s*@\w+\s*\{\s*)([^,\s]*)")


def _with_new_key(entry: str, keys: set[str]) -> str:
    """An entry of doi.org, its key changed only where another entry has it already."""
    return _ENTRY_KEY.sub(lambda found: found[1] + _new_key(found[2], keys), entry, count=1)


def _new_key(key: str, keys: set[str]) -> str:
    number, free = 2, key
    while free in keys:
        free, number = f"{key}_{number}", number + 1
    keys.add(free)
    return free


def _one_line_json(text: str) -> str:
    item = json.loads(text)
    kept = {name: value for name, value in item.items() if name not in _NOT_CITED}
    return json.dumps(kept, ensure_ascii=False)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _date_text(when: object) -> str:
    try:
        day = date.fromisoformat(str(when)[:10])
    except ValueError:
        return ""
    return f" of {day.day} {day:%B %Y}"
