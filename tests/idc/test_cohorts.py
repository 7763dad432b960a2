"""Cohorts: the same definition is the same handle, and nothing kept is ever half-read."""

import json
import multiprocessing
import threading

import pytest

from idc_mcp.errors import BadArgument, Damaged, NotFound, Refused, SqlError
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.sql import idc_sql

GE_CHEST = {"Modality": "ct", "BodyPartExamined": ["chest"], "Manufacturer": ["GE", "GE *"]}


def _cohort(app, **arguments):
    if "filters" in arguments:
        arguments["filters"] = Filters.model_validate(arguments["filters"])
    return idc_cohort(app, **arguments)


def test_counts_are_those_of_pandas(app, catalogue):
    card = _cohort(app, filters=GE_CHEST)
    name = catalogue.Manufacturer.str.lower()
    rows = catalogue[
        (catalogue.Modality == "CT")
        & (catalogue.BodyPartExamined == "CHEST")
        & ((name == "ge") | name.str.startswith("ge ")).fillna(False)
    ]
    assert card.series == len(rows)
    assert card.patients == rows.groupby(["collection_id", "PatientID"]).ngroups
    assert card.studies == rows.StudyInstanceUID.nunique()
    assert card.collections == rows.collection_id.nunique()
    assert card.instances == rows.instanceCount.sum()
    assert card.bytes == round(rows.series_size_MB * 1e6).sum()
    assert {row[0]: row[1] for row in card.licenses.rows} == dict(
        rows.license_short_name.value_counts()
    )


def test_every_collection_counts_as_pandas_does(app, catalogue):
    counts = catalogue.groupby("collection_id").agg(
        series=("crdc_series_uuid", "size"), studies=("StudyInstanceUID", "nunique"),
        patients=("PatientID", "nunique"),
    )  # fmt: skip
    for collection in counts.sample(25, random_state=1).itertuples():
        card = _cohort(app, identifiers=[collection.Index])
        assert (card.series, card.studies, card.patients) == (
            collection.series, collection.studies, collection.patients,
        )  # fmt: skip


def test_same_definition_same_handle_in_another_place(make_app, tmp_path):
    one, other = make_app(tmp_path / "a"), make_app(tmp_path / "b")
    first = _cohort(one, filters=GE_CHEST)
    again = _cohort(other, filters=dict(reversed(GE_CHEST.items())))
    assert first.handle == again.handle
    sql = "SELECT SeriesInstanceUID FROM index WHERE collection_id = '4d_lung'"
    assert _cohort(one, sql=sql).handle == _cohort(other, sql=sql).handle


def test_use_and_filters_change_the_handle(app):
    handles = {
        _cohort(app, identifiers=["tcga_luad"]).handle,
        _cohort(app, identifiers=["tcga_luad"], use="commercial").handle,
        _cohort(app, identifiers=["tcga_luad"], filters={"Modality": "SM"}).handle,
    }
    assert len(handles) == 3


def test_union_of_identifiers_and_handles(app):
    luad = _cohort(app, identifiers=["tcga_luad"], filters={"Modality": "SM"})
    both = _cohort(app, identifiers=[luad.handle, "4d_lung"])
    assert both.series == luad.series + _cohort(app, identifiers=["4d_lung"]).series


def test_list_manifest_and_sql_of_the_same_series_agree(app):
    uuids = [
        row[0]
        for row in app.index.rows(
            "SELECT crdc_series_uuid FROM core.series WHERE collection_id = '4d_lung' LIMIT 300"
        )
    ]
    listed = _cohort(app, identifiers=uuids)
    portal = _cohort(app, manifest="\n".join(f"cp s3://idc-open-data/{u}/* ." for u in uuids))
    bare = _cohort(app, manifest="\n".join(f"s3://idc-open-data/{u}/*" for u in reversed(uuids)))
    quoted = ", ".join(f"'{u}'" for u in uuids)
    sql = _cohort(
        app, sql=f"SELECT crdc_series_uuid FROM index WHERE crdc_series_uuid IN ({quoted})"
    )
    assert listed.series == 300
    assert listed.handle == portal.handle == bare.handle == sql.handle


def test_manifest_file_of_several_hundred_thousand_lines(make_app, tmp_path):
    app = make_app()
    path = tmp_path / "manifest.s5cmd"
    rows = app.index.rows("SELECT aws_bucket, crdc_series_uuid FROM core.series LIMIT 300000")
    path.write_text("# from the portal\n" + "".join(f"cp s3://{b}/{u}/* .\n" for b, u in rows))
    assert _cohort(app, manifest=str(path)).series == 300_000


