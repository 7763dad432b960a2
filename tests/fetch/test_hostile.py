"""Servers that want to do harm, or are broken in ways that no server should be."""

from __future__ import annotations

import dataclasses
import re
import socket
import threading
import time

import pyarrow
import pyarrow.parquet
import pytest

from idc_mcp.errors import Damaged, NotFetched
from idc_mcp.fetch import pace
from idc_mcp.fetch.background import command
from idc_mcp.fetch.clinical import PARTS
from idc_mcp.index import proving
from idc_mcp.transfer import stores
from tests.fetch.conftest import LARGE, SEG
from tests.published import Publisher
from tests.published.server import _text

CLINICAL = "clinical"
STORE, SUM = "/release_artifacts/", f"{SEG}.parquet.sha256"
ENTRY = re.compile(rb"<Contents>.*?</Contents>")


# -- sidecars ------------------------------------------------------------------------------


class Odd(Publisher):
    """Answers each question for a SHA-256 in its own way."""

    status, text = 200, ""

    def answer(self, request):
        sound = super().answer(request)
        return _text(self.status, self.text) if request.path.endswith(".sha256") else sound


@pytest.mark.parametrize("status, text, why", [
    (401, "", "401"), (407, "", "407"), (451, "", "451"), (200, "", "is none"),
    (200, "x" * 5000, "more than a short text"), (200, "0" * 63, "is none"),
])  # fmt: skip
def test_a_sha256_that_cannot_be_asked_for_is_not_taken_for_one_that_is_not_there(
    desk, published, publisher, status, text, why
):
    with Odd(published) as server:
        server.status, server.text = status, text
        result = desk(artifacts_url=server.url).one(SEG)
        assert {request.path.endswith(".sha256") for request in server.requests} == {True}
    assert "release assets" in result.source and result.proof == "contents"
    (note,) = result.notes
    assert note.startswith("the store told no SHA-256: ") and why in note


# -- bytes that drip -----------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(pace, "OVER_S", 1.0)


def test_a_body_that_drips_is_left_for_the_next_source(desk, publisher, hasty):
    publisher.fault("slow", f"{STORE}{SEG}", rate=20)
    result = desk(patience_s=0.1).one(SEG)
    assert (result.outcome, result.proof) == ("fetched", "sha256")
    assert "release assets" in result.source


def test_a_sidecar_that_drips_is_left_for_the_next_source(desk, publisher, hasty):
    publisher.fault("slow", SUM, rate=20)
    result = desk(patience_s=0.1).one(SEG)
    assert "release assets" in result.source
    assert "less than 1 kB a second over 1 s" in result.notes[0]


def test_headers_that_drip_are_left_for_the_next_source(desk, publisher, hasty):
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip():
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=dripping, args=(connection,), daemon=True).start()

        def dripping(connection):
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    connection.sendall(b"X-More: 1\r\n")
            except OSError:
                pass
            connection.close()

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        result = desk(artifacts_url=url, patience_s=0.1).one(SEG)
        over.set()
    assert "release assets" in result.source
    assert "less than 1 kB a second" in result.notes[0]


def test_what_neither_gives_is_told_of_both(desk, publisher, hasty):
    publisher.fault("slow", SEG, rate=20)
    why = desk(patience_s=0.1).fails(parts=True)
    assert "artifact store" in why and "release assets" in why
    assert why.count("less than 1 kB a second") == 2


# -- files that are not what they seem -----------------------------------------------------


def test_a_file_that_holds_more_than_memory(tmp_path, monkeypatch):
    path, sound = tmp_path / "large.parquet", tmp_path / "sound.parquet"
    table = pyarrow.table({"text": ["x" * 150_000_000]})
    pyarrow.parquet.write_table(
        table, path, compression="zstd", use_dictionary=False, write_statistics=False
    )
    pyarrow.parquet.write_table(table.slice(0, 0), sound)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(proving, "MEMORY_MB", 100)
    with proving.Prover() as prover:
        assert prover.check(sound, None, "", go_on=lambda: None) == 0
        with pytest.raises(Damaged, match=r"[Mm]emory"):
            prover.check(path, None, "", go_on=lambda: None)
        assert not prover.alive


def test_a_proof_ends_with_who_asks_for_it(tmp_path):
    path = tmp_path / "sound.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)

    def go_on():
        raise KeyboardInterrupt

    with proving.Prover() as prover:
        with pytest.raises(KeyboardInterrupt):
            prover.check(path, None, "", go_on=go_on)
        assert not prover.alive


# -- listings ------------------------------------------------------------------------------


@pytest.fixture
def here(desk, bucket):
    made = desk(aws_url=bucket.url)
    made.one("clinical_index")
    return made


@pytest.fixture
def relist(bucket, monkeypatch):
    """Changes what the bucket lists: the bytes of the XML."""

    def change(changed):
        def intercept(request, answer):
            if request.kind != "list":
                return answer
            return dataclasses.replace(answer, body=(changed(b"".join(answer.body)),))

        monkeypatch.setattr(bucket, "intercept", intercept)

    return change


def one_of(here):
    return next(result for result in here.fetch(CLINICAL) if result.name == CLINICAL)


