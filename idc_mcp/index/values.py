"""From DuckDB's values to JSON without losing what they mean. Each type has one stated form.

| type                                        | form in JSON                                       |
|---------------------------------------------|----------------------------------------------------|
| BOOLEAN, VARCHAR, ENUM, NULL                | true/false, text, text, null                       |
| JSON                                        | the text of the JSON document                      |
| all integers                                | number; text beyond ±(2^53 − 1)                    |
| BIGNUM                                      | text                                               |
| DECIMAL                                     | text with all its digits: "1.500000000"            |
| FLOAT, DOUBLE                               | number; "NaN", "Infinity", "-Infinity" as text     |
| DATE, TIME, TIMESTAMP and their kinds,      | text exactly as the engine prints it, UTC:         |
| with time zone or nanoseconds, INTERVAL     | "2020-01-31 12:00:00+00", "1 month", "infinity"    |
| UUID, BIT                                   | text                                               |
| BLOB                                        | hexadecimal text: "00ff"                           |
| LIST, ARRAY                                 | array                                              |
| STRUCT; without names                       | object; array                                      |
| MAP                                         | array of [key, value]                              |
| UNION                                       | object of one pair, {tag: value}                   |
| VARIANT, GEOMETRY, anything else            | text as the engine prints it                       |

The Python client changes some of these (an interval of a month becomes 30 days, infinity the
year 9999) or needs pytz: `engine_form` gives the cast that lets the engine print them.
"""

from __future__ import annotations

import datetime
import json
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Convert = Callable[[Any], Any]

EXACT_INTEGER = 2**53 - 1
"""JavaScript clients round what is beyond."""

_INTEGERS = {
    "tinyint", "smallint", "integer", "bigint", "hugeint",
    "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint",
}  # fmt: skip
_AS_THEY_ARE = {"boolean", "varchar", "enum", "bit", "bignum", "null", "sqlnull"}
_DATES = {"date", "timestamp", "timestamp_s", "timestamp_ms"}
_SAFE = _INTEGERS | _AS_THEY_ARE | _DATES | {"float", "double", "decimal", "uuid", "blob", "time"}
_EDGES = (
    datetime.date.min, datetime.date.max, datetime.datetime.min, datetime.datetime.max,
    datetime.datetime.max.replace(microsecond=0),
)  # fmt: skip


class AskTheEngine(Exception):
    """A date is at the edge of Python's calendar: only the engine knows if it is infinity."""


# -- what the engine has to print ----------------------------------------------------------


def engine_form(kind: Any, column: str, *, dates: bool = False) -> str | None:
    """The SQL that gives `column` without loss; None where the Python client does that itself.

    Parameters
    ----------
    kind
        The column's DuckDBPyType.
    column
        The column's quoted name.
    dates
        Let the engine print DATE and TIMESTAMP too.
    """
    if holds_union(kind):
        return f"CAST(to_json({column}) AS VARCHAR)"
    target = _printed_type(kind, dates)
    return target and f"CAST({column} AS {target})"


def _printed_type(kind: Any, dates: bool) -> str | None:
    """`kind` with VARCHAR in place of what the client would change; None where there is none."""
    name = kind.id
    if name in {"list", "array", "map", "struct", "tuple"}:
        inner = [(label, part) for label, part in kind.children if label != "size"]
        forms = [_printed_type(part, dates) for _, part in inner]
        if not any(forms):
            return None
        parts = [form or str(part) for form, (_, part) in zip(forms, inner, strict=True)]
        if name == "list":
            return f"{parts[0]}[]"
        if name == "array":
            return f"{parts[0]}[{dict(kind.children)['size']}]"
        if name == "map":
            return f"MAP({parts[0]}, {parts[1]})"
        labels = [label.replace('"', '""') for label, _ in inner]
        if not all(labels):
            return "VARCHAR"
        fields = ", ".join(f'"{label}" {part}' for label, part in zip(labels, parts, strict=True))
        return f"STRUCT({fields})"
    if name in _SAFE and not (dates and name in _DATES):
        return None
    return "VARCHAR"


