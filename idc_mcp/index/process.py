"""One process for callers' SQL: how it is started, spoken to, slowed down and killed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

from idc_mcp import errors
from idc_mcp.errors import IdcError, NotFetched, Unavailable
from idc_mcp.files import private_directory
from idc_mcp.index.release import Release
from idc_mcp.index.worker import read_frame, write_frame
from idc_mcp.settings import Settings

START_S = 30.0
"""A start takes a fifth of a second; this is for a machine that is busy with other things."""

LOW_PRIORITY = 10

_ABANDONED_S = 86_400
"""A scratch directory of this age belongs to no process that is still there."""


class SqlProcess:
    """A worker with its pipes, its scratch directory and the database that it has open."""

    def __init__(self, release: Release, database: Path | None, settings: Settings) -> None:
        self.release = release
        self.database = database
        self.slowed = False
        self.idle_since = time.monotonic()
        self._scratch = _scratch_directory(settings)
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        cohorts = settings.state_dir / "cohorts"
        try:
            self._popen = subprocess.Popen(
                # -P: the directory that we were started in may hold a json.py of its own.
                [sys.executable, "-P", "-m", "idc_mcp.index.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"MALLOC_ARENA_MAX": "2", "PYTHONDONTWRITEBYTECODE": "1"},
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise Unavailable(
                f"No process for SQL can be started: {error}.", next_step="run `idc-mcp doctor`"
            ) from error
        self.pid = self._popen.pid
        threading.Thread(target=self._read, name=f"sql-{self.pid}", daemon=True).start()
        self.send(
            {
                "data_version": release.data_version,
                "directory": str(release.directory),
                "database": str(database) if database else None,
                "cohorts": str(cohorts),
                "scratch": str(self._scratch),
                "threads": settings.threads,
                "memory_mb": settings.sql_memory_mb,
                "fetched": str(release.fetched) if release.fetched else None,
                "files": {name: str(path) for name, path in release.files.items()},
                "tables": [name for name in release.schemas if release.parquet(name)],
                "described": [name for name in release.schemas if not release.parquet(name)],
                "clinical": {
                    name: [str(path) for path in paths] for name, paths in release.clinical.items()
                },
            }
        )

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._popen.poll() is None

    def opened(self) -> dict[str, Any] | None:
        """The first answer: that it is ready, or why not; None if it ended."""
        try:
            return self.receive(START_S)
        except queue.Empty:
            raise Unavailable(
                f"The process for SQL did not start within {START_S:g} seconds.",
                next_step="try again when the machine is less busy",
            ) from None

    def send(self, frame: dict[str, Any]) -> None:
        """Send a frame; that the process is gone shows in what is received."""
        with contextlib.suppress(OSError, ValueError):
            write_frame(cast(BinaryIO, self._popen.stdin), json.dumps(frame).encode())

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """The next frame; None if the process ended instead.

        Raises
        ------
        queue.Empty
            Nothing came in time.
        """
        body = self._answers.get(timeout=timeout)
        return None if body is None else json.loads(body)

    def settled(self, timeout: float) -> bool:
        """Whether the process is done with the statement that it answered."""
        try:
            return self.receive(timeout) is not None
        except queue.Empty:
            return False

    def slow_down(self) -> None:
        """Let others go first. Priority cannot be raised again: the process is not kept."""
        self.slowed = True
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PGRP, self.pid, LOW_PRIORITY)

    def kill(self) -> None:
        """End the process and all that it started, now, and remove its scratch directory."""
        if self._popen.poll() is None:
            with contextlib.suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(self.pid, signal.SIGKILL)
                else:  # pragma: no cover
                    self._popen.kill()
            self._popen.wait()
        with contextlib.suppress(OSError):
            cast(BinaryIO, self._popen.stdin).close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def how_it_ended(self) -> str:
        """How the process ended, in a few words."""
        try:
            status = self._popen.wait(1.0)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        return signal.Signals(-status).name if status < 0 else f"status {status}"

    def _read(self) -> None:
        stream = cast(BinaryIO, self._popen.stdout)
        with contextlib.suppress(OSError, ValueError):
            while (body := read_frame(stream)) is not None:
                self._answers.put(body)
        self._answers.put(None)
        stream.close()


def error_of(answer: dict[str, Any]) -> IdcError:
    """The error that an answer tells of."""
    kind: type[IdcError] = getattr(errors, answer["error"])
    words = {name: answer[name] for name in ("nearest", "next_step")}
    if kind is NotFetched:
        return NotFetched(answer["what"], tables=answer["tables"], **words)
    return kind(answer["what"], **words)


def _scratch_directory(settings: Settings) -> Path:
    """A directory for spilled and saved rows: on the cache's disk, memory is dear elsewhere."""
    try:
        cache = private_directory(settings.cache_dir)
        for left in cache.glob("sql-*"):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix="sql-", dir=cache))
    except (OSError, Unavailable):
        return Path(tempfile.mkdtemp(prefix="idc-mcp-sql-"))
