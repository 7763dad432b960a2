"""What a model reads: characters of instructions, tools and answers."""

from __future__ import annotations

import dataclasses
import json

from mcp import Client

from benchmarks.questions import FILTERS
from benchmarks.table import Number
from idc_mcp.answers import compact_json
from idc_mcp.app import App
from idc_mcp.server import create_server
from idc_mcp.settings import Settings


async def first_read(settings: Settings) -> tuple[int, int, int]:
    """Tools, and characters of instructions and of instructions and tools."""
    async with Client(create_server(settings)) as client:
        listed = await client.list_tools()
        tools = compact_json(
            [
                tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                for tool in listed.tools
            ]
        )
        instructions = len(client.instructions or "")
    return len(listed.tools), instructions, instructions + len(tools)


async def reading(app: App) -> list[Number]:
    hosted, _, hosted_total = await first_read(dataclasses.replace(app.settings, hosted=True))
    local, instructions, local_total = await first_read(app.settings)
    async with Client(create_server(app.settings)) as client:

        async def chars(tool: str, **arguments: object) -> tuple[int, int]:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            text = sum(len(block.text) for block in result.content)
            return text, len(compact_json(json.loads(json.dumps(result.structured_content))))

        collections = [
            row[0] for row in app.index.rows("SELECT collection_id FROM facts.collections")
        ]
        cards = [await chars("idc_cohort", identifiers=[name]) for name in collections]
        cards += [await chars("idc_cohort", filters=filters) for filters in FILTERS]
        described = [await chars("idc_describe", identifier=name) for name in collections]
        search = await chars("idc_search", query="lung cancer CT")
        handle = "nlst, tcga_luad, tcga_lusc, tcga_brca, cptac_luad"
        others = {
            "idc_schema()": await chars("idc_schema"),
            "idc_schema('index')": await chars("idc_schema", table="index"),
            "idc_schema('index', 'SeriesDescription')": await chars(
                "idc_schema", table="index", column="SeriesDescription", limit=500
            ),
            "idc_describe('v25')": await chars("idc_describe", identifier=app.release.name),
            "idc_size": await chars("idc_size", cohort=handle, group_by="collection_id"),
            "idc_licenses": await chars("idc_licenses", cohort=handle),
            "idc_citations": await chars("idc_citations", cohort=handle, format="bibtex"),
            "idc_viewer": await chars("idc_viewer", cohort=handle, limit=50),
            "idc_manifest": await chars("idc_manifest", cohort=handle),
            "idc_sql 1,000 rows": await chars("idc_sql", sql="SELECT * FROM index", max_rows=1000),
        }
    longest = max(others, key=lambda name: sum(others[name]))
    card, answer = max(map(sum, cards)), max(sum(pair) for pair in (*others.values(), *described))
    return [
        Number("instructions", instructions, "characters", None, "≤ 2,000", instructions <= 2000),
        Number(f"instructions and {hosted} tools (hosted)", hosted_total, "characters", None, "≤ 16,800", hosted_total <= 16_800),
        Number(f"instructions and {local} tools", local_total, "characters"),
        Number("idc_search('lung cancer CT'), both forms", sum(search), "characters", None, "≤ 3,000", sum(search) <= 3000),
        Number(f"largest of {len(cards)} cohort cards, both forms", card, "characters", None, "≤ 2,500", card <= 2500),
        Number(f"largest of {len(described)} collections described", max(map(sum, described)), "characters"),
        Number(f"largest answer, both forms ({longest})", answer, "characters", None, "≤ 20,000", answer <= 20_000),
    ]  # fmt: skip
