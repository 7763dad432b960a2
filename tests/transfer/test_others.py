"""Others at work in the same place: people, links, other jobs, other versions of this program."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from dataclasses import replace

import pytest

from idc_mcp.errors import Refused, Unavailable
from idc_mcp.transfer.job import VERIFY
from idc_mcp.transfer.receipts import Receipts

pytestmark = pytest.mark.timeout(110)


@pytest.fixture
def engine():
    """What is asked here is the same for every engine."""
    return "obstore"


def test_a_resume_and_a_verification_at_once(lab):
    status = lab.run()
    refused = []

    def ask(what):
        try:
            what(status.job.job)
        except Refused as error:
            refused.append(error)

    callers = [
        threading.Thread(target=ask, args=(what,))
        for what in (lab.downloads.resume, lab.downloads.verify) * 2
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    lab.complete(lab.wait(status.job.job))
    assert len(refused) >= 1  # one action won, and callers of the other were told


def test_files_that_are_removed_while_it_runs_do_not_count(make_lab, aws, archive):
    aws.fault("delay", on="get", key=archive.few[1].last, seconds=1.2)
    lab = make_lab(aws.url, stall_s=6.0)
    job = lab.start([archive.few[1]])
    lab.until(lambda: len(lab.whole()) >= 3)
    for name in sorted(lab.whole())[:2]:
        (lab.folder / name).unlink()
    status = lab.wait(job)
    assert status.job.state == "failed"
    assert "2 files were changed or removed by others" in lab.said(status)
    assert status.job.files_done == len(lab.whole()) == 4
    lab.complete(lab.resume(status))


def test_a_folder_that_is_removed_while_it_runs_ends_the_job(make_lab, aws):
    aws.fault("delay", on="get", seconds=0.3)
    lab = make_lab(aws.url, connections=1)
    job = lab.start()
    lab.until(lambda: lab.table.job(job).files_done >= 1)
    shutil.rmtree(lab.folder)
    status = lab.wait(job)
    assert status.job.state == "failed"
    assert "is gone" in status.job.reason
    assert not lab.folder.exists()


@pytest.mark.parametrize("deep", [False, True])
def test_a_cancelled_verification_leaves_the_job_as_it_was(lab, held, deep):
    before = lab.run()
    waits = held("idc_mcp.transfer.series", "SeriesTask.verify")
    lab.downloads.verify(before.job.job, deep=deep)
    lab.until(waits.exists)
    lab.downloads.cancel(before.job.job)
    after = lab.downloads.status(before.job.job)
    assert (after.job.state, after.series) == (before.job.state, before.series)
    assert after.job.files_done == before.job.files_done


def test_a_verification_keeps_what_series_came_to(lab, aws, archive):
    aws.fault(404, key=archive.few[0].uuid)
    before = lab.run()
    assert before.series == {"complete": 2, "refused": 1}
    after = lab.verify(before, deep=True)
    assert after.series == before.series
    assert after.unfinished == before.unfinished
    assert "all as received" in after.job.checked


def test_of_a_prior_version_what_came_is_counted(lab, archive):
    one = archive.few[0]
    rounded = round(one.series.bytes, -4)
    prior = replace(one, series=replace(one.series, files=None, bytes=rounded))
    status = lab.run([prior])
    assert (status.job.files, status.job.bytes) == (len(one.files), one.series.bytes)
    assert status.job.bytes_done == one.series.bytes
    lab.complete(lab.resume(status))
    assert lab.table.job(status.job.job).files == len(one.files)


def test_the_rate_falls_while_a_store_is_silent(make_lab, aws, archive):
    aws.fault("stall", on="get", key=archive.few[2].uuid)
    lab = make_lab(aws.url, stall_s=30.0, patience_s=30.0)
    job = lab.start()
    lab.until(lambda: lab.table.job(job).rate > 0)
    first = lab.table.job(job)
    lab.until(lambda: 0 <= lab.table.job(job).rate < first.rate)
    assert lab.table.job(job).updated > first.updated
    lab.downloads.cancel(job)


def test_bytes_of_a_file_that_is_not_whole_are_seen(make_lab, aws, archive):
    aws.fault("slow", on="get", rate=4_000_000)
    lab = make_lab(aws.url)
    job = lab.start([archive.big])
    lab.until(lambda: lab.table.job(job).bytes_moving > 1_000_000)
    seen = lab.table.job(job)
    assert seen.files_done == 0 < seen.bytes_seen
    lab.downloads.cancel(job)
    assert lab.table.job(job).bytes_seen == 0


@pytest.mark.parametrize("where", ["patient", "patient/few-0", ".idc-mcp"])
def test_a_link_leads_nothing_out_of_the_folder(lab, tmp_path, where):
    outside = tmp_path / "outside"
    outside.mkdir()
    link = lab.folder / where
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    status = lab.run()
    assert status.job.state == "failed"
    assert "link" in lab.said(status)
    assert not list(outside.rglob("*"))


def test_a_file_that_its_user_edited_is_kept_aside(lab, archive):
    status = lab.run()
    name = sorted(lab.whole())[0]
    (lab.folder / name).write_bytes(b"my notes")
    again = lab.resume(status)
    assert again.job.state == "complete"
    assert again.job.replaced == 1
    (kept,) = (lab.folder / ".idc-mcp" / "replaced").iterdir()
    assert kept.read_bytes() == b"my notes"
    assert kept.suffix != ".dcm"
    assert lab.whole() == lab.archive.keys()


def test_a_job_whose_worker_never_began_is_cancelled_at_once_and_resumed(lab):
    job = lab.create()
    (lab.folder / ".idc-mcp").mkdir(parents=True)
    assert lab.downloads.cancel(job).job.state == "cancelled"
    lab.complete(lab.resume(lab.downloads.status(job)))


def test_parts_of_a_dead_worker_of_another_state_directory_are_removed(lab):
    parts = lab.folder / ".idc-mcp" / "parts" / "j_0123456789"
    parts.mkdir(parents=True)
    (parts / "lock").touch()
    (parts / "x.part").write_bytes(b"half")
    lab.complete(lab.run())
    assert not parts.exists()


def test_a_table_of_a_newer_version_is_left_alone(lab):
    lab.create()
    with sqlite3.connect(lab.table.path) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(Unavailable, match="newer idc-mcp"):
        lab.table.jobs()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\\u0000b", "", "/etc/passwd"])
def test_receipts_name_files_only(lab, archive, name):
    status = lab.run()
    series = replace(archive.few[0].series, number=0)
    receipts = Receipts.of(lab.folder, series)
    line = f'{{"name": "{name}", "size": 1, "md5": "x", "checked": "md5", "mtime_ns": 1}}\n'
    with receipts.path.open("a") as file:
        file.write(line)
    assert Receipts.of(lab.folder, series).files == receipts.files
    lab.complete(lab.verify(status))


def test_a_table_that_is_busy_for_long_ends_no_job(make_lab, aws):
    aws.fault("delay", on="get", seconds=0.2)
    lab = make_lab(aws.url, connections=2)
    job = lab.start()
    lab.until(lambda: lab.table.job(job).files_done >= 1)
    with sqlite3.connect(lab.table.path, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        lab.until(lambda: len(lab.whole()) == len(lab.archive))
        db.execute("ROLLBACK")
    lab.complete(lab.wait(job))


def test_a_hard_link_to_a_foreign_file_is_not_written_through(lab, archive, tmp_path):
    mine = tmp_path / "mine.dcm"
    mine.write_bytes(b"mine")
    name = sorted(archive.few[0].paths)[0]
    target = lab.folder / name
    target.parent.mkdir(parents=True)
    os.link(mine, target)
    status = lab.run()
    assert "in the way" in lab.said(status)
    assert mine.read_bytes() == b"mine"


def test_a_verification_is_its_own_action(lab):
    status = lab.run()
    lab.downloads.verify(status.job.job)
    assert lab.wait(status.job.job).job.action == VERIFY
