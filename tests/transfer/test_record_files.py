"""Records as files: nothing of anybody else's is replaced, and all four are there or none."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys

import pytest

from idc_mcp.errors import BadArgument, Unavailable
from idc_mcp.transfer import records
from idc_mcp.transfer.records import NAMES
from tests.transfer.test_records import names_in, placed, record, write

# -- whose files they are ------------------------------------------------------------------


def suffixed(ending: str) -> list[str]:
    return [f"cohort{ending}.json", f"manifest{ending}.s5cmd", f"LICENSES{ending}",
            f"CITATIONS{ending}.bib"]  # fmt: skip


def test_our_own_are_replaced(app, tmp_path):
    cohort = app.cohorts.resolve("rider_lung_ct")
    write(app, cohort, tmp_path)
    (tmp_path / "LICENSES").unlink()
    write(app, cohort, tmp_path, source="gcs")
    assert names_in(tmp_path) == sorted(NAMES)
    assert record(tmp_path / "cohort.json")["source"] == "gcs"


def test_another_cohort_takes_names_of_its_own(app, tmp_path):
    first, second = map(app.cohorts.resolve, ("rider_lung_ct", "phantom_fda"))
    write(app, first, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in NAMES}
    for _ in range(2):
        paths = write(app, second, tmp_path)
        assert [path.name for path in paths] == suffixed(f"-{second.handle}")
        assert names_in(tmp_path) == sorted([*NAMES, *suffixed(f"-{second.handle}")])
    assert {name: (tmp_path / name).read_bytes() for name in NAMES} == before
    assert record(paths[0])["handle"] == second.handle
    manifest = paths[1].read_text()
    assert f"run manifest-{second.handle}.s5cmd" in manifest
    assert paths[1].name in record(paths[0])["again"]["cohort"]
    assert paths[0].name in paths[2].read_text()


FOREIGN = [
    "", "{}", "[1]", "{", "\x00\xff", '{"handle": "%s", "idc_release": "v25"}',
    '{"what": "idc-mcp download record", "format": 1, "handle": "%s", "idc_release": "v24"}',
    '{"what": "ours", "format": 1, "handle": "%s", "idc_release": "v25"}',
    " " * 5_000 + '{"what": "idc-mcp download record"}',
]  # fmt: skip


@pytest.mark.parametrize("content", FOREIGN)
def test_a_cohort_json_of_somebody_else_stays(app, tmp_path, content):
    cohort = app.cohorts.resolve("rider_lung_ct")
    content = content.replace("%s", cohort.handle)
    (tmp_path / "cohort.json").write_text(content)
    paths = write(app, cohort, tmp_path)
    assert [path.name for path in paths] == suffixed(f"-{cohort.handle}")
    assert (tmp_path / "cohort.json").read_text() == content
    assert names_in(tmp_path) == sorted(["cohort.json", *suffixed(f"-{cohort.handle}")])


@pytest.mark.parametrize("name", NAMES)
def test_one_foreign_file_moves_all_four(app, tmp_path, name):
    cohort = app.cohorts.resolve("rider_lung_ct")
    (tmp_path / name).write_text("mine")
    paths = write(app, cohort, tmp_path)
    assert [path.name for path in paths] == suffixed(f"-{cohort.handle}")
    (tmp_path / f"LICENSES-{cohort.handle}").unlink()
    (tmp_path / f"cohort-{cohort.handle}.json").write_text("mine too")
    paths = write(app, cohort, tmp_path)
    assert [path.name for path in paths] == suffixed(f"-{cohort.handle}-2")
    assert write(app, cohort, tmp_path) == paths
    assert (tmp_path / name).read_text() == "mine"


def test_what_is_no_file_is_not_replaced_nor_waited_for(app, tmp_path):
    cohort = app.cohorts.resolve("rider_lung_ct")
    made = {
        "pipe": os.mkfifo,
        "directory": lambda path: path.mkdir(),
        "link": lambda path: path.symlink_to(tmp_path / "nowhere"),
    }
    for kind, make in made.items():
        for name in ("cohort.json", "LICENSES"):
            folder = tmp_path / f"{kind}-{name}"
            folder.mkdir()
            make(folder / name)
            paths = write(app, cohort, folder)
            assert [path.name for path in paths] == suffixed(f"-{cohort.handle}")
    assert not (tmp_path / "nowhere").exists()


def test_ours_with_a_directory_in_the_way(app, tmp_path):
    cohort = app.cohorts.resolve("rider_lung_ct")
    write(app, cohort, tmp_path)
    (tmp_path / "LICENSES").unlink()
    (tmp_path / "LICENSES").mkdir()
    paths = write(app, cohort, tmp_path)
    assert [path.name for path in paths] == suffixed(f"-{cohort.handle}")


def test_a_record_that_was_laid_out_anew_is_still_ours(app, tmp_path):
    cohort = app.cohorts.resolve("rider_lung_ct")
    path = write(app, cohort, tmp_path)[0]
    path.write_text(json.dumps(record(path), indent=4))
    assert write(app, cohort, tmp_path)[0] == path


# -- whole, readable by colleagues, or an error that helps -----------------------------------


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
@pytest.mark.parametrize("umask", ["022", "027", "002", "077"])
def test_the_mode_is_as_the_umask_says(umask, tmp_path):
    # In a process of its own: the umask is the process's, and threads share it.
    code = (
        "import os, pathlib, sys; from idc_mcp.files import publish, shared_scratch_file\n"
        f"os.umask(0o{umask}); path = pathlib.Path(sys.argv[1])\n"
        "with shared_scratch_file(path.parent) as part: publish(part, path)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], check=True)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~int(umask, 8)
    assert names_in(tmp_path) == ["x"]


@pytest.mark.skipif(os.name == "nt", reason="modes are of POSIX")
def test_records_have_the_mode_of_any_new_file(app, tmp_path):
    (tmp_path / "any").touch()
    paths = write(app, app.cohorts.resolve("rider_lung_ct"), tmp_path / "data")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [*paths, tmp_path / "any"]}
    assert len(modes) == 1


def test_no_folder_can_be_made(app, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable) as error:
        write(app, app.cohorts.resolve("rider_lung_ct"), tmp_path / "file" / "folder")
    assert str(tmp_path / "file" / "folder") in error.value.what
    assert "Not a directory" in error.value.what
    assert error.value.next_step


@pytest.mark.parametrize("code, step", [
    (errno.ENOSPC, "free space"), (errno.EDQUOT, "free space"), (errno.EROFS, "can write"),
    (errno.EACCES, "can write"), (errno.EIO, "another directory"),
])  # fmt: skip
def test_nothing_is_replaced_where_one_cannot_be_written(app, tmp_path, monkeypatch, code, step):
    cohort = app.cohorts.resolve("rider_lung_ct")
    write(app, cohort, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in NAMES}

    def fail(*_):
        yield "half"
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(records.record_texts, "bibliography", fail)
    with pytest.raises(Unavailable) as error:
        write(app, cohort, tmp_path, source="gcs")
    assert str(tmp_path) in error.value.what
    assert os.strerror(code) in error.value.what
    assert step in error.value.next_step
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


LIMITS = {
    # The quota of a process: writing beyond it fails as on a full disk.
    "full": "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))",
    "locked": "os.geteuid() or os.seteuid(65534)",
}
"""What a process does to itself before it writes."""


@pytest.mark.skipif(os.name == "nt", reason="limits are of POSIX")
@pytest.mark.parametrize("limit, reason, step", [
    ("full", "File too large", "free space"), ("locked", "Permission denied", "can write"),
])  # fmt: skip
def test_a_full_disk_or_a_locked_folder(settings, tmp_path, limit, reason, step):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "IMG_1.dcm").touch()
    folder.chmod(0o755 if limit == "full" else 0o555)
    code = f"""
