"""Totals of older releases and their cohorts, whole or said to be short, against pandas."""

from __future__ import annotations

import json
import re

import pytest

from idc_mcp.errors import BadArgument, Damaged
from idc_mcp.idc.cohorts.definitions import handle_of
from idc_mcp.index.store import Index
from idc_mcp.tools.cohort import idc_cohort
from idc_mcp.tools.describe import idc_describe

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def prior(release):
    pandas = pytest.importorskip("pandas")
    return pandas.read_parquet(release.parquet("prior_versions_index"))


@pytest.fixture(scope="module")
def now(release):
    pandas = pytest.importorskip("pandas")
    names = [
        "collection_id", "PatientID", "Modality", "SeriesInstanceUID", "crdc_series_uuid",
        "series_init_idc_version", "series_revised_idc_version",
    ]  # fmt: skip
    return pandas.read_parquet(release.parquet("index"), columns=names)


@pytest.fixture(scope="module")
def states(prior, now):
    """By release: the prior versions it served, the current ones, and series of neither."""

    def state(number):
        old = prior[(prior.min_idc_version <= number) & (prior.max_idc_version >= number)]
        old = old.drop_duplicates("SeriesInstanceUID")
        current = now[now.series_revised_idc_version <= number]
        come = now[
            (now.series_init_idc_version <= number) & (now.series_revised_idc_version > number)
        ]
        return old, current, come[~come.SeriesInstanceUID.isin(set(old.SeriesInstanceUID))]

    numbers = range(1, int(now.series_revised_idc_version.max()) + 1)
    return {number: state(number) for number in numbers}


def write(app, definition, name=""):
    """A cohort file as an older server left it."""
    directory = app.cohorts.files.directory
    directory.mkdir(parents=True, exist_ok=True)
    handle = handle_of(definition)
    content = {"handle": handle, "definition": definition, "name": name, "origin": ""}
    (directory / f"{handle}.json").write_text(json.dumps(content))
    return handle


def refused(app, handle):
    with pytest.raises(BadArgument) as raised:
        app.cohorts.resolve(handle)
    return raised.value.what, re.findall(r"c_[0-9a-f]{12}", raised.value.next_step)


def uuids_of(app, handle):
    rows = app.index.rows(f"SELECT crdc_series_uuid FROM {app.cohorts.resolve(handle).source}")
    return {row[0] for row in rows}


# -- pairs of releases ------------------------------------------------------------------------


def test_the_series_of_every_release_are_whole_or_said_to_be_short(app, index, now, states):
    last = max(states)
    in_all = index.value("SELECT series FROM facts.totals")
    assert in_all == len(now)
    short = 0
    for number in range(1, last):
        old, current, unknown = states[number]
        answer = idc_describe(app, f"v{number}..v{last}")
        about = answer.about
        assert about[f"series of v{last}"] == in_all
        assert about[f"series of v{number}"] == len(old) + len(current)
        assert about.get("series not accounted for", 0) == len(unknown)
        assert in_all == (
            about[f"series of v{number}"] + len(unknown)
            + about["series added"] - about["series removed"]
        )  # fmt: skip
        told = f"{len(unknown)} series had come by v{number} as index says"
        assert (told in " ".join(answer.notes)) == bool(len(unknown))
        assert f"had come by v{last}" not in " ".join(answer.notes)
        short += bool(len(unknown))
    assert short


def test_two_older_releases_leave_out_only_the_end_that_is_unknown(app, states):
    for older in range(1, max(states) - 1):
        newer = older + 1
        answer = idc_describe(app, f"v{older}..v{newer}")
        ends = (states[older][2], states[newer][2])
        for number, (old, current, unknown) in ((n, states[n]) for n in (older, newer)):
            assert answer.about[f"series of v{number}"] == len(old) + len(current)
            told = f"{len(unknown)} series had come by v{number} as index says"
            assert (told in " ".join(answer.notes)) == bool(len(unknown))
        either = {uid for end in ends for uid in end.SeriesInstanceUID}
        assert answer.about.get("series not accounted for", 0) == len(either)


def test_a_collection_is_whole_in_the_release_that_is_known(app, now, states):
    old, current, unknown = states[4]
    table = idc_describe(app, "v4..v5").collections
    [row] = [row for row in table.rows if row[0] == "prostate_diagnosis"]
    found = dict(zip(table.columns, row, strict=True))
    assert found["not accounted for"] == len(unknown) == 4
    assert found["in v5"] == (now.collection_id == "prostate_diagnosis").sum()
    known = sum((frame.collection_id == "prostate_diagnosis").sum() for frame in (old, current))
    assert found["in v4"] == known == found["in v5"] - 4


