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

from idc_mcp.errors import BadArgument, Unavailable

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


def export(skill: Skill, directory: Path, *, replace: bool = False) -> tuple[Path, bool]:
    """Put the skill's folder into `directory`; gives its path, and whether it was written now.

    A folder with the same content is left as it is.

    Raises
    ------
    BadArgument
        Something else is there under that name, and is not to be replaced.
    Unavailable
        The directory cannot be written.
    """
    target = directory / skill.name
    if _holds(target, skill):
        return target, False
    if os.path.lexists(target) and (not replace or target.is_symlink() or not target.is_dir()):
        raise BadArgument(
            f"{target} is there and is not this version of the skill; it was left as it is.",
            next_step="move it away, or replace it: "
            f"`idc-mcp skill export {shlex.quote(str(directory))} --replace`",
        )
    with _written(directory):
        directory.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{skill.name}-", dir=directory))
        try:
            _write(part / "new", skill)
            if target.exists():
                target.rename(part / "old")
            (part / "new").rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target, True


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
        part = target.with_name(f".{target.name}.part")
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
                for file in skill.files:
                    entry = zipfile.ZipInfo(f"{skill.name}/{file.path}")
                    entry.external_attr = 0o644 << 16
                    packed.writestr(entry, file.content, zipfile.ZIP_DEFLATED)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return target


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
