"""The specialised tables of a release, made from its bundled schemas and its bundled index.

They stand in for the published ones where there is no network: real SeriesInstanceUIDs, the
columns and types of the schemas, contents like those of IDC but invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from idc_mcp.index.release import Release, TableSchema
from tests.published import derived, images, slides
from tests.published.lots import literal, lot, number
from tests.published.table import Table

if TYPE_CHECKING:
    import duckdb

Scale = Literal["small", "full"]

TABLES: dict[str, Table] = {
    "ann_group_index": derived.ANN_GROUP_INDEX,
    "ann_index": derived.ANN_INDEX,
    "contrast_index": images.CONTRAST_INDEX,
    "ct_index": images.CT_INDEX,
    "mr_index": images.MR_INDEX,
    "pt_index": images.PT_INDEX,
    "rtstruct_index": derived.RTSTRUCT_INDEX,
    "seg_index": derived.SEG_INDEX,
    "sm_index": slides.SM_INDEX,
    "sm_instance_index": slides.SM_INSTANCE_INDEX,
    "volume_geometry_index": images.VOLUME_GEOMETRY_INDEX,
}
CLINICAL_INDEX = "clinical_index"
NAMES = tuple(sorted([*TABLES, CLINICAL_INDEX]))

TYPES = {
    "STRING": "VARCHAR", "INTEGER": "BIGINT", "FLOAT": "DOUBLE", "BOOLEAN": "BOOLEAN",
    "RECORD": "STRUCT(option_code VARCHAR, option_description VARCHAR)",
}  # fmt: skip
"""Types of the schemas as DuckDB has them; the one record is that of `clinical_index.values`."""

SMALL: dict[str, int] = {
    "nlst": 700, "lidc_idri": 12, "tcga_brca": 15, "tcga_kirc": 10, "ispy1": 8, "ispy2": 24,
    "acrin_6698": 24, "prostatex": 6, "prostate_mri_us_biopsy": 30, "nsclc_radiomics": 8,
    "upenn_gbm": 16, "4d_lung": 5, "eay131": 60, "fdg_pet_ct_lesions": 15, "catch": 8,
    "acrin_nsclc_fdg_pet": 8, "bonemarrowwsi_pediatricleukemia": 6, "gtex": 40,
    "vestibular_schwannoma_seg": 6, "vestibular_schwannoma_mc_rc": 6,
    "qin_prostate_repeatability": 1, "rms_mutation_prediction": 1, "tcga_uvm": 1, "c4kc_kits": 2,
    "soft_tissue_sarcoma": 1, "qin_breast": 1, "lctsc": 1, "breast_diagnosis": 1,
    "hcc_tace_seg": 2, "pdmr_292921_168_r": 1,
}  # fmt: skip
"""The small set: one patient in so many of these collections, with all their series."""

CANCERS = 16
"""One NLST participant in so many has a cancer (`nlst_canc`); the small set has more of them."""


def make_tables(
    release: Release,
    directory: Path,
    *,
    scale: Scale = "small",
    only: Sequence[str] | None = None,
    version: str | None = None,
) -> Path:
    """Write `<table>.parquet` for the twelve specialised tables, or for `only` those named.

    Parameters
    ----------
    scale
        "small": all series of some patients of thirty collections; "full": of all of IDC.
    version
        What the files say of themselves, "25.0.5-0-gstandin" for release 25.0.5.
    """
    with drawn_from(release, scale) as connection:
        write_tables(connection, release, directory, scale, only=only, version=version)
    return directory


def write_tables(
    connection: duckdb.DuckDBPyConnection,
    release: Release,
    directory: Path,
    scale: Scale,
    *,
    only: Sequence[str] | None = None,
    version: str | None = None,
) -> None:
    """Write the tables from a database that is made (`drawn_from`)."""
    from tests.published.clinical import write_dictionary

    directory.mkdir(parents=True, exist_ok=True)
    wanted = NAMES if only is None else only
    if unknown := set(wanted) - set(NAMES):
        raise ValueError(f"Not specialised tables: {sorted(unknown)}")
    stamp = version or f"{release.data_version}-0-gstandin"
    for name in wanted:
        path = directory / f"{name}.parquet"
        if name == CLINICAL_INDEX:
            write_dictionary(connection, release, path, scale, stamp)
        else:
            write(connection, _query(release.schemas[name], TABLES[name]), path, stamp)


@contextmanager
def drawn_from(release: Release, scale: Scale) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with what tables are made of: `patients`, `series` and `derived`."""
    import duckdb

    with duckdb.connect(config={"memory_limit": "1200MB"}) as connection:
        connection.execute("SET enable_progress_bar = false")
        source = f"read_parquet({literal(str(release.parquet('index')))})"
        connection.execute(f"""
            CREATE TEMP TABLE patients AS
            SELECT *, {number("collection_id || '/' || PatientID")} AS h
            FROM (SELECT DISTINCT collection_id, PatientID FROM {source}
                  {f"WHERE collection_id IN {tuple(SMALL)}" if scale == "small" else ""})
            {f"WHERE {_in_small()}" if scale == "small" else ""}
            ORDER BY collection_id, PatientID
        """)
        connection.execute(f"""
            CREATE TEMP TABLE series AS
            SELECT collection_id, analysis_result_id, PatientID, StudyInstanceUID,
                SeriesInstanceUID, Modality, SOPClassUID, instanceCount, series_size_MB,
                {number("SeriesInstanceUID")} AS h
            FROM {source}
            {"SEMI JOIN patients USING (collection_id, PatientID)" if scale == "small" else ""}
            WHERE Modality <> 'SR'
        """)
        connection.execute(derived.DERIVED)
        yield connection


def write(
    connection: duckdb.DuckDBPyConnection, query: str, path: Path, version: str | None
) -> None:
    """Write a query's rows as Parquet, compressed and marked as the published files are."""
    mark = f", KV_METADATA {{idc_index_data_version: {literal(version)}}}" if version else ""
    connection.execute(
        f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd{mark})"
    )


def typed(schema: TableSchema) -> dict[str, str]:
    """The columns of a schema, in order, with DuckDB's types."""
    columns = {}
    for column in schema.columns:
        kind = column.type.removeprefix("ARRAY OF ")
        columns[column.name] = TYPES[kind] + ("[]" if kind != column.type else "")
    return columns


def _query(schema: TableSchema, table: Table) -> str:
    columns = typed(schema)
    if set(columns) != set(table.columns):
        raise ValueError(f"{schema.name}: {sorted(set(columns) ^ set(table.columns))}")
    return "SELECT " + ", ".join(
        f'CAST({table.columns[name]} AS {kind}) AS "{name}"' for name, kind in columns.items()
    ) + f" FROM {table.source}"  # fmt: skip


def _in_small() -> str:
    cases = " ".join(f"WHEN '{collection}' THEN {step}" for collection, step in SMALL.items())
    cancers = f"collection_id = 'nlst' AND {lot('cancer', CANCERS)} = 0 AND {lot('few', 40)} = 0"
    return f"({lot('small', 1_000_003)} % CASE collection_id {cases} END = 0 OR {cancers})"