# -- cohorts of older releases ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "collection", "modality"),
    [(8, "cptac_brca", None), (2, "prostate_diagnosis", None), (8, "tcga_brca", "SM"),
     (9, "tcga_kirp", None), (17, "cptac_coad", "SM"), (18, "cptac_coad", None)],
)  # fmt: skip
@pytest.mark.parametrize("form", ["identifier", "filter", "within", "patients"])
def test_series_of_unknown_versions_are_counted(
    make_app, now, states, number, collection, modality, form
):
    def taken(frame):
        frame = frame[frame.collection_id == collection]
        return frame[frame.Modality == modality] if modality else frame

    old, current, unknown = (taken(frame) for frame in states[number])
    release = {"release": f"v{number}"}
    named = {"identifiers": [["collection", collection]]}
    match form:
        case "identifier":
            content = release | named
        case "filter":
            content = release | {"filters": {"collection_id": [collection]}}
        case "within":
            content = release | {"within": [release | named]}
        case "patients":
            frames = [frame[frame.collection_id == collection] for frame in states[number]]
            patients = {name for frame in frames for name in frame.PatientID}
            pairs = [["patient", f"{collection}/{name}"] for name in sorted(patients)]
            content = release | {"identifiers": pairs}
    if modality:
        content["filters"] = content.get("filters", {}) | {"Modality": [modality]}
    app = make_app()
    text, handles = refused(app, write(app, content))
    total = len(old) + len(current) + len(unknown)
    assert total
    assert f"Of its {total:,} series: {len(current):,} unchanged" in text
    told = f", {len(unknown):,} not accounted for"
    assert (told in text) == bool(len(unknown))
    assert (f"had come by v{number} as index says" in text) == bool(len(unknown))
    if len(old) + len(current):
        exact = {*old.crdc_series_uuid, *current.crdc_series_uuid}
        assert uuids_of(app, handles[0]) == exact


def test_all_of_an_old_release(make_app, states):
    old, current, unknown = states[8]
    app = make_app()
    text, _ = refused(app, write(app, {"release": "v8"}))
    assert len(unknown) == 5
    assert f"Of its {len(old) + len(current) + 5:,} series: {len(current):,} unchanged" in text
    assert "5 not accounted for" in text


@pytest.mark.parametrize(
    "filters",
    [{"series_size_MB": {"from": 0}}, {"aws_bucket": ["idc-open-data", "idc-open-data-cr"]}],
)
def test_what_is_not_known_of_a_version_is_not_guessed(make_app, filters):
    app = make_app()
    content = {"identifiers": [["collection", "cptac_brca"]], "filters": filters}
    text, _ = refused(app, write(app, {"release": "v8"} | content))
    found = re.search(r"Of its (\d+) to (\d+) series: ", text)
    assert int(found[2]) - int(found[1]) == 2
    assert "up to 2 not accounted for" in text


def test_an_upper_bound_covers_them(make_app, states):
    old, _, unknown = (frame[frame.collection_id == "cptac_brca"] for frame in states[8])
    app = make_app()
    base = {"release": "v8", "identifiers": [["collection", "cptac_brca"]]}
    text, _ = refused(app, write(app, base | {"use": "commercial"}))
    assert f"at most {len(old) + len(unknown):,}." in text


def test_what_a_list_names_is_counted_whatever_narrows_it(make_app, states):
    old, _, _ = states[8]
    old = old[old.collection_id == "cptac_brca"]
    unknown = [f"00000000-0000-4000-8000-{digit:012d}" for digit in range(2)]
    pairs = [["series", uuid] for uuid in sorted([*old.crdc_series_uuid, *unknown])]
    base = {"release": "v8", "identifiers": pairs}
    app = make_app()
    text, _ = refused(app, write(app, base))
    assert f"Of its {len(old) + 2:,} series: " in text
    assert ", 2 unknown to this catalogue" in text
    assert "not accounted for" not in text
    for narrowed in (
        base | {"filters": {"Modality": ["SM", "CT", "MR"]}},
        {"release": "v8", "within": [base], "filters": {"collection_id": ["cptac_brca"]}},
        {"release": "v8", "filters": {"crdc_series_uuid": [uuid for _, uuid in pairs]}},
    ):
        text, _ = refused(app, write(app, narrowed))
        assert f"Of its {len(old):,} to {len(old) + 2:,} series: " in text
        assert "up to 2 unknown to this catalogue" in text
    mixed = base | {"identifiers": [["collection", "cptac_brca"], *pairs]}
    text, _ = refused(app, write(app, mixed))
    assert "up to 2 unknown to this catalogue, up to 2 not accounted for" in text


