"""Manifests: what is written, read back, and against pandas."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from idc_mcp.errors import BadArgument, IdcError, Refused, Unavailable
from idc_mcp.idc import buckets
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.idc.manifests import writing as manifests
from idc_mcp.idc.manifests.reading import parse_manifest
from idc_mcp.tools.manifest import idc_manifest

WHERE = "collection_id IN ('nlm_visible_human_project', 'rider_lung_ct', 'tcga_thym', 'cptac_cm')"
COLUMNS = ["collection_id", "SeriesInstanceUID", "crdc_series_uuid", "license_short_name",
           "instanceCount", "series_size_MB", "series_aws_url"]  # fmt: skip
FORMATS = ["s5cmd", "urls", "csv", "parquet", "json"]


def cohort_of(where: str) -> Cohort:
    source = f"(SELECT * FROM core.series WHERE {where}) AS series"
    return Cohort(handle="c_test", understood="a\ntest", definition="", source=source)


def read_json(path: Path) -> pd.DataFrame:
    return pd.DataFrame(json.loads(path.read_text()))  # pd.read_json rounds


@pytest.fixture(scope="module")
def frame(release) -> pd.DataFrame:
    mine = [("collection_id", "in", WHERE.split("'")[1::2])]
    return pd.read_parquet(release.parquet("index"), columns=COLUMNS, filters=mine)


@pytest.fixture
def tools(index, settings):
    cohorts = SimpleNamespace(resolve=lambda _: cohort_of(WHERE))
    return SimpleNamespace(
        index=index, settings=settings, cohorts=cohorts, release=index.release,
        release_name="IDC v25",
    )  # fmt: skip


@pytest.mark.parametrize("source", ["aws", "gcs"])
@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_names_the_same_series(index, frame, tmp_path, form, source):
    path = tmp_path / f"m{manifests.SUFFIXES[form][0]}"
    manifests.write(index, cohort_of(WHERE), form, source, path)
    if form == "parquet":
        uuids = pd.read_parquet(path).crdc_series_uuid.tolist()
    else:
        parsed = parse_manifest(path.read_text())
        assert not parsed.problems
        assert not parsed.duplicates
        uuids = parsed.series_uuids
    assert sorted(uuids) == sorted(frame.crdc_series_uuid)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_columns_are_those_of_the_index(index, frame, tmp_path, form):
    path = tmp_path / f"m.{form}"
    manifests.write(index, cohort_of(WHERE), form, "aws", path)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": read_json}[form]
    written = read(path).set_index("crdc_series_uuid").sort_index()
    expected = frame.set_index("crdc_series_uuid").sort_index()
    assert list(read(path).columns) == list(manifests.COLUMNS)
    assert written.url.tolist() == expected.series_aws_url.tolist()
    for column in ("SeriesInstanceUID", "license_short_name", "instanceCount", "series_size_MB"):
        assert written[column].tolist() == expected[column].tolist()


def test_google_names_and_head_of_a_portal_manifest(index, tmp_path):
    path = tmp_path / "my manifest.s5cmd"
    manifests.write(index, cohort_of("aws_bucket = 'idc-open-data-two'"), "s5cmd", "gcs", path)
    lines = path.read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert len(head) == 4
    assert "Cohort c_test: a test" in head[1]
    assert "CC BY" in head[2]
    assert "'" in head[3]  # the path is quoted for the shell
    assert all(line.startswith("cp s3://idc-open-idc1/") for line in lines[4:])
    assert all(line.endswith("/* .") for line in lines[4:])


def test_every_bucket_of_the_release_has_a_twin(index):
    known = {name for (name,) in index.rows("SELECT DISTINCT aws_bucket FROM core.series")}
    assert known <= buckets.GCS_BUCKETS.keys()
    pairs = index.rows(
        "SELECT DISTINCT aws_bucket, gcs_bucket FROM main.prior_versions_index "
        "WHERE gcs_bucket <> 'public-datasets-idc'"
    )
    assert all(buckets.GCS_BUCKETS[aws] == gcs for aws, gcs in pairs)


def test_an_unknown_bucket_is_an_error_on_google_only(index, tmp_path):
    source = "(SELECT * REPLACE ('idc-new' AS aws_bucket) FROM core.series LIMIT 2) AS series"
    cohort = Cohort(handle="c", understood="", definition="", source=source)
    with pytest.raises(Unavailable, match="idc-new"):
        manifests.write(index, cohort, "urls", "gcs", tmp_path / "m.txt")
    assert list(tmp_path.iterdir()) == []
    manifests.write(index, cohort, "urls", "aws", tmp_path / "m.txt")


def test_prior_versions_keep_their_own_address(index, release, tmp_path):
    columns = (
        "collection_id, PatientID, SeriesInstanceUID, StudyInstanceUID, Modality, "
        "crdc_series_uuid, series_size_MB, series_aws_url, aws_bucket"
    )
    source = (
        f"(SELECT * FROM core.series WHERE false UNION ALL BY NAME SELECT DISTINCT {columns}, "
        "CAST(round(series_size_MB * 1e6) AS BIGINT) AS series_bytes "
        "FROM main.prior_versions_index WHERE collection_id = 'tcga_thym') AS series"
    )
    cohort = Cohort(handle="c", understood="prior", definition="", source=source, prior=True)
    prior = pd.read_parquet(release.parquet("prior_versions_index"))
    prior = prior[prior.collection_id == "tcga_thym"].sort_values("max_idc_version")
    newest = prior.drop_duplicates("crdc_series_uuid", keep="last")
    for where, bucket in (("aws", newest.aws_bucket), ("gcs", newest.gcs_bucket)):
        path = tmp_path / f"{where}.txt"
        manifests.write(index, cohort, "urls", where, path)
        expected = "s3://" + bucket + "/" + newest.crdc_series_uuid + "/*"
        assert sorted(path.read_text().split()) == sorted(expected)
    assert manifests.counts(index, cohort).without_files == len(newest)


def test_the_whole_release_is_written_by_the_engine(index, tmp_path):
    path = tmp_path / "all.s5cmd"
    manifests.write(index, cohort_of("true"), "s5cmd", "aws", path)
    with path.open() as lines:
        assert sum(1 for line in lines if line.startswith("cp s3://")) == 1_044_191


@pytest.mark.parametrize("form", ["urls", "csv", "json"])
def test_the_command_feeds_s5cmd_lines(index, tmp_path, form):
    path = tmp_path / f"it's{manifests.SUFFIXES[form][0]}"
    manifests.write(index, cohort_of(WHERE), form, "aws", path)
    feed = (
        manifests.command(path, form, "aws").rsplit(" | ", 1)[0].replace("python -c", "python3 -c")
    )
    fed = subprocess.run(feed, shell=True, capture_output=True, text=True, check=True)
    lines = fed.stdout.splitlines()
    assert len(lines) == manifests.counts(index, cohort_of(WHERE)).series
    assert all(line.startswith("cp s3://") and line.endswith("/* .") for line in lines)


@pytest.mark.parametrize("form", FORMATS)
def test_tool_previews_then_saves(tools, frame, form):
    answer = idc_manifest(tools, "x", format=form)
    assert answer.series == len(frame)
    assert answer.bytes == int((frame.series_size_MB * 1e6).round().astype("int64").sum())
    assert 0 < len(answer.preview) <= 4
    assert "save_as=" in answer.note
    name = f"sub/m{manifests.SUFFIXES[form][0]}"
    saved = idc_manifest(tools, "x", format=form, source="gcs", save_as=name)
    assert Path(saved.file).is_file()
    assert "--endpoint-url https://storage.googleapis.com run" in saved.command
    with pytest.raises(BadArgument, match="exists"):
        idc_manifest(tools, "x", format=form, save_as=name)


@pytest.mark.parametrize("source", ["aws", "gcs"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_preview_gives_the_command_and_a_call_that_works(make_app, form, source):
    app = make_app()
    handle = app.cohorts.resolve("4d_lung").handle
    answer = idc_manifest(app, "4d_lung", format=form, source=source)
    assert f"--endpoint-url {buckets.ENDPOINTS[source]} run" in answer.command
    call = answer.note[answer.note.index("idc_manifest(") : answer.note.rindex(";")]
    arguments = eval(call.replace("idc_manifest(", "dict("))
    assert handle in arguments["save_as"]
    saved = idc_manifest(app, **arguments)
    assert saved.command == answer.command
    assert Path(saved.file).exists()


def test_a_long_list_is_named_by_its_handle(make_app):
    app = make_app()
    uids = app.index.rows("SELECT SeriesInstanceUID FROM core.series LIMIT 5")
    answer = idc_manifest(app, ", ".join(uid for (uid,) in uids))
    (handle,) = set(re.findall(r"cohort='(c_[0-9a-f]{12})'", answer.note))
    assert idc_manifest(app, handle).series == 5


def test_every_tool_that_the_description_names_exists():
    assert "idc_download" not in idc_manifest.__doc__


def test_tool_refuses_paths_outside_and_empty_cohorts(tools, index):
    with pytest.raises(IdcError):
        idc_manifest(tools, "x", save_as="../../m.s5cmd")
    with pytest.raises(BadArgument, match="no series"):
        manifests.counts(index, cohort_of("false"))


def test_json_is_one_list(index, tmp_path):
    path = tmp_path / "m.json"
    manifests.write(index, cohort_of(WHERE), "json", "aws", path)
    assert isinstance(json.loads(path.read_text()), list)


def test_a_shared_server_gives_a_small_manifest_whole(tools, settings):
    hosted = SimpleNamespace(
        **vars(tools) | {"settings": dataclasses.replace(settings, hosted=True)}
    )
    hosted.cohorts = SimpleNamespace(resolve=lambda _: cohort_of("collection_id = 'rider_lung_ct'"))
    answer = idc_manifest(hosted, "rider_lung_ct")
    assert len(answer.preview) == min(answer.series, manifests.HOSTED_LINES)
    assert "save_as" not in answer.note
    assert answer.command.endswith("run c_test.s5cmd")
    for form in ("csv", "parquet", "json"):
        command = idc_manifest(hosted, "rider_lung_ct", format=form, source="gcs").command
        assert command.startswith("sed")
        assert "c_test-gcs.csv | s5cmd" in command
        assert "https://storage.googleapis.com run" in command
    with pytest.raises(Refused):
        idc_manifest(hosted, "rider_lung_ct", save_as="m.s5cmd")


def test_a_manifest_that_cannot_be_written_leaves_the_database_alone(make_app, tmp_path):
    app = make_app()
    database = app.index.opened().database
    cohort = app.cohorts.resolve("4d_lung")
    with pytest.raises(Unavailable, match="cannot be written"):
        app.index.rows(f"COPY (SELECT 1) TO '{tmp_path}/none/m.csv'")
    assert app.index.database == database
    assert database.exists()
    assert app.index.value(f"SELECT count(*) FROM {cohort.source}") == 6_690
