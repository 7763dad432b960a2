"""The DOI resolver, a real server on this machine: good, bad, slow and endless answers."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from idc_mcp.idc.citations import doi
from idc_mcp.idc.citations.citations import CATALOGUE, RESOLVER, cite
from idc_mcp.idc.cohorts.resolve import Cohort

GOOD = {
    doi.ACCEPT["bibtex"]: "@misc{Hugo_2016, title={4D Lung}, author={Hügo}}",
    doi.ACCEPT["csl-json"]: json.dumps({"title": "4D Lung", "abstract": "long", "DOI": "10.1/a"}),
    doi.ACCEPT["turtle"]: "<https://doi.org/10.1/a> a <http://schema.org/Dataset> .",
}


class Resolver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.asked.append(self.path)
        good = GOOD[self.headers["Accept"]].encode()
        name = unquote(self.path).rsplit("/", 1)[-1]
        if name == "moved":
            self.send(302, Location="/10.1/good")
        elif name == "circle":
            self.send(302, Location=self.path)
        elif name in ("404", "500"):
            self.send(int(name), b"<html>no</html>")
        elif name == "html":
            self.send(200, b"<!DOCTYPE html><html>a page</html>")
        elif name == "text":
            self.send(200, b"nothing of the kind {")
        elif name == "latin":
            self.send(200, good.replace("ü".encode(), b"\xfc") + b"\xfc")
        elif name == "slow":
            self.server.stop.wait(10)
            self.send(200, good)
        elif name == "drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                if self.server.stop.wait(0.1):
                    break
                self.wfile.write(b" ")
                self.wfile.flush()
            self.close_connection = True
        elif name == "huge":
            self.send_response(200)
            self.end_headers()
            for _ in range(2000):
                self.wfile.write(b"@" * 65536)
            self.close_connection = True
        else:
            self.send(200, good)


@pytest.fixture
def resolver():
    class Server(ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass  # clients that hang up are the point of some tests

    server = Server(("127.0.0.1", 0), Resolver)
    server.daemon_threads = True
    server.asked, server.stop = [], threading.Event()
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    ).start()
    yield server
    server.stop.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def online(settings, tmp_path, resolver):
    url = f"http://127.0.0.1:{resolver.server_port}"
    return dataclasses.replace(
        settings, offline=False, doi_url=url, doi_timeout_s=5.0, cache_dir=tmp_path / "cache"
    )


@pytest.mark.parametrize("form", list(doi.ACCEPT))
def test_good_answers_are_kept(online, resolver, form):
    names = ["10.1/good", "10.7937/K9/a.b", "10.1/moved", "10.1/a<b>#c"]
    first = doi.fetch(names, form, online)
    assert first.found == dict.fromkeys(names, GOOD[doi.ACCEPT[form]])
    assert not first.failed
    asked = len(resolver.asked)
    again = doi.fetch([name.lower() for name in names], form, online)
    assert again.found.keys() == {name.lower() for name in names}
    assert len(resolver.asked) == asked
    kept = list((online.cache_dir / "citations").iterdir())
    assert len(kept) == len(names)
    assert all(path.name[0] != "." for path in kept)


@pytest.mark.parametrize("name, why", [
    ("404", "404"), ("500", "500"), ("html", "web page"), ("text", "not BibTeX"),
    ("latin", "UTF-8"), ("circle", "circle"), ("huge", "over"),
])  # fmt: skip
def test_bad_answers_say_why_and_are_not_kept(online, resolver, name, why):
    records = doi.fetch([f"10.1/{name}", "10.1/good"], "bibtex", online)
    assert why in records.failed[f"10.1/{name}"]
    assert list(records.found) == ["10.1/good"]
    doi.fetch([f"10.1/{name}"], "bibtex", online)
    assert resolver.asked.count(f"/10.1/{name}") >= 2
    assert len(list((online.cache_dir / "citations").iterdir())) == 1


@pytest.mark.parametrize("slow", ["slow", "drip"])
def test_the_time_is_for_all_together(online, slow):
    online = dataclasses.replace(online, doi_timeout_s=1.5)
    names = [f"10.{n}/{slow}" for n in range(20)]
    start = time.monotonic()
    records = doi.fetch(["10.1/good", *names], "turtle", online)
    assert time.monotonic() - start < 3
    assert list(records.found) == ["10.1/good"]
    assert set(records.failed) == set(names)
    assert all("slow" in why or "within" in why for why in records.failed.values())


def test_a_resolver_out_of_reach_is_given_up_early(online, resolver):
    resolver.shutdown()
    resolver.server_close()
    start = time.monotonic()
    records = doi.fetch([f"10.1/{n}" for n in range(242)], "bibtex", online)
    assert len(records.failed) == 242
    assert all("cannot be reached" in why for why in records.failed.values())
    assert time.monotonic() - start < 4


def test_offline_asks_nobody_and_still_reads_the_cache(online, resolver):
    doi.fetch(["10.1/good"], "bibtex", online)
    asked = len(resolver.asked)
    offline = dataclasses.replace(online, offline=True)
    records = doi.fetch(["10.1/good", "10.1/other"], "bibtex", offline)
    assert list(records.found) == ["10.1/good"]
    assert "offline" in records.failed["10.1/other"]
    assert len(resolver.asked) == asked


def test_a_damaged_cache_file_is_asked_for_again(online, resolver):
    doi.fetch(["10.1/good"], "bibtex", online)
    (path,) = (online.cache_dir / "citations").iterdir()
    path.write_bytes(b"\xff\xfe<html>")
    assert doi.fetch(["10.1/good"], "bibtex", online).found
    assert len(resolver.asked) == 2


def test_a_cache_that_cannot_be_written_does_no_harm(online, tmp_path):
    (tmp_path / "file").write_text("")
    online = dataclasses.replace(online, cache_dir=tmp_path / "file")
    assert doi.fetch(["10.1/good"], "bibtex", online).found


def test_citations_of_doi_org_and_of_the_catalogue_side_by_side(index, online):
    source = (
        "(SELECT * REPLACE (CASE Modality WHEN 'CT' THEN source_DOI ELSE '10.1/404' END "
        "AS source_DOI) FROM core.series WHERE collection_id = '4d_lung' "
        "UNION ALL SELECT * REPLACE ('10.7937/TCIA.HMQ8-J677' AS source_DOI) "
        "FROM core.series WHERE collection_id = '4d_lung') AS series"
    )
    cohort = Cohort(handle="c", understood="", definition="", source=source)
    found = cite(index, cohort, "bibtex", online)
    assert {item.origin for item in found.cited} == {RESOLVER}
    assert len({item.text.split(",")[0] for item in found.cited}) == 2  # same key, made different
    assert [item.doi for item in found.missing] == ["10.1/404"]
    plain = cite(index, cohort, "csl-json", online).cited[0].text
    assert json.loads(plain) == {"title": "4D Lung", "DOI": "10.1/a"}
    gone = dataclasses.replace(online, doi_url=f"{online.doi_url}/500#", cache_dir=online.state_dir)
    built = cite(index, cohort, "bibtex", dataclasses.replace(gone, offline=True))
    assert {item.origin for item in built.cited} == {CATALOGUE}
    assert built.reasons
