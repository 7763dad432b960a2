"""`idc-mcp serve`: the server on stdio or HTTP."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from pathlib import Path

from idc_mcp.errors import BadArgument
from idc_mcp.settings import Settings


def serve(*, http: bool, host: str, port: int) -> int:
    """Serve until the client leaves or a signal comes.

    Raises
    ------
    BadArgument
        The port is none, or the server is hosted and nobody said who may call it.
    """
    if http and not 0 < port < 65_536:
        raise BadArgument(f"--port {port} is no port.", next_step="give one from 1 to 65535")
    # The SDK's imports make hundreds of thousands of objects that all stay: collecting among
    # them costs a tenth of the start, and freezing them a quarter second less at exit.
    gc.disable()
    if http:
        from idc_mcp.http import is_local, serve_http  # noqa: PLC0415
    from idc_mcp.server import create_server  # noqa: PLC0415

    # Beyond this machine a server is shared: it writes nothing for its callers.
    settings = Settings.from_env(hosted=True if http and not is_local(host) else None)
    server = create_server(settings)
    gc.enable()
    gc.freeze()
    if http:
        serve_http(server, settings, host, port, server.core)
    else:
        # The SDK waits for input in a thread, which Python's own handler would wait for in turn.
        # As SIGTERM does, this ends the process at once, and its children with it.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        server.run("stdio")
    return 0


def command() -> list[str]:
    """The command that starts this very server, for clients to be told."""
    beside = Path(sys.executable).with_name("idc-mcp" + (".exe" if os.name == "nt" else ""))
    found = str(beside) if beside.exists() else shutil.which("idc-mcp")
    # -P: modules of the directory that a client starts in are never imported.
    return [found, "serve"] if found else [sys.executable, "-P", "-m", "idc_mcp", "serve"]
