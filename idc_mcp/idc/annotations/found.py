"""Which annotations and images belong together, in two scratch files that all counts come from.

    asked   the series of the cohort: keys, Modality, whether commercial use is allowed (`free`)
    found   a row an annotation: `standing`, `why` where its source is not known, and the source

`standing` is `refers` (to a series of the catalogue that is asked for), `elsewhere` (its source
is another series of the catalogue) or `unknown`. A cohort is looked up once: to find ten
thousand series among a million costs more than anything that is asked of them then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from idc_mcp.files import private_directory, scratch_file
from idc_mcp.idc.annotations.kinds import IMAGE, TABLE_OF
from idc_mcp.idc.sql import literal, literals
from idc_mcp.idc.terms import condition

if TYPE_CHECKING:
    from idc_mcp.idc.cohorts.resolve import Cohort
    from idc_mcp.index.store import Index

NO_COLUMN = "no column names it"
NOT_HERE = "{table} is not here"
NO_ROW = "not in {table}"
NO_SOURCE = "names none"
NOT_IN_IDC = "not in this release"

_FREE = f"({condition('commercial')}) IS TRUE AS free"
_ONE = "series_key, study_key, patient_key, Modality, collection_id, analysis_result_id"


@dataclass(frozen=True)
class Asked:
    """The series of a cohort, as rows of `source`.

    Attributes
    ----------
    modalities
        Series of each modality, most first.
    superseded, gone
        Series that are prior versions: those whose SeriesInstanceUID the release still serves
        in a newer version, and those that it does not serve.
    """

    index: Index
    kinds: tuple[str, ...]
    source: str
    modalities: dict[str, int]
    superseded: int
    gone: int

    @property
    def kinds_here(self) -> list[str]:
        """The kinds whose source is known on this machine."""
        return [kind for kind in self.kinds if self.index.has(TABLE_OF.get(kind, "none"))]

    @property
    def kinds_away(self) -> list[str]:
        """The kinds whose source a table knows that is not on this machine."""
        return [
            kind for kind in self.kinds if kind in TABLE_OF and not self.index.has(TABLE_OF[kind])
        ]

    def why(self, annotation: str) -> str:
        """SQL: why the source of a row of `annotation` that has none in `refers` is not known."""
        cases = []
        for kind in self.kinds:
            table = TABLE_OF.get(kind)
            if table is None:
                continue
            words = NO_ROW if kind in self.kinds_here else NOT_HERE
            text = literal(words.format(table=table))
            unlisted = " AND refers.annotation_key IS NULL" if kind in self.kinds_here else ""
            cases.append(f"WHEN {annotation}.Modality = {literal(kind)}{unlisted} THEN {text}")
        return (
            f"CASE {' '.join(cases)} WHEN refers.annotation_key IS NULL THEN {literal(NO_COLUMN)} "
            f"WHEN refers.source_uid IS NULL THEN {literal(NO_SOURCE)} "
            f"ELSE {literal(NOT_IN_IDC)} END"
        )


@contextmanager
def asked_of(
    index: Index, cohort: Cohort, kinds: tuple[str, ...], directory: Path
) -> Iterator[Asked]:
    """Look the cohort up; its rows are there until the block ends."""
    rows, superseded, gone = cohort.source, 0, 0
    if cohort.prior:
        # What is drawn on an image names its SeriesInstanceUID, whatever the version.
        rows = (
            "core.series WHERE SeriesInstanceUID IN "
            f"(SELECT SeriesInstanceUID FROM {cohort.source})"
        )
        prior, gone = index.rows(
            "SELECT count(*), count(*) FILTER (SeriesInstanceUID NOT IN "
            f"(SELECT SeriesInstanceUID FROM core.series)) FROM {cohort.source} "
            "WHERE series_key IS NULL"
        )[0]
        superseded = prior - gone
    with _kept(index, f"SELECT {_ONE}, {_FREE} FROM {rows}", directory) as source:
        counts = index.rows(f"SELECT Modality, count(*) FROM {source} GROUP BY 1 ORDER BY 2 DESC")
        yield Asked(index, kinds, source, {str(name): n for name, n in counts}, superseded, gone)


@contextmanager
def annotations_of(asked: Asked, directory: Path) -> Iterator[str]:
    """Annotations of the images asked about, and all others in their studies: rows for FROM.

    `images` is how many images the study of an annotation has.
    """
    derived = f"Modality IN ({literals(asked.kinds)})"
    query = (
        "WITH asked AS MATERIALIZED "
        f"(SELECT series_key, study_key, free FROM {asked.source} WHERE {IMAGE}), "
        f"near AS MATERIALIZED (SELECT {_ONE}, {_FREE} FROM core.series "
        "WHERE study_key IN (SELECT study_key FROM asked)), "
        f"studies AS (SELECT study_key, count(*) AS images FROM near WHERE {IMAGE} GROUP BY 1), "
        "annotations AS MATERIALIZED ("
        f"SELECT near.*, images FROM near JOIN studies USING (study_key) WHERE {derived} "
        f"UNION ALL SELECT {_ONE}, {_FREE}, 0 AS images FROM core.series WHERE {derived} "
        "AND series_key IN (SELECT annotation_key FROM core.refers "
        "WHERE source_key IN (SELECT series_key FROM asked)) "
        "AND study_key NOT IN (SELECT study_key FROM asked)), "
        "refers AS (SELECT * FROM core.refers "
        "SEMI JOIN annotations ON annotation_key = series_key) "
        "SELECT annotations.*, refers.source_key, source.free AS source_free, "
        "CASE WHEN source.series_key IS NOT NULL THEN 'refers' "
        "WHEN refers.source_key IS NOT NULL THEN 'elsewhere' ELSE 'unknown' END AS standing, "
        f"CASE WHEN refers.source_key IS NULL THEN {asked.why('annotations')} END AS why "
        "FROM annotations LEFT JOIN refers ON annotations.series_key = refers.annotation_key "
        "LEFT JOIN asked AS source ON source.series_key = refers.source_key"
    )
    with _kept(asked.index, query, directory) as found:
        yield found


@contextmanager
def images_of(asked: Asked, directory: Path) -> Iterator[str]:
    """The annotations asked about, each with its source: rows for FROM.

    `images` is how many images the study of an annotation has.
    """
    query = (
        f"WITH asked AS (SELECT * FROM {asked.source} "
        f"WHERE Modality IN ({literals(asked.kinds)})), "
        "studies AS (SELECT study_key, count(*) AS images FROM core.series "
        f"WHERE {IMAGE} AND study_key IN (SELECT study_key FROM asked) GROUP BY 1), "
        "found AS (SELECT asked.*, refers.source_key, coalesce(images, 0) AS images, "
        f"CASE WHEN refers.source_key IS NULL THEN {asked.why('asked')} END AS why "
        "FROM asked LEFT JOIN core.refers AS refers ON asked.series_key = refers.annotation_key "
        "LEFT JOIN studies USING (study_key)) "
        "SELECT found.*, source.Modality AS source_modality, "
        "source.collection_id AS source_collection, source.patient_key AS source_patient, "
        "source.free AS source_free, "
        "CASE WHEN found.source_key IS NULL THEN 'unknown' ELSE 'refers' END AS standing "
        f"FROM found LEFT JOIN (SELECT {_ONE}, {_FREE} FROM core.series) "
        "AS source ON source.series_key = found.source_key"
    )
    with _kept(asked.index, query, directory) as found:
        yield found


@contextmanager
def _kept(index: Index, query: str, directory: Path) -> Iterator[str]:
    private_directory(directory)
    with scratch_file(directory, ".parquet") as path:
        index.rows(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet)")
        yield f"read_parquet({literal(str(path))})"
