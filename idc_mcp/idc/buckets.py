"""The buckets: where the files lie on AWS and on Google, and how the two are spoken to.

Both are read without an account and without egress fees. Every address is written `s3://`,
on Google too: Google's store speaks S3 at its own endpoint, and the programs that read
manifests do not know `gs://`. Files are `<crdc_series_uuid>/<crdc_instance_uuid>.dcm`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from idc_mcp.errors import BadArgument, Unavailable, quoted
from idc_mcp.idc.sql import literal

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index
    from idc_mcp.settings import Settings

Source = Literal["aws", "gcs"]

ENDPOINTS: dict[Source, str] = {
    "aws": "https://s3.amazonaws.com",
    "gcs": "https://storage.googleapis.com",
}
"""Where each speaks S3."""

GCS_BUCKETS = {
    "idc-open-data": "idc-open-data",
    "idc-open-data-two": "idc-open-idc1",
    "idc-open-data-cr": "idc-open-cr",
}
"""A bucket on AWS and its twin on Google (IDC documentation, "Organization of data")."""


def endpoint(settings: Settings, source: Source) -> str:
    """Where downloads read a source: its own address, or the mirror that a setting names.

    Raises
    ------
    BadArgument
        The setting is no address.
    """
    mirror = settings.aws_url if source == "aws" else settings.gcs_url
    if mirror and not re.fullmatch(r"https?://([^/@\s]*@)?[^/@:\s]+(:\d+)?(/\S*)?", mirror):
        raise BadArgument(
            f"IDC_MCP_{source.upper()}_URL={without_password(mirror)!r} is no address of a mirror.",
            next_step="give one such as http://mirror.example.org:9000, or unset it",
        )
    return (mirror or ENDPOINTS[source]).rstrip("/")


def without_password(url: str) -> str:
    """An address as anybody may read it: what stands before an @ is a secret.

    Never an error: what is no address at all is told too, in the reason why it does not work.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    secret = authority
    if "@" not in authority and not re.fullmatch(r"(\[[^]]*\]|[^:]*)(:\d*)?", authority):
        secret = rest  # no port stands after the colon: a password with a / that is not quoted
    return f"{scheme}{mark}{rest[secret.rfind('@') + 1 :]}"


def addressed(index: Index, cohort: Cohort, source: Source) -> str:
    """A relation to put behind FROM: the cohort's rows and `url`, the address of all files.

    Raises
    ------
    Unavailable
        The release has a bucket whose twin on Google is not known here.
    """
    rows = stored(cohort)
    if source == "gcs":
        unknown = index.rows(f"SELECT DISTINCT aws_bucket FROM {rows} WHERE gcs_twin IS NULL")
        if unknown:
            raise Unavailable(
                f"No Google bucket is known for {quoted(name for (name,) in unknown)}.",
                next_step="use source='aws'",
            )
    bucket = "aws_bucket" if source == "aws" else "gcs_twin"
    url = f"'s3://' || {bucket} || '/' || crdc_series_uuid || '/*' AS url"
    return f"(SELECT *, {url} FROM {rows}) AS addressed"


def stored(cohort: Cohort) -> str:
    """A relation to put behind FROM: the cohort's rows and `gcs_twin`, the bucket on Google.

    Prior versions say where they lie on Google; it is NULL where no twin is known.
    """
    twins = " ".join(f"WHEN {literal(aws)} THEN {literal(gcs)}" for aws, gcs in GCS_BUCKETS.items())
    bucket, joined = f"CASE aws_bucket {twins} END", cohort.source
    if cohort.prior:
        bucket = f"coalesce(gcs_bucket, {bucket})"
        joined += (
            " LEFT JOIN (SELECT crdc_series_uuid AS prior_uuid, gcs_bucket FROM core.prior) "
            "ON crdc_series_uuid = prior_uuid"
        )
    return f"(SELECT *, {bucket} AS gcs_twin FROM {joined}) AS stored"
