"""What of a layout would be in another's way: found in the plan, not on the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import NamedTuple

from idc_mcp.transfer.layout import Layout, folded_name, name_of

MAX_PATH_CHARS = 240
"""Windows takes 260 characters for a whole path; this leaves some for the directory's own."""

FILE_NAME_CHARS = len("/00000000-0000-0000-0000-000000000000.dcm")
"""Every file is `<crdc_instance_uuid>.dcm` in its series' directory."""

_STUDY_LEVEL = {"collection_id", "PatientID", "StudyDate"}


class Placed(NamedTuple):
    """A series and the directory that `Layout.place` gave it."""

    directory: str
    values: Mapping[str, str | None]
    """The layout's columns, SeriesInstanceUID and crdc_series_uuid."""


class Clashes(NamedTuple):
    """Series that would get in one another's way, as sentences a person can act on.

    Parameters
    ----------
    versions
        Two versions of a series in one directory may have files of one name.
    shared
        Different values share a directory; no file is in another's way there.
    """

    versions: list[str]
    shared: list[str]


def clashes(layout: Layout, placed: Iterable[Placed], *, most: int = 5) -> Clashes:
    """What would get in one another's way.

    Different values share a directory on file systems that do not tell `a` from `A`,
    where values run together (`a_b` + `c`, `a` + `b_c`), and where six digits of a hash agree.
    A directory cannot meet a file: all series of a layout lie equally deep.

    Parameters
    ----------
    most
        How many of each kind are told; a last sentence counts the others.
    """
    # Gives the value of a level with one column, a tuple of several, nothing if it is literal.
    holders: list[Callable[[Mapping[str, str | None]], object]] = [
        itemgetter(*level[1::2]) if len(level) > 1 else lambda _: None for level in layout.levels
    ]
    versions_apart = "crdc_series_uuid" in layout.columns
    held_in: dict[str, object] = {}
    version_in: dict[tuple[str, str | None], str | None] = {}
    shared: dict[str, str] = {}
    repeated: dict[tuple[str, str | None], str] = {}
    for directory, values in placed:
        folded = ""
        names = directory.split("/") if holders else ()
        for number, (name, holder) in enumerate(zip(names, holders, strict=True)):
            folded += "/" + folded_name(name)
            held = holder(values)
            first = held_in.setdefault(folded, held)
            if first != held and folded not in shared:
                told = len(shared) < most
                shared[folded] = _shared(layout, number, name, first, held) if told else ""
        if versions_apart:
            continue
        key = (folded, values["SeriesInstanceUID"])
        version = values["crdc_series_uuid"]
        other = version_in.setdefault(key, version)
        if other != version and key not in repeated:
            told = len(repeated) < most
            repeated[key] = _repeated(layout, key[1], other, version) if told else ""
    return Clashes(
        _bounded(repeated.values(), most, "series"),
        _bounded(shared.values(), most, "directories"),
    )


def long_paths(directories: Iterable[str]) -> str:
    """A caution if files in these directories (one a series) have paths too long for Windows."""
    count = longest = 0
    for directory in directories:
        # Windows counts UTF-16.
        chars = len(directory) if directory.isascii() else len(directory.encode("utf-16-le")) // 2
        chars += FILE_NAME_CHARS
        longest = max(longest, chars)
        count += chars > MAX_PATH_CHARS
    if not count:
        return ""
    return (
        f"{count:,} series have paths of more than {MAX_PATH_CHARS} characters below the directory "
        f"(the longest {longest}). Windows takes 260 in all unless long paths are enabled: a short "
        "directory, or a shorter layout such as '%collection_id/%SeriesInstanceUID', avoids it."
    )


def _shared(layout: Layout, number: int, name: str, first: object, held: object) -> str:
    level = layout.levels[number]
    columns = level[1::2]
    others = first if isinstance(first, tuple) else (first,)
    values = held if isinstance(held, tuple) else (held,)
    same = name == name_of(level, dict(zip(columns, others, strict=True)), number == 0)
    placeholders = " and ".join(f"%{column}" for column in columns)
    if len(columns) > 1 and same:
        advice = "Put a / between them."
    else:
        uid = "StudyInstanceUID" if {*columns} <= _STUDY_LEVEL else "SeriesInstanceUID"
        advice = f"Put a UID there, such as %{columns[-1]}_%{uid}, or leave %{columns[-1]} out."
    systems = "" if same else " on Windows and macOS, which ignore case"
    return (
        f"Different values of {placeholders} share the directory {name!r}{systems}: "
        f"{_told(others)}; {_told(values)}. {advice}"
    )


def _repeated(layout: Layout, uid: str | None, first: str | None, second: str | None) -> str:
    deeper = f"{layout.template}/%crdc_series_uuid".lstrip("/")
    return (
        f"Two versions of the series {uid} (crdc_series_uuid {first} and {second}) share a "
        f"directory and may have files of one name. Take one of them, or the layout '{deeper}'."
    )


def _told(values: tuple[object, ...]) -> str:
    return " and ".join("no value" if value is None else repr(value)[:80] for value in values)


def _bounded(sentences: Iterable[str], most: int, what: str) -> list[str]:
    """The sentences that were written, and how many were not."""
    found = list(sentences)
    rest = len(found) - most
    return found[:most] + ([f"And {rest:,} more {what} like these."] if rest > 0 else [])
