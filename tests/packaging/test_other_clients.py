"""Clients of others, from npm: what `idc-mcp config` prints is put where it says, and is used."""

import http.server
import json
import threading
from typing import NamedTuple

import pytest

from tests.npm import from_npm, newcomer, run
from tests.server.conftest import IDC_MCP, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("npm")]
TOKEN = "s3cret-token-of-a-lab"


class Package(NamedTuple):
    """A client on npm, how it lists its servers, where it is configured, and what finishes it."""

    npm: tuple[str, str]
    list: tuple[str, ...]
    file: str
    made_by: str = ""


PACKAGES = {
    "codex": Package(
        ("@openai/codex", "0.169.0"), ("codex", "mcp", "get", "idc", "--json"), ".codex/config.toml"
    ),
    "gemini-cli": Package(
        ("@google/gemini-cli", "0.61.0"), ("gemini", "mcp", "list"), ".gemini/settings.json"
    ),
    "opencode": Package(
        ("opencode-ai", "1.18.33"), ("opencode", "mcp", "list"),
        ".config/opencode/opencode.json", "postinstall.mjs",
    ),
}  # fmt: skip


@pytest.fixture(params=PACKAGES)
def client(request, tmp_path, cache_dir):
    """Gives a client's name, and a function that configures it and lists its servers."""
    package = PACKAGES[request.param]
    modules = from_npm(package.npm)
    env = newcomer(environment(tmp_path, cache_dir), tmp_path / "home", modules / ".bin")
    if package.made_by:
        made = run(["node", package.made_by], env, cwd=modules / package.npm[0])
        if made.returncode:
            pytest.skip(f"{request.param} does not install here: {made.stderr[-300:]}")
    home = tmp_path / "home"

    def listed(*words, **more):
        printed = run([IDC_MCP, "config", request.param, *words], env)
        assert package.file in printed.stderr
        place = home / package.file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(printed.stdout)
        if request.param == "gemini-cli":  # else it starts no server of this folder
            trusted = home / ".gemini" / "trustedFolders.json"
            trusted.write_text(json.dumps({str(home): "TRUST_FOLDER"}))
        done = run(list(package.list), env | more, 60, cwd=home)
        assert done.returncode == 0, done
        return done.stdout + done.stderr

    return request.param, listed


@pytest.fixture
def recorder():
    """A server on loopback that refuses everybody, and the tokens that it was shown."""
    shown = []

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            shown.append(self.headers.get("Authorization"))
            self.send_error(403)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/mcp", shown
    server.shutdown()
    server.server_close()


def test_the_server_is_found_and_started(client):
    name, listed = client
    said = listed()
    if name == "codex":  # it connects in a conversation only
        entry = json.loads(said[said.index("{") : said.rindex("}") + 1])
        assert entry["enabled"]
        assert entry["transport"]["command"] == IDC_MCP
        assert entry["transport"]["args"] == ["serve"]
    else:
        assert "connected" in said.lower()
        assert "disconnected" not in said.lower()


def test_the_token_of_a_server_elsewhere_is_sent(client, recorder):
    name, listed = client
    url, shown = recorder
    said = listed("--url", url, "--token-env", "LAB_TOKEN", LAB_TOKEN=TOKEN)
    if name == "codex":
        entry = json.loads(said[said.index("{") : said.rindex("}") + 1])["transport"]
        assert (entry["url"], entry["bearer_token_env_var"]) == (url, "LAB_TOKEN")
    else:
        assert shown
        assert set(shown) == {f"Bearer {TOKEN}"}
