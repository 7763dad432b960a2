"""Releases compared, prior versions as cohorts, and cohorts of older releases, against pandas."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from idc_mcp.answers import render
from idc_mcp.errors import BadArgument, Damaged, NotFound
from idc_mcp.idc.cohorts.definitions import handle_of
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.quantities import bytes_text
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.describe import idc_describe
from idc_mcp.tools.download import idc_download
from idc_mcp.tools.manifest import idc_manifest
from idc_mcp.tools.sql import idc_sql

pytestmark = pytest.mark.timeout(100)

BUDGET = 20_000


@pytest.fixture(scope="module")
def tables(release):
    """Prior versions and the index; `uid` and `version` number what text would compare slowly."""
    pandas = pytest.importorskip("pandas")
    names = [
        "collection_id", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
        "crdc_series_uuid", "aws_bucket", "series_size_MB", "license_short_name",
        "series_init_idc_version", "series_revised_idc_version",
    ]  # fmt: skip
    prior = pandas.read_parquet(release.parquet("prior_versions_index"))
    now = pandas.read_parquet(release.parquet("index"), columns=names)
    for name, text in (("uid", "SeriesInstanceUID"), ("version", "crdc_series_uuid")):
        codes, _ = pandas.factorize(pandas.concat([prior[text], now[text]]).astype(object))
        prior[name], now[name] = codes[: len(prior)], codes[len(prior) :]
    return prior, now


@pytest.fixture(scope="module")
def prior(tables):
    return tables[0]


@pytest.fixture(scope="module")
def now(tables):
    return tables[1]


def served(prior, now, number):
    """What a release served: a row a series, its bucket empty where only today's is known."""
    pandas = pytest.importorskip("pandas")
    old = prior[(prior.min_idc_version <= number) & (prior.max_idc_version >= number)]
    old = old.sort_values("min_idc_version").drop_duplicates("uid")
    current = now[now.series_revised_idc_version <= number].assign(gcs_bucket=None)
    names = ["uid", "version", "collection_id", "gcs_bucket", "series_size_MB"]
    return pandas.concat([old[names], current[names]]).set_index("uid")


def unaccounted(now, state, number):
    """Series that had come by a release, of whose version then there is no row."""
    come = now[now.series_init_idc_version <= number].uid
    return set(come[~come.isin(state.index)])


# -- two releases -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("older", "newer"), [(1, 25), (2, 3), (4, 5), (9, 10), (14, 19), (17, 18), (18, 22), (22, 24),
                         (20, 25), (24, 25)],
)  # fmt: skip
def test_two_releases_are_compared_as_pandas_does(app, prior, now, older, newer):
    before, after = served(prior, now, older), served(prior, now, newer)
    unknown = unaccounted(now, before, older) | unaccounted(now, after, newer)
    assert before.index.is_unique
    assert after.index.is_unique
    answer = idc_describe(app, f"v{older}..v{newer}")
    about = answer.about
    assert about[f"series of v{older}"] == len(before)
    assert about[f"series of v{newer}"] == len(after)
    assert about.get("series not accounted for", 0) == len(unknown)
    in_newer = after.collection_id.value_counts()
    before, after = before[~before.index.isin(unknown)], after[~after.index.isin(unknown)]
    added, removed = after[~after.index.isin(before.index)], before[~before.index.isin(after.index)]
    both = before.add_suffix("_then").join(after, how="inner")
    revised = both[both.version_then != both.version]
    same = both[both.version_then == both.version]
    moved = same[
        same.gcs_bucket.notna() & same.gcs_bucket_then.notna()
        & (same.gcs_bucket != same.gcs_bucket_then)
    ]  # fmt: skip
    counts = {"added": added, "revised": revised, "moved": moved, "removed": removed}
    assert {name: about[f"series {name}"] for name in counts} == {
        name: len(rows) for name, rows in counts.items()
    }
    assert about["series unchanged"] == len(same) - len(moved)
    if len(added):
        assert about["size added"] == bytes_text((added.series_size_MB * 1e6).round().sum())
    columns = answer.collections.columns
    expected = {name: rows.collection_id.value_counts() for name, rows in counts.items()}
    for row in answer.collections.rows:
        found = dict(zip(columns, row, strict=True))
        for name in counts:
            assert found.get(name, 0) == expected[name].get(found["collection_id"], 0)
        assert found[f"in v{newer}"] == in_newer.get(found["collection_id"], 0)
    assert render(answer, BUDGET).chars <= BUDGET
    assert "prior_versions_index" in " ".join(answer.notes)


