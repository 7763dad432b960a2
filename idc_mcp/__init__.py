"""idc-mcp: a Model Context Protocol server for the NCI Imaging Data Commons."""

__version__ = "0.1.0"
