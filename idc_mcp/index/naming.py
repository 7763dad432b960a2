"""What a caller may name: tables of the release, cohort handles, the statement's WITH names.

The rules for names stand here, with what to say of a name that is old, misspelt, a file, or
of a table whose rows are not on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from idc_mcp.errors import IdcError, NotFetched, NotFound, Refused
from idc_mcp.index import functions
from idc_mcp.index.release import CLINICAL

SCHEMA = "call idc_schema, which describes tables, columns and their values"

HANDLE = re.compile(r"c_[0-9a-f]{6,64}")
_FILE_SIGNS = re.compile(r"[/\\.:*?\x00-\x1f]")
_BIGQUERY = re.compile(
    r"(?:bigquery-public-data\.)?idc_(?:v\d+|current)(?P<clinical>_clinical)?\.", re.IGNORECASE
)
_ARRAY = re.compile(r"(?:type |types '[^']*)VARCHAR\[\]")
_NUMBER = re.compile(
    r"(?:Could not convert string .* to U?(?:INT|FLOAT|DOUBLE|DECIMAL)"
    r"|Cannot compare values of type VARCHAR and type (?:INTEGER|BIGINT|DECIMAL|DOUBLE))"
)
_TEXT_AS_NAME = re.compile(
    r"column \"([^\"]+)\" not found.*(?:[=<>]|\bI?LIKE|\bIN\s*\([^)]*?)\s*\"\1\"", re.I | re.DOTALL
)
_RESERVED = re.compile(r"at or near \"(column|table|order|group|end|references)\"", re.IGNORECASE)
_DIGIT_NAME = re.compile(r"(?:\b(?:FROM|JOIN)\s+|\.)(\d+[A-Za-z_]\w*)", re.IGNORECASE)
"""What of the engine's words tells of an array, of text compared with a number, of a bare name."""
_SYSTEM_PREFIXES = ("duckdb_", "pg_", "pragma_", "sqlite_")
_SYSTEM_SCHEMAS = {"information_schema", "pg_catalog", "system", "temp"}
_OUR_SCHEMAS = {"core", "facts"}

RENAMED_TABLES = {
    "idc_index": "index",
    "collections": "collections_index",
    "original_collections_metadata": "collections_index",
    "analysis_results": "analysis_results_index",
    "analysis_results_metadata": "analysis_results_index",
    "prior_versions": "prior_versions_index",
    "version_metadata": "version_metadata_index",
    "pathology_index": "sm_index",
    "column_metadata": "clinical_index",
    "table_metadata": "clinical_index",
}
"""Names that older recipes use."""

_BIGQUERY_ONLY = {
    "dicom_all": "index", "dicom_metadata": "index", "dicom_pivot": "index",
    "dicom_derived_all": "index", "auxiliary_metadata": "index", "segmentations": "seg_index",
    "quantitative_measurements": "index", "qualitative_measurements": "index",
    "measurement_groups": "index",
}  # fmt: skip
"""Tables of BigQuery with a row an instance, segment or measurement, and what is nearest here."""

RENAMED_COLUMNS = {
    "cancertypes": "cancer_types", "cancertype": "cancer_types", "cancer_type": "cancer_types",
    "tumorlocations": "tumor_locations", "tumorlocation": "tumor_locations",
    "tumor_location": "tumor_locations", "supportingdata": "supporting_data",
    "program": "program_id", "collection": "collection_id",
    "tcia_api_collection_id": "collection_id",
    "doi": "source_DOI", "subject": "subjects", "analysisartifacts": "modalities",
    "license": "license_short_name", "gcs_bucket": "aws_bucket",
    "patient_id": "PatientID", "patient_sex": "PatientSex", "patient_age": "PatientAge",
    "study_instance_uid": "StudyInstanceUID", "series_instance_uid": "SeriesInstanceUID",
    "body_part_examined": "BodyPartExamined", "instance_count": "instanceCount",
    "instance_size": "series_size_MB", "series_size": "series_size_MB",
    "series_size_bytes": "series_size_MB",
    "segmentedpropertytype": "SegmentedPropertyType_CodeMeanings",
    "segmentedpropertytype_codemeaning": "SegmentedPropertyType_CodeMeanings",
    "segmentedpropertycategory": "SegmentedPropertyCategory_CodeMeanings",
    "segmentedpropertycategory_codemeaning": "SegmentedPropertyCategory_CodeMeanings",
    "anatomicregion": "AnatomicRegion_CodeMeanings",
    "anatomicregion_codemeaning": "AnatomicRegion_CodeMeanings",
    "segmentalgorithmtype": "AlgorithmType", "segmentalgorithmname": "AlgorithmName",
    "algorithmnames": "AlgorithmName", "roiname": "ROINames",
    "roigenerationalgorithm": "ROIGenerationAlgorithms",
    "rtroiinterpretedtype": "RTROIInterpretedTypes",
    "graphictypes": "GraphicType", "total_annotations": "NumberOfAnnotations",
    "annotationgrouplabels": "AnnotationGroupLabel",
    "annotationgenerationtypes": "AnnotationGroupGenerationType",
    "annotationpropertytypes": "AnnotationPropertyType_CodeMeaning",
    "annotationpropertycategories": "AnnotationPropertyCategory_CodeMeaning",
    "pixelspacing": "PixelSpacing_row_mm", "xraytubecurrent": "XRayTubeCurrent_max",
    "exposure": "Exposure_max", "exposuretime": "ExposureTime_max",
    "total_pixel_matrix_columns": "max_TotalPixelMatrixColumns",
    "total_pixel_matrix_rows": "max_TotalPixelMatrixRows",
    "location": "tumor_locations", "dateupdated": "updated", "imagetypes": "sources",
    "licenseshortname": "license_short_name", "licenselongname": "license_long_name",
    "licenseurl": "license_url", "gcs_url": "series_aws_url", "aws_url": "series_aws_url",
    "series_uuid": "crdc_series_uuid", "seriessizemb": "series_size_MB",
    "idc_version": "series_init_idc_version",
}  # fmt: skip
"""Columns of older releases, of BigQuery and of DICOM, with today's name, all in lower case."""


