"""The core, wired: one catalogue, one pool for callers' SQL, one keeper of cohorts.

The server, the command line and the tests each make their own; nothing is global.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from idc_mcp.errors import NotFetched
from idc_mcp.idc.cohorts.cards import Cards
from idc_mcp.idc.cohorts.resolve import Cohorts
from idc_mcp.idc.search.search import SearchIndex
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.release import Release, installed_release
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings

if TYPE_CHECKING:
    from idc_mcp.fetch.background import Report
    from idc_mcp.fetch.tables import Tables
    from idc_mcp.transfer.downloads import Downloads

T = TypeVar("T")
_MOST_FETCHES = 4
"""A question may find out only step by step which tables it needs."""


def _unreported(done: float, total: float | None, words: str) -> None:
    pass


@dataclass(frozen=True)
class App:
    """What the tools are given."""

    settings: Settings
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
        index = Index(installed_release(), settings)
        pool = SqlPool(index, settings)
        return cls(
            settings=settings,
            index=index,
            pool=pool,
            cohorts=Cohorts(index, pool, settings),
            cards=Cards(index),
            search=SearchIndex(index),
        )

    @property
    def release(self) -> Release:
        """The release, with the tables that can be asked for now."""
        return self.index.release

    @cached_property
    def downloads(self) -> Downloads:
        """The downloads of this machine; most sessions never ask for them."""
        from idc_mcp.transfer.downloads import Downloads  # noqa: PLC0415

        return Downloads(self.index, self.settings)

    @cached_property
    def tables(self) -> Tables:
        """The tables that are not bundled, as they are fetched."""
        from idc_mcp.fetch.tables import Tables  # noqa: PLC0415  most questions need none

        return Tables(self.index, self.settings)

    def with_tables(
        self,
        ask: Callable[[], T],
        report: Report = _unreported,
        cancelled: threading.Event | None = None,
    ) -> T:
        """What `ask` gives, after fetching the tables that it turns out to need.

        Raises
        ------
        Unavailable
            A table is not to be had now: why, and what to do.
        """
        for _ in range(_MOST_FETCHES):
            try:
                return ask()
            except NotFetched as absent:
                self.tables.have(absent.tables, report=report, cancelled=cancelled)
        return ask()

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
        if "tables" in self.__dict__:
            self.tables.close()
        self.pool.close()
        self.index.close()

    @property
    def release_name(self) -> str:
        """How every answer names the release."""
        return f"IDC {self.release.name} (idc-index-data {self.release.data_version})"
