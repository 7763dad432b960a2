"""Spawn to the first answer, the first start ever, and memory at rest."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.processes import (
    DISCOVER,
    INITIALIZE,
    INITIALIZED,
    StdioServer,
    hello,
    ours,
    tree_mb,
)
from benchmarks.table import Number

ROUNDS = 9


def startup(cache: Path) -> list[Number]:
    numbers = []
    for name, question in (("initialize", INITIALIZE), ("server/discover", DISCOVER)):
        times: dict[str, list[float]] = {"ours": [], "hello": []}
        for i in range(ROUNDS + 1):
            for who, command in (("ours", ours()), ("hello", hello())):
                server = StdioServer(command, IDC_MCP_CACHE_DIR=str(cache), IDC_MCP_OFFLINE="1")
                server.ask(question)
                if i:  # the first round writes bytecode
                    times[who].append(server.elapsed_s)
                server.close()
        mine, bare = statistics.median(times["ours"]), statistics.median(times["hello"])
        numbers.append(
            Number(
                f"spawn to answer of {name}", mine, "s", bare,
                "≤ 1.3 × the SDK's hello-world, ≤ 0.6 s idle", mine <= 1.3 * bare and mine <= 0.6,
            )
        )  # fmt: skip
    return numbers


def memory(cache: Path) -> list[Number]:
    server = StdioServer(
        ours(), IDC_MCP_CACHE_DIR=str(cache), IDC_MCP_OFFLINE="1", IDC_MCP_SQL_IDLE_S="2"
    )
    bare = StdioServer(hello())
    for one in (server, bare):
        one.ask(INITIALIZE)
        one.tell(INITIALIZED)
    time.sleep(4)
    rest, _, count = tree_mb(server.process.pid)
    sdk, _, _ = tree_mb(bare.process.pid)
    numbers = [Number(f"all processes at rest ({count})", rest, "MB", sdk, "≤ 140 MB", rest <= 140)]
    for i, modality in enumerate(("CT", "MR", "SM")):
        server.call(10 + i, "idc_cohort", filters={"Modality": modality})
        server.call(
            20 + i, "idc_sql", sql=f"SELECT count(*) FROM index WHERE Modality='{modality}'"
        )
    busy, _, count = tree_mb(server.process.pid)
    numbers.append(Number(f"after cohorts and SQL ({count})", busy, "MB"))
    time.sleep(5)
    idle, _, count = tree_mb(server.process.pid)
    numbers.append(Number(f"idle again ({count})", idle, "MB"))
    server.close()
    bare.close()
    return numbers


def first_start() -> list[Number]:
    with tempfile.TemporaryDirectory() as empty:
        server = StdioServer(
            ours(), IDC_MCP_CACHE_DIR=f"{empty}/cache", IDC_MCP_STATE_DIR=f"{empty}/state",
            IDC_MCP_OFFLINE="1",
        )  # fmt: skip
        server.ask(INITIALIZE)
        answered = server.elapsed_s
        server.tell(INITIALIZED)
        server.call(2, "idc_cohort", filters={"Modality": "CT", "BodyPartExamined": "CHEST"})
        cohort = server.elapsed_s
        while not list(Path(empty).glob("cache/*.duckdb")) and server.elapsed_s < 120:
            time.sleep(0.1)
        built = server.elapsed_s
        server.close()
    return [
        Number("first start ever: spawn to answer", answered, "s"),
        Number(
            "first start ever: a cohort, while building", cohort, "s", None, "≤ 3 s", cohort <= 3
        ),
        Number("first start ever: database built", built, "s"),
    ]
