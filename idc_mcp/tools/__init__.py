"""The tools: arguments in, one core call, an answer out. No SQL and no S3 here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idc_mcp.tools.annotations import idc_annotations
from idc_mcp.tools.citations import idc_citations
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.describe import idc_describe
from idc_mcp.tools.download import idc_download
from idc_mcp.tools.jobs import idc_job_control, idc_jobs
from idc_mcp.tools.licenses import idc_licenses
from idc_mcp.tools.manifest import idc_manifest
from idc_mcp.tools.schema import idc_schema
from idc_mcp.tools.search import idc_search
from idc_mcp.tools.size import idc_size
from idc_mcp.tools.sql import idc_sql
from idc_mcp.tools.strict import StrictTool, make_tool
from idc_mcp.tools.viewer import idc_viewer

if TYPE_CHECKING:
    from idc_mcp.app import App

__all__ = [
    "all_tools", "idc_annotations", "idc_citations", "idc_cohort", "idc_describe", "idc_download",
    "idc_job_control", "idc_jobs", "idc_licenses", "idc_manifest", "idc_schema", "idc_search",
    "idc_size", "idc_sql", "idc_viewer",
]  # fmt: skip


def all_tools(app: App) -> list[StrictTool]:
    """Every tool, in the order in which a person would use them.

    Those that download exist only where the server runs on the user's machine.
    """
    writes = not app.settings.hosted
    network = app.settings.fetches
    everywhere = [
        make_tool(app, idc_search, title="Search IDC"),
        make_tool(app, idc_schema, title="Tables, columns and values of IDC"),
        make_tool(app, idc_describe, title="Describe anything of IDC"),
        make_tool(app, idc_cohort, title="Define a cohort"),
        make_tool(app, idc_annotations, title="Annotations of images", network=network),
        make_tool(app, idc_size, title="Size of a cohort"),
        make_tool(app, idc_licenses, title="Licences of a cohort"),
        make_tool(app, idc_citations, title="Citations of a cohort", writes=writes, network=True),
        make_tool(app, idc_viewer, title="Viewer links of a cohort"),
        make_tool(app, idc_manifest, title="Manifest of a cohort", writes=writes),
        make_tool(app, idc_sql, title="SQL over IDC", writes=writes),
    ]
    if app.settings.hosted:
        return everywhere
    return [
        *everywhere,
        make_tool(app, idc_download, title="Download a cohort", writes=True, network=True),
        make_tool(app, idc_jobs, title="Downloads and how they stand"),
        make_tool(
            app,
            idc_job_control,
            title="Cancel, resume or verify a download",
            writes=True,
            network=True,
        ),
    ]
