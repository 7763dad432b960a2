"""How much one client may: requests in a minute, and requests at the same time.

A client is the name of its token, else its address. Counts are this process's own: replicas behind
a load balancer each count for themselves.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from idc_mcp.http.addresses import address_of, network_of
from idc_mcp.http.refusals import refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PLACES = 4_096
"""Addresses share this many counters, so that memory is bounded whatever addresses call.

Which share one differs from start to start: Python salts the hash of a text.
"""

TURN_S = 5.0
"""How long a request waits for one of its client's others to end."""

MOST_WAITING = 16
"""How many requests of one client may wait for that."""


class Minute:
    """Refuses what is more than a client may ask in a minute."""

    def __init__(self, application: ASGIApp, most: int) -> None:
        self.application = application
        # A fixed window says truly when the next request is let in, and keeps one number a client.
        self.most = RateLimitItemPerMinute(most)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks."""
        client = _client_of(scope)
        if await self._limiter.hit(self.most, client):
            await self.application(scope, receive, send)
            return
        window = await self._limiter.get_window_stats(self.most, client)
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        await refuse(
            scope, receive, send, "rate",
            f"More than {self.most.amount} requests in a minute are not answered. "
            f"Ask again in {seconds} s.",
            headers={"Retry-After": str(seconds)}, retry_after_s=seconds,
        )  # fmt: skip


@dataclass
class _Here:
    """The requests of one client that are here: those answered now hold a place."""

    places: anyio.Semaphore
    count: int = 0


class Turns:
    """Answers some requests of a client at the same time; the others wait, or are refused.

    It comes after the body: a request that is still being sent holds no place.
    """

    def __init__(self, application: ASGIApp, at_once: int) -> None:
        self.application = application
        self.at_once = at_once
        self._clients: dict[str, _Here] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks."""
        if await self._in_turn(_client_of(scope), scope, receive, send):
            return
        await refuse(
            scope, receive, send, "busy",
            f"{self.at_once} requests of yours are being answered, and none has ended in time. "
            "Ask again when one has.",
            headers={"Retry-After": str(round(TURN_S))}, retry_after_s=round(TURN_S),
        )  # fmt: skip

    async def _in_turn(self, client: str, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer when a place is free; False where none becomes so."""
        here = self._clients.get(client)
        if here is None:
            places = anyio.Semaphore(self.at_once, fast_acquire=True)
            here = self._clients[client] = _Here(places)
        if here.count >= self.at_once + MOST_WAITING:
            return False
        here.count += 1
        try:
            with anyio.move_on_after(TURN_S) as waiting:
                await here.places.acquire()
            if waiting.cancelled_caught:
                return False
            try:
                await self.application(scope, receive, send)
            finally:
                here.places.release()
            return True
        finally:
            here.count -= 1
            if not here.count:
                del self._clients[client]


def _client_of(scope: Scope) -> str:
    user = scope.get("user")
    if user is not None:
        return f"name {user.username}"
    return f"address {hash(network_of(address_of(scope))) % PLACES}"
