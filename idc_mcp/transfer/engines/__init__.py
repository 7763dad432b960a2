"""Engines: what brings the bytes of one object into one file. The rest serves them all."""

from __future__ import annotations

import threading
from typing import Literal, Protocol

from idc_mcp.transfer.objects import Limits, Moved, Place, Wanted

EngineName = Literal["obstore", "s5cmd"]
DEFAULT: EngineName = "obstore"
"""Why this one: the README, "Downloads" and "Numbers"."""


class Engine(Protocol):
    """Brings objects. `fetch` is called by many threads at once."""

    def fetch(self, place: Place, wanted: Wanted, stop: threading.Event, moved: Moved) -> str:
        """Bring an object into its part file; returns the MD5 of what was written.

        `moved` is told of bytes as they come. The size, the MD5 and the content are judged
        by the caller.

        Raises
        ------
        Failure
            It did not come; the part file may hold anything.
        """

    def close(self) -> None:
        """End what was started; `fetch` is not called again."""


def make_engine(name: EngineName, limits: Limits) -> Engine:
    """The engine of a name.

    Raises
    ------
    BadArgument
        It is not installed.
    """
    if name == "s5cmd":
        from idc_mcp.transfer.engines.s5cmd import S5cmdEngine, binary  # noqa: PLC0415

        return S5cmdEngine(binary(), limits)
    from idc_mcp.transfer.engines.inprocess import ObstoreEngine  # noqa: PLC0415

    return ObstoreEngine(limits)


def check_installed(name: EngineName) -> None:
    """Raise BadArgument where an engine cannot be had on this machine."""
    if name == "s5cmd":
        from idc_mcp.transfer.engines.s5cmd import binary  # noqa: PLC0415

        binary()
