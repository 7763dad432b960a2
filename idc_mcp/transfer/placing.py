"""From a part file to a whole file in its place; never onto a file that is not ours."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from idc_mcp.quantities import bytes_text
from idc_mcp.transfer.objects import Failure, Kind, Listed
from idc_mcp.transfer.receipts import Receipt, md5_of

_PREAMBLE = 128
_DICM = b"DICM"
"""A DICOM file has it behind a preamble of 128 bytes (PS3.10, section 7.1)."""

_DISK_ENDS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV, errno.ESTALE}


def place(
    part: Path, target: Path, listed: Listed, md5: str, aside: Path | None
) -> tuple[Receipt, bool]:
    """Prove a part file, make it last, and put it in its place.

    Returns its receipt, and whether a file of ours that was not whole any more lay there.

    Parameters
    ----------
    md5
        Of the bytes that came.
    aside
        Where a file at `target` is kept that was put there by us and is not any more what
        came; None where one that is there would not be ours.

    Raises
    ------
    Failure
        CORRUPT where it is not what the store lists or no DICOM file; FOREIGN where another
        file is in the way.
    """
    with part.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size != listed.size:
            raise Failure(
                Kind.CORRUPT,
                f"{listed.name}: {size:,} bytes came, the store lists {listed.size:,}",
            )
        if listed.md5 is not None and md5 != listed.md5:
            raise Failure(
                Kind.CORRUPT,
                f"{listed.name}: its MD5 is {md5}, the store lists {listed.md5}",
            )
        if file.read(_PREAMBLE + len(_DICM))[_PREAMBLE:] != _DICM:
            raise Failure(Kind.CORRUPT, f"{listed.name}: it is no DICOM file (no DICM at byte 128)")
        os.fsync(file.fileno())
        mtime_ns = os.fstat(file.fileno()).st_mtime_ns
    checked = "size" if listed.md5 is None else "md5"
    replaced = False
    if not os.path.lexists(target):
        part.replace(target)
    elif aside is not None:
        # Damaged, or edited by its user: nothing is lost.
        aside.parent.mkdir(parents=True, exist_ok=True)
        target.replace(aside)
        part.replace(target)
        replaced = True
    elif not target.is_file() or target.stat().st_size != size or md5_of(target) != md5:
        raise foreign(target, listed)
    else:
        part.unlink()
        mtime_ns = target.stat().st_mtime_ns
    return Receipt(listed.name, size, md5, checked, mtime_ns), replaced


def adopt(target: Path, listed: Listed) -> Receipt | None:
    """A receipt for a file that is there already and is what the store lists, if it is."""
    if listed.md5 is None or target.is_symlink() or not target.is_file():
        return None
    status = target.stat()
    if status.st_size != listed.size or md5_of(target) != listed.md5:
        return None
    return Receipt(listed.name, listed.size, listed.md5, "md5", status.st_mtime_ns)


def foreign(target: Path, listed: Listed) -> Failure:
    """A file that this program did not write is where one of the series belongs."""
    what = f"{target.lstat().st_size:,} bytes" if target.is_file() else "not a file"
    return Failure(
        Kind.FOREIGN,
        f"{target} ({what}) is in the way and not from here: the archive's file has "
        f"{bytes_text(listed.size)}. Move it away and resume",
    )


def sync_directory(path: Path) -> None:
    """Make the names in a directory last."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_failure(error: OSError, writing: Path | None = None) -> Failure:
    """An error of writing as a failure: of the disk, or of this one folder."""
    words = error.strerror or str(error)
    # Where a file is put in its place, the second name is that place.
    path = error.filename2 or error.filename or writing
    where = f" ({path})" if path else ""
    if error.errno in _DISK_ENDS:
        return Failure(Kind.DISK, f"the disk cannot be written: {words}{where}")
    return Failure(Kind.UNWRITABLE, f"it cannot be written: {words}{where}")
