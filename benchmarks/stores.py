"""What is downloaded, the servers that give it, and processes with their end, memory and time."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from idc_mcp.cli.mirror import Mirror, run
from idc_mcp.cli.s3 import Answer, Request, Slice, send_piece
from idc_mcp.transfer.objects import Series

HOST = "127.0.0.1"
TRUST = ("SSL_CERT_FILE", "AWS_CA_BUNDLE")
"""What says whom to trust: to all, and before that to AWS's clients."""
STEP = 16_384
TICKS = 100
"""Pieces of a second in which a connection with a cap is given its bytes."""


@dataclass(frozen=True)
class Load:
    """The objects of one bucket, all alike."""

    what: str
    bucket: str
    series: list[Series]

    @property
    def files(self) -> int:
        return sum(one.files or 0 for one in self.series)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.series)

    @classmethod
    def make(cls, root: Path, what: str, bucket: str, series: int, files: int, size: int) -> Load:
        return cls(
            what, bucket,
            [
                make_series(root, number, str(uuid.uuid4()), bucket, files, files * size)
                for number in range(series)
            ],
        )  # fmt: skip


def make_series(root: Path, number: int, key: str, bucket: str, files: int, size: int) -> Series:
    """A series of random bytes that begin as DICOM files do, in files of about one size."""
    place = root / bucket / key
    place.mkdir(parents=True)
    for i in range(files):
        length = size // files + (size % files if i == 0 else 0)
        with (place / f"{uuid.uuid4()}.dcm").open("wb") as file:
            start = (bytes(128) + b"DICM")[:length]
            file.write(start)
            for at in range(len(start), length, 1 << 20):
                file.write(os.urandom(min(1 << 20, length - at)))
    return Series(number, key, f"1.2.{number}", f"series-{number}", files, size, bucket, None)


# -- servers -----------------------------------------------------------------------------------


@dataclass
class Paced(Answer):
    """An answer that comes late, or no faster than a connection may carry."""

    seconds: float = 0.0
    rate: float = 0.0

    def send(self, connection: socket.socket, with_body: bool) -> bool:
        time.sleep(self.seconds)
        if not self.rate or not with_body:
            return super().send(connection, with_body)
        connection.sendall(self.head())
        step = max(STEP, int(self.rate / TICKS))
        started, sent = time.monotonic(), 0
        for piece in self.body:
            if not isinstance(piece, Slice):
                connection.sendall(piece)
                continue
            for at in range(0, piece.length, step):
                part = Slice(piece.path, piece.start + at, min(step, piece.length - at))
                send_piece(connection, part)
                sent += part.length
                time.sleep(max(0.0, started + sent / self.rate - time.monotonic()))
        return True


class PacedMirror(Mirror):
    """A mirror that is far away: `seconds` before each answer, `rate` bytes/s a connection."""

    seconds = 0.0
    rate = 0.0

    def intercept(self, request: Request, answer: Answer) -> Answer:
        return Paced(answer.status, answer.headers, answer.body, self.seconds, self.rate)


@contextlib.contextmanager
def far_mirror(root: Path, seconds: float, rate: float) -> Iterator[str]:
    """The address of a mirror in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stores", str(root), str(seconds), str(rate)]
    with _process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()


@contextlib.contextmanager
def rclone(root: Path, tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """The address of `rclone serve s3`, with the given certificate and key over TLS."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("rclone")), "serve", "s3", "--config", os.devnull,
        "--addr", f"{HOST}:{port}", "--read-only", "--dir-cache-time", "24h", str(root),
    ]  # fmt: skip
    if tls:
        command += ["--cert", str(tls[0]), "--key", str(tls[1])]
    with _process(command, stderr=subprocess.DEVNULL) as process:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                break
            if process.poll() is not None:
                raise RuntimeError("rclone did not start")
            time.sleep(0.05)
        yield f"{'https' if tls else 'http'}://{HOST}:{port}"


@contextlib.contextmanager
def _process(command: list[str], **options: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def certificate(place: Path) -> tuple[Path, Path]:
    """A certificate for this host that signs itself, and its key."""
    config, cert, key = place / "openssl.cnf", place / "cert.pem", place / "key.pem"
    config.write_text(
        f"[req]\ndistinguished_name=name\nx509_extensions=more\nprompt=no\n[name]\nCN={HOST}\n"
        f"[more]\nsubjectAltName=IP:{HOST}\nbasicConstraints=critical,CA:FALSE\n",
        encoding="utf-8",
    )
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-config", config, "-keyout", key, "-out", cert,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@contextlib.contextmanager
def trusted(cert: Path) -> Iterator[None]:
    """Programs that are started meanwhile trust a certificate, and no other."""
    before = {name: os.environ.get(name) for name in TRUST}
    os.environ.update(dict.fromkeys(TRUST, str(cert)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


# -- processes ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """A process that has ended, with those it waited for: seconds, CPU seconds, peak memory."""

    status: int
    seconds: float
    user_s: float
    system_s: float
    peak_mb: float


def children() -> set[int]:
    """The processes that this one started."""
    return _children(os.getpid())


def watch(pid: int, started: float) -> Ended:
    """Wait for a process of ours; it is killed where the waiting is broken off."""
    peaks: dict[int, float] = {}
    try:
        for tick in range(10**9):
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return Ended(
                    os.waitstatus_to_exitcode(status), time.perf_counter() - started,
                    usage.ru_utime, usage.ru_stime, sum(peaks.values()),
                )  # fmt: skip
            if tick % 4 == 0:
                # ru_maxrss would begin with the memory of the process that forked.
                for one in _tree(pid) if tick % 40 == 0 else (*peaks,):
                    with contextlib.suppress(OSError, StopIteration):
                        peaks[one] = max(peaks.get(one, 0.0), _peak_mb(one))
            time.sleep(0.005)
    except BaseException:
        for one in reversed(_tree(pid)):
            with contextlib.suppress(OSError):
                os.kill(one, 9)
        with contextlib.suppress(OSError):
            os.waitpid(pid, 0)
        raise
    raise AssertionError


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


def _tree(pid: int) -> list[int]:
    known = [pid]
    for one in known:
        known += _children(one)
    return known


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, task.read_text().split()))
    return found


def enough_room(place: Path, size: int) -> None:
    """Raise where a disk has no room for a benchmark."""
    if shutil.disk_usage(place).free < size:
        raise SystemExit(f"{place} has less than {size / 1e9:.1f} GB free")


if __name__ == "__main__":
    mirror = PacedMirror(Path(sys.argv[1]))
    mirror.seconds, mirror.rate = float(sys.argv[2]), float(sys.argv[3])
    run(mirror)
