"""`idc-mcp skill export DIR`: the skill as files, for clients that read skills from a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from idc_mcp.skill import export, export_zip, installed_skill


def export_skill(arguments: argparse.Namespace) -> int:
    """Write the skill and say where it is."""
    skill = installed_skill()
    directory = Path(arguments.directory).expanduser()
    if arguments.zip:
        print(export_zip(skill, directory))
        return 0
    path, written = export(skill, directory, replace=arguments.replace)
    print(path if written else f"{path} (there already, as this version has it)")
    return 0
