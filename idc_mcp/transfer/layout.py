"""Where each series of a download goes: a layout and the names it gives.

The language is that of idc-index's `dirTemplate` (`_generate_sql_concat_for_building_directory`
in https://github.com/ImagingDataCommons/idc-index/blob/main/idc_index/index.py), with more
placeholders and with literal text. Names are safe on Linux, macOS, Windows, exFAT and SMB, and
depend on the values alone: a cohort that grows moves no file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from idc_mcp.errors import BadArgument
from idc_mcp.idc.nearest import bare, nearest

DEFAULT_LAYOUT = "%collection_id/%PatientID/%StudyInstanceUID/%Modality_%SeriesInstanceUID"
"""idc-index's own default."""

PLACEHOLDERS = (
    "collection_id", "PatientID", "StudyInstanceUID", "Modality", "SeriesInstanceUID",
    "crdc_series_uuid", "StudyDate", "BodyPartExamined", "license_short_name",
    "analysis_result_id", "source_DOI",
)  # fmt: skip
"""Columns of the index that a layout may name; idc-index knows the first five."""

MISSING = "none"
"""What stands for a value that is not there. `unknown` would meet BodyPartExamined `UNKNOWN`."""

OURS = ".idc-mcp"
"""How the names of our own working files begin."""

RESERVED = frozenset({OURS, "manifest.s5cmd", "LICENSES", "CITATIONS.bib", "cohort.json"})
"""Names of our records, at the top of a download."""

MAX_TEMPLATE_CHARS = 300
MAX_NAME_BYTES = 120


_RESERVED = frozenset(name.casefold() for name in RESERVED)
_PLACEHOLDER = re.compile(
    # A letter after it makes it another name: %PatientIDs is a mistake, not PatientID and "s".
    f"%({'|'.join(sorted(PLACEHOLDERS, key=len, reverse=True))})(?![0-9A-Za-z])"
)
_LITERAL = re.compile(r"[0-9A-Za-z_.=+,@ -]*")
# Besides what Windows forbids: `~`, so that it is in a name as our mark only, and printable
# characters that nobody sees and that some file systems leave out when they compare names
# (Unicode's Default_Ignorable_Code_Point; the others of them are not printable).
_FORBIDDEN = re.compile(
    r'[<>:"/\\|?*~\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0'
    r"\U000e0100-\U000e01ef]"
)
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file, with the console's own.
_WINDOWS_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|CLOCK\$|(?:COM|LPT)[0-9¹²³]) *(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)

# Safe at first sight, as nearly all values are: what comes before a dot is no device's name and
# none of ours. A matter of speed only, checked against the rules in the tests.
_PLAIN = re.compile(
    r"(?=[0-9]|[A-Za-z]+[0-9]*[_-])[0-9A-Za-z][0-9A-Za-z_.-]{0,118}[0-9A-Za-z_-]", re.ASCII
).fullmatch


@dataclass(frozen=True, slots=True)
class Layout:
    """A template that has been read: `Layout.parse(template)`.

    Parameters
    ----------
    template
        As it was given; empty is flat.
    levels
        The directories it makes, from the top. Each is literal text and column in turn,
        beginning and ending with a text: `%Modality_x` is `("", "Modality", "_x")`.
    """

    template: str
    levels: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, template: str) -> Layout:
        """Read a template.

        Raises
        ------
        BadArgument
            A placeholder is unknown, or the text around them is not safe in a name.
        """
        if len(template) > MAX_TEMPLATE_CHARS:
            raise _bad(template[:60] + "…", f"it has more than {MAX_TEMPLATE_CHARS} characters")
        if template.startswith("/"):
            raise _bad(template, "it is an absolute path; layouts begin below the directory")
        parts = template.split("/") if template else []
        levels = tuple(tuple(_PLACEHOLDER.split(part)) for part in parts)
        for number, level in enumerate(levels):
            _check_level(template, level, top=number == 0)
        return cls(template, levels)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it names, each once, as they come."""
        return tuple(dict.fromkeys(name for level in self.levels for name in level[1::2]))

    def place(self, values: Mapping[str, str | None]) -> str:
        """The directory of a series, relative and with `/`; empty if the layout is flat.

        Parameters
        ----------
        values
            Must have all of `columns`; None is a value that is not there.
        """
        return "/".join([name_of(level, values, at == 0) for at, level in enumerate(self.levels)])


def folded_name(name: str) -> str:
    """A name as file systems compare it that ignore case and Unicode's ways of writing it."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def name_of(level: tuple[str, ...], values: Mapping[str, str | None], top: bool) -> str:
    """The name of one level for a series; `top` levels must not meet our records."""
    text = level[0]
    for at in range(1, len(level), 2):
        value = values[level[at]]
        if value is None or not _PLAIN(value):
            value = _piece(value)
        elif len(level) == 3 and not text and not level[2]:
            return value
        text += value + level[at + 1]
    return text if _PLAIN(text) else _component(text, top)


