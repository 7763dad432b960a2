"""Plans over the real catalogue, against pandas; and small real series from a mirror."""

import os
import shutil
import uuid
from collections import namedtuple
from pathlib import Path

import pytest

from idc_mcp.cli.standins import stand_in
from idc_mcp.errors import BadArgument, Refused
from idc_mcp.transfer.layout import DEFAULT_LAYOUT
from tests.transfer.faulty import FaultyMirror
from tests.transfer.payload import gets

pytestmark = pytest.mark.timeout(110)

COLLECTIONS = ["pseudo_phi_dicom_data", "lung_phantom", "rider_pilot"]


def sizes_of(rows):
    """Files and exact bytes, as pandas has them."""
    return int(rows.instanceCount.sum()), int((rows.series_size_MB * 1e6).round().sum())


@pytest.fixture(scope="module")
def small(catalogue):
    """Four of the smallest series that have several files and can be stood in for."""
    rows = catalogue[catalogue.instanceCount.between(3, 12)]
    sizes = (rows.series_size_MB * 1e6).round()
    fits = sizes.between(3_000 * rows.instanceCount, 200_000) & (sizes % 2 == 0)
    return rows[fits].sort_values(["series_size_MB", "SeriesInstanceUID"]).head(4)


def cohort_of(app, rows):
    return app.cohorts.resolve(",".join(rows.SeriesInstanceUID))


def fill(root, plan):
    """Stand-ins for the series of a plan, of exactly the catalogued sizes."""
    for one in plan.series:
        count = one.files or 2
        each = one.bytes // count // 2 * 2
        for number in range(count):
            name = uuid.uuid5(uuid.NAMESPACE_OID, f"{one.crdc_series_uuid} {number}")
            size = each if number else one.bytes - each * (count - 1)
            stand_in(
                root / one.aws_bucket / one.crdc_series_uuid / f"{name}.dcm", size,
                sop_class_uid="1.2.840.10008.5.1.4.1.1.7", sop_instance_uid=f"2.25.{name.int}",
                series_instance_uid=one.SeriesInstanceUID, modality="OT", patient_id="stand-in",
            )  # fmt: skip


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_plan_has_the_catalogue_s_files_and_bytes(app, catalogue, tmp_path, collection):
    rows = catalogue[catalogue.collection_id == collection]
    assert len(rows)
    plan = app.downloads.plan(
        app.cohorts.resolve(collection), tmp_path / "data", layout=DEFAULT_LAYOUT
    )
    assert (plan.files, plan.bytes) == sizes_of(rows)
    assert {one.crdc_series_uuid for one in plan.series} == set(rows.crdc_series_uuid)
    assert plan.without_files == plan.here_series == plan.here_files == plan.here_bytes == 0
    assert plan.remaining == plan.bytes
    by_uuid = rows.set_index("crdc_series_uuid")
    for one in plan.series:
        row = by_uuid.loc[one.crdc_series_uuid]
        assert one.files == row.instanceCount
        assert one.bytes == round(row.series_size_MB * 1e6)
        assert one.directory.startswith(f"{collection}/")
    assert not (tmp_path / "data").exists(), "a plan writes nothing"


def test_a_large_collection_adds_up(app, catalogue, tmp_path):
    large = catalogue.groupby("collection_id").size().nlargest(6).index[-1]
    rows = catalogue[catalogue.collection_id == large]
    plan = app.downloads.plan(
        app.cohorts.resolve(large), tmp_path, layout="%collection_id/%SeriesInstanceUID"
    )
    assert (plan.files, plan.bytes) == sizes_of(rows)
    assert len(plan.series) == len(rows)


def test_the_numbers_of_series_are_the_same_each_time(app, small, tmp_path):
    plans = [
        app.downloads.plan(cohort_of(app, small), tmp_path, layout=DEFAULT_LAYOUT) for _ in range(2)
    ]
    assert plans[0].series == plans[1].series
    assert [one.number for one in plans[0].series] == [0, 1, 2, 3]


def test_what_is_licensed_and_where_a_file_goes_is_said(app, small, tmp_path):
    plan = app.downloads.plan(cohort_of(app, small), tmp_path, layout=DEFAULT_LAYOUT)
    for licence in set(small.license_short_name):
        assert licence in plan.licences
    assert plan.example.endswith(".dcm")
    assert plan.series[0].directory in plan.example
    assert plan.problems == []


