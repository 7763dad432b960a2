"""What a running call asks of its client: progress and a yes, in both eras."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.session import ClientSession
from mcp.server.mcpserver import MCPServer
from mcp_types import ElicitRequestURLParams, ElicitResult, InputRequiredResult

from idc_mcp.answers import Answer
from idc_mcp.errors import BadArgument
from idc_mcp.tools import calls
from idc_mcp.tools.calls import cancellation, confirmed, report
from idc_mcp.tools.strict import StrictTool, make_tool
from tests.server.conftest import free_port

pytestmark = pytest.mark.anyio
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
ROOT = Path(__file__).parents[2]
QUESTION = "This is 24.3 GB in 812 files to /data: download it?"
APP: Any = SimpleNamespace(
    settings=SimpleNamespace(answer_chars=20_000),
    warm=lambda: None,
    with_tables=lambda ask, report, cancelled: ask(),
)


class Said(Answer):
    said: str


def fetch(app: Any) -> Said:
    """Asks before it fetches, and says how far it is."""
    yes = confirmed(QUESTION)
    for done in range(101):
        report(done, 100, f"{done} files")
    return Said(release="IDC v25", said=str(yes))


def tool(core: Any) -> StrictTool:
    return make_tool(APP, core, title=core.__name__)


def server(*cores: Any) -> MCPServer:
    return MCPServer("small", tools=[tool(core) for core in cores or (fetch,)])


class User:
    """Answers questions, and remembers them."""

    def __init__(self, *answers: ElicitResult) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, context: Any, params: Any) -> ElicitResult:
        assert not isinstance(params, ElicitRequestURLParams)
        (field,) = params.requested_schema["properties"].values()
        assert field["type"] == "boolean"
        self.asked.append(params.message)
        return self.answers.pop(0)


def yes(value: Any = True) -> ElicitResult:
    return ElicitResult(action="accept", content={"confirm": value})


async def said(client: Client, name: str = "fetch", **more: Any) -> str:
    result = await client.call_tool(name, {}, **more)
    assert not result.is_error, result.content
    return result.structured_content["said"]


@ERAS
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (yes(), "True"),
        (yes(False), "False"),
        (yes("true"), "False"),
        (yes(1), "False"),
        (ElicitResult(action="accept", content={}), "False"),
        (ElicitResult(action="accept"), "False"),
        (ElicitResult(action="decline"), "False"),
        (ElicitResult(action="decline", content={"confirm": True}), "False"),
        (ElicitResult(action="cancel"), "False"),
    ],
)
async def test_only_an_accepted_form_with_true_is_a_yes(mode, answer, outcome):
    user = User(answer)
    async with Client(server(), mode=mode, elicitation_callback=user) as client:
        assert await said(client) == outcome
    assert user.asked == [QUESTION]


@ERAS
async def test_a_client_that_shows_no_forms_is_not_asked(mode):
    async with Client(server(), mode=mode) as client:
        assert await said(client) == "None"


@ERAS
async def test_a_client_that_only_opens_addresses_is_not_asked(mode, monkeypatch):
    from mcp_types import ElicitationCapability, UrlElicitationCapability

    user = User(yes())
    only = ElicitationCapability(url=UrlElicitationCapability())
    made = ClientSession._build_capabilities

    def build(self: ClientSession, *given: Any, **named: Any) -> Any:
        return made(self, *given, **named).model_copy(update={"elicitation": only})

    monkeypatch.setattr(ClientSession, "_build_capabilities", build)
    async with Client(server(), mode=mode, elicitation_callback=user) as client:
        assert await said(client) == "None"
    assert user.asked == []


async def test_outside_a_call_nobody_is_asked_or_told():
    assert confirmed(QUESTION) is None
    assert cancellation() is None
    report(1, 2, "x")
    result = await tool(fetch).run({}, None)
    assert result.structured_content["said"] == "None"


@ERAS
async def test_two_questions_of_a_call_are_each_asked_once(mode):
    def both(app: Any) -> Said:
        """Two questions."""
        return Said(release="IDC v25", said=f"{confirmed('one?')} {confirmed('two?')}")

    user = User(yes(), ElicitResult(action="decline"))
    async with Client(server(both), mode=mode, elicitation_callback=user) as client:
        assert await said(client, "both") == "True False"
    assert user.asked == ["one?", "two?"]


async def test_where_the_plan_has_changed_the_user_is_asked_again():
    plans = iter(["24 GB?", "25 GB?", "25 GB?"])

    def changing(app: Any) -> Said:
        """A plan that grows while the user thinks."""
        return Said(release="IDC v25", said=str(confirmed(next(plans))))

    user = User(yes(), ElicitResult(action="decline"))
    async with Client(server(changing), elicitation_callback=user) as client:
        assert await said(client, "changing") == "False"
    assert user.asked == ["24 GB?", "25 GB?"]


async def test_an_answer_to_no_question_of_ours_counts_for_nothing():
    async with Client(server(), elicitation_callback=User()) as client:
        result = await client.session.call_tool(
            "fetch", {}, input_responses={"confirm-0000000000000000": yes()},
            allow_input_required=True,
        )  # fmt: skip
        assert isinstance(result, InputRequiredResult)
        (asked,) = result.input_requests.values()
        assert asked.params.message == QUESTION


@ERAS
async def test_nothing_stops_a_question_on_its_way_to_the_client(mode):
    def careless(app: Any) -> Said:
        """Catches what it can."""
        try:
            return Said(release="IDC v25", said=str(confirmed(QUESTION)))
        except Exception:
            return Said(release="IDC v25", said="swallowed")

    user = User(yes())
    async with Client(server(careless), mode=mode, elicitation_callback=user) as client:
        assert await said(client, "careless") == "True"


@ERAS
async def test_errors_after_the_question_keep_their_words(mode):
    def failing(app: Any) -> Said:
        """Fails once it may begin."""
        assert confirmed(QUESTION)
        report(1, 2, "begun")
        raise BadArgument("There is no such place.", next_step="give another")

    async with Client(server(failing), mode=mode, elicitation_callback=User(yes())) as client:
        result = await client.call_tool("failing", {})
        assert result.is_error
        assert result.content[0].text.startswith("There is no such place.")


async def test_a_user_who_never_answers_is_not_awaited_for_ever(monkeypatch):
    monkeypatch.setattr(calls, "ANSWER_S", 0.1)

    async def asleep(context: Any, params: Any) -> ElicitResult:
        await anyio.sleep_forever()

    async with Client(server(), mode="legacy", elicitation_callback=asleep) as client:
        assert await said(client) == "None"


async def test_a_client_that_fails_to_ask_has_not_asked():
    from mcp_types import ErrorData

    async def broken(context: Any, params: Any) -> ErrorData:
        return ErrorData(code=-32603, message="no window")

    async with Client(server(), mode="legacy", elicitation_callback=broken) as client:
        assert await said(client) == "None"


async def test_a_cancelled_call_ends_its_question_with_a_no():
    ended = threading.Event()
    outcome: list[Any] = []

    def asking(app: Any) -> Said:
        """Asks and waits."""
        stop = cancellation()
        outcome.append(confirmed(QUESTION))
        outcome.append(stop.wait(10))
        ended.set()
        return Said(release="IDC v25", said="")

    asked = anyio.Event()

    async def asleep(context: Any, params: Any) -> ElicitResult:
        asked.set()
        await anyio.sleep_forever()

    async with (
        Client(server(asking, fetch), mode="legacy", elicitation_callback=asleep) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(client.call_tool, "asking", {})
        with anyio.fail_after(10):
            await asked.wait()
        group.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(ended.wait, 10)
    assert outcome == [False, True]


@ERAS
async def test_progress_goes_forward_and_its_last_word_arrives(mode):
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        heard.append((done, total, message))

    async with Client(server(), mode=mode) as client:
        await said(client, progress_callback=hear)
    numbers = [done for done, _, _ in heard]
    assert numbers == sorted(set(numbers))
    assert heard[-1] == (100, 100, "100 files")
    assert len(heard) < 101


@ERAS
async def test_what_does_not_go_forward_is_not_told(mode, monkeypatch):
    monkeypatch.setattr(calls, "PROGRESS_EVERY_S", 0)

    def back(app: Any) -> Said:
        """Counts back now and then."""
        for done in (1, 1, 3, 2, 3, 4.5):
            report(done)
        return Said(release="IDC v25", said="")

    heard: list[Any] = []

    async def hear(*told: Any) -> None:
        heard.append(told)

    async with Client(server(back), mode=mode) as client:
        await said(client, "back", progress_callback=hear)
    assert heard == [(1, None, None), (3, None, None), (4.5, None, None)]


async def test_without_a_token_no_progress_is_sent(monkeypatch):
    told: list[str] = []
    received = ClientSession._on_notify

    async def watch(self: ClientSession, context: Any, method: str, params: Any) -> None:
        told.append(method)
        await received(self, context, method, params)

    monkeypatch.setattr(ClientSession, "_on_notify", watch)

    async def hear(*told: Any) -> None: ...

    async with Client(server(), mode="legacy") as client:
        await said(client)
        assert "notifications/progress" not in told
        await said(client, progress_callback=hear)
        assert "notifications/progress" in told


async def test_a_client_deaf_to_progress_fails_nothing(monkeypatch):
    monkeypatch.setattr(calls, "PROGRESS_EVERY_S", 0)
    monkeypatch.setattr(calls, "PROGRESS_WAIT_S", 0.05)
    heard: list[float] = []

    async def stuck(done: float, total: float | None, message: str | None) -> None:
        heard.append(done)
        await anyio.sleep_forever()

    # In process, the client's callback is awaited where the notification is sent.
    async with Client(server()) as client:
        assert await said(client, progress_callback=stuck) == "None"
    assert heard == [0]


@ERAS
async def test_a_client_that_is_gone_fails_nothing(mode, monkeypatch):
    from mcp.server.session import ServerSession

    async def gone(self: ServerSession, *told: Any) -> None:
        raise anyio.BrokenResourceError

    monkeypatch.setattr(ServerSession, "report_progress", gone)
    async with Client(server(), mode=mode) as client:
        assert await said(client) == "None"


@ERAS
async def test_over_stdio(tmp_path, mode):
    script = tmp_path / "small.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.server.test_calls import server\nserver().run('stdio')\n"
    )
    user = User(yes())
    heard: list[float] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        heard.append(done)

    with anyio.fail_after(30):
        process = StdioServerParameters(command=sys.executable, args=[str(script)])
        async with Client(process, mode=mode, elicitation_callback=user) as client:
            assert await said(client, progress_callback=hear) == "True"
    assert user.asked == [QUESTION]
    assert heard == sorted(set(heard))
    assert heard[-1] == 100


async def test_over_http_a_question_is_a_result_and_progress_is_silent(tmp_path):
    port = free_port()
    script = tmp_path / "small.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from idc_mcp.http import serve_http\nfrom idc_mcp.settings import Settings\n"
        "from tests.server.test_calls import server\n"
        f"serve_http(server(), Settings(), '127.0.0.1', {port})\n"
    )
    heard: list[float] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        heard.append(done)

    user = User(yes())
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    try:
        with anyio.fail_after(30):
            while not await anyio.to_thread.run_sync(_listens, port):
                await anyio.sleep(0.05)
            url = f"http://127.0.0.1:{port}/mcp"
            for mode, outcome in (("auto", "True"), ("legacy", "None")):
                async with Client(url, mode=mode, elicitation_callback=user) as client:
                    assert await said(client, progress_callback=hear) == outcome
    finally:
        process.kill()
        process.wait()
    assert user.asked == [QUESTION]
    assert heard == []


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def test_hints_of_a_tool():
    quiet = tool(fetch).annotations
    assert quiet.model_dump(include={"destructive_hint", "idempotent_hint"}) == {
        "destructive_hint": False, "idempotent_hint": True,
    }  # fmt: skip
    loud = make_tool(APP, fetch, title="x", writes=True, destructive=True, idempotent=False)
    assert loud.annotations.model_dump(exclude_none=True) == {
        "read_only_hint": False, "destructive_hint": True,
        "idempotent_hint": False, "open_world_hint": False,
    }  # fmt: skip
