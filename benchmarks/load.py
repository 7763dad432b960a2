"""HTTP: a mix of cohort and SQL calls from 1 to 32 clients, and beside a runaway statement."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import StdioServer, ours
from benchmarks.table import Number

CALLS = 480
RUNAWAY = "SELECT count(*) FROM index a, index b WHERE a.SeriesDescription < b.SeriesDescription"
OFFICIAL = 37.0
"""Calls a second of the official server on two cores, the middle of its 33 to 41."""

MODALITIES = ("CT", "MR", "PT", "SM", "SEG", "MG")
COLLECTIONS = (
    "tcga_luad", "4d_lung", "lidc_idri", "nsclc_radiomics", "ispy1", "prostatex", "qin_breast",
)  # fmt: skip


def _calls() -> list[tuple[str, dict[str, Any]]]:
    """Six cohorts by whole-index filters, seven by collection, thirteen statements, in turn."""
    cohorts = [{"filters": {"Modality": modality}} for modality in MODALITIES]
    cohorts += [{"filters": {"collection_id": name}} for name in COLLECTIONS]
    statements = [
        {"sql": f"SELECT collection_id, count(*) FROM index WHERE Modality = '{modality}' GROUP BY ALL ORDER BY 2 DESC LIMIT 10"}
        for modality in MODALITIES
    ] + [
        {"sql": f"SELECT Modality, count(*), sum(series_size_MB) FROM index WHERE collection_id = '{name}' GROUP BY ALL"}
        for name in COLLECTIONS
    ]  # fmt: skip
    return [
        call
        for pair in zip(cohorts, statements, strict=True)
        for call in (("idc_cohort", pair[0]), ("idc_sql", pair[1]))
    ]


class Client:
    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, tool: str, arguments: dict[str, Any]) -> float:
        body = json.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
             "params": {"name": tool, "arguments": arguments}}
        )  # fmt: skip
        started = time.perf_counter()
        self.connection.request(
            "POST", "/mcp", body,
            {"content-type": "application/json", "accept": "application/json, text/event-stream",
             "mcp-protocol-version": "2025-11-25"},
        )  # fmt: skip
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if answer.get("result", {}).get("isError"):
            raise RuntimeError(answer["result"]["content"][0]["text"])
        return time.perf_counter() - started


def load(cache: Path) -> list[Number]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = StdioServer(
        ours("--http", "--port", str(port)), IDC_MCP_CACHE_DIR=str(cache), IDC_MCP_OFFLINE="1"
    )
    try:
        _await(port)
        _run(port, 1, 26)
        numbers = []
        rates = {clients: CALLS / _run(port, clients, CALLS)[0] for clients in (1, 8, 32)}
        for clients, rate in rates.items():
            met = rate >= 4 * OFFICIAL and rate >= 0.95 * rates[1]
            numbers.append(
                Number(f"cohort and SQL calls, {clients} clients", rate, "calls/s", OFFICIAL,
                       f"≥ {4 * OFFICIAL:.0f}, no fewer than with 1", met)
            )  # fmt: skip
        quiet = _p95(_run(port, 4, 240)[1])
        beside = _beside_runaway(port)
        numbers.append(Number("p95 of a call, 4 clients", quiet, "ms"))
        numbers.append(
            Number("p95 of a call beside a runaway statement", beside, "ms", quiet, "< 100 ms", beside < 100)
        )  # fmt: skip
        return numbers
    finally:
        server.process.terminate()
        try:
            server.process.wait(10)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def _beside_runaway(port: int) -> float:
    errors: list[str] = []

    def runaway() -> None:
        try:
            Client(port).call("idc_sql", {"sql": RUNAWAY})
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=runaway)
    thread.start()
    time.sleep(2)
    _, times = _run(port, 4, 960)
    thread.join(60)
    if not errors or "limit of 30" not in errors[0]:
        raise RuntimeError(f"the runaway statement did not run to its limit: {errors}")
    return _p95(times)


def _run(port: int, clients: int, calls: int) -> tuple[float, list[float]]:
    mix = list(itertools.islice(itertools.cycle(_calls()), calls))
    times: list[float] = []

    def work(mine: list[tuple[str, dict[str, Any]]]) -> None:
        client = Client(port)
        times.extend([client.call(*call) for call in mine])

    threads = [threading.Thread(target=work, args=(mix[i::clients],)) for i in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times) != calls:
        raise RuntimeError(f"{calls - len(times)} calls failed")
    return time.perf_counter() - started, times


def _await(port: int) -> None:
    for _ in range(100):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the HTTP server did not start")


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1] * 1e3
