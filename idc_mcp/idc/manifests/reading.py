"""Reading manifests: which series a text names, and what became of each of its lines.

Understood are the manifests of the IDC portal and of s5cmd, aws and gsutil, URLs of series
and of single instances, bare identifiers, CSV and JSON with the columns of `index`, and the
`.tcia` lists of TCIA. Nothing is left out without a word: every line is a series, a repeat, a
comment, or a problem with its number.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_UID = r"(?=[0-9.]{5,64}(?![0-9.]))[0-9]+(?:\.[0-9]+){2,}"
"""A UID: at most 64 characters (DICOM PS3.5, section 9.1); two numbers alone are a decimal."""

_USUAL = (
    re.compile(
        "(?:(?:cp )?s3://[a-z0-9.-]+/)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
        r"(?:/\*(?: \.)?)?"
    ),
    re.compile(rf"({_UID})"),
    re.compile(
        r"(?:[^'\"#]* )?['\"]?(?:s3|gs)://[a-z0-9._-]+/"
        r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/\*['\"]?(?: [^:]*)?"
    ),
)
"""What nearly all lines of a large manifest are; these are read in bulk, half a million of
them in half a second, and only the others one by one."""

_ADDRESS = re.compile(r"(?:s3|gs|https?)://[^\s'\",;]+", re.IGNORECASE)
_SERIES_FOLDER = re.compile(rf"\w+://(?:[^/]+/)+?({_UUID})(/.*|\*)?")
_REMARK = re.compile(r"\s#.*$")
_SEPARATORS = re.compile(r"[\s,;|\[\]'\"]+")

UUID_COLUMN = "crdc_series_uuid"
UID_COLUMN = "SeriesInstanceUID"
URL_COLUMNS = ("series_aws_url", "series_gcs_url", "url", "gcs_url", "aws_url")
_COLUMNS = {name.lower(): name for name in (UUID_COLUMN, UID_COLUMN, *URL_COLUMNS)}

_TCIA_LIST = "ListOfSeriesToDownload="
SHOWN_CHARS = 80
"""Most of a line that is told again, however long it is."""


class Problem(NamedTuple):
    """A line (or record of a CSV, or item of a JSON list; from 1) that names no series.

    `text` is its beginning. `why` holds nothing of it, so that it may be told of a file whose
    content may not.
    """

    line: int
    text: str
    why: str


@dataclass
class ParsedManifest:
    """The series a manifest names, and an account of its lines.

    `understood + duplicates + ignored + len(problems) == lines`. Duplicates are lines that
    name only series already named.

    Attributes
    ----------
    series_uuids
        Distinct crdc_series_uuid, lower case, in their order. These name a version.
    series_instance_uids
        Distinct SeriesInstanceUID, in their order.
    ignored
        Comments and blank lines.
    single_instances
        Lines that name one file of a series: its whole series is taken.
    lines
        All lines, or records of a CSV, or items of a JSON list.
    """

    series_uuids: list[str] = field(default_factory=list)
    series_instance_uids: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lines: int = 0
    understood: int = 0
    duplicates: int = 0
    ignored: int = 0
    single_instances: int = 0


class _Named(NamedTuple):
    uuids: tuple[str, ...] = ()
    uids: tuple[str, ...] = ()
    single_instance: bool = False


class _Reader:
    """Collects what lines name."""

    def __init__(self) -> None:
        self.parsed = ParsedManifest()
        self.uuids: dict[str, None] = {}
        self.uids: dict[str, None] = {}

    def take(self, line: int, text: str, named: _Named | str) -> None:
        """Book a line: what it names, or why it names nothing."""
        if isinstance(named, str):
            self.parsed.problems.append(Problem(line, shortened(text), named))
            return
        before = len(self.uuids) + len(self.uids)
        self.uuids.update(dict.fromkeys(named.uuids))
        self.uids.update(dict.fromkeys(named.uids))
        self.parsed.single_instances += named.single_instance
        if len(self.uuids) + len(self.uids) > before:
            self.parsed.understood += 1
        else:
            self.parsed.duplicates += 1

    def result(self) -> ParsedManifest:
        self.parsed.series_uuids = list(self.uuids)
        self.parsed.series_instance_uids = list(self.uids)
        return self.parsed


def shortened(text: str) -> str:
    """The beginning of a line, where it is too long to be told whole."""
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def parse_manifest(text: str) -> ParsedManifest:
    """The series that a manifest's text names; nothing is looked up in the catalogue."""
    text = text.removeprefix("\ufeff")
    reader = _Reader()
    if text.lstrip()[:1] in ("[", "{"):
        items = _json_items(text)
        if items is not None:
            _read_items(items, reader)
            return reader.result()
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    first = next((at for at, line in enumerate(lines) if not _is_remark(line)), None)
    if first is not None and (delimiter := _table_delimiter(lines[first])):
        _read_table(lines, first, delimiter, reader)
    else:
        _read_lines(lines, reader)
    return reader.result()


# -- lines ---------------------------------------------------------------------------------


def _read_lines(lines: list[str], reader: _Reader) -> None:
    parsed = reader.parsed
    parsed.lines = len(lines)
    head = next((at for at, line in enumerate(lines[:50]) if line.startswith(_TCIA_LIST)), -1) + 1
    parsed.ignored = head  # what stands above a list of TCIA are its settings
    for at in _odd_ones(lines, range(head, len(lines)), reader):
        if _is_remark(lines[at]):
            parsed.ignored += 1
        else:
            reader.take(at + 1, lines[at], _named_by_line(lines[at]))


