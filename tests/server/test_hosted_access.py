"""Who may call a hosted server: tokens, host names, origins, and what it refuses to start with."""

import asyncio
import hashlib
import os
import subprocess
import threading

import anyio
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from idc_mcp.errors import BadArgument
from idc_mcp.http.access import access_of
from idc_mcp.http.addresses import address_of, network_of, proxies_of
from idc_mcp.http.tokens import Tokens, line_of, new_token, read_clients
from tests.conftest import settings_at
from tests.server.conftest import IDC_MCP, environment
from tests.server.hosted import eventually, hosted

LAB, CLINIC = "lab-token-0123456789", "clinic-token-0123456789"
SITE = "https://app.example.org"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def write(path, *lines):
    """As an editor saves a file: whole, under a new inode."""
    part = path.with_suffix(".part")
    part.write_text("\n".join(lines) + "\n")
    part.replace(path)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, cache_dir):
    home = tmp_path_factory.mktemp("guarded")
    write(home / "tokens", "# the lab", "", f"lab {LAB}", line_of("clinic", CLINIC))
    more = {
        "IDC_MCP_TOKENS_FILE": str(home / "tokens"), "IDC_MCP_OPEN": "0",
        "IDC_MCP_RATE_PER_MINUTE": "0",
        "IDC_MCP_ALLOWED_HOSTS": "idc.example.org",
        "IDC_MCP_ALLOWED_ORIGINS": f"{SITE},http://dev.example.org:*",
    }  # fmt: skip
    with hosted(home, cache_dir, **more) as server:
        server.tokens = home / "tokens"
        yield server


# -- tokens --------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [LAB, CLINIC])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.anyio
async def test_clients_of_both_eras_come_in_with_their_token(guarded, token, mode):
    with anyio.fail_after(60):
        async with (
            create_mcp_http_client(headers=bearer(token)) as http,
            Client(streamable_http_client(guarded.url, http_client=http), mode=mode) as client,
        ):
            result = await client.call_tool("idc_describe", {"identifier": "4d_lung"})
            assert not result.is_error


def test_without_a_token_a_request_is_told_how(guarded):
    answer = guarded.ping()
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="idc-mcp"'
    assert answer.json["error"]["data"]["reason"] == "token"
    assert "Authorization: Bearer" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong-token-0123456789", f"Bearer {LAB}x", f"Bearer {LAB[:-1]}", "Bearer ",
        f"Bearer {LAB.upper()}", f"Basic {LAB}", LAB, f"Bearer {LAB}, Bearer {LAB}",
        "Bearer \xff\xfe\x80", "Bearer %00%0d%0a", "Bearer " + "x" * 20_000,
        f"Bearer sha256:{hashlib.sha256(LAB.encode()).hexdigest()}",
    ],
)  # fmt: skip
def test_a_wrong_token_is_refused_as_rfc_6750_says(guarded, header):
    answer = guarded.ping(Authorization=header)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="idc-mcp", error="invalid_token"'


def test_blanks_and_case_of_the_scheme_do_not_matter(guarded):
    assert guarded.ping(Authorization=f"bearer {LAB} ").status == 200


def test_health_is_open_and_counts_are_not(guarded):
    assert guarded.ask("GET", "/health").status == 200
    assert eventually(lambda: guarded.ask("GET", "/ready").status == 200)
    assert guarded.ask("GET", "/metrics").status == 401
    assert guarded.ask("GET", "/metrics", **bearer(LAB)).status == 200


def test_no_authorization_server_is_advertised(guarded):
    for name in ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration"):
        assert guarded.ask("GET", f"/.well-known/{name}").status == 404
        assert guarded.ask("GET", f"/.well-known/{name}/mcp").status == 404


def test_a_token_can_be_given_and_revoked_without_a_restart(guarded):
    before = guarded.tokens.read_text().splitlines()
    token = new_token()
    assert guarded.ping(**bearer(token)).status == 401
    write(guarded.tokens, *before, line_of("guest", token))
    eventually(lambda: guarded.ping(**bearer(token)).status == 200)
    eventually(lambda: "guest" in {line["client"] for line in guarded.lines()})
    write(guarded.tokens, *before)
    eventually(lambda: guarded.ping(**bearer(token)).status == 401)
    assert guarded.ping(**bearer(LAB)).status == 200


def test_a_file_that_is_not_understood_keeps_the_old_list_and_says_so(guarded):
    before = guarded.tokens.read_text().splitlines()
    write(guarded.tokens, *before, "secret-of-somebody")
    assert guarded.ping(**bearer(LAB)).status == 200
    (told,) = [line for line in guarded.lines("message") if "line 5" in line["message"]]
    assert "stay valid" in told["message"]
    assert str(guarded.tokens) in told["message"]
    guarded.tokens.unlink()
    assert guarded.ping(**bearer(LAB)).status == 200
    write(guarded.tokens, *before)
    assert guarded.ping(**bearer(CLINIC)).status == 200
    assert "secret-of-somebody" not in guarded.log.read_text()


