"""The skill over MCP: resources, and the Skills extension (SEP-2640) as a host would use it."""

import hashlib

import pytest
import yaml
from mcp.shared.exceptions import MCPError
from mcp_types import Request, RequestParams, Result

from tests.conftest import settings_at
from tests.docs_blocks import ROOT
from tests.server.conftest import connected

pytestmark = pytest.mark.anyio

FOLDER = ROOT / "skill"
FILES = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*.md")}
SKILL = "skill://idc-cancer-imaging"
MAIN = f"{SKILL}/SKILL.md"
MOST_FILES, MOST_BYTES = 512, 16 * 1024 * 1024
"""What every host must accept, and none need exceed."""


class Params(RequestParams, extra="allow"):
    """Parameters of an extension's method."""


class Answer(Result, extra="allow"):
    """Its result, as it came."""


async def ask(client, method, **params):
    request = Request[Params, str](method=method, params=Params(**params))
    result = await client.session.send_request(request, Answer)
    return result.model_dump(by_alias=True)


@pytest.fixture(params=["auto", "legacy"])
async def client(request, settings):
    async with connected(settings, mode=request.param) as made:
        yield made


async def test_the_extension_is_announced(settings):
    async with connected(settings) as client:
        assert client.server_capabilities.extensions == {
            "io.modelcontextprotocol/skills": {"directoryRead": True}
        }


async def test_the_instructions_point_to_it(client):
    assert MAIN in client.instructions


async def test_a_host_can_verify_every_file(client):
    listed = await ask(client, "skills/list")
    assert (listed["resultType"], listed["cacheScope"]) == ("complete", "public")
    assert listed["ttlMs"] > 0
    (skill,) = listed["skills"]
    assert skill["uri"] == MAIN
    assert skill == (await ask(client, "skills/get", uri=MAIN))["skill"]
    assert {entry["uri"] for entry in skill["resources"]} == {f"{SKILL}/{name}" for name in FILES}
    assert len(skill["resources"]) <= MOST_FILES
    assert sum(entry["size"] for entry in skill["resources"]) <= MOST_BYTES
    for entry in skill["resources"]:
        (content,) = (await client.read_resource(entry["uri"])).contents
        raw = content.text.encode()
        assert content.mime_type == "text/markdown"
        assert (len(raw), f"sha256:{hashlib.sha256(raw).hexdigest()}") == (
            entry["size"], entry["digest"],
        )  # fmt: skip
        assert raw == FILES[entry["uri"].removeprefix(f"{SKILL}/")].read_bytes()


async def test_the_head_is_that_of_the_file_as_yaml_reads_it(client):
    (skill,) = (await ask(client, "skills/list"))["skills"]
    assert skill["frontmatter"] == yaml.safe_load(FILES["SKILL.md"].read_text().split("---\n")[1])
    assert skill["uri"].split("/")[-2] == skill["frontmatter"]["name"]


async def test_the_files_are_ordinary_resources_too(client):
    listed = {str(item.uri): item for item in (await client.list_resources()).resources}
    assert {uri for uri in listed if uri.startswith("skill://")} == {f"{SKILL}/{n}" for n in FILES}
    assert listed[MAIN].name == "idc-cancer-imaging"
    references = [item for uri, item in listed.items() if uri.startswith(f"{SKILL}/references/")]
    assert all(item.title and item.description.startswith("Load this") for item in references)


async def test_the_guide_is_the_skills_text(client):
    (guide,) = (await client.read_resource("idc://guide")).contents
    assert guide.text.startswith("# ")
    assert FILES["SKILL.md"].read_text().endswith(guide.text)


async def test_directories_are_read_level_by_level(client):
    root = (await ask(client, "resources/directory/read", uri=SKILL))["resources"]
    assert {item["uri"]: item["mimeType"] for item in root} == {
        MAIN: "text/markdown", f"{SKILL}/references": "inode/directory",
    }  # fmt: skip
    inside = await ask(client, "resources/directory/read", uri=f"{SKILL}/references")
    assert {item["uri"] for item in inside["resources"]} == {
        f"{SKILL}/{name}" for name in FILES if name.startswith("references/")
    }


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("skills/get", {"uri": SKILL}, MAIN),
        ("skills/get", {"uri": "skill://other/SKILL.md"}, MAIN),
        ("skills/get", {"uri": f"{SKILL}/references/data-model.md"}, MAIN),
        ("skills/get", {}, "nvalid"),
        ("skills/list", {"cursor": "2"}, "no page '2'"),
        ("resources/directory/read", {"uri": MAIN}, "not a directory"),
        ("resources/directory/read", {"uri": f"{SKILL}/"}, "without a slash"),
        ("resources/directory/read", {"uri": "skill:/"}, "not a directory"),
        ("resources/directory/read", {"uri": f"{SKILL}/nowhere"}, "not a directory"),
        ("resources/read", {"uri": f"{SKILL}/references/none.md"}, "Unknown resource"),
        ("resources/read", {"uri": f"{SKILL}/../pyproject.toml"}, "Unknown resource"),
    ],
)
async def test_what_is_not_served_is_invalid(client, method, params, words):
    with pytest.raises(MCPError, match="(?s)" + words.replace("/", ".")) as error:
        await ask(client, method, **params)
    assert error.value.code == -32602


async def test_a_hosted_server_serves_it_as_well(tmp_path, cache_dir):
    async with connected(settings_at(tmp_path, cache_dir, hosted=True)) as client:
        assert (await ask(client, "skills/list"))["skills"]
