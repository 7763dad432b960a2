"""Columns of specialised tables by name: what the filter `columns` may hold.

A column is named `ct_index.KVP`, or `KVP` alone where one table has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from idc_mcp.errors import BadArgument, NotFound
from idc_mcp.idc.filters.attributes import ATTRIBUTES, Kind, Place
from idc_mcp.idc.filters.given import Values, flag_of, numbers_of
from idc_mcp.idc.nearest import nearest
from idc_mcp.index.release import MAIN_TABLE, Release
from idc_mcp.index.specialised import SERIES_UID

_ARRAY = "ARRAY OF "
_KINDS: dict[str, Kind] = {
    "STRING": "text", "INTEGER": "number", "FLOAT": "number", "BOOLEAN": "flag",
}  # fmt: skip


@dataclass(frozen=True)
class Described:
    """A column as the release describes it; `listed` says that it holds lists."""

    place: Place
    kind: Kind
    listed: bool
    whole: bool


def described(release: Release, place: Place) -> Described:
    """What a column of a specialised table holds."""
    (column,) = (one for one in release.schemas[place.table].columns if one.name == place.column)
    type_ = column.type.removeprefix(_ARRAY)
    return Described(place, _KINDS[type_], column.type.startswith(_ARRAY), whole=type_ == "INTEGER")


def places(release: Release) -> Iterator[Place]:
    """Every column of the specialised tables that describe series."""
    for table in release.specialised:
        columns = release.schemas[table].columns
        if any(column.name == SERIES_UID for column in columns):
            for column in columns:
                if column.type.removeprefix(_ARRAY) in _KINDS and column.name != SERIES_UID:
                    yield Place(table, column.name)


def place_named(release: Release, asked: str) -> Place:
    """The column that a key of `columns` names, without regard to case.

    Raises
    ------
    BadArgument
        Several tables have it, or it is a column of `index`.
    NotFound
        No specialised table has it; the nearest are given.
    """
    table, _, column = (part.strip() for part in asked.rpartition("."))
    every = list(places(release))
    found = [
        place
        for place in every
        if place.column.casefold() == column.casefold()
        and (not table or place.table.casefold() == table.casefold())
    ]
    if len(found) == 1:
        return found[0]
    if found:
        meant = [one.name for one in ATTRIBUTES.values() if set(found) & set(one.places)]
        whole = f"; the filter {meant[0]} looks at all that apply" if meant else ""
        raise BadArgument(
            f"columns: '{column}' is a column of {len(found)} tables.",
            nearest=[*map(str, found)],
            next_step=f"name one as 'table.column'{whole}",
        )
    own = [one.name for one in release.schemas[MAIN_TABLE].columns]
    if same := [name for name in (*own, SERIES_UID) if name.casefold() == column.casefold()]:
        raise BadArgument(
            f"columns: '{asked}' is not for columns, which hold those of specialised tables.",
            nearest=same[:1],
            next_step=f"give {same[0]} beside columns, as a filter of its own",
        )
    tables = sorted({place.table for place in every})
    in_table = [place for place in every if place.table.casefold() == table.casefold()]
    names = [str(place) for place in in_table or every]
    close = nearest(column, {name.partition(".")[2] for name in names}, limit=4)
    raise NotFound(
        f"columns: no specialised table{f' {table}' if in_table else ''} has a column '{asked}'.",
        nearest=[name for one in close for name in names if name.partition(".")[2] == one][:5],
        next_step="call idc_schema(table='…') with one of " + ", ".join(tables),
    )


def asked_of(column: Described, said: str, value: Any) -> Any:
    """A value of `columns` as its column takes it: a NumberRange, a list of texts, a bool.

    `said` is the column as the caller named it.

    Raises
    ------
    BadArgument
        It is no value of such a column.
    """
    try:
        return _read(column, value)
    except (ValidationError, ValueError) as error:
        why = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            why = str(first.get("ctx", {}).get("error", first["msg"]))
        takes = {
            "number": "a number, or {'from': …, 'to': …}, or 'null'",
            "flag": "true, false or 'null'",
        }.get(column.kind, "a text, or a list of texts")
        raise BadArgument(
            f"columns: '{said}' was {value!r}: {why}.",
            nearest=getattr(error, "nearest", ()),
            next_step=f"give {takes}",
        ) from None


def _read(column: Described, value: Any) -> Any:
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if column.kind == "flag":
        return flag_of(one)
    if column.kind == "number":
        meant = [name for name, filter_ in ATTRIBUTES.items() if column.place in filter_.places]
        return numbers_of(one, meant[0] if meant else column.place.column)
    texts: list[str] = TypeAdapter(Values).validate_python(value)
    return texts
