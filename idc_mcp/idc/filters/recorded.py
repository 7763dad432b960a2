"""Filters on what specialised tables record: by meaning, and by column.

Each becomes a condition on series: which rows have what is asked, what nearly has it, and
which series the tables tell nothing of.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from idc_mcp.errors import NotFound
from idc_mcp.idc.facts import MOST_NUMBERS, null_share, numbers_of, values_of
from idc_mcp.idc.filters import measures
from idc_mcp.idc.filters.attributes import (
    ZERO_IS_A_VALUE,
    Kind,
    Place,
    said,
)
from idc_mcp.idc.filters.columns import Described, described
from idc_mcp.idc.filters.conditions import NEAR_MISSES, NULL, Condition, any_of, either
from idc_mcp.idc.filters.given import NumberRange
from idc_mcp.idc.filters.known import Known, counted
from idc_mcp.idc.filters.questions import Question, by_table, condition_of
from idc_mcp.idc.sql import contains, identifier, literals
from idc_mcp.idc.vocabulary import suggestions
from idc_mcp.index.specialised import STRUCTURES
from idc_mcp.index.store import Index

_LINES = "chr(10)"
"""What joins the texts of a list before one is looked for in them."""


def recorded(
    index: Index, name: str, kind: Kind, places: Collection[Place], asked: Any
) -> Condition:
    """The condition that a filter on these columns means.

    Raises
    ------
    NotFound
        What is asked is nowhere recorded; the nearest are given.
    """
    columns = tuple(described(index.release, place) for place in places)
    question = Question(index, name, kind, columns)
    if kind == "number":
        return _number(question, asked)
    if kind == "flag":
        return _flag(question, asked)
    return _contained(question, asked) if kind == "contains" else _text(question, asked)


def _flag(question: Question, asked: bool | Literal["null"]) -> Condition:
    if asked == NULL:
        return _not_recorded(question)
    tests = [
        (one.place.table, f"{'' if asked else 'NOT '}{identifier(one.place.column)}")
        for one in question.columns
    ]
    return condition_of(question, tests, f"is {str(asked).lower()}", asked)


def _not_recorded(question: Question) -> Condition:
    return condition_of(question, [], "not recorded", NULL, with_null=True)


def _number(question: Question, asked: NumberRange | Literal["null"]) -> Condition:
    if asked == NULL:
        return _not_recorded(question)
    tests: list[tuple[str, str]] = []
    nearly: dict[str, int] = {}
    known: dict[float, int] = {}
    zeros, taken = 0, False
    gauss: dict[str, int] = {}
    for one in question.columns:
        column, table = one.place.column, one.place.table
        measure = measures.Measure.of(asked, whole=one.whole, zero_counts=column in ZERO_IS_A_VALUE)
        name = identifier(column)
        numbers = numbers_of(question.index, column, table, listed=one.listed)
        if column == measures.FIELD_STRENGTH:
            name = measures.tesla_sql(name)
            numbers, gauss = _in_tesla(measure, numbers)
        test = f"len([x FOR x IN {name} IF {measure.sql('x')}]) > 0"
        tests.append((table, test if one.listed else measure.sql(name)))
        for value, count in measures.near_misses(measure, numbers):
            nearly[value] = nearly.get(value, 0) + count
        if measure.leaves_zero_out:
            zeros += sum(count for value, count in numbers.items() if value <= 0)
        taken = taken or len(numbers) >= MOST_NUMBERS or any(map(measure.takes, numbers))
        known |= {value: known.get(value, 0) + count for value, count in numbers.items()}
    if not taken:
        raise measures.nothing(
            question.name, measure, known, question.counted, question.index.release.name
        )
    several = ", of a series' several values one suffices" if one.listed else ""
    notes = [
        f"{question.name} is 0 or less in {zeros:,} {question.counted} of the release, so not "
        "known there; they are left out ('from': 0 takes 0)"
    ] if zeros else []  # fmt: skip
    if gauss:
        notes.append(
            f"{question.name} is written in gauss in {sum(gauss.values()):,} of the "
            f"{question.counted} that it takes ({', '.join(gauss)}) and read in tesla"
        )
    return condition_of(
        question,
        tests,
        f"{measure.words()}{several}",
        measure.canonical(),
        sorted(nearly.items(), key=lambda found: -found[1]),
        notes,
    )


def _in_tesla(
    measure: measures.Measure, numbers: dict[float, int]
) -> tuple[dict[float, int], dict[str, int]]:
    """Field strengths in tesla with their rows, and those taken that are written in gauss."""
    read: dict[float, int] = {}
    gauss: dict[str, int] = {}
    for value, rows in numbers.items():
        tesla = measures.in_tesla(value)
        read[tesla] = read.get(tesla, 0) + rows
        if measures.in_gauss(value) and measure.takes(tesla):
            gauss[measures.number(value)] = rows
    return read, gauss


def _text(question: Question, asked: list[str]) -> Condition:
    column = question.columns[0]
    table, name = column.place.table, column.place.column
    values = {
        value: rows
        for value, rows in values_of(question.index, name, table).items()
        if value.strip()
    }
    if not values and null_share(question.index, name, table) != 1:
        return _identifiers(question, asked)
    known = _known(question, values)
    chosen, with_null = known.chosen(asked, lambda one: _suggested(question.name, one))
    tests = [(table, _holds(column, sorted(chosen)))] if chosen else []
    fast = ""
    if name == STRUCTURES and chosen and not with_null:
        fast = f"core.structures WHERE value IN ({literals(sorted(chosen))})"
    taken = [counted(chosen, question.counted if question.group else "")] if chosen else []
    return condition_of(
        question,
        tests,
        " or ".join([*taken, *(["not recorded"] if with_null else [])]),
        sorted({value.strip() for value in chosen}) + ([NULL] if with_null else []),
        _nearly(question, known, asked, chosen),
        fast=fast,
        with_null=with_null,
    )


def _contained(question: Question, asked: list[str]) -> Condition:
    wanted = sorted({value.lower() for value in asked})
    with_null = NULL in wanted
    tests: list[tuple[str, str]] = []
    found: dict[str, int] = {}
    every: dict[str, int] = {}
    by_column = [
        (one, values_of(question.index, one.place.column, one.place.table))
        for one in question.columns
    ]
    for _, values in by_column:
        every |= {
            value: every.get(value, 0) + rows for value, rows in values.items() if value.strip()
        }
    known = _known(question, every)
    for text in wanted:
        if text != NULL and not known.fitting(f"*{text}*"):
            raise known.nothing(text, _suggested(question.name, text))
    for one, values in by_column:
        parts = []
        for text in wanted:
            if text == NULL:
                continue
            fitting = _known(question, values).fitting(f"*{text}*")
            found |= {value: every[value] for value in fitting}
            if "*" in text:
                parts += [_holds(one, sorted(fitting))] if fitting else []
            else:
                parts.append(_contains(one, text))
        if parts:
            tests.append((one.place.table, any_of(parts)))
    spelled = f" ({counted(found)})" if found else ""
    texts = either([text for text in wanted if text != NULL])
    said_of = [f"contains {texts}{spelled}"] if texts else []
    return condition_of(
        question,
        by_table(tests),
        " or ".join([*said_of, *(["not recorded"] if with_null else [])]),
        wanted,
        _nearly(question, known, wanted, found),
        with_null=with_null,
    )


def _nearly(
    question: Question, known: Known, asked: list[str], chosen: Collection[str]
) -> list[tuple[str, int]]:
    """Values left out that look like what was asked, or that people call the same."""
    called = {
        value: known.values[value]
        for one in asked
        for pattern in said(question.name, one)
        for value in known.fitting(pattern)
        if value not in chosen
    }
    close = called | dict(known.near_misses(asked, chosen))
    return sorted(close.items(), key=lambda found: -found[1])[:NEAR_MISSES]


def _identifiers(question: Question, asked: list[str]) -> Condition:
    """Values of a column with too many of them to list: each as it is."""
    (column,) = question.columns
    name, table = identifier(column.place.column), column.place.table
    wanted = sorted(value for value in asked if value.lower() != NULL)
    with_null = len(wanted) < len(asked)
    found = {
        row[0]
        for row in question.index.rows(
            f"SELECT DISTINCT {name} FROM main.{table} WHERE {name} IN ({literals(wanted)})"
        )
    } if wanted else set()  # fmt: skip
    if missing := [value for value in wanted if value not in found]:
        raise NotFound(
            f"{question.name} '{missing[0]}' is in no row of {table}.",
            next_step="give whole values as they are written; this column has too many for "
            "patterns, which idc_cohort(sql=…) can match",
        )
    return condition_of(
        question,
        [(table, f"{name} IN ({literals(wanted)})")] if wanted else [],
        " or ".join([*([f"{len(wanted)} given"] if wanted else []),
                     *(["not recorded"] if with_null else [])]),
        wanted + ([NULL] if with_null else []),
        with_null=with_null,
    )  # fmt: skip


def _holds(column: Described, values: list[str]) -> str:
    name = identifier(column.place.column)
    if column.listed:
        return f"list_has_any({name}, [{literals(values)}])"
    return f"{name} IN ({literals(values)})"


def _contains(column: Described, text: str) -> str:
    if not column.listed:
        return contains(column.place.column, text)
    joined = f"array_to_string({identifier(column.place.column)}, {_LINES})"
    return f"contains(lower({joined}), {literals([text])})"


def _known(question: Question, values: dict[str, int]) -> Known:
    place = question.columns[0].place
    return Known(
        question.name,
        place.column,
        values,
        f"idc_schema(table='{place.table}', column='{place.column}', contains='…')",
        question.index.release.name,
        question.counted,
    )


def _suggested(name: str, value: str) -> list[str]:
    close = suggestions(name, value)
    return [*said(name, value), *(one.capitalize() for one in close), *close]
