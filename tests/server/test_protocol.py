"""The server as a client sees it, in both protocol eras."""

import dataclasses
import json

import jsonschema
import pytest

from idc_mcp.answers import compact_json
from idc_mcp.server import INSTRUCTIONS, LOCAL_INSTRUCTIONS
from tests.conftest import settings_at
from tests.server.conftest import connected

pytestmark = pytest.mark.anyio
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])

CALLS = [
    ("idc_search", {"query": "lung cancer CT"}),
    ("idc_schema", {}),
    ("idc_schema", {"table": "index"}),
    ("idc_schema", {"table": "index", "column": "Modality"}),
    ("idc_schema", {"table": "seg_index"}),
    ("idc_describe", {"identifier": "TCGA-LUAD"}),
    ("idc_describe", {"identifier": "v25"}),
    ("idc_sql", {"sql": "SELECT Modality, count(*) AS n FROM index GROUP BY ALL"}),
    ("idc_cohort", {"filters": {"Modality": "NM"}}),
    ("idc_annotations", {"cohort": "4d_lung"}),
    ("idc_annotations", {"cohort": "4d_lung", "direction": "images", "kinds": "RTSTRUCT"}),
    ("idc_size", {"cohort": "4d_lung"}),
    ("idc_licenses", {"cohort": "tcga_luad, nsclc_radiomics", "use": "commercial"}),
    ("idc_citations", {"cohort": "4d_lung", "format": "bibtex"}),
    ("idc_viewer", {"cohort": "4d_lung", "limit": 2}),
    ("idc_manifest", {"cohort": "4d_lung"}),
    ("idc_download", {"cohort": "prostate_3t", "dry_run": True}),
    ("idc_jobs", {}),
]
ANSWERED_ELSEWHERE = {"idc_job_control"}  # test_downloads.py: it needs a job


@ERAS
async def test_every_tool_answers_in_both_forms_that_say_the_same(settings, mode):
    async with connected(settings, mode) as client:
        schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
        called = set()
        for name, arguments in CALLS:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, (name, result.content)
            text, structured = result.content[0].text, result.structured_content
            jsonschema.validate(structured, schemas[name])
            assert structured["release"].startswith("IDC v")
            assert len(text) + len(compact_json(structured)) <= 20_000
            for key in structured:
                assert any(line.startswith(key) for line in text.splitlines()), (name, key)
            called.add(name)
        assert called == set(schemas) - ANSWERED_ELSEWHERE


@ERAS
async def test_tools_have_what_hosts_demand(settings, mode):
    async with connected(settings, mode) as client:
        for tool in (await client.list_tools()).tools:
            assert len(tool.name) <= 64
            assert tool.name.startswith("idc_")
            assert tool.title
            assert tool.description
            hints = tool.annotations
            assert None not in (
                hints.read_only_hint, hints.destructive_hint,
                hints.idempotent_hint, hints.open_world_hint,
            )  # fmt: skip
            for name, argument in tool.input_schema["properties"].items():
                assert argument.get("description"), f"{tool.name}.{name} is not described"
            assert tool.input_schema["additionalProperties"] is False


@pytest.mark.parametrize(("hosted", "most"), [(True, 16_800), (False, 20_400)])
async def test_what_a_model_reads_first_is_short(settings, hosted, most):
    async with connected(dataclasses.replace(settings, hosted=hosted)) as client:
        tools = (await client.list_tools()).tools
        listed = compact_json(
            [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
        )
        assert client.instructions == INSTRUCTIONS + ("" if hosted else LOCAL_INSTRUCTIONS)
        assert len(client.instructions) <= 2_000
        assert len(client.instructions) + len(listed) <= most


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("idc_search", {"querry": "lung"}, ["querry", "Nearest: query"]),
        ("idc_search", {}, ["'query' is missing"]),
        ("idc_search", {"query": "lung", "limit": 0}, ["limit", "greater than or equal to 1"]),
        ("idc_search", {"query": "lung", "limit": "many"}, ["limit", "many"]),
        ("idc_search", {"query": 5}, ["query", "string"]),
        ("idc_search", {"query": "lung", "kinds": "patient"}, ["kinds", "collection"]),
        ("idc_cohort", {"filters": {"modality": "CT"}}, ["modality", "Nearest: Modality"]),
        ("idc_cohort", {"filters": {"Modality": []}}, ["filters.Modality", "empty"]),
        ("idc_cohort", {"filters": "CT"}, ["filters"]),
        ("idc_cohort", {"identifiers": []}, ["identifiers", "empty"]),
        ("idc_cohort", {"filters": {"StudyDate": "20100101"}}, ["2010-01-01"]),
        ("idc_cohort", {"filters": {"Modality": "MRI"}}, ["Nearest: MR ("]),
        ("idc_cohort", {"identifiers": "4d_lung", "filters": {}}, ["filters", "empty"]),
        ("idc_search", {"query": "lung", "limit": True}, ["limit", "true"]),
        ("idc_search", {"query": "lung", "kinds": []}, ["kinds", "empty"]),
        ("idc_describe", {"identifier": "x" * 20_000}, ["more characters", "idc_search"]),
        ("idc_size", {"cohort": "tcga_luda"}, ["tcga_luad"]),
        ("idc_size", {"cohort": ""}, ["empty"]),
        ("idc_sql", {"sql": "SELECT Modalty FROM index"}, ["Modality"]),
        ("idc_sql", {"sql": "SELECT 1", "max_rows": 1_000_000}, ["max_rows", "1000"]),
        ("idc_sql", {"sql": "SELECT * FROM c_ffffffffffff"}, ["c_ffffffffffff", "idc_cohort"]),
        ("idc_licenses", {"cohort": "4d_lung", "use": "personal"}, ["use", "commercial"]),
        ("idc_manifest", {"cohort": "4d_lung", "save_as": "../x.s5cmd"}, ["outside"]),
        ("idc_sql", {"sql": "SELECT 1", "save_as": "/etc/x.csv"}, ["outside"]),
    ],
)  # fmt: skip
async def test_errors_name_the_argument_the_nearest_and_the_next_call(
    settings, tool, arguments, said
):
    async with connected(settings) as client:
        result = await client.call_tool(tool, arguments)
        assert result.is_error
        text = result.content[0].text
        for part in said:
            assert part in text, text
        assert "Next: " in text
        assert "pydantic" not in text


