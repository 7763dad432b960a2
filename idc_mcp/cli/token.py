"""`idc-mcp token`: a new token for a client of a hosted server."""

from __future__ import annotations

import sys


def token(name: str) -> int:
    """Print a token once, and the line that lets it in; nothing is kept.

    Raises
    ------
    BadArgument
        The name is none that a token file may have.
    """
    from idc_mcp.http.tokens import line_of, new_token  # noqa: PLC0415  they bring the SDK

    made = new_token()
    line = line_of(name, made)
    print(
        f"For {name}, shown once:\n  {made}\nFor the file of IDC_MCP_TOKENS_FILE:", file=sys.stderr
    )
    print(line)
    return 0
