"""All clinical tables together: listed, fetched side by side, proven, put there in one step.

They are no release's artifacts: a folder a table in the bucket of open metadata, some files
each. The listing says size and MD5. What is whole is kept in a directory of its own until all
is, so an interrupted fetch goes on where it was.
"""

from __future__ import annotations

import hashlib
import queue
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from idc_mcp.errors import Damaged, Unavailable
from idc_mcp.fetch.course import Course, Fetched
from idc_mcp.fetch.getting import check_space
from idc_mcp.fetch.sources import MOST_BYTES, clinical_place
from idc_mcp.files import private_directory, publish
from idc_mcp.index.parquet import (
    SUMS,
    discard,
    distinct,
    remove_gone,
    sha256_of,
    write_sums,
)
from idc_mcp.index.proving import Prover
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX, Release
from idc_mcp.settings import Settings
from idc_mcp.transfer.engines import Engine, make_engine
from idc_mcp.transfer.objects import Failure, Kind, Limits, Listed, Place, Wanted
from idc_mcp.transfer.patience import Asking, Health
from idc_mcp.transfer.placing import disk_failure, sync_directory
from idc_mcp.transfer.stores import list_below

CONNECTIONS = 8
PARTS = ".clinical.part"
"""Below the directory of fetched tables: files that are whole, until all are."""

NOT_CLINICAL = ("table_metadata", "column_metadata")
"""Folders of the same BigQuery dataset that describe its tables; clinical_index is made of them."""

_KEY = re.compile(r"\w[\w.-]*/\w[\w.-]*\.parquet")
_LONGEST_NAME = 255
"""Bytes that file systems take."""
_MOST_NAMED = 5
_MOST_SHOWN = 80


@dataclass(frozen=True)
class _Held:
    """A file that is whole."""

    rows: int
    sha256: str


def fetch_clinical(release: Release, fetched: Path, settings: Settings, course: Course) -> Fetched:
    """Fetch the clinical tables of a release; the caller holds their lock.

    Raises
    ------
    Failure
        They could not all be had. Files that are whole are kept.
    """
    place, prefix = clinical_place(settings, release)
    health = Health(course.patience_s)
    listed, notes = _listing(place, prefix, settings, health, course)
    total = sum(item.size for item in listed)
    if total > MOST_BYTES:
        raise Failure(Kind.MISSING, f"{place} lists more than the clinical tables: {total:,} bytes")
    parts = private_directory(fetched / PARTS)
    remove_gone(fetched)
    held = _Work(place, prefix, parts, health, settings, course).have(listed)
    try:
        _remove_others(parts, {item.name for item in listed})
        write_sums(parts / SUMS, {name: one.sha256 for name, one in held.items()})
        sync_directory(parts)
        course.go_on()
        discard(fetched, CLINICAL)
        parts.rename(fetched / CLINICAL)
        sync_directory(fetched)
    except OSError as error:
        raise disk_failure(error, parts) from error
    return Fetched(
        CLINICAL,
        "fetched",
        rows=sum(one.rows for one in held.values()),
        bytes=total,
        source=str(place),
        proof="md5" if all(item.md5 for item in listed) else "size",
        notes=(*notes, *_not_there(release, {item.name.split("/")[0] for item in listed}, course)),
    )


def _listing(
    place: Place, prefix: str, settings: Settings, health: Health, course: Course
) -> tuple[list[Listed], list[str]]:
    """The files of all tables, and what else is there in words."""
    asking = Asking(health, [place], course.stop)
    while True:
        course.go_on()
        try:
            found = _once(list_below(place, prefix, settings.stall_s, course.go_on), place)
        except Failure as failure:
            course.troubled(failure.why)
            asking.failed(failure)
        else:
            asking.answered()
            break
    found = [item for item in found if item.name.split("/")[0] not in NOT_CLINICAL]
    files = [item for item in found if _is_file(item.name)]
    names = {item.name for item in files}
    # Markers of folders and of finished exports have no content.
    others = [item.name for item in found if item.name not in names and item.size]
    if not files:
        raise Failure(Kind.MISSING, f"{place} has no clinical tables below {prefix}/")
    notes = []
    if others:
        notes.append(
            f"{len(others):,} objects below {prefix}/ are not files of a table and were left out: "
            f"{_named(others)}"
        )
    return files, notes


def _once(found: list[Listed], place: Place) -> list[Listed]:
    """A listing with each key once."""
    named: dict[str, Listed] = {}
    for item in found:
        if named.setdefault(item.name, item) != item:
            raise Failure(
                Kind.CORRUPT, f"{place} lists {_short(item.name)} twice, not as the same file"
            )
    return list(named.values())


def _is_file(name: str) -> bool:
    """Whether a key is that of a file of a table, and can be a path here."""
    table = name.split("/", maxsplit=1)[0]
    return (
        _KEY.fullmatch(name) is not None
        and ".." not in name
        and all(len(part.encode()) <= _LONGEST_NAME for part in name.split("/"))
        # Beside the tables lies the list of their SHA-256; some file systems ignore case.
        and table.casefold() != SUMS.casefold()
    )


def _not_there(release: Release, tables: set[str], course: Course) -> list[str]:
    """What clinical_index names and the bucket does not have, in words."""
    dictionary = release.look().parquet(CLINICAL_INDEX)
    if dictionary is None:
        return []
    with course.proving:
        course.go_on()
        try:
            named = distinct(dictionary, "short_table_name")
        except Damaged as error:
            return [error.what]
    lacking = [name for name in named if name not in tables]
    words = f"{len(lacking):,} tables of clinical_index are not in the bucket: {_named(lacking)}"
    return [words] if lacking else []


