"""Answers for people: aligned tables, thousands separated, as wide as the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Any

from idc_mcp.answers import compact_json, plain


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
            lines += [*([""] if lines and lines[-1] else []), *_table(key, value, width), ""]
        elif isinstance(value, list):
            lines.append(f"{key}")
            lines += [
                textwrap.fill(_cell(item), width, initial_indent="  • ", subsequent_indent="    ")
                for item in value
            ]
        else:
            lines += _scalar(key, value, label, width)
    return "\n".join(lines).rstrip()


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
    columns, rows = table["columns"], table.get("rows", [])
    cells = [[_cell(cell) for cell in row] for row in rows]
    numeric = [
        bool(rows) and all(isinstance(row[i], int | float) or row[i] is None for row in rows)
        for i in range(len(columns))
    ]
    widths = _widths([columns, *cells], width)

    def lines_of(row: list[str]) -> list[str]:
        # Words are never broken: half a UID or link is of no use to anybody.
        parts = [
            textwrap.wrap(text, w, break_long_words=False, break_on_hyphens=False) or [""]
            for text, w in zip(row, widths, strict=True)
        ]
        return [
            "  ".join(
                (part[i] if i < len(part) else "").rjust(w)
                if right
                else (part[i] if i < len(part) else "").ljust(w)
                for part, w, right in zip(parts, widths, numeric, strict=True)
            ).rstrip()
            for i in range(max(map(len, parts)))
        ]

    lines = [f"{name}:", *lines_of(columns), "  ".join("─" * w for w in widths)]
    for row in cells:
        lines += lines_of(row)
    if table.get("more"):
        rest = f": {table['rest']}" if table.get("rest") else ""
        lines.append(f"… {table['more']:,} more{rest}")
    return lines


def _widths(rows: list[list[str]], width: int) -> list[int]:
    """Column widths that fit, as far as no word is broken: the widest give way first."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    least = [
        max(12, *(len(word) for row in rows for word in row[i].split() or [""]))
        for i in range(len(rows[0]))
    ]
    while sum(widths) + 2 * len(widths) > width:
        shrinkable = [i for i in range(len(widths)) if widths[i] > least[i]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=lambda i: widths[i])] -= 1
    return widths


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return compact_json(value)
    return plain(value)
