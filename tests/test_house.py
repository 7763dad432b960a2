"""The house: which room may use which, what a start may load, and how files are kept."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "idc_mcp"
MODULES = sorted(PACKAGE.rglob("*.py"))
FLOORS = (
    ("errors", "quantities"),
    ("settings", "files"),
    ("answers", "outputs", "index", "skill"),
    ("idc",),
    ("transfer",),
    ("fetch",),
    ("app",),
    ("tools",),
    ("resources", "prompts", "completions", "skill_resources"),
    ("server",),
    ("http",),
    ("cli",),
    ("__main__",),
)
"""From the ground up: a room uses its own modules and the floors below, never one above."""
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MOST_LINES = 350


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def room_of(module: str) -> str:
    """The room of `idc_mcp.index.guard` is `index`; that of `idc_mcp` itself is ''."""
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every module that a module imports, wherever that stands."""
    package = ["idc_mcp", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                whole = PACKAGE.parent.joinpath(*module.split("."), alias.name)
                is_module = whole.with_suffix(".py").exists() or whole.is_dir()
                yield node.lineno, f"{module}.{alias.name}" if is_module else module


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_import_runs_back_up(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        assert not list(imports_of(path))
        return
    wrong = []
    for line, module in imports_of(path):
        if not module.startswith("idc_mcp"):
            continue
        other = room_of(module)
        if other not in ("", room) and FLOOR_OF[other] >= FLOOR_OF[room]:
            wrong.append(f"{name_of(path)}:{line} imports {module}")
    assert not wrong


def test_every_room_has_its_floor():
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms - {"__init__"} == set(FLOOR_OF)


ALLOWED_CLIENTS = {
    "duckdb": ("index",),
    "obstore": ("transfer",),
    "sqlite3": ("transfer",),
    "rich": ("cli",),
    "mcp": (
        "tools",
        "resources",
        "prompts",
        "completions",
        "skill_resources",
        "server",
        "http",
        "cli",
    ),
    "mcp_types": ("tools", "completions", "skill_resources", "server", "http"),
    "starlette": ("server", "http"),
    "uvicorn": ("http",),
    "limits": ("http",),
    "prometheus_client": ("http",),
    "pandas": (),
    "pyarrow": (),
}
"""Who may know a library that decides much."""


@pytest.mark.parametrize("library", ALLOWED_CLIENTS)
def test_a_library_is_known_in_its_room_only(library):
    wrong = [
        f"{name_of(path)}:{line}"
        for path in MODULES
        for line, module in imports_of(path)
        if module.split(".")[0] == library
        and path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in ALLOWED_CLIENTS[library]
    ]
    assert not wrong


NOT_TOOLS = ("strict", "arguments", "calls", "job_answers")
"""What tools are made of."""


def test_tools_do_not_import_each_other():
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in (PACKAGE / "tools").glob("*.py")
        if path.stem not in ("__init__", *NOT_TOOLS)
        for line, module in imports_of(path)
        if module.startswith("idc_mcp.tools") and module.rpartition(".")[2] not in NOT_TOOLS
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("module", "not_loaded"),
    [
        ("idc_mcp.cli", {"mcp", "duckdb", "pandas", "pydantic", "rapidfuzz", "httpx2", "rich"}),
        (
            "idc_mcp.server",
            {
                "duckdb",
                "pandas",
                "pyarrow",
                "numpy",
                "rapidfuzz",
                "obstore",
                "rich",
                "limits",
                "prometheus_client",
            },
        ),
        ("idc_mcp.transfer.worker", {"mcp", "duckdb", "pandas", "pydantic", "rapidfuzz"}),
        ("idc_mcp.index.worker", {"mcp", "duckdb", "pandas", "pydantic", "httpx2"}),
    ],
)
def test_nothing_heavy_is_loaded_at_import(module, not_loaded):
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {not_loaded!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_is_one_room(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "its first lines say what belongs there"
    assert len(text.splitlines()) <= MOST_LINES, "look for the second room"
    vague = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert not vague & {*path.relative_to(PACKAGE).with_suffix("").parts}


def test_no_circles():
    graph = {}
    for path in MODULES:
        parts = ["idc_mcp", *path.relative_to(PACKAGE).with_suffix("").parts]
        name = ".".join(parts).removesuffix(".__init__")
        graph[name] = {found for _, found in imports_of(path) if found.startswith("idc_mcp.")}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in graph.get(name, ()):
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())
