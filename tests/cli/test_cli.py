"""The command line as a user: what is printed, where, and with which exit status."""

import json
import subprocess

import pytest

from idc_mcp import __version__
from tests.server.conftest import IDC_MCP, environment

RELEASE = "IDC v25 (idc-index-data 25.0.5)"
NM = "SELECT SeriesInstanceUID FROM index WHERE Modality = 'NM'"


def test_search(run, fields):
    result = run("search", "lung", "cancer", "CT", "--limit", "3")
    assert result.returncode == 0, result.stderr
    assert fields(result.stdout)["release"] == RELEASE
    assert "nlst" in result.stdout
    assert "idc_cohort(filters=" in result.stdout


@pytest.mark.parametrize("from_stdin", [False, True])
def test_sql(process, from_stdin):
    statement = "SELECT Modality, count(*) AS series FROM index WHERE Modality = 'NM' GROUP BY ALL"
    result = process("sql", "-", stdin=statement) if from_stdin else process("sql", statement)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-3:] == [
        "Modality  series",
        "────────  ──────",
        "NM           100",
    ]


def test_sql_saves_below_the_output_directory_and_nowhere_else(run, fields, tmp_path):
    statement = "SELECT collection_id, subjects FROM collections_index"
    saved = run("sql", statement, "--max-rows", "2", "--save-as", "subjects.csv")
    assert saved.returncode == 0, saved.stderr
    path = tmp_path / "output" / "subjects.csv"
    assert fields(saved.stdout)["saved"] == str(path)
    assert len(path.read_text().splitlines()) == 1 + 179
    outside = run("sql", statement, "--save-as", "../subjects.csv")
    assert outside.returncode == 2
    assert "outside the output directory" in outside.stderr
    assert not (tmp_path / "subjects.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "series"),
    [
        (["4d_lung"], "6,690"),
        (["TCGA-LUAD", "-f", "Modality=CT"], "551"),
        (["-f", "Modality=NM, XA"], None),
        (["4d_lung", "-f", "instanceCount=50..", "-f", "StudyDate=2000-01-01..2030-01-01"],
         "1,910"),
        (["-f", "has_annotations=yes", "-f", "Modality=CT", "tcga_luad"], None),
        (["--sql", NM, "--name", "nuclear"], "100"),
    ],
)  # fmt: skip
def test_cohort(run, fields, arguments, series):
    result = run("cohort", *arguments)
    assert result.returncode == 0, result.stderr
    card = fields(result.stdout)
    assert card["handle"].startswith("c_")
    assert series is None or card["series"] == series
    assert card["next"]


def test_a_cohort_is_found_again_by_the_next_command(run, process, fields):
    handle = fields(process("cohort", "--sql", NM).stdout)["handle"]
    counted = run("sql", f"SELECT count(*) AS series FROM {handle}")
    assert counted.stdout.splitlines()[-1].strip() == "100"
    assert "dois" in fields(run("cite", handle).stdout)


