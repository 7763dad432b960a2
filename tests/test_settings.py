"""Settings: every one from the environment, and no silent default for what is not understood."""

from pathlib import Path

import pytest

from idc_mcp.errors import BadArgument
from idc_mcp.settings import Settings


def test_environment_sets_each_kind():
    settings = Settings.from_env(
        {
            "IDC_MCP_CACHE_DIR": "~/cache", "IDC_MCP_OFFLINE": "yes",
            "IDC_MCP_SQL_TIMEOUT_S": "1.5", "IDC_MCP_SQL_WORKERS": "2",
            "IDC_MCP_DOI_URL": "http://127.0.0.1:1", "HOME": "/x",
        }
    )  # fmt: skip
    assert settings.cache_dir == Path("~/cache").expanduser()
    assert (settings.offline, settings.sql_timeout_s, settings.sql_workers) == (True, 1.5, 2)
    assert settings.doi_url == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("IDC_MCP_CACHEDIR", "/x", "IDC_MCP_CACHE_DIR"),
        ("IDC_MCP_OFFLINE", "maybe", "yes or no"),
        ("IDC_MCP_SQL_WORKERS", "many", "int"),
        ("IDC_MCP_SQL_WORKERS", "0", "outside 1 to 64"),
        ("IDC_MCP_SQL_TIMEOUT_S", "-1", "outside"),
        ("IDC_MCP_CACHE_DIR", " ", "Path"),
        ("IDC_MCP_LOG", "everything", "none, requests, arguments"),
    ],
)
def test_what_is_not_understood_is_an_error(variable, value, said):
    with pytest.raises(BadArgument) as error:
        Settings.from_env({variable: value})
    assert said in str(error.value)


def test_overrides_win_unless_none():
    environ = {"IDC_MCP_HOSTED": "1"}
    assert Settings.from_env(environ, hosted=None).hosted
    assert not Settings.from_env(environ, hosted=False).hosted


def test_a_hosted_server_has_defaults_of_its_own():
    alone, shared = Settings.from_env({}), Settings.from_env({}, hosted=True)
    assert (alone.log, alone.rate_per_minute, alone.calls_at_once, alone.cohorts_mb) == (
        "none", 0, 0, 0,
    )  # fmt: skip
    assert (shared.log, shared.rate_per_minute) == ("requests", 120)
    assert 0 < shared.calls_at_once < shared.sql_workers, "one process is left for the others"
    assert shared.cohorts_mb > 0
    given = Settings.from_env({"IDC_MCP_HOSTED": "1", "IDC_MCP_LOG": "none"}, cohorts_mb=0)
    assert (given.log, given.cohorts_mb, given.rate_per_minute) == ("none", 0, 120)
