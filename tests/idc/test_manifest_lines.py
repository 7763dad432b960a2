"""Reading manifests: every form, every line accounted for, quickly."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idc_mcp.idc.manifests.reading import ParsedManifest, parse_manifest

A = "085e85b3-3780-47f6-8538-585bcca95336"
B = "f9917c52-a74e-4cc8-8c2a-4df77e82a19c"
FILE = "0007caa7-7ea5-42d7-bc8a-d908e1390a47"
UID = "1.3.6.1.4.1.14519.5.2.1.6834.5010.155488857019753544209698582121"


def adds_up(parsed: ParsedManifest) -> bool:
    told = parsed.understood + parsed.duplicates + parsed.ignored + len(parsed.problems)
    return told == parsed.lines


@pytest.mark.parametrize("line", [
    f"cp s3://idc-open-data/{A}/* .",
    f"cp s3://idc-open-data/{A}/* .  ",
    f"  cp   s3://idc-open-data/{A}/*   ./data/4d_lung/",
    f"cp --concurrency 10 --sp s3://idc-open-data/{A}/* .",
    f"cp --if-size-differ 's3://idc-open-data-two/{A}/*' '/tmp/some dir/'",
    f'cp "s3://idc-open-data-cr/{A}/*" "./x: y"',
    f"s5cmd --no-sign-request --endpoint-url https://s3.amazonaws.com cp s3://idc-1/{A}/* .",
    f"aws s3 cp s3://idc-open-data/{A}/ . --recursive --no-sign-request",
    f"aws s3 sync s3://idc-open-data/{A} x",
    f"gsutil -m cp gs://idc-open-idc1/{A}/* .",
    f"s3://idc-open-data/{A}/*",
    f"s3://idc-open-data/{A}",
    f"s3://idc-open-data/{A}/{FILE}.dcm",
    f"gs://public-datasets-idc/{A}/{FILE}.dcm",
    f"https://storage.googleapis.com/idc-open-data/{A}/{FILE}.dcm",
    f"https://idc-open-data.s3.amazonaws.com/{A}/{FILE}.dcm",
    A, A.upper(), f'"{A}",', f"{A} # the first", f"cp s3://idc-open-data/{A}/* . # the first",
])  # fmt: skip
def test_one_series_in_every_form(line):
    parsed = parse_manifest(line)
    assert (parsed.series_uuids, parsed.series_instance_uids, parsed.problems) == ([A], [], [])
    assert parsed.understood == parsed.lines == 1
    assert parsed.single_instances == (".dcm" in line)


@pytest.mark.parametrize("line", [UID, f"  {UID}  ", f"'{UID}'", f"{UID};"])
def test_a_series_instance_uid(line):
    assert parse_manifest(line).series_instance_uids == [UID]


@pytest.mark.parametrize("line, why", [
    ("hello", "neither"),
    ("1.5", "neither"),
    ("1." * 39 + "1", "neither"),
    ("s3://idc-open-data/*", "no crdc_series_uuid"),
    (f"cp s3://idc-open-data/{A}.dcm .", "no crdc_series_uuid"),
    (f"{A}{B}", "neither"),
    ("cp .", "neither"),
    (",,", "names no series"),
])  # fmt: skip
def test_a_line_that_names_nothing_says_why(line, why):
    parsed = parse_manifest(f"{A}\n{line}")
    ((number, text, reason),) = parsed.problems
    assert (number, text) == (2, line)
    assert why in reason
    assert adds_up(parsed)


def test_comments_blank_lines_line_ends_and_byte_order_mark():
    text = f"\ufeff# IDC\r\n\r\ncp s3://b-1/{A}/* .\r\n  # cp s3://b-1/{B}/* .\r\n{A}\r\nx\r\n"
    parsed = parse_manifest(text)
    assert parsed.series_uuids == [A]
    assert (parsed.lines, parsed.ignored, parsed.duplicates) == (6, 3, 1)
    assert parsed.problems[0].line == 6
    assert adds_up(parsed)


def test_several_on_a_line():
    parsed = parse_manifest(f"{A}, {UID} {B}")
    assert parsed.series_uuids == [A, B]
    assert parsed.series_instance_uids == [UID]


@pytest.mark.parametrize("text, uuids, uids", [
    (f"PatientID,crdc_series_uuid,SeriesInstanceUID\nx,{A},{UID}\n", [A], []),
    (f"PatientID,crdc_series_uuid,SeriesInstanceUID\nx,,{UID}\n", [], [UID]),
    (f'"SeriesInstanceUID"\n"{UID}"\n', [], [UID]),
    (f"Modality\tseries_aws_url\nCT\ts3://idc-open-data/{A}/*\n", [A], []),
    (f"# made by us\n\nurl;note\ns3://idc-open-data/{A}/*;\"a; b\"\n", [A], []),
    (f"seriesinstanceuid\r\n{UID}\r\n", [], [UID]),
])  # fmt: skip
def test_tables(text, uuids, uids):
    parsed = parse_manifest(text)
    assert (parsed.series_uuids, parsed.series_instance_uids) == (uuids, uids)
    assert not parsed.problems
    assert adds_up(parsed)


def test_a_row_without_identifier_is_a_problem():
    parsed = parse_manifest(f"PatientID,crdc_series_uuid\nx,{A}\ny,\nz,{A}\nw,oops\n\n")
    assert [(problem.line, problem.text) for problem in parsed.problems] == [(3, "y,"), (5, "oops")]
    assert (parsed.duplicates, parsed.lines) == (1, 6)
    assert adds_up(parsed)


@pytest.mark.parametrize("content", [
    [A, UID],
    [{"crdc_series_uuid": A}, {"SeriesInstanceUID": UID}],
    {"series": [f"s3://idc-open-data/{A}/*", UID]},
])  # fmt: skip
def test_json(content):
    parsed = parse_manifest(json.dumps(content))
    assert (parsed.series_uuids, parsed.series_instance_uids) == ([A], [UID])
    assert adds_up(parsed)


def test_json_lines_bad_items_and_python_lists():
    lines = f'{{"crdc_series_uuid": "{A}"}}\n{{"crdc_series_uuid": "{B}"}}\n'
    assert parse_manifest(lines).series_uuids == [A, B]
    bad = parse_manifest(json.dumps([A, 5, {"x": 1}, None]))
    assert [problem.line for problem in bad.problems] == [2, 3, 4]
    assert adds_up(bad)
    assert parse_manifest(f"['{A}', '{B}']").series_uuids == [A, B]
    assert parse_manifest("[" * 100_000).problems


def test_a_list_of_tcia():
    text = f"downloadServerUrl=https://x\nincludeAnnotation=true\nListOfSeriesToDownload=\n{UID}\n"
    parsed = parse_manifest(text)
    assert parsed.series_instance_uids == [UID]
    assert (parsed.ignored, parsed.problems) == (3, [])


@pytest.mark.parametrize(
    "text", ["", "\n", "\ufeff", "# only\n", "[]", "{}", "SeriesInstanceUID\n"]
)
def test_nothing_in_it(text):
    parsed = parse_manifest(text)
    assert (parsed.series_uuids, parsed.series_instance_uids) == ([], [])
    assert adds_up(parsed)


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        alphabet=st.sampled_from(list(f"{A[:12]}/*.# ,;'\"\n\r\t[]{{}}:scp3\ufeff1")), max_size=300
    )
)
def test_any_text_adds_up(text):
    assert adds_up(parse_manifest(text))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.uuids().map(str), max_size=30),
    st.lists(st.sampled_from(["# c", "", "junk", f"cp s3://b-1/{A}/* ."]), max_size=10),
    st.randoms(use_true_random=False),
)
def test_what_is_written_is_read_back(uuids, noise, random):
    lines = [random.choice(["cp s3://b-1/{}/* .", "s3://b-1/{}/*", "{}"]).format(u) for u in uuids]
    lines += noise
    random.shuffle(lines)
    parsed = parse_manifest("\n".join(lines))
    expected = set(uuids) | ({A} if any(A in line for line in noise) else set())
    assert set(parsed.series_uuids) == expected
    assert len(parsed.series_uuids) == len(expected)
    assert len(parsed.problems) == noise.count("junk")
    assert adds_up(parsed)


def test_half_a_million_lines():
    text = "\n".join(
        f"cp s3://idc-open-data/{n:08x}-0000-4000-8000-000000000000/* ." for n in range(500_000)
    )
    parsed = parse_manifest(text)
    assert parsed.understood == 500_000
    assert adds_up(parsed)
