"""Jobs: killed in every phase, cancelled, resumed, two at a time, and the table that has them."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from idc_mcp.errors import Damaged, NotFound, Refused, Unavailable
from idc_mcp.settings import Settings
from idc_mcp.transfer.downloads import Downloads
from idc_mcp.transfer.jobs import JobTable
from idc_mcp.transfer.locks import Lock, is_held
from tests.transfer.payload import HANDLE, gets

pytestmark = pytest.mark.timeout(100)


def interrupted(lab, job):
    """What is true after a worker was killed: whole files only, none counted that is not."""
    status = lab.downloads.status(job)
    assert status.job.state == "interrupted"
    assert "process" in status.job.reason
    assert set(lab.found()) == lab.whole()
    assert status.job.files_done <= len(lab.whole())
    return status


def test_killed_while_it_lists(make_lab, aws):
    lab = make_lab(aws.url, stall_s=60)
    aws.fault("stall", on="list")
    job = lab.start()
    lab.until(lambda: aws.requests)
    lab.kill(job)
    status = interrupted(lab, job)
    aws.clear()
    lab.complete(lab.resume(status))


def test_killed_between_files(make_lab, aws, archive):
    lab, late = make_lab(aws.url, stall_s=60), archive.few[2].last
    aws.fault("stall", on="get", key=late)
    job = lab.start()
    lab.until(lambda: len(lab.whole()) == 17)
    lab.kill(job)
    status = interrupted(lab, job)
    aws.clear()
    aws.requests.clear()
    lab.complete(lab.resume(status))
    assert gets(aws) == {late: 1}


def test_killed_in_the_middle_of_files(make_lab, aws, archive):
    lab = make_lab(aws.url, stall_s=60, connections=64)
    aws.fault("stall", on="get", after=700)
    job = lab.start(archive.all)
    lab.until(lambda: len(gets(aws)) > 30)
    lab.kill(job)
    status = interrupted(lab, job)
    assert all(path.stat().st_size <= 700 for path in lab.found().values())
    aws.clear()
    lab.complete(lab.resume(status))


def test_killed_in_the_middle_of_a_large_file(make_lab, aws, archive):
    lab = make_lab(aws.url, stall_s=60)
    aws.fault("slow", on="get", rate=1_000_000)
    job = lab.start([archive.big])
    lab.until(lambda: lab.table.job(job).bytes_fetched > 1_000_000)
    lab.kill(job)
    status = interrupted(lab, job)
    assert lab.found() == {}
    aws.clear()
    lab.complete(lab.resume(status))


def test_killed_over_and_over(make_lab, aws, archive):
    lab = make_lab(aws.url, patience_s=20)
    aws.fault("delay", on="get", seconds=0.02)
    job = lab.start([archive.paged])
    whole = 0
    for _ in range(3):
        lab.until(lambda: len(lab.found()) >= whole + 200)  # noqa: B023
        lab.kill(job)
        status = interrupted(lab, job)
        assert len(lab.whole()) >= whole
        whole = len(lab.whole())
        lab.downloads.resume(job)
    aws.clear()
    status = lab.wait(job)
    lab.complete(status)
    # What was under way at a kill comes twice, no more.
    assert sum(gets(aws).values()) <= 1_030 + 3 * 8


def test_killed_after_the_last_file(lab, aws, held, monkeypatch):
    waits = held("idc_mcp.transfer.receipts", "Receipts.finish")
    job = lab.start(lab.sources[:1])
    lab.until(waits.exists)
    lab.kill(job)
    status = interrupted(lab, job)
    assert len(lab.whole()) == 6
    monkeypatch.delenv("PYTHONPATH")
    aws.requests.clear()
    lab.complete(lab.resume(status))
    assert gets(aws) == {}


def test_killed_between_a_file_and_its_receipt(lab, aws, held, monkeypatch):
    waits = held("idc_mcp.transfer.receipts", "Receipts.add")
    job = lab.start(lab.sources[:1])
    lab.until(waits.exists)
    lab.kill(job)
    status = interrupted(lab, job)
    whole = len(lab.whole())
    assert whole > 0
    monkeypatch.delenv("PYTHONPATH")
    aws.requests.clear()
    lab.complete(lab.resume(status))
    assert sum(gets(aws).values()) == 6 - whole


def test_killed_while_it_verifies(lab, aws, held, monkeypatch):
    done = lab.run()
    waits = held("idc_mcp.transfer.receipts", "md5_of")
    lab.downloads.verify(done.job.job, deep=True)
    lab.until(waits.exists)
    lab.kill(done.job.job)
    status = interrupted(lab, done.job.job)
    assert len(lab.whole()) == 18
    monkeypatch.delenv("PYTHONPATH")
    aws.requests.clear()
    lab.complete(lab.verify(status, deep=True))
    lab.complete(lab.resume(status))
    assert aws.requests == []


def test_a_killed_worker_leaves_no_process(make_lab, aws, archive):
    lab = make_lab(aws.url, stall_s=60)
    aws.fault("stall", on="get")
    job = lab.start()
    lab.until(lambda: len(gets(aws)) >= 8)
    here = str(lab.home).encode()
    lab.kill(job)
    aws.down()
    lab.until(lambda: not processes_with(here), 20)


def processes_with(text):
    """Processes that work below the test's directory, or were started with a path there."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            mine = folder.name == str(os.getpid()) or state == "Z"
            about = (folder / "cmdline").read_bytes() + os.fsencode((folder / "cwd").readlink())
            if text in about and not mine:
                found.append((folder.name, about))
    return found


