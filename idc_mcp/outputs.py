"""Where files for callers may go: below the output directory, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from idc_mcp.errors import BadArgument, Refused
from idc_mcp.files import private_directory
from idc_mcp.settings import Settings


def output_path(settings: Settings, save_as: str, suffixes: tuple[str, ...]) -> Path:
    """The path that `save_as` names, proven to lie below the output directory.

    Parameters
    ----------
    save_as
        A file name, or a path below the output directory. Symbolic links and `..` are
        followed before the proof.
    suffixes
        The endings that make sense here, such as `.csv`.

    Raises
    ------
    BadArgument
        It is empty, exists already, or has another ending.
    Refused
        It lies outside, or the server is hosted.
    """
    if settings.hosted:
        raise Refused(
            "This server is shared and writes no files for its callers.",
            next_step="leave save_as out and take the answer, or run idc-mcp on your own machine",
        )
    if not save_as.strip() or "\0" in save_as:
        raise BadArgument(
            f"save_as={save_as!r} is not a file name.",
            next_step=f"give a name such as save_as='result{suffixes[0]}'",
        )
    root = private_directory(settings.output_dir).resolve()
    path = (root / Path(save_as).expanduser()).resolve()
    if not path.is_relative_to(root) or path == root:
        raise Refused(
            f"save_as={save_as!r} leads to {path}, outside the output directory {root}.",
            next_step="give a file name, or set IDC_MCP_OUTPUT_DIR before the server starts",
        )
    if path.suffix.lower() not in suffixes:
        raise BadArgument(
            f"save_as={save_as!r} ends in {path.suffix or 'nothing'!r}.",
            nearest=[f"{path.stem}{suffix}" for suffix in suffixes],
            next_step="give one of these endings",
        )
    if path.exists():
        raise BadArgument(
            f"{path} exists already, and nothing is overwritten.",
            nearest=[_free_name(path)],
            next_step="give another name",
        )
    private_directory(path.parent)
    return path


def output_directory(settings: Settings, directory: str) -> Path:
    """The directory that `directory` names, proven to lie below the output directory.

    It need not exist, and nothing is made. Symbolic links and `..` are followed before the
    proof.

    Raises
    ------
    BadArgument
        It is empty, or a file.
    Refused
        It lies outside, or the server is hosted.
    """
    if settings.hosted:
        raise Refused(
            "This server is shared and writes no files for its callers.",
            next_step="take the command of idc_manifest, or run idc-mcp on your own machine",
        )
    if not directory.strip() or "\0" in directory:
        raise BadArgument(
            f"directory={directory!r} is not a directory's name.",
            next_step="give a name such as directory='lung-ct': it is made below "
            f"{settings.output_dir}",
        )
    root = settings.output_dir.resolve()
    path = (root / Path(directory.strip()).expanduser()).resolve()
    if not path.is_relative_to(root):
        raise Refused(
            f"directory={directory!r} leads to {path}, outside the output directory {root}.",
            next_step="give a name below it, or set IDC_MCP_OUTPUT_DIR before the server starts",
        )
    file = next((one for one in (path, *path.parents) if one.exists() and not one.is_dir()), None)
    if file is not None:
        raise BadArgument(f"{file} is a file, not a directory.", next_step="give another name")
    return path


def _free_name(path: Path) -> str:
    number = 2
    while path.with_stem(f"{path.stem}-{number}").exists():
        number += 1
    return path.with_stem(f"{path.stem}-{number}").name
