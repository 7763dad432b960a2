"""Files for callers go below the output directory, whole, and replace nothing."""

import pytest

from idc_mcp.errors import BadArgument, IdcError, Refused
from idc_mcp.files import write_whole
from idc_mcp.outputs import output_path
from tests.conftest import settings_at


def test_below_the_output_directory(settings):
    path = output_path(settings, "a/b/result.CSV", (".csv",))
    assert path == settings.output_dir.resolve() / "a/b/result.CSV"
    write_whole(path, "x")
    assert [found.name for found in path.parent.iterdir()] == ["result.CSV"]


@pytest.mark.parametrize("name", ["../x.csv", "/tmp/x.csv", "a/../../x.csv", "~/x.csv"])
def test_outside_is_refused(settings, name):
    with pytest.raises(Refused, match="outside"):
        output_path(settings, name, (".csv",))


def test_links_are_followed_before_the_proof(settings, tmp_path):
    settings.output_dir.mkdir()
    (settings.output_dir / "link").symlink_to(tmp_path)
    (settings.output_dir / "file.csv").symlink_to(tmp_path / "elsewhere.csv")
    for name in ("link/x.csv", "file.csv"):
        with pytest.raises(Refused):
            output_path(settings, name, (".csv",))


@pytest.mark.parametrize("name", ["", " ", "x", "x.exe", ".", "a\0b.csv"])
def test_what_is_no_file_name_is_an_error(settings, name):
    with pytest.raises(IdcError) as error:
        output_path(settings, name, (".csv", ".json"))
    assert error.value.next_step


def test_nothing_is_overwritten(settings):
    path = output_path(settings, "x.csv", (".csv",))
    write_whole(path, "mine")
    with pytest.raises(BadArgument) as error:
        output_path(settings, "x.csv", (".csv",))
    assert error.value.nearest == ("x-2.csv",)
    assert path.read_text() == "mine"


def test_a_failed_write_leaves_nothing(settings, monkeypatch):
    path = output_path(settings, "x.csv", (".csv",))
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert list(path.parent.iterdir()) == []


def test_hosted_servers_write_nothing(tmp_path, cache_dir):
    with pytest.raises(Refused, match="shared"):
        output_path(settings_at(tmp_path, cache_dir, hosted=True), "x.csv", (".csv",))
