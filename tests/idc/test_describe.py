"""What identifiers name, against the files themselves."""

from __future__ import annotations

import re

import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument, NotFetched, NotFound
from idc_mcp.idc.identifiers import analysis_result_ids, collection_ids
from idc_mcp.quantities import bytes_text
from idc_mcp.tools.annotations import idc_annotations
from idc_mcp.tools.describe import idc_describe

BUDGET = 20_000


@pytest.fixture(scope="module")
def prior(release):
    pandas = pytest.importorskip("pandas")
    return pandas.read_parquet(release.parquet("prior_versions_index"))


@pytest.fixture(scope="module")
def versions(release):
    """Of each series served now, the releases it came in and was last revised in."""
    pandas = pytest.importorskip("pandas")
    names = ["SeriesInstanceUID", "series_init_idc_version", "series_revised_idc_version"]
    return pandas.read_parquet(release.parquet("index"), columns=names)


@pytest.fixture(scope="module")
def served(prior, versions):
    """Which rows of prior_versions_index belong to a series served now."""
    now = versions.SeriesInstanceUID
    return prior.SeriesInstanceUID.isin(now[now.isin(prior.SeriesInstanceUID)])


def total_bytes(series):
    return int((series.series_size_MB * 1e6).round().sum())


@pytest.mark.parametrize("written", ["tcga_luad", "TCGA-LUAD", " 'tcga luad' ", "lidc_idri"])
def test_a_collection_counts_what_it_holds(app, catalogue, written):
    answer = idc_describe(app, written)
    inside = catalogue[catalogue.collection_id == answer.about["collection_id"]]
    assert answer.kind == "collection"
    assert answer.about["patients"] == inside.PatientID.nunique()
    assert answer.about["studies"] == inside.StudyInstanceUID.nunique()
    assert answer.about["series"] == len(inside)
    assert answer.about["instances"] == int(inside.instanceCount.sum())
    assert answer.about["size"] == bytes_text(total_bytes(inside))
    assert {row[0]: row[1] for row in answer.modalities.rows} == (
        inside.Modality.value_counts().to_dict()
    )
    assert {row[0]: row[1] for row in answer.licenses.rows} == (
        inside.license_short_name.value_counts().to_dict()
    )
    assert {row[0] for row in answer.sources.rows} == set(inside.source_DOI)
    assert sum(row[1] for row in answer.versions.rows) == len(inside)
    results = int(inside.analysis_result_id.notna().sum())
    assert answer.about["series of analysis results"] == results


def test_a_collection_says_what_to_mind(app):
    notes = " ".join(idc_describe(app, "tcga_luad").notes)
    assert "2 licences" in notes
    assert "prior_versions_index" in notes
    assert "Mouse" in " ".join(idc_describe(app, "mouse_mammary").notes)
    assert "bits of a byte" in " ".join(idc_describe(app, "ispy2").notes)


def test_the_description_is_a_call_away(app):
    call = idc_describe(app, "tcga_luad").next[0]
    sql = re.search(r'sql="(.*)"', call)[1]
    assert "lung adenocarcinoma" in " ".join(app.index.value(sql).lower().split())


def test_every_collection_is_told_in_few_characters(app):
    for name in collection_ids(app.index):
        answer = idc_describe(app, name)
        assert answer.about["collection_id"] == name
        assert render(answer, BUDGET).chars < 8_000


def test_an_analysis_result(app, catalogue):
    for name in analysis_result_ids(app.index):
        answer = idc_describe(app, name)
        inside = catalogue[catalogue.analysis_result_id == name]
        assert answer.kind == "analysis_result"
        assert answer.about["series"] == len(inside)
        assert {row[0]: row[1] for row in answer.collections.rows} == (
            inside.collection_id.value_counts().to_dict()
        )
        assert answer.about["title"]


@pytest.mark.parametrize(
    "written", ["10.5281/zenodo.8347011", "https://doi.org/10.7937/k9/tcia.2016.jgnihep5"]
)
def test_a_doi(app, catalogue, written):
    answer = idc_describe(app, written)
    inside = catalogue[catalogue.source_DOI == answer.about["doi"]]
    assert answer.kind == "doi"
    assert answer.about["series"] == len(inside)
    assert answer.about["studies"] == inside.StudyInstanceUID.nunique()
    assert "<i>" not in answer.about["citation"]
    assert "&amp;" not in answer.about["citation"]


