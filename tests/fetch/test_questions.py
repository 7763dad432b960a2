"""A question that needs a table: it waits, is told, and is answered by a later call."""

from __future__ import annotations

import threading
import time

import pytest

from idc_mcp.errors import NotFetched
from idc_mcp.fetch import background
from tests.fetch.conftest import LARGE, SEG

SUM = ".sha256"


def test_it_returns_when_the_table_can_be_asked_for(desk):
    here = desk()
    told = []
    here.tables.have([SEG, "index"], report=lambda *said: told.append(said))
    assert here.index.has(SEG)
    assert "being added to the database" in told[-1][2]
    assert here.tables.status()[SEG] == "here"
    here.tables.have([SEG])


@pytest.mark.parametrize("changes, why, what_to_do", [
    ({"offline": True}, "IDC_MCP_OFFLINE", "with IDC_MCP_OFFLINE unset"),
    ({"fetch": False}, "IDC_MCP_FETCH", "idc-mcp fetch seg_index"),
    ({"hosted": True}, "hosted", "when it is built"),
])  # fmt: skip
def test_where_questions_may_not_fetch(desk, publisher, changes, why, what_to_do):
    here = desk(**changes)
    with pytest.raises(NotFetched) as told:
        here.tables.have([SEG])
    assert why in told.value.what and SEG in told.value.what
    assert what_to_do in told.value.next_step and "idc-mcp fetch seg_index" in told.value.next_step
    assert told.value.tables == (SEG,) and not told.value.coming
    assert "idc_schema describes the columns" in told.value.next_step
    here.tables.begin([SEG])
    assert not publisher.requests
    assert here.tables.status()[SEG] == "not here"


def test_of_clinical_tables_idc_schema_knows_nothing_without_them(desk):
    with pytest.raises(NotFetched, match=r"^the clinical tables are not on this machine") as told:
        desk(offline=True).tables.have(["clinical"])
    assert "run `idc-mcp fetch clinical`" in told.value.next_step
    assert "idc_schema" not in told.value.next_step


def test_what_is_being_taken_in_is_coming(desk):
    here = desk(fetch_wait_s=5)
    here.one(SEG)
    here.index.refresh = lambda timeout_s=0.0: time.sleep(timeout_s)
    with pytest.raises(NotFetched, match="here and being added") as told:
        here.tables.have([SEG])
    assert told.value.coming


def test_what_is_here_is_used_offline(desk):
    desk().one(SEG)
    here = desk(offline=True)
    here.index.release = here.index.release.__class__(
        here.index.release.data_version, here.index.release.directory, here.index.release.fetched
    )
    here.tables.have([SEG])
    assert here.index.has(SEG)


def test_a_slow_table_is_told_and_there_later(desk, publisher):
    slow = publisher.fault("slow", f"{LARGE}.parquet", rate=400_000)
    here = desk(fetch_wait_s=0.3, patience_s=5)
    told = []
    with pytest.raises(NotFetched) as under_way:
        here.tables.have([LARGE], report=lambda *said: told.append(said))
    assert f"{LARGE} is being fetched" in under_way.value.what
    assert "of 449.8 kB" in under_way.value.what
    assert "ask again in" in under_way.value.next_step
    assert under_way.value.coming
    assert told and LARGE in told[-1][2]
    done = [said[0] for said in told]
    assert done == sorted(done)
    assert here.tables.status()[LARGE].startswith("being fetched")
    slow.rate = 1e9
    until = time.monotonic() + 30
    while not here.index.has(LARGE) and time.monotonic() < until:
        try:
            here.tables.have([LARGE])
        except NotFetched:
            continue
    assert here.index.has(LARGE)
    asked = [request for request in publisher.requests if request.path.endswith(".parquet")]
    assert len(asked) == 1


def test_who_leaves_does_not_wait_and_ends_nothing(desk, publisher):
    publisher.fault("slow", f"{LARGE}.parquet", rate=300_000)
    here = desk()
    left = threading.Event()
    left.set()
    with pytest.raises(NotFetched, match="is being fetched"):
        here.tables.have([LARGE], cancelled=left)
    here.tables.have([LARGE])
    assert here.index.has(LARGE)


