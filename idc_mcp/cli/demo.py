"""`idc-mcp demo`: one real question, asked of a real server over stdio, call by call."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

import anyio

from idc_mcp.cli.serve import command
from idc_mcp.cli.terminal import heading, show

QUESTION = (
    "Chest CT from GE scanners that I may use commercially: how many patients, how big, under "
    "which licence, what do I cite, show me one, and give me the manifest."
)
FILTERS = {"Modality": "CT", "BodyPartExamined": "CHEST", "Manufacturer": ["GE", "GE *"]}


def demo() -> int:
    """Walk the question; the exit status is 1 where a call fails."""
    return anyio.run(_demo)


async def _demo() -> int:
    from mcp import Client, StdioServerParameters  # noqa: PLC0415

    words = command()
    output = tempfile.mkdtemp(prefix="idc-mcp-demo-")
    server = StdioServerParameters(
        command=words[0], args=words[1:], env=dict(os.environ) | {"IDC_MCP_OUTPUT_DIR": output}
    )
    print(f"{heading('Question')}\n{QUESTION}\n\n$ {' '.join(words)}")
    started = time.perf_counter()
    async with Client(server, read_timeout_seconds=120) as client:
        tools = await client.list_tools()
        print(f"{len(tools.tools)} tools, {time.perf_counter() - started:.1f} s after the start\n")
        calls = Calls(client)
        await calls.ask("idc_search", query="chest CT GE scanner", limit=5)
        card = await calls.ask(
            "idc_cohort", filters=FILTERS, use="commercial", name="chest CT from GE"
        )
        handle = card.get("handle", "")
        await calls.ask("idc_size", cohort=handle, group_by="collection_id", bandwidth_mbps=1000)
        await calls.ask("idc_licenses", cohort=handle, use="commercial")
        citations = await calls.ask("idc_citations", cohort=handle)
        viewer = await calls.ask("idc_viewer", cohort=handle, limit=1)
        manifest = await calls.ask("idc_manifest", cohort=handle, save_as="chest-ct-ge.s5cmd")
        await calls.ask(
            "idc_sql",
            sql=f"SELECT ManufacturerModelName, count(*) AS series FROM {handle} "
            "GROUP BY ALL ORDER BY series DESC LIMIT 5",
        )
        if calls.failed:
            print(heading(f"{calls.failed} calls failed"))
            return 1
        print(heading("In short"))
        print(
            f"{card['patients']:,} patients, {card['series']:,} series, {card['size']} of chest CT "
            f"from GE scanners may be used commercially, under "
            f"{' and '.join(row[0] for row in card['licenses']['rows'])} ({card['release']}).\n"
            f"Cite    {citations['dois']} datasets and IDC itself\n"
            f"Look    {viewer['links']['rows'][0][-1]}\n"
            f"Get     {manifest['command']}"
        )
    return 0


class Calls:
    """Makes calls, prints each as a person would want to read it, counts failures."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.failed = 0

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """One call; returns its structured content, empty where it failed."""
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        print(heading(f"▶ {tool}({given})"))
        started = time.perf_counter()
        result = await self.client.call_tool(tool, arguments)
        took = time.perf_counter() - started
        if result.is_error:
            self.failed += 1
            print(f"{result.content[0].text}\n")
            return {}
        print(f"{show(result.structured_content)}\n[{took * 1e3:.0f} ms]\n")
        return dict(result.structured_content)
