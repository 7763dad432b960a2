"""What a network or a store may do to a download, and what is left of it after each."""

import os

import pytest

from tests.transfer.payload import gets

pytestmark = pytest.mark.timeout(100)

one_engine = pytest.mark.parametrize("engine", ["obstore"], indirect=True)
"""For listings, which no engine brings."""

FOR_GOOD = {
    500: "answered 500",
    503: "answered 503",
    "reset": "the connection was reset",
    "truncated": "the connection broke off",
    "short": "bytes",
    "bit": "MD5",
    "stall": "no data came in time",
    403: "answered 403, denied",
    404: "answered 404, not found",
}
"""Faults of a file that do not end, and what a person is told."""


# Once: it is asked for again.


@pytest.mark.parametrize("what", [500, 503, "reset", "truncated", "short", "bit", "stall"])
def test_a_fault_of_every_file_once(lab, aws, what):
    fault = aws.fault(what, on="get", times=1)
    lab.complete(lab.run())
    assert len([path for path in fault.used if path[1].endswith(".dcm")]) == 18


@one_engine
@pytest.mark.parametrize("what", [500, 503, "reset", "truncated", "stall", "half"])
def test_a_fault_of_every_listing_once(lab, aws, what):
    fault = aws.fault(what, on="list", times=1)
    lab.complete(lab.run())
    assert len(fault.used) >= 3


@pytest.mark.parametrize("what", [500, "reset", "truncated", "stall", "bit", "short"])
def test_a_fault_of_a_large_file_once(make_lab, aws, archive, what):
    lab = make_lab(aws.url, patience_s=10)
    aws.fault(what, on="get", times=1)
    lab.complete(lab.run([archive.big]))


def test_faults_of_many_answers(make_lab, aws, archive):
    lab = make_lab(aws.url, patience_s=30)
    faults = [
        aws.fault(what, on="get", fraction=0.05, seed=number)
        for number, what in enumerate(["reset", "truncated", "bit", 503, "short"])
    ]
    lab.complete(lab.run(archive.all))
    assert all(fault.used for fault in faults)


# For good, of one file: the others come, and it is told which series has not all of them.


@pytest.mark.parametrize("what", FOR_GOOD)
def test_a_fault_of_one_file_for_good(make_lab, aws, archive, what):
    # s5cmd asks again by itself, at first; only a stall must be noticed soon.
    stall_s = 0.7 if what == "stall" else 6
    lab, hit = make_lab(aws.url, patience_s=0.5, stall_s=stall_s), archive.few[1]
    aws.fault(what, on="get", key=hit.last)
    status = lab.run()
    lab.proven(status, FOR_GOOD[what], hit.series.directory)
    assert len(lab.whole()) == 17
    assert status.series["complete"] == 2

    aws.clear()
    aws.requests.clear()
    lab.complete(lab.resume(status))
    assert gets(aws) == {hit.last: 1}


@pytest.mark.parametrize("what", [503, "reset", "stall", "short", "bit", 403])
def test_a_fault_of_all_files_for_good(make_lab, aws, what):
    lab = make_lab(aws.url, patience_s=0.5, stall_s=0.7 if what == "stall" else 6)
    aws.fault(what, on="get")
    status = lab.run()
    lab.proven(status, FOR_GOOD[what])
    assert lab.whole() == set()
    assert status.series.get("complete") is None

    aws.clear()
    lab.complete(lab.resume(status))


@one_engine
@pytest.mark.parametrize(
    ("what", "words"),
    [
        (500, "answered 500"),
        ("reset", "the connection was reset"),
        ("truncated", "the connection broke off"),
        ("stall", "no data came in time"),
        (403, "answered 403, denied"),
        (404, "404"),
        ("half", "the store lists 3 files"),
        ("empty", "the store has no files of it; the catalogue has 6 files"),
    ],
)
def test_a_listing_that_fails_for_good_moves_no_byte(make_lab, aws, archive, what, words):
    lab, hit = make_lab(aws.url, patience_s=0.5), archive.few[2]
    aws.fault(what, on="list", key=hit.uuid)
    status = lab.run()
    lab.proven(status, words, hit.series.directory)
    assert len(lab.whole()) == 12
    assert gets(aws).keys().isdisjoint(hit.files)


@one_engine
def test_a_series_that_is_not_there(lab, aws, archive):
    there, gone = archive.few[0], archive.few[1]
    missing = gone.series.__class__(**gone.series.__dict__ | {"aws_bucket": "idc-open-data"})
    status = lab.run([there, gone.__class__(missing, gone.files)])
    lab.proven(status, "the store has no files of it", gone.series.directory)
    assert status.series == {"complete": 1, "refused": 1}


