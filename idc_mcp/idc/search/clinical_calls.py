"""The cohort of patients that a search suggests: SQL over the clinical tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from idc_mcp.idc.search.clinical import clinical_join, is_clinical
from idc_mcp.idc.search.documents import Clinical, Document, Kind
from idc_mcp.idc.search.lookups import OWN, own_words, score
from idc_mcp.idc.search.measures import grades_of, stages_of
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.ranking import Hit
from idc_mcp.idc.vocabulary import NARROWER

STAGE_PART = 0.75
"""From where a value is a part of the stage that was asked for: IIIA of III."""
MOST_LOOKED_AT, MOST_VALUES = 40, 8
LONGEST_SQL = 400

Asked = dict[str, list[str]]
"""Codes by column of a clinical table."""


def clinical_call(query: Query, ranked: Mapping[Kind, Sequence[Hit]]) -> str:
    """The cohort of patients who have the clinical values that the query names; else nothing.

    Of the tables that have the first of them, the one that has most of the others too.
    """
    values = [hit for hit in ranked.get("value", ()) if hit.document.clinical]
    asks = [place for place, term in enumerate(query.terms) if is_clinical(term) or _is_stage(term)]
    strong = [place for place, term in enumerate(query.terms) if not term.weak]
    first: tuple[set[int], Clinical, Asked] | None = None
    looked: set[str] = set()
    for hit in ranked.get("value", ())[:MOST_LOOKED_AT]:
        place = hit.document.clinical
        whole = all(hit.terms[one] >= OWN for one in strong)
        if place is None or place.code is None or not (asks or whole) or place.table in looked:
            continue
        looked.add(place.table)
        said, columns = _asked_of(place.table, values, query.terms)
        wanted = said & {*asks} if asks else said
        if said and (first is None or len(wanted) > len(first[0] & {*asks})):
            first = (said, place, columns)
    if first is None:
        return ""
    said, place, columns = first
    modalities = [code for term in query.terms if not is_clinical(term) for code in term.modalities]
    sql = clinical_join(place, columns, list(dict.fromkeys(modalities)))
    if len(sql) > LONGEST_SQL:
        return ""
    of = {
        number
        for hit in values
        if hit.document.clinical and hit.document.clinical.table == place.table
        for number, known in enumerate(hit.terms)
        if known >= OWN and not _is_stage(query.terms[number])
    }
    left = [
        term.text
        for number, term in enumerate(query.terms)
        if number not in said
        if (number not in of or is_clinical(term) or term.number)
        if not term.weak
        if not term.modalities or term.measure or term.word in NARROWER
    ]
    about = f"of {', '.join(place.collections)}" if place.collections else ""
    left += [*query.unsearched, *query.unknown]
    without = f"leaves out: {', '.join(left)}" if left else ""
    told = "; ".join(filter(None, (about, without)))
    call = f"idc_cohort(sql={json.dumps(sql, ensure_ascii=False)})"
    return f"{call}  ({told})" if told else call


def _is_stage(term: Term) -> bool:
    return bool(term.measure and term.measure.values)


def _asked_of(table: str, values: Sequence[Hit], terms: Sequence[Term]) -> tuple[set[int], Asked]:
    """The terms that values of a table say, and the codes by column that say them."""
    inside = [hit.document for hit in values if (hit.document.clinical or _NOWHERE).table == table]
    said: set[int] = set()
    columns: Asked = {}
    for document in inside:
        places = {number for number, term in enumerate(terms) if _says(document, term)}
        column = (document.clinical or _NOWHERE).column
        if not places - said or column in columns:
            continue
        columns[column] = sorted(
            (other.clinical or _NOWHERE).code or ""
            for other in inside
            if (other.clinical or _NOWHERE).column == column
            and all(_says(other, terms[number]) for number in places)
        )[:MOST_VALUES]
        said |= places
    return said, columns


_NOWHERE = Clinical("")


def _says(value: Document, term: Term) -> bool:
    """Whether a clinical value itself says a term."""
    words = own_words(value.name)
    weights = dict.fromkeys(words, 1.0)
    if term.measure and term.measure.values:
        weights |= stages_of(words) if term.measure.word == "stage" else grades_of(words)
    return score(term, weights) >= STAGE_PART