def test_cohort_of_a_manifest(run, fields, tmp_path, app):
    urls = app.index.rows("SELECT series_aws_url FROM core.series WHERE Modality = 'NM'")
    manifest = tmp_path / "manifest.s5cmd"
    manifest.write_text("".join(f"cp {url} .\n" for (url,) in urls))
    result = run("cohort", "--manifest", str(manifest))
    assert result.returncode == 0, result.stderr
    assert fields(result.stdout)["series"] == "100"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cohort"], "Nothing defines the cohort"),
        (["cohort", "TCGA_LUADD"], "Nearest: tcga_luad"),
        (["cohort", "-f", "Modality"], "no NAME=VALUE"),
        (["cohort", "-f", "Modality="], "no NAME=VALUE"),
        (["cohort", "-f", "Modalty=CT"], "Nearest: Modality"),
        (["cohort", "-f", "Modality=XX"], "matches no value"),
        (["cohort", "-f", "Manufacturer=SEIMENS"], "Nearest: SIEMENS"),
        (["cohort", "-f", "StudyDate=20100101..20110101"], "2010-01-01?"),
        (["cohort", "-f", "instanceCount=a..b"], "is not read as a number"),
        (["cohort", "-f", "instanceCount=50..10"], "is above"),
        (["cohort", "--sql", "SELECT 1"], "SeriesInstanceUID"),
        (["sql", "SELECT * FROM indexx"], "Nearest: index"),
        (["sql", "DROP TABLE index"], "only reading is possible"),
        (["sql", "SELECT 1", "--max-rows", "0"], "max_rows"),
        (["sql", "SELECT 1", "--max-rows", "1001"], "limit of 1000"),
        (["cite", "nosuch"], "idc_search"),
        (["search", ""], "empty"),
        (["search", "xyzzyqwert"], "Nothing matches"),
        (["search", "lung", "--limit", "0"], "limit"),
    ],
)
def test_what_is_wrong_is_said_in_words(run, arguments, words):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["config", "emacs"], ["search"]])
def test_usage(process, arguments):
    result = process(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: idc-mcp")


def test_two_values_of_a_filter_given_apart_are_both_kept(run, fields):
    apart = run("cohort", "tcga_luad", "-f", "Modality=CT", "-f", "Modality=SEG")
    together = run("cohort", "tcga_luad", "-f", "Modality=CT,SEG")
    assert apart.returncode in (0, 2)
    if apart.returncode == 0:  # otherwise it is refused, not dropped
        assert fields(apart.stdout)["handle"] == fields(together.stdout)["handle"]


def test_what_is_neither_yes_nor_no_is_refused(run):
    result = run("cohort", "4d_lung", "-f", "has_annotations=perhaps")
    assert result.returncode == 2
    assert "has_annotations" in result.stderr


@pytest.mark.parametrize("given", ["instanceCount=88", "StudyDate=1997-07-24"])
def test_one_value_for_a_range(run, given):
    """The tool takes one value for both ends; so does the command."""
    result = run("cohort", "4d_lung", "-f", given)
    assert "a list of two" not in result.stderr
    name, _, value = given.partition("=")
    assert name in result.stdout + result.stderr
    assert value in result.stdout + result.stderr


def test_cite(run, fields):
    result = run("cite", "4d_lung")
    assert result.returncode == 0, result.stderr
    assert fields(result.stdout)["dois"] == "1"
    assert "10.7937/k9/tcia.2016.eln8ygle" in result.stdout
    assert "10.1148/rg.230180" in result.stdout
    assert "release v25" in " ".join(result.stdout.split())


@pytest.mark.parametrize("form", ["bibtex", "csl-json"])
def test_cite_prints_what_belongs_into_a_file(run, form):
    result = run("cite", "4d_lung", "--format", form)
    assert result.returncode == 0, result.stderr
    assert "10.7937/K9/TCIA.2016.ELN8YGLE" in result.stdout
    assert "10.1148/rg.230180" in result.stdout
    if form == "csl-json":
        assert len(json.loads(result.stdout)) == 2
    else:
        entries = [line for line in result.stdout.splitlines() if line.startswith("@")]
        assert len(entries) == 2


@pytest.mark.parametrize("form", ["bibtex", "csl-json"])
def test_cite_says_beside_where_the_entries_come_from(run, form):
    said = run("cite", "4d_lung", "--format", form).stderr
    assert "v25" in said
    assert "catalogue" in said


def test_cite_to_a_file(run, tmp_path):
    result = run("cite", "nlst", "--format", "bibtex", "--save-as", "nlst.bib")
    assert result.returncode == 0, result.stderr
    saved = (tmp_path / "output" / "nlst.bib").read_text()
    assert saved.count("\n@") + saved.startswith("@") == 9  # eight datasets and IDC's own paper


def test_doctor(run):
    result = run("doctor", IDC_MCP_SQL_WORKERS="2")
    assert result.returncode == 0, result.stdout + result.stderr
    said = {tuple(line.split()[:2]): line for line in result.stdout.splitlines() if line.split()}
    assert "25.0.5" in said["ok", "catalogue"]
    assert "not tried" in said["note", "network"]
    assert said["set", "IDC_MCP_SQL_WORKERS"].split()[2] == "2"
    assert said["default", "IDC_MCP_SQL_TIMEOUT_S"].split()[2] == "30.0"
    assert ("ok", "database") in said


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("IDC_MCP_OFLINE", "1", "Nearest: IDC_MCP_OFFLINE"),
        ("IDC_MCP_OFFLINE", "perhaps", "yes or no"),
    ],
)
def test_a_setting_that_is_not_understood(run, variable, value, words):
    result = run("doctor", **{variable: value})
    assert result.returncode == 2
    assert words in result.stderr


def test_doctor_says_what_is_missing(run):
    result = run("doctor", IDC_MCP_OUTPUT_DIR="/proc/nowhere")
    assert result.returncode == (1 if "MISSING" in result.stdout else 0)


def test_build_says_where_the_database_is(run, cache_dir):
    result = run("build")
    assert result.returncode == 0, result.stderr
    assert str(cache_dir) in result.stdout


def test_version(process):
    assert process("--version").stdout == f"idc-mcp {__version__}\n"


def test_a_reader_that_leaves_early_is_no_error(cache_dir, tmp_path):
    result = subprocess.run(
        f"{IDC_MCP} sql 'SELECT collection_id FROM collections_index' | head -1",
        shell=True, capture_output=True, text=True, timeout=60, check=False,
        env=environment(tmp_path, cache_dir),
    )  # fmt: skip
    assert "Traceback" not in result.stderr


def test_config_json_is_what_is_pasted_and_nothing_else(run):
    for client in ("claude-desktop", "cursor", "vscode", "json"):
        json.loads(run("config", client).stdout)
