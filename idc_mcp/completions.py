"""Completions: identifiers, tables and columns while a person types an argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp_types import Completion

from idc_mcp.app import App
from idc_mcp.idc.identifiers import analysis_result_ids, collection_ids
from idc_mcp.idc.nearest import folded
from idc_mcp.idc.schema.clinical import columns_of
from idc_mcp.idc.schema.lookup import clinical_tables
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX

MOST = 100
"""The protocol's limit of values in one completion."""


def add_completions(server: MCPServer[App], app: App) -> None:
    """Register the completion handler."""
    sources: dict[str, Callable[[dict[str, str]], Iterable[str]]] = {
        "table": lambda _: [*app.release.schemas, *_clinical_tables(app)],
        "column": lambda given: _columns(app, given.get("table", "index")),
        "collection_id": lambda _: collection_ids(app.index),
        "handle": lambda _: _handles(app),
        "cohort": lambda _: [
            *collection_ids(app.index),
            *analysis_result_ids(app.index),
            *_handles(app),
        ],
        "use": lambda _: ["commercial", "any"],
        "format": lambda _: ["apa", "bibtex", "csl-json", "turtle"],
    }

    @server.completion()  # type: ignore[no-untyped-call,untyped-decorator]
    async def complete(_ref: Any, argument: Any, context: Any) -> Completion | None:
        source = sources.get(argument.name)
        if source is None:
            return None
        given = dict((context and context.arguments) or {})
        values = await anyio.to_thread.run_sync(lambda: list(source(given)))
        found = _matching(argument.value, values)
        return Completion(values=found[:MOST], total=len(found), has_more=len(found) > MOST)


def _handles(app: App) -> list[str]:
    # On a shared server a handle is known to who made it, and listed to nobody.
    return [] if app.settings.hosted else app.cohorts.files.handles()


def _clinical_tables(app: App) -> list[str]:
    # Where nothing of them is here a completion neither opens the catalogue nor fetches.
    known = app.index.has(CLINICAL) or app.index.has(CLINICAL_INDEX)
    return [CLINICAL, *clinical_tables(app.index)] if known else []


def _columns(app: App, table: str) -> list[str]:
    schema = app.release.schemas.get(table)
    if schema:
        return [column.name for column in schema.columns]
    named = table if table != CLINICAL and table in _clinical_tables(app) else ""
    return [column.name for column in columns_of(app.index, named)] if named else []


def _matching(typed: str, values: list[str]) -> list[str]:
    """Values that begin with what was typed, then those that contain it."""
    wanted = folded(typed)
    starts = [value for value in values if folded(value).startswith(wanted)]
    return starts + [value for value in values if wanted in folded(value) and value not in starts]
