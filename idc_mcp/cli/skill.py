"""`idc-mcp skill export DIR`: the skill as files, for clients that read skills from a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from idc_mcp.skill import export, export_zip, installed_skill


def export_skill(arguments: argparse.Namespace) -> int:
    """Write the skill and say where it is."""
    skill = installed_skill()
    directory = Path(arguments.directory).expanduser()
    if arguments.zip:
        print(export_zip(skill, directory))
        return 0
    exported = export(skill, directory, replace=arguments.replace)
    note = "" if exported.written else " (there already, as this version has it)"
    print(f"{exported.folder}{note}")
    if exported.kept:
        print(f"What was there before is kept in {exported.kept}", file=sys.stderr)
    return 0
