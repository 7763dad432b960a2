"""HTTP around the server: who may call, how much, what is told of it, and how it ends.

A request goes through the modules in this order, from the outside: `heads` (its connection),
`exchanges` (its log line and its count), `endings` (what of it comes after its answer), `access`
(host, origin, token), `rates` (how many in a minute), `bodies` (its body whole, and its end when
the client leaves), `rates` again (its turn), and then the SDK. `application` puts them together,
`serving` runs them.
"""

from idc_mcp.http.access import is_local
from idc_mcp.http.serving import serve_http

__all__ = ["is_local", "serve_http"]
