"""Filters matched against the release: conditions, what each matched, what it nearly did.

The result is canonical: `ct`, `CT` and `C*T` end in the same condition, so that the same
question gives the same cohort.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from idc_mcp.errors import NotFound
from idc_mcp.idc.cohorts.filters import DateRange, Filters, NumberRange
from idc_mcp.idc.facts import values_of
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.sql import contains, identifier, literal, literals
from idc_mcp.idc.vocabulary import suggestions
from idc_mcp.index.layout import ANNOTATIONS
from idc_mcp.index.store import Index

AGE_IN_YEARS = (
    "CASE WHEN regexp_full_match(PatientAge, '[0-9]{1,3}[YMWDymwd]?') THEN "
    "CAST(regexp_extract(PatientAge, '[0-9]+') AS DOUBLE) / CASE upper(right(PatientAge, 1)) "
    "WHEN 'M' THEN 12 WHEN 'W' THEN 52.1775 WHEN 'D' THEN 365.2425 ELSE 1 END END"
)
"""PatientAge (DICOM PS3.5 6.2, value representation AS: nnnD, nnnW, nnnM, nnnY) in years."""

SEVERAL_VALUED = (
    "sop_class_name", "SOPClassUID", "transfer_syntax_name", "TransferSyntaxUID",
    "PhotometricInterpretation",
)  # fmt: skip
"""Columns that join with commas what the instances of a series differ in."""

NULL = "null"
NEAR_MISSES = 4


@dataclass(frozen=True)
class Condition:
    """One filter, understood.

    `sql` is a condition on `index`, and `fast` the same on core.series where that has a
    shorter way; `matched` says what it takes in a person's words; `nearly` are values that
    look alike and were left out, with their series in the release.
    """

    name: str
    sql: str
    matched: str
    canonical: Any
    nearly: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fast: str = ""


def match(index: Index, filters: Filters) -> list[Condition]:
    """Each given filter, matched against the release, in a fixed order.

    Raises
    ------
    NotFound
        A value matches nothing; the nearest values are given.
    """
    return [_match_one(index, name, value) for name, value in filters.given().items()]


def _match_one(index: Index, name: str, value: Any) -> Condition:
    if name in Filters.COLUMNS:
        return _column(index, name, value)
    if name in Filters.IDENTIFIERS:
        return _identifiers(index, name, value)
    if name in Filters.TEXTS:
        return _text(name, value)
    if name in Filters.COLLECTION_TEXTS:
        return _collection_text(index, name, value)
    if name == "patient_age_years":
        return _age(value)
    if name == "StudyDate":
        return _dates(name, value)
    if name == "has_annotations":
        return _annotations(value)
    return _numbers(name, value, identifier(name))


def _column(index: Index, name: str, asked: list[str]) -> Condition:
    known = values_of(index, name)
    chosen: dict[str, int] = {}
    with_null = False
    for value in asked:
        if value.lower() == NULL:
            with_null = True
            continue
        found = _fitting(name, value, known)
        if not found:
            raise _no_value(index, name, value, known)
        chosen |= {candidate: known[candidate] for candidate in found}
    nearly = _near_misses(asked, chosen, known)
    parts = [f"{identifier(name)} IN ({literals(sorted(chosen))})"] if chosen else []
    if with_null:
        parts.append(f"{identifier(name)} IS NULL")
    return Condition(
        name,
        parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})",
        f"{name}: {_counted(chosen)}{' or empty' if with_null else ''}",
        sorted(chosen) + ([NULL] if with_null else []),
        nearly,
        [
            f"{name}: values like those asked for, left out, hold {count:,} series in the "
            f"release; ask for '{value}' or a pattern to include them"
            for value, count in nearly[:1]
            if count > sum(chosen.values())
        ],
    )


def _fitting(name: str, asked: str, known: dict[str, int]) -> list[str]:
    """The values of the release that are what was asked; comma-joined ones by their parts."""
    if name == "collection_id" and "*" not in asked:
        bare = _bare(asked)
        return [candidate for candidate in known if _bare(candidate) == bare]
    fits = _pattern(asked)
    several = name in SEVERAL_VALUED
    return [
        candidate
        for candidate in known
        if fits(candidate) or (several and any(fits(part.strip()) for part in candidate.split(",")))
    ]


def _pattern(asked: str) -> Callable[[str], bool]:
    if "*" not in asked:
        wanted = asked.casefold()
        return lambda candidate: candidate.casefold() == wanted
    expression = ".*".join(re.escape(part) for part in asked.casefold().split("*"))
    compiled = re.compile(expression, re.DOTALL)
    return lambda candidate: compiled.fullmatch(candidate.casefold()) is not None


def _near_misses(
    asked: list[str], chosen: dict[str, int], known: dict[str, int]
) -> list[tuple[str, int]]:
    """Values left out that begin like, contain or are spelled like what was asked."""
    words = {_bare(value) for value in asked} - {"", NULL}
    close = [
        (value, count)
        for value, count in known.items()
        if value not in chosen and any(_alike(word, value) for word in words)
    ]
    return sorted(close, key=lambda found: -found[1])[:NEAR_MISSES]


def _alike(word: str, value: str) -> bool:
    """Whether a value holds what was asked: a short word as a word, a longer one anywhere."""
    if len(word) < 4:
        return word in re.split(r"[^0-9a-z]+", value.lower())
    return word in _bare(value)


def _no_value(index: Index, name: str, value: str, known: dict[str, int]) -> NotFound:
    close = [found for found in suggestions(name, value) if found in known]
    close += [found for found in nearest(value, known, limit=4) if found not in close]
    words = _bare(value)
    close += [found for found in known if words and words in _bare(found) and found not in close][
        : max(0, 4 - len(close))
    ]
    return NotFound(
        f"{name} '{value}' matches no value of IDC {index.release.name}.",
        nearest=[f"{found} ({known[found]:,} series)" for found in close],
        next_step=f"use one of these, a pattern such as '{value[:20]}*', or call "
        f"idc_schema(table='index', column='{name}', contains='…')",
    )


def _identifiers(index: Index, name: str, asked: list[str]) -> Condition:
    condition = f"{name} IN ({literals(asked)})"
    found = {
        row[0] for row in index.rows(f"SELECT DISTINCT {name} FROM core.series WHERE {condition}")
    }
    missing = [value for value in asked if value not in found]
    if missing:
        shown = ", ".join(missing[:5])
        raise NotFound(
            f"{len(missing)} of {len(asked)} values of {name} are not in IDC "
            f"{index.release.name}: {shown}{', …' if len(missing) > 5 else ''}.",
            nearest=_near_patients(index, missing[0]) if name == "PatientID" else (),
            next_step="leave them out, or give them to idc_cohort(identifiers=[…]), which "
            "reads identifiers forgivingly",
        )
    return Condition(name, condition, f"{name}: {len(found)} given", sorted(found))


def _near_patients(index: Index, patient: str) -> list[str]:
    query = (
        "SELECT DISTINCT PatientID FROM core.series "
        f"WHERE starts_with(lower(PatientID), {literal(patient.lower()[:6])}) LIMIT 2000"
    )
    return nearest(patient, (row[0] for row in index.rows(query)))


def _text(name: str, asked: list[str]) -> Condition:
    wanted = sorted({value.lower() for value in asked})
    parts = [
        f"{identifier(name)} IS NULL" if value == NULL else contains(name, value)
        for value in wanted
    ]
    return Condition(name, _any_of(parts), f"{name} contains {_either(wanted)}", wanted)


def _collection_text(index: Index, name: str, asked: list[str]) -> Condition:
    wanted = sorted({value.lower() for value in asked})
    texts = index.once(
        ("collection_texts", name),
        lambda: index.rows(f"SELECT collection_id, {name} FROM collections_index"),
    )
    for value in wanted:
        if not any(value in (text or "").lower() for _, text in texts):
            parts = {part.strip() for _, text in texts for part in (text or "").split(",")}
            raise NotFound(
                f"No collection of IDC {index.release.name} has '{value}' in its {name}.",
                nearest=[*suggestions(name, value), *nearest(value, parts - {""}, limit=5)][:5],
                next_step=f"use one of these, or call idc_schema(table='collections_index', "
                f"column='{name}')",
            )
    matching = {
        id_ for id_, text in texts if any(value in (text or "").lower() for value in wanted)
    }
    condition = _any_of([contains(name, value) for value in wanted])
    return Condition(
        name,
        f"collection_id IN (SELECT collection_id FROM collections_index WHERE {condition})",
        f"{name} contains {_either(wanted)}: {len(matching)} collections",
        wanted,
    )


def _age(bounds: NumberRange) -> Condition:
    notes = ["PatientAge is empty in most series; those are left out"]
    if not bounds.low:
        notes.append("PatientAge 000Y often stands for an unknown age")
    condition = _numbers("patient_age_years", bounds, f"({AGE_IN_YEARS})")
    return Condition(
        condition.name, condition.sql, condition.matched, condition.canonical, notes=notes
    )


def _dates(name: str, bounds: DateRange) -> Condition:
    return Condition(
        name,
        _between(identifier(name), bounds.low, bounds.high),
        f"{name} {_from_to(bounds.low, bounds.high)}",
        [bounds.low, bounds.high],
        notes=["dates are shifted per patient: compare them within a patient only"],
    )


def _numbers(name: str, bounds: NumberRange, expression: str) -> Condition:
    low, high = (_whole(bound) for bound in (bounds.low, bounds.high))
    return Condition(
        name, _between(expression, low, high), f"{name} {_from_to(low, high)}", [low, high]
    )


def _annotations(wanted: bool) -> Condition:
    studies = f"(SELECT StudyInstanceUID FROM index WHERE Modality IN ({literals(ANNOTATIONS)}))"
    return Condition(
        "has_annotations",
        f"StudyInstanceUID {'' if wanted else 'NOT '}IN {studies}",
        f"studies that hold {'' if wanted else 'no '}annotations ({', '.join(ANNOTATIONS)})",
        wanted,
        notes=["has_annotations looks at the study, not at which series an object refers to"],
        fast=f"study_key {'' if wanted else 'NOT '}IN "
        "(SELECT study_key FROM core.annotated_studies)",
    )


def _any_of(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"


def _either(values: list[str]) -> str:
    return " or ".join(f"'{value}'" for value in values)


def _between(expression: str, low: Any, high: Any) -> str:
    if low is not None and high is not None:
        if low == high:
            return f"{expression} = {literal(low)}"
        return f"{expression} BETWEEN {literal(low)} AND {literal(high)}"
    bound, sign = (low, ">=") if low is not None else (high, "<=")
    return f"{expression} {sign} {literal(bound)}"


def _from_to(low: Any, high: Any) -> str:
    if low == high:
        return f"= {low}"
    parts = [f"from {low}"] if low is not None else []
    return " ".join(parts + ([f"to {high}"] if high is not None else []))


def _whole(number: float | None) -> float | int | None:
    return int(number) if number is not None and number == int(number) else number


def _counted(chosen: dict[str, int]) -> str:
    ordered = sorted(chosen.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{value} ({count:,})" for value, count in ordered[:4])
    return shown + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")


@lru_cache(maxsize=8192)
def _bare(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.lower())
