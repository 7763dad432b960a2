"""Licences: counts against pandas, the verdicts, the allow-list."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from idc_mcp.idc import licenses
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.idc.licenses import judge, summary
from idc_mcp.idc.terms import NOT_STATED, TERMS, allowed_names
from idc_mcp.tools.licenses import idc_licenses
from idc_mcp.tools.size import idc_size

NLM = "National Library of Medicine Terms and Conditions; May 21, 2019"


def cohort_of(where: str, prior: bool = False) -> Cohort:
    return Cohort(
        handle="c_test",
        understood="a test",
        definition="",
        source=f"(SELECT * FROM core.series WHERE {where}) AS series",
        prior=prior,
    )


@pytest.fixture(scope="module")
def frame(release) -> pd.DataFrame:
    columns = ["collection_id", "Modality", "license_short_name", "series_size_MB"]
    return pd.read_parquet(release.parquet("index"), columns=columns)


@pytest.mark.parametrize("where, query", [
    ("true", None),
    ("Modality = 'CT'", "Modality == 'CT'"),
    ("collection_id = '4d_lung'", "collection_id == '4d_lung'"),
])  # fmt: skip
def test_rows_are_what_pandas_counts(index, frame, where, query):
    mine = frame if query is None else frame.query(query)
    bytes_ = (mine.series_size_MB * 1e6).round().astype("int64")
    expected = {
        name: (len(part), int(bytes_[part.index].sum()))
        for name, part in mine.groupby("license_short_name")
    }
    found = summary(index, cohort_of(where))
    assert {name: (series, size) for name, series, size in found.rows} == expected


def test_every_licence_of_the_release_has_been_read(frame):
    assert set(frame.license_short_name) <= TERMS.keys()


def test_urls_and_long_names_are_those_of_the_catalogue(index):
    rows = index.rows(
        "SELECT collection_id, source.license.license_short_name, source.license.license_url, "
        "source.license.license_long_name "
        "FROM (SELECT collection_id, unnest(sources) AS source FROM main.collections_index)"
    )
    odd = set()
    for collection, name, url, long_name in rows:
        # The catalogue spells some long names with "License" and some without.
        same = TERMS[name].long_name.startswith(long_name.removesuffix(" License"))
        if TERMS[name].url.rstrip("/") != url.rstrip("/") or not same:
            odd.add(collection)
    # v25 calls this one CC BY-NC 3.0 and links CC BY 3.0: the stricter name is what counts.
    assert odd <= {"phantom_fda"}


def test_the_whole_release_is_a_mix_usable_in_part(index):
    found = summary(index, cohort_of("true"))
    assert found.mixed
    assert found.verdict == "in part"
    assert "A mix" in found.sentence
    assert "strictest" in found.sentence


def test_terms_without_nc_in_their_name_are_still_not_allowed(index):
    found = summary(index, cohort_of(f"license_short_name = '{NLM}'"))
    assert found.verdict == "no"
    assert NLM not in allowed_names("commercial")


@pytest.mark.parametrize("names, verdict", [
    (["CC BY 4.0"], "yes"),
    (["CC BY 4.0", "CC BY 3.0"], "yes"),
    (["CC BY-NC 4.0", "CC BY-NC 3.0"], "no"),
    (["CC BY 4.0", "CC BY-NC 3.0"], "in part"),
    (["CC BY 4.0", "CC BY-SA 9.9"], "in part"),
    (["CC BY-SA 9.9"], "unknown"),
    (["CC BY-NC 4.0", NOT_STATED], "unknown"),
    ([], "unknown"),
])  # fmt: skip
def test_verdicts(names, verdict):
    assert judge([(name, 1, 10) for name in names]).verdict == verdict


def test_series_without_a_licence_are_said_to_be_so(index):
    source = "(SELECT * REPLACE (NULL AS license_short_name) FROM core.series LIMIT 5) AS series"
    found = summary(index, replace(cohort_of("true"), source=source))
    assert found.rows[0][:2] == (NOT_STATED, 5)
    assert found.verdict == "unknown"


def test_allowed_names_of_an_unknown_use():
    with pytest.raises(ValueError, match="commercial"):
        allowed_names("military")


def test_the_condition_and_the_withheld_part_the_cohort(index, frame):
    free = index.value(f"SELECT count(*) FROM core.series WHERE {licenses.condition('commercial')}")
    held = licenses.withheld(index, "core.series")
    assert free == frame.license_short_name.isin(["CC BY 4.0", "CC BY 3.0"]).sum()
    assert free + sum(row[2] for row in held) == len(frame)


def app_of(index, where):
    cohorts = SimpleNamespace(
        resolve=lambda _: cohort_of(where),
        for_use=lambda cohort, use: replace(cohort, handle=f"c_{use}"),
    )
    return SimpleNamespace(index=index, cohorts=cohorts, release_name="IDC v25")


def test_tool_gives_the_handle_of_the_part(index):
    answer = idc_licenses(app_of(index, "true"), "all", use="commercial")
    assert answer.may_be_used == "in part"
    assert answer.allowed_part == "c_commercial"
    assert {row[1] for row in answer.withheld.rows} <= TERMS.keys() - set(
        allowed_names("commercial")
    )


def test_tool_gives_no_handle_where_all_or_nothing_may(index):
    for name in ("CC BY 4.0", NLM):
        answer = idc_licenses(
            app_of(index, f"license_short_name = '{name}'"), "x", use="commercial"
        )
        assert not answer.allowed_part
    assert idc_licenses(app_of(index, "true"), "x").may_be_used == "yes"


def test_tool_says_which_use_was_asked_and_the_commercial_verdict(index):
    duke = app_of(index, "collection_id = 'duke_breast_cancer_mri'")
    answer = idc_licenses(duke, "x")
    assert (answer.use, answer.may_be_used, answer.commercial) == ("any", "yes", "in part")
    answer = idc_licenses(duke, "x", use="commercial")
    assert (answer.use, answer.may_be_used, answer.commercial) == ("commercial", *2 * ["in part"])
    for name, verdict in (("CC BY 4.0", "yes"), (NLM, "no")):
        mine = app_of(index, f"license_short_name = '{name}'")
        assert idc_licenses(mine, "x").commercial == verdict


def test_where_more_is_withheld_is_a_call_that_works(make_app):
    app = make_app()
    everything = ", ".join(
        name for (name,) in app.index.rows("SELECT DISTINCT collection_id FROM core.series")
    )
    for cohort in (everything, "duke_breast_cancer_mri"):
        answer = idc_licenses(app, cohort, use="commercial")
        arguments = eval(answer.withheld.rest.replace("idc_size(", "dict("))
        assert arguments["group_by"] == "collection_id"
        assert idc_size(app, **arguments).series == sum(row[1] for row in answer.licenses.rows)


def test_a_contradiction_of_the_catalogue_is_told(index):
    (note,) = idc_licenses(app_of(index, "collection_id = 'phantom_fda'"), "x").notes
    assert note.startswith("phantom_fda: the catalogue calls its licence CC BY-NC 3.0")
    assert not idc_licenses(app_of(index, "collection_id = '4d_lung'"), "x").notes
