"""A process of s5cmd and the copies it has to do: how it is told, what it says, what is seen.

What it says is a line of JSON for each copy that ended. A copy goes to a temporary file, the
destination's name and some digits, which s5cmd renames when all of it has come.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import select
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from idc_mcp.transfer.objects import Failure, Kind, Place, Wanted
from idc_mcp.transfer.stores import failure

_RANGES = "--concurrency 8 --part-size 16"
_LEAST_PART = 50
"""s5cmd's own size of a range, in MiB."""
_RETRIES = 1
"""s5cmd's own ones bridge a hiccup; patience is the caller's."""
_END_S = 0.5
_LONGEST_REASON = 200

_SIGNS = {
    "connection refused": "connection refused",
    "no such host": "its name is not known",
    "timeout": "no data came in time",
    "x509": "its certificate is not trusted",
    "connection reset": "the connection was reset",
    "broken pipe": "the connection broke off",
    "eof": "the connection broke off",
    "context canceled": "s5cmd was told to end",
}
"""What Go's message says somewhere, and what a person calls that."""

_DISK = {
    "there is not enough space on the disk": errno.ENOSPC,
    "access is denied": errno.EACCES,
} | {os.strerror(code).lower(): code for code in errno.errorcode}


class NoRangesError(Exception):
    """The store answers a range with the whole object."""


class Copy:
    """An object on its way. The engine's lock guards to which process it belongs."""

    def __init__(self, place: Place, wanted: Wanted, moved: Callable[[int], None]) -> None:
        self.place = place
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.target = wanted.part
        self.line = b""
        self._wanted = wanted
        self._moved = moved
        self._process: Process | None = None
        self._told = ""
        self._ranged = False
        self._came = 0
        self._telling = threading.Lock()
        self._seen: object = None
        self._changed = 0.0

    @property
    def size(self) -> int:
        """The bytes that the store lists."""
        return self._wanted.size

    def name(self, tag: str, *, ranged: bool) -> None:
        """Take a file of its own, so that nothing that ends late writes into another try's.

        Raises
        ------
        OSError
            s5cmd cannot be told of such a file.
        """
        part = Path(os.path.abspath(self._wanted.part))  # noqa: PTH100 - resolves no links
        source = f"s3://{self.place.bucket}/{self._wanted.key}"
        target = part.with_name(f"{part.name}.{tag}s")
        if re.search(r"[\n\r\0\ud800-\udfff]", f"{source}{target}"):
            raise OSError(
                errno.EINVAL,
                "s5cmd takes no names with line breaks or that are not UTF-8",
                str(self._wanted.part),
            )
        size = f"--part-size {max(_LEAST_PART, (self._wanted.size >> 20) + 1)}"
        # To name the region spares a request for it; without an account none is refused.
        told = ["cp --raw --source-region us-east-1", _RANGES if ranged else size]
        told += [shlex.quote(source), shlex.quote(str(target)), "\n"]
        self.line = " ".join(told).encode()
        self.target, self._told, self._ranged = target, _plain(f"{source} {target}"), ranged
        self._seen, self._changed = None, time.monotonic()
        self.ended.clear()

    def join(self, process: Process) -> None:
        """Belong to a process."""
        self._process = process
        process.copies[self._told] = self

    def leave(self) -> Process | None:
        """Belong to a process no more; returns which it was, or None if it had ended there."""
        if self._process is None or self._process.copies.pop(self._told, None) is None:
            return None
        self._process.left.append(self.target)
        return self._process

    def end(self, error: Exception | None) -> None:
        """Let the one who waits go on."""
        self.error = error
        self.ended.set()

    def look(self, files: list[os.stat_result]) -> float:
        """Tell of what has come; returns the seconds in which nothing has."""
        seen = [(file.st_size, file.st_mtime_ns) for file in files]
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._changed = seen, now
        self.came(max(map(_filled, files), default=0))
        return now - self._changed

    def came(self, count: int) -> None:
        """Tell how much there is now: never more than its size in all."""
        with self._telling:
            more = min(count, self._wanted.size) - self._came
            if more > 0:
                self._came += more
                self._moved(more)

    def problem(self, said: str) -> Exception:
        """What s5cmd says of it, as the error that the other engine would raise."""
        if str(self.target) in said:
            words = said.rpartition(": ")[2].rstrip(".")
            return OSError(_DISK.get(words.lower(), 0), words, str(self._wanted.part))
        if self._ranged and said == "EOF":
            return NoRangesError()
        if "status code: " in said:
            return failure(Exception(said), self.place)
        gist = re.sub(r'\w+ "[^"]*": ', "", said)
        words = next((words for sign, words in _SIGNS.items() if sign in gist.lower()), gist)
        return Failure(Kind.UNANSWERED, f"{self.place}: {words[:_LONGEST_REASON]}")