def test_new_collections_and_those_gone(app, prior, now):
    before, after = (set(served(prior, now, number).collection_id) for number in (6, 21))
    about = idc_describe(app, "v6..v21").about
    assert about["collections gone"].split(", ") == sorted(before - after)[:40]
    shown, _, more = about["new collections"].partition(" and ")
    assert shown.split(", ") == sorted(after - before)[:40]
    assert more == f"{len(after - before) - 40} more"


def test_a_collection_under_another_name_is_told(app, prior, now):
    first = prior[prior.collection_id == "apollo"].max_idc_version.max()
    answer = idc_describe(app, f"v{first}..v25")
    count = int(
        now[now.collection_id == "varepop_apollo"]
        .uid.isin(
            prior[(prior.collection_id == "apollo") & (prior.max_idc_version == first)]
            .uid
        )
        .sum()
    )  # fmt: skip
    assert count
    assert f"{count:,} of apollo are in varepop_apollo" in " ".join(answer.notes)


DISCREPANCIES = {2: 4, 5: -4, 7: 3, 8: 2, 10: -2, 18: -3, 19: -1}
"""By release, how far the account of single releases is from what they served, in v25's files."""


def test_single_releases_add_up_to_what_each_served(app, prior, now):
    """Added less removed is the growth of what is served, but for what v25 does not record.

    Of 4 + 3 + 2 series `index` says that they came in v2, v7 and v8, and no table has their
    first version: they are counted as added then, and served from v5, v18 and v10 on. One series
    of cptac_ccrcc was withdrawn in v15 and was there again in v19.
    """
    before, found = 0, {}
    for number in range(1, app.release.number + 1):
        about = idc_describe(app, f"v{number}").about
        growth = sum(
            sign * about.get(f"series {fate}", 0)
            for fate, sign in (
                ("added", 1), ("added, gone since", 1), ("removed", -1), ("withdrawn", -1),
            )
        )  # fmt: skip
        count = len(served(prior, now, number))
        if growth != count - before:
            found[number] = growth - (count - before)
        before = count
    assert found == DISCREPANCIES


@pytest.mark.parametrize(
    "written",
    ["v20..v25", "v20 to v25", "v20-v25", "v20 v25", "v20 vs v25", "20..25", "IDC v20 → v25",
     "v25..v20", "V20 VS. V25", "from v20 to v25", "v20 and v25", "20-25", "release 20 to 25",
     "v20...v25", " 'v20..v25' ", "idc_v20 -> idc_v25", "between v20 and v25", "v20/v25"],
)  # fmt: skip
def test_a_pair_is_read_forgivingly(app, written):
    answer = idc_describe(app, written)
    assert answer.kind == "changes between releases"
    assert answer.about["from"] == "v20 of 2024-11-06"
    assert answer.about["to"] == "v25 of 2026-09-26"
    plain = written.strip().strip("'")
    assert ("read from" in answer.understood) == (plain != "v20..v25")
    assert ("older release first" in answer.understood) == (written == "v25..v20")


@pytest.mark.parametrize(
    ("written", "error", "nearest"),
    [
        ("v25..", BadArgument, "v24..v25"),
        ("..v25", BadArgument, "v24..v25"),
        ("v20 to", BadArgument, "v19..v20"),
        ("v25..v25", BadArgument, "v24..v25"),
        ("v1..v1", BadArgument, "v1..v2"),
        ("v20..v26", NotFound, "v25"),
        ("v0..v25", NotFound, "v25"),
        ("v99..v100", NotFound, "v25"),
        ("v1 v2 v3", BadArgument, None),
        ("v20..x", NotFound, None),
        ("..", NotFound, None),
        ("v" * 5000, NotFound, None),
        ("v20" + " " * 5000 + "v", NotFound, None),
    ],
)
def test_what_is_no_pair_is_said(app, written, error, nearest):
    with pytest.raises(error) as raised:
        idc_describe(app, written)
    assert raised.value.next_step
    if nearest:
        assert raised.value.nearest == (nearest,)


def test_patients_are_not_mistaken_for_releases(app, now):
    from idc_mcp.idc.identifiers import releases_named

    def named(text):
        try:
            return releases_named(text, marked=True)
        except BadArgument:
            return text

    assert [name for name in now.PatientID.unique() if named(name)] == []


