"""The web application: routes, and the layers around the SDK in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route, request_response

from idc_mcp.http.access import Access, guarded
from idc_mcp.http.bodies import Whole
from idc_mcp.http.endings import Ended
from idc_mcp.http.exchanges import Exchange, Observed, Observer
from idc_mcp.http.health import Health
from idc_mcp.http.logs import tell_request
from idc_mcp.http.metrics import Metrics
from idc_mcp.http.rates import Minute, Turns

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from starlette.types import ASGIApp

    from idc_mcp.app import App
    from idc_mcp.settings import Settings


class Application:
    """A server as a web application (`asgi`), which can be told to come to an end."""

    def __init__(
        self, server: MCPServer[Any], settings: Settings, access: Access, app: App | None
    ) -> None:
        self.server = server
        self.metrics = Metrics(app)
        self.health = Health(app, self.metrics)
        self.observer = Observer(arguments=settings.log == "arguments")
        server.middleware.append(self.observer)
        server.streamable_http_app(  # makes the session manager; its routes are not needed
            stateless_http=True,
            json_response=True,
            max_request_body_size=settings.request_mb << 20,
            # `guarded` has looked already, before the body was read.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )
        answered: ASGIApp = server.session_manager.handle_request
        if settings.calls_at_once:
            answered = Turns(answered, settings.calls_at_once)
        self.bodies = Whole(answered, most_mb=settings.request_mb, seconds=settings.request_s)
        limited: ASGIApp = self.bodies
        if settings.rate_per_minute:
            limited = Minute(limited, settings.rate_per_minute)
        seconds = settings.request_s
        calls = Ended(guarded(limited, access), seconds)
        counts = Ended(guarded(request_response(self.health.counts), access), seconds)
        self.asgi = Starlette(
            routes=[
                Route("/mcp", Observed(calls, self._begin, self._end)),
                Route("/health", self.health.health),
                Route("/ready", self.health.ready),
                Route("/metrics", Observed(counts, _nothing, self._end_of_counts)),
            ],
            lifespan=self._lifespan,
        )
        self.asgi.router.redirect_slashes = False

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.observer.tools = frozenset(tool.name for tool in await self.server.list_tools())
        async with self.server.session_manager.run(), anyio.create_task_group() as group:
            group.start_soon(self.health.wait_for_index)
            yield
            group.cancel_scope.cancel()

    def drain(self) -> None:
        """Take part in the end: no more ready, and nobody listens any longer."""
        self.health.draining = True
        self.bodies.end_streams()

    def _begin(self, _: Exchange) -> None:
        self.metrics.begin()

    def _end(self, exchange: Exchange) -> None:
        self.metrics.end(exchange)
        tell_request(exchange)

    def _end_of_counts(self, exchange: Exchange) -> None:
        # Being asked for the counts every few seconds is no event.
        if exchange.refused:
            self.metrics.count(exchange)
            tell_request(exchange)


def _nothing(_: Exchange) -> None:
    pass
