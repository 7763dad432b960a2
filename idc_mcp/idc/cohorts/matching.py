"""Filters matched against the release: conditions, what each matched, what it nearly did.

The result is canonical: `ct`, `CT` and `C*T` end in the same condition, so that the same
question gives the same cohort.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from idc_mcp.errors import NotFound
from idc_mcp.idc.cohorts import ranges, texts
from idc_mcp.idc.cohorts.conditions import NEAR_MISSES, NULL, Condition
from idc_mcp.idc.cohorts.filters import Filters
from idc_mcp.idc.facts import null_share, values_of
from idc_mcp.idc.nearest import bare, nearest
from idc_mcp.idc.sql import identifier, literal, literals
from idc_mcp.idc.vocabulary import suggestions
from idc_mcp.index.layout import ANNOTATIONS
from idc_mcp.index.store import Index

SEVERAL_VALUED = (
    "sop_class_name", "SOPClassUID", "transfer_syntax_name", "TransferSyntaxUID",
    "PhotometricInterpretation",
)  # fmt: skip
"""Columns that join with commas what the instances of a series differ in."""

_OFTEN_NULL = 0.005


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
        return texts.text(name, value)
    if name in Filters.COLLECTION_TEXTS:
        return texts.collection_text(index, name, value)
    if name == "patient_age_years":
        return ranges.age(value)
    if name == "StudyDate":
        return ranges.dates(name, value)
    if name == "has_annotations":
        return _annotations(value)
    return ranges.numbers(name, value)


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
    column = identifier(name)
    parts = [f"{column} IN ({literals(sorted(chosen))})"] if chosen else []
    taken = [_counted(chosen)] if chosen else []
    if with_null:
        parts.append(f"{column} IS NULL")
        taken.append("empty")
    often_null = not with_null and null_share(index, name) > _OFTEN_NULL
    return Condition(
        name,
        parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})",
        f"{name}: {' or '.join(taken)}",
        sorted(chosen) + ([NULL] if with_null else []),
        nearly,
        [
            f"{name}: values like those asked for, left out, hold {count:,} series in the "
            f"release; ask for '{value}' or a pattern such as '{asked[0]} *' to include them"
            for value, count in nearly[:1]
            if count > sum(chosen.values())
        ],
        unknown=f"{column} IS NULL" if often_null else "",
        unknown_means=f"{name} is empty",
    )


def _fitting(name: str, asked: str, known: dict[str, int]) -> list[str]:
    """The values of the release that are what was asked; comma-joined ones by their parts."""
    if name == "collection_id":
        # TCGA-LUAD is tcga_luad, and TCGA-* all that begins so.
        fits = _pattern("*".join(map(bare, asked.split("*"))))
        return [candidate for candidate in known if fits(bare(candidate))]
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
    words = {bare(value) for value in asked} - {"", NULL}
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
    return word in bare(value)


def _no_value(index: Index, name: str, value: str, known: dict[str, int]) -> NotFound:
    close = [
        found
        for found in suggestions(name, value)
        if found in known or _fitting(name, found, known)
    ]
    close += [found for found in nearest(value, known, limit=4) if found not in close]
    words = bare(value)
    close += [found for found in known if words and words in bare(found) and found not in close][
        : max(0, 4 - len(close))
    ]
    close = list({found.casefold(): found for found in reversed(close)}.values())[::-1]
    pattern = f"{value}*"
    hint = f"use the pattern '{pattern}', or " if _fitting(name, pattern, known) else ""
    return NotFound(
        f"{name} '{value}' matches no value of IDC {index.release.name}.",
        nearest=[
            f"{found} ({sum(known[one] for one in _fitting(name, found, known)):,} series)"
            for found in close[:5]
        ],
        next_step=f"{'use one of these, or ' if close else ''}{hint}call "
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


def _counted(chosen: dict[str, int]) -> str:
    ordered = sorted(chosen.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{value} ({count:,})" for value, count in ordered[:4])
    return shown + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")
