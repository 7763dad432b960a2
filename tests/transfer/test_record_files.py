"""Records as files: what is there stays, ours too, and all four are there or none."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from idc_mcp.errors import BadArgument, Unavailable
from idc_mcp.transfer import records
from idc_mcp.transfer.records import NAMES
from tests.transfer.test_records import names_in, placed, record, write

# -- whose files they are ------------------------------------------------------------------


def suffixed(ending: str) -> list[str]:
    return [f"cohort{ending}.json", f"manifest{ending}.s5cmd", f"LICENSES{ending}",
            f"CITATIONS{ending}.bib"]  # fmt: skip


def contents(folder) -> dict[str, tuple[bytes, int]]:
    """Every file with its time: what is the same afterwards was not written again."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def refuse(*_, **__):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.fixture
def later(monkeypatch):
    """Runs are a second apart and more."""
    times = (datetime(2030, 1, day, tzinfo=UTC) for day in range(1, 30))
    monkeypatch.setattr(records, "datetime", SimpleNamespace(now=lambda _: next(times)))


def test_where_all_four_are_nothing_is_written(app, tmp_path, later, monkeypatch):
    cohort = app.cohorts.resolve("rider_lung_ct")
    paths = write(app, cohort, tmp_path)
    (tmp_path / "CITATIONS.bib").write_text("@article{mine}")
    said = record(paths[0]) | {"note": "of a person"}
    paths[0].write_text(json.dumps(said))
    before = contents(tmp_path)
    monkeypatch.setattr(records, "shared_scratch_file", refuse)  # as on a disk that is read-only
    assert write(app, cohort, tmp_path) == paths
    assert write(app, cohort, tmp_path, source="gcs", endpoint="http://mirror") == paths
    assert contents(tmp_path) == before


@pytest.mark.parametrize("missing", [NAMES[1:], *((name,) for name in NAMES[1:])])
def test_what_is_missing_alone_is_written(app, tmp_path, later, missing):
    cohort = app.cohorts.resolve("rider_lung_ct")
    paths = write(app, cohort, tmp_path)
    first = contents(tmp_path)
    for name in missing:
        (tmp_path / name).unlink()
    for name in {*NAMES[1:]}.difference(missing):
        (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    # The series are not read where cohort.json stays.
    assert write(app, cohort, tmp_path, series=iter(())) == paths
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert sorted(after) == sorted(NAMES)
    for name in missing:
        assert after[name][0] == first[name][0].replace(b"2030-01-01", b"2030-01-02")
        assert after[name] != first[name]


def test_without_its_cohort_json_it_is_nobodys(app, tmp_path):
    cohort = app.cohorts.resolve("rider_lung_ct")
    write(app, cohort, tmp_path)
    (tmp_path / "cohort.json").unlink()
    before = contents(tmp_path)
    paths = write(app, cohort, tmp_path)
    assert [path.name for path in paths] == suffixed(f"-{cohort.handle}")
    assert {name: contents(tmp_path)[name] for name in before} == before


@pytest.mark.parametrize("odd", ["", '%Modality/Ünder "x" \\ \t 😀 \udcff', "%PatientID" * 30])
def test_another_layout_takes_names_of_its_own(app, tmp_path, odd):
    cohort = app.cohorts.resolve("rider_lung_ct")
    expected = [
        ("%PatientID", list(NAMES)), (odd, suffixed(f"-{cohort.handle}")),
        ("%Modality", suffixed(f"-{cohort.handle}-2")), ("a", suffixed(f"-{cohort.handle}-3")),
    ]  # fmt: skip
    for layout, names in expected:
        paths = write(app, cohort, tmp_path, layout=layout)
        assert [path.name for path in paths] == names
        assert record(paths[0])["layout"] == layout
    before = contents(tmp_path)
    for layout, names in [*expected, *reversed(expected)]:
        paths = write(app, cohort, tmp_path, layout=layout)
        assert [path.name for path in paths] == names
    assert contents(tmp_path) == before
    for name in NAMES:  # a name that is free again is not taken by those that have theirs
        (tmp_path / name).unlink()
    paths = write(app, cohort, tmp_path, layout="a")
    assert [path.name for path in paths] == suffixed(f"-{cohort.handle}-3")
    paths[2].unlink()
    assert write(app, cohort, tmp_path, layout="a") == paths
    assert paths[0].name in paths[2].read_text()
    assert contents(tmp_path).items() >= {
        (name, what) for name, what in before.items() if name not in (*NAMES, paths[2].name)
    }


def test_links_to_files_are_files(app, tmp_path):
    """As git-annex makes them of what it keeps."""
    cohort = app.cohorts.resolve("rider_lung_ct")
    paths = write(app, cohort, tmp_path / "data")
    (tmp_path / "annex").mkdir()
    for path in paths:
        path.symlink_to(path.rename(tmp_path / "annex" / path.name))
    assert write(app, cohort, tmp_path / "data") == paths
    assert all(path.is_symlink() for path in paths)


def test_records_cut_off_between_two_of_them_are_completed(app, tmp_path, monkeypatch):
    cohort = app.cohorts.resolve("rider_lung_ct")
    published = []

    def publish(part, path):
        if published:
            refuse()
        published.append(path.name)
        part.replace(path)

    with monkeypatch.context() as patch:
        patch.setattr(records, "publish", publish)
        with pytest.raises(Unavailable):
            write(app, cohort, tmp_path)
    assert published == names_in(tmp_path) == ["cohort.json"]
    assert write(app, cohort, tmp_path) == [tmp_path / name for name in NAMES]
    assert names_in(tmp_path) == sorted(NAMES)


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
    '{"what": ' + "[" * 5_000, '{"what"' + " " * 5_000, '{[1]: 2}', '{"a": 1 "b": 2}', '"what"',
    '{"what": ["idc-mcp download record"], "format": 1, "handle": "%s", "idc_release": "v25", '
    '"layout": "%collection_id/%PatientID"}',
    '{"what": "idc-mcp download record", "format": 1, "handle": "%s", "idc_release": "v25", '
    '"name": "\\", \\"layout\\": \\"%collection_id/%PatientID"}',
    '{"what": "idc-mcp download record", "format": 1, "handle": "%s", "idc_release": "v25", '
    '"layout": "%collection_id/%PatientID/"}',
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
    said = record(path) | {"note": 'of "mine"'}
    turned = {key: said[key] for key in ("note", "layout", "what")} | said
    for text in (json.dumps(said, indent=4), json.dumps(said), "\ufeff \n" + json.dumps(turned)):
        path.write_text(text, encoding="utf-8")
        assert write(app, cohort, tmp_path)[0] == path
        assert path.read_text(encoding="utf-8") == text


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
def test_none_is_there_where_one_cannot_be_written(app, tmp_path, monkeypatch, code, step):
    cohort = app.cohorts.resolve("rider_lung_ct")
    (tmp_path / "IMG_1.dcm").touch()

    def fail(*_):
        yield "half"
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(records.record_texts, "bibliography", fail)
    with pytest.raises(Unavailable) as error:
        write(app, cohort, tmp_path)
    assert str(tmp_path) in error.value.what
    assert os.strerror(code) in error.value.what
    assert step in error.value.next_step
    assert names_in(tmp_path) == ["IMG_1.dcm"]


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
