"""The core, wired: one catalogue, one pool for callers' SQL, one keeper of cohorts.

The server, the command line and the tests each make their own; nothing is global.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from idc_mcp.idc.cohorts.cards import Cards
from idc_mcp.idc.cohorts.resolve import Cohorts
from idc_mcp.idc.search.search import SearchIndex
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.release import Release, installed_release
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings

if TYPE_CHECKING:
    from idc_mcp.transfer.downloads import Downloads


@dataclass(frozen=True)
class App:
    """What the tools are given."""

    settings: Settings
    release: Release
    index: Index
    pool: SqlPool
    cohorts: Cohorts
    cards: Cards
    search: SearchIndex
    _warmed: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def create(cls, settings: Settings) -> App:
        """Wire the core; nothing is opened before `start()` or the first question.

        Raises
        ------
        Unavailable
            The catalogue package is not installed.
        """
        release = installed_release()
        index = Index(release, settings)
        pool = SqlPool(index, settings)
        return cls(
            settings=settings,
            release=release,
            index=index,
            pool=pool,
            cohorts=Cohorts(index, pool, settings),
            cards=Cards(index),
            search=SearchIndex(index),
        )

    @cached_property
    def downloads(self) -> Downloads:
        """The downloads of this machine; most sessions never ask for them."""
        from idc_mcp.transfer.downloads import Downloads  # noqa: PLC0415

        return Downloads(self.index, self.settings)

    def start(self) -> None:
        """Begin to open the catalogue in the background."""
        self.index.start_soon()

    def warm(self) -> None:
        """Prepare, in the background, for the questions that follow a first one."""
        if not self._warmed.is_set():
            self._warmed.set()
            threading.Thread(target=self._prepare, name="idc-prepare").start()

    def _prepare(self) -> None:
        self.pool.warm()
        # A first search would wait half a second for its documents. While the database is
        # being built the processors have more urgent work.
        with contextlib.suppress(Exception):  # a server that is closing meanwhile
            if self.index.opened().database:
                self.search.documents()

    def close(self) -> None:
        """End every process and connection of this core."""
        self.pool.close()
        self.index.close()

    @property
    def release_name(self) -> str:
        """How every answer names the release."""
        return f"IDC {self.release.name} (idc-index-data {self.release.data_version})"
