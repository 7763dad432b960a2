"""HTTP around the MCP application: whom it answers, and calls whose client has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from idc_mcp.errors import BadArgument

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from starlette.types import ASGIApp, Receive, Scope, Send

    from idc_mcp.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHUTDOWN_S = 2
"""How long calls in flight may go on once the server is told to stop."""


def is_local(host: str) -> bool:
    """Whether a server on this host is reached from this machine only."""
    return host in LOOPBACK


def serve_http(server: MCPServer[Any], settings: Settings, host: str, port: int) -> None:
    """Serve until a signal comes.

    Raises
    ------
    BadArgument
        The host is reached from other machines, and no host name is allowed.
    """
    import uvicorn  # noqa: PLC0415
    from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415

    hosts, origins = _allowed(settings, host, port)
    application = server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        host=host,
        transport_security=TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins),
    )
    uvicorn.run(
        EndsWithItsClient(application),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


def _allowed(settings: Settings, host: str, port: int) -> tuple[list[str], list[str]]:
    """Host names and origins that may call: those of the settings, and our own on loopback."""
    hosts, origins = _listed(settings.allowed_hosts), _listed(settings.allowed_origins)
    if is_local(host):
        names = ["127.0.0.1", "localhost", "[::1]"]
        own = [f"{name}:{port}" for name in names] + (names if port == 80 else [])
        return hosts + own, origins + [f"http://{name}" for name in own]
    if not hosts:
        raise BadArgument(
            f"--host {host} serves other machines, and no host name is allowed yet.",
            next_step="set IDC_MCP_ALLOWED_HOSTS to the names and ports that clients use, "
            f"such as idc.example.org:{port}",
        )
    return hosts, origins


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class EndsWithItsClient:
    """Cancels a call when its client disconnects, which the SDK does not where it answers JSON.

    A statement would otherwise go on to its limit for nobody, in a process that others need.
    """

    def __init__(self, application: ASGIApp) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, as ASGI asks."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.application(scope, receive, send)
            return
        # Of the parsers that uvicorn may use, one leaves blanks around the values of headers.
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        into, out_of = anyio.create_memory_object_stream[Any](1)
        async with into, out_of, anyio.create_task_group() as group:

            async def watch() -> None:
                while (message := await receive())["type"] != "http.disconnect":
                    await into.send(message)
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await self.application(scope, out_of.receive, send)
            group.cancel_scope.cancel()