async def test_a_bare_string_is_one_value_and_json_text_a_list(settings):
    async with connected(settings) as client:
        for identifiers in ("4d_lung", ["4d_lung"], '["4d_lung"]'):
            result = await client.call_tool("idc_cohort", {"identifiers": identifiers})
            assert result.structured_content["series"] == 6690
        result = await client.call_tool("idc_cohort", {"identifiers": "TCGA-LUAD, lidc_idri"})
        assert result.structured_content["collections"] == 2
        result = await client.call_tool("idc_cohort", {"filters": '{"Modality": "NM"}'})
        assert not result.is_error
        result = await client.call_tool("idc_search", {"query": '["lung"]', "kinds": "collection"})
        assert not result.is_error


@ERAS
async def test_resources(settings, mode):
    async with connected(settings, mode) as client:
        listed = {str(found.uri) for found in (await client.list_resources()).resources}
        assert {uri for uri in listed if not uri.startswith("skill://")} == {"idc://guide"}
        templates = (await client.list_resource_templates()).resource_templates
        assert {found.uri_template for found in templates} == {
            "idc://schema/{table}", "idc://schema/{table}/{column}",
            "idc://collection/{collection_id}", "idc://cohort/{handle}",
        }  # fmt: skip
        card = await client.call_tool("idc_cohort", {"filters": {"Modality": "NM"}, "name": "nm"})
        handle = card.structured_content["handle"]

        async def read(uri: str) -> str:
            return (await client.read_resource(uri)).contents[0].text

        assert "BodyPartExamined" in await read("idc://guide")
        assert "collection_id" in await read("idc://schema/index")
        assert "CT" in await read("idc://schema/index/Modality")
        assert "tcga_luad" in await read("idc://collection/TCGA-LUAD")
        kept = json.loads(await read(f"idc://cohort/{handle}"))
        assert kept["definition"] == "SELECT * FROM index WHERE Modality IN ('NM')"
        assert kept["name"] == "nm"
        for uri in (
            "idc://schema/nothing",
            "idc://collection/nothing",
            "idc://cohort/c_ffffffffffff",
        ):
            with pytest.raises(Exception, match=r"nothing|c_ffffffffffff"):
                await read(uri)


@ERAS
async def test_prompts_name_tools_and_arguments_that_exist(settings, mode):
    async with connected(settings, mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        for prompt in (await client.list_prompts()).prompts:
            needed = {argument.name: "x" for argument in prompt.arguments if argument.required}
            text = (await client.get_prompt(prompt.name, needed)).messages[0].content.text
            words = {word.strip("().,:;") for word in text.replace("(", " ").split()}
            named = {word for word in words if word.startswith("idc_")}
            assert named
            assert named <= tools


@pytest.mark.parametrize(
    ("template", "argument", "typed", "given", "first"),
    [
        ("idc://collection/{collection_id}", "collection_id", "tcga-lu", {}, "tcga_luad"),
        ("idc://schema/{table}", "table", "seg", {}, "seg_index"),
        ("idc://schema/{table}/{column}", "column", "modal", {"table": "index"}, "Modality"),
        (
            "idc://schema/{table}/{column}",
            "column",
            "Slice",
            {"table": "ct_index"},
            "SliceThickness",
        ),
    ],
)
async def test_completions(settings, template, argument, typed, given, first):
    from mcp_types import ResourceTemplateReference

    async with connected(settings) as client:
        result = await client.complete(
            ResourceTemplateReference(type="ref/resource", uri=template),
            {"name": argument, "value": typed},
            context_arguments=given or None,
        )
        assert result.completion.values[0] == first


async def test_two_servers_in_one_process(tmp_path, cache_dir):
    async with (
        connected(settings_at(tmp_path / "a", cache_dir)) as one,
        connected(settings_at(tmp_path / "b", cache_dir)) as other,
    ):
        made = await one.call_tool("idc_cohort", {"filters": {"Modality": "NM"}})
        handle = made.structured_content["handle"]
        assert not (await one.call_tool("idc_size", {"cohort": handle})).is_error
        assert (await other.call_tool("idc_size", {"cohort": handle})).is_error


async def test_a_hosted_server_writes_nothing(tmp_path, cache_dir):
    async with connected(settings_at(tmp_path, cache_dir, hosted=True)) as client:
        for tool, arguments in (
            ("idc_sql", {"sql": "SELECT 1", "save_as": "a.csv"}),
            ("idc_manifest", {"cohort": "4d_lung", "save_as": "a.s5cmd"}),
            ("idc_citations", {"cohort": "4d_lung", "save_as": "a.bib", "format": "bibtex"}),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert "shared" in result.content[0].text
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("tool", ["idc_describe", "idc_size", "idc_search"])
async def test_text_that_is_no_text_is_refused(app, tool):
    from idc_mcp.tools import all_tools

    (found,) = [one for one in all_tools(app) if one.name == tool]
    name = next(iter(found.parameters["properties"]))
    result = await found.run({name: "\ud800"}, None)
    assert result.is_error
    assert "not valid text" in result.content[0].text
