"""Several processes at one cache: killed in the middle, and two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.fetch.conftest import LARGE

CHILD = """
import sys
from idc_mcp.fetch.tables import Tables
from idc_mcp.index.release import installed_release
from idc_mcp.index.store import Index
from idc_mcp.settings import Settings

settings = Settings.from_env()
tables = Tables(Index(installed_release(), settings), settings)
for result in tables.fetch(sys.argv[1:], progress=lambda told: print(told, file=sys.stderr)):
    print(result.outcome, result.why)
"""


def begin(settings, *names):
    variables = {
        f"IDC_MCP_{name}": str(getattr(settings, name.lower()))
        for name in (
            "CACHE_DIR", "STATE_DIR", "OUTPUT_DIR", "ARTIFACTS_URL", "RELEASES_URL", "AWS_URL",
        )
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *names],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(what, seconds=40):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def asked(publisher):
    return [one.range for one in publisher.requests if one.path.endswith(f"{LARGE}.parquet")]


def test_killed_in_the_middle_and_gone_on_with(desk, publisher, published):
    publisher.fault("slow", f"{LARGE}.parquet", rate=100_000)
    here = desk()
    child = begin(here.settings, LARGE)
    wait_for(lambda: any(size > 50_000 for size in here.parts().values()))
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert here.release.parquet(LARGE) is None
    (had,) = here.parts().values()
    publisher.clear()
    assert here.one(LARGE).proof == "sha256"
    assert asked(publisher) == [f"bytes={had}-"]
    original = (published / f"{LARGE}.parquet").read_bytes()
    assert here.release.parquet(LARGE).read_bytes() == original


def test_clinical_killed_in_the_middle_and_gone_on_with(desk, bucket):
    here = desk(aws_url=bucket.url)
    here.one("clinical_index")
    bucket.fault("delay", on="get", seconds=0.4)
    child = begin(here.settings, "clinical")
    kept = here.directory / ".clinical.part"
    wait_for(lambda: len(list(kept.glob("*/*.parquet"))) > 2)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert not here.release.clinical
    whole = {f"{path.parent.name}/{path.name}" for path in kept.glob("*/*.parquet")}
    bucket.clear()
    bucket.requests.clear()
    assert {result.outcome for result in here.fetch("clinical")} == {"here", "fetched"}
    again = [path for _, path in bucket.requests if any(path.endswith(name) for name in whole)]
    assert not again


def test_two_processes_fetch_once(desk, publisher):
    publisher.fault("slow", f"{LARGE}.parquet", rate=400_000)
    here = desk()
    children = [begin(here.settings, LARGE) for _ in range(2)]
    results = [child.communicate() for child in children]
    assert sorted(out.split()[0] for out, _ in results) == ["fetched", "here"]
    assert asked(publisher) == [None]


def test_who_waits_for_another_process_says_so(desk, publisher):
    publisher.fault("slow", f"{LARGE}.parquet", rate=150_000)
    here = desk()
    child = begin(here.settings, LARGE)
    wait_for(lambda: any(here.parts().values()))
    assert here.tables.status()[LARGE] == "being fetched: another process is at it"
    told = []
    assert here.one(LARGE, progress=lambda progress: told.append(str(progress))).outcome == "here"
    assert any("another process is fetching it" in words for words in told)
    assert child.communicate()[0].startswith("fetched")
