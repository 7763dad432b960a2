"""Identifiers in code spans: a word like `tumor_locations` or `SliceThickness` means something.

It is a name of the server, of the catalogue or of DICOM, or it stands in a block of the document,
which runs. What is left is listed in `OTHERS` with what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydicom.datadict import DicomDictionary

from idc_mcp.answers import Answer
from idc_mcp.app import App
from idc_mcp.idc.filters.filters import Filters
from idc_mcp.settings import Settings
from tests import docs_blocks, docs_names
from tests.skill import bigquery

IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+|[A-Za-z]+[a-z][A-Z][A-Za-z0-9]*")

OTHERS = {
    "of highdicom": "apply_presentation_lut combine_segments lazy_frame_retrieval",
    "of wsidicom": "WsiDicom read_region",
    "of idc-index and its command": """downloadDir download_from_manifest manifestFile sql_query
        fetch_index get_clinical_table""",
    "of Google's client and command for BigQuery": """use_legacy_sql job_config maximum_bytes_billed
        source_format""",
    "datasets and tables of BigQuery": "idc_current idc_current_clinical dicom_all_view",
    "of S3's listing": "IsTruncated NextContinuationToken",
    "of DICOMweb and viewers": "BulkDataURI StudyInstanceUIDs",
    "columns of earlier releases": "CancerTypes TumorLocations",
    "files of idc-index-data, and their metadata": "idc_index NAME_schema idc_index_data_version",
    "of GitHub and Hugging Face": "ImagingDataCommons",
    "of Python": "TypeError",
}
"""Names of other things, by what they are of."""

_OTHERS = {name for names in OTHERS.values() for name in names.split()}
_PRIVATE = re.compile(r"Tag_[0-9A-F]{8}")


def strangers(document: str, app: App, full_app: App, tools: dict[str, Any]) -> list[str]:
    """`document:line: name` of identifiers that nothing has."""
    in_blocks = {
        word
        for block in docs_blocks.blocks(document)
        for text in (block.content, *(block.shown or []))
        for word in re.findall(r"\w+", text)
    }
    known = in_blocks | _of_the_server(app, full_app) | _of_tools(tools) | _of_bigquery() | _OTHERS
    found = []
    for number, line in enumerate(docs_blocks.prose(document).splitlines(), 1):
        for span in docs_names.code(re.sub(r"https?://[^\s`]+", "", line)):
            for word in re.findall(r"(?<![\w.])[A-Za-z]\w*", span):
                is_known = word in known or _PRIVATE.fullmatch(word)
                if IDENTIFIER.fullmatch(word) and not is_known:
                    found.append(f"{document}:{number}: {word}")
    return found


def _of_tools(tools: dict[str, Any]) -> set[str]:
    names = set(tools)
    for tool in tools.values():
        names |= set(re.findall(r"\w+", str(tool.parameters)))
    for answer in _below(Answer):
        names |= set(answer.model_fields)
    return names


def _below(kind: type[Answer]) -> Iterator[type[Answer]]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


@cache
def _of_the_server(app: App, full_app: App) -> set[str]:
    names = {*Filters.model_fields, *Settings.__dataclass_fields__, *docs_names.SETTINGS}
    for release in (app.release, full_app.release):
        names |= {*release.bundled, *release.specialised, *release.schemas}
        for schema in release.schemas.values():
            names |= {column.name for column in schema.columns}
    for sql in (
        "SELECT collection_id FROM collections_index",
        "SELECT analysis_result_id FROM analysis_results_index",
        "SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views()",
        "SELECT column_name FROM duckdb_columns()",
        "SELECT DISTINCT function_name FROM duckdb_functions()",
    ):
        names |= {name for (name,) in full_app.index.rows(sql)}
    return names | {entry[4] for entry in DicomDictionary.values()}


@cache
def _of_bigquery() -> set[str]:
    tables = bigquery.all_tables() | bigquery.CLINICAL
    return set(tables) | {
        word for columns in tables.values() for pair in columns.items() for text in pair
        for word in re.findall(r"\w+", text)
    }  # fmt: skip
