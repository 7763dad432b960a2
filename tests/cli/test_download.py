"""`idc-mcp download`, `jobs` and `job` as a person uses them, against a mirror on this machine."""

import csv
import io
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from idc_mcp.cli.demo_download import SERIES, STUDY, StandInSeries, fill
from tests.server.conftest import IDC_MCP, environment
from tests.transfer.faulty import FaultyMirror


@pytest.fixture(scope="module")
def series(index):
    """Two PET series and a localizer of the demo's study: 95 files, 4 MB."""
    rows = index.rows(
        SERIES.replace("FROM index", "FROM core.series")
        + f"StudyInstanceUID = '{STUDY}' AND series_size_MB < 1.6744 AND "
        "SeriesDescription NOT LIKE '%H13' ORDER BY SeriesInstanceUID"
    )
    found = [StandInSeries(*row) for row in rows]
    assert [one.files for one in found] == [47, 47, 1]
    return found


@pytest.fixture(scope="module")
def bucket(series, tmp_path_factory):
    root = tmp_path_factory.mktemp("bucket")
    fill(FaultyMirror(root), series)
    return root


@pytest.fixture
def mirror(bucket):
    with FaultyMirror(bucket) as running:
        yield running


@pytest.fixture
def cohort(series):
    return ",".join(one.SeriesInstanceUID for one in series)


@pytest.fixture
def settings(mirror):
    """The environment that sends downloads to the mirror; little patience."""
    return {
        "IDC_MCP_OFFLINE": "0",
        "IDC_MCP_AWS_URL": mirror.url,
        "IDC_MCP_GCS_URL": mirror.url,
        "IDC_MCP_PATIENCE_S": "0.5",
        "IDC_MCP_CONNECTIONS": "8",
    }


@pytest.fixture
def start(tmp_path, cache_dir, settings):
    """Starts the command and leaves it running; what is still there at the end is ended."""
    started = []

    def command(*arguments, **options):
        more = settings | options.pop("more", {})
        streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE) | options
        env = environment(tmp_path, cache_dir, COLUMNS="100", **more)
        started.append(subprocess.Popen([IDC_MCP, *arguments], text=True, env=env, **streams))
        return started[-1]

    yield command
    for process in started:
        process.kill()
        process.wait()


def files(folder):
    return sorted(folder.rglob("*.dcm"))


def job_of(printed):
    return re.search(r"j_[0-9a-f]{10}", printed).group()


def until(condition, seconds=10.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_download_is_planned_done_and_proven(run, settings, mirror, cohort, tmp_path, fields):
    result = run("download", cohort, str(tmp_path / "data"), **settings)
    assert result.returncode == 0, result.stderr
    plan, _, outcome = result.stdout.partition("Complete: ")
    said = fields(plan)
    assert (said["series"], said["files"], said["size"]) == ("3", "95", "4.16 MB")
    assert said["to"] == "fetch    4.16 MB"
    assert "CC BY" in said["licences"]
    assert said["layout"].endswith("/<crdc_instance_uuid>.dcm")
    assert said["source"].startswith(f"AWS (its mirror {mirror.url}), then Google Cloud")
    assert outcome.startswith(f"95 files, 4.16 MB, in {tmp_path / 'data'}\n")
    assert fields(outcome)["proof"] == "95 files by size and MD5"
    # Nobody sees a bar: a line at once and one at the end, without codes of a terminal.
    first, last = result.stderr.splitlines()
    assert first.startswith("0%, 0 B of 4.16 MB, ")
    assert last == "100%, 4.16 MB of 4.16 MB, 95 of 95 files, 3 of 3 series complete"
    assert "\033" not in result.stdout + result.stderr
    assert len(files(tmp_path / "data")) == 95
    assert (tmp_path / "data" / "cohort.json").exists()


def test_a_second_time_nothing_is_fetched(run, settings, mirror, cohort, tmp_path, fields):
    run("download", cohort, str(tmp_path / "data"), **settings)
    asked = len(mirror.requests)
    result = run("download", cohort, str(tmp_path / "data"), **settings)
    assert result.returncode == 0, result.stderr
    assert "here        95 files, 4.16 MB are whole already (3 of 3 series complete)" in (
        result.stdout
    )
    assert "all of it was here already" in result.stdout
    assert len(mirror.requests) == asked


def test_dry_run_writes_nothing(run, settings, mirror, cohort, tmp_path):
    result = run("download", cohort, str(tmp_path / "data"), "--dry-run", **settings)
    assert result.returncode == 0, result.stderr
    assert "4.16 MB" in result.stdout
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "state" / "downloads").exists()
    assert mirror.requests == []


