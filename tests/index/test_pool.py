"""The pool as its callers see it: answers, files, time limits, and nobody waiting for anybody."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from idc_mcp.errors import BadArgument, NotFetched, NotFound, Refused, SqlError, Unavailable
from idc_mcp.index import pool as pool_module
from idc_mcp.index.pool import SqlPool
from idc_mcp.index.process import SqlProcess
from idc_mcp.settings import Settings

ENDLESS = "SELECT levenshtein(repeat('a', 60000), repeat('b', 60000))"
"""Goes on after interrupt(): only a kill ends it."""


@pytest.fixture
def small(settings: Settings) -> Settings:
    return dataclasses.replace(settings, sql_memory_mb=512, sql_timeout_s=20, threads=2)


@pytest.fixture
def pool(index, small) -> Iterator[SqlPool]:
    opened = SqlPool(index, small)
    yield opened
    opened.close()
    assert no_process_left(opened)


def no_process_left(pool: SqlPool) -> bool:
    return wait_until(lambda: not [one for one in (*pool._idle, *pool._busy) if one.alive])


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def busy_pid(pool: SqlPool) -> int:
    assert wait_until(lambda: pool._busy)
    return next(iter(pool._busy)).pid


def kept(pool: SqlPool) -> SqlProcess:
    """A process that is idle; a slow machine keeps none after its first statement."""
    assert wait_until(lambda: pool.run("SELECT 1", max_rows=1) and pool._idle)
    return pool._idle[-1]


# -- answers -----------------------------------------------------------------------------------


def test_an_answer(pool):
    result = pool.run("SELECT 1 AS a, 'x' AS a", max_rows=5)
    assert (result.columns, result.types) == (["a", "a"], ["INTEGER", "VARCHAR"])
    assert (result.rows, result.complete, result.saved_rows) == ([[1, "x"]], True, None)
    assert result.elapsed_ms > 0


def test_a_process_starts_when_needed_and_serves_again(pool):
    assert not pool._idle
    process = kept(pool)
    with pytest.raises(SqlError):
        pool.run("SELECT nosuch", max_rows=1)
    assert process in pool._idle


def test_warm_starts_one(pool):
    pool.warm()
    pool.warm()
    assert wait_until(lambda: pool._idle)
    assert len(pool._idle) == 1


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("SELECT 1\x00", BadArgument, "NUL"),
        ("SELECT '\ud800'", BadArgument, "surrogate"),
        ("DROP TABLE index", Refused, "DROP is not a statement that reads"),
        ("FROM seg_index", NotFetched, "not on this machine"),
        ("FROM idc_index", NotFound, "Nearest: index"),
        ("FROM c_0123456789ab", NotFound, "call idc_cohort"),
        ("SELECT CancerTypes FROM collections_index", SqlError, "is called cancer_types"),
        ("SELECT 1\nFROM index\nWHERE Modalty = 1", SqlError, "LINE 3"),
    ],
)
def test_errors_arrive_whole(pool, sql, error, words):
    with pytest.raises(error, match=words):
        pool.run(sql, max_rows=1)


def test_cohorts_are_sent_with_the_statement(pool):
    cohorts = {"c_0123456789ab": "SELECT * FROM main.\"index\" WHERE collection_id = 'tcga_luad'"}
    sql = "SELECT DISTINCT collection_id FROM c_0123456789ab"
    assert pool.run(sql, max_rows=5, cohorts=cohorts).rows == [["tcga_luad"]]
    with pytest.raises(NotFound, match="c_0123456789ab"):
        pool.run(sql, max_rows=5)


@pytest.mark.parametrize("save_format", ["csv", "parquet", "json"])
def test_saves_every_row_and_shows_some(pool, small, save_format):
    target = small.output_dir / "deep" / f"out.{save_format}"
    result = pool.run(
        "SELECT i FROM range(5000) t(i) ORDER BY i -- all",
        max_rows=2, save_to=target, save_format=save_format,
    )  # fmt: skip
    assert (result.rows, result.complete, result.saved_rows) == ([[0], [1]], False, 5000)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    if save_format == "json":
        assert len(json.loads(target.read_text())) == 5000
    assert not [left for one in pool._idle for left in one._scratch.glob("saved*")]


def test_saves_nothing_where_it_fails(pool, small):
    target = small.output_dir / "out.csv"
    with pytest.raises(SqlError):
        pool.run(
            "SELECT CAST(i AS TINYINT) FROM range(100000) t(i)",
            max_rows=2, save_to=target, save_format="csv",
        )  # fmt: skip
    assert not target.exists()


# -- limits ------------------------------------------------------------------------------------


def test_others_are_answered_while_the_worst_runs_and_then_it_is_gone(pool):
    thread, outcome = in_thread(lambda: pool.run(ENDLESS, max_rows=1, timeout_s=2))
    pid = busy_pid(pool)
    for number in range(5):
        assert pool.run(f"SELECT {number}", max_rows=1).rows == [[number]]
    assert thread.is_alive()
    thread.join()
    assert isinstance(outcome[0], SqlError)
    assert "limit of 2 s" in str(outcome[0])
    assert not exists(pid)


def test_a_call_may_lower_the_limit_never_raise_it(index, small):
    limited = SqlPool(index, dataclasses.replace(small, sql_timeout_s=0.5))
    try:
        with pytest.raises(SqlError, match=r"limit of 0\.5 s"):
            limited.run(ENDLESS, max_rows=1, timeout_s=60)
    finally:
        limited.close()


def test_a_cancelled_statement_is_killed(pool):
    cancelled = threading.Event()
    thread, outcome = in_thread(lambda: pool.run(ENDLESS, max_rows=1, cancelled=cancelled))
    pid = busy_pid(pool)
    cancelled.set()
    thread.join()
    assert "cancelled" in str(outcome[0])
    assert not exists(pid)


def test_a_crash_takes_only_its_statement(pool):
    thread, outcome = in_thread(lambda: pool.run(ENDLESS, max_rows=1))
    pid = busy_pid(pool)
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert isinstance(outcome[0], SqlError)
    assert "SIGKILL" in str(outcome[0])
    assert pool.run("SELECT 1", max_rows=1).rows == [[1]]


def test_an_idle_process_that_died_is_replaced(pool):
    process = kept(pool)
    os.kill(process.pid, signal.SIGKILL)
    assert wait_until(lambda: not process.alive)
    assert pool.run("SELECT 2", max_rows=1).rows == [[2]]


def test_a_slow_statement_gives_way_and_its_process_is_not_kept(pool):
    thread, _ = in_thread(lambda: pool.run(ENDLESS, max_rows=1, timeout_s=1))
    pid = busy_pid(pool)
    assert wait_until(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 10, 2)
    thread.join()
    pool.run("SELECT 1", max_rows=1)
    assert pid not in [one.pid for one in pool._idle]


def test_busy_is_said(index, small, monkeypatch):
    monkeypatch.setattr(pool_module, "BUSY_WAIT_S", 0.2)
    one = SqlPool(index, dataclasses.replace(small, sql_workers=1))
    thread, _ = in_thread(lambda: one.run(ENDLESS, max_rows=1, timeout_s=2))
    busy_pid(one)
    with pytest.raises(Unavailable, match="busy"):
        one.run("SELECT 1", max_rows=1)
    one.close()
    thread.join()
    with pytest.raises(Unavailable, match="closing"):
        one.run("SELECT 1", max_rows=1)


def test_idle_processes_end_and_so_does_their_watch(index, small):
    idle = SqlPool(index, dataclasses.replace(small, sql_idle_s=0.3))
    process = kept(idle)
    assert wait_until(lambda: not exists(process.pid))
    assert wait_until(lambda: idle._reaper is None)
    assert not Path(process._scratch).exists()
    assert idle.run("SELECT 1", max_rows=1).rows == [[1]]
    idle.close()