@pytest.mark.parametrize("pair", ["v20..v25", "v14..v19", "v6..v21", "v2..v5"])
def test_the_next_calls_give_the_series(app, pair):
    answer = idc_describe(app, pair)
    calls = {"added": None, "revised": None, "removed": None}
    for fate in calls:
        calls[fate] = answer.about[f"series {fate}"]
    wanted = [(fate, count) for fate, count in calls.items() if count]
    assert len(answer.next) == len(wanted)
    for call, (_, count) in zip(answer.next, wanted, strict=True):
        if found := re.fullmatch(r"idc_cohort\(filters=(.*)\)", call):
            made = idc_cohort(app, filters=Filters.model_validate(json.loads(found[1])))
            assert made.series == count
        elif found := re.fullmatch(r'idc_cohort\(sql="(.*)"\)', call):
            assert idc_cohort(app, sql=found[1]).series == count
        else:
            sql = re.fullmatch(r'idc_sql\(sql="(.*)"\)', call)[1]
            assert idc_sql(app, f"SELECT count(*) FROM ({sql})").result.rows == [[count]]


def test_a_version_in_two_ranges_is_not_withdrawn(app, prior):
    """48 versions of tcga_brca have a range within another: its end is not theirs."""
    inner = prior[(prior.min_idc_version == 23) & (prior.max_idc_version == 23)]
    outer = prior[(prior.min_idc_version < 23) & (prior.max_idc_version > 23)]
    assert inner.version.isin(outer.version).sum() == 48
    assert idc_describe(app, "v24").about["series withdrawn"] == 0


# -- cohorts of prior versions ----------------------------------------------------------------


@pytest.fixture(scope="module")
def versions(prior, now):
    """Two superseded versions and one of a removed series, small ones."""
    pandas = pytest.importorskip("pandas")
    known = prior.uid.isin(now.uid)
    small = prior.series_size_MB < 5
    return pandas.concat([prior[known & small].head(2), prior[~known & small].head(1)])


def prior_cohorts(app, versions):
    uuids = list(versions.crdc_series_uuid)
    quoted = ", ".join(f"'{uuid}'" for uuid in uuids)
    return {
        "identifiers": idc_cohort(app, identifiers=uuids),
        "sql": idc_cohort(
            app,
            sql="SELECT crdc_series_uuid FROM prior_versions_index "
            f"WHERE crdc_series_uuid IN ({quoted})",
        ),
        "manifest": idc_cohort(
            app,
            manifest="".join(
                f"cp s3://{row.aws_bucket}/{row.crdc_series_uuid}/* .\n"
                for row in versions.itertuples()
            ),
        ),
        "list": idc_cohort(app, manifest="\n".join(uuids)),
    }


def test_no_version_is_both_prior_and_current(app, prior, now, versions):
    """A kept set is told to hold prior versions by these alone, and each is read from one side."""
    assert not prior.version.isin(now.version).any()
    current = list(now.crdc_series_uuid.head(60))
    for given, has_prior in (
        (current, False),
        ([*current, versions.crdc_series_uuid.iloc[0]], True),
    ):
        card = idc_cohort(app, manifest="\n".join(given))
        cohort = app.cohorts.resolve(card.handle)
        assert (cohort.spec.series.prior, cohort.prior) == (has_prior, has_prior)
        assert (card.series, cohort.spec.series.count) == (len(given), len(given))


def test_prior_versions_are_downloaded_as_such(make_app, versions, now, tmp_path):
    app = make_app(offline=False)
    current = set(now[now.uid.isin(versions.uid)].crdc_series_uuid)
    assert len(current) == 2
    expected = {f"s3://{row.aws_bucket}/{row.crdc_series_uuid}/" for row in versions.itertuples()}
    for card in prior_cohorts(app, versions).values():
        assert card.series == 3
        manifest = idc_manifest(app, cohort=card.handle, save_as="")
        text = json.dumps(manifest.model_dump(mode="json"))
        assert all(f"{place}*" in text for place in expected)
        assert not any(uuid in text for uuid in current)
        told = idc_download(app, cohort=card.handle, layout="", dry_run=True)
        assert (told.state, told.series, told.files) == ("planned", 3, None)
        assert told.bytes == int((versions.series_size_MB * 1e6).round().sum())
        plan = app.downloads.plan(app.cohorts.resolve(card.handle), tmp_path / "d", layout="")
        assert {f"s3://{one.aws_bucket}/{one.crdc_series_uuid}/" for one in plan.series} == expected
        assert {one.gcs_bucket for one in plan.series} == set(versions.gcs_bucket)
        assert plan.bytes == int((versions.series_size_MB * 1e6).round().sum())


