"""A question to a server that is started by a given command, as a client asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

SERIES = {"filters": {"collection_id": "prostate_3t"}}
"""A small collection; the release has this many series of it."""
SERIES_OF_IT = 64


def answers(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, seconds: float = 90
) -> dict[str, Any]:
    """The names of the tools, an answer of `idc_cohort`, and the skill as a resource."""

    async def ask() -> dict[str, Any]:
        server = StdioServerParameters(
            command=command[0], args=list(command[1:]), env=dict(env), cwd=cwd
        )
        with anyio.fail_after(seconds):
            async with Client(server) as client:
                tools = [tool.name for tool in (await client.list_tools()).tools]
                cohort = await client.call_tool("idc_cohort", SERIES)
                skill = await client.read_resource("skill://idc-cancer-imaging/SKILL.md")
        return {
            "tools": tools,
            "cohort": cohort.structured_content,
            "skill": skill.contents[0].text,
        }

    return anyio.run(ask)
