"""Who may call: host names, origins, tokens; and whether a server may start as it is set up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, BearerAuthBackend
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request

from idc_mcp.errors import BadArgument
from idc_mcp.http.exchanges import exchange_of
from idc_mcp.http.refusals import refuse
from idc_mcp.http.tokens import Tokens
from idc_mcp.settings import listed

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from idc_mcp.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")
TOLD_TO_BROWSERS = ("Mcp-Session-Id", "WWW-Authenticate", "Retry-After", "X-Request-Id")
"""Headers of answers that scripts of allowed origins may read."""

PREFLIGHT_S = 600
"""How long a browser may remember that an origin is allowed."""


class Access(NamedTuple):
    """Who may call a server."""

    hosts: list[str]
    origins: list[str]
    browsers: list[str]
    """The origins that others than this machine's own pages come from."""
    tokens: Tokens | None


def is_local(host: str) -> bool:
    """Whether a server on this host is reached from this machine only."""
    return host in LOOPBACK


def access_of(settings: Settings, host: str, port: int) -> Access:
    """Who may call a server on this host and port.

    Raises
    ------
    BadArgument
        The server is hosted and nobody said who may call, or the token file is not understood.
    """
    hosts, origins = listed(settings.allowed_hosts.lower()), listed(settings.allowed_origins)
    browsers = list(origins)
    if is_local(host):
        names = ["127.0.0.1", "localhost", "[::1]"]
        own = [f"{name}:{port}" for name in names] + (names if port == 80 else [])
        hosts, origins = hosts + own, origins + [f"http://{name}" for name in own]
    elif not hosts:
        raise BadArgument(
            f"--host {host} serves other machines, and no host name is allowed yet.",
            next_step="set IDC_MCP_ALLOWED_HOSTS to the names and ports that clients use, "
            f"such as idc.example.org:{port}",
        )
    if settings.tokens_file:
        tokens = Tokens(Path(settings.tokens_file).expanduser().absolute())
    elif settings.open or (is_local(host) and not settings.hosted):
        tokens = None
    else:
        raise BadArgument(
            "This server is hosted and has no tokens: everybody who reaches it could call it.",
            next_step="set IDC_MCP_TOKENS_FILE to a file of tokens (`idc-mcp token NAME` makes "
            "them), or IDC_MCP_OPEN=1 if it is to answer everybody",
        )
    return Access(hosts, origins, browsers, tokens)


def guarded(application: ASGIApp, access: Access) -> ASGIApp:
    """The application for those alone who may call it."""
    if access.tokens:
        known = AuthContextMiddleware(Named(application))
        application = AuthenticationMiddleware(known, backend=BearerAuthBackend(access.tokens))
    if access.browsers:
        application = CORSMiddleware(
            application,
            allow_origins=[origin for origin in access.browsers if not origin.endswith(":*")],
            allow_origin_regex=_any_port(access.browsers),
            allow_methods=["POST"],
            allow_headers=["*"],  # the protocol has headers named after tools' arguments
            expose_headers=TOLD_TO_BROWSERS,
            max_age=PREFLIGHT_S,
        )
    return Hosts(application, access)


def _any_port(origins: list[str]) -> str | None:
    starts = [re.escape(origin[:-2]) for origin in origins if origin.endswith(":*")]
    return rf"(?:{'|'.join(starts)}):\d+" if starts else None


class Hosts:
    """Refuses requests for other hosts, and of pages from other origins."""

    def __init__(self, application: ASGIApp, access: Access) -> None:
        self.application = application
        self.rules = TransportSecurityMiddleware(
            TransportSecuritySettings(allowed_hosts=access.hosts, allowed_origins=access.origins)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks."""
        headers = [  # names of hosts have no case (RFC 9110, 4.2.3)
            (name, value.lower() if name == b"host" else value) for name, value in scope["headers"]
        ]
        refusal = await self.rules.validate_request(Request({**scope, "headers": headers}))
        if refusal is None:
            await self.application(scope, receive, send)
        elif refusal.status_code == 403:
            await refuse(
                scope, receive, send, "origin",
                "Pages of this origin may not call this server. Its operator allows origins with "
                "IDC_MCP_ALLOWED_ORIGINS.",
            )  # fmt: skip
        else:
            await refuse(
                scope, receive, send, "host",
                "This server does not answer under this host name. Its operator allows names, "
                "with their ports, with IDC_MCP_ALLOWED_HOSTS.",
            )  # fmt: skip


class Named:
    """Lets clients in whose token is known, and tells the exchange their names."""

    def __init__(self, application: ASGIApp) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI asks."""
        user = scope.get("user")
        if isinstance(user, AuthenticatedUser):
            if exchange := exchange_of(scope):
                exchange.client = user.username
            await self.application(scope, receive, send)
            return
        # RFC 6750, 3.1: a request without any token is told no error code.
        if "authorization" in Headers(scope=scope):
            challenge = 'Bearer realm="idc-mcp", error="invalid_token"'
            message = "This token is not known here, or not any more. The operator gives another."
        else:
            challenge = 'Bearer realm="idc-mcp"'
            message = (
                "This server wants a token in the header `Authorization: Bearer TOKEN`. Its "
                "operator gives one."
            )
        await refuse(
            scope, receive, send, "token", message, headers={"WWW-Authenticate": challenge}
        )