def test_no_token_is_in_the_log(guarded):
    guarded.ping(**bearer(LAB))
    guarded.ping(**bearer(LAB + "wrong"))
    guarded.call("idc_sql", {"sql": "nonsense"}, **bearer(CLINIC))
    eventually(lambda: guarded.lines()[-1]["client"] == "clinic")
    assert LAB not in guarded.log.read_text()
    assert CLINIC not in guarded.log.read_text()


def test_what_clients_ask_is_bound_to_their_name(tmp_path):
    write(tmp_path / "tokens", f"lab {LAB}")
    found = asyncio.run(Tokens(tmp_path / "tokens").verify_token(LAB))
    assert found.client_id == "lab"
    assert LAB not in repr(found)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["lab"], "line 1"), (["# x", "", f"lab {LAB}", f"{LAB}"], "line 4"),
        (["lab short"], "line 1"), (["lab sha256:abc"], "line 1"),
        (["lab two words-0123456789"], "line 1"),
        (["läb lab-token-0123456789"], "line 1"), ([f"lab {LAB}", line_of("other", LAB)], "line 2"),
        (["# nobody"], "no client"),
    ],
)  # fmt: skip
def test_a_malformed_file_is_an_error_that_names_its_line(tmp_path, lines, said):
    write(tmp_path / "tokens", *lines)
    with pytest.raises(BadArgument) as error:
        Tokens(tmp_path / "tokens")
    assert said in str(error.value)
    assert str(tmp_path / "tokens") in str(error.value)
    assert LAB not in str(error.value)
    assert "0123456789" not in str(error.value).replace(str(tmp_path), "")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(BadArgument, match="No such file"):
        Tokens(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"lab \xff\xff\n")
    with pytest.raises(BadArgument, match="UTF-8"):
        Tokens(tmp_path / "bytes")


def test_what_is_no_file_of_tokens(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("pipe", "regular file"), (".", "directory")):
        with pytest.raises(BadArgument, match=said):
            read_clients(tmp_path / name)
    (tmp_path / "large").write_text("#" * 1_000_001)
    with pytest.raises(BadArgument, match="1 MB"):
        read_clients(tmp_path / "large")


def test_a_mark_at_the_start_is_no_part_of_a_name(tmp_path):
    (tmp_path / "tokens").write_text(f"lab {LAB}\n", encoding="utf-8-sig")
    assert [client.name for client in read_clients(tmp_path / "tokens")] == ["lab"]


def test_a_file_that_was_emptied_lets_nobody_in(tmp_path):
    write(tmp_path / "tokens", f"lab {LAB}")

    async def scenario():
        tokens = Tokens(tmp_path / "tokens")
        before = await tokens.verify_token(LAB)
        write(tmp_path / "tokens")
        return before, await tokens.verify_token(LAB)

    before, after = asyncio.run(scenario())
    assert before.client_id == "lab"
    assert after is None


def test_a_disk_that_does_not_answer_stops_nobody(tmp_path, monkeypatch):
    write(tmp_path / "tokens", f"lab {LAB}")
    answers = threading.Event()

    async def scenario():
        tokens = Tokens(tmp_path / "tokens")
        looks = []
        monkeypatch.setattr(tokens, "_look", lambda: looks.append(answers.wait(60)))
        found = await asyncio.gather(*(tokens.verify_token(LAB) for _ in range(50)))
        answers.set()
        await tokens._looking
        return found, looks

    monkeypatch.setattr("idc_mcp.http.tokens.LOOK_S", 0.05)
    found, looks = asyncio.run(scenario())
    assert {each.client_id for each in found} == {"lab"}
    assert looks == [True], "one thread waits, however many ask"


def test_a_client_may_have_two_tokens_while_one_replaces_the_other(tmp_path):
    write(tmp_path / "tokens", line_of("lab", LAB), line_of("lab", CLINIC))
    assert [client.name for client in read_clients(tmp_path / "tokens")] == ["lab", "lab"]


def test_new_tokens_differ_and_a_name_is_checked():
    assert new_token() != new_token()
    with pytest.raises(BadArgument):
        line_of("two words", LAB)


# -- hosts, origins, browsers --------------------------------------------------------------


def test_hosts_and_origins_hold_with_a_token(guarded):
    right = bearer(LAB)
    assert guarded.ping(Host="idc.example.org", **right).status == 200
    assert guarded.ping(Host="IDC.Example.ORG", **right).status == 200
    assert guarded.ping(Host="evil.example.org", **right).status == 421
    assert guarded.ping(Host="idc.example.org.evil.org", **right).status == 421
    assert guarded.ping(Origin=SITE, **right).status == 200
    assert guarded.ping(Origin="https://evil.example.org", **right).status == 403
    assert guarded.ping(Origin="null", **right).status == 403
    assert guarded.ask("GET", "/metrics", Host="evil.example.org", **right).status == 421