def test_the_server_is_killed_and_the_download_goes_on(lab, aws, archive):
    aws.fault("slow", on="get", rate=20_000)
    job = lab.create()
    script = (
        "import sys, time, pathlib\n"
        "from idc_mcp.settings import Settings\n"
        "from idc_mcp.transfer.downloads import Downloads\n"
        "Downloads(None, Settings(state_dir=pathlib.Path(sys.argv[1])))._spawn(sys.argv[2])\n"
        "print('begun', flush=True)\n"
        "time.sleep(100)\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", script, str(lab.settings.state_dir), job], stdout=subprocess.PIPE
    )
    assert server.stdout.readline() == b"begun\n"
    server.kill()
    server.wait()
    server.stdout.close()
    lab.complete(lab.wait(job))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_by_a_signal(make_lab, aws, archive, number):
    lab, late = make_lab(aws.url, stall_s=60), archive.few[2].last
    aws.fault("stall", on="get", key=late)
    job = lab.start()
    lab.until(lambda: lab.table.job(job).files_done == 17)
    status = lab.kill(job, number)
    assert status.job.state == "interrupted"
    lab.proven(status, "told to end")
    aws.clear()
    aws.requests.clear()
    lab.complete(lab.resume(status))
    assert gets(aws) == {late: 1}


# Cancelled.


def cancelled(lab, job):
    begun = time.monotonic()
    status = lab.downloads.cancel(job)
    took = time.monotonic() - begun
    assert status.job.state == "cancelled"
    assert took < 4, "two seconds, and as much again for a machine that does other work"
    lab._wait_for_its_process(job)
    lab.proven(lab.downloads.status(job), "cancelled")
    return lab.downloads.status(job)


def test_cancelled_while_files_come(make_lab, aws, archive):
    lab = make_lab(aws.url)
    aws.fault("slow", on="get", rate=50_000)
    job = lab.start(archive.all)
    lab.until(lambda: len(lab.whole()) > 10)
    status = cancelled(lab, job)
    whole = lab.whole()
    assert 10 < len(whole) < 188

    aws.clear()
    aws.requests.clear()
    lab.complete(lab.resume(status))
    assert sum(gets(aws).values()) == 188 - len(whole)


def test_cancelled_while_the_store_is_silent(make_lab, aws, archive):
    lab = make_lab(aws.url, stall_s=60)
    aws.fault("stall", on="get", key=archive.few[1].uuid)
    job = lab.start()
    lab.until(lambda: len(lab.whole()) >= 6 and len(gets(aws)) >= 8)
    status = cancelled(lab, job)
    aws.clear()
    lab.complete(lab.resume(status))


def test_cancelled_while_a_listing_is_silent(make_lab, aws):
    lab = make_lab(aws.url, stall_s=60)
    aws.fault("stall", on="list")
    job = lab.start()
    lab.until(lambda: aws.requests)
    cancelled(lab, job)


def test_cancelled_in_the_middle_of_a_large_file(make_lab, aws, archive):
    lab = make_lab(aws.url)
    aws.fault("slow", on="get", rate=1_000_000)
    job = lab.start([archive.big])
    lab.until(lambda: lab.table.job(job).bytes_fetched > 1_000_000)
    cancelled(lab, job)
    assert lab.found() == {}


def test_cancelled_while_the_store_is_away(make_lab, aws):
    lab = make_lab(aws.url, patience_s=60)
    aws.down()
    job = lab.start()
    lab.until(lambda: lab.table.job(job).requests > 1)
    cancelled(lab, job)


def test_cancelled_before_its_worker_begins(lab):
    job = lab.start()
    status = lab.downloads.cancel(job)
    assert status.job.state in ("cancelled", "complete")
    lab._wait_for_its_process(job)
    lab.proven(lab.downloads.status(job))


