"""`idc-mcp demo`: one real question, asked of a real server over stdio, call by call.

Its download from a mirror on this machine is in `demo_download`.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from tempfile import mkdtemp

import anyio

from idc_mcp.cli.demo_calls import Calls
from idc_mcp.cli.demo_download import CONNECTIONS, FOLDER, SlowMirror, mirror, show_download
from idc_mcp.cli.serve import command
from idc_mcp.cli.terminal import heading
from idc_mcp.settings import PREFIX, Settings

QUESTION = (
    "Chest CT from GE scanners that I may use commercially: how many patients, how big, under "
    "which licence, what do I cite, show me one, give me the manifest, and download one."
)
NOWHERE = "http://127.0.0.1:9"
FILTERS = {"Modality": "CT", "BodyPartExamined": "CHEST", "Manufacturer": ["GE", "GE *"]}


def demo() -> int:
    """Walk the question; the exit status is 1 where a call fails."""
    return anyio.run(_demo)


async def _demo() -> int:
    output, state = (Path(mkdtemp(prefix=f"idc-mcp-demo-{kind}")) for kind in ("", "state-"))
    try:
        with mirror() as server:
            return await _walk(output, server, _environment(output, state, server.url))
    finally:
        _end_downloads(state)
        # Nobody shall find stand-ins one day and take them for images.
        for directory in (state, output / FOLDER):
            shutil.rmtree(directory, ignore_errors=True)


def _end_downloads(state: Path) -> None:
    """Cancel what still runs where the demo ended early: a download outlives its server."""
    from idc_mcp.app import App  # noqa: PLC0415
    from idc_mcp.transfer.job import ACTIVE  # noqa: PLC0415

    app = App.create(Settings.from_env(state_dir=state))
    for job in app.downloads.table.jobs():
        if job.state in ACTIVE:
            app.downloads.cancel(job.job)
    app.close()


def _environment(output: Path, state: Path, mirror_url: str) -> dict[str, str]:
    """That of the server: directories and a mirror of the demo's own."""
    changes = {
        "OUTPUT_DIR": str(output),
        "STATE_DIR": str(state),
        "AWS_URL": mirror_url,
        "GCS_URL": mirror_url,
        "CONNECTIONS": str(CONNECTIONS),
        "OFFLINE": "no",
    }
    if Settings.from_env().offline:
        # What is asked beyond this machine, asks nobody then.
        changes["DOI_URL"] = NOWHERE
    return dict(os.environ) | {PREFIX + name: value for name, value in changes.items()}


async def _walk(output: Path, server: SlowMirror, environment: dict[str, str]) -> int:
    from mcp import Client, StdioServerParameters  # noqa: PLC0415

    words = command()
    parameters = StdioServerParameters(command=words[0], args=words[1:], env=environment)
    print(f"{heading('Question')}\n{QUESTION}\n\n$ {' '.join(words)}")
    started = time.perf_counter()
    async with Client(parameters, read_timeout_seconds=120) as client:
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
        disk = await show_download(calls, server, output)
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
            f"Get     {manifest['command']}\n"
            f"Disk    {disk}"
        )
    return 0