import os, pathlib
from idc_mcp.app import App
from idc_mcp.errors import Unavailable
from tests.conftest import settings_at
from tests.transfer.test_records import write
home, cache = map(pathlib.Path, {[str(tmp_path), str(settings.cache_dir)]!r})
app = App.create(settings_at(home, cache))
cohort = app.cohorts.resolve("4d_lung")
database = app.index.opened().database
{LIMITS[limit]}
try:
    write(app, cohort, home / "data")
except Unavailable as error:
    print(error)
os.geteuid() == os.getuid() or os.seteuid(0)
# What the engine cannot write would pass for damage of the index, and have it built again.
assert database and app.index.database == database and database.exists()
app.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert reason in done.stdout
    assert step in done.stdout
    assert str(folder) in done.stdout
    assert names_in(folder) == ["IMG_1.dcm"]


def test_an_empty_cohort_and_a_plan_of_something_else(app, tmp_path):
    cohort = app.cohorts.resolve("rider_lung_ct")
    with pytest.raises(ValueError, match="were placed of"):
        write(app, cohort, tmp_path, series=placed(app.index, cohort)[1:])
    none = app.cohorts.define(filters=None, identifiers=["rider_lung_ct"])
    empty = type(cohort).of(none)
    object.__setattr__(empty, "source", "(SELECT * FROM core.series WHERE false) AS series")
    with pytest.raises(BadArgument, match="no series"):
        write(app, empty, tmp_path, series=[])
    assert names_in(tmp_path) == []
