"""Numbers in the skill's prose, and the entries of `figures/` that claim and recompute them."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import idc_mcp
from idc_mcp.index.release import Release
from idc_mcp.settings import Settings
from tests import docs_blocks

FIGURES = Path(__file__).parent / "figures"
KINDS = ("sql", "python", "source")
ROUGHLY = re.compile(r"\b(about|some|nearly|almost|roughly|around|over|more than|thousands)\b|~")
"""With one of these a whole number may end in zeros that the exact one does not have."""

UNITS = (
    r"%|(?:[kKMGTP]i?B|bytes?|bits?|[mcµun]?m|mm|[mµ]?s|seconds?|minutes?|hours?|days?|T|HU|Hz|kV|mA"
    r"|series|patients|studies|collections|instances|characters|rows|lines)\b"
)
"""What makes a number of one digit a figure."""

NUMBER = re.compile(
    rf"(?<![A-Za-z_\d])(?<!\d[.,])(?P<value>\d[\d,]*(?:\.\d+)?(?:e\d+)?)(?P<unit>\s?(?:{UNITS}))?"
)

NAMES = (
    r"\]\([^)]*\)",  # targets of links
    r"https?://\S+|s3://\S+|gs://\S+|idc://\S+|skill://\S+",
    r"\b10\.\d{4,}/[^\s`),;]+",  # DOIs
    r"\b\d+(?:\.\d+){3,}\.?",  # UIDs and addresses
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    r"\b[cj]_[0-9a-f]{6,}\b",
    r"\([0-9A-Fa-fx]{4},\s?[0-9A-Fa-fx]{4}\)",  # tags
    r"\bPS3\.\d+(?: (?:section |annex )?[A-Z]?\.?\d*(?:\.\d+)+)?",
    r"\b(?:TID|CID) \d+",
    r"\bCC BY(?:-[A-Z]{2})* \d\.\d",
    r"\b[A-Z]{2,}-\d+\b",  # SHA-256, UTF-8, RFC-like names
    r"\bSEP-\d+",
    r"\bJPEG 2000\b",
    r"^\s*\d+\. ",  # list numbers
    r"`[0-9A-Fa-f]{8}`",  # tags as DICOM JSON writes them
    r"`[A-Za-z_%*.][\w.\-/%:*~+]*`",  # identifiers in code spans
)
_NAMES = re.compile("|".join(NAMES), re.MULTILINE)
_RELEASE = re.compile(r"(?<![A-Za-z0-9])v\d\d+(?!\d)")


class Claim(NamedTuple):
    """An entry of a figures file."""

    document: str
    text: str
    kind: str
    says: str


class Number(NamedTuple):
    """A number in prose that wants a claim."""

    start: int
    end: int
    text: str


def document_of(path: Path) -> str:
    """The document that a figures file is about."""
    if path.stem == "SKILL":
        return docs_blocks.SKILL
    return f"skill/references/{path.stem}.md"


def claims(path: Path) -> list[Claim]:
    """The entries of a figures file.

    Raises
    ------
    ValueError
        An entry has not exactly a text and one of sql, python and source.
    """
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    if told.keys() - {"figure"}:
        raise ValueError(f"{path.name}: only [[figure]] belongs here")
    found = []
    for entry in told.get("figure", []):
        kinds = [kind for kind in KINDS if str(entry.get(kind, "")).strip()]
        whole = entry.keys() == {"text", *kinds} and len(kinds) == 1
        if not whole or not re.search(r"\d", entry["text"]):
            raise ValueError(f"{path.name}: {entry}: a text with a number, and one of {KINDS}")
        found.append(Claim(document_of(path), entry["text"], kinds[0], str(entry[kinds[0]])))
    return found


def prose(document: str) -> str:
    """What is read as prose: no blocks, but ```text that is no block's output."""
    text = docs_blocks.prose(document).splitlines()
    for block in docs_blocks.blocks(document):
        if block.kind == docs_blocks.TEXT:
            lines = block.content.rstrip("\n").split("\n")
            text[block.line : block.line + len(lines)] = lines
    return "\n".join(text)


def numbers(text: str, release: Release) -> Iterator[Number]:
    """Every number in prose that is a figure: of two digits or more, or with a unit.

    The name of another release than the installed one is a figure too.
    """
    for match in _RELEASE.finditer(text):
        if match[0] != release.name:
            yield Number(match.start(), match.end(), match[0])
    bare = _without_names(text, release)
    for match in NUMBER.finditer(bare):
        digits = sum(char.isdigit() for char in match["value"])
        if digits > 1 or match["unit"]:
            yield Number(match.start(), match.end(), match[0].rstrip(",."))


def places(claim: str, text: str) -> list[tuple[int, int]]:
    """Where a claim's text stands; line ends count as spaces."""
    words = r"\s+".join(re.escape(word) for word in claim.split())
    return [match.span() for match in re.finditer(words, text)]


def unclaimed(document: str, made: list[Claim], release: Release) -> list[str]:
    """`document:line: number` of every figure that no claim holds."""
    text = prose(document)
    covered = [span for claim in made for span in places(claim.text, text)]
    return [
        f"{document}:{text.count(chr(10), 0, number.start) + 1}: {number.text} in "
        f"{_around(text, number)!r} is claimed by no figure"
        for number in numbers(text, release)
        if not any(start <= number.start and number.end <= end for start, end in covered)
    ]


def wrong(claim: Claim, release: Release, row: Callable[[str], tuple[Any, ...]], app: Any) -> str:
    """Why a claim is not true; '' if it is, or has a source only."""
    if claim.kind == "source":
        return ""
    if claim.kind == "sql":
        values = row(claim.says)
    else:
        _import_everything()
        scope = {"settings": Settings(), "idc_mcp": idc_mcp, "app": app}
        value = eval(claim.says, scope)
        values = tuple(value) if isinstance(value, tuple | list) else (value,)
    shown = [match["value"] for match in NUMBER.finditer(_without_names(claim.text, release))]
    real = [number for value in values for number in _numbers_of(value)]
    roughly = bool(ROUGHLY.search(claim.text))
    if len(shown) == len(real) and all(map(_fits, shown, real, [roughly] * len(real))):
        return ""
    return f"{claim.document} says {claim.text!r}; {claim.says} gives {values}"


def _without_names(text: str, release: Release) -> str:
    """The text with blanks where its digits belong to a name."""
    versions = rf"\b{re.escape(release.name)}\b|\b{re.escape(release.data_version)}\b"
    for pattern in (_NAMES, re.compile(versions)):
        text = pattern.sub(lambda match: re.sub(r"\S", " ", match[0]), text)
    return text


def _numbers_of(value: Any) -> list[float]:
    if isinstance(value, str):
        return [float(one.replace(",", "")) for one in re.findall(r"\d[\d,]*(?:\.\d+)?", value)]
    return [float(value)]


def _fits(shown: str, real: float, roughly: bool) -> bool:
    """Whether the number rounds to the one that is shown."""
    text = shown.replace(",", "")
    decimals = len(text.partition(".")[2]) if "e" not in text else 0
    if roughly and not decimals:
        decimals = -(len(text) - len(text.rstrip("0")))
    return abs(float(text) - real) <= 0.5 * 10**-decimals + 1e-9 * abs(real)


def _around(text: str, number: Number) -> str:
    start, end = max(0, number.start - 30), number.end + 30
    return " ".join(text[start:end].split())


def _import_everything() -> None:
    """So that a dotted name in a claim finds its module."""
    for module in pkgutil.walk_packages(idc_mcp.__path__, "idc_mcp."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