class Process:
    """An s5cmd that runs. `left` are the files of copies that it was given in vain.

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(self, program: Path, endpoint: str, workers: int) -> None:
        self.endpoint = endpoint
        self.since = time.monotonic()
        self.copies: dict[str, Copy] = {}
        self.left: list[Path] = []
        self.answered = False
        self.last = ""
        self._writing = threading.Lock()
        self._reader: threading.Thread | None = None
        # Whatever the user's AWS settings are: nothing is asked in anybody's name.
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AWS_") or name == "AWS_CA_BUNDLE"
        }
        own |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
        self._popen = subprocess.Popen(
            [
                str(program), "--json", "--no-sign-request", "--endpoint-url", endpoint,
                "--numworkers", str(workers), "-r", str(_RETRIES), "--log", "info", "run",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            # Ctrl-C at a terminal is for the one who started it, who ends it.
            start_new_session=True, env=own,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    def hear(self, listener: Callable[[Process], None]) -> None:
        """Start the thread that listens to it."""
        self._reader = threading.Thread(target=listener, args=(self,), daemon=True)
        self._reader.start()

    def tell(self, line: bytes) -> None:
        """Give it a command. If it is dead its end tells everybody."""
        stream = self._popen.stdin
        with self._writing, contextlib.suppress(OSError, ValueError):
            assert stream is not None
            stream.write(line)
            stream.flush()

    def nudge(self) -> None:
        """Give it an empty line: told to end by others it drops its copies and says nothing,
        but ends only when it gets one.
        """
        # Who holds the lock is giving it a line.
        if self._writing.acquire(blocking=False):
            with contextlib.suppress(OSError, ValueError):
                assert self._popen.stdin is not None
                if os.name == "nt" or select.select([], [self._popen.stdin], [], 0)[1]:
                    self._popen.stdin.write(b"\n")
                    self._popen.stdin.flush()
            self._writing.release()

    def said(self) -> Iterator[tuple[str, str | None]]:
        """Which copies ended, each with its error or None, until the process ends."""
        assert self._popen.stdout is not None
        with self._popen.stdout as lines:
            for line in lines:
                yield _heard(line)

    def buried(self) -> str:
        """Wait for its end; returns how that was."""
        status = self._popen.wait()
        self._hush()
        return self.last or (f"signal {-status}" if status < 0 else f"status {status}")

    def _hush(self) -> None:
        """Close its input: while it waits for a line it heeds no signal but SIGKILL."""
        # Who holds the lock may be waiting for a process that reads no more.
        if self._writing.acquire(blocking=False):
            with contextlib.suppress(OSError):
                assert self._popen.stdin is not None
                self._popen.stdin.close()
            self._writing.release()

    @staticmethod
    def end(processes: Iterable[Process]) -> None:
        """End processes: kindly, for then they remove their files, but soon."""
        processes = list(processes)
        for process in processes:
            process._hush()
            process._popen.terminate()
        until = time.monotonic() + _END_S
        for process in processes:
            try:
                process._popen.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process._popen.kill()
                process._popen.wait()
        for process in processes:
            if process._reader:
                process._reader.join(_END_S)


def files_of(targets: Iterable[Path]) -> dict[Path, list[os.DirEntry[str]]]:
    """The files of copies: the temporary one, or that which has come."""
    found: dict[Path, list[os.DirEntry[str]]] = {target: [] for target in targets}
    for folder in {target.parent for target in found}:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                # A target's own name ends in no digit.
                target = folder / entry.name.rstrip("0123456789")
                if target in found:
                    found[target].append(entry)
    return found


def stats_of(entries: Iterable[os.DirEntry[str]]) -> list[os.stat_result]:
    """What is known of files that may go at any time."""
    stats = []
    for entry in entries:
        with contextlib.suppress(OSError):
            stats.append(entry.stat(follow_symlinks=False))
    return stats


def remove(targets: Iterable[Path]) -> None:
    """Remove what is left of copies."""
    for entries in files_of(targets).values():
        for entry in entries:
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()


def _filled(file: os.stat_result) -> int:
    """The bytes that have come: ranges are written each at its place, with holes between."""
    blocks: int | None = getattr(file, "st_blocks", None)
    return file.st_size if blocks is None else min(file.st_size, blocks * 512)


def _heard(line: bytes) -> tuple[str, str | None]:
    """Which copy a line is about (none: empty), and its error."""
    try:
        said: Any = json.loads(line)
        if "error" not in said:
            return _plain(f"{said['source']} {said['destination']}"), None
        # "cp s3://bucket/key path", with the options or without, and nothing quoted.
        _, scheme, rest = said["command"].partition("s3://")
        return _plain(scheme + rest), " ".join(said["error"].split())
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", line.decode(errors="replace").strip()


def _plain(told: str) -> str:
    """Windows has two ways to write a path."""
    return told.replace("\\", "/") if os.name == "nt" else told
