"""`idc-mcp demo`: a real question through a real server, end to end."""

import re

import pytest


@pytest.mark.slow
def test_demo(process, tmp_path):
    result = process("demo", TMPDIR=str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "14 tools" in result.stdout
    for tool in (
        "idc_search", "idc_cohort", "idc_size", "idc_licenses", "idc_citations", "idc_viewer",
        "idc_manifest", "idc_sql", "idc_download", "idc_jobs", "idc_job_control",
    ):  # fmt: skip
        assert f"▶ {tool}(" in result.stdout
    _, _, short = result.stdout.partition("In short")
    assert "patients" in short
    assert "CC BY" in short
    assert "https://viewer.imaging.datacommons.cancer.gov/" in short
    assert "s5cmd --no-sign-request" in short
    assert "\033" not in result.stdout
    assert re.search(
        r"^Disk    253 files by size and MD5, after a cancel and a resume", short, re.M
    )

    # Its download: planned, under way, cancelled, resumed, verified; and nothing of it stays.
    _, _, download = result.stdout.partition("And the files")
    assert "serves stand-ins" in download
    states = re.findall(r"^state +(.+)$", download, re.M)
    assert states[0] == "planned"
    assert states[-4:] == ["cancelled", "starting", "complete", "complete"]
    assert len(re.findall(r"^  … .* of 64\.3 MB \(\d+%\), .*/s", download, re.M)) >= 3
    cut, whole = re.findall(r"^(\d+) of 253 files, all of them byte for byte", download, re.M)
    assert 0 < int(cut) < int(whole) == 253
    assert download.count("; none unfinished") == 2
    for record in ("cohort.json", "manifest.s5cmd", "LICENSES", "CITATIONS.bib"):
        assert f"  {record} " in download
    left = [path.name for path in tmp_path.rglob("*") if "idc-mcp-demo" in str(path)]
    assert [name for name in left if "idc-mcp-demo" not in name] == ["chest-ct-ge.s5cmd"]
