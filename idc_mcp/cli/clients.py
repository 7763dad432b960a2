"""`idc-mcp config CLIENT`: what to paste into a client, or the command that does it."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

from idc_mcp.cli.serve import command

NAME = "idc"


def configuration(client: str) -> str:
    """The configuration of a client, with the absolute path of this installation."""
    words = command()
    entry: dict[str, Any] = {"command": words[0], "args": words[1:]}
    servers = json.dumps({"mcpServers": {NAME: entry}}, indent=2)
    match client:
        case "claude-code":
            return f"claude mcp add --scope user {NAME} -- {shlex.join(words)}"
        case "claude-desktop":
            return _with_place(servers, _claude_desktop_file())
        case "cursor":
            return _with_place(servers, "~/.cursor/mcp.json")
        case "vscode":
            typed = {"servers": {NAME: {"type": "stdio"} | entry}}
            return _with_place(json.dumps(typed, indent=2), ".vscode/mcp.json in your workspace")
        case _:
            return servers


def _with_place(content: str, place: str) -> str:
    # The place goes to standard error, so that the output alone is what to paste.
    print(f"Put this into {place}:", file=sys.stderr)
    return content


def _claude_desktop_file() -> str:
    match sys.platform:
        case "darwin":
            return "~/Library/Application Support/Claude/claude_desktop_config.json"
        case "win32":
            return "%APPDATA%\\Claude\\claude_desktop_config.json"
        case _:
            return "~/.config/Claude/claude_desktop_config.json"