@dataclass(frozen=True)
class Catalogue:
    """What a caller may name."""

    tables: Collection[str]
    described: Collection[str] = ()
    cohorts: Collection[str] = ()
    clinical: Collection[str] = ()
    collections: Collection[str] = ()
    """Needed while no clinical table is here: theirs begin with the collection's name."""


def with_names(nodes: list[dict[str, Any]]) -> set[str]:
    """Names that WITH gives. Wherever they stand, none can mean a file or a system table."""
    names = set()
    for node in nodes:
        if isinstance(node.get("cte_map"), dict):
            names |= {str(entry["key"]).lower() for entry in node["cte_map"]["map"]}
    for name in names:
        if name.startswith(_SYSTEM_PREFIXES) or _FILE_SIGNS.search(name):
            raise Refused(
                f"WITH may not use the name '{name}', which can also mean a file or a table of "
                "the system.",
                next_step="give it another name, of letters, digits and _",
            )
    return names


def cohort_of(node: dict[str, Any], ctes: set[str], catalogue: Catalogue) -> str | None:
    """Check a table reference of the engine's tree; the cohort's handle where it is one.

    Raises
    ------
    Refused, NotFound, Unavailable
    """
    written = str(node["table_name"])
    name, schema = written.lower(), str(node["schema_name"]).lower()
    path = node.get("qualified_name", {}).get("path", ())
    known_schemas = {"", "main", "recurring", CLINICAL}
    if node["catalog_name"] or len(path) > 2 or schema not in known_schemas:
        raise _wrong_schema(".".join(filter(None, (node["catalog_name"], schema, written))), schema)
    if schema == "recurring" and name not in ctes:
        raise _wrong_schema(f"{schema}.{written}", schema)
    if name in ctes and schema in {"", "recurring"}:
        return None
    if schema != CLINICAL and name in {table.lower() for table in catalogue.tables}:
        return None
    if schema != "main" and name in {table.lower() for table in catalogue.clinical}:
        return None
    if schema == CLINICAL:
        raise _no_clinical_table(written, catalogue)
    if HANDLE.fullmatch(name):
        if name not in catalogue.cohorts or schema:
            raise NotFound(
                f"No cohort {written} is known here.",
                next_step="call idc_cohort with what it should hold; it gives the handle to use",
            )
        return name
    if schema == "main" and name in {table.lower() for table in catalogue.clinical}:
        raise NotFound(
            f"There is no table main.{written}: it is a clinical table.",
            nearest=[f"{CLINICAL}.{written}"],
            next_step=f"write FROM {CLINICAL}.{written}, or the name alone",
        )
    raise _no_table(written, catalogue, plain=not schema)


def _wrong_schema(written: str, schema: str) -> IdcError:
    if schema in _SYSTEM_SCHEMAS:
        return Refused(f"{written} is a table of the system.", next_step=SCHEMA)
    if schema in _OUR_SCHEMAS:
        return Refused(f"{written} is internal to this server.", next_step=SCHEMA)
    if bigquery := _BIGQUERY.match(written):
        table = written.rsplit(".", 1)[-1].lower()
        if table in _BIGQUERY_ONLY:
            return _bigquery_only(table)
        here = f"{CLINICAL}.{table}" if bigquery["clinical"] else RENAMED_TABLES.get(table, table)
        return Refused(
            f"{written} is a name of BigQuery, which is not asked from here.",
            next_step=f"write {here}; {SCHEMA}",
        )
    return Refused(
        f"{written} names a database or schema; there are only main and {CLINICAL}.",
        next_step=f"name the table alone; {SCHEMA}",
    )


