"""Where files for callers may go: below the output directory, and nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from idc_mcp.errors import BadArgument, Refused, Unavailable
from idc_mcp.files import private_directory
from idc_mcp.settings import Settings

MAX_NAME_BYTES = 255
"""What a name may have on Linux's file systems; macOS and Windows count characters."""


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
        It is empty, exists already, has another ending, or can be no path.
    Refused
        It lies outside, or the server is hosted.
    Unavailable
        The output directory itself cannot be used.
    """
    if settings.hosted:
        raise Refused(
            "This server is shared and writes no files for its callers.",
            next_step="leave save_as out and take the answer, or run idc-mcp on your own machine",
        )
    said, example = f"save_as={save_as!r}", f"save_as='result{suffixes[0]}'"
    private_directory(settings.output_dir)
    root = _root(settings)
    path = _followed(save_as, root, said=said, kind="file", example=example)
    if not path.is_relative_to(root) or path == root:
        raise Refused(
            f"{said} leads to {path}, outside the output directory {root}.",
            next_step="give a file name, or set IDC_MCP_OUTPUT_DIR before the server starts",
        )
    if path.suffix.lower() not in suffixes:
        raise BadArgument(
            f"{said} ends in {path.suffix or 'nothing'!r}.",
            nearest=[f"{path.stem}{suffix}" for suffix in suffixes],
            next_step="give one of these endings",
        )
    _check_above(path.parent, said=said)
    if _mode(path, said=said) is not None:
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
        It is empty, a file, or can be no path.
    Refused
        It lies outside, or the server is hosted.
    Unavailable
        The output directory itself cannot be used.
    """
    if settings.hosted:
        raise Refused(
            "This server is shared and writes no files for its callers.",
            next_step="take the command of idc_manifest, or run idc-mcp on your own machine",
        )
    root = _root(settings)
    return directory_at(
        directory,
        said=f"directory={directory!r}",
        example=f"directory='lung-ct': it is made below {root}",
        root=root,
    )


def directory_at(directory: str, *, said: str, example: str, root: Path | None = None) -> Path:
    """The directory that a text names, `~`, `..` and links followed; nothing is made.

    Parameters
    ----------
    said
        The argument as errors tell it.
    example
        One that would do.
    root
        Where relative ones begin, and what none may lead out of. Without it they begin at the
        current directory, and any directory will do.

    Raises
    ------
    BadArgument
        It is empty, a file or below one, or can be no path.
    Refused
        It lies outside `root`.
    """
    given = directory.strip() if root else directory
    path = _followed(given, root or Path(), said=said, kind="directory", example=example)
    # Before the disk is asked: what lies outside is nobody's business.
    if root and not path.is_relative_to(root):
        raise Refused(
            f"{said} leads to {path}, outside the output directory {root}.",
            next_step="give a name below it, or set IDC_MCP_OUTPUT_DIR before the server starts",
        )
    _check_above(path, said=said)
    return path


def _followed(text: str, base: Path, *, said: str, kind: str, example: str) -> Path:
    """The path that a text names from `base`, whose names a file system can hold."""
    if not text.strip() or "\0" in text:
        raise BadArgument(
            f"{said} is not a {kind}'s name.", next_step=f"give one, such as {example}"
        )
    try:
        # Before the disk is asked, and after: a link may lead to a name that is no text.
        text.encode()
        path = (base / Path(text).expanduser()).resolve()
        str(path).encode()
    except UnicodeEncodeError as error:
        raise BadArgument(
            f"{said} is not text in UTF-8, or leads to a name that is not: it could stand in no "
            "record and no answer.",
            next_step=f"give another name, such as {example}",
        ) from error
    except (OSError, RuntimeError) as error:  # a circle of links; a ~name that nobody has
        why = (error.strerror if isinstance(error, OSError) else "") or str(error).rstrip(".")
        raise BadArgument(
            f"{said} leads nowhere: {why}.", next_step=f"give another name, such as {example}"
        ) from error
    for name in path.parts:
        if (size := len(name.encode())) > MAX_NAME_BYTES:
            raise BadArgument(
                f"{said} cannot be made: {name[:30] + '…'!r} has {size:,} bytes, and a name has "
                f"at most {MAX_NAME_BYTES}.",
                next_step=f"give a shorter name, such as {example}",
            )
    return path


def _check_above(path: Path, *, said: str) -> None:
    """Prove that `path` is a directory or could be made as one."""
    for one in (path, *path.parents):
        mode = _mode(one, said=said)
        if mode is not None and not stat.S_ISDIR(mode):
            # What is a link after all were followed: Python 3.13 is silent of circles.
            what = "a link that leads in a circle" if stat.S_ISLNK(mode) else "a file"
            raise BadArgument(f"{one} is {what}, not a directory.", next_step="give another name")


def _mode(path: Path, *, said: str) -> int | None:
    """What lies at a path; None where nothing does."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # longer than a path may be; in a directory that is closed to us
        raise BadArgument(
            f"{said} cannot be used: {error.strerror or error}.",
            next_step="give a shorter name, or another directory",
        ) from error


def _root(settings: Settings) -> Path:
    """The output directory, links followed."""
    try:
        root = settings.output_dir.resolve()
        str(root).encode()
    except (OSError, RuntimeError, UnicodeEncodeError) as error:
        raise Unavailable(
            f"The output directory {os.fsencode(settings.output_dir)!r} cannot be used: {error}.",
            next_step="set IDC_MCP_OUTPUT_DIR to another before the server starts",
        ) from error
    return root


def _free_name(path: Path) -> str:
    # Room for the number: the name may be as long as one can be.
    stem = path.stem.encode()[: MAX_NAME_BYTES - 20].decode(errors="ignore")
    number = 2
    while os.path.lexists(path.with_stem(f"{stem}-{number}")):
        number += 1
    return path.with_stem(f"{stem}-{number}").name
