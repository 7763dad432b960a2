"""How much disk the kept cohorts take, and when no more are kept."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from idc_mcp.errors import Refused
from idc_mcp.files import SCRATCH
from idc_mcp.quantities import bytes_text

LOOK_AGAIN_S = 10.0
"""How long a sum over the directory holds; what this process adds is known at once."""

BLOCK = 4_096
"""A small file takes a block of the disk."""

FOR_SETS = 0.9
"""The share that sets of series may fill. The rest is for definitions, which are small: a full
quota of lists does not end cohorts of filters, nor the parts of cohorts that other tools keep."""


class Used(NamedTuple):
    """Cohorts (their definitions) and the bytes of all their files."""

    cohorts: int
    bytes: int


class Quota:
    """The quota of one directory; 0 is none. Others may write there too."""

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self.directory = directory
        self.most_bytes = most_bytes
        self._used = Used(0, 0)
        self._look_at = 0.0
        self._guard = threading.Lock()

    def used(self) -> Used:
        """What is kept now, or was some seconds ago."""
        with self._guard:
            return self._look()

    def take(self, size: int, *, small: bool = False) -> None:
        """Count a file that is about to be kept; `small` is a definition.

        Raises
        ------
        Refused
            The file would go beyond the quota.
        """
        if not self.most_bytes:
            return
        size = _on_disk(size)
        most = self.most_bytes if small else int(self.most_bytes * FOR_SETS)
        with self._guard:
            used = self._look()
            if used.bytes + size > most:
                raise Refused(
                    f"No more cohorts can be kept here: {bytes_text(used.bytes)} of "
                    f"{bytes_text(self.most_bytes)} are taken. Handles that exist go on working, "
                    "and so do identifiers wherever a cohort is asked for.",
                    next_step="say the cohort by filters or identifiers instead of SQL, a list or "
                    "a manifest, or ask the operator to remove old files of the directory "
                    "`cohorts` or to raise IDC_MCP_COHORTS_MB",
                )
            self._used = Used(used.cohorts + small, used.bytes + size)

    def _look(self) -> Used:
        if time.monotonic() >= self._look_at:
            self._used = _sum(self.directory)
            self._look_at = time.monotonic() + LOOK_AGAIN_S
        return self._used


def _sum(directory: Path) -> Used:
    cohorts = total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(SCRATCH):  # counted when it is kept
                continue
            with contextlib.suppress(OSError):  # it has just gone
                total += _on_disk(entry.stat().st_size)
                cohorts += entry.name.endswith(".json")
    return Used(cohorts, total)


def _on_disk(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
