"""One series of a job: what of it is there, what is missing, and when it is whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from idc_mcp.transfer import receipts
from idc_mcp.transfer.locks import Lock
from idc_mcp.transfer.objects import Failure, Kind, Listed, Series, Wanted
from idc_mcp.transfer.placing import adopt, disk_failure, foreign, place, sync_directory
from idc_mcp.transfer.receipts import Receipt, Receipts
from idc_mcp.transfer.status import files_text


@dataclass(frozen=True)
class Missing:
    """A file of a series that has to be fetched."""

    task: SeriesTask
    listed: Listed
    ours: bool
    """A damaged file of ours may be in its place."""

    @property
    def wanted(self) -> Wanted:
        """What an engine is asked for."""
        key = f"{self.task.series.crdc_series_uuid}/{self.listed.name}"
        return Wanted(key, self.listed.size, self.task.parts / f"{self.listed.name}.part")


class SeriesTask:
    """A series being made whole; only one process works on it at a time.

    Files are settled by several threads; `lock` guards what they share.
    """

    def __init__(self, folder: Path, parts: Path, series: Series) -> None:
        self.series = series
        self.directory = folder / series.directory
        self.parts = parts / f"{series.crdc_series_uuid}.{series.number}"
        self.files_done = 0
        self.bytes_done = 0
        self.size_only = 0
        self.failure: Failure | None = None
        self.was_complete = False
        self._made = (0, 0)
        """The directory by its device and inode, once it is proven to lie in the folder."""
        self._folder = folder
        self._lock = threading.Lock()
        self._receipts = Receipts(receipts.path_of(folder, series))
        self._claim = Lock(self._receipts.path)
        self._open = 0

    def claim(self) -> bool:
        """Take the series for this process; False where another process has it."""
        try:
            return self._claim.take()
        except OSError as error:
            raise self.failure_of(error) from error

    def failure_of(self, error: OSError, writing: Path | None = None) -> Failure:
        """What an error of writing means: for this series, or where the folder went, for all."""
        if not self._folder.is_dir():
            return Failure(Kind.DISK, f"the folder {self._folder} is gone")
        return disk_failure(error, writing)

    def _check_inside(self) -> None:
        """Raise a Failure where a link leads the series' directory out of the folder."""
        real, folder = os.path.realpath(self.directory), os.path.realpath(self._folder)
        if os.path.commonpath([real, folder]) != folder:
            raise Failure(
                Kind.FOREIGN,
                f"{self.directory} leads out of {folder}, to {real}: move the link away and resume",
            )

    def _check_same(self) -> None:
        """Raise a Failure where the directory is another one now, and leads out of the folder."""
        found = self.directory.stat()
        if (found.st_dev, found.st_ino) != self._made:
            self._check_inside()

    def is_whole(self) -> bool:
        """Whether receipts and files say that there is nothing to do."""
        self._receipts = Receipts.of(self._folder, self.series)
        if not self._receipts.is_whole(self._folder, self.series):
            return False
        for receipt in self._receipts.files.values():
            self._count(receipt)
        return True

    def count_again(self) -> None:
        """Count what is there where nobody could say what is missing."""
        self.files_done = self.bytes_done = self.size_only = 0
        changed = self._receipts.changed(self._folder, self.series)
        for receipt in self._receipts.files.values():
            if receipt not in changed:
                self._count(receipt)

    def missing(self, listed: list[Listed], stop: threading.Event) -> list[Missing]:
        """What has to be fetched of a proven listing; files that are whole get receipts.

        Raises
        ------
        Failure
            A foreign file is in the way, or the directory cannot be made.
        """
        try:
            if not self._folder.is_dir():
                raise FileNotFoundError
            self._check_inside()
            self.directory.mkdir(parents=True, exist_ok=True)
            made = self.directory.stat()
            self._made = made.st_dev, made.st_ino
            self.parts.mkdir(parents=True, exist_ok=True)
            self._receipts.begin(self.series)
            for strange in self._receipts.files.keys() - {item.name for item in listed}:
                self._receipts.take_back(strange)
            wanted = []
            for item in listed:
                if stop.is_set():
                    raise Failure(Kind.STOPPED, "the job is being ended")
                found = self._here(item)
                if isinstance(found, Receipt):
                    self._count(found)
                else:
                    wanted.append(Missing(self, item, ours=found))
        except OSError as error:
            raise self.failure_of(error) from error
        self._open = len(wanted)
        return wanted

    def _here(self, item: Listed) -> Receipt | bool:
        """The receipt of a file that is whole; else whether what may be there is ours."""
        target = self.directory / item.name
        receipt = self._receipts.files.get(item.name)
        fits = receipt and receipt.size == item.size and item.md5 in (None, receipt.md5)
        if receipt and fits and receipt.matches(target):
            return receipt
        known = item if not fits or receipt is None else Listed(item.name, item.size, receipt.md5)
        again = adopt(target, known)
        if again:
            if receipt and item.md5 is None:
                again = Receipt(again.name, again.size, again.md5, "size", again.mtime_ns)
            self._receipts.add(again)
            return again
        ours = receipt is not None or item.name in self._receipts.damaged
        # Without an MD5 of the store a file of the right size is judged when its like has come.
        if (
            not ours
            and target.exists()
            and (item.md5 is not None or not target.is_file() or target.stat().st_size != item.size)
        ):
            raise foreign(target, item)
        return ours

    def settle(self, missing: Missing, md5: str) -> tuple[Receipt, bool]:
        """Put a fetched file in its place and write its receipt; as `placing.place`."""
        name = missing.listed.name
        # Not named .dcm: who collects the folder's files must not find it.
        kept = self._folder / receipts.HIDDEN / "replaced" / f"{name}.replaced"
        try:
            self._check_same()
            receipt, replaced = place(
                missing.wanted.part,
                self.directory / name,
                missing.listed,
                md5,
                kept if missing.ours else None,
            )
            with self._lock:
                self._receipts.add(receipt)
                self._count(receipt)
        except OSError as error:
            raise self.failure_of(error, self.directory) from error
        return receipt, replaced

    def ended(self, failure: Failure | None) -> bool:
        """Count a file as settled or given up; True when it was the last."""
        with self._lock:
            self._open -= 1
            if failure is not None and (self.failure is None or failure.kind is Kind.FOREIGN):
                self.failure = failure
            return self._open == 0

    def finish(self) -> None:
        """Make a whole series last, and say so in its receipts.

        Raises
        ------
        Failure
            Files of it were changed or removed meanwhile, or it cannot be written.
        """
        try:
            if changed := self._receipts.changed(self._folder, self.series):
                raise Failure(
                    Kind.CHANGED,
                    f"{len(changed):,} files were changed or removed by others while it ran; "
                    "resume fetches them again",
                )
            sync_directory(self.directory)
            self._receipts.finish()
        except OSError as error:
            raise self.failure_of(error) from error

    def release(self) -> None:
        """Give the series back."""
        self._receipts.close()
        shutil.rmtree(self.parts, ignore_errors=True)
        self._claim.free()

    def verify(self, *, deep: bool, stop: threading.Event, seen: Callable[[int], None]) -> str:
        """Look at every file again; returns what is wrong, in words, or nothing.

        What is damaged loses its receipt, so that a resume fetches it again.
        """
        self._receipts = Receipts.of(self._folder, self.series)
        self.was_complete = self._receipts.adds_up(self.series)
        damaged, missing = [], []
        for receipt in list(self._receipts.files.values()):
            if stop.is_set():
                raise Failure(Kind.STOPPED, "the job is being ended")
            path = self.directory / receipt.name
            if not path.is_file():
                missing.append(receipt.name)
            elif path.stat().st_size != receipt.size or (
                (deep or not receipt.matches(path)) and receipts.md5_of(path) != receipt.md5
            ):
                damaged.append(receipt.name)
            else:
                self._count(receipt)
                seen(receipt.size)
                continue
            with contextlib.suppress(OSError):  # where nothing can be written it is only told
                self._receipts.take_back(receipt.name)
        problems = [
            f"{files_text(len(names))} {what} ({names[0]}{', …' if len(names) > 1 else ''})"
            for names, what in ((missing, "missing"), (damaged, "damaged"))
            if names
        ]
        return "; ".join(problems)

    def _count(self, receipt: Receipt) -> None:
        self.files_done += 1
        self.bytes_done += receipt.size
        self.size_only += receipt.checked == "size"
