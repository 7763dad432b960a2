"""One name under its lock: whoever comes second waits for the first, and finds its work done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idc_mcp.errors import IdcError, Unavailable
from idc_mcp.fetch.artifact import fetch_table
from idc_mcp.fetch.clinical import PARTS, fetch_clinical
from idc_mcp.fetch.course import Course, Fetched
from idc_mcp.fetch.getting import Part
from idc_mcp.files import private_directory
from idc_mcp.index.parquet import damage, discard
from idc_mcp.index.release import CLINICAL, Release, tables_directory
from idc_mcp.settings import PREFIX, Settings
from idc_mcp.transfer.locks import Lock, is_held
from idc_mcp.transfer.objects import Failure, Kind

_POLL_S = 0.2


class Shelf:
    """The directory of a version's fetched tables, and what is under way in it.

    `.parts` holds what is coming and the locks; `.clinical.part` the clinical tables until all
    are whole.
    """

    def __init__(self, release: Release, settings: Settings) -> None:
        self._directory = tables_directory(settings.cache_dir, release.data_version)
        self._release = release
        self._settings = settings
        self._parts = self._directory / ".parts"

    def look(self) -> Release:
        """The release with what is here now."""
        return self._release.look()

    def is_busy(self, name: str) -> bool:
        """Whether a thread or process is fetching it."""
        return is_held(self._lock_path(name))

    def problem(self, name: str) -> str:
        """Why what is here is not what was received; '' where it is."""
        return damage(self._directory, name)

    def outcome(self, course: Course, *, again: bool = False, proven: bool = False) -> Fetched:
        """As `obtain`, with what went wrong in what is returned."""
        try:
            return self.obtain(course, again=again, proven=proven)
        except Failure as failure:
            stopped = failure.kind is Kind.STOPPED
            return Fetched(course.name, "interrupted" if stopped else "failed", why=failure.why)
        except IdcError as error:
            return Fetched(course.name, "failed", why=str(error))
        except Exception as error:  # a thread has nobody else to tell
            return Fetched(course.name, "failed", why=f"an error of this program: {error!r}")

    def obtain(self, course: Course, *, again: bool, proven: bool) -> Fetched:
        """Fetch one name unless it is here by now.

        Parameters
        ----------
        again
            Fetch what is here too.
        proven
            What is here must be as it was received, or it is fetched again.

        Raises
        ------
        Failure
            It could not be had, or `course` was ended.
        IdcError
            The directory cannot be made or locked, or a setting is no address.
        """
        name = course.name
        private_directory(self._parts)
        with self._alone(course):
            if name in self.look().here and not again:
                problem = self.problem(name) if proven else ""
                if not problem:
                    return Fetched(name, "here")
                course.troubled(problem)
                discard(self._directory, name)
            if name == CLINICAL:
                return fetch_clinical(self.look(), self._directory, self._settings, course)
            return fetch_table(
                self.look(), name, self._directory, self._parts, self._settings, course
            )

    @contextmanager
    def _alone(self, course: Course) -> Iterator[None]:
        lock = Lock(self._lock_path(course.name))
        try:
            while not lock.take():
                course.go_on()
                course.waits(*self._elsewhere(course.name))
                course.stop.wait(_POLL_S)
        except OSError as error:
            raise Unavailable(
                f"{self._parts} cannot be locked: {error.strerror or error}.",
                next_step=f"set {PREFIX}CACHE_DIR to a directory on a local disk",
            ) from error
        try:
            yield
        finally:
            lock.free()

    def _lock_path(self, name: str) -> Path:
        return self._parts / f"{name}.lock"

    def _elsewhere(self, name: str) -> tuple[int, int | None]:
        """Bytes that whoever holds the lock has of it, and all that there are."""
        if name == CLINICAL:
            files = (self._directory / PARTS).glob("*/*.parquet")
            with contextlib.suppress(OSError):
                return sum(path.stat().st_size for path in files), None
            return 0, None
        sizes = [Part(path).size() for path in self._parts.glob(f"{name}.*.part")]
        return max(sizes, default=(0, None), key=lambda size: size[0])
