"""Resources: the guide, schemas, collections and kept cohorts, to be read by their URI."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError

from idc_mcp.answers import Answer, compact_json, render
from idc_mcp.app import App
from idc_mcp.errors import IdcError
from idc_mcp.idc.identifiers import identify
from idc_mcp.skill import Skill
from idc_mcp.tools.cohort import NEARLY
from idc_mcp.tools.describe import idc_describe
from idc_mcp.tools.schema import idc_schema


def add_resources(server: MCPServer[App], app: App, skill: Skill) -> None:
    """Register every resource and template."""

    @server.resource(
        "idc://guide",
        title="Guide to IDC",
        description="How to work with IDC through this server, and what misleads: the skill's "
        "main text, whose references are resources below skill://.",
        mime_type="text/markdown",
    )
    async def guide() -> str:
        return skill.body

    @server.resource(
        "idc://schema/{table}",
        title="Columns of a table",
        description="Columns of a table with type, description and share of empty values.",
        mime_type="text/plain",
    )
    async def schema(table: str) -> str:
        return await _answered(app, idc_schema, table=table)

    @server.resource(
        "idc://schema/{table}/{column}",
        title="Values of a column",
        description="Values of a column with counts.",
        mime_type="text/plain",
    )
    async def column(table: str, column: str) -> str:
        return await _answered(app, idc_schema, table=table, column=column)

    @server.resource(
        "idc://collection/{collection_id}",
        title="A collection",
        description="Counts, modalities, licences, sites and DOIs of a collection.",
        mime_type="text/plain",
    )
    async def collection(collection_id: str) -> str:
        def found() -> str:
            kind = identify(app.index, collection_id).kind
            if kind != "collection":
                raise ResourceNotFoundError(f"'{collection_id}' is a {kind}, not a collection.")
            return render(
                idc_describe(app, identifier=collection_id), app.settings.answer_chars
            ).text

        return await _in_thread(app, found)

    @server.resource(
        "idc://cohort/{handle}",
        title="A cohort",
        description="The whole definition of a kept cohort, as SQL and in words, its near-misses "
        "and its warnings.",
        mime_type="application/json",
    )
    async def cohort(handle: str) -> str:
        def found() -> str:
            kept = app.cohorts.resolve(handle)
            card = app.cards.card(kept)
            return compact_json(
                {
                    "release": app.release_name,
                    "handle": kept.handle,
                    "name": kept.name,
                    "understood": kept.spec.understood() if kept.spec else kept.understood,
                    "definition": kept.definition,
                    "canonical": kept.spec.canonical() if kept.spec else {},
                    "nearly": [dict(zip(NEARLY, row, strict=True)) for row in card.near_misses],
                    "warnings": [*card.faults, *kept.notes, *card.warnings],
                }
            )

        return await _in_thread(app, found)


async def _answered(app: App, core: Any, **arguments: str) -> str:
    def answer() -> str:
        result: Answer = core(app, **arguments)
        return render(result, app.settings.answer_chars).text

    return await _in_thread(app, answer)


async def _in_thread(app: App, work: Callable[[], str]) -> str:
    try:
        return await anyio.to_thread.run_sync(partial(app.with_tables, work))
    except IdcError as error:
        raise ResourceNotFoundError(str(error)) from None
