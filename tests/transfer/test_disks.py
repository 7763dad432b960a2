"""Disks that are full or read-only: what is whole stays, and the job says which disk it was."""

import os
import shutil

import pytest

from idc_mcp.transfer.locks import is_held
from tests.transfer.payload import gets

pytestmark = pytest.mark.timeout(100)


def test_a_disk_that_is_full_keeps_what_is_whole(make_lab, aws, archive, disk):
    lab = make_lab(aws.url, output_dir=disk.path)
    lab.folder = disk.path / "data"
    status = lab.run(archive.all)
    lab.proven(status, str(lab.folder), "the disk ", uncounted=True)
    assert status.job.state == "failed"
    whole = lab.whole()
    assert len(whole) > 10

    disk.remount("size=20m")
    aws.requests.clear()
    lab.complete(lab.resume(status))
    assert sum(gets(aws).values()) == 188 - len(whole)


def test_a_disk_that_somebody_else_fills(make_lab, aws, archive, disk):
    # Nothing is free although there seemed to be, and for the receipts neither.
    lab = make_lab(aws.url)
    lab.folder = disk.path / "data"
    aws.fault("delay", on="get", seconds=0.02)
    job = lab.start([archive.paged])
    lab.until(lambda: len(lab.found()) > 20)
    fill(disk.path / "others")
    status = lab.wait(job)
    assert status.job.state == "failed"
    assert str(lab.folder) in lab.said(status)
    assert set(lab.found()) - {"../others"} == lab.whole()
    assert status.job.files_done <= len(lab.whole())
    (disk.path / "others").unlink()
    disk.remount("size=40m")
    aws.clear()
    lab.complete(lab.resume(status))


def test_a_disk_that_is_full_and_has_the_table_of_jobs_too(make_lab, aws, archive, disk):
    lab = make_lab(aws.url, state_dir=disk.path / "state")
    disk.remount("size=2m")
    lab.folder = disk.path / "data"
    job = lab.start(archive.all)
    lab.until(lambda: gets(aws) and not is_held(lab.table.lock_path(job)))
    assert lab.leavings() == []
    assert lab.whole() == lab.found().keys()

    disk.remount("size=20m")
    status = lab.downloads.status(job)
    lab.proven(status, uncounted=True)
    # Where not even the end could be written down, no process is there any more.
    assert (status.job.state, "disk" in status.job.reason) in [
        ("failed", True), ("interrupted", False),
    ]  # fmt: skip
    lab.complete(lab.resume(status))


def fill(path):
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_disk_that_can_only_be_read(make_lab, aws, disk):
    lab = make_lab(aws.url)
    lab.folder = disk.path / "data"
    disk.remount("ro")
    status = lab.run()
    lab.proven(status, "Read-only file system", str(disk.path))
    assert status.job.state == "failed"
    assert aws.requests == []

    disk.remount("rw")
    lab.complete(lab.run())


def test_what_can_only_be_read_is_verified(make_lab, aws, disk):
    lab = make_lab(aws.url)
    lab.folder = disk.path / "data"
    done = lab.run()
    disk.remount("ro")
    lab.complete(lab.verify(done, deep=True))


def test_one_series_whose_directory_cannot_be_written(lab, archive):
    hit = archive.few[1]
    directory = lab.folder / hit.series.directory
    directory.mkdir(parents=True)
    if os.geteuid() == 0:
        if not shutil.which("chattr") or os.system(f"chattr +i {directory} 2>/dev/null"):
            pytest.skip("root may write everywhere here: chattr +i is not to be had")
    else:
        directory.chmod(0o555)
    try:
        status = lab.run()
        lab.proven(status, hit.series.directory, str(directory))
        assert status.series == {"complete": 2, "refused": 1}
    finally:
        os.system(f"chattr -i {directory} 2>/dev/null")
        directory.chmod(0o755)
    lab.complete(lab.resume(status))