def with_key(key, **changes):
    """A listing with one entry more, as its first but for its key."""

    def changed(body):
        first = ENTRY.search(body)[0]
        for name, value in ({"Key": key} | changes).items():
            if value:
                first = re.sub(
                    rf"<{name}>.*?</{name}>".encode(), f"<{name}>{value}</{name}>".encode(), first
                )
        return body.replace(b"<Contents>", first + b"<Contents>", 1)

    return changed


def test_a_key_that_is_listed_twice_is_fetched_once(here, bucket, relist):
    relist(with_key(""))
    assert one_of(here).outcome == "fetched"
    gets = [path for method, path in bucket.requests if method == "GET" and ".parquet" in path]
    assert len(gets) == len(set(gets))


def test_a_key_that_is_listed_as_two_files(here, relist):
    relist(with_key("", Size="1"))
    result = one_of(here)
    assert result.outcome == "failed" and "twice" in result.why


def test_keys_that_can_be_no_files_are_left_out_and_told(here, release, relist):
    prefix = f"bigquery_export/idc_v{release.number}_clinical"
    keys = [
        "SHA256SUMS/0.parquet",
        f"{'a' * 256}/0.parquet",
        f"a/{'b' * 250}.parquet",
        "a..b/0.parquet",
    ]

    def changed(body):
        for key in keys:
            body = with_key(f"{prefix}/{key}")(body)
        return body

    relist(changed)
    (here.directory / PARTS / "SHA256SUMS").mkdir(parents=True)  # as an earlier fetch left it
    result = one_of(here)
    assert result.outcome == "fetched"
    assert "4 objects" in result.notes[0] and "SHA256SUMS/0.parquet" in result.notes[0]
    assert "a..b/0.parquet" in result.notes[0]
    assert (here.directory / CLINICAL / "SHA256SUMS").is_file()


def test_a_key_that_the_client_does_not_take_is_named(here, release, relist):
    relist(with_key(f"bigquery_export/idc_v{release.number}_clinical/a/../b.parquet"))
    result = one_of(here)
    assert result.outcome == "failed"
    assert "lists a key that is no path" in result.why and "a/../b.parquet" in result.why


def endless(body):
    truncated = body.replace(b"<IsTruncated>false", b"<IsTruncated>true")
    return truncated.replace(
        b"<Contents>", b"<NextContinuationToken>61</NextContinuationToken><Contents>", 1
    )


def endless_without_keys(body):
    return ENTRY.sub(b"", endless(body))


def test_a_listing_without_end(here, relist, monkeypatch):
    monkeypatch.setattr(stores, "MOST_KEYS", 2_000)
    relist(endless)
    result = one_of(here)
    assert result.outcome == "failed" and "more than 2,000 keys" in result.why


def test_a_listing_without_end_and_without_keys(here, relist, monkeypatch):
    monkeypatch.setattr(stores, "PAGE_S", 0.3)
    relist(endless_without_keys)
    result = one_of(here)
    assert result.outcome == "failed" and "nothing more in 0.3 seconds" in result.why


@pytest.mark.parametrize("pages", [endless, endless_without_keys])
def test_a_listing_without_end_is_interrupted(here, bucket, relist, monkeypatch, pages):
    monkeypatch.setattr(stores, "MOST_KEYS", 10**9)
    relist(pages)
    place = stores.Place("metadata bucket", bucket.url, "idc-open-metadata")
    asked = len(bucket.requests)

    class Enough(Exception):
        pass

    def go_on():
        if len(bucket.requests) > asked + 5:
            raise Enough

    with pytest.raises(Enough):
        stores.list_below(place, f"bigquery_export/idc_{here.release.name}_clinical", 1.0, go_on)


# -- what a process that was killed leaves, and one that closes ----------------------------


def test_clinical_tables_that_a_killed_process_was_removing_are_removed(here):
    left = here.directory / ".clinical.gone-0a1b2c3d"
    for _ in range(2):  # at a fetch of what was not here, and of what is
        (left / "nlst_canc").mkdir(parents=True)
        (left / "nlst_canc" / "0.parquet").write_bytes(b"old")
        here.fetch(CLINICAL, again=True)
        assert not left.exists()


def test_who_waits_is_told_that_the_server_closes(desk, publisher):
    publisher.fault("slow", f"{LARGE}.parquet", rate=50_000)
    here = desk(fetch_wait_s=600.0)
    told = []

    def ask():
        try:
            here.tables.have([LARGE])
        except NotFetched as error:
            told.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    until = time.monotonic() + 20
    while not any(here.parts().values()) and time.monotonic() < until:
        time.sleep(0.01)
    here.tables.close()
    asking.join(20)
    assert not asking.is_alive()
    assert "closing" in told[0].what and told[0].tables == (LARGE,)
    with pytest.raises(NotFetched, match="closing"):
        here.tables.have([SEG])


def test_commands_are_as_short_as_they_can_be():
    assert command(["clinical_index", "clinical"]) == "idc-mcp fetch clinical"
    assert command(["clinical_index", "seg_index"]) == "idc-mcp fetch clinical_index seg_index"