def _odd_ones(texts: list[str], places: Sequence[int], reader: _Reader) -> Sequence[int]:
    """Book the usual ones among `texts` in bulk; the places of the others."""
    for pattern, seen in zip(_USUAL, (reader.uuids, reader.uids, reader.uuids), strict=True):
        fits = pattern.fullmatch
        names = [match[1] if (match := fits(texts[at])) else "" for at in places]
        distinct = dict.fromkeys(names)
        some_left = distinct.pop("", "") is None
        before = len(seen)
        seen.update(distinct)
        left = [at for at, name in zip(places, names, strict=True) if not name] if some_left else []
        reader.parsed.understood += len(seen) - before
        reader.parsed.duplicates += len(places) - len(left) - (len(seen) - before)
        places = left
        if not places:
            break
    return places


def _is_remark(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped[0] == "#"


def _named_by_line(line: str) -> _Named | str:
    """What a command, an address or a list of identifiers names; else why nothing."""
    if address := _ADDRESS.search(line):
        if found := _SERIES_FOLDER.fullmatch(address[0]):
            rest = found[2] or ""
            single = rest not in ("", "*", "/") and "*" not in rest
            return _Named(uuids=(found[1].lower(),), single_instance=single)
        return "the address has no crdc_series_uuid as its folder"
    uuids: list[str] = []
    uids: list[str] = []
    for word in filter(None, _SEPARATORS.split(_REMARK.sub("", line.strip()))):
        named = _named_by_word(word)
        if isinstance(named, str):
            return named
        uuids += named.uuids
        uids += named.uids
    return _Named(tuple(uuids), tuple(uids)) if uuids or uids else "it names no series"


def _named_by_word(word: str) -> _Named | str:
    if re.fullmatch(_UUID, word):
        return _Named(uuids=(word.lower(),))
    if re.fullmatch(_UID, word):
        return _Named(uids=(word,))
    return "it has what is neither a SeriesInstanceUID, a crdc_series_uuid nor the address of one"


# -- tables and JSON -----------------------------------------------------------------------


def _table_delimiter(header: str) -> str:
    """The delimiter, where a line is the header of a table with a column we know."""
    for delimiter in ",\t;|":
        if {cell.strip().strip('"').lower() for cell in header.split(delimiter)} & _COLUMNS.keys():
            return delimiter
    return ""


def _read_table(lines: list[str], first: int, delimiter: str, reader: _Reader) -> None:
    rows = csv.reader((line + "\n" for line in lines[first:]), delimiter=delimiter)
    header = next(rows)
    known = [(at, _COLUMNS.get(cell.strip().lower(), "")) for at, cell in enumerate(header)]
    reader.parsed.ignored = first + 1  # the header, and what stands above it
    order = (UUID_COLUMN, *URL_COLUMNS, UID_COLUMN)
    columns = sorted((order.index(name), at) for at, name in known if name)
    best = columns[0][1]
    cells: list[str] = []
    numbers: list[int] = []
    try:
        for row in rows:
            if len(row) > best and row[best] and row[0][:1] != "#":
                cells.append(row[best])
                numbers.append(first + rows.line_num)
            elif not row or row[0].startswith("#") or (len(row) == 1 and _is_remark(row[0])):
                reader.parsed.ignored += 1
            else:
                others = (row[at].strip() for _, at in columns if at < len(row))
                _take_cells(reader, first + rows.line_num, delimiter.join(row), others)
    except csv.Error as error:
        reader.take(first + rows.line_num, "", f"the table ends here for us: {error}")
    for at in _odd_ones(cells, range(len(cells)), reader):
        reader.take(numbers[at], cells[at], _named_by_line(cells[at]))
    parsed = reader.parsed
    parsed.lines = parsed.understood + parsed.duplicates + parsed.ignored + len(parsed.problems)


def _take_cells(reader: _Reader, line: int, text: str, cells: Iterable[str]) -> None:
    """Book a record: its first cell that is filled names the series."""
    cell = next(filter(None, cells), None)
    named = "none of its identifier columns is filled" if cell is None else _named_by_line(cell)
    reader.take(line, text, named)


def _json_items(text: str) -> list[Any] | None:
    """The items of a JSON list, or of JSON objects one a line; None where it is neither."""
    try:
        content = json.loads(text)
    except RecursionError:
        return None
    except ValueError:
        try:
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            return None
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        is_record = any(str(key).lower() in _COLUMNS for key in content)
        content = lists[0] if len(lists) == 1 and not is_record else [content]
    return content if isinstance(content, list) else None


def _read_items(items: list[Any], reader: _Reader) -> None:
    reader.parsed.lines = len(items)
    for number, item in enumerate(items, start=1):
        if isinstance(item, str):
            reader.take(number, item, _named_by_line(item))
        elif isinstance(item, dict):
            values = {_COLUMNS.get(str(key).lower(), ""): value for key, value in item.items()}
            order = (UUID_COLUMN, *URL_COLUMNS, UID_COLUMN)
            cells = (str(values.get(name) or "").strip() for name in order)
            _take_cells(reader, number, str(item), cells)
        else:
            reader.take(number, json.dumps(item), "it is neither a text nor an object")
