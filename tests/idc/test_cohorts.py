"""Cohorts: the same definition is the same handle, and nothing kept is ever half-read."""

import asyncio
import json
import multiprocessing
import threading

import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument, Damaged, NotFound, Refused, SqlError
from idc_mcp.idc import terms
from idc_mcp.idc.cautions import KNOWN_BAD, known_faults
from idc_mcp.idc.cohorts.resolve import name_for
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.server import create_server
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.describe import idc_describe
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


# -- the definition is the cohort -----------------------------------------------------------------

STAGE_IV = "SELECT DISTINCT collection_id, dicom_patient_id FROM nlst_canc"
LUNG_4D = "FROM index WHERE collection_id = '4d_lung'"

SELECTS = {
    "patients of a clinical table": f"{STAGE_IV} WHERE clinical_stag = '400'",
    "patients among other columns": f"SELECT Modality, PatientID, collection_id {LUNG_4D}",
    "patients as other types": "SELECT collection_id, TRY_CAST(PatientID AS INTEGER) AS PatientID "
    "FROM index WHERE collection_id = 'nlst' AND PatientID LIKE '1000%'",
    "studies": f"SELECT StudyInstanceUID {LUNG_4D} LIMIT 7",
    "series": f"SELECT SeriesInstanceUID {LUNG_4D}",
    "series in other letters": f"SELECT 1 AS one, SERIESinstanceuid {LUNG_4D} AND Modality = 'CT'",
    "series of a specialised table": "SELECT segmented_SeriesInstanceUID AS SeriesInstanceUID, "
    "SeriesInstanceUID AS seg FROM seg_index WHERE segmented_SeriesInstanceUID IN "
    "(SELECT SeriesInstanceUID FROM index)",
    "with": f"WITH mine AS (SELECT * {LUNG_4D}) SELECT crdc_series_uuid FROM mine ORDER BY 1",
    "from first": "FROM index SELECT crdc_series_uuid WHERE collection_id = '4d_lung'",
    "the end said": f"SELECT crdc_series_uuid {LUNG_4D};",
    "remarks": f"-- mine; all\nSELECT crdc_series_uuid {LUNG_4D} /* ; */ ; -- 'that is all",
    "a semicolon in a text": f"SELECT crdc_series_uuid {LUNG_4D} AND license_short_name <> 'a; b'"
    " -- now",
    "prior versions": "SELECT crdc_series_uuid FROM prior_versions_index WHERE "
    "collection_id = 'tcga_brca'",
    "prior versions and others": "SELECT crdc_series_uuid FROM prior_versions_index WHERE "
    f"collection_id = 'apollo' UNION ALL SELECT crdc_series_uuid {LUNG_4D}",
}
NARROWED = {
    "": {},
    "use": {"use": "commercial"},
    "filter": {"filters": {"Modality": ["CT", "MR", "MG", "SM", "SEG", "RTSTRUCT"]}},
    "both": {"filters": {"series_size_MB": {"from": 0.01}}, "use": "commercial"},
}


def _given_by(app, sql):
    """The series that a statement yields when a caller runs it."""
    views = app.cohorts.views(sql)
    answer = app.pool.run(sql, max_rows=2_000_000, max_chars=10**9, cohorts=views)
    names = [name.lower() for name in answer.columns]
    if "crdc_series_uuid" in names:
        return {row[names.index("crdc_series_uuid")] for row in answer.rows}
    uids = {row[names.index("seriesinstanceuid")] for row in answer.rows}
    known = app.index.rows("SELECT SeriesInstanceUID, crdc_series_uuid FROM core.series")
    return {uuid for uid, uuid in known if uid in uids}


def _series_of(app, handle):
    rows = app.index.rows(f"SELECT crdc_series_uuid FROM {app.cohorts.resolve(handle).source}")
    assert len(rows) == len(set(rows))
    return {row[0] for row in rows}


def _is_its_definition(app, handle, *, own=False):
    whole = app.cohorts.resolve(handle).definition
    assert (handle in whole) == own
    assert _given_by(app, whole) == _series_of(app, handle)
    return whole


@pytest.mark.parametrize("what", SELECTS)
def test_sql_narrowed_is_defined_by_what_gives_it(full_app, what):
    for narrowed in NARROWED.values():
        try:
            card = _cohort(full_app, sql=SELECTS[what], **narrowed)
        except NotFound:
            continue  # nothing of it is left
        whole = _is_its_definition(full_app, card.handle)
        if what == "prior versions":
            assert "prior_versions_index" in whole


def test_patients_are_told_as_patients(full_app):
    sql = SELECTS["patients of a clinical table"]
    card = _cohort(full_app, sql=sql, filters={"Modality": "CT"}, use="commercial")
    assert full_app.cohorts.resolve(card.handle).definition == (
        f"SELECT * FROM index WHERE (collection_id, PatientID) IN ({sql}) "
        f"AND Modality IN ('CT') AND {terms.condition('commercial')}"
    )


