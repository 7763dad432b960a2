"""The tool that tells what a cohort may be used for."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from idc_mcp.answers import Answer, Table
from idc_mcp.app import App
from idc_mcp.idc import licenses
from idc_mcp.idc.cohorts.resolve import Cohort, name_for
from idc_mcp.idc.terms import TERMS


class LicensesAnswer(Answer):
    """The licences of a cohort, the verdict, and the part that may be used."""

    elastic: ClassVar[tuple[str, ...]] = ("withheld",)

    may_be_used: str
    verdict: str
    allowed_part: str = ""
    use: str
    commercial: str
    licenses: Table
    obligations: list[str]
    withheld: Table | None = None
    notes: list[str] | None = None


def idc_licenses(
    app: App,
    cohort: Annotated[str, Field(description="Handle or identifiers")],
    use: Annotated[
        Literal["any", "commercial"],
        Field(description="commercial: also gives the handle of the part that may"),
    ] = "any",
) -> LicensesAnswer:
    """May this cohort be used, also commercially? Its licences by series and bytes, with URLs.

    A mix is said to be one, with what each licence asks for and which collections are withheld.
    """
    resolved = app.cohorts.resolve(cohort)
    found = licenses.summary(app.index, resolved)
    may, verdict = licenses.answer_for(found, use)
    part = ""
    if use == "commercial" and may == "in part":
        part = app.cohorts.for_use(resolved, "commercial").handle
    kept = use == "commercial" and may != "yes"
    return LicensesAnswer(
        release=app.release_name,
        understood=resolved.understood,
        may_be_used=may,
        verdict=verdict,
        allowed_part=part,
        use=use,
        commercial=found.verdict,
        licenses=Table.of(
            ["license", "series", "bytes", "commercial", "url"],
            [
                [name, series, size, _commercial(name), _url(name)]
                for name, series, size in found.rows
            ],
        ),
        obligations=licenses.obligations(found),
        withheld=_withheld(app, resolved, cohort) if kept else None,
        notes=licenses.contradictions(app.index, resolved.source),
    )


def _commercial(name: str) -> str:
    if name not in TERMS:
        return "unknown"
    return "yes" if TERMS[name].commercial else "no"


def _url(name: str) -> str | None:
    return TERMS[name].url if name in TERMS else None


def _withheld(app: App, resolved: Cohort, cohort: str) -> Table:
    name = name_for(app.cohorts, cohort, resolved)
    return Table.of(
        ["collection_id", "license", "series", "bytes"],
        licenses.withheld(app.index, resolved.source),
        limit=20,
        rest=f"idc_size(cohort={name!r}, group_by='collection_id')",
    )