def test_cancelled_while_it_verifies(lab, held):
    done = lab.run()
    waits = held("idc_mcp.transfer.receipts", "md5_of")
    lab.downloads.verify(done.job.job, deep=True)
    lab.until(waits.exists)
    status = lab.downloads.cancel(done.job.job)
    assert status.job.state == "complete"  # as it was
    assert len(lab.whole()) == 18


def test_cancelled_when_it_was_killed(make_lab, aws, archive):
    lab = make_lab(aws.url, stall_s=60)
    aws.fault("stall", on="get", key=archive.few[2].last)
    job = lab.start()
    lab.until(lambda: lab.table.job(job).files_done == 17)
    lab.kill(job)
    cancelled(lab, job)
    assert len(lab.whole()) == 17


def test_what_has_ended_is_not_cancelled(lab):
    status = lab.run()
    assert lab.downloads.cancel(status.job.job).job.state == "complete"


# Resumed and asked for again.


def test_a_running_job_is_neither_resumed_nor_verified(make_lab, aws):
    lab = make_lab(aws.url, stall_s=60)
    aws.fault("stall", on="get")
    job = lab.start()
    lab.until(lambda: lab.table.job(job).state == "running")
    pid = lab.table.job(job).pid
    assert lab.downloads.resume(job).job.pid == pid
    with pytest.raises(Refused, match="is running; it verifies as it goes"):
        lab.downloads.verify(job)


def test_two_resumes_at_once_are_one(lab, aws, archive):
    aws.fault("slow", on="get", rate=100_000)
    job = lab.create(archive.all)
    for _ in range(3):
        lab.downloads._spawn(job)
    lab.complete(lab.wait(job))
    assert set(gets(aws).values()) == {1}


def test_a_folder_that_is_gone(lab):
    status = lab.run()
    shutil.rmtree(lab.folder)
    for again in (lab.downloads.resume, lab.downloads.verify):
        with pytest.raises(Refused, match="is not there any more") as error:
            again(status.job.job)
        assert str(lab.folder) in str(error.value)
        assert "idc_download" in str(error.value)


def test_a_folder_that_was_moved_keeps_its_receipts(lab, aws):
    lab.complete(lab.run())
    lab.folder = lab.folder.rename(lab.home / "elsewhere")
    aws.requests.clear()
    lab.complete(lab.run())
    assert aws.requests == []


def test_offline_a_download_is_verified_and_not_resumed(lab):
    status = lab.run()
    offline = Downloads(None, replace(lab.settings, offline=True))
    with pytest.raises(Unavailable, match="IDC_MCP_OFFLINE"):
        offline.resume(status.job.job)
    offline.verify(status.job.job)
    lab.complete(lab.wait(status.job.job))


# Two at a time.


def test_two_jobs_to_one_place_fetch_nothing_twice(make_lab, aws, archive):
    lab = make_lab(aws.url, patience_s=20)
    aws.fault("slow", on="get", rate=100_000)
    first, second = lab.start(archive.all), lab.start(archive.all)
    for job in (first, second):
        lab.complete(lab.wait(job))
    assert set(gets(aws).values()) == {1}
    assert len(gets(aws)) == 188


def test_two_jobs_that_share_a_series(make_lab, aws, archive):
    lab = make_lab(aws.url, patience_s=20)
    aws.fault("slow", on="get", rate=20_000)
    first = lab.start(archive.few[:2])
    second = lab.start(archive.few[1:])
    lab.sources = archive.few
    assert [lab.wait(job).job.state for job in (first, second)] == ["complete"] * 2
    assert lab.whole() == lab.archive.keys()
    assert set(gets(aws).values()) == {1}
    assert len(gets(aws)) == 18


def test_the_second_job_goes_on_when_the_first_is_killed(make_lab, aws, archive):
    lab = make_lab(aws.url, stall_s=60)
    aws.fault("stall", on="get", times=1)
    first = lab.start()
    lab.until(lambda: len(gets(aws)) >= 8)
    second = lab.start()
    lab.until(lambda: lab.table.job(second).state == "running")
    assert lab.whole() == set()
    lab.kill(first)
    aws.clear()
    done = lab.wait(second)
    lab.downloads.cancel(first)  # which removes what the kill left
    lab.complete(done)


def test_two_jobs_to_two_places(lab, aws, make_lab, tmp_path):
    other = make_lab(aws.url, home=tmp_path / "other")
    jobs = lab.start(), other.start()
    lab.complete(lab.wait(jobs[0]))
    other.complete(other.wait(jobs[1]))
    assert set(gets(aws).values()) == {2}


# The table.


@pytest.fixture
def table(tmp_path):
    return JobTable(tmp_path / "state")