@lru_cache(maxsize=65_536)
def _piece(value: str | None) -> str:
    """A value as it stands in a name: itself if it is safe, else cleaned and marked.

    Safe values have no `~` and cleaned ones end in it with six hex digits, so that no value is
    taken for another's cleaned form, not even one that looks like it.
    """
    if value is None:
        return MISSING
    name = _tidy(value, forbidden=True)
    if name == value and value.casefold() != MISSING:
        return value
    return _marked(name, value)


@lru_cache(maxsize=65_536)
def _component(text: str, top: bool) -> str:
    """A whole name: safe parts can make an unsafe one (`CO` + `N`, a letter + its accent)."""
    name = _tidy(text, forbidden=False)
    if name == text and not (top and text.casefold() in _RESERVED):
        return text
    return _marked(name, text)


def _tidy(text: str, *, forbidden: bool) -> str:
    """The text as a safe name, the same if it is one; `forbidden` characters become `_`."""
    name = text if text.isascii() else unicodedata.normalize("NFC", text)
    if forbidden:
        name = _FORBIDDEN.sub("_", name)
        if not name.isprintable():
            name = "".join(char if char.isprintable() else "_" for char in name)
    name = name.lstrip(" ").rstrip(" .")
    if _WINDOWS_DEVICE.fullmatch(name) or name[: len(OURS)].casefold() == OURS:
        name = f"_{name}"
    if len(name) * 4 > MAX_NAME_BYTES and len(name.encode()) > MAX_NAME_BYTES:
        name = _cut(name, MAX_NAME_BYTES)
    return name or "_"


def _marked(name: str, original: str) -> str:
    # surrogatepass: half a pair is no text in UTF-8, and still a value unlike others.
    mark = "~" + sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return _cut(name, MAX_NAME_BYTES - len(mark)) + mark


def _cut(name: str, most_bytes: int) -> str:
    return name.encode()[:most_bytes].decode(errors="ignore").rstrip(" .")


def _check_level(template: str, level: tuple[str, ...], *, top: bool) -> None:
    whole = "".join(level)
    for text in level[::2]:
        if "%" in text:
            raise _unknown(template, text[text.index("%") :])
        if not _LITERAL.fullmatch(text):
            wrong = next(char for char in text if not _LITERAL.fullmatch(char))
            raise _bad(
                template,
                f"{wrong!r} is not safe in names everywhere; there may be / between directories, "
                "and a-z, A-Z, digits, space and _ - . = + , @ between placeholders",
            )
        if ".." in text:
            raise _bad(template, "'..' leads out of a directory")
    if not whole:
        raise _bad(template, "a directory in it has no name (// or / at the end)")
    if whole.startswith(" ") or whole.endswith((" ", ".")):
        raise _bad(template, "a directory's name begins with a space or ends with a space or dot")
    if len(level) > 1:
        return
    if _component(whole, top) != whole:
        raise _bad(template, f"{whole!r} is too long or reserved, by Windows or for our records")
    if meant := [name for name in PLACEHOLDERS if bare(name) == bare(whole)]:
        raise _bad(template, f"{whole!r} is literal text without its %", meant)


def _unknown(template: str, text: str) -> BadArgument:
    name = re.findall(r"%(\w*)", text, re.ASCII)[0].rstrip("_")
    if not name:
        return _bad(template, "a % begins a placeholder, and none follows")
    begun = [one for one in PLACEHOLDERS if bare(name).startswith(bare(one))]
    close = list(dict.fromkeys([*begun, *nearest(name, PLACEHOLDERS)]))
    return _bad(template, f"%{name} is no placeholder", close)


def _bad(template: str, why: str, close: Iterable[str] = ()) -> BadArgument:
    return BadArgument(
        f"The layout {template!r} cannot be used: {why}. Placeholders are "
        f"{', '.join(f'%{name}' for name in PLACEHOLDERS)}.",
        nearest=[f"%{name}" for name in close],
        next_step=f"give a layout such as '{DEFAULT_LAYOUT}', or '' for one directory",
    )