def holds_union(kind: Any) -> bool:
    """Whether a UNION stands anywhere in this type: only the engine's JSON keeps its tags."""
    if kind.id == "union":
        return True
    if kind.id not in {"list", "array", "map", "struct", "tuple"}:
        return False
    return any(holds_union(part) for label, part in kind.children if label != "size")


# -- what Python does ----------------------------------------------------------------------


def converter(kind: Any) -> Convert:
    """A function from the client's value of this type to its form in JSON.

    It raises `AskTheEngine` for a date that may stand for infinity.
    """
    convert = _of_value(kind)
    return lambda value: None if value is None else convert(value)


def union_value(text: Any) -> Any:
    """The value of a column that holds a UNION, from the engine's own JSON."""
    if text is None:
        return None
    return json.loads(
        text,
        parse_float=_number,
        parse_int=lambda digits: _integer(int(digits)),
        parse_constant=str,  # NaN, Infinity, -Infinity: the forms that they have here
    )


def _of_value(kind: Any) -> Convert:
    name = kind.id
    if name in _INTEGERS:
        return _integer
    if name == "double":
        return _double
    if name == "float":
        return _float
    if name == "decimal":
        return lambda value: format(value, "f")
    if name == "blob":
        return lambda value: value.hex()
    if name in _DATES or name == "time":
        return _moment
    if name in {"list", "array"}:
        each = converter(dict(kind.children)["child"])
        return lambda value: [each(item) for item in value]
    if name in {"struct", "tuple"}:
        return _struct(kind)
    if name == "map":
        return _map(kind)
    return lambda value: value if isinstance(value, str | bool) else str(value)


def _struct(kind: Any) -> Convert:
    parts = {label: converter(part) for label, part in kind.children}
    by_place = [converter(part) for _, part in kind.children]

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {label: parts[label](item) for label, item in value.items()}
        return [each(item) for each, item in zip(by_place, value, strict=True)]

    return convert


def _map(kind: Any) -> Convert:
    children = dict(kind.children)
    key, item = converter(children["key"]), converter(children["value"])
    # Where Python cannot hash the keys the client gives them as a list beside that of the values.
    apart = children["key"].id in {"list", "array", "map", "struct", "tuple", "union"}

    def convert(value: Any) -> Any:
        if apart and value.keys() == {"key", "value"}:
            return [[key(k), item(v)] for k, v in zip(value["key"], value["value"], strict=True)]
        return [[key(k), item(v)] for k, v in value.items()]

    return convert


def _integer(value: int) -> int | str:
    return value if -EXACT_INTEGER <= value <= EXACT_INTEGER else str(value)


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _float(value: float) -> float | str:
    """The shortest number that is this single-precision one: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return _double(value)
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        try:
            if struct.unpack("f", struct.pack("f", short))[0] == value:
                return short
        except OverflowError:
            continue
    return value


def _number(digits: str) -> float | str:
    number = float(digits)
    return number if Decimal(repr(number)) == Decimal(digits) else digits


def _moment(value: Any) -> str:
    if isinstance(value, str):  # beyond Python's calendar the client gives the engine's text
        return value
    if isinstance(value, datetime.date) and value in _EDGES:
        raise AskTheEngine
    text = value.isoformat(sep=" ") if isinstance(value, datetime.datetime) else value.isoformat()
    return text.rstrip("0") if "." in text else text


# -- how much of it ------------------------------------------------------------------------


def shortened(value: Any, most: int) -> Any:
    """A value whose JSON is at most about `most` characters, cut with a marker that says so."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False)
    else:
        return value
    if len(text) <= most and len(json.dumps(text, ensure_ascii=False)) <= most + 2:
        return value
    kept = text[:most]
    # Quotes and control characters are longer in JSON than they are here.
    while (written := len(json.dumps(kept, ensure_ascii=False))) > most + 2:
        kept = kept[: max(0, len(kept) * most // written - 1)]
    return f"{kept}… ({len(text)} characters)"
