"""The skill: the files that teach an agent to use this server, wherever they are installed.

They are written in `skill/` of the repository and lie in `idc_mcp/skill/` of an installed package.
From here they go out as files (`export`), as MCP resources and by the Skills extension
(`skill_resources.py`); nothing else reads them.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from idc_mcp.errors import BadArgument, Unavailable
from idc_mcp.files import publish, shared_scratch_file

MAIN = "SKILL.md"


@dataclass(frozen=True)
class SkillFile:
    """A file of the skill; `path` is relative to its folder, with `/`."""

    path: str
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, as SEP-2640 writes it."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def text(self) -> str:
        """The content; every file of the skill is Markdown."""
        return self.content.decode("utf-8")


@dataclass(frozen=True)
class Skill:
    """A skill in the Agent Skills format (https://agentskills.io/specification)."""

    files: tuple[SkillFile, ...]
    """`SKILL.md` first, then the references by name."""

    @cached_property
    def frontmatter(self) -> dict[str, str]:
        """The head of `SKILL.md`: name, description and what else it says.

        It is YAML that is kept to lines of `key: text`, so that a start needs no YAML parser.
        """
        return dict(line.split(": ", 1) for line in self._parts[0].splitlines())

    @property
    def name(self) -> str:
        """The skill's name, which is that of its folder too."""
        return self.frontmatter["name"]

    @property
    def body(self) -> str:
        """`SKILL.md` without its head."""
        return self._parts[1].lstrip("\n")

    @cached_property
    def _parts(self) -> tuple[str, str]:
        _, head, body = self.files[0].text.split("---\n", 2)
        return head, body


def installed_skill() -> Skill:
    """The skill of this installation.

    Raises
    ------
    Unavailable
        Its files are missing.
    """
    packaged = Path(__file__).parent / "skill"
    # A checkout that is installed in place has them beside the package.
    folder = packaged if packaged.is_dir() else Path(__file__).parent.parent / "skill"
    if not (folder / MAIN).is_file():
        raise Unavailable(
            f"The skill's files are not in {packaged}: this installation is incomplete.",
            next_step="install idc-mcp again",
        )
    paths = sorted(
        (path for path in folder.rglob("*.md") if path.is_file()),
        key=lambda path: (path.name != MAIN, path),
    )
    return Skill(
        tuple(SkillFile(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths)
    )


class Exported(NamedTuple):
    """Where the skill's folder is, whether it was written now, and what it took the place of."""

    folder: Path
    written: bool
    kept: Path | None
    """A ZIP file of the folder that was there before."""


def export(skill: Skill, directory: Path, *, replace: bool = False) -> Exported:
    """Put the skill's folder into `directory`.

    A folder with the same content is left as it is. One that is replaced is kept as a ZIP file
    beside, for it may hold what a person has written; clients take no ZIP file for a skill.

    Raises
    ------
    BadArgument
        Something else is there under that name, and is not to be replaced.
    Unavailable
        The directory cannot be written.
    """
    target = directory / skill.name
    if _holds(target, skill):
        return Exported(target, written=False, kept=None)
    there = os.path.lexists(target)
    foreign = there and (target.is_symlink() or not target.is_dir())
    if foreign or (there and not replace):
        command = f"idc-mcp skill export {shlex.quote(str(directory))} --replace"
        raise BadArgument(
            f"{target} is there and is not this version of the skill; it was left as it is.",
            next_step="move it away" + ("" if foreign else f", or replace it: `{command}`"),
        )
    with _written(directory):
        directory.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{skill.name}-", dir=directory))
        try:
            _write(part / "new", skill)
            kept = _keep(target, part) if there else None
            if there:
                target.rename(part / "old")
            (part / "new").rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Exported(target, written=True, kept=kept)


def export_zip(skill: Skill, directory: Path) -> Path:
    """Put the skill into `directory` as one ZIP file that holds its folder; gives its path.

    The same skill gives the same bytes. A ZIP file of that name is replaced.

    Raises
    ------
    Unavailable
        The directory cannot be written.
    """
    target = directory / f"{skill.name}.zip"
    with _written(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with shared_scratch_file(directory, ".zip") as part:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
                for file in skill.files:
                    entry = zipfile.ZipInfo(f"{skill.name}/{file.path}")
                    entry.external_attr = 0o644 << 16
                    packed.writestr(entry, file.content, zipfile.ZIP_DEFLATED)
            publish(part, target)
    return target


def _keep(folder: Path, part: Path) -> Path:
    """A ZIP file of the folder beside it, under a name of its own."""
    packed = Path(shutil.make_archive(str(part / "kept"), "zip", folder.parent, folder.name))
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()[:8]
    kept = folder.with_name(f"{folder.name}-{digest}.zip")
    packed.rename(kept)
    return kept


def _write(folder: Path, skill: Skill) -> None:
    for file in skill.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)


def _holds(folder: Path, skill: Skill) -> bool:
    """Whether the folder has exactly the skill's files."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    there = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    return there.keys() == {file.path for file in skill.files} and all(
        there[file.path].read_bytes() == file.content for file in skill.files
    )


@contextmanager
def _written(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"The skill cannot be written to {directory}: {error.strerror or error}.",
            next_step="give a directory that you can write",
        ) from error