def test_options(run, settings, cohort, tmp_path, mirror):
    result = run(
        "download", cohort, str(tmp_path / "data"), "--layout", "", "--source", "gcs",
        "--engine", "obstore", **settings,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "data").glob("*.dcm"))) == 95
    assert "Google Cloud (its mirror" in result.stdout
    assert "AWS" not in result.stdout


def test_a_directory_is_where_a_shell_says(run, settings, cohort, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for given, place in (
        ("../there", tmp_path / "there"),
        (".", tmp_path / "here"),
        ("~/data", tmp_path / "data"),
    ):
        result = run("download", cohort, given, "--dry-run", HOME=str(tmp_path), **settings)
        assert f"folder      {place}\n" in result.stdout, result.stderr


def test_large_without_a_terminal_names_the_option(run, settings, cohort, tmp_path):
    large = settings | {"IDC_MCP_CONFIRM_OVER_GB": "0.001"}
    result = run("download", cohort, str(tmp_path / "data"), **large)
    assert result.returncode == 2
    assert "4.16 MB are over 0.001 GB" in result.stderr
    assert "--yes" in result.stderr
    assert not (tmp_path / "data").exists()
    assert run("download", cohort, str(tmp_path / "data"), "--yes", **large).returncode == 0


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("n", 1), ("", 1)])
def test_large_at_a_terminal_is_asked(start, cohort, tmp_path, answer, status):
    ours, theirs = pty.openpty()
    process = start(
        "download", cohort, str(tmp_path / "data"), stdin=theirs, stderr=theirs,
        more={"IDC_MCP_CONFIRM_OVER_GB": "0.001"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(ours, 1024)
    os.write(ours, f"{answer}\n".encode())
    with pytest.raises(OSError):  # the other end is closed when it has ended
        while True:
            seen += os.read(ours, 65_536)
    os.close(ours)
    assert process.wait(10) == status
    assert "Download 4.16 MB? [y/N]" in seen.decode()
    if status:
        assert "Nothing was begun." in process.stdout.read()
        assert not (tmp_path / "data").exists()
    else:
        assert "100%" in seen.decode()
        assert "95 of 95 files, 3 of 3 series complete" in seen.decode()


def test_what_does_not_come_is_said_with_its_reason(
    run, settings, mirror, cohort, series, tmp_path
):
    mirror.fault(403, key=series[0].crdc_series_uuid)
    result = run("download", cohort, str(tmp_path / "data"), **settings)
    assert result.returncode == 1
    _, _, outcome = result.stdout.partition("Not complete: ")
    assert outcome.startswith("48 of 95 files")
    assert re.search(r"^  1 series refused: .*403", outcome, re.M), outcome
    job = job_of(outcome)
    assert f"idc-mcp job {job} resume" in outcome

    listed = run("jobs", job, "--series", **settings)
    rows = list(csv.DictReader(io.StringIO(listed.stdout)))
    assert [row["state"] for row in rows].count("refused") == 1
    assert {row["SeriesInstanceUID"] for row in rows} == {one.SeriesInstanceUID for one in series}

    mirror.clear()
    again = run("job", job, "resume", **settings)
    assert again.returncode == 0, again.stdout
    assert "Complete: 95 files" in again.stdout


def test_ctrl_c_cancels_and_resume_goes_on(start, run, settings, mirror, cohort, tmp_path):
    mirror.fault("delay", on="get", seconds=0.1)
    process = start("download", cohort, str(tmp_path / "data"))
    until(lambda: len(files(tmp_path / "data")) > 5)
    process.send_signal(signal.SIGINT)
    printed, beside = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Cancelling" in beside
    whole = len(files(tmp_path / "data"))
    assert 5 < whole < 95
    assert f"Cancelled: {whole} of 95 files" in printed
    assert not list((tmp_path / "data").glob(".idc-mcp/parts/**/*"))

    job = job_of(printed)
    assert f"idc-mcp job {job} resume" in printed
    assert "cancelled" in run("jobs", **settings).stdout
    mirror.clear()
    mirror.requests.clear()
    again = run("job", job, "resume", **settings)
    assert again.returncode == 0, again.stderr
    assert len(files(tmp_path / "data")) == 95
    assert sum(".dcm" in path for _, path in mirror.requests) == 95 - whole


def test_a_second_ctrl_c_leaves_at_once(start, mirror, cohort, tmp_path):
    mirror.fault("delay", on="get", seconds=0.1)
    process = start("download", cohort, str(tmp_path / "data"))
    until(lambda: files(tmp_path / "data"))
    process.send_signal(signal.SIGINT)
    until(lambda: "Cancelling" in process.stderr.readline())
    process.send_signal(signal.SIGINT)
    _, beside = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in beside


def test_detached_watched_and_cancelled(start, run, settings, mirror, cohort, tmp_path):
    mirror.fault("delay", on="get", seconds=0.5)
    begun = run("download", cohort, str(tmp_path / "data"), "--detach", **settings)
    assert begun.returncode == 0, begun.stderr
    job = job_of(begun.stdout)
    assert f"idc-mcp jobs {job} --watch" in begun.stdout

    assert run("job", job, "verify", **settings).returncode == 2
    watching = start("jobs", "--watch")
    assert " of 95 files, " in watching.stderr.readline()
    cancelled = run("job", job, "cancel", **settings)
    assert cancelled.returncode == 0
    assert "Cancelled: " in cancelled.stdout
    printed, _ = watching.communicate(timeout=10)
    assert watching.returncode == 1
    assert "Cancelled: " in printed
    assert "has ended already: cancelled" in run("job", job, "cancel", **settings).stdout


def test_watching_ends_without_the_job(start, run, settings, mirror, cohort, tmp_path):
    mirror.fault("delay", on="get", seconds=0.5)
    job = job_of(run("download", cohort, str(tmp_path / "data"), "--detach", **settings).stdout)
    watching = start("jobs", job, "--watch")
    assert " of 95 files, " in watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    mirror.clear()
    assert run("jobs", job, "--watch", **settings).returncode == 0
    assert len(files(tmp_path / "data")) == 95


def test_jobs_are_listed_and_described(run, settings, cohort, tmp_path, fields):
    assert "No downloads yet" in run("jobs", **settings).stdout
    job = job_of(run("download", cohort, str(tmp_path / "data"), **settings).stdout)
    last = run("jobs", **settings).stdout.splitlines()[-1]
    assert last.split()[:6] == [job, "complete", "4.16", "MB", "4.16", "MB"]
    assert last.endswith(str(tmp_path / "data"))
    said = fields(run("jobs", job, **settings).stdout)
    assert said["done"] == "4.16 MB of 4.16 MB, 95 of 95 files, 3 of 3 series complete"


def test_files_are_verified_without_the_network(run, settings, cohort, tmp_path):
    job = job_of(run("download", cohort, str(tmp_path / "data"), **settings).stdout)
    deep = run("job", job, "verify", "--deep", **settings | {"IDC_MCP_OFFLINE": "1"})
    assert deep.returncode == 0, deep.stderr
    assert "Verified: 95 files" in deep.stdout
    assert "every file's MD5: all as received" in deep.stdout

    damaged = files(tmp_path / "data")[0]
    at = damaged.stat()
    content = bytearray(damaged.read_bytes())
    content[1000] ^= 1
    damaged.write_bytes(content)
    os.utime(damaged, ns=(at.st_atime_ns, at.st_mtime_ns))
    found = run("job", job, "verify", "--deep", **settings)
    assert found.returncode == 1
    assert "Not all is as received: 94 of 95 files" in found.stdout
    assert run("job", job, "resume", **settings).returncode == 0
    assert run("job", job, "verify", "--deep", **settings).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["download", "TCGA_LUADD", "{dir}"], "Nearest: tcga_luad"),
        (["download", "", "{dir}"], "idc-mcp:"),
        (["download", "{cohort}", ""], "not a directory's name"),
        (["download", "{cohort}", "{file}"], "is a file"),
        (["download", "{cohort}", "{file}/below"], "is a file"),
        (["download", "{cohort}", "~nobody-of-this-name/x"], "leads nowhere"),
        (["download", "{cohort}", "{dir}", "--layout", "%Modalty"], "%Modalty is no placeholder"),
        (["jobs", "j_0000000000"], "`idc-mcp jobs` lists all"),
        (["jobs", "--series"], "needs a JOB"),
        (["jobs", "--watch"], "No download is running"),
        (["job", "j_0000000000", "resume"], "There is no download"),
    ],
)
def test_what_is_wrong_is_said_in_words(run, settings, cohort, tmp_path, arguments, words):
    (tmp_path / "file").touch()
    given = {"cohort": cohort, "dir": str(tmp_path / "data"), "file": str(tmp_path / "file")}
    result = run(*(word.format(**given) for word in arguments), **settings)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_job_of_a_folder_that_is_gone(run, settings, cohort, tmp_path):
    job = job_of(run("download", cohort, str(tmp_path / "data"), **settings).stdout)
    (tmp_path / "data").rename(tmp_path / "moved")
    result = run("job", job, "resume", **settings)
    assert result.returncode == 2
    assert "is not there any more" in result.stderr
    assert "idc-mcp download COHORT DIR" in result.stderr
    assert run("job", job, "resume", "--deep", **settings).returncode == 2


def test_offline_nothing_begins(run, settings, cohort, tmp_path):
    result = run("download", cohort, str(tmp_path / "data"), **settings | {"IDC_MCP_OFFLINE": "1"})
    assert result.returncode == 2
    assert "IDC_MCP_OFFLINE" in result.stderr
    assert not (tmp_path / "data").exists()
