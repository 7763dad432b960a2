"""`idc-mcp config CLIENT`: what to paste into a client, or the command that does it.

Each client is one entry of `CLIENTS`: where its configuration lies, how it names a server that it
starts itself, and how a server elsewhere, with a token that stays in the environment.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from idc_mcp.cli.serve import command
from idc_mcp.errors import BadArgument

NAME = "idc"
TOKEN = "YOUR_TOKEN"
"""Stands for the token where a client reads no variable."""


class Client(NamedTuple):
    """How one client is told of a server.

    `local` takes the words of the command that starts the server here, `remote` a URL and the
    name of the variable that holds the token ('' for none). `place` is empty where what is given
    is a command; `remote` is None where the client is not configured for that by a file.
    `token_note` says what to do where a client does not read the token from a variable.
    """

    place: str
    local: Callable[[list[str]], str]
    remote: Callable[[str, str], str] | None
    token_note: str = ""


def configuration(client: str, url: str = "", token_env: str = "") -> str:
    """The configuration of a client: of this installation, or of the server at `url`.

    The place where it belongs goes to standard error, so that the output alone is what to paste.

    Raises
    ------
    BadArgument
        The URL is none, the variable's name is none, or the client takes no URL from a file.
    """
    known = CLIENTS[client]
    if not url:
        if token_env:
            raise BadArgument(
                "--token-env is for a server elsewhere; one that the client starts needs no token.",
                next_step="give its address with --url, or leave --token-env out",
            )
        printed = known.local(command())
    else:
        _check(url, token_env)
        if known.remote is None:
            raise BadArgument(
                f"{client} does not take the address of a server from its configuration file.",
                next_step="add it in the client's settings, under Connectors",
            )
        printed = known.remote(url, token_env)
        if token_env and known.token_note:
            print(known.token_note.replace("NAME", token_env), file=sys.stderr)
    if known.place:
        print(f"Put this into {known.place}:", file=sys.stderr)
    return printed


def _check(url: str, token_env: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s'\"\\]", url):
        raise BadArgument(
            f"--url {url!r} is not the address of a server.",
            next_step="give the whole address, such as https://idc.example.org/mcp",
        )
    if token_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", token_env):
        # The value itself is easily given by mistake, so it is not repeated.
        raise BadArgument(
            "--token-env takes the name of an environment variable, not a token.",
            next_step="put the token into a variable and give its name, such as IDC_TOKEN",
        )


def _json(*path: str, entry: dict[str, Any]) -> str:
    """`entry` under the keys of `path`."""
    whole: Any = entry
    for key in reversed(path):
        whole = {key: whole}
    return json.dumps(whole, indent=2)


def _started(words: list[str]) -> dict[str, Any]:
    return {"command": words[0], "args": words[1:]}


def _bearer(reference: str, token_env: str) -> dict[str, Any]:
    """The header with the token, as `reference` (with NAME for the variable) refers to one."""
    if not token_env:
        return {}
    value = "Bearer " + reference.replace("NAME", token_env)
    return {"headers": {"Authorization": value}}


def _claude_code(url: str, token_env: str) -> str:
    add = f"claude mcp add --scope user --transport http {NAME} {shlex.quote(url)}"
    # In single quotes: the client reads the variable when it connects, and keeps its name only.
    return f"{add} --header 'Authorization: Bearer ${{{token_env}}}'" if token_env else add


def _codex(entry: dict[str, Any]) -> str:
    # A JSON string or list of strings is the same in TOML.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
    return "\n".join([f"[mcp_servers.{NAME}]", *lines])


def _vscode_remote(url: str, token_env: str) -> str:
    entry = {"type": "http", "url": url} | _bearer("${input:idc-token}", token_env)
    asked = {
        "type": "promptString",
        "id": "idc-token",
        "description": "Token of the IDC server",
        "password": True,
    }
    whole = ({"inputs": [asked]} if token_env else {}) | {"servers": {NAME: entry}}
    return json.dumps(whole, indent=2)


def _opencode_remote(url: str, token_env: str) -> str:
    entry = {"type": "remote", "url": url} | _bearer("{env:NAME}", token_env)
    if token_env:
        entry["oauth"] = False
    return _json("mcp", NAME, entry=entry)


def _claude_desktop_file() -> str:
    match sys.platform:
        case "darwin":
            return "~/Library/Application Support/Claude/claude_desktop_config.json"
        case "win32":
            return "%APPDATA%\\Claude\\claude_desktop_config.json"
        case _:
            return "~/.config/Claude/claude_desktop_config.json"


def _mcp_servers(words: list[str]) -> str:
    """The form that most clients share."""
    return _json("mcpServers", NAME, entry=_started(words))


def _elsewhere(key: str, address: str, reference: str, **more: str) -> Callable[[str, str], str]:
    """The same for a server elsewhere, whose address stands under `address`."""

    def remote(url: str, token_env: str) -> str:
        entry = more | {address: url} | _bearer(reference, token_env)
        return _json(key, NAME, entry=entry)

    return remote


CLIENTS: dict[str, Client] = {
    "claude-code": Client(
        place="",
        local=lambda words: f"claude mcp add --scope user {NAME} -- {shlex.join(words)}",
        remote=_claude_code,
    ),
    "claude-desktop": Client(place=_claude_desktop_file(), local=_mcp_servers, remote=None),
    "codex": Client(
        place="~/.codex/config.toml",
        local=lambda words: _codex(_started(words)),
        remote=lambda url, token_env: _codex(
            {"url": url} | ({"bearer_token_env_var": token_env} if token_env else {})
        ),
    ),
    "cursor": Client(
        place="~/.cursor/mcp.json",
        local=_mcp_servers,
        remote=_elsewhere("mcpServers", "url", "${env:NAME}"),
    ),
    "gemini-cli": Client(
        place="~/.gemini/settings.json",
        local=_mcp_servers,
        remote=_elsewhere("mcpServers", "httpUrl", "${NAME}"),
    ),
    "opencode": Client(
        place="~/.config/opencode/opencode.json (OpenCode 2 has it under mcp.servers instead)",
        local=lambda words: _json("mcp", NAME, entry={"type": "local", "command": words}),
        remote=_opencode_remote,
    ),
    "vscode": Client(
        place=".vscode/mcp.json in your workspace",
        local=lambda words: _json("servers", NAME, entry={"type": "stdio"} | _started(words)),
        remote=_vscode_remote,
        token_note="VS Code asks for the token (the value of NAME) when it connects, and keeps it.",
    ),
    "windsurf": Client(
        place="~/.codeium/windsurf/mcp_config.json",
        local=_mcp_servers,
        remote=_elsewhere("mcpServers", "serverUrl", "${env:NAME}"),
    ),
    "zed": Client(
        place="Zed's settings.json (its action `zed: open settings file`)",
        local=lambda words: _json("context_servers", NAME, entry=_started(words)),
        remote=_elsewhere("context_servers", "url", TOKEN),
        token_note=f"Zed reads no variables: put the value of NAME where {TOKEN} stands.",
    ),
    "json": Client(
        place="",
        local=_mcp_servers,
        remote=_elsewhere("mcpServers", "url", "${NAME}", type="http"),
    ),
}
"""Every client that `idc-mcp config` knows; `idc_mcp.cli.CLIENTS` lists the same names."""
