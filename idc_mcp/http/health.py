"""What is told to load balancers, service managers and Prometheus."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from idc_mcp.app import App
    from idc_mcp.http.metrics import Metrics

logger = logging.getLogger(__name__)

PAUSE_S = 5.0
"""Between two questions to an index that does not answer."""


class Health:
    """How a server is."""

    def __init__(self, app: App | None, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self.draining = False
        self._answers = app is None

    async def wait_for_index(self) -> None:
        """Ask the index until it has answered once: from then on it answers."""
        if self.app is None:
            return
        while not self._answers:
            try:
                await anyio.to_thread.run_sync(
                    self.app.index.value, "SELECT 1", abandon_on_cancel=True
                )
                self._answers = True
            except Exception as error:
                logger.warning("The index does not answer: %s", error)
                await anyio.sleep(PAUSE_S)

    async def health(self, _: Request) -> Response:
        """200 while the process lives."""
        return JSONResponse(self._state())

    async def ready(self, _: Request) -> Response:
        """200 where a question would be answered, else 503."""
        return JSONResponse(self._state(), 200 if self._answers and not self.draining else 503)

    async def counts(self, _: Request) -> Response:
        """Prometheus's text."""
        text = await anyio.to_thread.run_sync(self.metrics.text)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    def _state(self) -> dict[str, str]:
        state = {"status": "draining" if self.draining else "ok"}
        if self.app is not None:
            built = self.app.index.database is not None
            state |= {
                "release": self.app.release_name,
                "database": "ready" if built else "building",
            }
        return state
