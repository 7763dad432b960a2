"""Real servers as processes: spawn, first answers, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}
DISCOVER = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "server/discover",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}

HELLO = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("hello")

@server.tool()
def greet(name: str) -> str:
    "Greet."
    return "hello " + name

server.run("stdio")
"""


def _environment() -> dict[str, str]:
    # A server as a person has it: its bytecode kept, and no settings of this shell.
    dropped = "PYTHONDONTWRITEBYTECODE"
    return {
        name: value
        for name, value in os.environ.items()
        if name != dropped and not name.startswith("IDC_MCP_")
    }


class StdioServer:
    """A server of a command, spoken to in single lines of JSON."""

    def __init__(self, command: list[str], **environ: str) -> None:
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment() | environ,
        )

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.tell(message)
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError("the server ended")
            answer = json.loads(line)
            if answer.get("id") == message["id"]:
                return dict(answer)

    def tell(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def call(self, number: int, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.ask(
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": "tools/call",
                "params": {"name": tool, "arguments": arguments},
            }
        )

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ours(*more: str) -> list[str]:
    return [str(Path(sys.executable).with_name("idc-mcp")), "serve", *more]


def hello() -> list[str]:
    return [sys.executable, "-c", HELLO]


def tree_mb(pid: int) -> tuple[float, float, int]:
    """(resident, proportional) megabytes and count of a process and all below it (Linux)."""
    pids = [pid]
    for known in pids:
        for task in Path(f"/proc/{known}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text().split()]
    resident = proportional = 0.0
    for known in pids:
        for line in Path(f"/proc/{known}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                resident += int(line.split()[1]) / 1000
            elif line.startswith("Pss:"):
                proportional += int(line.split()[1]) / 1000
    return resident, proportional, len(pids)
