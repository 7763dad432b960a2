"""A job as a value: its states, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STARTING, RUNNING, COMPLETE, FAILED, CANCELLED, INTERRUPTED = (
    "starting", "running", "complete", "failed", "cancelled", "interrupted",
)  # fmt: skip
"""States of a job. `interrupted` is one that should run and has no worker."""

WAITING, REFUSED = "waiting", "refused"
SERIES_STATES = (COMPLETE, RUNNING, WAITING, FAILED, REFUSED, CANCELLED)

ACTIVE = (STARTING, RUNNING)
DOWNLOAD, VERIFY, VERIFY_DEEP = "download", "verify", "verify deep"
"""What a run of a job does."""


@dataclass(frozen=True)
class Job:
    """A download as the table has it.

    Times are seconds since 1970, `rate` is bytes a second. `bytes_moving` are bytes of files
    that are not whole yet, `size_only` files that the store has no MD5 of, `replaced` files of
    ours that were not any more what had come.
    """

    job: str
    created: float
    handle: str
    understood: str
    release: str
    folder: str
    layout: str
    source: str
    engine: str
    options: dict[str, Any]
    action: str
    state: str
    reason: str
    wanted: str
    pid: int | None
    started: float | None
    ended: float | None
    updated: float
    series: int
    files: int
    bytes: int
    files_done: int
    bytes_done: int
    bytes_fetched: int
    bytes_moving: int
    size_only: int
    requests: int
    rate: float
    replaced: int
    checked: str
    caution: str

    @property
    def verifies(self) -> bool:
        """Whether its last run looks at its files again."""
        return self.action.startswith(VERIFY)

    @property
    def bytes_seen(self) -> int:
        """How far the run is: bytes that are whole or came so far, or that were looked at."""
        active = self.state in ACTIVE
        if self.verifies and active:
            return min(self.bytes_fetched, self.bytes)
        return min(self.bytes_done + (self.bytes_moving if active else 0), self.bytes)
