"""Names in documents: which of them the server does not have. Each function gives the strangers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from idc_mcp.cli import _parser
from idc_mcp.settings import PREFIX, Settings
from tests import docs_blocks
from tests.docs_blocks import ROOT

COMMANDS: Mapping[str, argparse.ArgumentParser] = next(
    action.choices for action in _parser()._actions if action.dest == "command"
)
"""The subcommands of `idc-mcp` with their parsers."""
SETTINGS = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
NO_TOOLS = {
    "idc_mcp", "idc_index", "idc_index_data", "idc_index_data_version", "idc_version",
    "idc_release", "idc_current", "idc_current_clinical",
}  # fmt: skip
"""Names that begin as tools do: packages, columns, datasets, a key of cohort.json."""

_COMMAND = re.compile(r"(?:^|\s|/bin/)(idc-mcp [a-z][^|;&>]*)")


def code(text: str) -> list[str]:
    """What stands in code spans of prose."""
    return re.findall(r"(?<!`)`(?!`)([^`\n]*[^`\s])`(?!`)", text)


def unknown_tools(text: str, tools: Mapping[str, Any]) -> set[str]:
    """Names that begin as a tool's does and are none."""
    return set(re.findall(r"\bidc_[a-z_]+\b", text)) - NO_TOOLS - set(tools)


def unknown_arguments(text: str, tools: Mapping[str, Any]) -> set[str]:
    """`tool.argument` of calls such as idc_cohort(filters=…) that the tool does not take."""
    strangers = set()
    for name, given in re.findall(r"\b(idc_[a-z_]+)\(((?:[^()]|\([^()]*\))*)\)", text):
        if name in tools:
            top = re.sub(r"\{[^{}]*\}|\[[^][]*\]|\"[^\"]*\"|'[^']*'", "", given)
            arguments = set(re.findall(r"(?<![\w.])(\w+)=(?!=)", top))
            takes = set(tools[name].parameters["properties"])
            strangers |= {f"{name}.{argument}" for argument in arguments - takes}
    return strangers


def unknown_settings(text: str) -> set[str]:
    return set(re.findall(rf"{PREFIX}[A-Z]\w*", text)) - SETTINGS


def unknown_commands(document: str) -> set[str]:
    """Subcommands and options of `idc-mcp` that do not exist, in code spans and ```text blocks."""
    blocks = docs_blocks.blocks(document)
    lines = [
        line
        for block in blocks
        for line in (*block.content.splitlines(), *(block.shown or []))
        if block.kind in (docs_blocks.TEXT, "sh")
    ]
    named = [one for line in lines for one in _COMMAND.findall(line)]
    strangers = set()
    for span in [*code(docs_blocks.prose(document)), *named]:
        words = span.split()
        if words[0] != "idc-mcp" or len(words) == 1 or not words[1].islower():
            continue
        if words[1] not in COMMANDS:
            strangers.add(span)
            continue
        options = {name for name in help_of(words[1]).split() if name.startswith("-")}
        strangers |= {
            f"{words[1]} {word}"
            for word in (one.partition("=")[0] for one in words[2:])
            if re.match(r"--?[a-z]", word) and word not in options
        }
    return strangers


def help_of(command: str) -> str:
    """A subcommand's help, and that of its own subcommands, in words."""
    parser = COMMANDS[command]
    below = [
        one.format_help()
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for one in action.choices.values()
    ]
    return re.sub(r"[,\[\]|]", " ", " ".join([parser.format_help(), *below]))


def anchors(document: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", docs_blocks.prose(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: str, within: Path = ROOT) -> list[str]:
    """Links that lead nowhere, or to a file outside of a folder; https is not followed."""
    broken = []
    folder = (ROOT / document).parent
    for target in re.findall(r"\]\(([^)]+)\)", docs_blocks.prose(document)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (folder / name).resolve() if name else ROOT / document
        there = path.exists() and path.is_relative_to(within.resolve())
        if there and anchor:
            there = anchor in anchors(str(path.relative_to(ROOT.resolve())))
        if not there:
            broken.append(target)
    return broken
