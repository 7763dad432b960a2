"""Addresses: whose they are, and which proxies are believed."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from idc_mcp.errors import BadArgument
from idc_mcp.settings import listed

if TYPE_CHECKING:
    from starlette.types import Scope

UNREADABLE = "unknown"
"""The address where a proxy gave none that can be read."""


def address_of(scope: Scope) -> str:
    """The caller's address: the proxy's word for it where the proxy is one of `IDC_MCP_PROXIES`."""
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0]) if client else UNREADABLE
    except ValueError:
        return UNREADABLE
    # An IPv4 address may come written as one of IPv6 (RFC 4291, 2.5.5.2).
    return str(getattr(address, "ipv4_mapped", None) or address)


def network_of(address: str) -> str:
    """Who is counted as one caller: an IPv4 address, or the /64 that one IPv6 subscriber has."""
    if ":" not in address:
        return address
    whole = int(ipaddress.IPv6Address(address.partition("%")[0]))
    return str(ipaddress.IPv6Address(whole >> 64 << 64))


def proxies_of(text: str) -> list[str]:
    """The proxies of the setting.

    Raises
    ------
    BadArgument
        One is neither an address nor a network. All (`*`) is none: then anybody may forge.
    """
    proxies = listed(text)
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError as error:
            raise BadArgument(
                f"IDC_MCP_PROXIES names {proxy!r}, which is no address or network: {error}.",
                next_step="name the addresses from which the proxy connects, such as 127.0.0.1 "
                "or 172.16.0.0/12",
            ) from None
    return proxies