@one_engine
def test_a_store_that_has_more_than_the_catalogue(lab, aws, archive):
    one = archive.few[0]
    fewer = one.series.__class__(
        **one.series.__dict__ | {"files": 5, "bytes": one.series.bytes - 1}
    )
    status = lab.run([one.__class__(fewer, one.files), archive.few[1]])
    lab.proven(status, "the store lists 6 files", "the catalogue has 5 files")
    assert status.series == {"complete": 1, "refused": 1}
    assert gets(aws).keys().isdisjoint(one.files)


# The server itself.


def test_a_server_that_is_down_at_the_start(lab, aws):
    aws.down()
    status = lab.run()
    lab.proven(status, aws.url, "connection refused")
    assert status.job.state == "failed"

    aws.up()
    lab.complete(lab.resume(status))


def test_a_server_that_goes_down_for_good_in_the_middle(lab, aws, archive):
    aws.fault("stall", on="get", key=archive.few[2].last)
    job = lab.start()
    lab.until(lambda: len(lab.whole()) == 17)
    aws.down()
    status = lab.wait(job)
    lab.proven(status, aws.url)
    assert status.job.state == "failed"

    aws.clear()
    aws.up()
    aws.requests.clear()
    lab.complete(lab.resume(status))
    assert gets(aws) == {archive.few[2].last: 1}


def test_a_server_that_is_away_for_a_while(make_lab, aws, archive):
    lab = make_lab(aws.url, patience_s=30)
    aws.fault("slow", on="get", rate=100_000)
    job = lab.start(archive.all)
    lab.until(lambda: len(lab.whole()) > 10)
    aws.down()
    lab.until(lambda: lab.table.job(job).bytes_done > 0)
    aws.clear()
    aws.up()
    lab.complete(lab.wait(job))


def test_a_slow_server(make_lab, aws, archive):
    # Slower than the seconds without a byte, but never silent.
    lab = make_lab(aws.url, stall_s=0.5)
    aws.fault("slow", on="get", rate=150_000)
    largest = max(archive.all, key=lambda one: one.series.bytes)
    lab.complete(lab.run([largest]))


def test_a_file_that_fails_ends_no_job_whose_bytes_move(make_lab, aws, archive):
    # The large file comes for longer than patience lasts, which the small one exhausts.
    lab = make_lab(aws.url, patience_s=1)
    aws.fault(500, on="get", key=archive.few[0].last)
    large = min(archive.big.files, key=lambda name: archive.big.files[name].stat().st_size)
    aws.fault("slow", on="get", key=large, rate=1_200_000)
    status = lab.run([archive.few[0], archive.big])
    lab.proven(status, "1 series failed", "answered 500", archive.few[0].series.directory)
    assert status.series == {"complete": 1, "failed": 1}


def test_a_server_that_limits_requests(make_lab, aws):
    lab = make_lab(aws.url, patience_s=30)
    limit = aws.fault("limit", rate=10)
    lab.complete(lab.run())
    assert limit.used


def test_a_server_that_answers_late(lab, aws):
    aws.fault("delay", seconds=0.3)
    lab.complete(lab.run())


@one_engine
def test_a_listing_of_several_pages(lab, aws, archive):
    lab.complete(lab.run([archive.long]))
    assert sum(method == "GET" and "prefix=" in path for method, path in aws.requests) == 3


@one_engine
def test_half_a_listing_of_several_pages(lab, aws, archive):
    aws.fault("half", on="list", key=archive.paged.uuid)
    status = lab.run([archive.few[0], archive.paged])
    lab.proven(status, "the catalogue has 1,030 files")
    assert status.series == {"complete": 1, "refused": 1}


# The other cloud.


def test_what_one_cloud_does_not_give_the_other_does(make_lab, aws, gcs):
    lab = make_lab(aws.url, gcs.url)
    aws.fault(500)
    lab.complete(lab.run(source="auto"))
    assert {path.split("/")[1].split("?")[0] for _, path in gcs.requests} >= {
        "idc-open-data", "idc-open-idc1", "idc-open-cr",
    }  # fmt: skip


@pytest.mark.parametrize("what", [403, 404, "short", "bit", "stall", "reset"])
def test_a_file_that_one_cloud_does_not_give(make_lab, aws, gcs, archive, what):
    lab = make_lab(aws.url, gcs.url, patience_s=10)
    aws.fault(what, on="get", key=archive.few[1].last)
    lab.complete(lab.run(source="auto"))
    assert gets(gcs) == {archive.few[1].last: 1}


