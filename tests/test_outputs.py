"""Files for callers go below the output directory, whole, and replace nothing."""

import contextlib

import pytest

from idc_mcp.cli.download import _folder
from idc_mcp.errors import BadArgument, IdcError, Refused, Unavailable
from idc_mcp.files import write_whole
from idc_mcp.outputs import output_directory, output_path
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


def test_a_name_as_long_as_can_be_has_a_free_one_beside(settings):
    name = "ü" * 125 + "x.csv"
    write_whole(output_path(settings, name, (".csv",)), "mine")
    with pytest.raises(BadArgument) as error:
        output_path(settings, name, (".csv",))
    (free,) = error.value.nearest
    write_whole(output_path(settings, free, (".csv",)), "another")


# -- names that no file system has, and directories ------------------------------------------


def saved(settings, name):
    return output_path(settings, f"{name}.csv", (".csv",))


def at_a_terminal(settings, name):
    """As `idc-mcp download` takes it, whose current directory is the output directory."""
    settings.output_dir.mkdir(exist_ok=True)
    with contextlib.chdir(settings.output_dir):
        return _folder(name)


EVERYWHERE = pytest.mark.parametrize(
    "place", [saved, output_directory, at_a_terminal], ids=lambda place: place.__name__
)
LONG = "n" * 300


@EVERYWHERE
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("~nobody_x/y", "home directory"),
        (LONG, "at most 255"),
        (f"x/{LONG}/c", "at most 255"),
        (f"x/{LONG}", "at most 255"),
        ("ü" * 130, "260|264"),  # bytes count, not characters
        ("d/" * 3_000 + "d", "too long"),
        ("a\udcffb", "UTF-8"),
        ("a\ud800/b", "UTF-8"),
        ("circle/x", "(?i)loop|circle|levels"),
        ("linked/x", "UTF-8"),
        ("file/x", "is a file"),
        ("file/x/y", "is a file"),
        ("a\0b", "is not a"),
    ],
)
def test_what_can_be_no_path_is_told(settings, place, name, why):
    root = settings.output_dir
    root.mkdir()
    (root / "circle").symlink_to("round")
    (root / "round").symlink_to("circle")
    (root / "linked").symlink_to("\udcff")
    (root / "file").touch()
    with pytest.raises(BadArgument, match=why) as error:
        place(settings, name)
    assert error.value.next_step
    str(error.value).encode()
    assert sorted(path.name for path in root.iterdir()) == ["circle", "file", "linked", "round"]


@EVERYWHERE
@pytest.mark.parametrize("name", ["n" * 251, "ü" * 125, "a/b", f"{LONG}/../b", "so.far"])
def test_what_can_be_one_is(settings, place, name):
    path = place(settings, name)
    assert path.is_relative_to(settings.output_dir.resolve())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir()


def test_a_directory_lies_below_the_output_directory(settings, tmp_path):
    root = settings.output_dir.resolve()
    assert output_directory(settings, " data/lung ") == root / "data" / "lung"
    assert output_directory(settings, ".") == root
    assert not root.exists()
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    for name in ("..", "/tmp", "~", "link/x", "link"):
        with pytest.raises(Refused, match="outside"):
            output_directory(settings, name)
    for name in ("", " "):
        with pytest.raises(BadArgument, match="not a directory's name"):
            output_directory(settings, name)


def test_at_a_terminal_any_directory_will_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _folder("~/x") == tmp_path.resolve() / "x"
    assert _folder(str(tmp_path / "a" / ".." / " b")) == tmp_path.resolve() / " b"
    with pytest.raises(BadArgument, match="not a directory's name"):
        _folder(" ")


@pytest.mark.parametrize("place", [saved, output_directory], ids=lambda place: place.__name__)
@pytest.mark.parametrize("name", ["circle", "\udcff"])
def test_an_output_directory_that_cannot_be_used(tmp_path, cache_dir, place, name):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(Unavailable) as error:
        place(settings_at(tmp_path, cache_dir, output_dir=tmp_path / name), "x")
    assert "IDC_MCP_OUTPUT_DIR" in error.value.next_step
    str(error.value).encode()
