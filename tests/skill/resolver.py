"""A DOI resolver on loopback: records of the DOIs that the catalogue names, in usual formats."""

from __future__ import annotations

import json
import re
from collections.abc import Set
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

from idc_mcp.idc.citations.doi import ACCEPT
from tests.skill.loopback import Loopback


class Resolver(Loopback):
    """The server: runs in a `with` block. Of other DOIs it knows nothing."""

    def __init__(self, dois: Set[str]) -> None:
        self.dois = {doi.lower() for doi in dois}

    def handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                doi = unquote(self.path).removeprefix("/").lower()
                accepted = self.headers.get("Accept", "*/*")
                body = outer.record(doi, accepted) if doi in outer.dois else None
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write((body or "no such DOI").encode())

        return Handler

    def record(self, doi: str, accepted: str) -> str:
        """A record in the format that is accepted; a page where it is another."""
        formats = {kind: name for name, kind in ACCEPT.items()}
        match formats.get(re.split("[;,]", accepted)[0].strip()):
            case "bibtex":
                return f"@misc{{{doi}, doi={{{doi}}}, title={{Stand-in}}, year={{2026}}}}"
            case "csl-json":
                return json.dumps({"DOI": doi, "title": "Stand-in", "type": "dataset"})
            case "turtle":
                return f"<https://doi.org/{doi}> a <http://schema.org/Dataset> ."
            case _:
                return f"<!DOCTYPE html><html><title>{doi}</title></html>"
