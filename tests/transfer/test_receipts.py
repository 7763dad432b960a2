"""What receipts prove: damaged files come again, alone; what is whole is not asked for."""

import json
import os
import shutil

import pytest

from idc_mcp.transfer.receipts import Receipt, Receipts, directory_of, path_of
from tests.transfer.payload import Lab, gets, make_source

pytestmark = pytest.mark.timeout(100)


@pytest.fixture
def engine():
    """One is enough: what is whole is found out before an engine is asked."""
    return "obstore"


@pytest.fixture
def done(lab, aws):
    """A complete download, and no requests counted."""
    status = lab.run()
    lab.complete(status)
    aws.requests.clear()
    return status


def victim(lab):
    """A file of the second series on disk."""
    source = lab.sources[1]
    return lab.folder / source.series.directory / source.last


def flip(path, *, same_time=False):
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if same_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGES = {
    "flipped": flip,
    "truncated": lambda path: os.truncate(path, 200),
    "emptied": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_comes_again_alone_on_a_resume(lab, aws, done, damage):
    DAMAGES[damage](victim(lab))
    lab.complete(lab.resume(done))
    assert gets(aws) == {victim(lab).name: 1}


@pytest.mark.parametrize("damage", ["flipped", "deleted"])
def test_a_damaged_file_comes_again_alone_on_a_second_run(lab, aws, done, damage):
    DAMAGES[damage](victim(lab))
    lab.complete(lab.run())
    assert gets(aws) == {victim(lab).name: 1}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_found_and_comes_again_alone(lab, aws, done, damage, deep):
    DAMAGES[damage](victim(lab))
    status = lab.verify(done, deep=deep)
    assert status.job.state == "failed"
    assert status.series == {"complete": 2, "failed": 1}
    assert status.job.files_done == 17
    said = lab.said(status)
    assert victim(lab).name in said
    assert lab.sources[1].series.directory in said
    assert ("missing" if damage == "deleted" else "damaged") in said
    assert "1 series damaged" in status.job.checked
    assert aws.requests == []

    lab.complete(lab.resume(status))
    assert gets(aws) == {victim(lab).name: 1}
    lab.complete(lab.verify(status, deep=True))


def test_a_flipped_bit_whose_time_was_restored_is_found_deeply(lab, aws, done):
    flip(victim(lab), same_time=True)
    assert lab.verify(done).job.state == "complete"
    status = lab.verify(done, deep=True)
    assert status.job.state == "failed"
    assert victim(lab).name in lab.said(status)
    assert status.job.files_done == 17
    lab.complete(lab.resume(status))
    assert gets(aws) == {victim(lab).name: 1}


def test_all_files_that_are_damaged_come_again(lab, aws, done):
    for path in lab.found().values():
        flip(path)
    lab.complete(lab.resume(lab.verify(done)))
    assert sum(gets(aws).values()) == 18


def test_a_verification_says_what_it_looked_at(lab, aws, done):
    shallow, deep = lab.verify(done), lab.verify(done, deep=True)
    lab.complete(deep)
    assert "size and time of change: all as received" in shallow.job.checked
    assert "every file's MD5: all as received" in deep.job.checked
    assert aws.requests == []


def test_files_that_were_touched_are_hashed_not_fetched(lab, aws, done):
    for path in lab.found().values():
        os.utime(path, ns=(1, 1))
    lab.complete(lab.run())
    assert gets(aws) == {}
    aws.requests.clear()
    lab.complete(lab.run())
    assert aws.requests == []


def test_multipart_files_that_are_damaged_come_again_alone(make_lab, archive):
    from tests.transfer.faulty import FaultyMirror

    with FaultyMirror(archive.roots["aws"], multipart_over=0) as mirror:
        lab = make_lab(mirror.url)
        done = lab.run()
        flip(victim(lab), same_time=True)
        status = lab.verify(done, deep=True)
        assert status.series == {"complete": 2, "failed": 1}
        mirror.requests.clear()
        lab.complete(lab.resume(status))
        assert gets(mirror) == {victim(lab).name: 1}
        assert lab.downloads.status(done.job.job).job.size_only == 18


def test_multipart_files_that_were_touched_are_not_fetched(make_lab, archive):
    from tests.transfer.faulty import FaultyMirror

    with FaultyMirror(archive.roots["aws"], multipart_over=0) as mirror:
        lab = make_lab(mirror.url)
        lab.run()
        os.utime(victim(lab), ns=(1, 1))
        mirror.requests.clear()
        again = lab.run()
        lab.complete(again)
        assert gets(mirror) == {}
        assert again.job.size_only == 18


def test_a_copy_of_the_data_without_receipts_is_not_fetched_again(lab, aws, done):
    shutil.rmtree(directory_of(lab.folder))
    lab.complete(lab.run())
    assert gets(aws) == {}


def test_what_is_there_counts_though_the_store_is_away(lab, aws, done):
    victim(lab).unlink()
    aws.down()
    status = lab.resume(done)
    lab.proven(status, aws.url)
    assert status.job.files_done == 17


def test_a_cohort_that_grows_fetches_what_is_new(lab, aws, archive):
    lab.complete(lab.run(archive.few[:2]))
    aws.requests.clear()
    lab.complete(lab.run(archive.few))
    assert gets(aws).keys() == archive.few[2].files.keys()
    assert not any(one.uuid in path for one in archive.few[:2] for _, path in aws.requests)


# Receipts that are torn or strange.


def receipts_of(lab, number=1):
    return path_of(lab.folder, lab.sources[number].series)


def test_a_torn_last_line(lab, aws, done):
    path = receipts_of(lab)
    path.write_bytes(path.read_bytes()[:-30])
    lab.complete(lab.resume(done))
    assert gets(aws) == {}
    aws.requests.clear()
    lab.complete(lab.run())
    assert aws.requests == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 4096,
        b"\xff\xfe\xfd",
        b'[]\n1\nnull\n"text"\n',
        b'{"name": 3}\n{"name": ["a"], "size": 1}\n{"damaged": true}\n{"complete": "yes"}\n',
        b'{"name": "x", "size": "9", "md5": 5, "checked": 1, "mtime_ns": null}\n{"complete": 1}\n',
    ],
)
def test_receipts_that_are_corrupt(lab, aws, done, content):
    receipts_of(lab).write_bytes(content)
    lab.complete(lab.resume(done))
    assert gets(aws) == {}
    lab.complete(lab.verify(done, deep=True))


