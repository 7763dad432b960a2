"""The documents say what is true today: every snippet runs, every number is recomputed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import anyio
import pytest

from benchmarks.reading import reading
from idc_mcp import __version__
from idc_mcp.cli import CLIENTS
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.index.guard import MAX_CHARS
from idc_mcp.index.layout import VALUE_COLUMNS
from idc_mcp.server import INSTRUCTIONS, LOCAL_INSTRUCTIONS
from idc_mcp.settings import Settings
from idc_mcp.tools import all_tools
from tests import docs_blocks, docs_names
from tests.conftest import settings_at
from tests.docs_blocks import DOCUMENTS, ROOT
from tests.server.conftest import IDC_MCP, connected, environment
from tests.server.test_protocol import CALLS
from tests.test_house import MOST_LINES

EVERYTHING = {document: docs_blocks.read(document) for document in DOCUMENTS} | {
    "idc_mcp/server.py INSTRUCTIONS": INSTRUCTIONS + LOCAL_INSTRUCTIONS
}


@pytest.fixture(scope="module")
def tools(app):
    return {tool.name: tool for tool in all_tools(app)}


# -- what can be run -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("docs")


@pytest.mark.parametrize(
    "command",
    [command for document in DOCUMENTS for command in docs_blocks.commands(document)],
    ids=lambda command: command.text[:40],
)
def test_commands_print_what_is_shown(command, home, cache_dir):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", command.text], capture_output=True, text=True, timeout=100, cwd=home,
        env=environment(home, cache_dir, PATH=path, COLUMNS="100"), check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert not docs_blocks.difference(command.shown, result.stdout)


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("fetched", [False, True])
def test_calls_answer_what_is_shown(document, fetched, tmp_path, request):
    found = [call for call in docs_blocks.calls(document) if call.fetched == fetched]
    cache = request.getfixturevalue("full_cache" if fetched else "cache_dir")

    async def ask():
        async with connected(settings_at(tmp_path, cache)) as client:
            for call in found:
                result = await client.call_tool(call.tool, call.arguments)
                assert not docs_blocks.difference(call.shown, result.content[0].text)

    if found:
        anyio.run(ask)


@pytest.mark.parametrize(
    ("sql", "shown"), [pair for document in DOCUMENTS for pair in docs_blocks.numbers(document)]
)
def test_numbers_are_what_the_catalogue_gives(app, sql, shown):
    assert float(shown.replace(",", "")) == float(app.index.value(sql))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_of_a_kind_that_is_tested(document):
    for block in docs_blocks.blocks(document):
        known = ("sh", "console", "json", "json fetched", docs_blocks.TEXT)
        assert block.kind in known, f"{document}:{block.line}: ```{block.kind}"


# -- what is named exists, and what exists is named ----------------------------------------


@pytest.mark.parametrize("document", EVERYTHING)
def test_tools_that_are_named_exist(document, tools):
    assert not docs_names.unknown_tools(EVERYTHING[document], tools)


def test_descriptions_name_tools_that_exist(tools):
    text = " ".join(f"{tool.description} {tool.parameters}" for tool in tools.values())
    assert not docs_names.unknown_tools(text, tools)


@pytest.mark.parametrize("document", EVERYTHING)
def test_arguments_in_calls_exist(document, tools):
    assert not docs_names.unknown_arguments(EVERYTHING[document], tools)


def test_the_readme_documents_every_tool_with_its_arguments(tools):
    rows = dict(re.findall(r"^\| `(idc_\w+)` \| (.*?) \|", EVERYTHING["README.md"], re.MULTILINE))
    assert {name: re.findall(r"`(\w+)`", takes) for name, takes in rows.items()} == {
        name: list(tool.parameters["properties"]) for name, tool in tools.items()
    }


def test_instructions_name_every_tool(tools):
    named = set(re.findall(r"\bidc_[a-z_]+\b", INSTRUCTIONS + LOCAL_INSTRUCTIONS))
    assert named == set(tools)
    assert len(INSTRUCTIONS + LOCAL_INSTRUCTIONS) <= 2_000


def test_resources_and_prompts_are_those_of_the_server(tmp_path, cache_dir):
    async def listed():
        async with connected(settings_at(tmp_path, cache_dir)) as client:
            resources = (await client.list_resources()).resources
            templates = (await client.list_resource_templates()).resource_templates
            prompts = (await client.list_prompts()).prompts
            uris = [str(item.uri) for item in resources] + [one.uri_template for one in templates]
            return (
                {uri for uri in uris if uri.startswith("idc://")},
                {item.name for item in prompts},
            )

    uris, prompts = anyio.run(listed)
    readme = EVERYTHING["README.md"]
    assert set(re.findall(r"`(idc://[^`]*)`", readme)) == uris
    assert set(re.findall(r"`(idc://[^`]*)`", EVERYTHING["CHANGELOG.md"])) == uris
    assert prompts <= set(re.findall(r"`(\w+)`", readme))


def test_every_subcommand_is_in_the_readme():
    named = re.findall(r"`idc-mcp ([a-z]+)", EVERYTHING["README.md"])
    assert set(named) == docs_names.COMMANDS.keys()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_options_that_are_named_exist(document):
    assert not docs_names.unknown_commands(document)


def test_every_client_is_in_the_readme():
    (told,) = re.findall(r"^`CLIENT` is one of (.*)$", EVERYTHING["README.md"], re.MULTILINE)
    assert re.findall(r"`([a-z-]+)`", told) == list(CLIENTS)


@pytest.mark.parametrize("document", ["README.md", "SECURITY.md"])
def test_options_that_are_named_alone_exist(document):
    usage = " ".join(map(docs_names.help_of, docs_names.COMMANDS)).split()
    named = set(re.findall(r"`(--[a-z-]+)", docs_blocks.prose(document)))
    assert named <= set(usage)


def test_the_settings_table_is_that_of_the_code():
    assert docs_blocks.between("README.md", "settings") == docs_blocks.settings_table(), (
        "run `python -m tests.docs_blocks` and put its output into README.md"
    )


def test_defaults_that_differ_are_described_truly(monkeypatch):
    monkeypatch.setenv("HOME", "/home/you")
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    made = Settings()
    assert made.threads == min(4, os.cpu_count() or 1)
    assert str(made.output_dir) == "/home/you/idc-mcp"
    if sys.platform == "linux":
        for name in ("cache_dir", "state_dir"):
            shown = docs_blocks.MACHINE_DEFAULTS[name].split("`")[1]
            assert str(getattr(made, name)) == shown.replace("~", "/home/you")


@pytest.mark.parametrize("document", EVERYTHING)
def test_settings_that_are_named_exist(document):
    assert not docs_names.unknown_settings(EVERYTHING[document])


# -- links, places, versions ---------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_files_resolve(document):
    assert not docs_names.broken_links(document)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_of_make_that_are_named_exist(document):
    targets = set(re.findall(r"^([a-z-]+):", docs_blocks.read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", docs_blocks.prose(document))) <= targets


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md"])
def test_places_that_are_named_exist(document):
    for place in re.findall(r"`((?:idc_mcp|tests|benchmarks)/[^`]*)`", docs_blocks.prose(document)):
        if "<" not in place and place != "tests/.cache":
            assert (ROOT / place).exists(), place


def test_names_in_code_that_contributing_gives_exist():
    assert all(
        hasattr(Filters, name)
        for name in ("COLUMNS", "IDENTIFIERS", "TEXTS", "COLLECTION_TEXTS", "NUMBERS")
    )
    assert set(Filters.COLUMNS) <= set(VALUE_COLUMNS["index"])
    assert CALLS


def test_every_dependency_is_explained_with_its_licence():
    project = tomllib.loads(docs_blocks.read("pyproject.toml"))["project"]
    asked = [project["dependencies"], *project["optional-dependencies"].values()]
    names = [re.match(r"[\w-]+", line)[0] for lines in asked for line in lines]
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", EVERYTHING["CONTRIBUTING.md"], re.MULTILINE)
    assert [name for name, _ in rows] == names
    for name, licence in rows:
        said = metadata(name)
        stated = f"{said.get('License-Expression')} {said.get_all('Classifier')}"
        assert licence.split()[0].split("-")[0] in stated, name


def test_versions_agree():
    assert f"\nversion: {__version__}\n" in docs_blocks.read("CITATION.cff")
    newest = re.search(
        r"^## \[(\d[\d.]*)\] - (\d{4}-\d{2}-\d{2})$", EVERYTHING["CHANGELOG.md"], re.M
    )
    assert newest[1] == __version__
    assert f"\ndate-released: {newest[2]}\n" in docs_blocks.read("CITATION.cff")
    assert "doi: 10.1148/rg.230180" in docs_blocks.read("CITATION.cff")
    assert docs_blocks.read("LICENSE").startswith("MIT License")


# -- what a model reads --------------------------------------------------------------------


def test_the_instructions_figure_is_that_of_the_release(app):
    (terabytes,) = re.findall(r"(\d+) TB", INSTRUCTIONS)
    assert int(terabytes) == round(app.index.value("SELECT bytes FROM facts.totals") / 1e12)
    others = re.sub(rf"{terabytes} TB", "", INSTRUCTIONS)
    assert not re.search(r"\d{2,}", others), "a figure that no test recomputes"


def test_every_table_that_is_fetched_is_told_of(app):
    cells = re.findall(r"^\| (`.*?) \|", EVERYTHING["README.md"], re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named >= set(app.release.specialised)


@pytest.mark.slow
def test_what_a_model_reads_is_as_long_as_the_readme_says(app):
    shown = docs_blocks.between("README.md", "bench")
    for number in anyio.run(reading, app):
        line = next((one for one in shown.splitlines() if one.startswith(number.what)), "no line")
        assert f" {number.ours:,.0f} characters" in line, (
            f"{number.what}: {number.ours:,.0f}; the README says {line!r}: run `make bench` and "
            "put what it prints into README.md"
        )


# -- what SECURITY.md promises -------------------------------------------------------------


def test_limits_are_those_of_the_code():
    assert f"{MAX_CHARS:,} characters" in EVERYTHING["SECURITY.md"]
    assert f"{MOST_LINES} lines" in EVERYTHING["CONTRIBUTING.md"]


def test_nothing_of_a_call_is_logged(tmp_path, cache_dir):
    secret = "SELECT 'a-patient-of-mine', no_such_column FROM index"
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "idc_sql", "arguments": {"sql": secret}}},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
            "name": "idc_sql", "arguments": {"sq": secret}}},
        {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {
            "name": secret, "arguments": {}}},
        {"jsonrpc": "2.0", "method": "tools/call", "params": secret},
        {"jsonrpc": "2.0", "id": 5, "method": "ping"},
    ]  # fmt: skip
    process = subprocess.Popen(
        [IDC_MCP, "serve"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(tmp_path, cache_dir),
    )  # fmt: skip
    for message in messages:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        while "id" in message and f'"id":{message["id"]}' not in process.stdout.readline():
            pass
    _, logged = process.communicate(timeout=30)
    assert "a-patient-of-mine" not in logged
