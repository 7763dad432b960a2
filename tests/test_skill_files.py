"""`idc-mcp skill export`: the skill as files, and nothing of a person's lost."""

import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from idc_mcp.cli import main
from idc_mcp.errors import BadArgument
from idc_mcp.skill import export, export_zip, installed_skill
from tests.docs_blocks import ROOT

NAME = "idc-cancer-imaging"


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def skill():
    return installed_skill()


def test_the_exported_folder_is_that_of_the_repository(tmp_path, capsys):
    assert main(["skill", "export", str(tmp_path / "deep" / "skills")]) == 0
    folder = tmp_path / "deep" / "skills" / NAME
    assert capsys.readouterr().out.strip() == str(folder)
    assert files_of(folder) == files_of(ROOT / "skill")
    assert [path.name for path in folder.parent.iterdir()] == [NAME]


def test_a_second_export_changes_nothing(tmp_path, skill, capsys):
    assert export(skill, tmp_path) == (tmp_path / NAME, True, None)
    before = (tmp_path / NAME / "SKILL.md").stat().st_mtime_ns
    assert main(["skill", "export", str(tmp_path)]) == 0
    assert "there already" in capsys.readouterr().out
    assert (tmp_path / NAME / "SKILL.md").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["edited", "added", "file", "link"])
def test_what_is_there_is_left_as_it_is(tmp_path, skill, change, capsys):
    target = tmp_path / NAME
    elsewhere = tmp_path / "mine"
    if change == "file":
        target.write_text("mine")
    elif change == "link":
        elsewhere.mkdir()
        target.symlink_to(elsewhere)
    else:
        export(skill, tmp_path)
        mine = target / ("SKILL.md" if change == "edited" else "notes.md")
        mine.write_text("mine")
    before = files_of(tmp_path)
    assert main(["skill", "export", str(tmp_path)]) == 2
    advice = capsys.readouterr().err
    assert ("--replace" in advice) == (change in ("edited", "added"))
    assert "move it away" in advice
    assert files_of(tmp_path) == before
    if change in ("file", "link"):
        with pytest.raises(BadArgument):
            export(skill, tmp_path, replace=True)
        assert files_of(tmp_path) == before
    else:
        mine = files_of(target)
        assert main(["skill", "export", str(tmp_path), "--replace"]) == 0
        assert files_of(target) == files_of(ROOT / "skill")
        (kept,) = tmp_path.glob("*.zip")
        assert str(kept) in capsys.readouterr().err
        with zipfile.ZipFile(kept) as packed:
            packed.extractall(tmp_path / "kept")
        assert files_of(tmp_path / "kept" / NAME) == mine


def test_a_zip_holds_the_folder_and_is_the_same_each_time(tmp_path, capsys):
    assert main(["skill", "export", str(tmp_path), "--zip"]) == 0
    path = tmp_path / f"{NAME}.zip"
    assert capsys.readouterr().out.strip() == str(path)
    first = path.read_bytes()
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "unpacked")
    assert files_of(tmp_path / "unpacked" / NAME) == files_of(ROOT / "skill")
    assert main(["skill", "export", str(tmp_path), "--zip"]) == 0
    assert path.read_bytes() == first
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"{NAME}.zip", "unpacked"]


def test_many_at_once_do_no_harm(tmp_path, skill):
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: export_zip(skill, tmp_path), range(16)))
    assert paths == {tmp_path / f"{NAME}.zip"} == set(tmp_path.iterdir())
    assert not zipfile.ZipFile(tmp_path / f"{NAME}.zip").testzip()


def test_a_directory_that_cannot_be_written_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["skill", "export", str(tmp_path / "file" / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err
