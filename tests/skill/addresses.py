"""Where IDC's addresses lead in these tests: one table, and the servers on loopback behind it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from idc_mcp.cli.mirror import Mirror
from tests.published import Publisher
from tests.skill.dicom import catalogue_dois
from tests.skill.dicomweb import Dicomweb
from tests.skill.resolver import Resolver

NOBODY = "http://127.0.0.1:9"
"""Where nobody listens. What is not replaced goes there, as through a proxy."""

STAND_INS = {
    "https://storage.googleapis.com/idc-index-data-artifacts": "{artifacts}",
    "https://github.com/ImagingDataCommons/idc-index-data/releases/download": "{assets}",
    "https://proxy.imaging.datacommons.cancer.gov": "{dicomweb}",
    "https://doi.org": "{doi}",
    "https://s3.us-east-1.amazonaws.com": "{aws}",
    "https://s3.amazonaws.com": "{aws}",
    "https://storage.googleapis.com": "{gcs}",
    "gs://": "{gcs}/",
}
"""Addresses as documents write them; the first that fits is taken."""

_OF_A_BUCKET = re.compile(r"https://([a-z0-9-]+)\.s3(?:\.us-east-1)?\.amazonaws\.com")
"""https://BUCKET.s3.amazonaws.com/KEY is the same as https://s3.amazonaws.com/BUCKET/KEY."""

_HTTPFS = re.compile(r"\b(?:INSTALL|LOAD) httpfs;?", re.IGNORECASE)
"""DuckDB's extension for S3 is had from DuckDB's own server only. Without it, s3:// is a path."""


class Servers(contextlib.ExitStack):
    """The servers that stand in for IDC's, running in a `with` block."""

    def __init__(self, kept: Path, published: Path) -> None:
        super().__init__()
        self.kept, self.published = kept, published

    def __enter__(self) -> Servers:
        super().__enter__()
        self.aws = self.enter_context(Mirror(self.kept / "aws"))
        self.gcs = self.enter_context(Mirror(self.kept / "gcs"))
        self.publisher = self.enter_context(Publisher(self.published))
        self.resolver = self.enter_context(Resolver(catalogue_dois()))
        self.dicomweb = self.enter_context(Dicomweb(self.kept / "data"))
        return self

    @property
    def places(self) -> dict[str, str]:
        return {
            "aws": self.aws.url,
            "gcs": self.gcs.url,
            "artifacts": self.publisher.url,
            "assets": self.publisher.assets_url,
            "dicomweb": self.dicomweb.url,
            "doi": self.resolver.url,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a server whose network this is."""
        return {
            "aws_url": self.aws.url, "gcs_url": self.gcs.url, "offline": False,
            "artifacts_url": self.publisher.url, "releases_url": self.publisher.assets_url,
            "doi_url": self.places["doi"], "patience_s": 5.0,
        }  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs that nothing in it leads off this machine."""
        settings = {
            f"IDC_MCP_{name.upper()}": f"{value:d}" if isinstance(value, bool) else f"{value}"
            for name, value in self.settings.items()
        }
        proxies = {
            name: NOBODY
            for one in ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
            for name in (one, one.upper())
        }
        return settings | proxies | {
            "no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost",
            # s5cmd; boto3 and pyarrow; obstore.
            "S3_ENDPOINT_URL": self.aws.url,
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_ENDPOINT": self.aws.url, "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            # What a document installs is here already; nothing is downloaded.
            "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore", "UV_OFFLINE": "1",
        }  # fmt: skip

    def led_here(self, block: str) -> str:
        """A block with the addresses of the stand-ins in the place of IDC's."""
        block = _OF_A_BUCKET.sub(r"https://s3.amazonaws.com/\1", block)
        if _HTTPFS.search(block):
            block = _HTTPFS.sub("SET enable_progress_bar = false;", block)
            block = block.replace("s3://", f"{self.kept / 'aws'}/")
        for address, place in STAND_INS.items():
            block = block.replace(address, place.format(**self.places))
        return block

    def shown_as_there(self, printed: str) -> str:
        """What a block printed, with IDC's addresses again."""
        for address, place in reversed(STAND_INS.items()):
            printed = printed.replace(place.format(**self.places), address)
        return printed
