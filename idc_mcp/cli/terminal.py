"""Answers for people: aligned tables, thousands separated, as wide as the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Any

from idc_mcp.answers import compact_json, plain

MAX_CELL = 60


def show(structured: dict[str, Any]) -> str:
    """An answer's structured content as text for a terminal."""
    width = max(60, shutil.get_terminal_size((100, 40)).columns)
    scalars = {
        key: value
        for key, value in structured.items()
        if not _is_table(value) and not isinstance(value, list)
    }
    label = max((len(key) for key in scalars), default=0)
    lines: list[str] = []
    for key, value in structured.items():
        if _is_table(value):
            lines += ["", *_table(key, value, width)]
        elif isinstance(value, list):
            lines.append(f"{key}")
            lines += [
                textwrap.fill(_cell(item), width, initial_indent="  • ", subsequent_indent="    ")
                for item in value
            ]
        else:
            lines += _scalar(key, value, label, width)
    return "\n".join(lines)


def heading(text: str) -> str:
    """A line that stands out, coloured where the terminal shows colours."""
    return f"\033[1;36m{text}\033[0m" if sys.stdout.isatty() else text


def _scalar(key: str, value: Any, label: int, width: int) -> list[str]:
    text = (
        "; ".join(f"{name} {_cell(item)}" for name, item in value.items())
        if isinstance(value, dict)
        else _cell(value)
    )
    indent = " " * (label + 2)
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        lines += textwrap.wrap(
            line, width - label - 2, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return [f"{key:<{label}}  {lines[0]}", *(indent + line for line in lines[1:])]


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and "columns" in value


def _table(name: str, table: dict[str, Any], width: int) -> list[str]:
    rows = [[_cell(cell) for cell in row] for row in table.get("rows", [])]
    columns = table["columns"]
    numeric = [
        bool(rows)
        and all(
            isinstance(row[i], int | float) or row[i] is None for row in table.get("rows", [])
        )
        for i in range(len(columns))
    ]
    widths = [
        min(MAX_CELL, max([len(column), *(len(row[i]) for row in rows)]))
        for i, column in enumerate(columns)
    ]
    # Too wide for the terminal: the widest columns give way.
    while sum(widths) + 2 * len(widths) > width and max(widths) > 12:
        widths[widths.index(max(widths))] -= 1
    lines = [f"{name}:"]
    lines.append("  ".join(_fit(c, w, n) for c, w, n in zip(columns, widths, numeric, strict=True)))
    lines.append("  ".join("─" * w for w in widths))
    lines += [
        "  ".join(_fit(c, w, n) for c, w, n in zip(row, widths, numeric, strict=True)).rstrip()
        for row in rows
    ]
    if table.get("more"):
        rest = f": {table['rest']}" if table.get("rest") else ""
        lines.append(f"… {table['more']:,} more{rest}")
    return lines


def _fit(text: str, width: int, right: bool) -> str:
    short = text if len(text) <= width else f"{text[: width - 1]}…"
    return short.rjust(width) if right else short.ljust(width)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return compact_json(value)
    return plain(value)