@one_engine
@pytest.mark.parametrize("what", ["half", "empty", 404, 403, 500])
def test_a_listing_that_one_cloud_does_not_give(make_lab, aws, gcs, archive, what):
    lab = make_lab(aws.url, gcs.url, patience_s=10)
    aws.fault(what, on="list", key=archive.few[1].uuid)
    lab.complete(lab.run(source="auto"))
    assert gcs.requests


def test_a_cloud_that_is_not_asked_for(make_lab, aws, gcs):
    lab = make_lab(aws.url, gcs.url)
    aws.fault(404)
    status = lab.run(source="aws")
    lab.proven(status, "404")
    assert gcs.requests == []


def test_the_other_cloud_alone(make_lab, aws, gcs):
    lab = make_lab(aws.url, gcs.url)
    lab.complete(lab.run(source="gcs"))
    assert aws.requests == []


def test_both_clouds_say_why(make_lab, aws, gcs, archive):
    lab = make_lab(aws.url, gcs.url)
    aws.fault("bit", on="get", key=archive.few[0].last)
    gcs.fault(404, on="get", key=archive.few[0].last)
    status = lab.run(source="auto")
    lab.proven(status, "aws: ", "MD5", "gcs: ", "404", archive.few[0].series.directory)
    assert len(lab.whole()) == 17


# What can be proven, and what cannot.


def test_multipart_files_are_checked_by_size_only(make_lab, archive):
    from tests.transfer.faulty import FaultyMirror

    with FaultyMirror(archive.roots["aws"], multipart_over=5_000) as mirror:
        lab = make_lab(mirror.url)
        status = lab.run(archive.all)
        lab.complete(status)
        sizes = [path.stat().st_size for path in lab.archive.values()]
        assert 0 < status.job.size_only == sum(size > 5_000 for size in sizes) < len(sizes)
        mirror.requests.clear()
        again = lab.run()
        lab.complete(again)
        assert again.job.size_only == status.job.size_only
        assert mirror.requests == []


def test_multipart_files_that_came_short_are_seen(make_lab, archive):
    from tests.transfer.faulty import FaultyMirror

    with FaultyMirror(archive.roots["aws"], multipart_over=0) as mirror:
        lab = make_lab(mirror.url)
        mirror.fault("short", on="get", key=archive.few[0].last)
        status = lab.run()
        lab.proven(status, "bytes", archive.few[0].last)
        assert len(lab.whole()) == 17


def test_what_is_no_dicom_file(make_lab, tmp_path, archive):
    from tests.transfer.faulty import FaultyMirror
    from tests.transfer.payload import make_source

    letter = tmp_path / "letter"
    letter.write_text("Dear archive, " * 50)
    roots = {"aws": tmp_path / "aws", "gcs": tmp_path / "gcs"}
    source = make_source(roots, "letters", [letter, archive.few[0].files[archive.few[0].last]])
    with FaultyMirror(roots["aws"]) as mirror:
        lab = make_lab(mirror.url)
        lab.sources = [source]
        status = lab.run()
    lab.proven(status, "it is no DICOM file")
    assert len(lab.whole()) == 1


def test_a_prior_version_comes_from_its_own_bucket(lab, aws, archive):
    # The catalogue does not say how many files a prior version has.
    now, prior = archive.few[0], archive.few[1]
    earlier = prior.series.__class__(
        **prior.series.__dict__ | {"files": None, "SeriesInstanceUID": now.series.SeriesInstanceUID}
    )
    lab.complete(lab.run([prior.__class__(earlier, prior.files)]))
    asked = {path.split("/")[1].split("?")[0] for _, path in aws.requests}
    assert asked == {prior.series.aws_bucket}
    assert not any(now.uuid in path for _, path in aws.requests)


@one_engine
def test_a_prior_version_whose_bytes_differ(lab, aws, archive):
    prior = archive.few[1]
    other = prior.series.__class__(
        **prior.series.__dict__ | {"files": None, "bytes": 2 * prior.series.bytes}
    )
    status = lab.run([prior.__class__(other, prior.files), archive.few[0]])
    lab.proven(status, f"the catalogue has {2 * prior.series.bytes:,} bytes")
    assert status.series == {"complete": 1, "refused": 1}


# All of it, when nothing is wrong.


def test_everything_comes_and_is_not_asked_for_twice(lab, aws, archive):
    status = lab.run(archive.all)
    lab.complete(status)
    assert set(gets(aws).values()) == {1}
    assert len(gets(aws)) == status.job.files == 188
    assert status.job.size_only == 0

    aws.requests.clear()
    lab.complete(lab.run())
    lab.complete(lab.resume(status))
    assert aws.requests == []


def test_files_keep_no_rights_of_temporary_files(lab):
    lab.complete(lab.run())
    umask = os.umask(0)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in lab.found().values()} == {0o666 & ~umask}
