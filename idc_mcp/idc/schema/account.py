"""The shape of every account of `idc_schema`, and how its cells are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from idc_mcp.answers import Table
from idc_mcp.idc.cautions import COLUMN_CAUTIONS

MOST_LISTED = 500
"""The greatest limit of idc_schema."""

SAMPLES = 3
"""Values of a column that are shown beside it."""


@dataclass
class Account:
    """What is known of tables, a table or a column; only what applies is set."""

    understood: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    tables: Table | None = None
    columns: Table | None = None
    values: Table | None = None
    notes: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)


def caution(column: str) -> list[str]:
    """What misleads about a column, if anything does."""
    return [COLUMN_CAUTIONS[column]] if column in COLUMN_CAUTIONS else []


def share(part: int, whole: int) -> str:
    """A part in percent; what is not nothing is never shown as 0%."""
    if not part or not whole:
        return "0%"
    percent = 100 * part / whole
    return "<0.1%" if percent < 0.1 else f"{percent:.1f}%".replace(".0%", "%")


def shorten(text: str, length: int) -> str:
    """Text in one line, cut to a length."""
    plain = " ".join(text.split())
    return plain if len(plain) <= length else f"{plain[: length - 1].rstrip()}…"


def counted_values(found: Iterable[tuple[str, int]], length: int) -> str:
    """Values with their counts in a cell: `Liver 120; Spleen 98`, as many as fit."""
    text = ""
    for value, count in found:
        piece = f"{shorten(value, length - 8)} {count}"
        if text and len(text) + 2 + len(piece) > length:
            break
        text = f"{text}; {piece}" if text else piece
    return text


def span(least: Any, greatest: Any) -> str:
    """The least and the greatest of numbers or dates in a cell."""
    if least is None:
        return ""
    low, high = (f"{end:g}" if isinstance(end, float) else str(end) for end in (least, greatest))
    return low if low == high else f"{low} to {high}"


def rest_call(total: int, call: str) -> str:
    """The call that shows all of a table cut short; `call` is it without its closing bracket."""
    return f"{call}, limit={total})" if total <= MOST_LISTED else "narrow it with contains"
