"""A table to publish, as SQL over the bundled index."""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """Where its rows come from, and an expression for each column of the bundled schema."""

    source: str
    columns: dict[str, str]