def test_an_allowed_host_may_be_written_in_any_case(tmp_path, cache_dir):
    settings = settings_at(tmp_path, cache_dir, allowed_hosts="IDC.Example.org:8000")
    assert "idc.example.org:8000" in access_of(settings, "127.0.0.1", 8000).hosts


def test_nobody_is_sent_elsewhere(guarded):
    assert guarded.ask("POST", "/mcp/", Host="evil.example.org").status == 404


def test_a_forwarded_host_changes_nothing(guarded):
    answer = guarded.ping(X_Forwarded_Host="idc.example.org", Host="evil.org", **bearer(LAB))
    assert answer.status == 421


@pytest.mark.parametrize("origin", [SITE, "http://dev.example.org:5173"])
def test_a_browser_of_an_allowed_origin_may_ask_first(guarded, origin):
    asked = "authorization,content-type,mcp-protocol-version,mcp-session-id,mcp-method,mcp-name"
    answer = guarded.ask(
        "OPTIONS", Origin=origin, Access_Control_Request_Method="POST",
        Access_Control_Request_Headers=asked,
    )  # fmt: skip
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert set(asked.split(",")) <= {
        name.strip() for name in answer.headers["Access-Control-Allow-Headers"].lower().split(",")
    }
    real = guarded.ping(Origin=origin, **bearer(LAB))
    assert real.headers["Access-Control-Allow-Origin"] == origin
    assert "Retry-After" in real.headers["Access-Control-Expose-Headers"]
    refused = guarded.ping(Origin=origin)
    assert refused.status == 401
    assert refused.headers["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    "origin", ["https://evil.example.org", "http://dev.example.org:5173.evil.org"]
)
def test_a_browser_of_another_origin_may_not(guarded, origin):
    answer = guarded.ask("OPTIONS", Origin=origin, Access_Control_Request_Method="POST")
    assert answer.status in (400, 403)
    assert answer.headers["Access-Control-Allow-Origin"] is None


# -- starting ------------------------------------------------------------------------------


def start(home, cache_dir, *arguments, **more):
    return subprocess.run(
        [IDC_MCP, "serve", "--http", "--port", "1", *arguments],
        env=environment(home, cache_dir, **more), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_other_machines_are_not_served_without_a_word_on_tokens(tmp_path, cache_dir):
    for host, more in (
        ("0.0.0.0", {"IDC_MCP_ALLOWED_HOSTS": "x:1"}), ("127.0.0.1", {"IDC_MCP_HOSTED": "1"}),
    ):  # fmt: skip
        result = start(tmp_path, cache_dir, "--host", host, **more)
        assert result.returncode == 2
        assert "IDC_MCP_TOKENS_FILE" in result.stderr
        assert "IDC_MCP_OPEN=1" in result.stderr


def test_a_start_with_a_bad_token_file_says_the_line_alone(tmp_path, cache_dir):
    write(tmp_path / "tokens", f"lab {LAB}", "a-secret-that-was-pasted-alone")
    result = start(tmp_path, cache_dir, IDC_MCP_TOKENS_FILE=str(tmp_path / "tokens"))
    assert result.returncode == 2
    assert "line 2" in result.stderr
    assert "a-secret" not in result.stderr


@pytest.mark.parametrize("proxies", ["*", "nginx", "10.0.0.1/8"])
def test_a_proxy_is_an_address_or_a_network(proxies):
    with pytest.raises(BadArgument, match="IDC_MCP_PROXIES"):
        proxies_of(f"127.0.0.1, {proxies}")
    assert proxies_of("127.0.0.1, ::1,10.0.0.0/8,") == ["127.0.0.1", "::1", "10.0.0.0/8"]


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"), ("::ffff:c000:202", "192.0.2.2"),
        ("192.0.2.3", "192.0.2.3"), ("2001:DB8::1", "2001:db8::1"), ("a name", "unknown"),
    ],
)  # fmt: skip
def test_an_ipv4_address_is_one_however_it_is_written(given, address):
    assert address_of({"client": (given, 1)}) == address


def test_one_ipv6_subscriber_is_one_client():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("192.0.2.1") == "192.0.2.1"


def test_loopback_without_any_setting_is_open_to_this_machine(tmp_path, cache_dir):
    access = access_of(settings_at(tmp_path, cache_dir), "127.0.0.1", 8000)
    assert access.tokens is None
    assert access.browsers == []
    assert "127.0.0.1:8000" in access.hosts


def test_the_command_makes_a_token_and_its_line(tmp_path, cache_dir):
    code = "import sys; from idc_mcp.cli.token import token; sys.exit(token(sys.argv[1]))"
    made = subprocess.run(
        [os.sys.executable, "-c", code, "lab"], capture_output=True, text=True, check=True
    )
    (token,) = [line.strip() for line in made.stderr.splitlines() if line.startswith("  ")]
    assert made.stdout == line_of("lab", token) + "\n"
    (tmp_path / "tokens").write_text(made.stdout)
    assert asyncio.run(Tokens(tmp_path / "tokens").verify_token(token)).client_id == "lab"
