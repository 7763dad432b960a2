"""HTTP around the server: who may call, how much, what is told of it, and how it ends.

A request goes through the modules in this order, from the outside: `exchanges` (its log line and
its count), `access` (host, origin, token), `rates` (how many a client may), `bodies` (its body
whole, and its end when the client leaves), and then the SDK. `application` puts them together,
`serving` runs them.
"""

from idc_mcp.http.access import is_local
from idc_mcp.http.serving import serve_http

__all__ = ["is_local", "serve_http"]