def test_a_card_says_which_are_superseded_and_which_removed(app, versions, now):
    for card in prior_cohorts(app, versions).values():
        [superseded] = [text for text in card.warnings if "superseded" in text]
        assert superseded.startswith("2 prior versions are superseded: v25 serves another")
        assert any("1 prior versions were removed" in text for text in card.warnings)
        sql = re.search(r"sql='(.*)'\)", superseded)[1]
        todays = idc_cohort(app, sql=sql)
        assert todays.series == 2
        assert not [text for text in todays.warnings if "prior" in text]
        found = idc_sql(app, f"SELECT crdc_series_uuid FROM {todays.handle}").result.rows
        assert {row[0] for row in found} == set(now[now.uid.isin(versions.uid)].crdc_series_uuid)


# -- cohorts of older releases ----------------------------------------------------------------


def write(app, definition, *, name="", origin=""):
    """A cohort file as an older server left it."""
    directory = app.cohorts.files.directory
    directory.mkdir(parents=True, exist_ok=True)
    handle = handle_of(definition)
    (directory / f"{handle}.json").write_text(
        json.dumps({"handle": handle, "definition": definition, "name": name, "origin": origin})
    )
    return handle


def write_series(app, uuids):
    """A kept set as an older server left it; returns what its definition says of it."""
    pandas = pytest.importorskip("pandas")
    text = "\n".join(sorted(uuids))
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    directory = app.cohorts.files.directory
    directory.mkdir(parents=True, exist_ok=True)
    pandas.DataFrame({"crdc_series_uuid": sorted(uuids)}).to_parquet(
        directory / f"s_{digest}.parquet"
    )
    return {"digest": digest, "count": len(uuids), "prior": False}


def refused(app, handle):
    with pytest.raises(BadArgument) as raised:
        app.cohorts.resolve(handle)
    error = raised.value
    return error.what, re.findall(r"c_[0-9a-f]{12}", error.next_step)


def uuids_of(app, handle):
    rows = app.index.rows(f"SELECT crdc_series_uuid FROM {app.cohorts.resolve(handle).source}")
    return {row[0] for row in rows}


@pytest.mark.parametrize("number", [10, 18, 22, 24])
def test_an_old_list_says_what_became_of_each(make_app, prior, now, number):
    app = make_app()
    old = prior[(prior.min_idc_version <= number) & (prior.max_idc_version >= number)]
    old = old.drop_duplicates("version")
    known = old.uid.isin(now.uid)
    revised, removed = old[known].head(40), old[~known].head(30)
    current = now[now.series_revised_idc_version <= number].head(25)
    unknown = [f"00000000-0000-4000-8000-{digit:012d}" for digit in range(3)]
    rows = [revised, removed, current]
    uuids = [uuid for frame in rows for uuid in frame.crdc_series_uuid]
    series = write_series(app, [*uuids, *unknown])
    handle = write(app, {"release": f"v{number}", "series": series}, name="mine")
    text, (exact, today) = refused(app, handle)
    assert f"made on IDC v{number}; this server has v25" in text
    assert f"Of its {len(uuids) + 3:,} series: 25 unchanged" in text
    assert f"{len(revised)} revised since, {len(removed)} removed" in text
    assert "3 unknown to this catalogue" in text
    later = prior[(prior.max_idc_version >= number) & prior.crdc_series_uuid.isin(uuids)]
    moved = later.groupby("crdc_series_uuid").gcs_bucket.nunique()
    assert (f"{(moved > 1).sum()} of the prior versions in another bucket" in text) == (
        bool((moved > 1).any())
    )
    assert uuids_of(app, exact) == set(uuids)
    assert app.cohorts.resolve(exact).prior
    uids = {*revised.uid, *current.uid}
    assert uuids_of(app, today) == set(now[now.uid.isin(uids)].crdc_series_uuid)
    assert not app.cohorts.resolve(today).prior
    assert idc_describe(app, exact).about["name"] == f"mine as of v{number}"
    # The usual handles, and the same answer a second time.
    assert idc_cohort(app, manifest="\n".join(uuids)).handle == exact
    assert refused(app, handle) == (text, [exact, today])


