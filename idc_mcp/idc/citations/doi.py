"""Asking the DOI resolver for exact records: several at once, within one time, kept.

Content negotiation (https://www.crosscite.org/docs.html): the resolver is asked for the DOI
with an Accept header and redirects to the registry that holds the record. DOIs come from the
catalogue, never from a caller. Whatever comes back is checked before it counts.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from idc_mcp.errors import Unavailable
from idc_mcp.files import private_directory, write_whole
from idc_mcp.settings import Settings

if TYPE_CHECKING:
    import httpx2

ACCEPT = {
    "bibtex": "application/x-bibtex",
    "csl-json": "application/vnd.citationstyles.csl+json",
    "turtle": "text/turtle",
}
"""The media type of each format."""

CONNECTIONS = 8
MAX_RECORD_BYTES = 256_000
MAX_REDIRECTS = 5
_GIVE_UP_AFTER = 3
"""Failures to connect, one after another, after which the resolver counts as out of reach."""

_SUFFIX = {"bibtex": "bib", "csl-json": "json", "turtle": "ttl"}


@dataclass
class Records:
    """What the resolver gave: text by DOI, and the reason by DOI where it gave none."""

    found: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def fetch(dois: Sequence[str], form: str, settings: Settings) -> Records:
    """The records of DOIs in a format, from the cache or the resolver.

    Returns within `settings.doi_timeout_s`; every DOI is in `found` or in `failed`. Records
    are cached as files and kept until the cache directory is cleared.
    """
    cached = {doi: _read_cached(settings, doi, form) for doi in dois}
    records = Records(found={doi: text for doi, text in cached.items() if text is not None})
    wanted = [doi for doi in dois if doi not in records.found]
    if settings.offline:
        records.failed = dict.fromkeys(wanted, "offline (IDC_MCP_OFFLINE): doi.org was not asked")
    elif wanted:
        _ask(wanted, form, settings, records)
    return records


def problem_of(text: str, form: str) -> str:
    """Why a text is not a record of its format; '' where it is one."""
    start = text.lstrip()[:200]
    if start[:1] == "<" and ("<html" in start.lower() or "<!doctype" in start.lower()):
        return "the answer was a web page"
    if form == "bibtex":
        sound = start.startswith("@") and text.count("{") == text.count("}") > 0
        return "" if sound else "the answer was not BibTeX"
    if form == "csl-json":
        try:
            item = json.loads(text)
        except (ValueError, RecursionError):
            item = None
        return "" if isinstance(item, dict) and item.get("title") else "the answer was not CSL-JSON"
    return "" if "<" in text and "." in text else "the answer was not Turtle"


def _ask(wanted: list[str], form: str, settings: Settings, records: Records) -> None:
    """Ask for all of `wanted` with a few threads, and stop waiting when the time is up.

    Threads, not tasks, because a name look-up cannot be cancelled: a thread that hangs in one
    is left behind, and ends by itself.
    """
    import httpx2  # noqa: PLC0415  only where the network is asked

    deadline = time.monotonic() + settings.doi_timeout_s
    trust = httpx2.create_ssl_context()  # reads every certificate: once, not for each client
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for doi in wanted:
        todo.put(doi)
    answers: queue.SimpleQueue[tuple[str, str, str]] = queue.SimpleQueue()
    out_of_reach = threading.Event()
    refusals: list[str] = []

    def ask(doi: str, client: httpx2.Client) -> str:
        text, problem = "", ""
        try:
            text = _get(client, settings.doi_url, doi, form, deadline)
            refusals.clear()
            problem = problem_of(text, form)
        except _BadAnswerError as error:
            problem = str(error)
        except httpx2.TooManyRedirects:
            problem = "it redirects in a circle"
        except httpx2.TimeoutException:
            problem = _too_slow(settings)
        except (httpx2.TransportError, OSError) as error:
            problem = f"doi.org cannot be reached ({type(error).__name__})"
            refusals.append(doi)
            if len(refusals) >= _GIVE_UP_AFTER:
                out_of_reach.set()
        except Exception as error:  # whatever a stranger's answer can do, it ends here
            problem = f"the answer could not be read ({type(error).__name__})"
        if not problem:
            _write_cached(settings, doi, form, text)
        answers.put((doi, text, problem))
        return problem

    def work() -> None:
        with httpx2.Client(
            verify=trust,
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            headers={"Accept": ACCEPT[form], "User-Agent": "idc-mcp"},
        ) as client:
            while True:
                try:
                    doi = todo.get_nowait()
                except queue.Empty:
                    return
                if out_of_reach.is_set():
                    answers.put((doi, "", "doi.org cannot be reached"))
                elif time.monotonic() < deadline:
                    ask(doi, client)

    for _ in range(min(CONNECTIONS, len(wanted))):
        threading.Thread(target=work, name="idc-doi", daemon=True).start()
    _collect(answers.get, wanted, deadline, settings, records)


def _collect(
    get: Callable[..., tuple[str, str, str]],
    wanted: list[str],
    deadline: float,
    settings: Settings,
    records: Records,
) -> None:
    for _ in wanted:
        try:
            doi, text, problem = get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if problem:
            records.failed[doi] = problem
        else:
            records.found[doi] = text
    for doi in wanted:
        if doi not in records.found and doi not in records.failed:
            records.failed[doi] = _too_slow(settings)


class _BadAnswerError(Exception):
    """The resolver answered, but with no record."""


def _get(client: Any, resolver: str, doi: str, form: str, deadline: float) -> str:
    url = f"{resolver.rstrip('/')}/{quote(doi, safe='/')}"
    body = bytearray()
    left = max(0.05, deadline - time.monotonic())
    with client.stream("GET", url, timeout=left) as response:
        if response.status_code != 200:
            raise _BadAnswerError(f"doi.org answered {response.status_code}")
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_RECORD_BYTES:
                raise _BadAnswerError(f"the answer was over {MAX_RECORD_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise _BadAnswerError("doi.org was too slow")
    try:
        return body.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise _BadAnswerError("the answer was not UTF-8") from None


def _too_slow(settings: Settings) -> str:
    return f"doi.org did not answer within {settings.doi_timeout_s:g} s for all (ask again)"


def _cached_path(settings: Settings, doi: str, form: str) -> Path:
    return settings.cache_dir / "citations" / f"{quote(doi.lower(), safe='')}.{_SUFFIX[form]}"


def _read_cached(settings: Settings, doi: str, form: str) -> str | None:
    try:
        text = _cached_path(settings, doi, form).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return None if problem_of(text, form) else text


def _write_cached(settings: Settings, doi: str, form: str, text: str) -> None:
    path = _cached_path(settings, doi, form)
    try:
        private_directory(path.parent)
        write_whole(path, text)
    except (OSError, Unavailable):
        return  # a cache that cannot be written costs a question next time, nothing else
