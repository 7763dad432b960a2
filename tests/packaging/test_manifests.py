"""What plugins, bundles and registries are told is what the code says; the linters agree."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from idc_mcp import __version__
from idc_mcp.cli import _parser
from idc_mcp.settings import PREFIX, Settings
from idc_mcp.skill import export, installed_skill
from idc_mcp.tools import all_tools
from tests.docs_blocks import ROOT

BIN = Path(sys.executable).parent
SKILL = "idc-cancer-imaging"
BUNDLE = json.loads((ROOT / "mcpb" / "manifest.json").read_text(encoding="utf-8"))
SERVER = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
PLUGIN = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text(encoding="utf-8"))
MARKETPLACE = json.loads((ROOT / ".claude-plugin" / "marketplace.json").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_there_is_one_version():
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    told = {
        "pyproject.toml": PROJECT["version"],
        "CITATION.cff": cited and cited[1],
        "plugin.json": PLUGIN["version"],
        "mcpb/manifest.json": BUNDLE["version"],
        "server.json": SERVER["version"],
        "server.json package": SERVER["packages"][0]["version"],
    }
    assert told == dict.fromkeys(told, __version__)


def test_the_bundle_lists_the_tools(app):
    assert [tool["name"] for tool in BUNDLE["tools"]] == [tool.name for tool in all_tools(app)]
    for tool in BUNDLE["tools"]:
        assert 10 < len(tool["description"]) < 80


def defaults() -> dict[str, object]:
    """Every variable of the environment and the value that its setting has without it."""
    given = dataclasses.asdict(Settings())
    return {f"{PREFIX}{name.upper()}": value for name, value in given.items()}


def test_what_the_bundle_asks_its_user_are_settings_with_their_defaults(tmp_path):
    config = BUNDLE["server"]["mcp_config"]
    asked = {f"${{user_config.{name}}}": one for name, one in BUNDLE["user_config"].items()}
    assert set(asked) == set(config["env"].values())
    given = {}
    for name, value in config["env"].items():
        default = asked[value]["default"]
        # A host writes numbers and booleans as JSON does.
        given[name] = default if isinstance(default, str) else json.dumps(default)
    given["IDC_MCP_OUTPUT_DIR"] = given["IDC_MCP_OUTPUT_DIR"].replace("${HOME}", str(Path.home()))
    assert Settings.from_env(given) == Settings()


def test_what_the_registry_tells_are_settings_with_their_defaults():
    (package,) = SERVER["packages"]
    known = defaults()
    given = {}
    for variable in package["environmentVariables"]:
        assert variable["name"] in known
        if "default" in variable:
            given[variable["name"]] = variable["default"]
    assert Settings.from_env(given) == Settings()


def test_server_json_is_as_the_registry_wants_it():
    release = "v" + SERVER["$schema"].split("/")[-2].replace("-", "_")
    schema = files("skillsaw") / "schemas" / "mcp_registry" / release / "server.schema.json"
    jsonschema.validate(SERVER, json.loads(schema.read_text()))
    (package,) = SERVER["packages"]
    assert package["identifier"] == PROJECT["name"]
    words = [argument["value"] for argument in package["packageArguments"]]
    assert _parser().parse_args(words).command == "serve"


def test_the_readme_proves_the_name_to_the_registry():
    assert f"<!-- mcp-name: {SERVER['name']} -->" in (ROOT / PROJECT["readme"]).read_text()


def test_the_marketplace_offers_the_plugin_of_this_repository():
    (offered,) = MARKETPLACE["plugins"]
    assert (offered["name"], offered["source"]) == (PLUGIN["name"], "./")
    (skill,) = PLUGIN["skills"]
    assert (ROOT / skill / "SKILL.md").is_file()


def test_both_ways_into_claude_code_start_the_same_server():
    project = json.loads((ROOT / ".mcp.json").read_text())["mcpServers"]["idc"]
    plugin = PLUGIN["mcpServers"]["idc"]
    assert project["command"] == plugin["command"] == "uv"
    assert [word.replace("${CLAUDE_PLUGIN_ROOT}", ".") for word in plugin["args"]] == project[
        "args"
    ]
    assert _parser().parse_args(project["args"][4:]).command == "serve"


def errors_of(place: Path) -> list[str]:
    """The rules that skillsaw finds broken below `place`."""
    done = subprocess.run(
        [BIN / "skillsaw", "lint", "--format", "json", place],
        capture_output=True, text=True, check=False, cwd=place,
    )  # fmt: skip
    found = [one for one in json.loads(done.stdout)["violations"] if one["severity"] == "error"]
    assert done.returncode == (1 if found else 0), done.stderr
    return [one["rule_id"] for one in found]


def test_the_linter_finds_no_error_in_the_repository():
    assert errors_of(ROOT) == []


@pytest.fixture
def exported(tmp_path):
    folder = export(installed_skill(), tmp_path / "skills").folder
    assert folder.name == SKILL
    return folder


def test_the_exported_skill_is_valid(exported):
    done = subprocess.run(
        [BIN / "agentskills", "validate", exported], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_finds_no_error_in_the_exported_skill_or_a_plugin_of_it(exported, tmp_path):
    """With every rule, which the repository has not: there the folder is called as the skill."""
    assert errors_of(exported) == []
    plugin = tmp_path / "plugin"
    (plugin / ".claude-plugin").mkdir(parents=True)
    about = {name: PLUGIN[name] for name in ("name", "version", "description", "author")}
    (plugin / ".claude-plugin" / "plugin.json").write_text(json.dumps(about))
    shutil.copytree(exported.parent, plugin / "skills")
    assert errors_of(plugin) == []
    (plugin / "skills" / SKILL).rename(plugin / "skills" / "another")
    assert errors_of(plugin) == ["agentskill-name"]
