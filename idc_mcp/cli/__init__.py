"""The `idc-mcp` command: the server, and the same questions for people at a terminal.

Each subcommand's module is imported only when it runs, so that a server starts without
waiting for what it does not use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from idc_mcp import __version__
from idc_mcp.errors import IdcError

CLIENTS = (
    "claude-code", "claude-desktop", "codex", "cursor", "gemini-cli", "opencode", "vscode",
    "windsurf", "zed", "json",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status (2 for what the caller can mend)."""
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments)
    except IdcError as error:
        print(f"idc-mcp: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "serve":
            from idc_mcp.cli.serve import serve  # noqa: PLC0415

            return serve(http=arguments.http, host=arguments.host, port=arguments.port)
        case "download":
            from idc_mcp.cli.download import download  # noqa: PLC0415

            return download(arguments)
        case "jobs":
            from idc_mcp.cli.jobs import jobs  # noqa: PLC0415

            return jobs(arguments)
        case "job":
            from idc_mcp.cli.jobs import job  # noqa: PLC0415

            return job(arguments)
        case "demo":
            from idc_mcp.cli.demo import demo  # noqa: PLC0415

            return demo()
        case "doctor":
            from idc_mcp.cli.doctor import doctor  # noqa: PLC0415

            return doctor()
        case "build":
            from idc_mcp.cli.doctor import build_database  # noqa: PLC0415

            return build_database()
        case "fetch":
            from idc_mcp.cli.fetch import fetch  # noqa: PLC0415

            return fetch(arguments)
        case "skill":
            from idc_mcp.cli.skill import export_skill  # noqa: PLC0415

            return export_skill(arguments)
        case "config":
            from idc_mcp.cli.clients import configuration  # noqa: PLC0415

            print(configuration(arguments.client, arguments.url, arguments.token_env))
            return 0
        case "token":
            from idc_mcp.cli.token import token  # noqa: PLC0415

            return token(arguments.name)
        case _:
            from idc_mcp.cli.questions import ask  # noqa: PLC0415

            return ask(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="idc-mcp", description="The NCI Imaging Data Commons for assistants and people."
    )
    parser.add_argument("--version", action="version", version=f"idc-mcp {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the server (stdio, or HTTP with --http)")
    serve.add_argument("--http", action="store_true", help="streamable HTTP at /mcp")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (HTTP)")
    serve.add_argument("--port", type=int, default=8000, help="port to listen on (HTTP)")

    commands.add_parser("demo", help="walk one real question through a real server")
    commands.add_parser("doctor", help="what is installed, cached, reachable; what is missing")
    commands.add_parser("build", help="build the database now instead of at the first start")
    config = commands.add_parser("config", help="what to paste into a client, or the command")
    config.add_argument("client", choices=CLIENTS)
    config.add_argument("--url", default="", help="of a server elsewhere, instead of this one")
    config.add_argument(
        "--token-env", default="", metavar="NAME",
        help="the environment variable that holds your token for it",
    )  # fmt: skip
    token = commands.add_parser("token", help="a new token for a client of a hosted server")
    token.add_argument("name", help="the client's name in the file of tokens and in logs")

    _add_skill(commands)

    search = commands.add_parser("search", help="search collections, results, columns, values")
    search.add_argument("query", nargs="+", help="words: a disease, an organ, a modality, …")
    search.add_argument("--limit", type=int, default=10, help="most matches of a kind")

    sql = commands.add_parser("sql", help="a SELECT over the index")
    sql.add_argument("sql", help="the statement, or - to read it from standard input")
    sql.add_argument("--max-rows", type=int, default=100, help="most rows to show")
    sql.add_argument("--save-as", default="", help="a .csv, .parquet or .json for all rows")

    cohort = commands.add_parser("cohort", help="define a cohort and show its card")
    cohort.add_argument("identifiers", nargs="*", help="collections, patients, UIDs, handles, …")
    cohort.add_argument(
        "-f", "--filter", action="append", default=[], metavar="NAME=VALUE[,VALUE]",
        help="a filter of idc_cohort; ranges as FROM..TO",
    )  # fmt: skip
    cohort.add_argument("--sql", default="", help="a SELECT that yields series")
    cohort.add_argument("--manifest", default="", help="a manifest file")
    cohort.add_argument("--use", choices=("any", "commercial"), default="any")
    cohort.add_argument("--name", default="", help="a label")

    cite = commands.add_parser("cite", help="citations of a cohort")
    cite.add_argument("cohort", help="a handle, or identifiers with commas")
    cite.add_argument("--format", choices=("apa", "bibtex", "csl-json", "turtle"), default="apa")
    cite.add_argument("--save-as", default="", help="a file for all entries")

    _add_fetch(commands)
    _add_downloads(commands)
    return parser


def _add_skill(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    skill = commands.add_parser("skill", help="the skill that teaches an agent to use this server")
    actions = skill.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser(
        "export",
        help="put the skill's folder into a directory",
        description="Put the skill's folder into a directory, such as ~/.claude/skills.",
    )
    export.add_argument("directory", metavar="DIR", help="where to; made if it is not there")
    export.add_argument("--zip", action="store_true", help="as one ZIP file, to upload")
    export.add_argument(
        "--replace", action="store_true", help="replace another version, which is kept as a ZIP"
    )


def _add_fetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fetch = commands.add_parser(
        "fetch",
        help="fetch tables that are not bundled, or list them",
        description="Fetch tables of this IDC version, each verified, and add them to the "
        "database. Without names: what can be fetched and how it stands. Ctrl-C keeps what has "
        "come. Exit status: 0 all here, 1 some could not be had, 2 what you can mend, 130 after "
        "Ctrl-C.",
    )
    fetch.add_argument("names", nargs="*", metavar="NAME", help="seg_index, ct_index, clinical, …")
    fetch.add_argument("--all", action="store_true", help="everything that can be fetched")
    fetch.add_argument("--again", action="store_true", help="fetch what is here too")


def _add_downloads(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    download = commands.add_parser(
        "download",
        help="download a cohort, every file verified",
        description="Download a cohort's files into a directory, each verified by size and MD5. "
        "What is whole there is not fetched again. Ctrl-C cancels and keeps whole files. "
        "Exit status: 0 complete, 1 not all complete, 2 what you can mend, 130 after Ctrl-C.",
    )
    download.add_argument("cohort", metavar="COHORT", help="a handle, or identifiers with commas")
    download.add_argument("directory", metavar="DIR", help="where to; made if it is not there")
    download.add_argument(
        "--layout", default=None, metavar="TEMPLATE",
        help="directories by %%columns of index, '' for none (default: %%collection_id/%%PatientID/"
        "%%StudyInstanceUID/%%Modality_%%SeriesInstanceUID)",
    )  # fmt: skip
    download.add_argument(
        "--source", choices=("auto", "aws", "gcs"), default="auto",
        help="auto is AWS, and Google's mirror where AWS keeps failing",
    )  # fmt: skip
    download.add_argument("--engine", choices=("auto", "obstore", "s5cmd"), default="auto")
    download.add_argument("--dry-run", action="store_true", help="show the plan, write nothing")
    download.add_argument("--yes", action="store_true", help="do not ask, however large it is")
    download.add_argument("--detach", action="store_true", help="begin it and return")

    jobs = commands.add_parser("jobs", help="downloads and how they stand")
    jobs.add_argument("job", nargs="?", default="", metavar="JOB", help="j_…: this one alone")
    jobs.add_argument("--series", action="store_true", help="every series; CSV where it is piped")
    jobs.add_argument("--watch", action="store_true", help="show progress to the end")

    job = commands.add_parser("job", help="cancel, resume or verify a download")
    job.add_argument("job", metavar="JOB", help="j_…, as `idc-mcp jobs` lists them")
    job.add_argument("action", choices=("cancel", "resume", "verify"))
    job.add_argument("--deep", action="store_true", help="verify the MD5 of every file")
    job.add_argument("--detach", action="store_true", help="begin it and return")
