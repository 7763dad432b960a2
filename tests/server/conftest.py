"""Servers and clients of the tests."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from idc_mcp.server import create_server
from idc_mcp.settings import Settings

IDC_MCP = str(Path(sys.executable).with_name("idc-mcp"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def connected(
    settings: Settings, mode: Any = "auto", **options: Any
) -> AsyncIterator[Client]:
    """A client of a server in this process."""
    with anyio.fail_after(60):
        async with Client(create_server(settings), mode=mode, **options) as client:
            yield client


def environment(home: Path, cache_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a server process that touches nothing of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IDC_MCP_")}
    return kept | {
        "IDC_MCP_CACHE_DIR": str(cache_dir),
        "IDC_MCP_STATE_DIR": str(home / "state"),
        "IDC_MCP_OUTPUT_DIR": str(home / "output"),
        "IDC_MCP_OFFLINE": "1",
        **more,
    }


def free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def end(process: subprocess.Popen[Any], patience_s: float = 15) -> None:
    """End a process, and kill it where it does not end."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def http_server(home: Path, cache_dir: Path, **more: str) -> Iterator[int]:
    """`idc-mcp serve --http` as a process on a free port of loopback; gives the port."""
    with http_process(home, cache_dir, **more) as (port, _):
        yield port


@contextlib.contextmanager
def http_process(
    home: Path, cache_dir: Path, **more: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The same, with the process."""
    port = free_port()
    process = subprocess.Popen(
        [IDC_MCP, "serve", "--http", "--port", str(port)],
        env=environment(home, cache_dir, **more),
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                break
            time.sleep(0.1)
        yield port, process
    finally:
        end(process)
