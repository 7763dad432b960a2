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


@dataclass
class _Turns:
    """The requests of one client that are here: those answered now hold a place."""

    places: anyio.Semaphore
    here: int = 0


class Rates:
    """Refuses what is more than a client may; 0 is no limit."""

    def __init__(self, application: ASGIApp, *, per_minute: int, at_once: int) -> None:
        self.application = application
        self.per_minute = per_minute
        self.at_once = at_once
        # A fixed window says truly when the next request is let in, and keeps one number a client.
        self._minute = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._turns: dict[str, _Turns] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks."""
        client = _client_of(scope)
        if self._minute and not await self._limiter.hit(self._minute, client):
            window = await self._limiter.get_window_stats(self._minute, client)
            seconds = max(1, math.ceil(window.reset_time - time.time()))
            await refuse(
                scope, receive, send, "rate",
                f"More than {self.per_minute} requests in a minute are not answered. "
                f"Ask again in {seconds} s.",
                headers={"Retry-After": str(seconds)}, retry_after_s=seconds,
            )  # fmt: skip
        elif not self.at_once:
            await self.application(scope, receive, send)
        elif not await self._in_turn(client, scope, receive, send):
            await refuse(
                scope, receive, send, "busy",
                f"{self.at_once} requests of yours are being answered, and none has ended in time. "
                "Ask again when one has.",
                headers={"Retry-After": str(round(TURN_S))}, retry_after_s=round(TURN_S),
            )  # fmt: skip

    async def _in_turn(self, client: str, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer when a place is free; False where none becomes so."""
        turns = self._turns.get(client)
        if turns is None:
            places = anyio.Semaphore(self.at_once, fast_acquire=True)
            turns = self._turns[client] = _Turns(places)
        if turns.here >= self.at_once + MOST_WAITING:
            return False
        turns.here += 1
        try:
            with anyio.move_on_after(TURN_S) as waiting:
                await turns.places.acquire()
            if waiting.cancelled_caught:
                return False
            try:
                await self.application(scope, receive, send)
            finally:
                turns.places.release()
            return True
        finally:
            turns.here -= 1
            if not turns.here:
                del self._turns[client]


def _client_of(scope: Scope) -> str:
    user = scope.get("user")
    if user is not None:
        return f"name {user.username}"
    return f"address {hash(network_of(address_of(scope))) % PLACES}"
