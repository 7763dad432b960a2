"""Large objects in ranges: what breaks off goes on, what is wrong is not taken."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from idc_mcp.transfer.engines import inprocess
from idc_mcp.transfer.engines.inprocess import ObstoreEngine
from idc_mcp.transfer.objects import Failure, Kind, Limits, Place, Wanted
from tests.transfer.faulty import FaultyMirror

RANGE = 1 << 20
SIZE = 9 * RANGE + 12_346


@pytest.fixture
def content() -> bytes:
    return b"".join(hashlib.sha256(f"{n}".encode()).digest() for n in range(SIZE // 32 + 1))[:SIZE]


@pytest.fixture
def mirror(tmp_path: Path, content: bytes) -> Iterator[FaultyMirror]:
    path = tmp_path / "root" / "idc-open-data" / "u" / "large.dcm"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with FaultyMirror(tmp_path / "root") as server:
        yield server


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObstoreEngine]:
    monkeypatch.setattr(inprocess, "RANGE", RANGE)
    monkeypatch.setattr(inprocess, "RANGED_OVER", 2 * RANGE)
    monkeypatch.setattr(inprocess, "_CHUNK", 1 << 16)
    monkeypatch.setattr(inprocess, "_RANGE_PAUSE_S", 0.01)
    made = ObstoreEngine(Limits(connections=4, stall_s=2.0))
    yield made
    made.close()


def fetch(engine: ObstoreEngine, mirror: FaultyMirror, part: Path) -> tuple[str, int]:
    """The MD5 that the engine tells, and the bytes that it says moved."""
    moved: list[int] = []
    wanted = Wanted("u/large.dcm", SIZE, part)
    place = Place("aws", mirror.url, "idc-open-data")
    return engine.fetch(place, wanted, threading.Event(), moved.append), sum(moved)


def test_ranges_come_together(engine, mirror, content, tmp_path):
    part = tmp_path / "part"
    md5, moved = fetch(engine, mirror, part)
    assert part.read_bytes() == content
    assert md5 == hashlib.md5(content).hexdigest()
    assert moved == SIZE
    assert len(mirror.requests) == 10


@pytest.mark.parametrize(
    ("fault", "options"),
    [("reset", {"after": 500_000}), ("truncated", {"after": 700_000}), (503, {}), ("reset", {})],
)
def test_a_range_that_breaks_off_goes_on_where_it_was(
    engine, mirror, content, tmp_path, fault, options
):
    mirror.fault(fault, on="get", times=2, **options)
    part = tmp_path / "part"
    md5, moved = fetch(engine, mirror, part)
    assert part.read_bytes() == content
    assert md5 == hashlib.md5(content).hexdigest()
    assert moved == SIZE  # nothing came twice
    assert len(mirror.requests) > 10


def test_a_range_that_never_comes_ends_the_fetch(engine, mirror, tmp_path):
    mirror.fault(500)
    with pytest.raises(Failure, match="answered 500") as failed:
        fetch(engine, mirror, tmp_path / "part")
    assert failed.value.kind is Kind.UNANSWERED


def test_a_range_that_is_too_short_is_corrupt(engine, mirror, tmp_path):
    mirror.fault("short", on="get", times=1)
    with pytest.raises(Failure) as failed:
        fetch(engine, mirror, tmp_path / "part")
    assert failed.value.kind in (Kind.CORRUPT, Kind.UNANSWERED)


def test_a_flipped_bit_shows_in_the_md5(engine, mirror, content, tmp_path):
    mirror.fault("bit", on="get", times=1)
    md5, _ = fetch(engine, mirror, tmp_path / "part")
    assert md5 == hashlib.md5((tmp_path / "part").read_bytes()).hexdigest()
    assert md5 != hashlib.md5(content).hexdigest()


def test_a_stop_ends_it(engine, mirror, tmp_path):
    mirror.fault("slow", on="get", rate=100_000)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Failure) as failed:
        engine.fetch(
            Place("aws", mirror.url, "idc-open-data"),
            Wanted("u/large.dcm", SIZE, tmp_path / "part"),
            stop,
            lambda _: None,
        )
    assert failed.value.kind is Kind.STOPPED
