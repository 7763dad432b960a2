"""What the buckets hold beside the series of `data/`: whatever else a document downloads."""

from __future__ import annotations

MIRRORED: tuple[str, ...] = ()
"""SeriesInstanceUIDs of the catalogue; the mirror gets stand-ins of their files and bytes."""
