"""Memory is given back when questions stop: a question that runs meanwhile never lacks it."""

import threading
import time

import pytest

from idc_mcp.index.rest import Rest
from idc_mcp.index.store import MEMORY_MB, Index
from tests.conftest import settings_at

FAR_S = 20
HUNGRY = "SELECT count(DISTINCT SeriesInstanceUID || crdc_series_uuid) FROM index"
"""It takes much more than what the engine may keep while nobody asks."""


def test_nothing_is_given_back_while_a_question_runs():
    given = threading.Event()
    rest = Rest(0.05, given.set)
    with rest.asking():
        assert not given.wait(0.5)
    assert given.wait(FAR_S)
    rest.end()


def test_a_question_waits_until_it_is_given_back():
    giving, go_on = threading.Event(), threading.Event()
    order = []

    def give_back():
        giving.set()
        assert go_on.wait(FAR_S)
        order.append("given back")

    def question():
        with rest.asking():
            order.append("asked")

    rest = Rest(0.01, give_back)
    with rest.asking():
        pass
    assert giving.wait(FAR_S)
    asking = threading.Thread(target=question)
    asking.start()
    time.sleep(0.1)
    go_on.set()
    asking.join(FAR_S)
    assert order == ["given back", "asked"]
    rest.end()


def test_it_is_given_back_again_after_more_questions():
    times = []
    rest = Rest(0.01, lambda: times.append(1))
    for round_ in range(1, 4):
        with rest.asking():
            pass
        until = time.monotonic() + FAR_S
        while len(times) < round_ and time.monotonic() < until:
            time.sleep(0.01)
        assert len(times) == round_
    rest.end()


def test_questions_at_the_edge_of_rest_are_answered(release, cache_dir, tmp_path):
    index = Index(release, settings_at(tmp_path, cache_dir))
    begun = []

    def give_back_slowly():
        begun.append(1)
        for limit in (32, MEMORY_MB):
            index._read(f"SET memory_limit = '{limit}MiB'")
            time.sleep(0.2)

    index._rest = Rest(0.05, give_back_slowly)
    for round_ in range(1, 5):
        index.value("SELECT count(*) FROM index")
        until = time.monotonic() + FAR_S
        while len(begun) < round_ and time.monotonic() < until:
            time.sleep(0.01)
        index.value(HUNGRY)
        assert len(begun) >= round_
    index.close()


def test_the_question_is_one_that_would_lack_it(index):
    with pytest.raises(Exception, match="Out of Memory"):
        index._read("SET memory_limit = '32MiB'") or index._read(HUNGRY)
    index._read(f"SET memory_limit = '{MEMORY_MB}MiB'")