def _bigquery_only(table: str) -> NotFound:
    return NotFound(
        f"{table} is in BigQuery only (bigquery-public-data.idc_current.{table}): the tables here "
        "have a row a series.",
        nearest=[_BIGQUERY_ONLY[table]],
        next_step=SCHEMA,
    )


def _no_clinical_table(written: str, catalogue: Catalogue) -> IdcError:
    if not catalogue.clinical:
        return NotFetched(
            "The clinical tables are not on this machine.",
            next_step=f"idc-mcp fetch {CLINICAL}",
            tables=[CLINICAL],
        )
    return NotFound(
        f"There is no clinical table {written}.",
        nearest=get_close_matches(written.lower(), catalogue.clinical, n=3),
        next_step="idc_search finds clinical tables and columns by what they mean",
    )


def _no_table(written: str, catalogue: Catalogue, *, plain: bool) -> IdcError:
    name = written.lower()
    described = {table.lower(): table for table in catalogue.described}
    if name in described:
        return NotFetched(
            f"The release describes the table {described[name]}, but its rows are not on this "
            "machine.",
            next_step=f"idc-mcp fetch {described[name]}; idc_schema(table='{described[name]}') "
            "tells its columns",
            tables=[described[name]],
        )
    if name in RENAMED_TABLES:
        return NotFound(
            f"There is no table {written}; this release calls it {RENAMED_TABLES[name]}.",
            nearest=[RENAMED_TABLES[name]],
            next_step=f'write FROM "{RENAMED_TABLES[name]}"',
        )
    if name in _BIGQUERY_ONLY:
        return _bigquery_only(name)
    if _BIGQUERY.match(name):  # between backticks it is one name
        return _wrong_schema(name, "")
    if name.startswith(_SYSTEM_PREFIXES):
        return Refused(f"{written} is a table of the system.", next_step=SCHEMA)
    if _FILE_SIGNS.search(written):
        return Refused(
            f"'{written}' would be a file: files are not read.", next_step=functions.FILES[1]
        )
    if plain and not catalogue.clinical and (collection := _collection_of(name, catalogue)):
        return NotFetched(
            f"There is no table {written} here. It may be a clinical table, as its name begins "
            f"with the collection {collection}: those are not on this machine.",
            next_step=f"idc-mcp fetch {CLINICAL}",
            tables=[CLINICAL],
        )
    return NotFound(
        f"There is no table {written}.",
        nearest=get_close_matches(name, [*catalogue.tables, *described, *catalogue.clinical], n=3),
        next_step=f"the tables are {', '.join(catalogue.tables)}; {SCHEMA}"
        + ("" if catalogue.clinical else f"; a clinical table is named {CLINICAL}.{written}"),
    )


def _collection_of(name: str, catalogue: Catalogue) -> str:
    """The collection that a name may be a clinical table of, as nlst_canc is of nlst."""
    begun = [known for known in catalogue.collections if name.startswith(f"{known.lower()}_")]
    return max(begun, key=len, default="")


def hint(message: str) -> str:
    """What to add to an error of the engine: the successor of an old column name."""
    quoted = {name.lower() for name in re.findall(r'"([^"]+)"', message.split("\n", 1)[0])}
    for name in sorted(quoted & RENAMED_COLUMNS.keys()):
        return f"the column is called {RENAMED_COLUMNS[name]} in this release; {SCHEMA}"
    if message.startswith(("Binder Error", "Conversion Error")) and _ARRAY.search(message):
        return (
            "the column is an array: list_contains(column, 'Liver') finds a value, "
            f"len(list_filter(column, lambda x: x ILIKE '%liver%')) > 0 a part of one; {SCHEMA}"
        )
    if text := _TEXT_AS_NAME.search(message):
        return f"text stands in single quotes, '{text[1]}'; double quotes are for names"
    if "not found" in message or "does not exist" in message:
        return SCHEMA
    if message.startswith(("Binder Error", "Conversion Error")):
        codes = "codes are text: quote them ('400'); " if _NUMBER.search(message) else ""
        types = "check the types: PatientAge is text such as '063Y', dates are ISO text"
        return f"{codes}{types}; {SCHEMA}"
    if message.startswith("Parser Error"):
        if "`" in message or "bigquery-public-data" in message:
            return (
                "this is DuckDB's SQL over the tables here: no backticks, and instead of BigQuery's"
                f" names index, collections_index, seg_index, {CLINICAL}.nlst_canc"
            )
        if number := _DIGIT_NAME.search(message):
            return f'quote a name that begins with a digit: "{number[1]}"'
        if word := _RESERVED.search(message):
            return f'{word[1]} is a word of SQL: as a name it stands in double quotes, "{word[1]}"'
        return "this is DuckDB's SQL: mend it where the message points"
    if "prepared statement parameters" in message or "Values were not provided" in message:
        return "write the values into the statement: parameters cannot be given"
    return ""
