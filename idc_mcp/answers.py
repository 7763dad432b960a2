"""What every answer is, and the one renderer that keeps it under its budget.

An answer leaves in two forms that say the same: text (some hosts show the model only that)
and structured content (others show only this). Both are compact, and both together stay
under the budget: where a table is cut, it says how many rows are left and the call that
gets them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """Columns and row arrays; `more` rows were left out, and `rest` is the call for them."""

    model_config = ConfigDict(extra="forbid")

    columns: list[str]
    rows: list[list[Any]]
    more: int = 0
    rest: str = ""

    @classmethod
    def of(
        cls,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        limit: int | None = None,
        rest: str = "",
    ) -> Table:
        """A table of `rows`, cut at `limit`."""
        everything = [list(row) for row in rows]
        kept = everything if limit is None else everything[:limit]
        return cls(columns=list(columns), rows=kept, more=len(everything) - len(kept), rest=rest)

    def cut_to(self, count: int) -> Table:
        """The first `count` rows; the others are counted in `more`."""
        left = max(0, len(self.rows) - count)
        return self.model_copy(update={"rows": self.rows[:count], "more": self.more + left})


class Answer(BaseModel):
    """Base of all results. Fields that are None or empty are left out when rendered.

    `elastic` names the tables, lists and texts that may be cut to fit the budget, least
    important first, `floors` how many rows, items or characters stay (1, 1 and 200 where it
    does not say);
    `budget` is a ceiling of this kind of answer below the one in the settings.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=False)

    elastic: ClassVar[tuple[str, ...]] = ()
    floors: ClassVar[dict[str, int]] = {}
    budget: ClassVar[int | None] = None

    release: str
    understood: str = ""

    def cut(self, **changes: Any) -> Answer:
        """This answer with something cut; says what else that changes."""
        return self.model_copy(update=changes)

    def whole(self) -> str:
        """Where a text that was cut can be read whole."""
        return ""


class Rendered(BaseModel):
    """The two forms of an answer."""

    text: str
    structured: dict[str, Any]

    @property
    def chars(self) -> int:
        """Characters of both forms together."""
        return len(self.text) + len(compact_json(self.structured))


def render(answer: Answer, budget: int | None) -> Rendered:
    """Both forms of an answer, its elastic tables and texts cut until they fit the budget.

    What cannot be cut is never dropped: an answer may then exceed its budget. Without a
    budget nothing is cut: a person scrolls, a model pays.
    """
    rendered = _forms(answer)
    if budget is None:
        return rendered
    ceiling = min(budget, answer.budget or budget)
    for name in answer.elastic:
        while rendered.chars > ceiling:
            cut = _shorter(answer, name, rendered.chars - ceiling)
            if cut is None:
                break
            answer = answer.cut(**{name: cut})
            rendered = _forms(answer)
    return rendered


def _shorter(answer: Answer, name: str, excess: int) -> Table | str | list[str] | None:
    """A field without about `excess` characters of both forms; None where its floor is met."""
    value = getattr(answer, name)
    if isinstance(value, Table):
        return _shorter_table(value, answer.floors.get(name, 1), excess)
    if isinstance(value, list):
        return _shorter_list(value, answer.floors.get(name, 1), answer.whole())
    if isinstance(value, str):
        return _shorter_text(value, answer.floors.get(name, 200), excess, answer.whole())
    return None


def _shorter_table(table: Table, floor: int, excess: int) -> Table | None:
    kept = len(table.rows)
    if kept <= floor:
        return None
    while kept > floor and (excess > 0 or kept == len(table.rows)):
        kept -= 1
        # A row stands twice: as an array and as CSV, where quotes are doubled.
        row = table.rows[kept]
        excess -= len(compact_json(row)) + 1 + len(_csv_line(row))
    return table.cut_to(kept)


def _shorter_list(items: list[str], floor: int, whole: str) -> list[str] | None:
    """One item less; the last says how many were left out."""
    before = int(items[-1].split()[1]) if items and items[-1].startswith(_LEFT) else 0
    kept = items[:-2] if before else items[:-1]
    return [*kept, f"{_LEFT} {before + 1} more {whole}".rstrip()] if len(kept) >= floor else None


def _shorter_text(text: str, floor: int, excess: int, whole: str) -> str | None:
    ending = f"… {whole}".rstrip()
    kept = max(floor, len(text) - (excess + 1) // 2 - len(ending))
    shortened = text[:kept].rstrip() + ending
    return shortened if len(shortened) < len(text) else None


_LEFT = "…"


def compact_json(value: Any) -> str:
    """JSON without needless spaces, as it travels."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def plain(value: Any) -> str:
    """A scalar as a person reads it: integers with separators, true as yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _forms(answer: Answer) -> Rendered:
    required = {name for name, field in type(answer).model_fields.items() if field.is_required()}
    content = answer.model_dump(mode="json")
    structured = {
        name: value
        for name, dumped in content.items()
        if not _empty(value := _without_empty(dumped)) or (name in required and value is not None)
    }
    return Rendered(text=_text(structured), structured=structured)


def _without_empty(content: Any) -> Any:
    """A value, and where it is an object what it says something about."""
    if not isinstance(content, dict):
        return content
    kept = {key: _without_empty(value) for key, value in content.items()}
    if "columns" in kept:
        # A table keeps its columns and rows, however many.
        return {key: value for key, value in kept.items() if key in ("columns", "rows") or value}
    return {key: value for key, value in kept.items() if not _empty(value)}


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


def _text(structured: dict[str, Any]) -> str:
    lines: list[str] = []
    for name, value in structured.items():
        if isinstance(value, dict) and "columns" in value:
            lines += _table_lines(name, value)
        elif isinstance(value, dict):
            lines.append(f"{name}:")
            lines += [f"- {key}: {_inline(item)}" for key, item in value.items()]
        elif isinstance(value, list):
            lines.append(f"{name}:")
            lines += [f"- {_inline(item)}" for item in value]
        else:
            lines.append(f"{name}: {_inline(value)}")
    return "\n".join(lines)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_inline(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_inline(item) for item in value)
    return str(value)


def _table_lines(name: str, table: dict[str, Any]) -> list[str]:
    rows = table.get("rows", [])
    more = f", {table['more']} more" if table.get("more") else ""
    rest = f": {table['rest']}" if more and table.get("rest") else ""
    lines = [f"{name} ({len(rows)} rows{more}{rest})"]
    return lines + [_csv_line(row)[:-1] for row in (table["columns"], *rows)]


def _csv_line(row: list[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(map(_csv_cell, row))
    return out.getvalue()


def _csv_cell(cell: Any) -> Any:
    if cell is None:
        return ""
    return compact_json(cell) if isinstance(cell, list | dict) else cell
