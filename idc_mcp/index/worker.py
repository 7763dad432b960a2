"""The process that runs callers' SQL: `python -m idc_mcp.index.worker`, started by `pool.py`.

It reads frames (four bytes of length, then JSON) from its standard input and answers on its
standard output, both moved out of the way first, so that nothing printed can be taken for an
answer. First comes the place to open, then one statement a frame. It imports little, holds
nothing that would be missed, bounds its own memory, and ends when its parent does.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import struct
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from idc_mcp.errors import IdcError, NotFetched, SqlError
from idc_mcp.index.naming import Catalogue, hint
from idc_mcp.index.release import Release

LENGTH = struct.Struct(">I")

SETTLED = b'{"settled": true}'
"""Follows every answer, once nothing of the statement runs any more."""

ENGINE_SHARE = 0.75
"""Of the memory ceiling, what the engine's own limit allows; the rest is what it does not count."""

LARGEST_FILE = 8 << 30
"""Bytes of one file that a statement may write, saved rows and spilled ones alike."""

SMALLER = "aggregate (count, sum, GROUP BY), filter with WHERE, or select fewer columns"

_DAMAGE = {"IOException", "FatalException", "SerializationException"}
_DAMAGE_WORDS = ("corrupt", "checksum")
_SPENT = {"FatalException", "InternalException", "OutOfMemoryException"}
"""After these the process is not used again."""


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end of the stream."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: BinaryIO, body: bytes) -> None:
    """Write one frame, all of it."""
    stream.write(LENGTH.pack(len(body)) + body)
    stream.flush()


def limit_process(memory_mb: int) -> None:
    """Bound the memory that this process may still take, and the files that it writes."""
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:  # pragma: no cover
        return
    # Address space is reserved far beyond what is used; only what is added from now on counts.
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # pragma: no cover  not on macOS, where this limit is not kept anyway
        pages = (2 << 30) // resource.getpagesize()
    address_space = pages * resource.getpagesize() + (memory_mb << 20)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_AS, address_space),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Open the place that the first frame names, then answer one frame after the other."""
    first = read_frame(requests)
    if first is None:
        return
    config = json.loads(first)
    scratch = Path(config["scratch"])
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def watch() -> None:
        # Also in the middle of a statement: the end of the stream is the end of the parent.
        while (body := read_frame(requests)) is not None:
            waiting.put(body)
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
    session = Session(config)
    write_frame(answers, session.open())
    while session.connection is not None:
        write_frame(answers, session.answer(json.loads(waiting.get())))
        session.settle()
        write_frame(answers, SETTLED)
    threading.Event().wait()  # the answer says that nothing opened: the parent ends this process


class Session:
    """One locked connection, and answers as bytes: a value or an error, never an exception."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.connection: Any = None
        self.collections: list[str] = []

    def open(self) -> bytes:
        """Open and lock the connection."""
        from idc_mcp.index import sandbox  # noqa: PLC0415  it takes DuckDB, which may be missing

        config = self.config
        database = config["database"]
        place = sandbox.Place(
            release=_release(config),
            database=Path(database) if database else None,
            cohorts=Path(config["cohorts"]),
            scratch=Path(config["scratch"]),
            threads=config["threads"],
            memory_mb=int(config["memory_mb"] * ENGINE_SHARE),
        )
        try:
            self.connection = sandbox.locked_connection(place)
            self.collections = [] if config["clinical"] else _collections(self.connection)
        except Exception as error:
            return _failed(error, damaged=database is not None)
        limit_process(config["memory_mb"])
        return json.dumps({"ready": True}).encode()

    def answer(self, request: dict[str, Any]) -> bytes:
        """Run one statement."""
        from idc_mcp.index import sandbox  # noqa: PLC0415

        cohorts = request["cohorts"]
        save_format = request["save_format"]
        saved = Path(self.config["scratch"]) / f"saved.{save_format}" if save_format else None
        try:
            answer = sandbox.run(
                self.connection,
                request["sql"],
                Catalogue(
                    self.config["tables"],
                    self.config["described"],
                    cohorts,
                    self.config["clinical"],
                    self.collections,
                ),
                max_rows=request["max_rows"],
                max_chars=request["max_chars"],
                cohorts=cohorts,
                save_to=saved,
                save_format=save_format,
            )
        except BaseException as error:
            return _failed(error)
        head = {
            "columns": answer.columns,
            "types": answer.types,
            "complete": answer.complete,
            "clipped": answer.clipped,
            "saved_rows": answer.saved_rows,
            "saved": str(saved) if saved else None,
        }
        # The rows are JSON already: they are set in as they are.
        text = json.dumps(head, ensure_ascii=False)[:-1]
        return f'{text}, "rows": [{",".join(answer.rows)}]}}'.encode()

    def settle(self) -> None:
        """End what is left of the last statement; a connection that cannot is of no more use."""
        from idc_mcp.index import sandbox  # noqa: PLC0415

        try:
            sandbox.settle(self.connection)
        except BaseException:
            os._exit(1)


def _collections(connection: Any) -> list[str]:
    rows = connection.execute("SELECT collection_id FROM main.collections_index").fetchall()
    return [str(row[0]) for row in rows if row[0]]


def _release(config: dict[str, Any]) -> Release:
    """The parent's release: what it has left out is left out here too."""
    return Release(
        config["data_version"],
        Path(config["directory"]),
        Path(config["fetched"]) if config["fetched"] else None,
        {name: Path(path) for name, path in config["files"].items()},
        {name: tuple(map(Path, paths)) for name, paths in config["clinical"].items()},
    )


def _failed(error: BaseException, *, damaged: bool = False) -> bytes:
    """An error as a frame: its family, its words, the next step, and what became of the process."""
    name = type(error).__name__
    message = str(error)
    spent = name in _SPENT
    if isinstance(error, MemoryError):
        error, spent = out_of_memory(), True
    if not isinstance(error, IdcError):
        damaged |= name in _DAMAGE and any(word in message.lower() for word in _DAMAGE_WORDS)
        more = SMALLER if name == "OutOfMemoryException" else hint(message)
        error = SqlError(message or name, next_step=more)
    return json.dumps(
        {
            "error": type(error).__name__,
            "what": error.what,
            "nearest": error.nearest,
            "next_step": error.next_step,
            "tables": list(error.tables) if isinstance(error, NotFetched) else [],
            "spent": spent,
            "damaged": damaged,
        }
    ).encode()


def out_of_memory() -> SqlError:
    """What is said where a statement needs more than its process may have."""
    return SqlError("The statement needs more memory than it may use.", next_step=SMALLER)


def main() -> None:
    """Serve the parent on private copies of standard input and output."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    sys.stdout = sys.stderr
    serve(requests, answers)


if __name__ == "__main__":
    main()
