"""Annotations of images and images of annotations, counted against pandas, none left out."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pandas as pd
import pytest

from idc_mcp.answers import render
from idc_mcp.app import App
from idc_mcp.errors import BadArgument, Damaged, NotFetched
from idc_mcp.idc.annotations import found, further
from idc_mcp.idc.annotations.kinds import KINDS, read_kinds
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.tools.annotations import AnnotationsAnswer, idc_annotations
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.size import idc_size
from idc_mcp.tools.sql import idc_sql
from tests.conftest import settings_at
from tests.server.conftest import connected

DERIVED = ["ANN", "FUSION", "KO", "M3D", "PR", "REG", "RTSTRUCT", "SEG", "SR"]
NO_PICTURES = [*DERIVED, "RTDOSE", "RTPLAN", "RWV"]
SOURCES = {
    "seg_index": "segmented_SeriesInstanceUID",
    "ann_index": "referenced_SeriesInstanceUID",
    "rtstruct_index": "referenced_SeriesInstanceUID",
}
COHORTS = [
    ["lidc_idri"],
    ["nsclc_radiomics", "c4kc_kits"],
    ["bonemarrowwsi_pediatricleukemia", "tcga_brca", "rms_mutation_prediction"],
    ["ispy2", "ispy1", "prostatex", "qin_breast", "acrin_nsclc_fdg_pet"],
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def frame(release) -> pd.DataFrame:
    columns = [
        "collection_id", "analysis_result_id", "PatientID", "StudyInstanceUID", "Modality",
        "SeriesInstanceUID", "license_short_name",
    ]  # fmt: skip
    return pd.read_parquet(release.parquet("index"), columns=columns)


@pytest.fixture(scope="module")
def sources(published, frame) -> pd.Series:
    """The source of each annotation that names one of the catalogue."""
    named = pd.concat(
        pd.read_parquet(published / f"{table}.parquet").set_index("SeriesInstanceUID")[column]
        for table, column in SOURCES.items()
    )
    return named[named.isin(frame.SeriesInstanceUID)]


@pytest.fixture(params=["all tables", "bundled tables alone"])
def some_app(request) -> App:
    return request.getfixturevalue("full_app" if request.param == "all tables" else "app")


def known(app: App, sources: pd.Series) -> pd.Series:
    return sources if app.index.has("seg_index") else sources[:0]


def series_of(app: App, handle: str) -> set[str]:
    if not handle:
        return set()
    source = app.cohorts.resolve(handle).source
    return {uid for (uid,) in app.index.rows(f"SELECT SeriesInstanceUID FROM {source}")}


def kinds_of(text: str) -> dict[str, int]:
    pairs = (part.split(" ") for part in text.split(", ") if part)
    return {kind: int(number.replace(",", "")) for kind, number in pairs}


def counted(frame: pd.DataFrame, series) -> dict[str, int]:
    return frame[frame.SeriesInstanceUID.isin(series)].Modality.value_counts().to_dict()


def called(app: App, call: str):
    """What a call of an answer gives."""
    tools = {"idc_annotations": idc_annotations, "idc_sql": idc_sql, "idc_cohort": idc_cohort,
             "idc_size": idc_size}  # fmt: skip
    name, arguments = call.split("(", 1)
    return tools[name](app, **eval(f"dict({arguments}"))


@pytest.mark.parametrize("collections", COHORTS, ids=" ".join)
def test_every_annotation_is_told_of_and_counted_once(some_app, frame, sources, collections):
    refers_to = known(some_app, sources)
    mine = frame[frame.collection_id.isin(collections)]
    images = mine[~mine.Modality.isin(NO_PICTURES)]
    of_images = refers_to[refers_to.isin(images.SeriesInstanceUID)]
    near = frame[
        frame.StudyInstanceUID.isin(images.StudyInstanceUID) & frame.Modality.isin(DERIVED)
    ]
    elsewhere = near[near.SeriesInstanceUID.isin(refers_to.index.difference(of_images.index))]
    unsure = set(near.SeriesInstanceUID) - set(refers_to.index)

    answer = idc_annotations(some_app, ", ".join(collections))
    assert series_of(some_app, answer.handle) == set(of_images.index)
    assert series_of(some_app, answer.candidates_handle) == unsure
    assert (answer.asked_series, answer.candidate_series) == (len(images), len(unsure))
    assert (answer.series, answer.linked_series, answer.of_other_images) == (
        (len(of_images), of_images.nunique(), len(elsewhere))
        if some_app.index.has("seg_index")
        else (None, None, None)
    )
    assert series_of(some_app, answer.linked_handle) == set(of_images)
    assert kinds_of(answer.kinds) == counted(frame, of_images.index)
    assert kinds_of(answer.kinds_of_unknown_source) == counted(frame, unsure)
    if answer.annotations:
        assert sum(row[3] for row in answer.annotations.rows) == len(of_images)
    assert sum(row[3] for row in answer.candidates.rows) == len(unsure)


@pytest.mark.parametrize("collections", COHORTS, ids=" ".join)
def test_images_of_annotations(some_app, frame, sources, collections):
    refers_to = known(some_app, sources)
    mine = frame[frame.collection_id.isin(collections) & frame.Modality.isin(DERIVED)]
    images = frame[~frame.Modality.isin(NO_PICTURES)]
    found = refers_to[refers_to.index.isin(mine.SeriesInstanceUID)]
    unsure = mine[~mine.SeriesInstanceUID.isin(found.index)]
    near = images[images.StudyInstanceUID.isin(unsure.StudyInstanceUID)]
    in_study = images.groupby("StudyInstanceUID").size()
    answer = idc_annotations(some_app, ", ".join(collections), direction="images")
    assert series_of(some_app, answer.handle) == set(found)
    assert series_of(some_app, answer.candidates_handle) == set(near.SeriesInstanceUID)
    assert (answer.asked_series, answer.candidate_series) == (len(mine), len(near))
    assert (answer.series, answer.linked_series) == (
        (found.nunique(), len(found)) if some_app.index.has("seg_index") else (None, None)
    )
    assert series_of(some_app, answer.linked_handle) == set(found.index)
    assert kinds_of(answer.kinds) == counted(frame, found.index)
    assert kinds_of(answer.kinds_of_unknown_source) == counted(frame, unsure.SeriesInstanceUID)
    assert sum(row[3] for row in answer.candidates.rows) == len(unsure)
    alone = unsure.StudyInstanceUID.map(in_study).eq(1).sum()
    assert sum(row[5] for row in answer.candidates.rows) == alone
    without = (~unsure.StudyInstanceUID.isin(in_study.index)).sum()
    assert bool(without) == any("studies without images" in text for text in answer.warnings)


def test_there_and_back_loses_none(full_app, full_index):
    segmentations = idc_cohort(
        full_app,
        sql="SELECT SeriesInstanceUID FROM seg_index JOIN index USING (SeriesInstanceUID) "
        "WHERE segmented_SeriesInstanceUID IN (SELECT SeriesInstanceUID FROM index)",
    )
    images = idc_annotations(full_app, segmentations.handle, direction="images")
    assert images.linked_series == images.asked_series == segmentations.series
    back = idc_annotations(full_app, images.handle)
    assert series_of(full_app, back.handle) >= series_of(full_app, segmentations.handle)
    assert (back.linked_series, back.asked_series) == (images.series, images.series)


def test_makers_and_what_is_annotated_are_what_pandas_counts(full_app, published, frame, sources):
    told = pd.read_parquet(published / "seg_index.parquet")
    told = told[told.SeriesInstanceUID.isin(sources.index)]
    told = told.merge(frame, on="SeriesInstanceUID").assign(
        source=lambda rows: rows.SeriesInstanceUID.map(sources),
        result=lambda rows: rows.analysis_result_id.fillna("(of the collection)"),
    )
    told = told[told.source.isin(frame[frame.collection_id == "lidc_idri"].SeriesInstanceUID)]
    expected = {}
    for (maker, result), part in told.groupby(["AlgorithmType", "result"]):
        names = part.AlgorithmName.dropna().unique()
        made = (
            f" ({len(names)} algorithms)" if len(names) > 1 else "".join(f" ({n})" for n in names)
        )
        things = part.SegmentedPropertyType_CodeMeanings.explode().value_counts()
        expected[maker + made, result] = (
            len(part), part.PatientID.nunique(), part.source.nunique(), things.max(), len(things)
        )  # fmt: skip
    answer = idc_annotations(full_app, "lidc_idri", kinds=["SEG"])
    assert len(answer.annotations.rows) == len(expected) > 1
    for kind, maker, result, series, patients, images, annotated in answer.annotations.rows:
        shown = annotated.split("; ")
        most = int(shown[0].rsplit(" ", 1)[1])
        more = int(shown[3].split()[0]) if len(shown) > 3 else 0
        assert kind == "SEG"
        found = (series, patients, images, most, more + len(shown[:3]))
        assert found == expected[maker, result]


def test_bulk_annotations_and_structure_sets_say_who_and_what(full_app):
    slides = idc_annotations(full_app, "bonemarrowwsi_pediatricleukemia", kinds=["ANN"])
    assert {"MANUAL", "AUTOMATIC,MANUAL"} & {row[1] for row in slides.annotations.rows}
    assert "Cell" in slides.annotations.rows[0][6]
    contours = idc_annotations(full_app, "nsclc_radiomics", kinds=["structure set"])
    assert {row[0] for row in contours.annotations.rows} == {"RTSTRUCT"}
    assert contours.annotations.rows[0][6] != "not stated"


def test_why_a_source_is_not_known(full_app, app):
    answer = idc_annotations(full_app, "lidc_idri, nlst")
    why = {(row[0], row[1]) for row in answer.candidates.rows}
    assert ("SR", "no column names it") in why
    assert {("SEG", "names none"), ("SEG", "not in seg_index")} <= why
    assert ("SEG", "seg_index is not here") in {
        (row[0], row[1]) for row in idc_annotations(app, "lidc_idri").candidates.rows
    }


def test_every_handle_can_be_made_again_by_the_sql_that_is_kept_with_it(some_app):
    there = idc_annotations(some_app, "lidc_idri, bonemarrowwsi_pediatricleukemia, nsclc_radiomics")
    marks = idc_cohort(
        some_app,
        filters=Filters.model_validate(
            {"collection_id": ["lidc_idri", "nsclc_radiomics"], "Modality": ["SEG", "SR"]}
        ),
    )
    back = idc_annotations(some_app, marks.handle, direction="images", kinds=["SEG", "SR"])
    handles = [there.handle, there.candidates_handle, back.handle, back.candidates_handle]
    handles += [there.linked_handle, back.linked_handle]
    for handle in filter(None, handles):
        before = series_of(some_app, handle)
        some_app.cohorts.resolve(handle).spec.series.path.unlink()
        assert series_of(some_app, handle) == before


def test_handles_of_older_versions_can_be_made_again(some_app):
    given = idc_cohort(
        some_app,
        sql="SELECT crdc_series_uuid FROM prior_versions_index "
        "WHERE collection_id IN ('tcga_uvm', 'cptac_pda')",
    )
    for direction in ("annotations", "images"):
        answer = idc_annotations(some_app, given.handle, direction=direction)
        handles = (answer.handle, answer.candidates_handle, answer.linked_handle)
        for handle in filter(None, handles):
            before = series_of(some_app, handle)
            some_app.cohorts.resolve(handle).spec.series.path.unlink()
            assert series_of(some_app, handle) == before


def test_equal_questions_have_equal_handles_and_a_name_stays(full_app):
    one = idc_annotations(full_app, "lidc_idri", kinds=["SEG"])
    named = idc_cohort(
        full_app, sql=f"SELECT crdc_series_uuid FROM {one.handle}", name="nodules of mine"
    )
    card = idc_cohort(full_app, filters=Filters.model_validate({"collection_id": "lidc_idri"}))
    other = idc_annotations(full_app, card.handle, kinds=["segmentations"])
    assert one.handle == other.handle == named.handle
    assert full_app.cohorts.resolve(one.handle).name == "nodules of mine"


def test_a_damaged_handle_is_written_anew(full_app):
    one = idc_annotations(full_app, "lidc_idri", kinds=["SEG"])
    (full_app.cohorts.files.directory / f"{one.handle}.json").write_text("{")
    with pytest.raises(Damaged):
        full_app.cohorts.resolve(one.handle)
    assert idc_annotations(full_app, "lidc_idri", kinds=["SEG"]).handle == one.handle
    assert full_app.cohorts.resolve(one.handle).spec


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        (None, KINDS),
        (["seg"], ("SEG",)),
        (["segmentations"], ("SEG",)),
        (["meshes", "report"], ("M3D", "SR")),
        (["Structure sets"], ("RTSTRUCT",)),
        (["bulk annotations"], ("ANN",)),
        (["annotations"], ("ANN", "RTSTRUCT", "SEG", "SR")),
        (["KO", "PR", "REG", "FUSION"], ("FUSION", "KO", "PR", "REG")),
    ],
)
def test_kinds_are_read_forgivingly(said, kinds):
    assert read_kinds(said) == kinds


@pytest.mark.parametrize(
    ("said", "near"), [("segmentatoin", "SEG (segmentations)"), ("RTSTRUC", "RTSTRUCT")]
)
def test_an_unknown_kind_names_the_nearest(app, said, near):
    with pytest.raises(BadArgument, match=said) as error:
        idc_annotations(app, "lidc_idri", kinds=[said])
    assert near in " ".join(error.value.nearest)


def test_the_wrong_direction_says_the_other(app):
    marks = idc_cohort(
        app, filters=Filters.model_validate({"collection_id": "lidc_idri", "Modality": "SEG"})
    )
    with pytest.raises(BadArgument, match=r"no images .* SEG") as error:
        idc_annotations(app, marks.handle)
    assert "direction='images'" in error.value.next_step
    images = idc_cohort(
        app, filters=Filters.model_validate({"collection_id": "lidc_idri", "Modality": "CT"})
    )
    with pytest.raises(BadArgument, match=r"no ANN, .* CT") as error:
        idc_annotations(app, images.handle, direction="images")
    assert "direction='annotations'" in error.value.next_step
    with pytest.raises(BadArgument, match=r"no M3D .* SEG") as error:
        idc_annotations(app, marks.handle, direction="images", kinds=["M3D"])
    assert "without kinds" in error.value.next_step
    doses = idc_cohort(app, filters=Filters.model_validate({"Modality": "RTDOSE"}))
    with pytest.raises(BadArgument, match="RTDOSE"):
        idc_annotations(app, doses.handle)


def test_what_the_cohort_holds_besides_is_said(full_app, frame):
    mine = frame[frame.collection_id == "lidc_idri"].Modality.value_counts()
    answer = idc_annotations(full_app, "lidc_idri")
    (said,) = [text for text in answer.warnings if "the cohort's own" in text]
    assert f"SEG {mine['SEG']:,}, SR {mine['SR']:,} series are counted above" in said
    of_one_kind = " ".join(idc_annotations(full_app, "lidc_idri", kinds=["SEG"]).warnings)
    assert f"own SEG {mine['SEG']:,} series are counted above" in of_one_kind
    assert f"also holds SR {mine['SR']:,} series: no images" in of_one_kind
    back = " ".join(idc_annotations(full_app, "lidc_idri", direction="images").warnings)
    assert f"also holds CT {mine['CT']:,}" in back
    assert "no annotations of the kinds asked for" in back


@pytest.mark.parametrize("collection", ["ispy1", "ispy2", "nsclc_radiogenomics"])
def test_known_bad_data_is_flagged(some_app, collection):
    answer = idc_annotations(some_app, collection, kinds=["SEG"])
    assert any("segmentations" in text for text in answer.warnings)


def test_stricter_licences_are_flagged(full_app, monkeypatch):
    assert not any(
        "commercially" in text for text in idc_annotations(full_app, "lidc_idri").warnings
    )
    # No annotation of v25 has stricter terms than its image: say that segmentations do.
    monkeypatch.setattr(found, "_FREE", "Modality <> 'SEG' AS free")
    answer = idc_annotations(full_app, "lidc_idri")
    said = f"{answer.series:,} annotations may not be used commercially although their images may"
    assert f"{said}: idc_licenses(cohort='{answer.handle}')" in answer.warnings


def test_prior_versions_are_asked_by_what_the_release_still_serves(some_app):
    index = some_app.index
    served = index.value(
        "SELECT min(crdc_series_uuid) FROM core.prior SEMI JOIN core.series "
        "USING (SeriesInstanceUID) WHERE Modality = 'CT'"
    )
    gone = index.value(
        "SELECT min(crdc_series_uuid) FROM core.prior ANTI JOIN core.series "
        "USING (SeriesInstanceUID) WHERE Modality = 'CT'"
    )
    answer = idc_annotations(some_app, f"{served}, {gone}")
    assert answer.asked_series == 1
    assert any("1 series are prior versions:" in text for text in answer.warnings)
    assert any("no longer serves" in text for text in answer.warnings)
    with pytest.raises(BadArgument, match="no current series"):
        idc_annotations(some_app, gone)


def test_images_without_any_annotation(full_app):
    answer = idc_annotations(full_app, "lidc_idri", kinds=["KO"])
    assert (answer.handle, answer.candidates_handle, answer.series) == ("", "", None)
    assert "no table tells which images these kinds refer to" in answer.understood
    assert answer.next == []
    assert answer.annotations is None


@pytest.mark.parametrize("direction", ["annotations", "images"])
@pytest.mark.parametrize("cohort", ["lidc_idri", "lidc_idri, nsclc_radiomics"])
def test_images_and_annotations_together_are_those_that_belong_together(
    full_app, cohort, direction
):
    answer = idc_annotations(full_app, cohort, direction=direction)
    both = called(full_app, answer.next[0].split(" is ")[0])
    assert both.series == answer.series + answer.linked_series > 0
    joined = idc_sql(full_app, f"SELECT count(*) FROM {answer.handle}")
    assert joined.result.rows == [[answer.series]]


def shown(answer):
    """The tables of an answer as they are rendered."""
    return render(answer, 20_000).structured


def test_every_kind_is_told_and_the_rest_is_a_call_away(full_app):
    answer = idc_annotations(full_app, "nsclc_radiomics")
    content = shown(answer)
    assert content["kinds"] == answer.kinds
    assert {"SEG", "RTSTRUCT"} <= kinds_of(answer.kinds).keys()
    for name, unsure in (("annotations", False), ("candidates", True)):
        table = content[name]
        whole = getattr(answer, name).rows
        kinds = kinds_of(content["kinds_of_unknown_source"] if unsure else content["kinds"])
        assert table["more"]
        assert {row[0] for row in table["rows"]} == set(kinds)
        largest = {kind: max(row[3] for row in whole if row[0] == kind) for kind in kinds}
        assert {row[0]: row[3] for row in whole[: len(kinds)]} == largest
        first, *others = table["rest"].split("; then kinds=")
        rest = [called(full_app, first)]
        for kinds_too in others:
            rest.append(idc_annotations(full_app, "nsclc_radiomics", kinds=eval(kinds_too)))
        told = [row for part in rest for row in shown(part)[name]["rows"]]
        missing = [row for row in whole if row not in [*table["rows"], *told]]
        assert not missing


def test_of_one_kind_the_rest_is_counted_by_sql(full_app, monkeypatch):
    monkeypatch.setattr(AnnotationsAnswer, "budget", 900)
    monkeypatch.setattr(AnnotationsAnswer, "floors", {"annotations": 1, "candidates": 1})
    for kind in ("SEG", "RTSTRUCT"):
        answer = idc_annotations(full_app, "nsclc_radiomics", kinds=[kind])
        content = shown(answer)
        makers = called(full_app, content["annotations"]["rest"]).result.rows
        assert sum(row[-1] for row in makers) == answer.series
        called(full_app, content["candidates"]["rest"])
        back = idc_annotations(full_app, "nsclc_radiomics", direction="images", kinds=[kind])
        rows = called(full_app, shown(back)["candidates"]["rest"]).result.rows
        assert sum(row[-1] for row in rows) == kinds_of(back.kinds_of_unknown_source)[kind]
    slides = idc_annotations(full_app, "bonemarrowwsi_pediatricleukemia", kinds=["ANN"])
    rows = called(full_app, further.makers(slides.handle, "ANN")).result.rows
    assert sum(row[-1] for row in rows) >= slides.series
    images = called(full_app, further.sources(slides.linked_handle)).result.rows
    assert sum(row[-1] for row in images) == slides.linked_series


# -- tables that are not here ----------------------------------------------------------------


def test_offline_the_answer_is_by_study_and_names_tables_and_command(app):
    answer = idc_annotations(app, "lidc_idri", kinds=["SEG", "SR"])
    assert answer.handle == ""
    (said,) = [text for text in answer.warnings if "seg_index" in text]
    assert "offline" in said
    assert "SEG only the study is known without it. Next: run `idc-mcp fetch seg_index`" in said
    assert (answer.series, answer.linked_series, answer.of_other_images) == (None, None, None)
    assert "images: not known for SEG (its table is not on this machine)" in answer.understood
    assert "series" not in render(answer, None).structured
    assert "idc-mcp fetch seg_index" in said
    reports = idc_annotations(app, "lidc_idri", kinds=["SR"])
    assert not any("fetch" in text for text in reports.warnings)


def test_where_fetching_fails_the_reason_is_told_and_the_answer_given(
    app, cache_dir, tmp_path, release
):
    cache = tmp_path / "cache"
    cache.mkdir()
    database = app.index.opened().database
    os.link(database, cache / database.name)
    nobody = "http://127.0.0.1:9"
    mine = App.create(
        settings_at(
            tmp_path, cache, offline=False, artifacts_url=nobody, releases_url=nobody,
            patience_s=0.1, fetch_wait_s=20.0,
        )
    )  # fmt: skip
    try:
        answer = idc_annotations(mine, "lidc_idri")
        said = " ".join(answer.warnings)
        for table in (*SOURCES, "ann_group_index"):
            assert f"{table} is not on this machine and could not be fetched" in said
        assert answer.candidate_series > 0
    finally:
        mine.close()


def test_while_a_table_is_coming_one_is_told_to_ask_again(make_app):
    mine = make_app()

    def coming(names, **_):
        raise NotFetched("seg_index is being fetched: 3 of 8 MB.", coming=True)

    mine.__dict__["tables"] = SimpleNamespace(
        begin=lambda names: None, have=coming, close=lambda: None
    )
    with pytest.raises(NotFetched, match="3 of 8 MB"):
        idc_annotations(mine, "lidc_idri", kinds=["SEG"])


# -- as a client sees it -----------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_client_goes_both_ways(full_app, tmp_path):
    async with connected(settings_at(tmp_path, full_app.settings.cache_dir)) as client:
        there = await client.call_tool("idc_annotations", {"cohort": "lidc_idri", "kinds": "SEG"})
        assert not there.is_error
        found = there.structured_content
        back = await client.call_tool(
            "idc_annotations", {"cohort": found["handle"], "direction": "images"}
        )
        assert back.structured_content["series"] == found["linked_series"]
        wrong = await client.call_tool("idc_annotations", {"cohort": found["handle"]})
        assert wrong.is_error
        assert "direction='images'" in wrong.content[0].text
        card = await client.call_tool("idc_cohort", {"identifiers": [found["handle"]]})
        assert card.structured_content["series"] == found["series"]


def test_answers_stay_short(some_app):
    for cohort in ("nlst", "lidc_idri", "tcga_brca", "ispy2"):
        answer = idc_annotations(some_app, cohort)
        assert render(answer, 20_000).chars <= 3_700