def test_a_patient_a_study_and_a_series(app, catalogue):
    inside = catalogue[catalogue.PatientID == "LIDC-IDRI-0001"]
    answer = idc_describe(app, "LIDC-IDRI-0001")
    assert answer.kind == "patient"
    assert answer.about["series"] == len(inside)
    assert {row[0] for row in answer.studies.rows} == set(inside.StudyInstanceUID)
    study = answer.studies.rows[0][0]
    answer = idc_describe(app, study)
    inside = inside[inside.StudyInstanceUID == study]
    assert answer.kind == "study"
    assert {row[0] for row in answer.series.rows} == set(inside.SeriesInstanceUID)
    answer = idc_describe(app, answer.series.rows[0][0])
    row = inside.iloc[0]
    assert answer.kind == "series"
    assert answer.about["Modality"] == row.Modality
    assert answer.about["license_short_name"] == row.license_short_name
    assert answer.about["size"] == bytes_text(round(row.series_size_MB * 1e6))
    assert (
        idc_describe(app, row.crdc_series_uuid).about["SeriesInstanceUID"] == row.SeriesInstanceUID
    )


def test_a_large_study_is_cut_and_said_so(app, catalogue):
    study = catalogue.StudyInstanceUID.value_counts().index[0]
    table = idc_describe(app, study).series
    assert table.more == int((catalogue.StudyInstanceUID == study).sum()) - len(table.rows)
    sql = re.search(r'sql="(.*)"\)', table.rest)[1].replace('\\"', '"')
    assert len(app.index.rows(sql)) == table.more + len(table.rows)


def test_a_prior_version_says_what_became_of_it(app, prior, served):
    superseded = prior[served].iloc[0]
    answer = idc_describe(app, superseded.crdc_series_uuid)
    assert "Superseded" in answer.notes[0]
    gone = prior[~served].iloc[0]
    answer = idc_describe(app, gone.crdc_series_uuid)
    assert "is not in v25" in answer.notes[0]


def test_a_revised_series_lists_its_earlier_versions(app, prior, served):
    uid = prior[served].SeriesInstanceUID.iloc[0]
    answer = idc_describe(app, uid)
    assert {row[0] for row in answer.versions.rows} == set(
        prior[prior.SeriesInstanceUID == uid].crdc_series_uuid
    )


@pytest.mark.parametrize("written", ["v25", "25", "IDC v25", "release 25", "idc_v25", "V25"])
def test_the_installed_release(app, versions, prior, served, written):
    answer = idc_describe(app, written)
    assert answer.kind == "release"
    assert answer.about["date"] == "2026-09-26"
    assert answer.about["series"] == len(versions)
    ended = prior.max_idc_version == 24
    assert answer.about["series removed"] == int((ended & ~served).sum())
    assert answer.about["series revised"] == int((ended & served).sum())
    assert answer.about["new collections"] == "fdg_pet_ct_lesions, qin_sarcoma"
    removed = {row[0]: row[3] for row in answer.collections.rows}
    assert removed["tcga_luad"] == 20
    assert "mixes superseded" in answer.notes[0]


def fates(prior, current, number):
    """What release `number` did with the ranges that ended before it, series by series."""
    found = {"moved": 0, "revised": 0, "withdrawn": 0, "removed": 0}
    ended = prior[prior.max_idc_version == number - 1]
    # A range may lie within another of the same version: that one goes on.
    around = prior[(prior.min_idc_version < number) & (prior.max_idc_version >= number)]
    ended = ended[~ended.crdc_series_uuid.isin(around.crdc_series_uuid)]
    later = prior[prior.min_idc_version >= number]
    later = later[later.SeriesInstanceUID.isin(ended.SeriesInstanceUID)]
    for row in ended.itertuples():
        ranges = later[later.SeriesInstanceUID == row.SeriesInstanceUID]
        begun = set(ranges[ranges.min_idc_version == number].crdc_series_uuid)
        revised = current.get(row.SeriesInstanceUID)
        if row.crdc_series_uuid in begun:
            found["moved"] += 1
        elif begun or revised == number:
            found["revised"] += 1
        elif revised is not None or len(ranges):
            found["withdrawn"] += 1
        else:
            found["removed"] += 1
    return found


