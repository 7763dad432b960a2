"""`idc-mcp search|sql|cohort|cite`: the tools' own answers, for a terminal."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import Any

from idc_mcp.answers import Answer, render
from idc_mcp.app import App
from idc_mcp.cli.terminal import show
from idc_mcp.errors import BadArgument
from idc_mcp.fetch.background import Report
from idc_mcp.idc.citations import citations
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.settings import Settings
from idc_mcp.tools import idc_citations, idc_cohort, idc_search, idc_sql
from idc_mcp.tools.arguments import Core, argument_model, check_arguments

COLUMN = "columns."
"""Before a column's name, where a filter is `columns`: `-f columns.ct_index.KVP=80..100`."""


_TELL_EVERY_S = 2.0


def ask(arguments: argparse.Namespace) -> int:
    """Answer one question and print it."""
    core: Core
    given: dict[str, Any]
    match arguments.command:
        case "search":
            core, given = idc_search, {
                "query": " ".join(arguments.query), "limit": arguments.limit,
            }  # fmt: skip
        case "sql":
            statement = sys.stdin.read() if arguments.sql == "-" else arguments.sql
            core, given = idc_sql, {
                "sql": statement, "max_rows": arguments.max_rows, "save_as": arguments.save_as,
            }  # fmt: skip
        case "cohort":
            core, given = idc_cohort, {
                "identifiers": arguments.identifiers or None,
                "filters": _filters(arguments.filter),
                "sql": arguments.sql, "manifest": arguments.manifest,
                "use": arguments.use, "name": arguments.name,
            }  # fmt: skip
        case _:
            core, given = idc_citations, {
                "cohort": arguments.cohort, "format": arguments.format,
                "save_as": arguments.save_as,
            }  # fmt: skip
    app = App.create(Settings.from_env())
    try:
        if arguments.command == "cite" and arguments.format != "apa" and not arguments.save_as:
            print(_entries(app, arguments))
            return 0
        checked = check_arguments(
            f"idc-mcp {arguments.command}",
            argument_model(core),
            {name: value for name, value in given.items() if value is not None},
        )
        answer: Answer = app.with_tables(partial(core, app, **checked), _teller())
        print(show(render(answer, budget=None).structured))
    finally:
        app.close()
    return 0


def _teller() -> Report:
    """Says now and then how far a table is that the question waits for."""
    told = [0.0]

    def tell(_done: float, _total: float | None, words: str) -> None:
        if time.monotonic() - told[0] >= _TELL_EVERY_S:
            told[0] = time.monotonic()
            print(f"idc-mcp: {words}", file=sys.stderr, flush=True)

    return tell


def _entries(app: App, arguments: argparse.Namespace) -> str:
    """Citations as they belong into a file; what is missing is said on standard error."""
    found = citations.cite(
        app.index, app.cohorts.resolve(arguments.cohort), arguments.format, app.settings
    )
    built = sum(item.origin == citations.CATALOGUE for item in found.cited)
    print(
        f"{app.release_name}: {found.dois} DOIs; {len(found.cited) - built} citations are "
        f"doi.org's, {built} built from the catalogue's text, {len(found.missing)} missing",
        file=sys.stderr,
    )
    for item in found.missing:
        print(f"missing: {item.doi}: {item.why}", file=sys.stderr)
    return citations.document(found, arguments.format, app.release_name)


def _filters(texts: list[str]) -> dict[str, Any] | None:
    """`NAME=VALUE,VALUE` and `NAME=FROM..TO` as the filters of idc_cohort."""
    filters: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise BadArgument(
                f"--filter {text!r} has no NAME=VALUE.",
                next_step="for example -f Modality=CT -f slice_thickness_mm=..1.5",
            )
        name = name.strip()
        if name.startswith(COLUMN):
            _add(filters.setdefault("columns", {}), name.removeprefix(COLUMN), name, value)
        else:
            _add(filters, name, name, value)
    return filters or None


def _add(filters: dict[str, Any], key: str, name: str, value: str) -> None:
    """One filter; what a column takes is not known here, but a range has its two dots."""
    dotted = name.startswith(COLUMN) and ".." in value
    if not dotted and name not in (*Filters.RANGES, *Filters.YES_OR_NO):
        values = filters.setdefault(key, [])
        if isinstance(values, list):
            values += [part.strip() for part in value.split(",")]
            return
    if key in filters:
        raise BadArgument(f"--filter {name} is given twice.", next_step="give it once")
    filters[key] = _yes_or_no(name, value) if name in Filters.YES_OR_NO else _range(value)


def _range(value: str) -> Any:
    """`FROM..TO`, `FROM..`, `..TO`, or one value for both."""
    low, dots, high = value.partition("..")
    if not dots:
        return value
    return {key: part for key, part in (("from", low), ("to", high)) if part}


def _yes_or_no(name: str, value: str) -> bool:
    answers = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if value.lower() not in answers:
        raise BadArgument(
            f"--filter {name}={value!r} is neither yes nor no.", next_step=f"give {name}=yes or no"
        )
    return answers[value.lower()]