# -- long, deep and repeated ------------------------------------------------------------------


@pytest.fixture
def longest(monkeypatch):
    """The lengths of the statements that are sent to the catalogue."""
    lengths = []
    for name in ("rows", "row", "value"):
        real = getattr(Index, name)

        def seen(self, sql, *more, real=real, **named):
            lengths.append(len(sql))
            return real(self, sql, *more, **named)

        monkeypatch.setattr(Index, name, seen)
    return lengths


@pytest.mark.parametrize("kind", ["series", "patient"])
def test_a_long_list_is_not_written_into_statements(make_app, prior, now, states, longest, kind):
    app = make_app()
    if kind == "series":
        _, current, _ = states[24]
        named = set(current.crdc_series_uuid.head(19_000)) | set(prior.crdc_series_uuid.head(1_000))
        pairs = [[kind, uuid] for uuid in sorted(named)]
        then = named
        named = prior[prior.crdc_series_uuid.isin(named)]
        uids = {*named.SeriesInstanceUID, *current.SeriesInstanceUID.head(19_000)}
        today = set(now[now.SeriesInstanceUID.isin(uids)].crdc_series_uuid)
    else:
        old, current, _ = states[24]
        patients = (now.collection_id + "/" + now.PatientID).drop_duplicates().head(5_000)
        pairs = [[kind, name] for name in sorted(patients)] + [[kind, "no\tsuch/'one\n"]]
        inside = [frame[(frame.collection_id + "/" + frame.PatientID).isin(set(patients))]
                  for frame in (old, current, now)]  # fmt: skip
        then = {*inside[0].crdc_series_uuid, *inside[1].crdc_series_uuid}
        today = set(inside[2].crdc_series_uuid)
    app.index.opened()
    longest.clear()
    text, handles = refused(app, write(app, {"release": "v24", "identifiers": pairs}))
    assert longest
    assert max(longest) < 10_000
    assert f"Of its {len(then):,} series: " in text
    assert uuids_of(app, handles[0]) == then
    assert uuids_of(app, handles[-1]) == today
    assert ("Not in v25: patient no\tsuch" in text) == (kind == "patient")
    left = [path.name for path in app.cohorts.files.directory.iterdir()]
    assert not [name for name in left if name.startswith(".")]


@pytest.mark.parametrize(("depth", "error"), [(60, BadArgument), (101, Damaged), (300, Damaged)])
def test_an_old_cohort_in_many_others(make_app, depth, error):
    content = {"release": "v24", "identifiers": [["collection", "tcga_luad"]]}
    for _ in range(depth):
        content = {"release": "v24", "within": [content]}
    app = make_app()
    with pytest.raises(error) as raised:
        app.cohorts.resolve(write(app, content))
    assert raised.value.next_step
    assert ("nested more than 100 deep" in raised.value.what) == (error is Damaged)


def test_what_became_of_a_cohort_is_found_out_once(make_app, longest):
    app = make_app()
    handle = write(app, {"release": "v24", "identifiers": [["collection", "tcga_luad"]]})
    first = refused(app, handle)
    longest.clear()
    assert refused(app, handle) == first
    assert not longest


@pytest.mark.parametrize("damage", ["removed", "damaged", "series"])
def test_the_cohorts_offered_are_there_every_time(make_app, damage):
    app = make_app()
    handle = write(app, {"release": "v24", "identifiers": [["collection", "tcga_luad"]]})
    text, handles = refused(app, handle)
    before = [uuids_of(app, one) for one in handles]
    files = app.cohorts.files
    match damage:
        case "removed":
            for one in handles:
                (files.directory / f"{one}.json").unlink()
        case "damaged":
            (files.directory / f"{handles[1]}.json").write_text("{}")
        case "series":
            app.cohorts.resolve(handles[0]).spec.series.path.unlink()
    assert refused(app, handle) == (text, handles)
    assert [uuids_of(app, one) for one in handles] == before
    assert idc_cohort(app, identifiers=["tcga_luad"]).handle == handles[1]