@pytest.mark.parametrize("number", [5, 9, 12, 21, 24])
def test_an_earlier_release(app, versions, prior, number):
    index = versions
    ended = prior[prior.max_idc_version == number - 1].SeriesInstanceUID
    inside = index[index.SeriesInstanceUID.isin(ended)]
    current = dict(zip(inside.SeriesInstanceUID, inside.series_revised_idc_version, strict=True))
    about = idc_describe(app, f"v{number}").about
    expected = fates(prior, current, number)
    assert {name: about.get(f"series {name}", 0) for name in expected} == expected
    assert about["series added"] == int((index.series_init_idc_version == number).sum())


def test_every_release_is_told(app):
    for number in range(1, app.release.number + 1):
        assert render(idc_describe(app, f"v{number}"), BUDGET).chars < 6_000


@pytest.mark.parametrize("written", ["v26", "v0", "release 99"])
def test_an_unknown_release(app, written):
    with pytest.raises(NotFound, match=r"25\.0\.5") as caught:
        idc_describe(app, written)
    assert caught.value.nearest == ("v25",)


def test_a_table(app):
    answer = idc_describe(app, "collections_index")
    assert answer.kind == "table"
    assert "sources" in {row[0] for row in answer.columns.rows}


def test_what_is_no_identifier_is_pointed_on(app):
    with pytest.raises(NotFound, match="column of index") as caught:
        idc_describe(app, "Modality")
    assert caught.value.next_step == "idc_schema(table='index', column='Modality')"
    with pytest.raises(NotFound) as caught:
        idc_describe(app, "prostatx")
    assert caught.value.nearest[0] == "prostatex"
    with pytest.raises(NotFound, match="No cohort c_0123456789ab"):
        idc_describe(app, "c_0123456789ab")
    with pytest.raises(BadArgument, match="empty"):
        idc_describe(app, "  ")


def test_a_cohort_by_its_handle(app):
    from idc_mcp.idc.filters.filters import Filters
    from idc_mcp.tools.cohort import idc_cohort

    card = idc_cohort(app, filters=Filters.model_validate({"Modality": "NM"}), name="nuclear")
    found = idc_describe(app, card.handle)
    assert found.kind == "cohort"
    assert found.about["series"] == card.series
    assert found.about["name"] == "nuclear"
    assert "NM" in found.about["definition"]


def test_a_clinical_table_that_is_not_here_has_them_fetched(app):
    for name in ("nlst_canc", "clinical.nlst_canc", "clinical"):
        with pytest.raises(NotFetched) as caught:
            idc_describe(app, name)
        assert caught.value.tables == ("clinical",)
        with pytest.raises(NotFetched, match="clinical tables are not on this machine"):
            app.with_tables(lambda name=name: idc_describe(app, name))
    with pytest.raises(NotFound):
        idc_describe(app, "nlstcanc")


def test_clinical_tables_are_described(full_app):
    assert "clinical_stag" in {row[0] for row in idc_describe(full_app, "nlst_canc").columns.rows}
    every = idc_describe(full_app, "clinical")
    assert every.kind == "table"
    assert "nlst_canc" in {row[0] for row in every.tables.rows}


@pytest.mark.parametrize("modality", ["SR", "PR", "M3D", "KO", "SEG", "CT"])
def test_an_object_whose_source_stands_in_no_table_leads_to_candidates(app, catalogue, modality):
    uid = catalogue[catalogue.Modality == modality].SeriesInstanceUID.iloc[0]
    notes = " ".join(idc_describe(app, uid).notes)
    call = f"idc_annotations(cohort='{uid}', direction='images')"
    assert (call in notes) == (modality in ("SR", "PR", "M3D", "KO"))
    if call in notes:
        assert idc_annotations(app, uid, direction="images").asked_series == 1
