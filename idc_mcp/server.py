"""`create_server(settings)`: wiring, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import CacheHint
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from idc_mcp import __version__
from idc_mcp.app import App
from idc_mcp.completions import add_completions
from idc_mcp.idc.nearest import nearest
from idc_mcp.prompts import add_prompts
from idc_mcp.resources import add_resources
from idc_mcp.settings import Settings
from idc_mcp.skill import installed_skill
from idc_mcp.skill_resources import SkillsExtension
from idc_mcp.tools import all_tools

INSTRUCTIONS = """\
NCI Imaging Data Commons (IDC): 100 TB of public cancer imaging in DICOM: radiology (CT, MR, PET, \
mammography, X-ray, ultrasound), whole slide pathology (SM), segmentations (SEG, RTSTRUCT), \
reports and annotations, from TCGA, CPTAC, NLST, LIDC-IDRI and other TCIA collections. Use it to \
find, count, select, license-check, cite, view and download such images or to build a training \
set of them.

How: idc_search finds names and values → idc_cohort defines a cohort and gives its handle (c_…) \
with counts, size and licences → idc_size, idc_licenses, idc_citations, idc_viewer and \
idc_manifest take that handle, or an identifier (collection, patient, study, series, DOI) \
directly. idc_annotations goes from images to what was made of them, and back. idc_sql answers \
counts and joins that the cohort card does not; handles are tables there. idc_describe and \
idc_schema explain one thing.

Beware:
- BodyPartExamined is empty for many series and all slides; disease and site are the filters \
cancer_types and tumor_locations.
- Licences belong to series and collections mix them: ask idc_licenses, or give use="commercial".
- A patient is (collection_id, PatientID). Dates are shifted per patient.
- Derived series (SEG, SR, RTSTRUCT) carry the collection_id of their source images; what is \
segmented is the filter segmented_structure.
- Clinical data: idc_search finds tables, columns and codes.
- series_size_MB is decimal megabytes; one slide series may have gigabytes.

Every answer names the release and how the request was understood: pass that on. Where an answer \
was cut it says how many are left and the call that gets them. Do not answer from memory what a \
call can tell. Examples and references: skill://idc-cancer-imaging/SKILL.md."""


LOCAL_INSTRUCTIONS = """

idc_download plans (dry_run) and fetches verified files as a job; idc_jobs follows it, \
idc_job_control cancels, resumes, verifies."""
"""What only a server on the user's machine adds."""


class Server(MCPServer[App]):
    """The SDK's server, with errors of prompts that say what was wrong and what is there."""

    core: App
    """What the tools ask; whoever runs the server tells of it (`http/health.py`)."""

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Any = None
    ) -> Any:
        """A prompt filled in; the SDK would mask the reason of a failure."""
        prompts = {prompt.name: prompt for prompt in await self.list_prompts()}
        if name not in prompts:
            near = ", ".join(nearest(name, prompts)) or ", ".join(prompts)
            raise MCPError(INVALID_PARAMS, f"There is no prompt '{name}'. Nearest: {near}.")
        known = {argument.name: argument for argument in prompts[name].arguments or []}
        missing = [
            argument.name
            for argument in known.values()
            if argument.required and argument.name not in (arguments or {})
        ]
        unknown = sorted(set(arguments or {}) - set(known))
        if missing or unknown:
            problems = [f"'{one}' is missing" for one in missing]
            problems += [f"'{one}' is not an argument" for one in unknown]
            raise MCPError(
                INVALID_PARAMS,
                f"Prompt {name}: {'; '.join(problems)}. It takes {', '.join(known)}.",
            )
        return await super().get_prompt(name, arguments, context)


def create_server(settings: Settings) -> Server:
    """A server with its own core; two can live in one process.

    Raises
    ------
    Unavailable
        The catalogue package is not installed, or files of this package are missing.
    """
    app = App.create(settings)
    skill = installed_skill()

    @asynccontextmanager
    async def lifespan(_: MCPServer[App]) -> AsyncIterator[App]:
        app.start()
        try:
            yield app
        finally:
            app.close()

    server = Server(
        "idc",
        title="NCI Imaging Data Commons",
        version=__version__,
        description="Public cancer imaging: cohorts, sizes, licences, citations, viewers.",
        website_url="https://imaging.datacommons.cancer.gov",
        instructions=INSTRUCTIONS + ("" if settings.hosted else LOCAL_INSTRUCTIONS),
        lifespan=lifespan,
        tools=list(all_tools(app)),
        extensions=[SkillsExtension(skill)],
        log_level="WARNING",
        cache_hints={"tools/list": CacheHint(ttl_ms=3_600_000, scope="public")},
        # Nothing here changes by itself: on a shared server nobody holds a stream open for it.
        subscriptions=False if settings.hosted else None,
    )
    server.core = app
    add_resources(server, app, skill)
    add_prompts(server)
    add_completions(server, app)

    return server
