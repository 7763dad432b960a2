"""A DICOMweb server on loopback, over the files of `data/`: it stands in for IDC's public proxy.

Search (QIDO-RS) of studies, series and instances; retrieval (WADO-RS) of instances, metadata, bulk
data, frames and rendered frames; as DICOM PS3.18 describes them in chapter 10. It stores nothing.
"""

from __future__ import annotations

import json
import re
import uuid
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import pydicom
from pydicom.dataset import FileDataset

from tests.skill import pictures, search
from tests.skill.loopback import Loopback

PREFIX = "/current/viewer-only-no-downloads-see-tinyurl-dot-com-slash-3j3d9jyp/dicomWeb"
"""Where the proxy has the service."""
JSON = "application/dicom+json"
DICOM = "application/dicom"
OCTETS = "application/octet-stream"
BULK = 1024
"""Values of more bytes are bulk data: metadata refers to them."""

_PLACE = re.compile(
    r"(?:/studies(?:/(?P<study>[\d.]+))?)?(?:/series(?:/(?P<series>[\d.]+))?)?"
    r"(?:/instances(?:/(?P<instance>[\d.]+))?)?"
    r"(?:/(?P<what>metadata|rendered|frames/(?P<frames>[\d,]+)(?P<drawn>/rendered)?"
    r"|bulkdata/(?P<tag>[0-9A-F]{8})))?"
)


class Refused(Exception):
    """A request that is answered with a status and a reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Answer(NamedTuple):
    status: int
    kind: str
    body: bytes


class Archive:
    """The files, found by their UIDs."""

    def __init__(self, folder: Path) -> None:
        self.paths: dict[str, Path] = {}
        self.files: list[FileDataset] = []
        for path in sorted(folder.rglob("*.dcm")):
            file = pydicom.dcmread(path)
            self.files.append(file)
            self.paths[file.SOPInstanceUID] = path

    def below(self, study: str | None, series: str | None, instance: str | None) -> list[Any]:
        """The instances of a study, series or instance; of all where none is named."""
        wanted = {
            "StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": instance
        }  # fmt: skip
        return [
            file
            for file in self.files
            if all(uid in (None, file[name].value) for name, uid in wanted.items())
        ]


class Dicomweb(Loopback):
    """The server: runs in a `with` block; `url` is the proxy's host."""

    def __init__(self, folder: Path) -> None:
        self.archive = Archive(folder)
        self.requests: list[str] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                outer.requests.append(self.path)
                try:
                    answer = outer.answer(self.path, self.headers)
                except Refused as refused:
                    answer = Answer(refused.status, "text/plain", str(refused).encode())
                self.send_response(answer.status)
                if answer.body:
                    self.send_header("Content-Type", answer.kind)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

        return Handler

    def answer(self, target: str, headers: Message) -> Answer:
        """Answer a request.

        Raises
        ------
        Refused
            With the status that PS3.18 has for the reason.
        """
        asked = urlsplit(target)
        path = unquote(asked.path)
        place = _PLACE.fullmatch(path.removeprefix(PREFIX))
        if not path.startswith(f"{PREFIX}/") or not place or path.endswith("/"):
            raise Refused(404, f"no such resource: {path}")
        query = parse_qsl(asked.query, keep_blank_values=True)
        accepted = [value for name, value in query if name.lower() == "accept"] or [
            headers.get("Accept", "*/*")
        ]
        accept = ",".join(accepted)
        query = [pair for pair in query if pair[0].lower() != "accept"]
        level = path.rpartition("/")[2]
        if level in search.LEVELS:
            return self._search(level, place, query, accept)
        return self._retrieved(place, query, accept)

    def _search(
        self, level: str, place: re.Match[str], query: list[tuple[str, str]], accept: str
    ) -> Answer:
        kind = agreed(accept, [JSON])
        files = self.archive.below(place["study"], place["series"], None)
        try:
            found = search.found(level, files, query)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        if not found:
            return Answer(204, kind, b"")
        return Answer(200, kind, json.dumps(found).encode())

    def _retrieved(self, place: re.Match[str], query: list[tuple[str, str]], accept: str) -> Answer:
        files = self.archive.below(place["study"], place["series"], place["instance"])
        if not files or not place["study"]:
            raise Refused(404, "no such study, series or instance")
        what = place["what"] or ""
        if what == "metadata":
            told = [self._metadata(file) for file in files]
            return Answer(200, agreed(accept, [JSON]), json.dumps(told).encode())
        if not what:
            kind = agreed(accept, [DICOM])
            whole = [self.archive.paths[file.SOPInstanceUID].read_bytes() for file in files]
            single = len(whole) == 1 and "multipart" not in accept and DICOM in accept
            return Answer(200, kind, whole[0]) if single else multipart(whole, kind)
        if len(files) != 1 or not place["instance"]:
            raise Refused(404, f"{what} is of an instance")
        (file,) = files
        if place["tag"]:
            value = file[int(place["tag"], 16)].value
            return multipart([value], agreed(accept, [OCTETS]))
        if not hasattr(file, "PixelData"):
            raise Refused(406, "the instance has no pixels")
        numbers = [int(one) for one in (place["frames"] or "1").split(",")]
        if max(numbers) > int(getattr(file, "NumberOfFrames", 1)) or min(numbers) < 1:
            raise Refused(404, "no such frame")
        if what == "rendered" or place["drawn"]:
            kind = agreed(accept, ["image/jpeg", "image/png"])
            try:
                drawn = pictures.rendered(file, numbers[0], kind, dict(query))
            except ValueError as error:
                raise Refused(400, str(error)) from error
            return Answer(200, kind, drawn)
        kind = agreed(accept, [OCTETS])
        return multipart([pictures.frame(file, number) for number in numbers], kind)

    def _metadata(self, file: FileDataset) -> dict[str, Any]:
        """All attributes as DICOM JSON (PS3.18, annex F), bulk data by reference."""
        at = (
            f"{self.url}{PREFIX}/studies/{file.StudyInstanceUID}/series/{file.SeriesInstanceUID}"
            f"/instances/{file.SOPInstanceUID}/bulkdata"
        )
        return file.to_json_dict(
            bulk_data_threshold=BULK, bulk_data_element_handler=lambda one: f"{at}/{one.tag:08X}"
        )


def agreed(accept: str, offered: list[str]) -> str:
    """The first media type that is accepted and offered (PS3.18, 8.7.5).

    Raises
    ------
    Refused
        There is none.
    """
    for part in accept.split(","):
        wanted = re.sub(r'multipart/related;\s*type="?([^";]+)"?', r"\1", part.strip())
        wanted = wanted.split(";")[0].strip()
        for kind in offered:
            fits = wanted in ("*/*", kind, f"{kind.partition('/')[0]}/*")
            if fits or (kind == JSON and wanted == "application/json"):
                return kind
    raise Refused(406, f"offered is {', '.join(offered)}, accepted {accept}")


def multipart(parts: list[bytes], kind: str) -> Answer:
    """Parts of one media type (RFC 2387)."""
    boundary = uuid.uuid4().hex
    body = b"".join(
        f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode() + part + b"\r\n" for part in parts
    )
    told = f'multipart/related; type="{kind}"; boundary={boundary}'
    return Answer(200, told, body + f"--{boundary}--\r\n".encode())
