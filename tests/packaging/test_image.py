"""The image of a hosted server: what its Dockerfile says, and its steps done without Docker."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.request import Request, urlopen

import anyio
import pytest
from mcp import Client

from idc_mcp.cli import _parser
from idc_mcp.settings import PREFIX, Settings
from tests.docs_blocks import ROOT
from tests.npm import run
from tests.packaging.dockerfile import Stage, commands, instructions, sent, stages
from tests.packaging.starting import SERIES, SERIES_OF_IT

FOUND = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
STAGES = stages(FOUND)
LAST = STAGES[""]
HOST = "127.0.0.2"
"""Not this machine's name to the server, and reached from this machine only."""


def slow(test):
    for mark in (pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")):
        test = mark(test)
    return test


def told(name):
    (one,) = [step for step in LAST if step.name == name]
    return one


def environment_told():
    pairs = [word.partition("=") for step in LAST if step.name == "ENV" for word in step.words]
    return {name: value for name, _, value in pairs}


def test_the_image_has_two_stages_of_one_python():
    bases = [step.text.partition(" ")[0] for step in FOUND if step.name == "FROM"]
    assert bases == ["python:3.11-slim"] * 2
    assert {step.name for step in FOUND} <= {
        "FROM", "LABEL", "WORKDIR", "COPY", "ENV", "ARG", "RUN", "VOLUME", "USER", "EXPOSE",
        "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD",
    }  # fmt: skip


def test_what_is_copied_is_there_and_sent():
    for stage in STAGES.values():
        for step in stage:
            if step.name == "COPY" and not step.text.startswith("--from"):
                for name in step.words[:-1]:
                    assert (ROOT / name).exists()
                    assert sent(name)
    assert not sent("tests")
    assert not sent(".git")


def test_it_serves_as_a_user_that_made_nothing():
    names = [step.name for step in LAST]
    user = told("USER").text
    assert user.isdigit()
    assert int(user) > 0
    assert f"--uid {user} " in next(step.text for step in LAST if "useradd" in step.text)
    assert not {"RUN", "COPY"} & set(names[names.index("USER") :])
    assert names[-1] == "CMD"


def test_its_settings_and_commands_are_the_servers():
    variables = {name: value for name, value in environment_told().items() if value}
    settings = Settings.from_env(variables)
    assert settings.hosted
    served = [*told("ENTRYPOINT").words[1:], *told("CMD").words]
    arguments = _parser().parse_args(served)
    assert (arguments.command, arguments.http, arguments.host) == ("serve", True, "0.0.0.0")
    assert str(arguments.port) == told("EXPOSE").text
    assert f":{arguments.port}/health" in told("HEALTHCHECK").text
    assert told("VOLUME").text == str(settings.state_dir)
    assert [words[0] for words in map(list, commands(LAST))] == ["fetch", "build"]
    for words in commands(LAST):
        _parser().parse_args(words)


def test_who_may_call_is_left_to_the_operator():
    assert set(environment_told()) == {
        f"{PREFIX}HOSTED", f"{PREFIX}CACHE_DIR", f"{PREFIX}STATE_DIR"
    }  # fmt: skip


@pytest.fixture(scope="module")
def image(uv, tmp_path_factory):
    """The last stage, after every step that needs no root was done."""
    done = {}
    outside = {name: value for name, value in uv.items() if not name.startswith(PREFIX)}
    for name, steps in STAGES.items():
        root = tmp_path_factory.mktemp(f"stage-{name}")
        done[name] = Stage(root, outside).do(steps, done)
    stage = done[""]
    assert len(stage.left_out) == 1
    Path(stage.env[f"{PREFIX}STATE_DIR"]).mkdir(parents=True)
    return stage


@pytest.fixture(scope="module")
def user(image):
    """Words before a command that make it a user who may not write what is read-only."""
    words = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everything, and there is no setpriv to take that away")
        words = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
    cache = image.env[f"{PREFIX}CACHE_DIR"]
    denied = run([*words, "touch", f"{cache}/written"], image.environment)
    assert "Permission denied" in denied.stderr
    return words


def serve(image, user, **settings):
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    words = [*told("ENTRYPOINT").words, *told("CMD").words]
    changed = {"0.0.0.0": HOST, told("EXPOSE").text: str(port)}
    command = [*user, *(changed.get(word, word) for word in words)]
    env = image.environment | {"HOME": "/nonexistent"} | settings
    env = {name: value.replace("PORT", str(port)) for name, value in env.items()}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=env, cwd="/", **pipe), port


@slow
@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, "IDC_MCP_ALLOWED_HOSTS"),
        ({"IDC_MCP_ALLOWED_HOSTS": "idc.example.org"}, "IDC_MCP_TOKENS_FILE"),
    ],
    ids=["no names", "no tokens"],
)
def test_it_does_not_start_before_it_is_said_who_may_call(image, user, settings, asked):
    process, _ = serve(image, user, **settings)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert asked in said


@slow
def test_it_serves_from_a_cache_that_it_cannot_write(image, user):
    cache = Path(image.env[f"{PREFIX}CACHE_DIR"])
    baked = sorted(path.name for path in cache.rglob("*"))
    process, port = serve(image, user, IDC_MCP_ALLOWED_HOSTS=f"{HOST}:PORT", IDC_MCP_OPEN="1")
    try:
        wait_for_database(image, port)
        # The check of a container asks under a name that is not allowed to clients.
        asked = Request(f"http://{HOST}:{port}/health", headers={"Host": "127.0.0.1:8000"})
        with urlopen(asked, timeout=10) as health:
            assert health.status == 200
        tools, cohort, counted = anyio.run(ask, f"http://{HOST}:{port}/mcp")
        assert len(tools) == 11
        assert not [name for name in tools if "download" in name or "job" in name]
        assert cohort["series"] == SERIES_OF_IT
        assert counted["rows"] == [[SERIES_OF_IT]]
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "cannot be built" not in said
    assert sorted(path.name for path in cache.rglob("*")) == baked


def wait_for_database(image, port):
    """Until the command of HEALTHCHECK succeeds, and what it reads says that the index is there."""
    _, _, check = told("HEALTHCHECK").text.partition("CMD ")
    python, option, code = json.loads(check)
    read, url = code.rsplit("; ", 1)[-1], f"{HOST}:{port}"
    code = f"{code.removesuffix(read)}print({read}.read().decode())"
    command = [python, option, code.replace("127.0.0.1:8000", url)]
    for _ in range(60):
        checked = run(command, image.environment)
        if checked.returncode == 0 and json.loads(checked.stdout)["database"] == "ready":
            return
        time.sleep(0.5)
    raise AssertionError(checked)


async def ask(url):
    with anyio.fail_after(60):
        async with Client(url) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            cohort = await client.call_tool("idc_cohort", SERIES)
            handle = cohort.structured_content["handle"]
            sql = {"sql": f"SELECT count(*) AS n FROM {handle}"}
            counted = await client.call_tool("idc_sql", sql)
    return tools, cohort.structured_content, counted.structured_content["result"]