def test_receipts_of_files_that_the_series_does_not_have(lab, aws, done):
    receipts = Receipts.of(lab.folder, lab.sources[1].series)
    receipts.add(Receipt("stranger.dcm", 10, "0" * 32, "md5", 1))
    receipts.close()
    lab.complete(lab.resume(done))
    assert gets(aws) == {}


def test_receipts_are_lines_of_json(lab, done):
    first, *lines = map(json.loads, receipts_of(lab).read_text().splitlines())
    source = lab.sources[1]
    assert first["crdc_series_uuid"] == source.uuid
    assert {line["name"] for line in lines[:-1]} == source.files.keys()
    assert lines[-1] == {"complete": 6}
    assert {line["checked"] for line in lines[:-1]} == {"md5"}


def test_a_full_disk_loses_no_receipt_that_was_written(tmp_path, archive):
    series = archive.few[0].series
    receipts = Receipts(path_of(tmp_path, series))
    receipts.path.parent.mkdir(parents=True)
    receipts.path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        receipts.add(Receipt("a.dcm", 10, "0" * 32, "md5", 1))
    receipts.close()


# Others' files, in the way.


def test_a_foreign_file_in_the_way_stays(lab, aws, archive):
    hit = archive.few[1]
    path = lab.folder / hit.series.directory / hit.last
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a thesis")
    status = lab.run()
    lab.proven(status, str(path), "Move it away", hit.series.directory, foreign=1)
    assert path.read_bytes() == b"a thesis"
    assert status.series == {"complete": 2, "refused": 1}
    assert gets(aws).keys().isdisjoint(hit.files)

    path.rename(path.with_name("thesis"))
    lab.resume(status)
    assert (path.parent / "thesis").read_bytes() == b"a thesis"
    assert lab.whole() == lab.archive.keys()


def test_a_foreign_file_of_the_same_size_stays(lab, archive):
    hit = archive.few[1]
    path = lab.folder / hit.series.directory / hit.last
    path.parent.mkdir(parents=True)
    content = bytes(hit.files[hit.last].stat().st_size)
    path.write_bytes(content)
    lab.proven(lab.run(), str(path), foreign=1)
    assert path.read_bytes() == content


