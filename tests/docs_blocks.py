"""How the documents are read by their tests.

```console    `$ command` lines are run; the lines below each are its output.
```json       {"tool": …, "arguments": …} is called; the ```text block after it is its answer.
```sh         set-up that is not run: its programs, targets and subcommands must exist.

A call after `<!-- every table -->` is asked of a catalogue with stand-ins for the tables that are
fetched (`tests/published`): its figures are theirs, and are left out of the document.

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
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
OMITTED = "…"

MACHINE_DEFAULTS = {
    "cache_dir": "`~/.cache/idc-mcp` on Linux",
    "state_dir": "`~/.local/state/idc-mcp` on Linux",
    "output_dir": "`~/idc-mcp`",
    "threads": "the processors, at most 4",
}
"""Defaults that differ from machine to machine."""

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARKED = re.compile(r"^<!-- every table -->\n```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"<!-- sql: (.*?) -->\s*([\d,.]*\d)", re.DOTALL)


class Command(NamedTuple):
    """A command of a ```console block and the lines that it is shown to print."""

    text: str
    shown: list[str]


class Call(NamedTuple):
    """A tool call of a ```json block and the lines of the answer that is shown."""

    tool: str
    arguments: dict[str, Any]
    shown: list[str]
    every_table: bool = False


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return _FENCE.findall(read(document))


def prose(document: str) -> str:
    """A document without its fenced blocks."""
    return _FENCE.sub("", read(document))


def commands(document: str) -> list[Command]:
    found: list[Command] = []
    for language, content in blocks(document):
        if language != "console":
            continue
        for line in content.rstrip("\n").split("\n"):
            if line.startswith("$ "):
                found.append(Command(line[2:], []))
            elif found[-1].text.endswith("\\"):
                found[-1] = Command(f"{found[-1].text[:-1]}{line.strip()}", [])
            else:
                found[-1].shown.append(line)
    return found


def calls(document: str) -> list[Call]:
    found = []
    fenced = blocks(document)
    marked = _MARKED.findall(read(document))
    for i, (language, content) in enumerate(fenced):
        if language == "json" and "tool" in (given := json.loads(content)):
            after, answer = fenced[i + 1] if i + 1 < len(fenced) else ("", "")
            assert after == "text", f"no ```text answer follows the call of {given['tool']}"
            shown = answer.rstrip("\n").split("\n")
            arguments = given.get("arguments", {})
            found.append(Call(given["tool"], arguments, shown, content in marked))
    return found


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
