"""Quantities as people say them: bytes in decimal units, as IDC counts them, and times."""

from __future__ import annotations


def bytes_text(count: float) -> str:
    """A number of bytes in decimal units, as IDC counts them: `5.68 TB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            figure = f"{size:,.0f}" if unit == "B" or size >= 999.5 else f"{size:.3g}"
            return f"{figure} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def duration_text(seconds: float) -> str:
    """A time as a person says it: `2 h 5 min`, `3.4 days`."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min"
    return f"{seconds / 86400:,.1f} days"