def test_a_failure_is_told_and_remembered(desk, publisher, monkeypatch):
    publisher.fault(404)
    publisher.fault(404, SUM)
    here = desk()
    with pytest.raises(NotFetched) as told:
        here.tables.have([SEG])
    assert "404" in told.value.what and "idc-mcp fetch seg_index" in told.value.next_step
    asked = len(publisher.requests)
    with pytest.raises(NotFetched, match="404"):
        here.tables.have([SEG])
    here.tables.begin([SEG])
    assert len(publisher.requests) == asked
    assert here.tables.status()[SEG].startswith("could not be fetched")
    publisher.clear()
    monkeypatch.setattr(background, "REMEMBERED_S", 0.0)
    here.tables.have([SEG])
    assert here.index.has(SEG)


def test_a_command_tries_at_once_what_questions_do_not(desk, publisher):
    publisher.stop()
    here = desk()
    with pytest.raises(NotFetched, match="refuses the connection"):
        here.tables.have([SEG])
    publisher.start()
    assert here.one(SEG).outcome == "fetched"
    here.tables.have([SEG])
    assert here.index.has(SEG)


def test_two_questions_share_a_fetch(desk, publisher):
    publisher.fault("slow", f"{LARGE}.parquet", rate=600_000)
    here = desk()
    threads = [threading.Thread(target=here.tables.have, args=([LARGE],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert here.index.has(LARGE)
    assert sum(request.path.endswith(".parquet") for request in publisher.requests) == 1


def test_what_cannot_be_taken_in_is_looked_at_and_fetched_again(desk, publisher):
    here = desk()
    here.one(SEG)
    path = here.release.parquet(SEG)
    path.write_bytes(path.read_bytes()[:-100])
    here.index.broken = True
    refresh = here.index.refresh

    def refreshed(timeout_s=0.0):
        here.index.broken = path.stat().st_size == size
        return refresh(timeout_s)

    size = path.stat().st_size
    here.index.refresh = refreshed
    here.tables.have([SEG])
    assert here.index.has(SEG)
    assert path.stat().st_size == size + 100


def test_what_cannot_be_taken_in_at_all(desk):
    here = desk()
    here.index.broken = True
    with pytest.raises(NotFetched, match="could not be added") as told:
        here.tables.have([SEG])
    assert "idc-mcp build" in told.value.next_step


def test_damage_is_told_where_questions_may_not_fetch(desk):
    desk().one(SEG)
    here = desk(offline=True)
    here.index.release = here.index.release.__class__(
        here.index.release.data_version, here.index.release.directory, here.index.release.fetched
    )
    path = here.release.parquet(SEG)
    path.write_bytes(path.read_bytes()[:-100])
    here.index.broken = True
    with pytest.raises(NotFetched, match="seg_index is damaged"):
        here.tables.have([SEG])


def test_closing_ends_what_is_under_way_and_keeps_its_part(desk, publisher):
    publisher.fault("slow", f"{LARGE}.parquet", rate=200_000)
    here = desk()
    here.tables.begin([LARGE])
    until = time.monotonic() + 20
    while not any(here.parts().values()) and time.monotonic() < until:
        time.sleep(0.01)
    here.tables.close()
    while here.tables.status()[LARGE].startswith("being") and time.monotonic() < until:
        time.sleep(0.01)
    assert here.tables.status()[LARGE].startswith("could not be fetched: it was interrupted")
    (had,) = here.parts().values()
    assert had
    publisher.clear()
    assert desk().one(LARGE).outcome == "fetched"
    assert publisher.requests[-1].range == f"bytes={had}-"


def test_begin_goes_on_without_waiting(desk):
    here = desk()
    here.tables.begin(["seg", "nlst_canc"])
    until = time.monotonic() + 20
    while not here.index.has(SEG) and time.monotonic() < until:
        time.sleep(0.01)
    assert here.index.has(SEG)
