"""What the skill names exists, and what exists is taught."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest

from idc_mcp.idc.filters.filters import Filters
from idc_mcp.index.specialised import CLINICAL
from idc_mcp.tools import all_tools
from tests import docs_blocks, docs_names
from tests.conftest import settings_at
from tests.docs_blocks import REFERENCES, ROOT, SKILL, SKILL_DOCUMENTS
from tests.server.conftest import connected
from tests.skill import bigquery
from tests.skill.names import strangers

MOST_LINES = {SKILL: 300} | dict.fromkeys(REFERENCES, 250)
STEMS = [Path(document).stem for document in SKILL_DOCUMENTS]
EVERYTHING = {document: docs_blocks.read(document) for document in SKILL_DOCUMENTS}
DATA_MODEL = "skill/references/data-model.md"
FILTERS = "skill/references/cohorts-and-filters.md"
ALSO = {"dicom_patient_id", *bigquery.all_tables()}
"""What stands beside tables too: the key of clinical tables, and BigQuery's tables."""

every_document = pytest.mark.parametrize("document", SKILL_DOCUMENTS, ids=STEMS)
every_reference = pytest.mark.parametrize("document", REFERENCES, ids=STEMS[1:])


def words_of_code(*documents: str) -> set[str]:
    """The words in code spans and blocks."""
    text = " ".join(
        part
        for document in documents
        for part in (
            *docs_names.code(docs_blocks.prose(document)),
            *(block.content for block in docs_blocks.blocks(document)),
        )
    )
    return set(re.findall(r"\w+", text))


@pytest.fixture(scope="module")
def tools(app):
    return {tool.name: tool for tool in all_tools(app)}


@pytest.fixture(scope="module")
def uris(cache_dir, tmp_path_factory):
    """Patterns of the server's resources."""

    async def listed():
        settings = settings_at(tmp_path_factory.mktemp("uris"), cache_dir)
        async with connected(settings) as client:
            known = [str(one.uri) for one in (await client.list_resources()).resources]
            templates = (await client.list_resource_templates()).resource_templates
            return known + [one.uri_template for one in templates]

    return anyio.run(listed)


# -- what is named exists ------------------------------------------------------------------


@every_document
def test_tools_that_are_named_exist(document, tools):
    assert not docs_names.unknown_tools(EVERYTHING[document], tools)


@every_document
def test_arguments_in_calls_exist(document, tools):
    assert not docs_names.unknown_arguments(EVERYTHING[document], tools)


@every_document
def test_settings_that_are_named_exist(document):
    assert not docs_names.unknown_settings(EVERYTHING[document])


@every_document
def test_commands_and_options_that_are_named_exist(document):
    assert not docs_names.unknown_commands(document)


@every_document
def test_resources_that_are_named_exist(document, uris):
    patterns = [re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(uri)) for uri in uris]
    for named in re.findall(r"\b(?:idc|skill)://[^\s`),;]+", EVERYTHING[document]):
        plain = named.rstrip(".…")
        assert plain in uris or any(re.fullmatch(one, plain) for one in patterns), named


@every_document
def test_columns_that_are_named_with_their_table_exist(document, app):
    columns = {
        table: {column.name for column in schema.columns}
        for table, schema in app.release.schemas.items()
    }
    prose = docs_blocks.prose(document)
    named = [
        (table, column)
        for table, column in re.findall(r"`(\w+)\.(\w+)", prose)
        + [pair[::-1] for pair in re.findall(r"`(\w+)` (?:of|in|from) `(\w+)`", prose)]
        if table in columns and re.search(r"[a-z]_[a-zA-Z]|[a-z][A-Z]", column)
    ]
    for row in re.findall(r"^\|(.*)\|$", prose, re.MULTILINE):
        first, _, rest = row.partition("|")
        tables = [name for name in docs_names.code(first) if name in columns]
        known = set().union(*(columns[table] for table in tables)) | columns["index"]
        if tables:
            spans = re.findall(r"`(\w*[a-z][A-Z_]\w*)`", rest)
            named += [(tables[0], one) for one in spans if one not in known | set(columns) | ALSO]
    wrong = [f"{table}.{column}" for table, column in named if column not in columns[table]]
    assert not wrong, f"{document}: no such column: {wrong}"


@every_document
def test_identifiers_in_code_spans_are_known(document, app, full_app, tools):
    assert not (found := strangers(document, app, full_app, tools)), "\n".join(found)


# -- what exists is taught -----------------------------------------------------------------


def test_every_tool_is_named_in_the_skill(tools):
    assert set(tools) <= words_of_code(SKILL)


def test_every_argument_of_every_tool_is_named(tools):
    named = words_of_code(*SKILL_DOCUMENTS)
    missing = {
        f"{name}.{argument}"
        for name, tool in tools.items()
        for argument in tool.parameters["properties"]
        if argument not in named
    }
    assert not missing


def test_every_filter_is_named_in_cohorts_and_filters():
    assert not Filters.model_fields.keys() - words_of_code(FILTERS)


def test_every_table_is_in_the_data_model(app):
    release = app.release
    named = words_of_code(DATA_MODEL)
    assert not {*release.bundled, *release.specialised, CLINICAL} - named


# -- form ----------------------------------------------------------------------------------


@every_document
def test_documents_are_short(document):
    assert len(EVERYTHING[document].splitlines()) <= MOST_LINES[document]


@every_reference
def test_a_reference_says_when_to_load_it(document):
    title, empty, load, *_ = EVERYTHING[document].splitlines()
    assert title.startswith("# ") and not empty
    assert load.startswith("Load this when ")


@every_reference
def test_the_skill_links_every_reference_in_a_line_that_says_when(document):
    link = f"](references/{Path(document).name})"
    lines = [line for line in EVERYTHING[SKILL].splitlines() if link in line]
    when = [line.partition(link)[2].strip(" |:-") for line in lines if line.startswith(("|", "-"))]
    assert any(len(words) > 20 for words in when), f"no line of a list or table with {link}"


@every_document
def test_links_resolve_within_the_skill(document):
    assert not docs_names.broken_links(document, ROOT / "skill")


@every_document
def test_documents_are_clean_for_readers(document):
    assert "<!--" not in EVERYTHING[document]
    assert not re.search(r"[ \t]+$", EVERYTHING[document], re.MULTILINE)


def test_the_guide_is_the_skills_text(cache_dir, tmp_path):
    async def read():
        async with connected(settings_at(tmp_path, cache_dir)) as client:
            return (await client.read_resource("idc://guide")).contents[0].text

    text = anyio.run(read)
    assert text.startswith("# ") and EVERYTHING[SKILL].endswith(text)
