"""Receipts: what is known to be whole, kept beside the data.

One file of JSON lines for each series and directory, below `.idc-mcp/receipts` of the folder.
The first line says which series; each other line one file: `name`, `size`, `md5` (of the
bytes that came), `checked` (`md5` where the store's ETag was compared, else `size`) and
`mtime_ns`. A later line of a name counts; `damaged` takes a file back. A torn last line is
one file that will be hashed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from idc_mcp.transfer.objects import Series

HIDDEN = ".idc-mcp"
"""What is ours in a folder: receipts, and files that are not whole yet."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Receipt:
    """A file that was proven whole."""

    name: str
    size: int
    md5: str
    checked: str
    mtime_ns: int

    def matches(self, path: Path) -> bool:
        """Whether the file is still there as it was left: size and time of change."""
        try:
            status = path.stat()
        except OSError:
            return False
        return status.st_size == self.size and status.st_mtime_ns == self.mtime_ns


@dataclass
class Receipts:
    """The receipts of a series in a folder."""

    path: Path
    files: dict[str, Receipt] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    """Files of ours that were found damaged: they may be replaced."""
    complete: bool = False
    """All files of the series were whole once; each may have changed since."""
    _out: IO[str] | None = None

    @classmethod
    def of(cls, folder: Path, series: Series) -> Receipts:
        """The receipts of a series as they are on disk."""
        receipts = cls(path_of(folder, series))
        for line in _lines(receipts.path):
            receipts._read(line)
        return receipts

    def is_whole(self, folder: Path, series: Series) -> bool:
        """Whether every file of the series is there, as the catalogue and the receipts say."""
        return self.adds_up(series) and not self.changed(folder, series)

    def changed(self, folder: Path, series: Series) -> list[Receipt]:
        """Files that are missing or were touched since they were proven."""
        directory = folder / series.directory
        return [
            receipt
            for receipt in self.files.values()
            if not receipt.matches(directory / receipt.name)
        ]

    def add(self, receipt: Receipt) -> None:
        """Write down a file that is whole."""
        self.files[receipt.name] = receipt
        self._write(
            {
                "name": receipt.name,
                "size": receipt.size,
                "md5": receipt.md5,
                "checked": receipt.checked,
                "mtime_ns": receipt.mtime_ns,
            }
        )

    def take_back(self, name: str) -> None:
        """Write down that a file is not whole any more."""
        self._take_back(name)
        self._write({"name": name, "damaged": True})

    def begin(self, series: Series) -> None:
        """Say which series this is, in a new file."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            self._write(
                {
                    "crdc_series_uuid": series.crdc_series_uuid,
                    "SeriesInstanceUID": series.SeriesInstanceUID,
                    "directory": series.directory,
                    "bytes": series.bytes,
                }
            )

    def finish(self) -> None:
        """Write down that the series is complete, for good."""
        if not self.complete:
            self.complete = True
            self._write({"complete": len(self.files)})
        if self._out is not None:
            os.fsync(self._out.fileno())

    def close(self) -> None:
        """End writing."""
        if self._out is not None:
            with contextlib.suppress(OSError):  # what a full disk did not take is lost
                self._out.close()
            self._out = None

    def adds_up(self, series: Series) -> bool:
        """Whether the series was complete, with the catalogue's files and bytes."""
        size = sum(receipt.size for receipt in self.files.values())
        return self.complete and series.is_of_size(size) and series.files in (None, len(self.files))

    def _read(self, line: dict[str, Any]) -> None:
        name = line.get("name")
        if "complete" in line:
            self.complete = line["complete"] == len(self.files)
        elif (
            not isinstance(name, str)
            or name in ("", "..")
            or name != Path(name).name
            or "\0" in name
        ):
            pass  # no name of a file: nothing of ours
        elif line.get("damaged"):
            self._take_back(name)
        else:
            values: list[Any] = [line.get(key) for key in ("size", "md5", "checked", "mtime_ns")]
            if [type(value) for value in values] == [int, str, str, int]:
                self.files[name] = Receipt(name, *values)

    def _take_back(self, name: str) -> None:
        self.files.pop(name, None)
        self.damaged.add(name)
        self.complete = False

    def _write(self, line: dict[str, Any]) -> None:
        if self._out is None:
            self._out = _appending(self.path)
        self._out.write(json.dumps(line) + "\n")
        self._out.flush()


def path_of(folder: Path, series: Series) -> Path:
    """The receipts' file: a series in two directories of a folder has two."""
    where = hashlib.sha256(series.directory.encode()).hexdigest()[:8]
    return directory_of(folder) / f"{series.crdc_series_uuid}.{where}.jsonl"


def directory_of(folder: Path) -> Path:
    """Where a folder's receipts lie."""
    return folder / HIDDEN / "receipts"


def md5_of(path: Path) -> str:
    """The MD5 of a file's content, in hexadecimal digits."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict):
                yield content


def _appending(path: Path) -> IO[str]:
    """The file opened for more lines; a torn line at its end is closed first."""
    torn = False
    with contextlib.suppress(FileNotFoundError, OSError), path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        torn = file.read(1) != b"\n"
    out = path.open("a", encoding="utf-8")
    if torn:
        out.write("\n")
    return out
