"""The `.mcpb` bundle: made by `make mcpb`, unpacked, and started as its manifest says."""

import json

import pytest

from idc_mcp import __version__
from tests.npm import from_npm, run
from tests.packaging.starting import SERIES_OF_IT, answers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")]
MCPB = ("@anthropic-ai/mcpb", "2.1.2")


@pytest.fixture(scope="module")
def unpacked(checkout, uv, tmp_path_factory):
    """The bundle's files, after packing and unpacking."""
    mcpb = from_npm(MCPB) / ".bin" / "mcpb"
    made = run(["make", "mcpb", f"MCPB={mcpb}"], uv, cwd=checkout)
    assert made.returncode == 0, made
    assert "Manifest schema validation passes!" in made.stdout
    place = tmp_path_factory.mktemp("bundle") / "idc-mcp"
    bundle = checkout / "dist" / f"idc-mcp-{__version__}.mcpb"
    opened = run([str(mcpb), "unpack", str(bundle), str(place)], uv)
    assert opened.returncode == 0, opened
    return place


def test_the_bundle_holds_what_the_server_needs_and_no_more(unpacked):
    assert {path.name for path in unpacked.iterdir()} == {
        "manifest.json", "server.py", "pyproject.toml", "README.md", "LICENSE", "idc_mcp", "skill",
    }  # fmt: skip
    assert (unpacked / "skill" / "references").is_dir()
    assert not list(unpacked.rglob("__pycache__"))


def test_the_server_starts_as_the_manifest_says(unpacked, uv, tmp_path):
    manifest = json.loads((unpacked / "manifest.json").read_text())
    config = manifest["server"]["mcp_config"]
    chosen = {
        f"${{user_config.{name}}}": str(option["default"]).lower()
        for name, option in manifest["user_config"].items()
    } | {"${user_config.offline}": "true"}
    given = {name: chosen[value] for name, value in config["env"].items()}
    given["IDC_MCP_OUTPUT_DIR"] = given["IDC_MCP_OUTPUT_DIR"].replace("${HOME}", str(tmp_path))
    command = [
        config["command"], *(word.replace("${__dirname}", str(unpacked)) for word in config["args"])
    ]  # fmt: skip
    answered = answers(command, uv | given, tmp_path)
    assert answered["tools"] == [tool["name"] for tool in manifest["tools"]]
    assert answered["cohort"]["series"] == SERIES_OF_IT
    # Only what the server needs was installed.
    assert not list((unpacked / ".venv").rglob("pytest"))
    # From then on a start needs no network.
    offline = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    again = answers(command, uv | given | offline, tmp_path)
    assert again["cohort"] == answered["cohort"]


def test_a_host_may_start_the_entry_point_itself(unpacked, uv, tmp_path):
    entry_point = json.loads((unpacked / "manifest.json").read_text())["server"]["entry_point"]
    command = ["uv", "run", "--directory", str(unpacked), entry_point]
    assert answers(command, uv, tmp_path)["cohort"]["series"] == SERIES_OF_IT