def test_versions_that_were_prior_already(make_app, prior, now):
    app = make_app()
    old = prior[(prior.max_idc_version < 20) & prior.uid.isin(now.uid)]
    old = old.drop_duplicates("version")
    # Moved ones have a later range: they were served still.
    later = prior[prior.max_idc_version >= 20].version
    uuids = list(old[~old.version.isin(later)].crdc_series_uuid.head(5))
    pairs = [["prior", uuid] for uuid in sorted(uuids)]
    text, (exact, _) = refused(app, write(app, {"release": "v24", "identifiers": pairs}))
    assert "5 prior versions already then" in text
    assert uuids_of(app, exact) == set(uuids)


def test_an_unchanged_list_is_one_cohort(make_app, now):
    app = make_app()
    uuids = list(now[now.series_revised_idc_version <= 20].crdc_series_uuid.head(9))
    series = write_series(app, uuids)
    text, handles = refused(app, write(app, {"release": "v20", "series": series}))
    assert "9 unchanged, 0 revised since, 0 removed" in text
    assert "v25 serves just these" in text
    assert len(handles) == 1


def oracle(prior, now, number, *, collection=None, modality=None, patients=None, studies=None):
    """Counts of a definition: (unchanged, revised, removed), (today, added, revised)."""

    def taken(frame):
        for column, values in (
            ("collection_id", collection), ("Modality", modality),
            ("PatientID", patients), ("StudyInstanceUID", studies),
        ):  # fmt: skip
            if values:
                frame = frame[frame[column].isin(values)]
        return frame

    old = prior[(prior.min_idc_version <= number) & (prior.max_idc_version >= number)]
    old = taken(old.drop_duplicates("version"))
    known = old.uid.isin(now.uid)
    today = taken(now)
    added = today.series_init_idc_version > number
    newer = today.series_revised_idc_version > number
    return (
        (int((~newer).sum()), int(known.sum()), int((~known).sum())),
        (len(today), int(added.sum()), int((newer & ~added).sum())),
    )


@pytest.mark.parametrize("number", [20, 24])
@pytest.mark.parametrize(
    ("definition", "asked"),
    [
        ({"identifiers": [["collection", "tcga_luad"]]}, {"collection": ["tcga_luad"]}),
        (
            {"filters": {"collection_id": ["cptac_ccrcc", "tcga_luad"], "Modality": ["SM"]}},
            {"collection": ["cptac_ccrcc", "tcga_luad"], "modality": ["SM"]},
        ),
        ({"filters": {"Modality": ["SM"]}}, {"modality": ["SM"]}),
        (
            {"identifiers": [["collection", "ccdi_mci"], ["collection", "tcga_brca"]]},
            {"collection": ["ccdi_mci", "tcga_brca"]},
        ),
        (
            {"within": [{"identifiers": [["collection", "tcga_coad"]]}],
             "filters": {"Modality": ["SM", "SEG"]}},
            {"collection": ["tcga_coad"], "modality": ["SM", "SEG"]},
        ),
    ],
)  # fmt: skip
def test_an_old_definition_is_counted_as_pandas_does(
    make_app, prior, now, number, definition, asked
):
    app = make_app()
    content = {"release": f"v{number}", **definition}
    for other in content.get("within", []):
        other["release"] = f"v{number}"
    text, (exact, today) = refused(app, write(app, content))
    (unchanged, revised, removed), (count, added, newer) = oracle(prior, now, number, **asked)
    total = unchanged + revised + removed
    assert (
        f"Of its {total:,} series: {unchanged:,} unchanged, {revised:,} revised since, "
        f"{removed:,} removed"
    ) in text
    assert f"{exact}, {total:,} series in the versions of v{number}" in text
    assert (
        f"{today}, the same definition on v25: {count:,} series, {added:,} of them added and "
        f"{newer:,} revised after v{number}"
    ) in text
    assert len(uuids_of(app, exact)) == total
    assert len(uuids_of(app, today)) == count


def test_the_definition_of_today_has_the_usual_handle(make_app):
    app = make_app()
    _, (_, today) = refused(
        app, write(app, {"release": "v24", "identifiers": [["collection", "tcga_luad"]]})
    )
    assert idc_cohort(app, identifiers=["TCGA-LUAD"]).handle == today
    filters = {"Modality": ["SM"], "collection_id": ["tcga_luad"]}
    _, (_, today) = refused(app, write(app, {"release": "v24", "filters": filters}))
    assert idc_cohort(app, filters=Filters.model_validate(filters)).handle == today


