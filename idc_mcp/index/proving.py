"""Parquet that nobody has proven yet is read in a process of its own, with bounded memory.

A few kilobytes may say that they hold gigabytes. `python -m idc_mcp.index.proving MEGABYTES`
reads frames as `worker.py` does, a file each, and ends when its parent does.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from idc_mcp.errors import Damaged, IdcError, Unavailable
from idc_mcp.index.parquet import Reader, check_parquet
from idc_mcp.index.release import Column, TableSchema
from idc_mcp.index.worker import limit_process, read_frame, write_frame

MEMORY_MB = 1_536
"""What the process may take beyond its start; the engine in it allows itself two thirds."""

_POLL_S = 0.1


class Prover:
    """Proves files, one after the other; one thread at a time uses it.

    Raises
    ------
    Unavailable
        The process cannot be started.
    """

    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                # -P: the directory that we were started in may hold a json.py of its own.
                [sys.executable, "-P", "-m", "idc_mcp.index.proving", str(MEMORY_MB)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"MALLOC_ARENA_MAX": "2", "PYTHONDONTWRITEBYTECODE": "1"},
                start_new_session=True,  # Ctrl-C is ours to take
            )
        except OSError as error:
            raise Unavailable(
                f"No process to prove tables can be started: {error}.",
                next_step="run `idc-mcp doctor`",
            ) from error
        self._memory_mb = MEMORY_MB
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="idc-prove", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(
        self,
        path: Path,
        schema: TableSchema | None,
        data_version: str,
        *,
        read: bool = False,
        go_on: Callable[[], None],
    ) -> int:
        """As `parquet.check_parquet`; `go_on` is called meanwhile, and what it raises ends it.

        After Damaged, and after what `go_on` raised, it may be of no more use: see `alive`.

        Raises
        ------
        Damaged
            It is cut short or corrupt, or takes more memory than a table does.
        Unavailable
            It is sound, but no Parquet, of another version, or without a column of the schema.
        """
        request = {
            "path": str(path),
            "schema": asdict(schema) if schema else None,
            "data_version": data_version,
            "read": read,
        }
        with contextlib.suppress(OSError, ValueError):  # its end shows in what is received
            write_frame(cast(BinaryIO, self._process.stdin), json.dumps(request).encode())
        try:
            body = self._answer(go_on)
        except BaseException:
            self.close()
            raise
        if body is None:
            status = self._process.wait()
            self.close()
            raise Damaged(
                f"The process that read it ended ({status}); it may take more than "
                f"{self._memory_mb} MB of memory."
            )
        answer = json.loads(body)
        if "rows" in answer:
            return int(answer["rows"])
        if answer["spent"]:
            self.close()
        raise (Unavailable if answer["error"] == "Unavailable" else Damaged)(answer["what"])

    @property
    def alive(self) -> bool:
        """Whether it can prove more."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            cast(BinaryIO, self._process.stdin).close()

    def _answer(self, go_on: Callable[[], None]) -> bytes | None:
        while True:
            go_on()
            try:
                return self._answers.get(timeout=_POLL_S)
            except queue.Empty:
                continue

    def _read(self) -> None:
        stream = cast(BinaryIO, self._process.stdout)
        with stream:
            while (body := read_frame(stream)) is not None:
                self._answers.put(body)
        self._answers.put(None)


# -- in the process ------------------------------------------------------------------------


def serve(requests: BinaryIO, answers: BinaryIO, memory_mb: int) -> None:
    """Prove what the frames name, one after the other, until they end."""
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def watch() -> None:
        # Also in the middle of a file: the end of the stream is the end of the parent.
        while (body := read_frame(requests)) is not None:
            waiting.put(body)
        os._exit(0)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
    reader = Reader()
    limit_process(memory_mb)
    while True:
        write_frame(answers, json.dumps(_proven(json.loads(waiting.get()), reader)).encode())


def _proven(request: dict[str, Any], reader: Reader) -> dict[str, Any]:
    told = request["schema"]
    schema = told and TableSchema(
        told["name"], told["description"], tuple(Column(**column) for column in told["columns"])
    )
    try:
        rows = check_parquet(
            Path(request["path"]), schema, request["data_version"],
            read=request["read"], reader=reader,
        )  # fmt: skip
    except IdcError as error:
        # After some errors the engine answers nothing more, whatever it is asked.
        spent = isinstance(error, Damaged)
        return {"error": type(error).__name__, "what": error.what, "spent": spent}
    except MemoryError:
        what = "It takes more memory than a table does."
        return {"error": "Damaged", "what": what, "spent": True}
    return {"rows": rows}


def main() -> None:
    """Serve the parent on private copies of standard input and output."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    serve(requests, answers, int(sys.argv[1]))


if __name__ == "__main__":
    main()