@pytest.mark.timeout(120)
def test_cohorts_within_are_named_or_written_out(app):
    uuids = [row[0] for row in app.index.rows(f"SELECT crdc_series_uuid {LUNG_4D} LIMIT 60")]
    prior = app.index.value("SELECT crdc_series_uuid FROM core.prior LIMIT 1")
    plain = _cohort(app, filters={"collection_id": "tcga_luad"}).handle
    bases = {
        "list": _cohort(app, manifest="\n".join(uuids)).handle,
        "sql": _cohort(app, sql=SELECTS["studies"]).handle,
        "list with prior": _cohort(app, manifest=f"{prior}\n" + "\n".join(uuids[:5])).handle,
        "prior": _cohort(app, identifiers=[prior, uuids[0]]).handle,
        "within": _cohort(app, identifiers=[plain, "4d_lung"]).handle,
    }
    others = ([], [plain], ["lidc_idri", prior], [plain, bases["list"]], [])
    ways = [*NARROWED.values(), {"filters": {"has_annotations": True}}]
    for at, handle in enumerate(bases.values()):
        for turn, narrowed in enumerate(ways):
            named = [handle, *others[(at + turn) % len(others)]]
            if len(named) == 1 and not narrowed:
                continue  # that is the cohort itself
            try:
                card = _cohort(app, identifiers=named, **narrowed)
            except NotFound:
                continue  # nothing of it is left
            if card.handle not in bases.values():
                _is_its_definition(app, card.handle)
    for name, handle in bases.items():
        _is_its_definition(app, handle, own=name.startswith("list"))
    card = _cohort(app, identifiers=[bases["list"]], filters={"Modality": "CT"})
    assert card.definition == f"SELECT * FROM {bases['list']} WHERE Modality IN ('CT')"
    card = _cohort(app, identifiers=[plain], filters={"Modality": "CT"})
    assert "FROM index WHERE (collection_id IN ('tcga_luad')) AND Modality" in card.definition


def test_a_list_that_filters_narrow_tells_them(app):
    uuids = [row[0] for row in app.index.rows(f"SELECT crdc_series_uuid {LUNG_4D} LIMIT 60")]
    card = _cohort(
        app, manifest="\n".join(uuids), filters={"Modality": ["CT", "RTSTRUCT"]}, use="commercial"
    )
    assert card.definition == f"SELECT * FROM {card.handle}"
    assert "a kept list of 60 series; Modality: CT" in card.understood
    assert "licences that allow commercial use" in card.understood
    about = idc_describe(app, card.handle).about
    assert (about["means"], about["definition"]) == (card.understood, card.definition)


def test_the_part_for_a_use_keeps_the_sql(make_app):
    app = make_app()
    card = _cohort(app, sql=SELECTS["studies"])
    part = app.cohorts.for_use(app.cohorts.resolve(card.handle), "commercial")
    whole = _is_its_definition(app, part.handle)
    assert SELECTS["studies"] in whole
    app.cohorts.resolve(part.handle).spec.series.path.unlink()
    assert _series_of(make_app(), part.handle)


def test_an_older_file_without_the_kind_of_column(make_app):
    app = make_app()
    narrowed = [_cohort(app, sql=SELECTS["series"], **more) for more in ({}, NARROWED["filter"])]
    for card in narrowed:
        path = app.cohorts.files.directory / f"{card.handle}.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({k: content[k] for k in ("handle", "definition", "origin")}))
    assert _is_its_definition(app, narrowed[0].handle) == SELECTS["series"]
    _is_its_definition(app, narrowed[1].handle, own=True)


# -- what is kept stays ---------------------------------------------------------------------------


def test_naming_a_cohort_again_erases_nothing(make_app):
    app = make_app()
    sql = SELECTS["patients among other columns"]
    made = _cohort(app, sql=sql, name="mine")
    path = app.cohorts.files.directory / f"{made.handle}.json"
    before = path.read_text()
    cohort = app.cohorts.resolve(made.handle)
    assert name_for(app.cohorts, "x" * 200, cohort) == made.handle
    app.cohorts.keep(cohort.spec)
    app.cohorts.for_use(cohort, "any")
    again = _cohort(app, identifiers=[made.handle])
    assert path.read_text() == before
    assert (again.name, again.definition, again.warnings) == (
        made.name, made.definition, made.warnings,
    )  # fmt: skip
    assert "names no series" in made.warnings[0]
    uuids = "\n".join(_series_of(app, made.handle))
    assert _cohort(app, manifest=uuids, name="other").handle == made.handle
    kept = app.cohorts.files.load(made.handle)
    assert (kept.name, kept.origin) == ("other", sql)


