"""`idc-mcp serve`: the server on stdio or HTTP."""

from __future__ import annotations

import gc
import os

from idc_mcp.errors import BadArgument
from idc_mcp.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(*, http: bool, host: str, port: int) -> int:
    """Serve until the client leaves or a signal comes."""
    # The SDK's imports make hundreds of thousands of objects that all stay: collecting among
    # them costs a tenth of the start, and freezing them a quarter second less at exit.
    if http and not 0 < port < 65_536:
        raise BadArgument(f"--port {port} is no port.", next_step="give one from 1 to 65535")
    gc.disable()
    from idc_mcp.server import create_server  # noqa: PLC0415

    # Beyond this machine a server is shared: it writes nothing for its callers.
    local = not http or host in LOOPBACK
    settings = Settings.from_env(hosted=None if local else True)
    server = create_server(settings)
    gc.enable()
    gc.freeze()
    if not http:
        server.run("stdio")
        return 0

    import uvicorn  # noqa: PLC0415
    from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415

    hosts = [name.strip() for name in settings.allowed_hosts.split(",") if name.strip()]
    if local:
        hosts += [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    elif not hosts:
        raise BadArgument(
            f"--host {host} serves other machines, and no host name is allowed yet.",
            next_step="set IDC_MCP_ALLOWED_HOSTS to the names and ports that clients use, "
            f"such as idc.example.org:{port}",
        )
    origins = [name.strip() for name in settings.allowed_origins.split(",") if name.strip()]
    application = server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        host=host,
        transport_security=TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins),
    )
    uvicorn.run(application, host=host, port=port, log_level="warning", access_log=False)
    return 0


def command() -> list[str]:
    """The command that starts this very server, for clients to be told."""
    import shutil  # noqa: PLC0415
    import sys  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    beside = Path(sys.executable).with_name("idc-mcp" + (".exe" if os.name == "nt" else ""))
    found = str(beside) if beside.exists() else shutil.which("idc-mcp")
    return [found, "serve"] if found else [sys.executable, "-m", "idc_mcp", "serve"]