def new_job(table, archive, **changes):
    columns = {
        "handle": HANDLE, "understood": "", "release": "v0", "folder": "/nowhere", "layout": "",
        "source": "aws", "engine": "obstore", "options": {},
    }  # fmt: skip
    return table.create([one.series for one in archive.few[:1]], **columns | changes)


def test_a_table_that_is_not_there_yet_is_empty(table):
    assert table.jobs() == []
    with pytest.raises(NotFound, match="There is no download 'j_0'"):
        table.job("j_0")


def test_a_name_with_a_typing_error_gets_the_latest(table, archive):
    job = new_job(table, archive)
    with pytest.raises(NotFound, match=job):
        table.job(job + "0")


@pytest.mark.parametrize(
    "content", [b"this is no table of anything" * 500, b"SQLite format 3\0" * 99]
)
def test_a_corrupt_table(table, archive, content):
    new_job(table, archive)
    table.path.write_bytes(content)
    for ending in ("-wal", "-shm"):
        table.path.with_name(table.path.name + ending).unlink(missing_ok=True)
    for ask in (table.jobs, lambda: new_job(table, archive)):
        with pytest.raises(Damaged, match="cannot be used") as error:
            ask()
        assert str(table.path) in str(error.value)
        assert "move that file away" in str(error.value)


def test_an_emptied_table(table, archive):
    new_job(table, archive)
    for path in table.directory.iterdir():
        path.write_bytes(b"")
    assert table.jobs() == []
    assert table.job(new_job(table, archive)).state == "starting"


def test_a_table_of_which_a_page_is_corrupt(table, archive):
    for _ in range(200):
        new_job(table, archive, understood="x" * 500)
    content = bytearray(table.path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    table.path.write_bytes(content)
    with pytest.raises(Damaged, match="cannot be used"):
        table.jobs()


def test_the_first_jobs_of_many_processes_at_once(tmp_path, archive):
    with multiprocessing.get_context("spawn").Pool(6) as pool:
        names = pool.starmap(_first_job, [(tmp_path / "state", archive)] * 24, chunksize=1)
    assert {job.job for job in JobTable(tmp_path / "state").jobs()} == set(names)
    assert len(set(names)) == 24


def _first_job(state_dir, archive):
    table = JobTable(state_dir)
    table.jobs()
    return new_job(table, archive)


def test_a_job_that_never_began(table, archive, monkeypatch):
    job = new_job(table, archive)
    assert table.job(job).state == "starting"
    monkeypatch.setattr("idc_mcp.transfer.jobs.START_S", 0.0)
    assert table.job(job).state == "interrupted"


def test_no_process_can_be_started(lab, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    job = lab.create()
    with pytest.raises(Unavailable, match="No process can be started"):
        lab.downloads._spawn(job)
    assert lab.table.job(job).state == "failed"
    assert "No such file" in lab.table.job(job).reason


def test_a_worker_whose_job_is_being_asked_about_begins(lab):
    # Whoever asks whether a worker lives holds its lock for a moment.
    job = lab.create()
    lock = Lock(lab.table.lock_path(job))
    assert lock.take()
    lab.downloads._spawn(job)
    lab.until(lambda: "pid" in lab.log(job))
    time.sleep(0.3)
    lock.free()
    lab.complete(lab.wait(job))


# Locks.


def test_a_lock_is_one_process_s(tmp_path):
    path = tmp_path / "lock"
    assert not is_held(path)
    first, second = Lock(path), Lock(path)
    assert first.take()
    assert is_held(path)
    assert not second.take()
    first.free()
    assert not is_held(path)
    assert second.take()
    second.free()


def test_asking_for_a_lock_makes_no_file(tmp_path):
    assert not is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_gives_its_lock_back(tmp_path):
    path = tmp_path / "lock"
    script = (
        "import sys, time, pathlib\n"
        "from idc_mcp.transfer.locks import Lock\n"
        "lock = Lock(pathlib.Path(sys.argv[1]))\n"
        "print(lock.take(), flush=True)\n"
        "time.sleep(100)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"True\n"
        assert is_held(path)
        holder.kill()
    assert not is_held(path)


@pytest.mark.skipif(sys.platform == "win32", reason="flock is a matter of Unix")
def test_a_disk_without_locks_is_no_lock_of_another(tmp_path, monkeypatch):
    import errno
    import fcntl

    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="No locks available"):
        Lock(tmp_path / "lock").take()


def test_settings_of_now_are_used_by_a_resume(make_lab, aws, archive):
    lab = make_lab("http://127.0.0.1:9", patience_s=0.3)
    status = lab.run()
    lab.proven(status, "http://127.0.0.1:9", "connection refused")
    moved = Settings(**lab.settings.__dict__ | {"aws_url": aws.url})
    Downloads(None, moved).resume(status.job.job)
    lab.complete(lab.wait(status.job.job))
