"""How the documents are read by their tests.

```console        `$ command` lines are run; the lines below each are its output.
```json           {"tool": …, "arguments": {…}} is called; the ```text block after it is its answer.
```json fetched   the same, asked of a catalogue with stand-ins for the tables that are fetched
                  (`tests/published`): its figures are theirs, and are left out of the document.
```sh             in README.md and beside it each line is run, or another test shows that it runs
                  (`tests/test_docs.py`).

The skill's documents have more kinds: `tests/skill/README.md`.

A line `…` stands for lines left out, a line that ends in `…` for a longer one. A number after
`<!-- sql: SELECT … -->` is what that statement gives. Between `<!-- settings -->` and
`<!-- /settings -->` stands what `python -m tests.docs_blocks` prints.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from idc_mcp.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = tuple(
    name
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "HOSTING.md")
    if (ROOT / name).exists()
)
SKILL = "skill/SKILL.md"
REFERENCES = tuple(
    str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("skill/references/*.md"))
)
SKILL_DOCUMENTS = (SKILL, *REFERENCES)
OMITTED = "…"
TEXT = "text"

MACHINE_DEFAULTS = {
    "cache_dir": "`~/.cache/idc-mcp` on Linux",
    "state_dir": "`~/.local/state/idc-mcp` on Linux",
    "output_dir": "`~/idc-mcp`",
    "threads": "the processors, at most 4",
}
"""Defaults that differ from machine to machine."""

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)
_STRAY = re.compile(r"^\s*(?:```|~~~)(?!`).*$", re.MULTILINE)
_NUMBER = re.compile(r"<!-- sql: (.*?) -->\s*([\d,.]*\d)", re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language with the second word, and the line of its fence."""

    kind: str
    content: str
    line: int
    shown: list[str] | None = None
    """The lines of the ```text block that follows it; None where none does."""


class Command(NamedTuple):
    """A command of a ```console block and the lines that it is shown to print."""

    text: str
    shown: list[str]
    line: int = 0


class Call(NamedTuple):
    """A tool call of a ```json block and the lines of the answer that is shown."""

    tool: str
    arguments: dict[str, Any]
    shown: list[str]
    line: int
    fetched: bool = False


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> list[Block]:
    """Every fenced block; a ```text block right after another is `shown` of that one.

    Raises
    ------
    ValueError
        A fence is not closed, or not at the margin: it would be tested by nobody.
    """
    text = read(document)
    if stray := _STRAY.search(_FENCE.sub(_newlines, text)):
        line = text.count("\n", 0, stray.start()) + 1
        raise ValueError(f"{document}:{line}: a fence that is not closed, or not at the margin")
    found: list[Block] = []
    end = 0
    for match in _FENCE.finditer(text):
        kind, content = match["info"].strip(), match["content"]
        follows = found and found[-1].kind != TEXT and not text[end : match.start()].strip()
        if kind == TEXT and follows and found[-1].shown is None:
            found[-1] = found[-1]._replace(shown=content.rstrip("\n").split("\n"))
        else:
            found.append(Block(kind, content, text.count("\n", 0, match.start()) + 1))
        end = match.end()
    return found


def prose(document: str) -> str:
    """A document without its fenced blocks; its lines keep their numbers."""
    return _FENCE.sub(_newlines, read(document))


def _newlines(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def commands_of(block: Block) -> list[Command]:
    """The commands of a ```console block."""
    found: list[Command] = []
    for number, line in enumerate(block.content.rstrip("\n").split("\n"), block.line + 1):
        if line.startswith("$ "):
            found.append(Command(line[2:], [], number))
        elif found[-1].text.endswith("\\"):
            found[-1] = found[-1]._replace(text=f"{found[-1].text[:-1]}{line.strip()}")
        else:
            found[-1].shown.append(line)
    return found


def commands(document: str) -> list[Command]:
    console = [block for block in blocks(document) if block.kind == "console"]
    return [command for block in console for command in commands_of(block)]


def call_of(block: Block) -> Call | None:
    """The tool call of a ```json block; None if it is other JSON."""
    given = json.loads(block.content)
    if "tool" not in given:
        return None
    if unknown := given.keys() - {"tool", "arguments"}:
        raise ValueError(f"line {block.line}: a call has no {unknown}")
    if block.shown is None:
        raise ValueError(f"line {block.line}: no ```text answer follows {given['tool']}")
    fetched = block.kind.endswith("fetched")
    return Call(given["tool"], given.get("arguments", {}), block.shown, block.line, fetched)


def calls(document: str) -> list[Call]:
    asked = [block for block in blocks(document) if block.kind in ("json", "json fetched")]
    return [call for call in map(call_of, asked) if call]


def numbers(document: str) -> list[tuple[str, str]]:
    """A statement and the number that the document says it gives."""
    return _NUMBER.findall(read(document))


def difference(shown: list[str], printed: str) -> str:
    """Why lines that are shown are not what was printed; '' where they are."""
    real = [line.rstrip() for line in printed.rstrip("\n").split("\n")]
    at, free = 0, False
    for line in (line.rstrip() for line in shown):
        if line == OMITTED:
            free = True
            continue
        last = len(real) if free else min(at + 1, len(real))
        place = next((i for i in range(at, last) if _same(line, real[i])), None)
        if place is None:
            there = real[at] if at < len(real) else "the end"
            return f"shown:   {line}\nprinted: {there}\n\nall that was printed:\n{printed}"
        at, free = place + 1, False
    if at < len(real) and not free:
        return f"not shown, and no … for it: {real[at]}\n\nall that was printed:\n{printed}"
    return ""


def _same(shown: str, real: str) -> bool:
    return shown == real or (shown.endswith(OMITTED) and real.startswith(shown[:-1].rstrip()))


def between(document: str, marker: str) -> str:
    """What stands between `<!-- marker -->` and `<!-- /marker -->`."""
    found = re.search(f"<!-- {marker} -->\n(.*?)<!-- /{marker} -->", read(document), re.DOTALL)
    assert found, f"{document} has no <!-- {marker} --> … <!-- /{marker} -->"
    return found[1]


def settings_table() -> str:
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for setting in dataclasses.fields(Settings):
        default = MACHINE_DEFAULTS.get(setting.name) or _default(setting.default)
        lines.append(
            f"| `{PREFIX}{setting.name.upper()}` | {default} | {setting.metadata['about']} |"
        )
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"`{value}`" if value else "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(settings_table())
