"""Records: a folder explains itself, and can be made again from any of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pandas as pd
import pytest

from idc_mcp.cli.download import _source
from idc_mcp.idc.buckets import GCS_BUCKETS, without_password
from idc_mcp.idc.manifests.reading import parse_manifest
from idc_mcp.idc.terms import TERMS
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.transfer.objects import Place
from idc_mcp.transfer.records import NAMES, write_records
from idc_mcp.transfer.stores import failure
from tests.idc.test_citations import bibtex_entries

LAYOUT = "%collection_id/%PatientID"


class Placed(NamedTuple):
    crdc_series_uuid: str
    SeriesInstanceUID: str
    directory: str
    files: int | None
    bytes: int


def placed(index, cohort) -> list[Placed]:
    rows = index.rows(
        "SELECT crdc_series_uuid, SeriesInstanceUID, collection_id || '/' || PatientID, "
        f"instanceCount, series_bytes FROM {cohort.source}"
    )
    return [Placed(*row) for row in rows]


def write(app, cohort, folder: Path, **changes) -> list[Path]:
    given = {
        "settings": app.settings,
        "source": "aws",
        "layout": LAYOUT,
        "series": placed(app.index, cohort),
    }
    return write_records(app.index, cohort, folder, **(given | changes))


def record(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def lung(app, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lung") / "deep" / "folder"
    write(app, app.cohorts.resolve("4d_lung"), folder)
    return folder


@pytest.fixture(scope="module")
def mixed(app, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    write(app, app.cohorts.resolve("nsclc_radiomics"), folder, source="gcs")
    return folder


@pytest.fixture(scope="module")
def prior_uuids(app) -> list[str]:
    rows = app.index.rows(
        "SELECT crdc_series_uuid FROM core.prior WHERE collection_id = 'tcga_thym' ORDER BY 1"
    )
    return [uuid for (uuid,) in rows[:3]]


# -- cohort.json ---------------------------------------------------------------------------


def test_the_four_are_there_and_nothing_else(lung):
    assert names_in(lung) == sorted(NAMES)


def test_the_record_has_what_the_catalogue_has(app, lung, catalogue):
    said = record(lung / "cohort.json")
    mine = catalogue[catalogue.collection_id == "4d_lung"].set_index("crdc_series_uuid")
    sizes = (mine.series_size_MB * 1e6).round().astype("int64")
    assert said["counts"] == {
        "collections": 1,
        "patients": mine.PatientID.nunique(),
        "studies": mine.StudyInstanceUID.nunique(),
        "series": len(mine),
        "instances": int(mine.instanceCount.sum()),
        "without_instances": 0,
        "bytes": int(sizes.sum()),
    }
    series = pd.DataFrame(said["series"]).set_index("crdc_series_uuid").loc[mine.index]
    assert series.SeriesInstanceUID.tolist() == mine.SeriesInstanceUID.tolist()
    assert series.bytes.tolist() == sizes.tolist()
    assert series.files.tolist() == mine.instanceCount.tolist()
    assert series.license.tolist() == mine.license_short_name.tolist()
    assert series.directory.tolist() == ("4d_lung/" + mine.PatientID).tolist()


def test_the_record_says_how_it_came_about(app, lung):
    said = record(lung / "cohort.json")
    cohort = app.cohorts.resolve("4d_lung")
    assert said["format"] == 1
    assert (said["handle"], said["idc_release"]) == (cohort.handle, "v25")
    assert said["idc_index_data"] == app.release.data_version
    assert said["definition"] == cohort.spec.canonical()
    assert said["sql"] == cohort.definition
    assert list(said)[:5] == ["what", "format", "handle", "idc_release", "layout"]
    assert (said["layout"], said["source"], said["endpoint"]) == (LAYOUT, "aws", None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["created"])


def test_a_series_has_a_line(lung):
    lines = (lung / "cohort.json").read_text().splitlines()
    assert sum(line.startswith('  {"crdc_series_uuid"') for line in lines) == 6690


def test_a_cohort_named_by_its_handle_is_told_in_full(make_app, tmp_path):
    app = make_app()
    answer = idc_cohort(app, identifiers=["rider_lung_ct"], name="Ünsere Lungen")
    write(app, app.cohorts.resolve(answer.handle), tmp_path)
    said = record(tmp_path / "cohort.json")
    assert said["name"] == "Ünsere Lungen"
    assert said["understood"] == "collection rider_lung_ct"
    text = (tmp_path / "LICENSES").read_text(encoding="utf-8")
    assert "Name:     Ünsere Lungen\n" in text
    assert "(collection rider_lung_ct)" in text


# -- made again ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cohort.json", "manifest.s5cmd"])
def test_a_record_gives_the_same_series(make_app, lung, catalogue, name):
    app = make_app()
    answer = idc_cohort(app, manifest=str(lung / name))
    again = app.cohorts.resolve(answer.handle)
    uuids = {uuid for (uuid,) in app.index.rows(f"SELECT crdc_series_uuid FROM {again.source}")}
    assert uuids == set(catalogue[catalogue.collection_id == "4d_lung"].crdc_series_uuid)
    parsed = parse_manifest((lung / name).read_text())
    assert not parsed.problems
    assert not parsed.duplicates


def test_the_calls_that_it_tells_work(make_app, lung):
    app = make_app()
    again = record(lung / "cohort.json")["again"]
    arguments = eval(again["cohort"].replace("idc_cohort(", "dict("))
    assert idc_cohort(app, **arguments).series == 6690
    shell = again["cohort_at_a_terminal"].split()
    assert shell[:3] == ["idc-mcp", "cohort", "--manifest"]
    assert shell[3] == arguments["manifest"]
    assert again["download_without_idc_mcp"].endswith(f"run {lung / 'manifest.s5cmd'}")


def test_a_prior_version_stays_one(make_app, prior_uuids, release, tmp_path):
    app = make_app()
    cohort = app.cohorts.resolve(", ".join(prior_uuids))
    for source, bucket in (("aws", "aws_bucket"), ("gcs", "gcs_bucket")):
        folder = tmp_path / source
        write(app, cohort, folder, source=source)
        prior = pd.read_parquet(release.parquet("prior_versions_index"))
        prior = prior[prior.crdc_series_uuid.isin(prior_uuids)]
        prior = prior.sort_values("max_idc_version").drop_duplicates(
            "crdc_series_uuid", keep="last"
        )
        lines = (folder / "manifest.s5cmd").read_text().splitlines()
        expected = "cp s3://" + prior[bucket] + "/" + prior.crdc_series_uuid + "/* ."
        assert sorted(line for line in lines if line[0] != "#") == sorted(expected)
        said = record(folder / "cohort.json")
        assert said["counts"]["instances"] is None
        assert said["counts"]["without_instances"] == 3
        assert "10 kB" in said["counts"]["note"]
        assert {item["files"] for item in said["series"]} == {None}
        assert {item["license"] for item in said["series"]} == {"not stated"}
        for name in NAMES[:2]:
            answer = idc_cohort(app, manifest=str(folder / name))
            again = app.cohorts.resolve(answer.handle)
            rows = app.index.rows(f"SELECT crdc_series_uuid FROM {again.source}")
            assert sorted(uuid for (uuid,) in rows) == prior_uuids
    text = (folder / "LICENSES").read_text()
    assert re.search(r"May it be used\?\s+unknown", text)
    assert "not stated" in text
    assert "% MISSING DOI (3 series)" in (folder / "CITATIONS.bib").read_text()


def test_the_manifest_names_the_cloud_and_its_command(mixed, catalogue):
    lines = (mixed / "manifest.s5cmd").read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert lines[: len(head)] == head
    assert "--endpoint-url https://storage.googleapis.com run manifest.s5cmd" in head[-1]
    twins = "|".join(GCS_BUCKETS.values())
    assert all(
        re.fullmatch(rf"cp s3://({twins})/\S{{36}}/\* \.", line) for line in lines[len(head) :]
    )
    assert len(lines) - len(head) == (catalogue.collection_id == "nsclc_radiomics").sum()


def test_a_mirror_is_named_without_its_password(app, tmp_path):
    cohort = app.cohorts.resolve("rider_lung_ct")
    write(app, cohort, tmp_path, endpoint="https://me:secret@mirror.lab:9000/s3")
    assert record(tmp_path / "cohort.json")["endpoint"] == "https://mirror.lab:9000/s3"
    texts = [(tmp_path / name).read_text() for name in NAMES]
    assert "mirror.lab" in texts[1]
    assert not any("secret" in text for text in texts)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", ""),
        ("https://s3.amazonaws.com", "https://s3.amazonaws.com"),
        ("http://user:s3cret@mirror:9000/s3", "http://mirror:9000/s3"),
        ("http://s3cret@mirror", "http://mirror"),
        ("http://user:s3@cret@mirror/s3/", "http://mirror/s3/"),
        ("http://user:s3/cret#?@mirror/s3", "http://mirror/s3"),
        ("user:s3cret@mirror:9000", "mirror:9000"),
        ("http://user:s3cret@[::1", "http://[::1"),
        ("http://[::1]:9000/a@b", "http://[::1]:9000/a@b"),
        ("http://mirror:9000/a@b?c@d", "http://mirror:9000/a@b?c@d"),
        ("http://user:s3cret@mirror/a@b", "http://mirror/a@b"),
    ],
)
def test_nobody_is_told_the_password_of_a_mirror(url, told):
    assert without_password(url) == told
    place = Place("aws", url, "idc-open-data")
    assert str(place) == f"{told}/idc-open-data"
    # Every reason that a job gives names the place so, and the plan at a terminal too.
    assert "cret" not in failure(TimeoutError("status code: 503"), place).why
    settings = SimpleNamespace(aws_url=url, gcs_url=url)
    said = _source(SimpleNamespace(source="auto"), settings)
    assert said.count(f"(its mirror {told})") == (2 if url else 0)
    assert "cret" not in said


# -- licences and citations ----------------------------------------------------------------


def test_licences_of_a_mix(mixed, catalogue):
    text = (mixed / "LICENSES").read_text()
    mine = catalogue[catalogue.collection_id == "nsclc_radiomics"]
    assert re.search(r"May it be used\?\s+yes\nAlso commercially\?\s+in part", text)
    for (doi, name), rows in mine.groupby(["source_DOI", "license_short_name"]):
        assert TERMS[name].url in text
        assert f"{name}: {TERMS[name].long_name}" in text
        (line,) = (line for line in text.splitlines() if doi in line)
        assert line.startswith("nsclc_radiomics ")
        assert line.endswith(f" {name}")
        assert f" {len(rows):,} " in line
        assert all(kind in line for kind in rows.Modality.unique())
    assert "Credit the creators" in text
    assert "Not for commercial advantage" in text
    assert "IDC v25" in text


def test_the_commercial_part_by_the_call_that_is_told(make_app, mixed, catalogue):
    app = make_app()
    text = " ".join((mixed / "LICENSES").read_text().split())
    call = re.search(r"idc_cohort\((.*?use='commercial')\)", text)[1]
    answer = idc_cohort(app, **eval(f"dict({call})"))
    mine = catalogue[catalogue.collection_id == "nsclc_radiomics"]
    assert answer.series == (mine.license_short_name == "CC BY 4.0").sum()


def test_a_contradiction_of_the_catalogue_is_told(app, tmp_path):
    write(app, app.cohorts.resolve("phantom_fda"), tmp_path)
    assert "phantom_fda: the catalogue calls its licence" in (tmp_path / "LICENSES").read_text()


def test_lines_are_for_a_terminal(mixed):
    for line in (mixed / "LICENSES").read_text().splitlines():
        assert len(line) <= 100
        assert line == line.rstrip()


def test_citations_parse_and_cite_every_doi(mixed, catalogue):
    text = (mixed / "CITATIONS.bib").read_text()
    entries = bibtex_entries(text)
    dois = catalogue[catalogue.collection_id == "nsclc_radiomics"].source_DOI.str.lower().unique()
    expected = {*dois, "10.1148/rg.230180"}
    assert {fields["doi"].lower() for fields in entries.values()} == expected
    assert text.count("{") == text.count("}")
    outside = [line for line in text.splitlines() if line.startswith("%")]
    assert not any("@" in line for line in outside)
    assert any("data release v25" in line and "4,926 series" in line for line in outside)


def test_doi_org_is_not_asked(make_app, tmp_path):
    app = make_app(offline=False, doi_url="http://127.0.0.1:9", doi_timeout_s=60.0)
    write(app, app.cohorts.resolve("rider_lung_ct"), tmp_path)
    assert "Built from the citation text" in (tmp_path / "CITATIONS.bib").read_text()


# -- large ---------------------------------------------------------------------------------


LARGE = "ispy2,eay131,gtex,breast_cancer_screening_dbt"


def test_a_hundred_thousand_series(make_app, tmp_path, catalogue):
    app = make_app()
    cohort = app.cohorts.resolve(LARGE)
    series = iter(placed(app.index, cohort))  # read once, as it comes
    paths = write(app, cohort, tmp_path, series=series)
    expected = set(catalogue[catalogue.collection_id.isin(LARGE.split(","))].crdc_series_uuid)
    assert len(expected) > 100_000
    for path in paths[:2]:
        parsed = parse_manifest(path.read_text())
        assert set(parsed.series_uuids) == expected
        assert not parsed.problems
