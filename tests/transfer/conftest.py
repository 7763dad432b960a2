"""What the tests of transfers share: the archive, its mirrors, a laboratory, disks of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.transfer.faulty import FaultyMirror
from tests.transfer.payload import BUCKETS, Lab, Source, dicom_files, make_source

NOBODY = "http://127.0.0.1:9"
"""Where nothing listens; no test asks a cloud."""


class Archive:
    """Both clouds' directories and the series in them, laid there when they are needed."""

    def __init__(self, home: Path) -> None:
        self.roots = {"aws": home / "aws", "gcs": home / "gcs"}
        self._files = dicom_files()

    @cached_property
    def few(self) -> list[Source]:
        """Three series of six real files, one in each bucket."""
        files = [path for path in self._files if 500 < path.stat().st_size < 20_000]
        return [
            make_source(self.roots, f"few-{number}", files[number * 6 : number * 6 + 6], bucket)
            for number, bucket in enumerate(BUCKETS)
        ]

    @cached_property
    def all(self) -> list[Source]:
        """All files of pydicom's wheel, in eight series."""
        return [
            make_source(self.roots, f"all-{number}", self._files[number::8], bucket)
            for number, bucket in zip(range(8), cycle(BUCKETS), strict=False)
        ]

    @cached_property
    def paged(self) -> Source:
        """Some files more than a listing's page has keys."""
        return make_source(self.roots, "paged", [700] * 1_030)

    @cached_property
    def long(self) -> Source:
        """Thousands of files."""
        return make_source(self.roots, "long", [700] * 2_100)

    @cached_property
    def big(self) -> Source:
        """A file that comes in ranges, and one that comes in a stream."""
        return make_source(self.roots, "big", [40_000_000, 5_000_000])


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    made = Archive(tmp_path_factory.mktemp("archive"))
    assert made.few
    return made


@pytest.fixture
def aws(archive: Archive) -> Iterator[FaultyMirror]:
    """Amazon's cloud, which does wrong what it is told to."""
    with FaultyMirror(archive.roots["aws"]) as mirror:
        yield mirror


@pytest.fixture
def gcs(archive: Archive) -> Iterator[FaultyMirror]:
    """Google's cloud."""
    with FaultyMirror(archive.roots["gcs"]) as mirror:
        yield mirror


@pytest.fixture(params=["obstore", "s5cmd"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "s5cmd":
        pytest.importorskip("idc_mcp.transfer.engines.s5cmd")
    return str(request.param)


@pytest.fixture
def make_lab(tmp_path: Path, archive: Archive, engine: str) -> Iterator[Callable[..., Lab]]:
    """Makes laboratories; their workers end with the test."""
    labs: list[Lab] = []

    def make(aws: str = NOBODY, gcs: str = NOBODY, home: Path = tmp_path, **changes: Any) -> Lab:
        labs.append(Lab(home, archive.few, aws, gcs, **({"engine": engine} | changes)))
        return labs[-1]

    yield make
    for lab in labs:
        with contextlib.suppress(Exception):
            for job in lab.table.jobs():
                lab.downloads.cancel(job.job)


@pytest.fixture
def lab(make_lab: Callable[..., Lab], aws: FaultyMirror) -> Lab:
    return make_lab(aws.url)


class Disk:
    """A small disk of the test's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 1 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "none", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no small disk can be made here: there is no `mount`")
    if done.returncode:
        pytest.skip(f"no small disk can be made here, which needs root: {done.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=False)


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Lets workers that start from now on wait for ever in a function.

    `held("idc_mcp.transfer.receipts", "Receipts.finish")` gives a file that is there once one
    waits. `monkeypatch.delenv("PYTHONPATH")` lets later workers go on.
    """

    def hold(module: str, name: str) -> Path:
        folder, told = tmp_path / "held", tmp_path / "held" / "waits"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(
            "import sys\n"
            "if 'idc_mcp.transfer.worker' in sys.orig_argv:\n"
            "    import functools, importlib, pathlib, time\n"
            "    def wait(*_, **__):\n"
            f"        pathlib.Path({str(told)!r}).touch()\n"
            "        time.sleep(120)\n"
            f"    *owners, name = {name!r}.split('.')\n"
            f"    owner = functools.reduce(getattr, owners, importlib.import_module({module!r}))\n"
            "    setattr(owner, name, wait)\n"
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *_python_path()]))
        return told

    return hold


def _python_path() -> list[str]:
    return list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
