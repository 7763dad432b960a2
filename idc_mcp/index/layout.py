"""The tables of a connection: what callers see in `main`, what only we use beside it.

    main.index, main.collections_index, …   the release's tables, as published
    core.series    `index` with exact bytes and with keys for series, patients and studies
    core.annotated_studies   keys of the studies that hold annotations
    core.prior     one row a prior version of a series, where it lies now
    facts.*        what a release will never answer differently, computed once at build

The same statements make views over the bundled Parquet (a first start answers with them at
once) and tables of the built database (the fast way). A change here changes `key()`, and so
the name of the database file: an old layout is never read. What fetched tables add to this
stands in `specialised.py`, what the clinical tables add in `clinical.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from idc_mcp.index.release import MAIN_TABLE, Release

SORT_ORDER = "collection_id, PatientID, StudyInstanceUID, SeriesInstanceUID"
"""Filters on a sorted database are about 1.5 times faster: zone maps skip what does not match."""

PATIENT = "collection_id, PatientID"
"""A patient is a PatientID within a collection: 89 PatientIDs of v25 occur in two."""

KEYS = ("series_bytes", "patient_key", "study_key", "series_key")
"""Columns of core.series that `index` does not show."""

ANNOTATIONS = ("ANN", "FUSION", "KO", "M3D", "PR", "REG", "RTSTRUCT", "SEG", "SR")
"""Modalities of objects that are derived from images; more than SEG alone."""

_ANNOTATES = "Modality IN (" + ", ".join(f"'{modality}'" for modality in ANNOTATIONS) + ")"

BYTES = "CAST(round(series_size_MB * 1e6) AS BIGINT) AS series_bytes"
"""series_size_MB is decimal megabytes; times 1e6 it is the exact number of bytes."""

VALUE_COLUMNS: dict[str, tuple[str, ...]] = {
    MAIN_TABLE: (
        "collection_id", "analysis_result_id", "source_DOI", "PatientAge", "PatientSex",
        "StudyDescription", "BodyPartExamined", "Modality", "SOPClassUID", "sop_class_name",
        "TransferSyntaxUID", "transfer_syntax_name", "PhotometricInterpretation",
        "PixelRepresentation", "Manufacturer", "ManufacturerModelName", "license_short_name",
        "series_init_idc_version", "series_revised_idc_version", "aws_bucket",
    ),
    "collections_index": (
        "collection_name", "collection_id", "cancer_types", "tumor_locations", "species",
        "supporting_data", "program_id", "status", "updated",
    ),
    "analysis_results_index": (
        "analysis_result_id", "analysis_result_title", "source_DOI", "modalities", "updated",
        "license_short_name",
    ),
    "prior_versions_index": (
        "collection_id", "Modality", "gcs_bucket", "aws_bucket", "min_idc_version",
        "max_idc_version",
    ),
    "version_metadata_index": ("idc_version", "version_timestamp"),
}  # fmt: skip
"""Columns of few enough values (at most 5,000 in v25) to keep every value with its count."""

INDEXED = ("SeriesInstanceUID", "crdc_series_uuid")
"""An index on these turns the look-up of one series from 26 ms into about 1 ms."""


GROWING = ("facts.values", "facts.columns")
"""What fetched tables add rows to."""


@dataclass(frozen=True)
class Relation:
    """A table or view to be made: `query` is the same for both."""

    name: str
    query: str


def key(release: Release) -> str:
    """Eight hex digits that change with this layout."""
    text = "\n".join(
        [relation.name + relation.query for relation in (*_published(release), *facts(release))]
        + list(_built_series(release))
    )
    return hashlib.sha256(text.replace(str(release.directory), "").encode()).hexdigest()[:8]


def view_statements(release: Release) -> Iterator[str]:
    """Statements that make every relation a view over the bundled Parquet.

    The relations that fetched tables add to are left to `specialised.view_statements`.
    """
    yield from _schemas()
    yield (
        f"CREATE VIEW core.series AS SELECT *, {BYTES}, hash({PATIENT}) AS patient_key, "
        "hash(StudyInstanceUID) AS study_key, hash(SeriesInstanceUID) AS series_key "
        f"FROM {_parquet(release, MAIN_TABLE)}"
    )
    for relation in (*_published(release), *facts(release)):
        if relation.name not in GROWING:
            yield f"CREATE VIEW {relation.name} AS {relation.query}"


def table_statements(release: Release) -> Iterator[str]:
    """Statements that build the database of the bundled tables."""
    yield from _schemas()
    yield from _built_series(release)
    for relation in _published(release):
        # `index` shows core.series without its keys: a second copy would say the same.
        kind = "VIEW" if relation.name == f'main."{MAIN_TABLE}"' else "TABLE"
        yield f"CREATE {kind} {relation.name} AS {relation.query}"
    for relation in facts(release):
        yield f"CREATE TABLE {relation.name} AS {relation.query}"
    for column in INDEXED:
        yield f"CREATE INDEX series_by_{column} ON core.series ({column})"


def _schemas() -> Iterator[str]:
    yield "CREATE SCHEMA core"
    yield "CREATE SCHEMA facts"


def _built_series(release: Release) -> Iterator[str]:
    # Keys number patients and studies, so that counting them compares integers, not text. A
    # study is keyed by its UID alone: one study of v25 (in nlst) holds two patients.
    source = _parquet(release, MAIN_TABLE)
    yield (
        "CREATE TABLE core.series AS SELECT *, CAST(row_number() OVER () AS INTEGER) AS series_key "
        f"FROM (SELECT series.*, {BYTES}, {', '.join(KEYS[1:3])} FROM {source} AS series "
        f"JOIN (SELECT {PATIENT}, CAST(row_number() OVER () AS INTEGER) AS patient_key "
        f"FROM {source} GROUP BY ALL) USING ({PATIENT}) "
        "JOIN (SELECT StudyInstanceUID, CAST(row_number() OVER () AS INTEGER) AS study_key "
        f"FROM {source} GROUP BY ALL) USING (StudyInstanceUID) "
        f"ORDER BY {SORT_ORDER})"
    )


def _published(release: Release) -> Iterator[Relation]:
    yield Relation(f'main."{MAIN_TABLE}"', f"SELECT * EXCLUDE ({', '.join(KEYS)}) FROM core.series")
    for table in release.bundled:
        if table != MAIN_TABLE:
            yield Relation(f"main.{table}", f"SELECT * FROM {_parquet(release, table)}")

    yield Relation(
        "core.annotated_studies", f"SELECT DISTINCT study_key FROM core.series WHERE {_ANNOTATES}"
    )
    # A version that was moved between buckets has a row for each: the last is where it lies.
    yield Relation(
        "core.prior",
        f"SELECT *, {BYTES} FROM main.prior_versions_index QUALIFY row_number() OVER "
        "(PARTITION BY crdc_series_uuid ORDER BY max_idc_version DESC) = 1",
    )


def facts(release: Release) -> Iterator[Relation]:
    """What is computed once of the bundled tables."""
    counts = (
        "count(DISTINCT patient_key) AS patients, count(DISTINCT study_key) AS studies, "
        "count(*) AS series, CAST(sum(instanceCount) AS BIGINT) AS instances, "
        "CAST(sum(series_bytes) AS BIGINT) AS bytes"
    )
    yield Relation(
        "facts.totals",
        "SELECT count(DISTINCT collection_id) AS collections, "
        f"count(DISTINCT analysis_result_id) AS analysis_results, {counts} FROM core.series",
    )
    yield Relation(
        "facts.collections",
        f"SELECT collection_id, {counts} FROM core.series GROUP BY collection_id",
    )
    yield Relation(
        "facts.analysis_results",
        "SELECT analysis_result_id, count(DISTINCT collection_id) AS collections, "
        f"{counts} FROM core.series WHERE analysis_result_id IS NOT NULL "
        "GROUP BY analysis_result_id",
    )
    yield Relation(
        "facts.groups",
        "SELECT collection_id, analysis_result_id, Modality, BodyPartExamined, "
        "license_short_name, source_DOI, series_init_idc_version, series_revised_idc_version, "
        "aws_bucket, count(*) AS series, CAST(sum(instanceCount) AS BIGINT) AS instances, "
        "CAST(sum(series_bytes) AS BIGINT) AS bytes FROM core.series GROUP BY ALL",
    )
    bundled = release.bundled
    yield Relation(
        "facts.values",
        " UNION ALL ".join(
            f"SELECT '{table}' AS table_name, '{column}' AS column_name, "
            f'CAST("{column}" AS VARCHAR) AS value, count(*) AS rows FROM main."{table}" '
            f'WHERE "{column}" IS NOT NULL GROUP BY "{column}"'
            for table, columns in VALUE_COLUMNS.items()
            if table in bundled
            for column in columns
        ),
    )
    yield Relation(
        "facts.columns",
        " UNION ALL ".join(
            f"SELECT '{table}' AS table_name, '{column.name}' AS column_name, "
            f'count(*) AS rows, count(*) - count("{column.name}") AS nulls, '
            f'count(DISTINCT "{column.name}") AS distinct_values FROM main."{table}"'
            for table in bundled
            for column in release.schemas[table].columns
        ),
    )


def _parquet(release: Release, table: str) -> str:
    path = str(release.parquet(table)).replace("'", "''")
    return f"read_parquet('{path}')"
