"""The demo's calls: made through a client, printed as a person would want to read them."""

from __future__ import annotations

import time
from typing import Any

from idc_mcp.cli.terminal import heading, show

PROGRESS_EVERY_S = 0.5
_MORE = "\n…"


class Calls:
    """Makes calls, prints each as a person would want to read it, counts failures."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.failed = 0
        self._told = 0.0

    async def ask(
        self, tool: str, *, of_it: tuple[str, ...] = (), **arguments: Any
    ) -> dict[str, Any]:
        """One call; returns its structured content, empty where it failed.

        `of_it` names what is printed of a long answer that repeats what was seen before.
        """
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        print(heading(f"▶ {tool}({given})"))
        started = time.perf_counter()
        result = await self.client.call_tool(
            tool, arguments, progress_callback=self._tell if "wait_s" in arguments else None
        )
        took = time.perf_counter() - started
        if result.is_error:
            self.failed += 1
            print(f"{result.content[0].text}\n")
            return {}
        content = dict(result.structured_content)
        shown = {name: value for name, value in content.items() if not of_it or name in of_it}
        print(f"{show(shown)}{_MORE if of_it else ''}\n[{took * 1e3:.0f} ms]\n")
        return content

    async def _tell(self, done: float, total: float | None, message: str | None) -> None:
        """A notification of progress, at most one in a while."""
        if time.perf_counter() - self._told >= PROGRESS_EVERY_S:
            self._told = time.perf_counter()
            print(f"  … {message or f'{done:,.0f} of {total or 0:,.0f}'}", flush=True)