def _named(names: list[str]) -> str:
    shown = ", ".join(_short(name) for name in names[:_MOST_NAMED])
    return shown + (", …" if len(names) > _MOST_NAMED else "")


def _short(name: str) -> str:
    """A key as it is shown: some are longer than what is said of them."""
    return name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}…"


def _remove_others(parts: Path, wanted: set[str]) -> None:
    """Remove what an earlier listing had and this one has not, and half files."""
    for directory in [path for path in parts.iterdir() if path.is_dir()]:
        for path in directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif f"{directory.name}/{path.name}" not in wanted:
                path.unlink()
        if not any(directory.iterdir()):
            directory.rmdir()


class _Work:
    """Files being had by a few threads."""

    def __init__(
        self,
        place: Place,
        prefix: str,
        parts: Path,
        health: Health,
        settings: Settings,
        course: Course,
    ) -> None:
        self._place = place
        self._prefix = prefix
        self._parts = parts
        self._health = health
        self._limits = Limits(CONNECTIONS, settings.stall_s)
        self._course = course
        self._prover: Prover | None = None
        """Proves all files; only who holds `course.proving` uses it."""
        self._over = threading.Event()
        """Set where one file cannot be had, and where the fetch is to end."""

    def have(self, listed: list[Listed]) -> dict[str, _Held]:
        """All of these files, whole, by name."""
        here = {item.name for item in listed if self._is_here(item)}
        total = sum(item.size for item in listed)
        missing = sum(item.size for item in listed if item.name not in here)
        check_space(self._parts, missing, "clinical")
        self._course.started(total - missing, total)
        todo: queue.SimpleQueue[Listed] = queue.SimpleQueue()
        for item in listed:
            todo.put(item)
        ended: queue.SimpleQueue[tuple[str, _Held | Exception]] = queue.SimpleQueue()
        engine = make_engine("obstore", self._limits)

        def work() -> None:
            while not self._over.is_set():
                try:
                    item = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    ended.put((item.name, self._hold(item, item.name in here, engine)))
                except Exception as error:
                    ended.put((item.name, error))

        try:
            # Threads that hang in a read are left behind, and end by themselves.
            for _ in range(min(CONNECTIONS, len(listed))):
                threading.Thread(target=work, name="idc-fetch-clinical", daemon=True).start()
            return self._collect(ended, len(listed))
        finally:
            self._over.set()
            engine.close()
            with self._course.proving:
                if self._prover:
                    self._prover.close()

    def _collect(
        self, ended: queue.SimpleQueue[tuple[str, _Held | Exception]], count: int
    ) -> dict[str, _Held]:
        held: dict[str, _Held] = {}
        while len(held) < count:
            self._course.go_on()
            try:
                name, one = ended.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(one, OSError):
                raise disk_failure(one, self._parts) from one
            if isinstance(one, Exception):
                raise one
            held[name] = one
        return held

    def _is_here(self, item: Listed) -> bool:
        """Whether a file came whole before."""
        path = self._parts / item.name
        try:
            if path.stat().st_size != item.size:
                return False
        except OSError:
            return False
        return item.md5 is None or _md5_of(path) == item.md5

    def _hold(self, item: Listed, here: bool, engine: Engine) -> _Held:
        """One file, fetched until it is whole."""
        path = self._parts / item.name
        if here:
            try:
                return self._prove(path)
            except Failure:
                path.unlink(missing_ok=True)
                self._course.back(item.size)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        part = path.with_suffix(".part")
        wanted = Wanted(f"{self._prefix}/{item.name}", item.size, part)
        asking = Asking(self._health, [self._place], self._over)
        while True:
            came = _Count()

            def moved(count: int, came: _Count = came) -> None:
                came.bytes += count
                self._course.moved(count)

            try:
                md5 = engine.fetch(self._place, wanted, self._over, moved)
                _check(item, part.stat().st_size, md5)
                held = self._prove(part)
                publish(part, path)
            except Failure as failure:
                part.unlink(missing_ok=True)
                self._course.back(came.bytes)
                if failure.kind is not Kind.STOPPED:
                    self._course.troubled(failure.why)
                asking.failed(failure)
            else:
                asking.answered()
                return held

    def _prove(self, path: Path) -> _Held:
        with self._course.proving:
            self._go_on()
            if self._prover is None or not self._prover.alive:
                self._prover = Prover()
            try:
                rows = self._prover.check(path, None, "", go_on=self._go_on)
            except (Damaged, Unavailable) as error:
                raise Failure(
                    Kind.CORRUPT, f"{path.parent.name}/{path.stem} cannot be used. {error.what}"
                ) from error
        return _Held(rows, sha256_of(path))

    def _go_on(self) -> None:
        self._course.go_on()
        if self._over.is_set():
            raise Failure(Kind.STOPPED, "it was interrupted")


class _Count:
    """Bytes of one attempt."""

    def __init__(self) -> None:
        self.bytes = 0


def _check(item: Listed, size: int, md5: str) -> None:
    if size != item.size:
        raise Failure(
            Kind.CORRUPT, f"{item.name}: {size:,} bytes came, the bucket lists {item.size:,}"
        )
    if item.md5 is not None and md5 != item.md5:
        raise Failure(Kind.CORRUPT, f"{item.name}: its MD5 is {md5}, the bucket lists {item.md5}")


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