def test_a_patient_and_a_study(make_app, prior, now):
    app = make_app()
    gone = prior[(prior.max_idc_version == 24) & (prior.collection_id == "tcga_luad")]
    row = gone.iloc[0]
    text, _ = refused(
        app,
        write(
            app, {"release": "v24", "identifiers": [["patient", f"tcga_luad/{row.PatientID}"]]}
        ),
    )  # fmt: skip
    counts, _ = oracle(
        prior, now, 24, collection=["tcga_luad"], patients=[row.PatientID]
    )  # fmt: skip
    assert "{:,} unchanged, {:,} revised since, {:,} removed".format(*counts) in text
    study = row.StudyInstanceUID
    text, _ = refused(app, write(app, {"release": "v24", "filters": {"StudyInstanceUID": [study]}}))
    counts, _ = oracle(prior, now, 24, studies=[study])
    assert "{:,} unchanged, {:,} revised since, {:,} removed".format(*counts) in text


def test_what_prior_versions_have_no_column_for_is_said(make_app, prior, now):
    app = make_app()
    (_, revised, removed), _ = oracle(prior, now, 24, collection=["tcga_luad"])
    base = {"release": "v24", "identifiers": [["collection", "tcga_luad"]]}
    text, handles = refused(app, write(app, base | {"use": "commercial"}))
    assert "cannot be told: prior_versions_index has no license_short_name" in text
    assert f"at most {revised + removed:,}." in text
    assert len(handles) == 1
    inside = now[(now.collection_id == "tcga_luad") & (now.series_revised_idc_version <= 24)]
    free = ~inside.license_short_name.str.contains("NC|Library")
    assert f"Of its series {free.sum():,} are unchanged" in text
    text, _ = refused(app, write(app, base | {"filters": {"PatientSex": ["F"]}}))
    assert "prior_versions_index has no PatientSex" in text
    doi = [["doi", "10.5281/zenodo.8347011"]]
    text, _ = refused(app, write(app, {"release": "v24", "identifiers": doi}))
    assert "prior_versions_index has no source_DOI." in text
    assert "at most" not in text


def test_values_that_are_gone_are_named(make_app, prior, now):
    app = make_app()
    number = int(prior[prior.collection_id == "apollo_5_luad"].max_idc_version.max())
    inside = prior[
        (prior.collection_id == "apollo_5_luad") & (prior.max_idc_version == number)
    ].drop_duplicates("version")  # fmt: skip
    for definition in (
        {"filters": {"collection_id": ["apollo_5_luad"]}},
        {"identifiers": [["collection", "apollo_5_luad"]]},
    ):
        text, handles = refused(app, write(app, {"release": f"v{number}", **definition}))
        assert "apollo_5_luad" in text
        assert "On v25 it has no series" in text
        assert f"Of its {len(inside):,} series: 0 unchanged" in text
        assert uuids_of(app, *handles) == set(inside.crdc_series_uuid)
    values = ["apollo_5_luad", "tcga_luad"]
    text, (_, today) = refused(
        app, write(app, {"release": f"v{number}", "filters": {"collection_id": values}})
    )
    assert "Not in v25: collection_id apollo_5_luad." in text
    assert len(uuids_of(app, today)) == (now.collection_id == "tcga_luad").sum()


def test_an_older_cohort_within_one_of_today(make_app, now):
    app = make_app()
    inner = {"release": "v24", "identifiers": [["collection", "tcga_luad"]]}
    text, (_, today) = refused(app, write(app, {"release": "v25", "within": [inner]}))
    assert "made on IDC v24" in text
    assert len(uuids_of(app, today)) == (now.collection_id == "tcga_luad").sum()


def test_every_way_to_a_cohort_says_so(make_app):
    app = make_app()
    handle = write(app, {"release": "v24", "identifiers": [["collection", "tcga_luad"]]})
    for call in (
        lambda: idc_describe(app, handle),
        lambda: idc_sql(app, f"SELECT count(*) FROM {handle}"),
        lambda: idc_cohort(app, identifiers=[handle, "4d_lung"]),
        lambda: idc_manifest(app, cohort=handle, save_as=""),
    ):
        with pytest.raises(BadArgument, match="made on IDC v24"):
            call()


