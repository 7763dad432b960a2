"""Every setting, its environment variable and its default, in one place.

A call may lower a limit, never raise it: limits come from here.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idc_mcp.errors import BadArgument

PREFIX = "IDC_MCP_"


def _directory(kind: str) -> Callable[[], Path]:
    def default() -> Path:
        from platformdirs import PlatformDirs  # noqa: PLC0415  only where no setting names a place

        dirs = PlatformDirs("idc-mcp", appauthor=False)
        return Path(dirs.user_cache_dir if kind == "cache" else dirs.user_state_dir)

    return default


def _setting(
    default: Any, about: str, *, hosted: Any = None, choices: Sequence[str] = (), **bounds: float
) -> Any:
    """A field; `hosted` is its default where the server is shared."""
    if hosted is not None:
        about = f"{about}; {hosted} where the server is hosted"
    metadata = {"about": about, "hosted": hosted, "choices": choices, **bounds}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The server's settings; `IDC_MCP_<NAME>` in the environment sets each one."""

    cache_dir: Path = _setting(
        _directory("cache"), "what can be had again: the index database, fetched tables, citations"
    )
    state_dir: Path = _setting(
        _directory("state"),
        "what must last: cohorts made from SQL, lists and manifests; the table of downloads",
    )
    output_dir: Path = _setting(
        lambda: Path.home() / "idc-mcp",
        "the only directory that `save_as` and downloads write below",
    )
    hosted: bool = _setting(
        False, "the server is shared, not on the user's machine: nothing is written for callers"
    )
    offline: bool = _setting(False, "never use the network")
    answer_chars: int = _setting(
        20_000,
        "most characters of one answer, text and structured content together",
        low=4_000,
        high=200_000,
    )
    sql_timeout_s: float = _setting(
        30.0, "seconds after which a statement is stopped", low=0.1, high=3_600
    )
    sql_memory_mb: int = _setting(
        2_048, "memory ceiling of the process that runs a caller's SQL", low=512, high=262_144
    )
    sql_max_rows: int = _setting(
        1_000, "most rows of one idc_sql answer; save_as has no such limit", low=1, high=100_000
    )
    sql_workers: int = _setting(
        4, "most processes that run callers' SQL at the same time", low=1, high=64
    )
    sql_idle_s: float = _setting(
        60.0, "seconds after which an idle SQL process ends", low=0.1, high=86_400
    )
    threads: int = _setting(
        lambda: min(4, os.cpu_count() or 1), "threads of one query", low=1, high=256
    )
    doi_timeout_s: float = _setting(
        8.0, "seconds for all of a call's questions to doi.org together", low=0.1, high=120
    )
    allowed_hosts: str = _setting(
        "", "host names (with ports) that HTTP clients may use, comma-separated"
    )
    allowed_origins: str = _setting("", "web origins that may call over HTTP, comma-separated")
    tokens_file: str = _setting(
        "", "file of the clients and their tokens; without one of them nobody calls over HTTP"
    )
    open: bool = _setting(False, "a hosted server answers without tokens whoever reaches it")
    proxies: str = _setting(
        "", "addresses or networks of proxies whose X-Forwarded-For is believed, comma-separated"
    )
    rate_per_minute: int = _setting(
        0,
        "most HTTP requests of one client in a minute, 0 for any number",
        hosted=120,
        low=0,
        high=1_000_000,
    )
    calls_at_once: int = _setting(
        0,
        "most HTTP requests of one client that are answered at the same time, 0 for any number",
        hosted=3,
        low=0,
        high=1_000,
    )
    request_mb: int = _setting(4, "most MiB of one HTTP request's body", low=1, high=1_024)
    request_s: float = _setting(
        30.0, "seconds in which an HTTP request's body must have come", low=0.1, high=3_600
    )
    log: str = _setting(
        "none",
        "a line of JSON for each HTTP request: none, requests, arguments (with what callers asked)",
        hosted="requests",
        choices=("none", "requests", "arguments"),
    )
    drain_s: float = _setting(
        8.0,
        "seconds for which HTTP requests in flight may go on once the server is told to stop",
        low=0,
        high=3_600,
    )
    cohorts_mb: int = _setting(
        0,
        "most decimal megabytes of kept cohorts, 0 for any number",
        hosted=2_000,
        low=0,
        high=100_000_000,
    )
    doi_url: str = _setting("https://doi.org", "the DOI resolver")
    fetch: bool = _setting(
        True,
        "fetch a table that is not bundled when the first question needs it; never where the "
        "server is hosted or offline",
    )
    fetch_wait_s: float = _setting(
        25.0,
        "seconds for which a question waits for a table that is being fetched",
        low=0,
        high=600,
    )
    artifacts_url: str = _setting(
        "https://storage.googleapis.com/idc-index-data-artifacts",
        "where IDC publishes the tables of each version",
    )
    releases_url: str = _setting(
        "https://github.com/ImagingDataCommons/idc-index-data/releases/download",
        "where they are had when that does not answer",
    )
    aws_url: str = _setting("", "a mirror that downloads read instead of the buckets on AWS")
    gcs_url: str = _setting("", "the same for the buckets on Google Cloud; it speaks S3")
    confirm_over_gb: float = _setting(
        10.0, "decimal gigabytes over which a download is confirmed first", low=0, high=1_000_000
    )
    connections: int = _setting(64, "files of a download fetched side by side", low=1, high=256)
    stall_s: float = _setting(
        20.0, "seconds without a byte after which a transfer is broken off", low=0.1, high=3_600
    )
    patience_s: float = _setting(
        120.0,
        "seconds for which a file is asked for again where its store does not answer",
        low=0.1,
        high=86_400,
    )

    @property
    def fetches(self) -> bool:
        """Whether a question may fetch the table that it needs."""
        return self.fetch and not self.offline and not self.hosted

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Settings of the environment; `overrides` (those that are not None) win.

        Where the server is hosted, settings that nobody gave have their hosted default.

        Raises
        ------
        BadArgument
            A variable with our prefix is unknown, or a value does not fit its setting.
        """
        environ = os.environ if environ is None else environ
        known = {setting.name: setting for setting in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for variable in sorted(environ):
            if not variable.startswith(PREFIX):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name not in known:
                raise BadArgument(
                    f"{variable} is not a setting of idc-mcp.",
                    nearest=_nearest(name, known),
                    next_step="run `idc-mcp doctor`, which lists every setting",
                )
            values[name] = _parse(variable, environ[variable], known[name])
        values.update({name: value for name, value in overrides.items() if value is not None})
        if values.get("hosted"):
            shared = {name: one.metadata["hosted"] for name, one in known.items()}
            # One client must not hold every SQL process.
            workers = values.get("sql_workers", known["sql_workers"].default)
            shared["calls_at_once"] = min(shared["calls_at_once"], max(1, workers - 1))
            values = {name: each for name, each in shared.items() if each is not None} | values
        return cls(**values)


def listed(text: str) -> list[str]:
    """The parts of a setting that holds several, with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse(variable: str, text: str, setting: dataclasses.Field[Any]) -> Any:
    kind = str(setting.type)
    try:
        if kind == "Path":
            if not text.strip():
                raise ValueError("it is empty")
            return Path(text).expanduser().absolute()
        if kind == "bool":
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
                text.strip().lower()
            ]
        if kind == "str":
            choices = setting.metadata["choices"]
            if choices and text not in choices:
                raise BadArgument(
                    f"{variable}={text!r} is none of {', '.join(choices)}.",
                    next_step=f"set {variable} to one of them",
                )
            return text
        value = {"int": int, "float": float}[kind](text)
    except (KeyError, ValueError):
        raise BadArgument(
            f"{variable}={text!r} is not a value of type {kind}: {setting.metadata['about']}.",
            next_step=f"unset {variable} or give it a {'yes or no' if kind == 'bool' else kind}",
        ) from None
    low, high = setting.metadata["low"], setting.metadata["high"]
    if not low <= value <= high:
        raise BadArgument(
            f"{variable}={text} is outside {low:g} to {high:g}: {setting.metadata['about']}.",
            next_step=f"set {variable} within these bounds",
        )
    return value


def _nearest(name: str, known: Mapping[str, object]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415  only on this error

    return [PREFIX + match.upper() for match in get_close_matches(name, known, n=3)]
