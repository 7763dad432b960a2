"""SQL that chooses by a series' or patient's own number, so that every run gives the same rows.

Every relation that is drawn from has a column `h`, a number made of an identifier with MD5
(DuckDB's own `hash` may differ between its versions).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

_PRIME = 2**31 - 1


def number(text: str) -> str:
    """The number `h` of a text, 1 to 2**31 - 2."""
    return f"(md5_number_lower({text}) % {_PRIME - 1} + 1)::BIGINT"


def lot(name: str, count: int) -> str:
    """An integer from 0 to count - 1; lots of other names are independent."""
    factor = pow(48271, zlib.crc32(name.encode()) % (_PRIME - 1), _PRIME)
    return f"(h * {factor} % {_PRIME} % {count})"


def choose(name: str, values: Sequence[Any]) -> str:
    """One of the values, each as likely."""
    return f"{literal(list(values))}[1 + {lot(name, len(values))}]"


def weighted(name: str, shares: Mapping[Any, int] | Sequence[tuple[Any, int]]) -> str:
    """One of the values, in shares of 1,000; NULL for what remains."""
    pairs = list(shares.items()) if isinstance(shares, Mapping) else list(shares)
    bound, cases = 0, ""
    for value, share in pairs:
        bound += share
        cases += f" WHEN {lot(name, 1000)} < {bound} THEN {literal(value)}"
    return f"CASE{cases} END"


def sometimes(name: str, share: int, text: str, otherwise: str = "NULL") -> str:
    """An expression in `share` of 1,000 rows, another in the rest."""
    return f"CASE WHEN {lot(name, 1000)} < {share} THEN {text} ELSE {otherwise} END"


def literal(value: Any) -> str:
    """A value as SQL writes it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, float):
        return f"{value!r}::DOUBLE"
    return repr(value)
