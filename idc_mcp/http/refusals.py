"""What a request that is refused gets: a status, JSON-RPC's form of an error, and words.

The body has not been read where most refusals happen, so the `id` is null, as JSON-RPC says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from idc_mcp.http.exchanges import exchange_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

CODE = -32_000
"""The first of the codes that JSON-RPC leaves to servers; `data.reason` tells which it is."""

STATUS = {
    "token": 401, "origin": 403, "method": 405, "slow": 408, "size": 413, "host": 421,
    "rate": 429, "busy": 429, "stopping": 503,
}  # fmt: skip
"""Every reason to refuse a request, and its HTTP status."""


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    reason: str,
    message: str,
    *,
    headers: dict[str, str] | None = None,
    **data: Any,
) -> None:
    """Answer with the status of `reason`, and remember it for the log and the counts."""
    if exchange := exchange_of(scope):
        exchange.refused = reason
    error = {"code": CODE, "message": message, "data": {"reason": reason, **data}}
    response = JSONResponse(
        {"jsonrpc": "2.0", "id": None, "error": error}, STATUS[reason], headers=headers
    )
    await response(scope, receive, send)
