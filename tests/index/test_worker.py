"""The process by itself: its limits, its pipes, its end; and hostile statements within bounds."""

from __future__ import annotations

import dataclasses
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from idc_mcp.errors import SqlError, Unavailable
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.process import SqlProcess
from tests.index.test_pool import ENDLESS, exists, wait_until

MEMORY_MB = 512

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def pool(index, tmp_path_factory):
    settings = dataclasses.replace(
        index.settings, sql_memory_mb=MEMORY_MB, sql_timeout_s=20, threads=2,
        state_dir=tmp_path_factory.mktemp("state"),
    )  # fmt: skip
    opened = SqlPool(index, settings)
    yield opened
    opened.close()


@pytest.fixture
def process(index, pool):
    index.value("SELECT 1")
    started = SqlProcess(index.release, index.database, pool._settings)
    assert started.opened() == {"ready": True}
    yield started
    started.kill()


def request(sql):
    return {"sql": sql, "max_rows": 9, "max_chars": 999, "cohorts": {}, "save_format": ""}


# -- hostile statements: an answer or a clear error, in bounded memory --------------------------

CAPPED = {
    "lpad": "SELECT lpad('x', 2000000000, 'y')",
    "levenshtein": ENDLESS,
    "one block outside the engine's limit": "SELECT len(range(1000000000))",
    "a long cell": "SELECT repeat('x', 100000000)",
    "long cells": "SELECT repeat('x', 10000000) FROM range(1000)",
    "a list without end": "SELECT list(i) FROM range(1000000000) t(i)",
    "a list of lambdas": "SELECT list_transform(range(1e8::BIGINT), lambda x: x + 1)",
    "a product":
        "SELECT a.SeriesInstanceUID, b.PatientID, count(*) FROM index a, index b GROUP BY ALL",
    "a counted product": "SELECT count(*) FROM index a, index b WHERE a.PatientID <> b.PatientID",
    "recursion": "WITH RECURSIVE t AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM t) FROM t",
    "counted recursion":
        "WITH RECURSIVE t AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
    "a long range": "SELECT sum(range) FROM range(1000000000000)",
    "many rows": "FROM range(1000000000000)",
    "a long text": "SELECT string_agg(repeat('abc', 10), ',') FROM range(31000000)",
    "parentheses": "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "brackets": "SELECT " + "[" * 5_000 + "]" * 5_000,
    "subqueries": "SELECT " + "(SELECT " * 900 + "1" + ")" * 900,
    "signs": "SELECT " + "- " * 50_000 + "1",
    "sums": "SELECT " + "1 + " * 5_000 + "1",
    "ors": "SELECT 1 WHERE " + " OR ".join(f"1 = {i}" for i in range(30_000)),
    "a long list": f"SELECT 1 WHERE 5 IN ({', '.join(map(str, range(90_000)))})",
    "a megabyte": "SELECT '" + "x" * 1_000_000 + "'",
    "many columns": "SELECT " + ", ".join(map(str, range(20_000))),
    "joins": "SELECT 1 FROM " + ", ".join(f"range(1) t{i}" for i in range(300)),
}  # fmt: skip


@ON_LINUX
@pytest.mark.parametrize("name", CAPPED)
def test_capped(pool, name):
    peak, used = [0], set()
    done = threading.Event()

    def watch():
        while not done.wait(0.01):
            for one in list(pool._busy):
                used.add(one.pid)
                try:
                    status = Path(f"/proc/{one.pid}/status").read_text()
                except OSError:
                    continue
                line = next((text for text in status.splitlines() if "VmHWM" in text), "VmHWM: 0")
                peak[0] = max(peak[0], int(line.split()[1]) >> 10)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = pool.run(CAPPED[name], max_rows=5, max_chars=2_000, timeout_s=1)
        assert len(result.rows) <= 5
        assert len(str(result.rows)) < 3_000 + 10 * len(result.columns)
    except SqlError as error:
        assert any(
            words in str(error)
            for words in ("limit of 1 s", "emory", "depth", "ended its process", "nested")
        )
        if "limit of 1 s" in str(error):
            assert wait_until(lambda: not any(map(exists, used)))
    finally:
        done.set()
        watcher.join()
    assert peak[0] < MEMORY_MB + 150
    assert pool.run("SELECT 1", max_rows=1).rows == [[1]]


