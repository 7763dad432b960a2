"""What can be fetched, and from where: every address of a published table stands here.

IDC publishes the tables of a version in its artifact store, each with its SHA-256 beside it,
and the same files as assets of the release on GitHub. The store's `current/` is never read:
what lies there changes with the next version. The clinical tables lie in the bucket of open
metadata, a folder a table.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from idc_mcp.errors import BadArgument
from idc_mcp.idc.buckets import endpoint, without_password
from idc_mcp.index.release import Release
from idc_mcp.settings import PREFIX, Settings
from idc_mcp.transfer.objects import Failure, Kind, Place

MOST_BYTES = 2_000_000_000
"""No published table comes near; more is not what was asked for."""

MAX_REDIRECTS = 5

_MOST_SHOWN = 80

METADATA_BUCKET = "idc-open-metadata"

_ADDRESS = re.compile(r"https?://([^/@\s]*@)?([^/@:\s\[\]]+|\[[0-9a-fA-F:.]+\])(:\d+)?(/\S*)?")


@dataclass(frozen=True)
class Source:
    """A place that publishes a table; `sidecar` is the address of its SHA-256, '' for none."""

    name: str
    short: str
    url: str
    sidecar: str

    @property
    def place(self) -> Place:
        """Whom `transfer.patience` asks."""
        return Place(self.name, self.url, "")


def table_sources(settings: Settings, release: Release, table: str) -> list[Source]:
    """Where a table of this version is published, the first to be asked first.

    Raises
    ------
    BadArgument
        A setting is no address.
    """
    version = release.data_version
    artifacts = _address(settings.artifacts_url, "artifacts_url")
    releases = _address(settings.releases_url, "releases_url")
    stored = f"{artifacts}/{version}/release_artifacts/{table}.parquet"
    return [
        Source("artifact store", "artifacts", stored, f"{stored}.sha256"),
        Source("release assets", "releases", f"{releases}/{version}/{table}.parquet", ""),
    ]


def clinical_place(settings: Settings, release: Release) -> tuple[Place, str]:
    """The bucket of the clinical tables, and the prefix below which their folders lie.

    Raises
    ------
    BadArgument
        A setting is no address.
    """
    place = Place("metadata bucket", endpoint(settings, "aws"), METADATA_BUCKET)
    return place, f"bigquery_export/idc_{release.name}_clinical"


def redirected(url: str, location: str) -> str:
    """Where a redirect leads, if it may be followed: never away from https.

    Raises
    ------
    Failure
        It may not, or leads nowhere.
    """
    try:
        here, there = urlsplit(url), urlsplit(urljoin(url, location))
        _ = there.port  # looked at only now: it may be none
    except ValueError as error:
        raise Failure(
            Kind.DENIED,
            f"{host(url)} redirects to what is no address: {location[:_MOST_SHOWN]!r} ({error})",
        ) from error
    both = {here.scheme, there.scheme}
    plain = both == {"http"} and _is_loopback(here.hostname) and _is_loopback(there.hostname)
    if not location or not there.hostname or not (both == {"https"} or plain):
        raise Failure(
            Kind.DENIED,
            f"{host(url)} redirects to {there.scheme}://{there.hostname or ''}, "
            "which is not followed: only https to https is",
        )
    return there.geturl()


def host(url: str) -> str:
    """The server of an address, as an error may name it."""
    return urlsplit(without_password(url)).netloc or without_password(url)


def _address(url: str, setting: str) -> str:
    if not _ADDRESS.fullmatch(url):
        raise BadArgument(
            f"{PREFIX}{setting.upper()}={without_password(url)!r} is no address.",
            next_step="give one such as https://mirror.example.org/tables, or unset it",
        )
    return url.rstrip("/")


def _is_loopback(name: str | None) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        return False
