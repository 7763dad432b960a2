"""The tools' contract, as a snapshot: a change of it must be seen, named, and accepted."""

import json
from pathlib import Path
from typing import Any

import pytest

from idc_mcp.tools import all_tools

SNAPSHOT = Path(__file__).parent / "contract.json"


def contract(app) -> dict[str, Any]:
    return {
        tool.name: {
            "arguments": {
                name: {
                    "schema": schema,
                    "required": name in tool.parameters.get("required", []),
                }
                for name, schema in tool.parameters["properties"].items()
            },
            "definitions": tool.parameters.get("$defs", {}),
            "always_answers": tool.output_schema["required"],
            "description": tool.description,
        }
        for tool in all_tools(app)
    }


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changed, each line beginning with `breaking` or `compatible`."""
    found = [f"breaking: {name} is gone" for name in old.keys() - new.keys()]
    found += [f"compatible: {name} is new" for name in new.keys() - old.keys()]
    for name in old.keys() & new.keys():
        before, after = old[name]["arguments"], new[name]["arguments"]
        for argument in before.keys() | after.keys():
            where = f"{name}.{argument}"
            if argument not in after:
                found.append(f"breaking: {where} is gone")
            elif argument not in before:
                kind = "breaking" if after[argument]["required"] else "compatible"
                found.append(f"{kind}: {where} is new")
            elif before[argument] != after[argument]:
                described = {
                    k: v for k, v in before[argument]["schema"].items() if k != "description"
                }
                now = {k: v for k, v in after[argument]["schema"].items() if k != "description"}
                same = (
                    described == now and before[argument]["required"] == after[argument]["required"]
                )
                found.append(f"{'compatible' if same else 'breaking'}: {where} changed")
        if old[name]["definitions"] != new[name]["definitions"]:
            found.append(f"breaking: the types of {name} changed")
        gone = set(old[name]["always_answers"]) - set(new[name]["always_answers"])
        found += [f"breaking: {name} no longer always answers {field}" for field in sorted(gone)]
        if set(new[name]["always_answers"]) - set(old[name]["always_answers"]):
            found.append(f"compatible: {name} always answers more")
        if old[name]["description"] != new[name]["description"]:
            found.append(f"compatible: the description of {name} changed")
    return sorted(found)


def test_contract_is_as_accepted(app, request):
    now = contract(app)
    if request.config.getoption("--accept-contract"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    found = changes(json.loads(SNAPSHOT.read_text()), now)
    assert not found, (
        "the tools' contract changed; say so in CHANGELOG.md and run `make contract`:\n"
        + "\n".join(found)
    )


def test_design_names_are_kept(app):
    arguments = {tool.name: set(tool.parameters["properties"]) for tool in all_tools(app)}
    expected = {
        "idc_search": {"query", "kinds", "limit"},
        "idc_schema": {"table", "column", "contains", "limit"},
        "idc_describe": {"identifier"},
        "idc_sql": {"sql", "max_rows", "save_as"},
        "idc_cohort": {"filters", "sql", "identifiers", "manifest", "use", "name"},
        "idc_annotations": {"cohort", "direction", "kinds"},
        "idc_size": {"cohort", "group_by", "bandwidth_mbps"},
        "idc_licenses": {"cohort", "use"},
        "idc_citations": {"cohort", "format", "save_as"},
        "idc_viewer": {"cohort", "viewer", "limit"},
        "idc_manifest": {"cohort", "format", "source", "save_as"},
        "idc_download": {
            "cohort",
            "directory",
            "layout",
            "source",
            "engine",
            "dry_run",
            "confirm_over_gb",
            "wait_s",
        },
        "idc_jobs": {"job", "wait_s", "state"},
        "idc_job_control": {"job", "action", "deep", "wait_s"},
    }
    assert arguments == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("idc_size"), "breaking: idc_size is gone"),
        (lambda c: c["idc_sql"]["arguments"].pop("max_rows"), "breaking: idc_sql.max_rows is gone"),
        (
            lambda c: c["idc_sql"]["arguments"].update(
                new={"schema": {"type": "string"}, "required": False}
            ),
            "compatible: idc_sql.new is new",
        ),
        (
            lambda c: c["idc_viewer"]["arguments"]["limit"]["schema"].update(maximum=2),
            "breaking: idc_viewer.limit changed",
        ),
    ],
)
def test_changes_are_classified(app, change, said):
    now = contract(app)
    changed = json.loads(json.dumps(now))
    change(changed)
    assert said in changes(json.loads(json.dumps(now)), changed)