def test_manifest_says_what_it_left_out(app):
    uuid = app.index.value("SELECT crdc_series_uuid FROM core.series LIMIT 1")
    unknown = "00000000-0000-4000-8000-000000000000"
    card = _cohort(app, manifest=f"cp s3://a/{uuid}/* .\ncp s3://a/{unknown}/* .\nnot a line\n")
    assert card.series == 1
    assert any(unknown in warning for warning in card.warnings)
    assert any("1 lines were not understood (the first: line 3" in w for w in card.warnings)


def test_prior_versions_by_uuid(app):
    uuid, megabytes = app.index.row(
        "SELECT crdc_series_uuid, series_size_MB FROM core.prior LIMIT 1"
    )
    card = _cohort(app, identifiers=[uuid])
    assert (card.series, card.bytes) == (1, round(megabytes * 1e6))
    assert any("prior versions" in warning for warning in card.warnings)
    answer = idc_sql(app, f"SELECT crdc_series_uuid FROM {card.handle}")
    assert answer.result.rows == [[uuid]]


def test_every_prior_version_counts_once(app):
    moved = app.index.value(
        "SELECT crdc_series_uuid FROM prior_versions_index GROUP BY 1 HAVING count(*) > 1 LIMIT 1"
    )
    assert moved
    assert _cohort(app, identifiers=[moved]).series == 1


def test_handles_are_tables_in_sql(app):
    card = _cohort(app, filters=GE_CHEST)
    by_sql = idc_sql(app, f"SELECT count(*) FROM {card.handle}").result.rows[0][0]
    joined = idc_sql(
        app,
        f"SELECT count(*) FROM index JOIN {card.handle.upper()} USING (SeriesInstanceUID)",
    )
    assert by_sql == card.series == joined.result.rows[0][0]


def test_definition_runs_as_it_stands(app):
    for arguments in (
        {"filters": GE_CHEST, "use": "commercial"},
        {"identifiers": ["nlst/100002", "10.7937/tcia.hmq8-j677", "4d_lung"]},
        {"filters": {"cancer_types": "lung", "has_annotations": True, "Modality": "CT"}},
        {"filters": {"patient_age_years": [1, 17]}},
        {"sql": "SELECT SeriesInstanceUID FROM index WHERE collection_id = '4d_lung'"},
    ):
        card = _cohort(app, **arguments)
        whole = app.cohorts.resolve(card.handle).definition
        count = idc_sql(app, f"SELECT count(*) FROM ({whole})").result.rows[0][0]
        assert count == card.series


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, BadArgument),
        ({"filters": {}}, BadArgument),
        ({"identifiers": []}, BadArgument),
        ({"sql": "SELECT 1", "manifest": "x"}, BadArgument),
        ({"sql": "SELECT Modality FROM index"}, BadArgument),
        ({"sql": "SELECT SeriesInstanceUID FROM index WHERE false"}, BadArgument),
        ({"sql": "SELECT '1.2.3' AS SeriesInstanceUID"}, BadArgument),
        ({"sql": "DROP TABLE index"}, Refused),
        ({"sql": "SELECT nothing FROM index"}, SqlError),
        ({"manifest": "/nowhere/at/all"}, BadArgument),
        ({"manifest": "nothing\nhere"}, BadArgument),
        ({"identifiers": ["tcga_luad", "no such thing"]}, NotFound),
        ({"identifiers": ["c_ffffffffffff"]}, NotFound),
        ({"filters": {"Modality": "CT", "collection_id": "tcga_brca"}}, NotFound),
    ],
)
def test_errors_say_what_and_what_next(app, arguments, error):
    with pytest.raises(error) as raised:
        _cohort(app, **arguments)
    assert raised.value.what
    assert raised.value.next_step


def test_an_empty_cohort_names_the_condition_that_emptied_it(app):
    with pytest.raises(NotFound, match=r"without Modality 10,463 series"):
        _cohort(app, filters={"Modality": "CT", "collection_id": "tcga_brca"})


def test_a_hosted_server_reads_no_files(make_app, tmp_path):
    path = tmp_path / "manifest.txt"
    path.write_text("s3://idc-open-data/x/*\n")
    with pytest.raises(Refused):
        _cohort(make_app(hosted=True), manifest=str(path))


def test_damaged_definition_is_reported_then_rewritten(make_app):
    app = make_app()
    handle = _cohort(app, identifiers=["4d_lung"]).handle
    path = app.cohorts.files.directory / f"{handle}.json"
    for damage in ("", "{", path.read_text().replace("4d_lung", "tcga_luad"), "\0" * 50):
        path.write_text(damage)
        with pytest.raises(Damaged):
            app.cohorts.resolve(handle)
        assert _cohort(app, identifiers=["4d_lung"]).handle == handle
        assert app.cohorts.resolve(handle).handle == handle


