"""The tool that writes manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from idc_mcp.answers import Answer
from idc_mcp.app import App
from idc_mcp.idc.buckets import Source
from idc_mcp.idc.cohorts.resolve import name_for
from idc_mcp.idc.manifests import writing as manifests
from idc_mcp.idc.manifests.writing import Format
from idc_mcp.outputs import output_path
from idc_mcp.quantities import bytes_text


class ManifestAnswer(Answer):
    """A manifest: the file and its command, or its first lines."""

    series: int
    bytes: int
    size: str
    files: int | None = None
    file: str = ""
    command: str = ""
    preview: list[str] | None = None
    note: str = ""


def idc_manifest(
    app: App,
    cohort: Annotated[str, Field(description="Handle or identifiers")],
    format: Annotated[
        Format, Field(description="s5cmd: cp lines as the portal's; urls: bare s3:// lines")
    ] = "s5cmd",
    source: Annotated[Source, Field(description="Cloud to download from")] = "aws",
    save_as: Annotated[str, Field(description="File name; none: a preview")] = "",
) -> ManifestAnswer:
    """Download manifest of a cohort: the URLs of its files (s5cmd, CSV, Parquet, JSON).

    With save_as a file and the one command that uses it; else a preview. Exact series and
    bytes. Prior versions keep their own address.
    """
    resolved = app.cohorts.resolve(cohort)
    found = manifests.counts(app.index, resolved)
    answer = ManifestAnswer(
        release=app.release_name,
        understood=resolved.understood,
        series=found.series,
        bytes=found.bytes,
        size=bytes_text(found.bytes),
        files=None if found.without_files else found.files,
        note=f"Files unknown for {found.without_files:,} series of prior versions."
        if found.without_files
        else "",
    )
    suffixes = manifests.SUFFIXES[format]
    if not save_as:
        hosted = app.settings.hosted
        count = manifests.HOSTED_LINES if hosted else manifests.PREVIEW_LINES
        lines = manifests.preview(app.index, resolved, format, source, count)
        note = f"The first {min(found.series, count)} of {found.series:,} series."
        if hosted:
            # What is shown of the tabular formats is CSV.
            format = "csv" if suffixes[0] in (".parquet", ".json") else format
            name = manifests.file_name(resolved, format, source)
            path = Path(name)
            note += f" The command is for a file {name} of these lines."
        else:
            name = manifests.file_name(resolved, format, source)
            path = app.settings.output_dir / name
            note += (
                f" All of them: idc_manifest(cohort={name_for(app.cohorts, cohort, resolved)!r}, "
                f"format={format!r}, source={source!r}, save_as={name!r}); the command is for "
                "that file."
            )
        return answer.model_copy(
            update={
                "preview": lines,
                "command": manifests.command(path, format, source),
                "note": f"{answer.note} {note}".strip(),
            }
        )
    path = output_path(app.settings, save_as, suffixes)
    manifests.write(app.index, resolved, format, source, path)
    return answer.model_copy(
        update={"file": str(path), "command": manifests.command(path, format, source)}
    )
