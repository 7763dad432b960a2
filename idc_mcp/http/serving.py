"""The web server: how it listens, and how it ends."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket
from typing import TYPE_CHECKING, Any

import uvicorn
import uvicorn.config

from idc_mcp.http.access import access_of
from idc_mcp.http.addresses import proxies_of
from idc_mcp.http.application import Application
from idc_mcp.http.heads import MOST_BYTES, bounded
from idc_mcp.http.logs import log_as_json, tell

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from idc_mcp.app import App
    from idc_mcp.settings import Settings

logger = logging.getLogger(__name__)


def serve_http(
    server: MCPServer[Any], settings: Settings, host: str, port: int, app: App | None = None
) -> None:
    """Serve until a signal comes.

    Parameters
    ----------
    app
        The server's core, for what `/health` and `/metrics` tell of it.

    Raises
    ------
    BadArgument
        The host is reached from other machines and nobody said who may call, or a setting that
        says so is not understood.
    """
    access = access_of(settings, host, port)
    proxies = proxies_of(settings.proxies)
    if settings.log != "none":
        log_as_json()
    application = Application(server, settings, access, app)

    if settings.hosted and not 0 < settings.calls_at_once < settings.sql_workers:
        logger.warning(
            "One client can hold every SQL process: IDC_MCP_CALLS_AT_ONCE is %d (0 is any number), "
            "IDC_MCP_SQL_WORKERS is %d.", settings.calls_at_once, settings.sql_workers,
        )  # fmt: skip

    class Ending(uvicorn.Server):
        """Ends with status 0 on a signal, and tells the application before it does."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn's own raises the signal again at the end, which would be the exit status.
            before = {
                number: signal.signal(number, self.handle_exit)
                for number in (signal.SIGINT, signal.SIGTERM)
            }
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

        async def shutdown(self, sockets: list[socket] | None = None) -> None:
            tell("stop", in_flight=len(self.server_state.tasks), drain_s=settings.drain_s)
            application.drain()
            await super().shutdown(sockets)
            if self.force_exit:  # by a second SIGINT, after which uvicorn leaves this out
                await self.lifespan.shutdown()

    tell(
        "start", host=host, port=port, hosted=settings.hosted, tokens=access.tokens is not None,
        rate_per_minute=settings.rate_per_minute, calls_at_once=settings.calls_at_once,
    )  # fmt: skip
    Ending(
        uvicorn.Config(
            application.asgi,
            host=host,
            port=port,
            log_config=None if settings.log != "none" else uvicorn.config.LOGGING_CONFIG,
            log_level="warning",
            access_log=False,
            lifespan="on",
            http=bounded(settings.request_s),
            h11_max_incomplete_event_size=MOST_BYTES,
            ws="none",
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            timeout_graceful_shutdown=settings.drain_s,  # type: ignore[arg-type]  # floats do
        )
    ).run()
    tell("end")
