"""How much one client may: requests in a minute and at once, kept cohorts."""

import asyncio

import pytest
from limits.aio.storage import MemoryStorage

from idc_mcp.errors import Refused
from idc_mcp.http import rates
from idc_mcp.http.rates import PLACES, Minute, Turns
from idc_mcp.idc.cohorts.files import CohortFiles
from idc_mcp.idc.cohorts.quota import Quota
from idc_mcp.settings import Settings
from tests.server.hosted import ENDLESS, PATIENCE_S, eventually, hosted

LAB, CLINIC = "lab-token-0123456789", "clinic-token-0123456789"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# -- requests in a minute ------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited(tmp_path_factory, cache_dir):
    home = tmp_path_factory.mktemp("limited")
    (home / "tokens").write_text(f"lab {LAB}\nclinic {CLINIC}\n")
    more = {
        "IDC_MCP_TOKENS_FILE": str(home / "tokens"), "IDC_MCP_RATE_PER_MINUTE": "5",
        "IDC_MCP_PROXIES": "127.0.0.1",
    }  # fmt: skip
    with hosted(home, cache_dir, **more) as server:
        yield server


def test_a_client_that_asks_too_often_is_told_when_to_ask_again(limited):
    answers = [limited.ping(**bearer(LAB)) for _ in range(12)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused, "twelve requests fit into two minutes of five only if one had passed between"
    said = refused[0].json["error"]
    assert said["data"]["reason"] == "rate"
    assert 1 <= said["data"]["retry_after_s"] <= 60
    assert refused[0].headers["Retry-After"] == str(said["data"]["retry_after_s"])
    assert "5 requests in a minute" in said["message"]
    assert limited.ping(**bearer(CLINIC)).status == 200, "another client is not touched"
    assert limited.ask("GET", "/health").status == 200


def test_a_client_recovers_when_its_minute_is_over(monkeypatch):
    async def scenario():
        layer = Minute(_ok, 2)
        seen = [await _status(layer) for _ in range(3)]
        for key in layer._limiter.storage.expirations:
            layer._limiter.storage.expirations[key] = 0  # its minute is over
        return [*seen, await _status(layer)]

    assert asyncio.run(scenario()) == [200, 200, 429, 200]


def test_memory_does_not_grow_with_the_addresses_that_call():
    async def scenario():
        turns = Turns(_ok, 2)
        layer = Minute(turns, 1_000)
        for i in range(3 * PLACES):
            await _status(layer, f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")
        storage = layer._limiter.storage
        assert isinstance(storage, MemoryStorage)
        return len(storage.storage), len(storage.locks), len(turns._clients)

    counters, locks, turns = asyncio.run(scenario())
    assert max(counters, locks) <= PLACES
    assert turns == 0


async def _ok(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _status(layer, address="192.0.2.1"):
    statuses = []

    async def send(message):
        statuses.append(message.get("status"))

    scope = {"type": "http", "method": "POST", "headers": [], "client": (address, 1)}
    await layer(scope, None, send)
    return statuses[0]


def test_a_forged_address_is_not_believed(tmp_path, cache_dir):
    more = {"IDC_MCP_RATE_PER_MINUTE": "5", "FORWARDED_ALLOW_IPS": "*"}
    with hosted(tmp_path, cache_dir, **more) as server:
        forged = [server.ping(X_Forwarded_For=f"198.51.100.{i}").status for i in range(12)]
        assert 429 in forged
        eventually(lambda: len(server.lines()) >= 12)
        assert {line["client"] for line in server.lines()} == {"127.0.0.1"}


def test_behind_a_proxy_that_is_named_its_clients_are_apart(tmp_path, cache_dir):
    more = {"IDC_MCP_RATE_PER_MINUTE": "5", "IDC_MCP_PROXIES": "127.0.0.1,10.0.0.0/8"}
    with hosted(tmp_path, cache_dir, **more) as server:
        # The last address that is no proxy of ours is the one that the proxy has seen.
        forged = [
            server.ping(X_Forwarded_For=f"203.0.113.{i}, 198.51.100.1, 10.0.0.7").status
            for i in range(12)
        ]
        assert 429 in forged
        assert server.ping(X_Forwarded_For="198.51.100.2").status == 200
        assert server.ping(X_Forwarded_For='"},{"').status == 200
        eventually(lambda: len(server.lines()) >= 14)
        clients = [line["client"] for line in server.lines()]
        assert set(clients) == {"198.51.100.1", "198.51.100.2", "unknown"}


# -- at the same time ----------------------------------------------------------------------


def test_a_half_sent_body_holds_no_place(tmp_path, cache_dir):
    more = {"IDC_MCP_CALLS_AT_ONCE": "1", "IDC_MCP_DRAIN_S": "0"}
    with hosted(tmp_path, cache_dir, **more) as server:
        half = [server.send(body=b"{", Content_Length="100") for _ in range(20)]
        eventually(lambda: server.samples()["idcmcp_in_flight",] == 20)
        assert server.ping().status == 200
        for connection in half:
            connection.close()


@pytest.mark.slow
def test_one_client_cannot_take_every_process(tmp_path, cache_dir):
    (tmp_path / "tokens").write_text(f"lab {LAB}\nclinic {CLINIC}\n")
    more = {
        "IDC_MCP_TOKENS_FILE": str(tmp_path / "tokens"), "IDC_MCP_SQL_WORKERS": "3",
        "IDC_MCP_CALLS_AT_ONCE": "2", "IDC_MCP_DRAIN_S": "0",
    }  # fmt: skip
    endless = {"name": "idc_sql", "arguments": {"sql": ENDLESS}}
    with hosted(tmp_path, cache_dir, **more) as server:
        # The third waits for its turn, and is refused: no turn comes.
        running = [server.begin("tools/call", endless, **bearer(LAB)) for _ in range(3)]
        eventually(lambda: [one for one in server.lines() if one.get("problem") == "busy"])
        said = server.call("idc_sql", {"sql": "SELECT 1"}, **bearer(CLINIC))
        assert not said.json["result"].get("isError"), said.text
        for connection in running:
            connection.close()
        eventually(lambda: server.ping(**bearer(LAB)).status == 200)


def test_a_turn_comes_when_another_ends(monkeypatch):
    monkeypatch.setattr(rates, "TURN_S", PATIENCE_S)

    async def scenario():
        most = now = 0

        async def slow(scope, receive, send):
            nonlocal most, now
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.01)
            now -= 1
            await _ok(scope, receive, send)

        layer = Turns(slow, 2)
        return most, await asyncio.gather(*(_status(layer) for _ in range(10))), most, layer

    _, statuses, most, layer = asyncio.run(scenario())
    assert statuses == [200] * 10
    assert most == 2
    assert not layer._clients


def test_the_default_leaves_others_a_process(tmp_path):
    def at_once(**given):
        environ = {f"IDC_MCP_{name}": value for name, value in given.items()}
        return Settings.from_env(environ).calls_at_once

    assert at_once() == 0
    assert at_once(HOSTED="1") == 3
    assert [at_once(HOSTED="1", SQL_WORKERS=str(n)) for n in (1, 2, 3, 8)] == [1, 1, 2, 3]
    assert at_once(HOSTED="1", SQL_WORKERS="2", CALLS_AT_ONCE="5") == 5


@pytest.mark.parametrize(("at_once", "told"), [("0", 1), ("4", 1), ("3", 0)])
def test_a_start_says_that_one_client_can_hold_every_process(tmp_path, cache_dir, at_once, told):
    with hosted(tmp_path, cache_dir, IDC_MCP_CALLS_AT_ONCE=at_once) as server:
        said = [line["message"] for line in server.lines("message")]
        assert len([one for one in said if "IDC_MCP_CALLS_AT_ONCE" in one]) == told


# -- kept cohorts --------------------------------------------------------------------------


def test_a_full_quota_refuses_new_sets_and_leaves_the_rest(tmp_path, cache_dir):
    more = {"IDC_MCP_COHORTS_MB": "1", "IDC_MCP_RATE_PER_MINUTE": "0"}
    with hosted(tmp_path, cache_dir, **more) as server:

        def cohort(**arguments):
            return server.call("idc_cohort", arguments).json["result"]

        def part(i):
            some = f"hash(SeriesInstanceUID) % 200 = {i}"
            return cohort(sql=f"SELECT SeriesInstanceUID FROM index WHERE {some}")

        made = []
        while not (last := part(len(made))).get("isError"):
            made.append(last["structuredContent"]["handle"])
            assert len(made) < 40
        assert made
        said = last["content"][0]["text"]
        assert "IDC_MCP_COHORTS_MB" in said
        assert "go on working" in said
        used = sum(file.stat().st_size for file in (tmp_path / "state" / "cohorts").iterdir())
        assert used <= 1_000_000
        size = server.call("idc_size", {"cohort": made[0]}).json["result"]
        assert not size.get("isError"), size
        assert not part(0).get("isError"), "what is kept already takes nothing more"
        assert not cohort(filters={"Modality": "NM"}).get("isError")
        counts = server.samples()
        assert counts["idcmcp_cohorts_kept",] == len(made) + 1
        assert 0 < counts["idcmcp_cohorts_bytes",] <= 1_000_000


def test_definitions_have_a_share_of_their_own(tmp_path):
    quota = Quota(tmp_path / "cohorts", 1_000_000)
    quota.take(890_000)
    with pytest.raises(Refused):
        quota.take(10_000)
    quota.take(10_000, small=True)
    with pytest.raises(Refused):
        quota.take(200_000, small=True)


def test_what_others_keep_is_counted(tmp_path, index):
    files = CohortFiles(index, tmp_path)
    assert files.quota.most_bytes == 0
    files.quota.take(10**12)
    quota = Quota(files.directory, 100_000)
    files.directory.mkdir()
    (files.directory / "s_other.parquet").write_bytes(bytes(95_000))
    with pytest.raises(Refused):
        quota.take(1)
