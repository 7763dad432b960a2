"""The wheel and the sdist: what they hold, and that the wheel works alone, away from a checkout."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from idc_mcp import __version__
from tests.docs_blocks import ROOT
from tests.npm import run
from tests.packaging.conftest import only, uv_environment
from tests.packaging.starting import SERIES_OF_IT, answers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("packaging")]


def tracked(folder: str) -> set[str]:
    """Files of a folder of the repository, as paths from it."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", folder],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


def contents(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as opened:
        return {
            entry.filename: entry.CRC
            for entry in opened.infolist()
            if not entry.filename.endswith("/RECORD")
        }


def test_the_wheel_is_the_package_and_the_skill(built):
    held = {name for name in contents(built.wheel) if ".dist-info/" not in name}
    assert held == tracked("idc_mcp") | {f"idc_mcp/{name}" for name in tracked("skill")}
    assert {"idc_mcp/py.typed", "idc_mcp/skill/SKILL.md"} <= held


def test_the_wheel_of_the_sdist_is_that_of_the_checkout(built):
    assert contents(built.wheel) == contents(built.direct)


def test_the_sdist_holds_what_builds_it(built):
    with tarfile.open(built.sdist) as opened:
        top = f"idc_mcp-{__version__}/"
        held = {name.removeprefix(top) for name in opened.getnames()}
    assert tracked("idc_mcp") | tracked("skill") <= held
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= held
    assert not [name for name in held if name.startswith(("tests/", "references/"))]


@pytest.fixture(scope="module")
def installed(built, uv, cache_dir, tmp_path_factory):
    """An environment with the wheel and nothing else, and a place of its own to be in."""
    home = tmp_path_factory.mktemp("alone")
    env = uv_environment(home, cache_dir)
    for command in (
        ["uv", "venv", "--quiet", "env"],
        ["uv", "pip", "install", "--quiet", "--python", "env/bin/python", str(built.wheel)],
    ):
        made = run(command, env, 100, cwd=home)
        assert made.returncode == 0, made
    # Nothing of the environment that runs the tests is found by the commands.
    return home, only("PYTHON", env) | {"PATH": f"{home}/env/bin:/usr/bin:/bin"}


def test_the_command_says_its_version_and_how_it_stands(installed):
    home, env = installed
    assert run(["idc-mcp", "--version"], env, cwd=home).stdout == f"idc-mcp {__version__}\n"
    doctor = run(["idc-mcp", "doctor"], env, cwd=home)
    assert doctor.returncode == 0, doctor
    assert f"{home}/env/bin" in run(["idc-mcp", "config", "json"], env, cwd=home).stdout


def test_the_installed_skill_is_exported_whole(installed):
    home, env = installed
    exported = run(["idc-mcp", "skill", "export", "skills"], env, cwd=home)
    assert exported.returncode == 0, exported
    folder = home / "skills" / "idc-cancer-imaging"
    held = {f"skill/{path.relative_to(folder)}" for path in folder.rglob("*") if path.is_file()}
    assert held == tracked("skill")


def test_the_installed_server_answers_before_its_database_is_built(installed):
    home, env = installed
    answered = answers(["idc-mcp", "serve"], env | {"IDC_MCP_CACHE_DIR": str(home / "cache")}, home)
    assert len(answered["tools"]) == 14
    assert answered["cohort"]["series"] == SERIES_OF_IT
    assert answered["skill"] == (ROOT / "skill" / "SKILL.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "command",
    [
        ["uvx", "--from", ".", "idc-mcp", "--version"],
        ["uvx", "pipx", "run", "--spec", ".", "idc-mcp", "--version"],
    ],
    ids=["uvx", "pipx run"],
)
def test_it_runs_without_being_installed(command, checkout, uv, tmp_path):
    env = uv | {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_DEFAULT_BACKEND": "uv"}
    ran = run(command, env, 100, cwd=checkout)
    assert ran.returncode == 0, ran
    assert ran.stdout == f"idc-mcp {__version__}\n"


def test_pipx_installs_it(checkout, uv, tmp_path):
    env = uv | {
        "PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"), "PIPX_DEFAULT_BACKEND": "uv",
    }  # fmt: skip
    installed = run(["uvx", "pipx", "install", "."], env, 100, cwd=checkout)
    assert installed.returncode == 0, installed
    ran = run([str(tmp_path / "bin" / "idc-mcp"), "--version"], env)
    assert ran.stdout == f"idc-mcp {__version__}\n"


def test_uv_installs_it(checkout, uv, tmp_path):
    env = uv | {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    installed = run(["uv", "tool", "install", "."], env, 100, cwd=checkout)
    assert installed.returncode == 0, installed
    ran = run([str(tmp_path / "bin" / "idc-mcp"), "--version"], env)
    assert ran.stdout == f"idc-mcp {__version__}\n"
