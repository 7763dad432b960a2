"""Filters matched against the release: conditions, what each matched, what it nearly did.

The result is canonical: `ct`, `CT` and `C*T` end in the same condition, so that the same
question gives the same cohort.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from idc_mcp.errors import BadArgument, NotFound
from idc_mcp.idc.facts import null_share, values_of
from idc_mcp.idc.filters import ranges, texts
from idc_mcp.idc.filters.attributes import (
    ANNOTATION_TABLES,
    ATTRIBUTES,
    COLUMNS_FILTER,
    TABLE_MODALITIES,
    Kind,
    Place,
    attribute_at,
    modalities_of,
)
from idc_mcp.idc.filters.columns import asked_of, described, place_named
from idc_mcp.idc.filters.conditions import NULL, Condition
from idc_mcp.idc.filters.contrast import contrast
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.idc.filters.known import Known, counted
from idc_mcp.idc.filters.recorded import recorded
from idc_mcp.idc.nearest import nearest
from idc_mcp.idc.schema.lookup import clinical_columns, clinical_tables
from idc_mcp.idc.sql import identifier, literal, literals
from idc_mcp.idc.vocabulary import suggestions
from idc_mcp.index.clinical import PATIENT_COLUMN
from idc_mcp.index.layout import ANNOTATIONS
from idc_mcp.index.release import CLINICAL
from idc_mcp.index.specialised import SERIES_UID
from idc_mcp.index.store import Index

_OFTEN_NULL = 0.005


@dataclass(frozen=True)
class _Asked:
    """A filter on columns of specialised tables, before their rows are looked at."""

    name: str
    kind: Kind
    places: tuple[Place, ...]
    value: Any

    @property
    def tables(self) -> set[str]:
        """The tables whose rows are needed; those of annotations name their sources."""
        tables = {place.table for place in self.places}
        sources = {
            ANNOTATION_TABLES[modality][0]
            for table in tables
            for modality in TABLE_MODALITIES.get(table, ())
            if modality in ANNOTATION_TABLES
        }
        return tables | sources


def match(index: Index, filters: Filters) -> list[Condition]:
    """Each given filter, matched against the release, in a fixed order.

    Raises
    ------
    NotFound
        A value matches nothing; the nearest values are given.
    BadArgument
        A column of `columns` is ambiguous, or takes no such value.
    NotFetched
        The rows of a table that is asked for are not on this machine.
    """
    given = filters.given()
    own = {name: value for name, value in given.items() if name not in _SPECIALISED}
    conditions = [_match_one(index, name, value) for name, value in own.items()]
    chosen = {condition.name: condition.canonical for condition in conditions}
    asked = list(_asked(index, given, chosen.get("Modality")))
    index.require(*sorted({table for one in asked for table in one.tables}))
    conditions += [
        contrast(index, one.value)
        if one.kind == "contrast"
        else recorded(index, one.name, one.kind, one.places, one.value)
        for one in asked
    ]
    return _with_what_cannot_have_it(conditions, chosen.get("Modality", []))


def _with_what_cannot_have_it(conditions: list[Condition], asked: list[str]) -> list[Condition]:
    """The conditions, with a note where a modality that is asked for cannot have one of them.

    A filter of annotations takes their images too, so it leaves no modality out as such.
    """
    told: list[Condition] = []
    advised = False
    for condition in conditions:
        modalities = _recorded_of(condition.name)
        lacking = [one for one in asked if one != NULL and one not in modalities]
        if not modalities or not lacking or {*modalities} <= ANNOTATION_TABLES.keys():
            told.append(condition)
            continue
        *others, last = modalities
        listed = f"{', '.join(others)} and {last}" if others else last
        note = f"no {' or '.join(lacking)}: {condition.name} is recorded of {listed} only"
        made = [ANNOTATION_TABLES[one][2] for one in lacking if one in ANNOTATION_TABLES]
        if made and not advised:
            note += f"; idc_annotations(cohort=…) gives the {' and '.join(made)} of these images"
            advised = True
        told.append(replace(condition, notes=[*condition.notes, note]))
    return told


def _recorded_of(name: str) -> tuple[str, ...]:
    """The modalities that can have what a filter asks for; () where any can."""
    if name in ATTRIBUTES:
        return modalities_of(ATTRIBUTES[name].places)
    filter_, _, column = name.partition(".")
    return TABLE_MODALITIES.get(column.partition(".")[0], ()) if filter_ == COLUMNS_FILTER else ()


_SPECIALISED = frozenset({*ATTRIBUTES, COLUMNS_FILTER})


def _asked(index: Index, given: dict[str, Any], modalities: list[str] | None) -> Iterator[_Asked]:
    """The filters on specialised tables, in a fixed order."""
    for name, attribute in ATTRIBUTES.items():
        if name in given:
            # Tables of other modalities cannot have what is asked: they need not be fetched.
            fitting = tuple(
                place
                for place in attribute.places
                if modalities is None or set(modalities) & {*TABLE_MODALITIES[place.table]}
            )
            yield _Asked(name, attribute.kind, fitting or attribute.places, given[name])
    by_place: dict[Place, tuple[str, Any]] = {}
    for named, value in given.get(COLUMNS_FILTER, {}).items():
        place = _place(index, named)
        if place in by_place:
            raise BadArgument(f"columns: {place} is given twice.", next_step="give it once")
        by_place[place] = (named, value)
    for place in sorted(by_place, key=str):
        column = described(index.release, place)
        value = asked_of(column, *by_place[place])
        same = attribute_at(place)
        # What has a filter by meaning is asked by that: the same question, the same handle.
        if same is not None and same.kind == column.kind and same.name not in given:
            yield _Asked(same.name, same.kind, same.places, value)
        else:
            yield _Asked(f"{COLUMNS_FILTER}.{place}", column.kind, (place,), value)


def _place(index: Index, named: str) -> Place:
    """The column that a key of `columns` names; of a clinical one, what to ask instead."""
    try:
        return place_named(index.release, named)
    except NotFound:
        parts = [part.strip().casefold() for part in named.split(".")]
        table, column = parts[-2] if len(parts) > 1 else "", parts[-1]
        tables = {name.casefold(): name for name in clinical_tables(index)}
        if table in tables:
            table = tables[table]
        else:
            columns = [] if table not in ("", CLINICAL) else clinical_columns(index, column)
            same = [found for found, name, _ in columns if name.casefold() == column]
            if not same:
                raise
            table = same[0]
        raise BadArgument(
            f"columns: '{named}' is a column of clinical data, which describes patients; columns "
            "holds those of specialised tables.",
            next_step=f'idc_cohort(sql="SELECT i.{SERIES_UID} FROM index i JOIN '
            f"{identifier(table)} c ON c.collection_id = i.collection_id AND "
            f'c.{PATIENT_COLUMN} = i.PatientID WHERE c.{identifier(column)} = …")',
        ) from None


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
    known = Known(
        name,
        name,
        values_of(index, name),
        f"idc_schema(table='index', column='{name}', contains='…')",
        index.release.name,
    )
    chosen, with_null = known.chosen(asked, lambda value: suggestions(name, value))
    nearly = known.near_misses(asked, chosen)
    column = identifier(name)
    parts = [f"{column} IN ({literals(sorted(chosen))})"] if chosen else []
    taken = [counted(chosen)] if chosen else []
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
