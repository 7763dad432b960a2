"""The small set of tables, made once and kept between runs."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from pathlib import Path

from idc_mcp.index.release import installed_release
from tests.published.clinical import publish

BUCKET = "idc-open-metadata"


def published_small(cache: Path) -> Path:
    """A directory of `<table>.parquet` and `clinical/<short table name>/<file>.parquet`.

    It is `published-<key>` below `cache`; the key is of the generator's source and the release,
    so a change of either makes it anew. Several processes may ask at once.
    """
    kept = cache / f"published-{_key()}"
    if not kept.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="publishing-") as made:
            publish(installed_release(), Path(made) / "whole")
            with contextlib.suppress(OSError):  # another process was first
                (Path(made) / "whole").rename(kept)
    return kept


def clinical_bucket(published: Path, root: Path) -> Path:
    """Lay the clinical tables out as in their bucket, below a root for a `Mirror` to serve."""
    number = installed_release().number
    place = root / BUCKET / "bigquery_export" / f"idc_v{number}_clinical"
    shutil.copytree(published / "clinical", place)
    return root


def _key() -> str:
    # What the rows are made of; who serves them changes no row.
    sources = sorted(Path(__file__).parent.glob("*.py"))
    told = b"".join(path.read_bytes() for path in sources if path.name != "server.py")
    return hashlib.sha256(installed_release().data_version.encode() + told).hexdigest()[:12]