@pytest.mark.parametrize("made_on", ["v99", "v26"])
def test_a_newer_cohort_needs_a_newer_catalogue(make_app, made_on):
    app = make_app()
    handle = write(app, {"release": made_on, "identifiers": [["collection", "tcga_luad"]]})
    with pytest.raises(BadArgument, match=f"made on IDC {made_on}") as raised:
        app.cohorts.resolve(handle)
    assert "idc-index-data" in raised.value.next_step


@pytest.mark.parametrize(
    "definition",
    [
        {},
        [],
        "v24",
        None,
        {"release": "vX"},
        {"release": 24},
        {"release": None},
        {"release": "v24; DROP"},
        {"release": "v0"},
        {"release": "v24", "identifiers": [["collection"]]},
        {"release": "v24", "identifiers": [["nothing", "x"]]},
        {"release": "v24", "identifiers": [["collection", 7]]},
        {"release": "v24", "identifiers": 7},
        {"release": "v24", "identifiers": [["patient", "no slash"]]},
        {"release": "v24", "filters": {"nothing": ["x"]}},
        {"release": "v24", "filters": {"Modality": None}},
        {"release": "v24", "series": {"digest": "../../../etc/passwd", "count": 1, "prior": False}},
        {"release": "v24", "series": {"digest": "0" * 32}},
        {"release": "v24", "series": {"digest": "0" * 32, "count": "1", "prior": False}},
        {"release": "v24", "within": [{"release": "vX"}]},
        {"release": "v24", "within": "v24"},
        {"release": "v24", "use": "any; DROP"},
        {"release": "v24", "use": ["any"]},
        {"release": "v24", "more": 1},
        {"release": "v25", "series": {"digest": "0" * 31 + "'", "count": 1, "prior": False}},
    ],
)
def test_a_file_that_holds_no_definition_is_damaged(make_app, definition):
    app = make_app()
    with pytest.raises(Damaged) as raised:
        app.cohorts.resolve(write(app, definition))
    assert raised.value.next_step


def test_values_cannot_break_out_of_the_sql(make_app):
    app = make_app()
    nasty = "x'); DROP TABLE core.series; --"
    for definition in (
        {"identifiers": [["collection", nasty]]},
        {"identifiers": [["patient", f"a/{nasty}"], ["study", nasty], ["series", nasty]]},
        {"filters": {"Modality": [nasty], "PatientID": [nasty]}},
        {"filters": {"cancer_types": [nasty]}},
    ):
        text, handles = refused(app, write(app, {"release": "v24", **definition}))
        assert handles == []
        assert "On v25 it has no series" in text


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_an_old_list_without_its_series(make_app, now, damage):
    app = make_app()
    series = write_series(app, list(now.crdc_series_uuid.head(5)))
    path = app.cohorts.files.series_path(series["digest"])
    match damage:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(path.read_bytes()[:50])
        case "other":
            other = write_series(app, list(now.crdc_series_uuid.tail(5)))
            path.write_bytes(app.cohorts.files.series_path(other["digest"]).read_bytes())
    handle = write(app, {"release": "v24", "series": series}, origin="SELECT 1 AS the_old_sql")
    with pytest.raises(Damaged, match="made on IDC v24") as raised:
        app.cohorts.resolve(handle)
    assert "the_old_sql" in raised.value.next_step


def test_an_old_file_is_left_as_it_was_and_little_is_written(make_app):
    app = make_app()
    handle = write(app, {"release": "v24", "identifiers": [["collection", "tcga_luad"]]})
    directory = app.cohorts.files.directory
    path = directory / f"{handle}.json"
    content = path.read_bytes()
    _, handles = refused(app, handle)
    assert path.read_bytes() == content
    names = {found.name for found in directory.iterdir()}
    series = app.cohorts.resolve(handles[0]).spec.series.path.name
    assert names == {f"{one}.json" for one in (handle, *handles)} | {series}


def test_a_kept_name_is_not_overwritten(make_app):
    app = make_app()
    named = idc_cohort(app, identifiers=["tcga_luad"], name="theirs").handle
    old = {"release": "v24", "identifiers": [["collection", "tcga_luad"]]}
    _, (_, today) = refused(app, write(app, old, name="mine"))
    assert today == named
    assert app.cohorts.resolve(named).name == "theirs"