def test_too_little_space_is_a_problem(app, small, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 1_000, 1_000))
    plan = app.downloads.plan(cohort_of(app, small), tmp_path / "data", layout=DEFAULT_LAYOUT)
    assert plan.free == 1_000
    [problem] = plan.problems
    assert "1 kB free" in problem or "1.00 kB free" in problem
    assert str(tmp_path) in problem
    with pytest.raises(Refused, match="too little"):
        app.downloads.start(plan)
    assert not (tmp_path / "data").exists()


def test_space_for_what_remains_is_enough(make_app, small, tmp_path, monkeypatch):
    app, mirror = app_and_mirror(make_app, small, tmp_path)
    with mirror:
        download(app, small, tmp_path / "data")
        victim = next((tmp_path / "data").rglob("*.dcm"))
        size = victim.stat().st_size
        victim.unlink()
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**6, 10**6 - size, size))
        plan = app.downloads.plan(cohort_of(app, small), tmp_path / "data", layout=DEFAULT_LAYOUT)
        assert plan.remaining == size == plan.free
        assert plan.problems == []


def test_a_directory_that_cannot_be_written_is_a_problem(app, small, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    plan = app.downloads.plan(cohort_of(app, small), tmp_path / "data", layout=DEFAULT_LAYOUT)
    assert [problem for problem in plan.problems if f"{tmp_path} cannot be written" in problem]


def test_two_versions_of_a_series_clash(app, tmp_path):
    [(now, uid, prior)] = app.index.rows(
        "SELECT now.crdc_series_uuid, SeriesInstanceUID, prior.crdc_series_uuid "
        "FROM core.series AS now JOIN core.prior AS prior USING (SeriesInstanceUID) "
        "ORDER BY 1, 3 LIMIT 1"
    )
    cohort = app.cohorts.resolve(f"{now},{prior}")
    plan = app.downloads.plan(cohort, tmp_path, layout=DEFAULT_LAYOUT)
    [problem] = plan.problems
    assert all(name in problem for name in (now, uid, prior, "%crdc_series_uuid"))
    with pytest.raises(Refused, match="Two versions"):
        app.downloads.start(plan)
    apart = f"{DEFAULT_LAYOUT}/%crdc_series_uuid"
    assert app.downloads.plan(cohort, tmp_path, layout=apart).problems == []


def test_what_is_no_layout_and_what_is_empty(app, small, tmp_path):
    with pytest.raises(BadArgument, match="%PatientIDs is no placeholder"):
        app.downloads.plan(cohort_of(app, small), tmp_path, layout="%PatientIDs")


# Real series, with stand-ins of exactly their size.


def app_and_mirror(make_app, rows, tmp_path):
    root = tmp_path / "archive"
    mirror = FaultyMirror(root)
    mirror.start()
    app = make_app(
        offline=False, aws_url=mirror.url, gcs_url=mirror.url, connections=8, stall_s=5.0,
        patience_s=5.0,
    )  # fmt: skip
    mirror.stop()
    fill(root, app.downloads.plan(cohort_of(app, rows), tmp_path / "x", layout=""))
    return app, mirror


def download(app, rows, folder, layout=DEFAULT_LAYOUT):
    plan = app.downloads.plan(cohort_of(app, rows), folder, layout=layout)
    assert plan.problems == []
    status = app.downloads.wait(app.downloads.start(plan).job, 60)
    assert status.job.state == "complete", (status.job.reason, status.unfinished)
    return status


def data_files(folder):
    return {path for path in folder.rglob("*.dcm") if ".idc-mcp" not in path.parts}


@pytest.mark.parametrize("layout", [DEFAULT_LAYOUT, "", "%Modality/%crdc_series_uuid"])
def test_real_series_come_as_they_were_planned(make_app, small, tmp_path, layout):
    app, mirror = app_and_mirror(make_app, small, tmp_path)
    folder = tmp_path / "data"
    with mirror:
        status = download(app, small, folder, layout)
        files, size = sizes_of(small)
        assert (status.job.files_done, status.job.bytes_done) == (files, size)
        assert len(data_files(folder)) == files
        assert sum(path.stat().st_size for path in data_files(folder)) == size
        plan = app.downloads.plan(cohort_of(app, small), folder, layout=layout)
        assert (plan.here_series, plan.here_files, plan.here_bytes) == (4, files, size)
        assert plan.remaining == 0

        mirror.requests.clear()
        again = app.downloads.status(app.downloads.start(plan).job)
        assert again.job.state == "complete"
        assert again.job.files_done == files
        assert "here already" in again.job.reason
        assert mirror.requests == []


def test_what_is_here_is_known_by_its_receipts(make_app, small, tmp_path):
    app, mirror = app_and_mirror(make_app, small, tmp_path)
    folder = tmp_path / "data"
    with mirror:
        download(app, small, folder)
        files, _ = sizes_of(small)
        gone, touched = sorted(data_files(folder))[:2]
        lost = gone.stat().st_size + touched.stat().st_size
        gone.unlink()
        touched.write_bytes(bytes(touched.stat().st_size))
        plan = app.downloads.plan(cohort_of(app, small), folder, layout=DEFAULT_LAYOUT)
        assert plan.here_files == files - 2
        assert plan.remaining == lost
        assert plan.here_series in (2, 3)

        mirror.requests.clear()
        download(app, small, folder)
        assert gets(mirror) == {gone.name: 1, touched.name: 1}
        other = app.downloads.plan(cohort_of(app, small), folder, layout="")
        assert other.here_files == 0


def test_the_same_download_asked_twice_while_it_runs_is_one_job(make_app, small, tmp_path):
    app, mirror = app_and_mirror(make_app, small, tmp_path)
    with mirror:
        mirror.fault("delay", on="get", seconds=2)
        plan = app.downloads.plan(cohort_of(app, small), tmp_path / "data", layout="")
        job = app.downloads.start(plan).job
        assert app.downloads.start(plan) == (job, False)
        elsewhere = app.downloads.plan(cohort_of(app, small), tmp_path / "other", layout="")
        assert app.downloads.start(elsewhere).new
        mirror.clear()
        for one in app.downloads.table.jobs():
            assert app.downloads.wait(one.job, 60).job.state == "complete"
        assert app.downloads.start(plan).new


def test_a_prior_version_is_what_comes(make_app, app, tmp_path):
    rows = app.index.rows(
        "SELECT crdc_series_uuid, SeriesInstanceUID, aws_bucket, gcs_bucket, "
        "CAST(round(series_size_MB * 1e6) AS BIGINT) AS size FROM core.prior "
        "WHERE size BETWEEN 6000 AND 60000 AND size % 4 = 0 ORDER BY crdc_series_uuid LIMIT 1"
    )
    assert rows
    [(crdc_series_uuid, uid, bucket, twin, size)] = rows
    root = tmp_path / "archive"
    with FaultyMirror(root) as mirror:
        mine = make_app(offline=False, aws_url=mirror.url, gcs_url=mirror.url, stall_s=5.0)
        cohort = mine.cohorts.resolve(crdc_series_uuid)
        plan = mine.downloads.plan(cohort, tmp_path / "data", layout="%crdc_series_uuid")
        [series] = plan.series
        assert (series.crdc_series_uuid, series.SeriesInstanceUID) == (crdc_series_uuid, uid)
        assert (series.aws_bucket, series.gcs_bucket, series.bytes) == (bucket, twin, size)
        assert series.files is None
        assert plan.without_files == 1
        fill(root, plan)
        status = mine.downloads.wait(mine.downloads.start(plan).job, 60)
        assert status.job.state == "complete", status.unfinished
        assert status.job.bytes_done == size
        assert len(data_files(tmp_path / "data" / crdc_series_uuid)) == 2


def test_offline_nothing_is_begun(app, small, tmp_path):
    plan = app.downloads.plan(cohort_of(app, small), tmp_path / "data", layout="")
    with pytest.raises(Exception, match="IDC_MCP_OFFLINE"):
        app.downloads.start(plan)
    assert not Path(tmp_path / "data").exists()


@pytest.mark.parametrize("url", ["example.org", "ftp://x", "http://u:p/w@host", "http://", "x y"])
def test_a_mirror_that_is_no_address_is_an_error(make_app, small, tmp_path, url):
    app = make_app(offline=False, aws_url=url)
    plan = app.downloads.plan(cohort_of(app, small), tmp_path / "data", layout="")
    with pytest.raises(BadArgument, match="IDC_MCP_AWS_URL") as error:
        app.downloads.start(plan)
    assert ":p/w" not in str(error.value)