@pytest.mark.parametrize("damage", ["remove", "truncate", "flip", "other"])
def test_damaged_series_of_sql_are_made_again(make_app, tmp_path, damage):
    sql = "SELECT SeriesInstanceUID FROM index WHERE collection_id = '4d_lung'"
    card = _cohort(make_app(), sql=sql)
    other = _cohort(make_app(), sql=sql.replace("4d_lung", "tcga_luad"))
    _damage(tmp_path, make_app(), card.handle, other.handle, damage)
    fresh = make_app()
    answer = idc_sql(fresh, f"SELECT count(*) FROM {card.handle}")
    assert answer.result.rows == [[card.series]]


@pytest.mark.parametrize("damage", ["remove", "truncate", "flip", "other"])
def test_damaged_series_of_a_list_are_reported(make_app, tmp_path, damage):
    def listing(collection):
        return "\n".join(
            row[0]
            for row in make_app().index.rows(
                f"SELECT crdc_series_uuid FROM core.series WHERE collection_id = '{collection}'"
            )
        )

    card = _cohort(make_app(), manifest=listing("4d_lung"))
    other = _cohort(make_app(), manifest=listing("tcga_luad"))
    _damage(tmp_path, make_app(), card.handle, other.handle, damage)
    fresh = make_app()
    with pytest.raises(Damaged, match=card.handle):
        fresh.cohorts.resolve(card.handle)
    assert _cohort(fresh, manifest=listing("4d_lung")).handle == card.handle
    assert fresh.cohorts.resolve(card.handle)


def _damage(home, app, handle, other, how):
    def path_of(name):
        return app.cohorts.resolve(name).spec.series.path

    path, content = path_of(handle), path_of(handle).read_bytes()
    match how:
        case "remove":
            path.unlink()
        case "truncate":
            path.write_bytes(content[: len(content) // 2])
        case "flip":
            middle = len(content) // 3
            path.write_bytes(
                content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
            )
        case "other":
            path.write_bytes(path_of(other).read_bytes())


def test_a_cohort_of_another_release_is_not_read_as_one_of_this(make_app):
    app = make_app()
    handle = _cohort(app, identifiers=["4d_lung"]).handle
    path = app.cohorts.files.directory / f"{handle}.json"
    content = json.loads(path.read_text())
    content["definition"]["release"] = "v24"
    from idc_mcp.idc.cohorts.definitions import handle_of

    content["handle"] = handle_of(content["definition"])
    (path.parent / f"{content['handle']}.json").write_text(json.dumps(content))
    with pytest.raises(BadArgument, match="made on IDC v24"):
        app.cohorts.resolve(content["handle"])


def _write(home, cache):
    from idc_mcp.app import App
    from tests.conftest import settings_at

    app = App.create(settings_at(home, cache))
    for _ in range(3):
        handle = _cohort(
            app, sql="SELECT SeriesInstanceUID FROM index WHERE Modality = 'NM'"
        ).handle
        assert app.cohorts.resolve(handle)
    app.close()


@pytest.mark.slow
def test_two_processes_writing_the_same_cohort_do_no_harm(tmp_path, cache_dir, make_app):
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_write, args=(tmp_path, cache_dir)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
        assert process.exitcode == 0
    leftovers = [p.name for p in (tmp_path / "state" / "cohorts").iterdir() if "part" in p.name]
    assert leftovers == []


def test_two_threads_making_the_same_cohort(make_app):
    app = make_app()
    handles = []

    def work():
        handles.append(_cohort(app, filters={"Modality": "NM"}).handle)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(handles) == 8
    assert len(set(handles)) == 1


def test_unknown_ages_are_not_newborns(app, catalogue):
    card = _cohort(app, filters={"patient_age_years": {"to": 17}, "Modality": "CT"})
    ages = catalogue[catalogue.Modality == "CT"].PatientAge
    years = ages[ages.str.fullmatch(r"\d{3}Y", na=False) & (ages != "000Y")].str[:3].astype(int)
    younger = ages.str.fullmatch(r"\d{3}[MWD]", na=False)
    assert card.series == (years <= 17).sum() + younger.sum()
    unknown = ages.isna() | (ages == "000Y") | ~ages.str.fullmatch(r"\d{1,3}[YMWDymwd]?", na=False)
    assert any(f"{unknown.sum():,} series" in warning for warning in card.warnings)


def test_segmented_anatomy_is_not_body_part(app):
    card = _cohort(app, filters={"Modality": "SEG", "BodyPartExamined": "LUNG"})
    assert any("SegmentedPropertyType" in warning for warning in card.warnings)


def test_a_cohort_named_by_its_handle_is_itself(app):
    handle = _cohort(app, filters=GE_CHEST).handle
    assert _cohort(app, identifiers=[handle]).handle == handle