@pytest.mark.parametrize("multipart_over", [None, 0])
def test_a_foreign_file_that_comes_while_the_download_runs_stays(make_lab, archive, multipart_over):
    from tests.transfer.faulty import FaultyMirror

    with FaultyMirror(archive.roots["aws"], multipart_over=multipart_over) as mirror:
        lab, hit = make_lab(mirror.url, stall_s=60), archive.few[1]
        mirror.fault("delay", on="get", key=hit.last, seconds=1.5)
        job = lab.start()
        lab.until(lambda: len(lab.whole()) == 17)
        path = lab.folder / hit.series.directory / hit.last
        path.write_bytes(b"a thesis")
        lab.proven(lab.wait(job), str(path), "Move it away", foreign=1)
        assert path.read_bytes() == b"a thesis"


def test_multipart_files_take_no_foreign_file_s_place(make_lab, archive):
    from tests.transfer.faulty import FaultyMirror

    with FaultyMirror(archive.roots["aws"], multipart_over=0) as mirror:
        lab, hit = make_lab(mirror.url), archive.few[1]
        path = lab.folder / hit.series.directory / hit.last
        path.parent.mkdir(parents=True)
        path.write_bytes(b"a thesis")
        lab.proven(lab.run(), str(path), "Move it away", foreign=1)
        assert path.read_bytes() == b"a thesis"


@pytest.mark.parametrize("kind", ["directory", "link", "dangling link", "link to the same"])
def test_what_is_no_file_in_the_way_stays(lab, tmp_path, archive, kind):
    hit = archive.few[1]
    path = lab.folder / hit.series.directory / hit.last
    path.parent.mkdir(parents=True)
    other = tmp_path / "other"
    if kind == "link":
        other.write_bytes(b"a thesis")
    if kind == "link to the same":
        other.write_bytes(hit.files[hit.last].read_bytes())
    path.mkdir() if kind == "directory" else path.symlink_to(other)
    before = path.lstat()
    status = lab.run()
    assert status.series == {"complete": 2, "refused": 1}
    assert str(path) in lab.said(status)
    assert (path.lstat().st_ino, path.lstat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert other.exists() == (kind in ("link", "link to the same"))


def test_a_file_where_a_directory_should_be(lab, archive):
    path = lab.folder / archive.few[1].series.directory
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a thesis")
    status = lab.run()
    assert status.series == {"complete": 2, "refused": 1}
    assert str(path) in lab.said(status)
    assert path.read_bytes() == b"a thesis"


def test_two_series_in_one_flat_folder(lab, aws, archive):
    sources = [
        one.__class__(one.series.__class__(**one.series.__dict__ | {"directory": ""}), one.files)
        for one in archive.few
    ]
    status = lab.run(sources)
    assert status.job.state == "complete"
    assert set(lab.found()) == {name for one in sources for name in one.files}
    aws.requests.clear()
    assert lab.run(sources).job.files_done == 18
    assert aws.requests == []


def test_two_series_with_files_of_one_name_are_never_mixed(make_lab, tmp_path, archive):
    # The plan finds such clashes; a job that has one all the same replaces nothing.
    from tests.transfer.faulty import FaultyMirror

    roots = {"aws": tmp_path / "aws", "gcs": tmp_path / "gcs"}
    files = list(archive.few[0].files.values())
    one, two = (
        make_source(roots, name, files[number : number + 1])
        for number, name in enumerate(["one", "two"])
    )
    for root, bucket in ((roots["aws"], "idc-open-data"), (roots["gcs"], "idc-open-data")):
        clash = root / bucket / two.uuid
        (clash / two.last).rename(clash / one.last)
    two = two.__class__(
        two.series.__class__(**two.series.__dict__ | {"directory": one.series.directory}),
        {one.last: files[1]},
    )
    with FaultyMirror(roots["aws"]) as mirror:
        lab: Lab = make_lab(mirror.url)
        status = lab.run([one, two])
    assert status.series == {"complete": 1, "refused": 1}
    assert len(lab.found()) == 1
    assert "Move it away" in lab.said(status)
