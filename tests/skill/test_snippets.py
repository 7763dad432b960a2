"""Every block of the skill's documents runs, and what is shown after it is what it gives."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests import docs_blocks
from tests.conftest import settings_at
from tests.docs_blocks import SKILL_DOCUMENTS, Block
from tests.server.conftest import connected, environment
from tests.skill.addresses import Servers

CALLS = ("json", "json fetched", "sql", "sql fetched", "sql refused")
SCRIPTS = ("python", "sh", "console")
BIGQUERY = "sql bigquery"
SECONDS = 60
LAST_LINES = 30
STEMS = [Path(document).stem for document in SKILL_DOCUMENTS]


def blocks(document: str, kinds: tuple[str, ...]) -> list[Block]:
    return [block for block in docs_blocks.blocks(document) if block.kind in kinds]


def told(document: str, line: int, why: str) -> str:
    return f"{document}:{line}\n{why}"


@pytest.mark.parametrize("document", SKILL_DOCUMENTS, ids=STEMS)
def test_languages_are_known(document):
    known = {*CALLS, *SCRIPTS, BIGQUERY, docs_blocks.TEXT}
    for block in docs_blocks.blocks(document):
        assert block.kind in known, told(document, block.line, f"```{block.kind} is not tested")
        needs = block.kind.startswith("json") or block.kind == "sql refused"
        assert block.shown or not needs, told(document, block.line, "no ```text follows it")


# -- calls ---------------------------------------------------------------------------------


class Catalogues(contextlib.AsyncExitStack):
    """A document's server of the bundled catalogue, and one of the whole; with one home."""

    def __init__(self, home: Path, caches: dict[bool, Path], **changes: Any) -> None:
        super().__init__()
        self.home, self.caches, self.changes = home, caches, changes
        self.clients: dict[bool, Any] = {}

    async def answer(self, block: Block) -> str:
        """What is wrong with a block; '' if nothing is."""
        fetched = block.kind.endswith("fetched")
        if fetched not in self.clients:
            # What is not fetched stays so: a question would bring stand-ins without a word.
            settings = settings_at(self.home, self.caches[fetched], fetch=False, **self.changes)
            self.clients[fetched] = await self.enter_async_context(connected(settings))
        tool, arguments = "idc_sql", {"sql": block.content}
        if block.kind.startswith("json"):
            call = docs_blocks.call_of(block)
            if call is None:
                return "a ```json block is a call: it has a tool"
            tool, arguments = call.tool, call.arguments
        result = await self.clients[fetched].call_tool(tool, arguments)
        text = result.content[0].text
        if block.kind == "sql refused" and not result.is_error:
            return f"it is not refused:\n{text}"
        if block.kind in ("sql", "sql fetched"):
            if result.is_error:
                return text
            if not result.structured_content["result"]["rows"]:
                return f"it gives no row:\n{text}"
        return docs_blocks.difference(block.shown, text) if block.shown else ""


@pytest.mark.parametrize("document", SKILL_DOCUMENTS, ids=STEMS)
def test_calls_and_statements_answer_what_is_shown(document, tmp_path, caches, servers):
    found = blocks(document, CALLS)
    wrong = []

    async def ask() -> None:
        async with Catalogues(tmp_path, caches, **servers.settings) as catalogues:
            for block in found:
                if why := await catalogues.answer(block):
                    wrong.append(told(document, block.line, why))

    if found:
        anyio.run(ask)
    assert not wrong, "\n\n".join(wrong)


# -- scripts -------------------------------------------------------------------------------


class Desk:
    """Runs a document's scripts one after the other in one directory."""

    def __init__(self, place: Path, servers: Servers, cache_dir: Path) -> None:
        self.place, self.servers = place, servers
        self.home = home = place.parent / "home"
        home.mkdir()
        self.environment = environment(home, cache_dir, **servers.environment) | {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, block: Block) -> str:
        """What is wrong with a block; '' if nothing is."""
        if block.kind == "console":
            for command in docs_blocks.commands_of(block):
                code = self.servers.led_here(command.text)
                if why := self._run(["bash", "-ec", code], command.shown):
                    return f"$ {command.text}\n{why}"
            return ""
        code = self.servers.led_here(block.content)
        if block.kind == "sh":
            return self._run(["bash", "-ec", code], block.shown)
        script = self.home / f"line_{block.line}.py"
        script.write_text(code, encoding="utf-8")
        return self._run([sys.executable, str(script)], block.shown)

    def _run(self, started: list[str], shown: list[str] | None) -> str:
        try:
            result = subprocess.run(
                started, capture_output=True, text=True, timeout=SECONDS, cwd=self.place,
                env=self.environment, check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"it ran longer than {SECONDS} s"
        printed = self.servers.shown_as_there(result.stdout)
        if result.returncode:
            last = "\n".join(result.stderr.splitlines()[-LAST_LINES:])
            return f"exit status {result.returncode}\n{printed}\n{last}"
        return docs_blocks.difference(shown, printed) if shown else ""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("document", SKILL_DOCUMENTS, ids=STEMS)
def test_scripts_run_and_print_what_is_shown(document, desk, servers, caches):
    found = blocks(document, SCRIPTS)
    if found:
        runner = Desk(desk, servers, caches[False])
        for block in found:
            why = runner.run(block)
            assert not why, told(document, block.line, why)