def test_nothing_goes_on_after_an_answer_of_some_rows(process):
    endless = "SELECT i FROM (SELECT range AS i FROM range(1000000000000)) WHERE i % 1000 = 0"
    process.send(request(endless) | {"max_rows": 1})
    assert process.receive(60)["rows"] == [[0]]
    if not process.settled(30):
        # It may also give up its connection and end: then nothing goes on either.
        assert wait_until(lambda: not process.alive)
        return
    used = cpu_seconds(process.pid)
    time.sleep(0.5)
    assert cpu_seconds(process.pid) - used < 0.1


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- the process alone -------------------------------------------------------------------------


@ON_LINUX
def test_address_space_is_bounded_without_the_engine():
    code = """
from idc_mcp.index.worker import limit_process
import resource
limit_process(256)
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
bytearray(100 << 20)
try:
    bytearray(300 << 20)
except MemoryError:
    print("bounded")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "bounded\n"


def test_it_imports_little():
    code = """
import idc_mcp.index.worker, idc_mcp.index.sandbox, sys
heavy = {"mcp", "pydantic", "httpx2", "numpy", "pandas", "duckdb", "asyncio"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@ON_LINUX
def test_nothing_printed_can_reach_the_answers(process):
    for number in (0, 1):
        assert str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) == os.devnull


def test_it_ends_in_the_middle_of_a_statement_when_its_parent_does(process):
    process.send(request(ENDLESS))
    with pytest.raises(queue.Empty):
        process.receive(0.3)
    assert process.alive
    process._popen.stdin.close()
    assert wait_until(lambda: not process.alive)
    assert not process._scratch.exists()


def test_it_ends_when_its_parent_is_killed(cache_dir, tmp_path):
    code = f"""
import sys, threading, time
from pathlib import Path
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.release import installed_release
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings
settings = Settings(cache_dir=Path({str(cache_dir)!r}), state_dir=Path({str(tmp_path)!r}))
pool = SqlPool(Index(installed_release(), settings), settings)
pool.run("SELECT 1", max_rows=1)
print(pool._idle[0].pid, flush=True)
pool.run({ENDLESS!r}, max_rows=1)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    time.sleep(0.2)
    assert exists(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: not exists(pid))


# -- which database ----------------------------------------------------------------------------


class OtherIndex:
    """An index whose database the test decides."""

    def __init__(self, release, database):
        self.release, self.database, self.damaged = release, database, []

    def place(self):
        return self.release, self.database

    def report_damage(self, database):
        self.damaged.append(database)
        self.database = None


def test_a_change_of_the_database_replaces_the_processes(index, pool):
    index.value("SELECT 1")
    other = OtherIndex(index.release, None)  # not built yet: the bundled Parquet answers
    changing = SqlPool(other, pool._settings)
    try:
        sql = "SELECT count(*) > 1000 FROM index"
        assert changing.run(sql, max_rows=1).rows == [[True]]
        changing.warm()  # a slow machine does not keep the process of a slow statement
        assert wait_until(lambda: changing._idle)
        before = changing._idle[0].pid
        other.database = index.database
        assert changing.run(sql, max_rows=1).rows == [[True]]
        assert before not in [one.pid for one in changing._idle]
        assert not exists(before)
    finally:
        changing.close()


@pytest.mark.parametrize("where", ["header", "data"])
def test_a_damaged_database_is_reported_and_the_question_answered(index, pool, tmp_path, where):
    index.value("SELECT 1")
    damaged = tmp_path / "damaged.duckdb"
    shutil.copyfile(index.database, damaged)
    with damaged.open("r+b") as file:
        size = damaged.stat().st_size
        if where == "header":
            file.write(os.urandom(20_000))
        else:
            for place in range(12_288 + 100_000, size, 262_144):  # something in every block
                file.seek(place)
                file.write(os.urandom(64))
    other = OtherIndex(index.release, damaged)
    repaired = SqlPool(other, pool._settings)
    try:
        rows = repaired.run("SELECT count(DISTINCT Modality) > 10 FROM index", max_rows=1).rows
    finally:
        repaired.close()
    assert rows == [[True]]
    assert other.damaged == [damaged]


def test_a_start_that_fails_says_why(index, pool, tmp_path):
    release = dataclasses.replace(index.release, directory=tmp_path)
    lost = SqlPool(OtherIndex(release, None), pool._settings)
    with pytest.raises(Unavailable, match="could not start"):
        lost.run("SELECT 1", max_rows=1)
    lost.close()
