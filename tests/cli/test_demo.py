"""`idc-mcp demo`: a real question through a real server, end to end."""

import pytest


@pytest.mark.slow
def test_demo(process):
    result = process("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "10 tools" in result.stdout
    for tool in (
        "idc_search", "idc_cohort", "idc_size", "idc_licenses", "idc_citations", "idc_viewer",
        "idc_manifest", "idc_sql",
    ):  # fmt: skip
        assert f"▶ {tool}(" in result.stdout
    _, _, short = result.stdout.partition("In short")
    assert "patients" in short
    assert "CC BY" in short
    assert "https://viewer.imaging.datacommons.cancer.gov/" in short
    assert "s5cmd --no-sign-request" in short
    assert "\033" not in result.stdout
