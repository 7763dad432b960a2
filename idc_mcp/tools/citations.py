"""The tool that cites."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.app import App
from idc_mcp.files import write_whole
from idc_mcp.idc.citations import citations
from idc_mcp.idc.citations.citations import CATALOGUE, Citations, Format
from idc_mcp.idc.cohorts.resolve import name_for
from idc_mcp.outputs import output_path

_SHOWN_WITH_FILE = 3


class CitationsAnswer(Answer):
    """One citation a DOI, IDC's own, and a sentence for the methods section."""

    elastic: ClassVar[tuple[str, ...]] = ("citations", "missing")

    dois: int
    origin: str
    citations: Table
    missing: Table | None = None
    idc: str
    methods: str
    file: str = ""


def idc_citations(
    app: App,
    cohort: Annotated[str, Field(description="Handle or identifiers")],
    format: Annotated[Format, Field(description="turtle comes from doi.org only")] = "apa",
    save_as: Annotated[str, Field(description="File name for all of them")] = "",
) -> CitationsAnswer:
    """How to cite a cohort's data: one citation per DOI, all of them, with series counts.

    Also IDC's own paper and a methods sentence naming the release. Works offline; BibTeX and
    CSL-JSON are doi.org's where it answers, else built from the catalogue's text.
    """
    resolved = app.cohorts.resolve(cohort)
    path = output_path(app.settings, save_as, citations.SUFFIXES[format]) if save_as else None
    found = citations.cite(app.index, resolved, format, app.settings)
    if path is not None:
        write_whole(path, citations.document(found, format, app.release_name))
    call = "ask for fewer collections at a time"
    if not app.settings.hosted and path is None:
        file = f"{resolved.handle}-citations{citations.SUFFIXES[format][0]}"
        name = name_for(app.cohorts, cohort, resolved)
        call = f"idc_citations(cohort={name!r}, format={format!r}, save_as={file!r})"
    return CitationsAnswer(
        release=app.release_name,
        understood=resolved.understood,
        dois=found.dois,
        origin=_origin(found, format),
        citations=Table.of(
            ["DOI", "series", format],
            [[item.doi, item.series, _cell(item.text, format)] for item in found.cited],
            limit=_SHOWN_WITH_FILE if path else None,
            rest="all are in the file" if path else call,
        ),
        missing=_missing(
            found, f"idc_citations(cohort={name_for(app.cohorts, cohort, resolved)!r})"
        ),
        idc=found.idc,
        methods=citations.methods_sentence(app.index, resolved),
        file=str(path or ""),
    )


def _cell(text: str, form: Format) -> Any:
    """A citation as a cell: CSL-JSON as the object it is, not as text within text."""
    return json.loads(text) if form == "csl-json" else text


def _missing(found: Citations, call: str) -> Table | None:
    if not found.missing:
        return None
    return Table.of(
        ["DOI", "series", "why", "apa"],
        [[item.doi, item.series, item.why, item.apa] for item in found.missing],
        rest=call,
    )


def _origin(found: Citations, form: Format) -> str:
    """How many come from where, and why not from doi.org."""
    built = [item for item in found.cited if item.origin == CATALOGUE]
    asked = len(found.cited) - len(built)
    parts = [f"{asked} from doi.org"] if asked else []
    if built:
        what = "the catalogue's text" if form == "apa" else "built from the catalogue's text"
        parts.append(f"{len(built)} {what}")
    if found.missing:
        parts.append(f"{len(found.missing)} missing")
    reasons = dict.fromkeys(found.reasons)
    why = f" (not doi.org's: {'; '.join(list(reasons)[:3])})" if reasons else ""
    if built and asked:
        why += f". Built: {', '.join(item.doi for item in built[:20])}"
        why += "…" if len(built) > 20 else ""
    return ", ".join(parts) + why
