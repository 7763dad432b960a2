"""The valid names closest to one that is not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def nearest(text: str, candidates: Iterable[str], *, limit: int = 3) -> list[str]:
    """At most `limit` candidates like `text`, best first, without regard to case or dashes."""
    # Imported on use: only errors and searches need it, a start does not.
    from rapidfuzz import fuzz, process  # noqa: PLC0415

    found = process.extract(
        text, list(candidates), scorer=fuzz.WRatio, processor=folded, limit=limit, score_cutoff=60
    )
    return [str(choice) for choice, _, _ in found]


def folded(text: str) -> str:
    """Text as it is compared: lower case, every run of other characters one space."""
    return re.sub(r"[^0-9a-z]+", " ", str(text).lower()).strip()


@lru_cache(maxsize=8192)
def bare(text: str) -> str:
    """A name as it is compared: letters and digits alone, so `TCGA-LUAD` is `tcga_luad`."""
    return re.sub(r"[^0-9a-z]", "", text.lower())
