"""`python -m idc_mcp` is the `idc-mcp` command."""

from idc_mcp.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
