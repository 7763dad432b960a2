"""Where a host starts the server of an unpacked bundle: `uv run server.py`."""

import sys

from idc_mcp.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve"]))
