"""Files of our own: private directories, and files that are whole or not there at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idc_mcp.errors import Unavailable


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner can enter, and return it.

    Raises
    ------
    Unavailable
        It cannot be made or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"The directory {path} cannot be made: {error.strerror or error}.",
            next_step="set IDC_MCP_CACHE_DIR, IDC_MCP_STATE_DIR or IDC_MCP_OUTPUT_DIR "
            "to a directory that you can write",
        ) from error
    return path


SCRATCH = ".part-"
"""How the names of temporary files begin."""


@contextmanager
def scratch_file(directory: Path, suffix: str = "") -> Iterator[Path]:
    """Give a new temporary file in `directory`; it is removed at the end if still there."""
    handle, name = tempfile.mkstemp(dir=directory, prefix=SCRATCH, suffix=suffix)
    os.close(handle)
    part = Path(name)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def shared_scratch_file(directory: Path, suffix: str = "") -> Iterator[Path]:
    """As `scratch_file`, for a file that others may read: its mode is as the umask says."""
    part = directory / f"{SCRATCH}{secrets.token_hex(8)}{suffix}"
    # The system applies the umask (and a directory's ACL): Python can only read it by setting it.
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes its place only if the block succeeds.

    Two processes that write the same file do no harm: the last whole one stays.
    """
    with scratch_file(path.parent, path.suffix) as part:
        yield part
        publish(part, path)


def publish(part: Path, path: Path) -> None:
    """Put a finished temporary file in the place of `path`, for good."""
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(path)


def write_whole(path: Path, content: str) -> None:
    """Write text to `path` so that nobody ever sees half of it."""
    with whole_file(path) as part:
        part.write_text(content, encoding="utf-8")