def test_a_cohort_is_never_made_of_itself(make_app):
    app = make_app()
    uuids = [row[0] for row in app.index.rows(f"SELECT crdc_series_uuid {LUNG_4D} LIMIT 60")]
    listed = _cohort(app, manifest="\n".join(uuids), name="list").handle
    all_of_it = _cohort(app, identifiers=[listed], filters={"collection_id": "4d_lung"}).handle
    assert all_of_it != listed
    for handle in (listed, all_of_it):
        again = _cohort(app, sql=f"SELECT crdc_series_uuid FROM {handle.upper()}")
        assert (again.handle, again.definition) == (listed, f"SELECT * FROM {listed}")
        assert app.cohorts.files.load(listed).origin == ""
    app.cohorts.resolve(listed).spec.series.path.unlink()
    with pytest.raises(Damaged, match=listed):
        make_app().cohorts.resolve(listed)


# -- what to beware of ----------------------------------------------------------------------------


def _resource(app, handle):
    """What `idc://cohort/{handle}` holds."""

    async def read():
        server = create_server(app.settings)
        found = await server.read_resource(f"idc://cohort/{handle}")
        return json.loads(next(iter(found)).content)

    return asyncio.run(read())


MANY = {
    "collection_id": ["ispy1", "ispy2", "nsclc_radiogenomics"], "Modality": ["SEG", "MR", "CT"],
    "has_annotations": True, "BodyPartExamined": ["BREAST", "CHEST", "null"],
    "cancer_types": ["breast", "lung"], "Manufacturer": ["*a*", "*e*"],
}  # fmt: skip


def test_known_faults_are_never_cut(full_app):
    card = _cohort(full_app, filters=MANY)
    wanted = known_faults({(one, "SEG") for one in MANY["collection_id"]})
    assert len(wanted) == len(KNOWN_BAD)
    shown = render(card, 100).structured
    assert shown["warnings"][: len(wanted)] == wanted
    assert shown["warnings"][-1].endswith(f"more (whole: idc://cohort/{card.handle})")
    assert shown["nearly"]["more"]
    assert shown["nearly"]["rest"] == f"idc://cohort/{card.handle}"


def test_the_resource_has_what_the_card_cuts(full_app):
    card = _cohort(full_app, filters=MANY)
    whole = _resource(full_app, card.handle)
    assert whole["warnings"] == card.warnings
    assert [list(row.values()) for row in whole["nearly"]] == card.nearly.rows
    assert list(whole["nearly"][0]) == card.nearly.columns
    assert set(card.warnings) <= set(idc_describe(full_app, card.handle).notes)
    listed = _cohort(full_app, manifest=f"{next(iter(_series_of(full_app, card.handle)))}\n?")
    kept = _resource(full_app, listed.handle)["warnings"]
    assert any("1 lines were not understood" in text for text in kept)


@pytest.mark.parametrize("collection", ["ispy1", "ispy2"])
def test_images_chosen_by_faulty_segmentations_say_so(full_app, collection):
    [fault] = known_faults({(collection, "SEG")})
    images = {"collection_id": collection, "Modality": ["MR", "CT"]}
    plain = _cohort(full_app, filters=images)
    assert fault not in plain.warnings
    for asked in ({"segmented_structure": "*"}, {"columns": {"seg_index.AlgorithmType": "*"}}):
        chosen = _cohort(full_app, filters={**images, **asked})
        assert "SEG" not in chosen.modalities
        assert chosen.warnings[0] == fault
    assert _cohort(full_app, identifiers=[chosen.handle], use="commercial").warnings[0] == fault
    by_sql = _cohort(
        full_app,
        sql="SELECT segmented_SeriesInstanceUID AS SeriesInstanceUID FROM seg_index JOIN index "
        f"USING (SeriesInstanceUID) WHERE collection_id = '{collection}' "
        "AND segmented_SeriesInstanceUID IN (SELECT SeriesInstanceUID FROM index)",
    )
    assert by_sql.warnings[0] == fault


def test_what_is_not_recorded_of_prior_versions_is_said(full_app):
    sql = (
        "SELECT crdc_series_uuid FROM prior_versions_index WHERE Modality = 'CT' "
        "UNION ALL SELECT crdc_series_uuid FROM index WHERE collection_id = 'lidc_idri'"
    )
    filters = {
        "slice_thickness_mm": {"to": 5}, "columns": {"ct_index.SpiralPitchFactor": {"to": 9}},
        "BodyPartExamined": ["CHEST", "null"], "Modality": "CT",
    }  # fmt: skip
    base = _cohort(full_app, sql=sql)
    for given in ({"sql": sql}, {"identifiers": [base.handle]}):
        card = _cohort(full_app, filters=filters, use="commercial", **given)
        [judged] = [text for text in card.warnings if "judged by what is recorded" in text]
        assert judged.startswith("slice_thickness_mm, columns.ct_index.SpiralPitchFactor: prior")
        [lacking] = [text for text in card.warnings if "counts as empty" in text]
        assert lacking.startswith("BodyPartExamined, license_short_name (use=commercial): not")
    for warnings in (base.warnings, _cohort(full_app, filters=filters).warnings):
        assert not [text for text in warnings if "judged" in text or "counts as empty" in text]
