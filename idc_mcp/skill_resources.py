"""The skill over MCP: its files as resources, and the Skills extension (SEP-2640).

https://github.com/modelcontextprotocol/ext-skills, specification/stable/skills.mdx. To a client
that does not know the extension the files are ordinary resources.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding, ResourceBinding
from mcp.server.mcpserver.resources import TextResource
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CacheableResult,
    PaginatedRequestParams,
    PaginatedResult,
    RequestParams,
)
from mcp_types import Resource as ResourceEntry

from idc_mcp.skill import MAIN, Skill

TTL_MS = 3_600_000
"""The skill changes with the package alone."""

MARKDOWN, DIRECTORY = "text/markdown", "inode/directory"


class SkillParams(RequestParams):
    """Parameters of `skills/get`."""

    uri: str


class DirectoryParams(PaginatedRequestParams):
    """Parameters of `resources/directory/read`."""

    uri: str


class SkillsResult(PaginatedResult, CacheableResult):
    """Result of `skills/list`."""

    skills: list[dict[str, Any]]
    result_type: Literal["complete"] = "complete"


class SkillResult(CacheableResult):
    """Result of `skills/get`."""

    skill: dict[str, Any]
    result_type: Literal["complete"] = "complete"


class DirectoryResult(PaginatedResult):
    """Result of `resources/directory/read`."""

    resources: list[ResourceEntry]
    result_type: Literal["complete"] = "complete"


class SkillsExtension(Extension):
    """Announces the skill, lists it with the digest of each file, and serves the files."""

    identifier = "io.modelcontextprotocol/skills"

    def __init__(self, skill: Skill) -> None:
        self._skill = skill
        self._root = f"skill://{skill.name}"
        self._resources = {
            f"{self._root}/{file.path}": TextResource(
                uri=f"{self._root}/{file.path}",
                name=skill.name if file.path == MAIN else file.path,
                title=_title(file.text),
                description=(
                    skill.frontmatter["description"] if file.path == MAIN else _use(file.text)
                ),
                mime_type=MARKDOWN,
                text=file.text,
            )
            for file in skill.files
        }

    def settings(self) -> dict[str, Any]:
        """What is announced beside the extension's name."""
        return {"directoryRead": True}

    def resources(self) -> Sequence[ResourceBinding]:
        """Every file of the skill."""
        return [ResourceBinding(resource) for resource in self._resources.values()]

    def methods(self) -> Sequence[MethodBinding]:
        """The extension's three methods."""
        return [
            MethodBinding("skills/list", PaginatedRequestParams, self._list),
            MethodBinding("skills/get", SkillParams, self._get),
            MethodBinding("resources/directory/read", DirectoryParams, self._read_directory),
        ]

    async def _list(
        self, _: ServerRequestContext[Any, Any], params: PaginatedRequestParams
    ) -> SkillsResult:
        _only_page(params)
        return SkillsResult(skills=[self._entry()], ttl_ms=TTL_MS, cache_scope="public")

    async def _get(self, _: ServerRequestContext[Any, Any], params: SkillParams) -> SkillResult:
        main = f"{self._root}/{MAIN}"
        if params.uri != main:
            raise MCPError(
                INVALID_PARAMS, f"No skill is served at {params.uri}. There is one: {main}."
            )
        return SkillResult(skill=self._entry(), ttl_ms=TTL_MS, cache_scope="public")

    async def _read_directory(
        self, _: ServerRequestContext[Any, Any], params: DirectoryParams
    ) -> DirectoryResult:
        _only_page(params)
        inside = [
            (uri, uri.removeprefix(f"{params.uri}/").split("/"))
            for uri in self._resources
            if uri.startswith(f"{params.uri}/") and params.uri.startswith(self._root)
        ]
        if not inside:
            raise MCPError(
                INVALID_PARAMS,
                f"{params.uri} is not a directory of the skill. There are {self._root} and those "
                "below it, without a slash at the end.",
            )
        files = [self._resources[uri] for uri, parts in inside if len(parts) == 1]
        folders = sorted({parts[0] for _, parts in inside if len(parts) > 1})
        return DirectoryResult(
            resources=[
                *(
                    ResourceEntry(
                        uri=file.uri, name=file.name or "", title=file.title,
                        description=file.description, mime_type=MARKDOWN,
                    )
                    for file in files
                ),
                *(
                    ResourceEntry(uri=f"{params.uri}/{name}", name=name, mime_type=DIRECTORY)
                    for name in folders
                ),
            ]
        )  # fmt: skip

    def _entry(self) -> dict[str, Any]:
        """The skill, complete: its head as written, and each file with digest and bytes."""
        return {
            "uri": f"{self._root}/{MAIN}",
            "frontmatter": self._skill.frontmatter,
            "resources": [
                {
                    "uri": f"{self._root}/{file.path}",
                    "digest": file.digest,
                    "size": len(file.content),
                }
                for file in self._skill.files
            ],
        }


def _only_page(params: PaginatedRequestParams | None) -> None:
    if params is not None and params.cursor is not None:
        raise MCPError(INVALID_PARAMS, f"There is no page '{params.cursor}': one holds everything.")


def _title(text: str) -> str:
    """The first heading of a Markdown text."""
    return next((line[2:] for line in text.splitlines() if line.startswith("# ")), "")


def _use(text: str) -> str:
    """The line of a reference that says when to load it."""
    return next((line for line in text.splitlines() if line.startswith("Load this when")), "")
