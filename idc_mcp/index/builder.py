"""The process that builds the database beside a running server, and who waits for it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

AGAIN_S = 60.0
"""A build that failed is not begun anew sooner."""


class Builder:
    """At most one build at a time; `built` is called, in a thread, when one has succeeded."""

    def __init__(self, cache_dir: Path, built: Callable[[], None]) -> None:
        self._cache_dir = cache_dir
        self._built = built
        self._process: subprocess.Popen[bytes] | None = None
        self._left = False
        self._failed_at: float | None = None
        self._changed = threading.Condition()

    @property
    def running(self) -> bool:
        """Whether a build of this server's runs."""
        return self._process is not None

    @property
    def failed(self) -> bool:
        """Whether the last build failed, and so lately that none is begun."""
        return self._failed_at is not None and time.monotonic() - self._failed_at < AGAIN_S

    def start(self) -> None:
        """Begin a build, unless one runs or has just failed."""
        with self._changed:
            if self._left or self.failed or self._process is not None:
                return
            try:
                self._cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._process = subprocess.Popen(
                    # -P: the directory that we were started in may hold a json.py of its own.
                    [sys.executable, "-P", "-m", "idc_mcp.index.build", str(self._cache_dir)],
                    # It may outlive us: a client that waits for our pipes must not wait for it.
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                # Without a place to keep it the Parquet goes on answering, slower.
                print(f"idc-mcp: the database cannot be built: {error}", file=sys.stderr)
                return
            process = self._process
        threading.Thread(
            target=self._await, args=(process,), name="idc-index-build", daemon=True
        ).start()

    def wait(self, deadline: float) -> bool:
        """Whether no build runs any more at `deadline`, which `time.monotonic` tells."""
        with self._changed:
            while self._process is not None and not self._left:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return False
        return not self._left

    def leave(self) -> None:
        """Let a build go on by itself, for the next start; nobody waits for it any more."""
        with self._changed:
            self._left = True
            self._process = None
            self._changed.notify_all()

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        try:
            if status != 0:
                print(f"idc-mcp: building the database failed (status {status})", file=sys.stderr)
            elif not self._left:
                self._built()
        except Exception as error:
            print(f"idc-mcp: the built database cannot be opened: {error}", file=sys.stderr)
        finally:
            with self._changed:
                self._failed_at = time.monotonic() if status else None
                if self._process is process:
                    self._process = None
                self._changed.notify_all()
