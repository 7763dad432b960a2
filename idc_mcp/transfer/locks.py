"""Locks that end with their process: held while a file is locked, whatever kills the holder."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_POLL_S = 0.02


_HELD = {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}


class Lock:
    """An exclusive lock on a file, which is made where it is not there.

    The operating system gives it back when the process ends, by kill -9 or a power cut too:
    that is also how one sees whether a worker lives.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def take(self, *, shared: bool = False) -> bool:
        """Take it without waiting; False where another process has it.

        Raises
        ------
        OSError
            The file cannot be made, or its disk knows no locks.
        """
        file = self._path.open("a+b")
        try:
            if sys.platform == "win32":
                # A lock of Windows keeps others from reading what it covers: it covers nothing.
                os.lseek(file.fileno(), 1 << 40, os.SEEK_SET)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno in _HELD:
                return False
            raise
        self._file = file
        return True

    def wait(self, seconds: float) -> bool:
        """Take it, waiting at most so long; False where another process keeps it."""
        until = time.monotonic() + seconds
        while not self.take():
            if time.monotonic() > until:
                return False
            time.sleep(_POLL_S)
        return True

    def free(self) -> None:
        """Give it back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_held(path: Path) -> bool:
    """Whether a process holds the lock."""
    if not path.exists():
        return False
    lock = Lock(path)
    held = False
    with contextlib.suppress(OSError):
        held = not lock.take(shared=True)
    lock.free()
    return held
