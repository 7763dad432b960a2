"""A Dockerfile as its instructions, and its steps done in directories instead of an image.

What a step does to `/wheels`, `/var` or its working directory happens below a root of the stage's
own. The base image is a virtual environment, into which uv installs what pip would, from its cache.
Users are not made; who may write what is shown otherwise (`test_image.py`). No image is built, so
no Docker is needed.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.docs_blocks import ROOT
from tests.npm import run

_OWN = re.compile(r"""(?<![\w./-])/(?=(?:wheels|var)\b)""")
"""Where a path begins that is the image's, in a step or a value."""

INSTALL = (
    f"{Path(sys.executable).with_name('uv')} pip install --quiet --python $(command -v python)"
)


class Instruction(NamedTuple):
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of an instruction that is not JSON, or the strings of one that is."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


def instructions(text: str) -> list[Instruction]:
    """Every instruction, its continued lines as one."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(None, 1)) for line in whole.splitlines()]


def stages(found: list[Instruction]) -> dict[str, list[Instruction]]:
    """The instructions of each stage by its name; the last one's is ''."""
    made: dict[str, list[Instruction]] = {}
    for one in found:
        if one.name == "FROM":
            _, _, name = one.text.partition(" AS ")
            made[name] = current = []
        current.append(one)
    return made


def sent(path: str) -> bool:
    """Whether `.dockerignore` lets a path at the top of the repository go to the builder."""
    kept = True
    for pattern in (ROOT / ".dockerignore").read_text().split("\n"):
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(path, pattern.lstrip("!")):
            kept = pattern.startswith("!")
    return kept


@dataclass
class Stage:
    """A stage whose steps were done below `root`."""

    root: Path
    outside: Mapping[str, str]
    """The environment of uv and pip."""
    env: dict[str, str] = field(default_factory=dict)
    workdir: Path = Path()
    left_out: list[str] = field(default_factory=list)

    def within(self, text: str) -> str:
        """A step or a value, with the image's own paths below `root`."""
        return _OWN.sub(f"{self.root}/", text)

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.outside) | self.env | {"PATH": f"{self.root}/env/bin:/usr/bin:/bin"}

    def do(self, steps: list[Instruction], others: Mapping[str, Stage]) -> Stage:
        """Do the steps, in their order; what tells how the image is run is left aside."""
        self.workdir = self.root
        for step in steps:
            match step.name:
                case "FROM":
                    new = ["uv", "venv", "--quiet", "--seed", "--python", sys.executable]
                    self._run([*new, str(self.root / "env")], dict(self.outside))
                case "WORKDIR":
                    self.workdir = self.root / step.text.lstrip("/")
                    self.workdir.mkdir(parents=True)
                case "COPY":
                    self._copy(step.words, others)
                case "ENV" | "ARG":
                    self.env |= {
                        name: self.within(value)
                        for name, _, value in (word.partition("=") for word in step.words)
                    }
                case "RUN" if "useradd" in step.text:
                    self.left_out.append(step.text)
                case "RUN":
                    text = step.text.replace("python -m pip install --no-cache-dir", INSTALL)
                    self._run(["sh", "-c", self.within(text)], self.environment)
        return self

    def _run(self, command: list[str], env: dict[str, str]) -> None:
        done = run(command, env, 110, cwd=self.workdir)
        assert done.returncode == 0, (command, done.stdout, done.stderr)

    def _copy(self, words: list[str], others: Mapping[str, Stage]) -> None:
        source, relative = ROOT, words
        if words[0].startswith("--from="):
            source, relative = others[words[0].removeprefix("--from=")].root, words[1:]
        *names, target = relative
        for name in names:
            origin = source / name.lstrip("/")
            place = self.workdir / self.within(target).lstrip("/")
            if target.startswith("/"):
                place = Path(self.within(target))
            if origin.is_dir():
                shutil.copytree(origin, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(origin, place)


def commands(found: list[Instruction]) -> Iterator[list[str]]:
    """The words after `idc-mcp` of every call of it that is no shell expression."""
    for one in found:
        if one.name == "RUN":
            for call in re.findall(r"(?<![\w/-])idc-mcp ([^;&|]*)", one.text):
                yield [word for word in shlex.split(call) if not word.startswith("$")]
