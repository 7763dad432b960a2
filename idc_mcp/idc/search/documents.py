"""What can be found: one document a collection, analysis result, table, column and value.

A document is words with weights; the words of a release are collected once and kept as an
inverted index of plain tuples (about 6,000 documents in v25).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from idc_mcp.idc.schema.lookup import row_counts
from idc_mcp.idc.search.words import joined, parts_of, spaced, words_of
from idc_mcp.idc.sql import literals
from idc_mcp.index.release import MAIN_TABLE, TableSchema
from idc_mcp.index.store import Index

Kind = Literal["collection", "analysis_result", "table", "column", "value"]
KINDS: tuple[Kind, ...] = ("collection", "analysis_result", "table", "column", "value")

VALUE_WEIGHTS: dict[str, float] = {
    "Modality": 1.2, "BodyPartExamined": 1.0, "Manufacturer": 0.9, "license_short_name": 0.9,
    "PatientSex": 0.9, "ManufacturerModelName": 0.6, "sop_class_name": 0.6,
    "transfer_syntax_name": 0.6, "PhotometricInterpretation": 0.5, "aws_bucket": 0.5,
    "StudyDescription": 0.35,
}  # fmt: skip
"""Columns of `index` whose values are searched, and how much a match there says."""

COLLECTION_VALUE_WEIGHTS = {
    "cancer_types": 1.0, "tumor_locations": 0.95, "species": 1.0, "program_id": 0.7,
}  # fmt: skip
"""The same for `collections_index`; its comma-joined texts are searched part by part."""

DERIVED = frozenset({"ANN", "KO", "M3D", "PR", "REG", "RTSTRUCT", "RWV", "SEG", "SR"})
"""Modalities of objects made from images."""

_DISEASES = ("oma", "omas", "leukemia", "carcinoma")


@dataclass(slots=True)
class Document:
    """Something that can be found.

    Attributes
    ----------
    size
        Series where that is known, else rows; 0 for what is not on this machine.
    facets
        By name of a field, the texts that explain a match.
    modalities
        Series by modality, for collections and analysis results.
    sources
        The collections that an analysis result is on.
    clinical, series
        For what is clinical, where it stands, and the series of the patients who have it.
    """

    kind: Kind
    name: str
    table: str = ""
    size: int = 0
    patients: int = 0
    words: int = 1
    weight: float = 1.0
    text: str = ""
    facets: dict[str, list[str]] = field(default_factory=dict)
    modalities: dict[str, int] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    clinical: Clinical | None = None
    series: int | None = None

    @property
    def counted(self) -> int | None:
        """Series that have the value; None where they were not counted."""
        return self.series if self.clinical or self.table == "ann_group_index" else self.size


@dataclass(frozen=True, slots=True)
class Clinical:
    """Where a clinical table, column or value stands: the latter two empty for a table.

    `code` is None for a column; `collections` are those whose table it is.
    """

    table: str
    column: str = ""
    code: str | None = None
    collections: tuple[str, ...] = ()


@dataclass(slots=True)
class Documents:
    """All documents of a release: `postings[word]` lists (document number, weight)."""

    items: list[Document] = field(default_factory=list)
    postings: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """What collections, analysis results, tables and columns are called, joined."""
    columns: dict[str, str] = field(default_factory=dict)
    """Columns of `index` by their names, joined."""
    species: dict[str, str] = field(default_factory=dict)
    """Species by their names, joined."""
    spelling: dict[str, int] = field(default_factory=dict)
    """Words worth correcting a typing error to, with how many documents have them."""

    def add(self, document: Document, words: dict[str, float], *, spell: bool = True) -> None:
        """Add a document under its words."""
        number = len(self.items)
        self.items.append(document)
        if document.kind != "value":
            self.names.add(joined(document.name))
        for word, weight in words.items():
            self.postings.setdefault(word, []).append((number, weight))
            if spell and len(word) >= 4 and word.isalpha():
                self.spelling[word] = self.spelling.get(word, 0) + 1


def build_documents(index: Index) -> Documents:
    """Every document of the release; reads facts, five small questions."""
    documents = Documents()
    collections = _read_collections(index)
    _add_collections(documents, collections)
    _add_analysis_results(documents, index, collections)
    _add_schemas(documents, index, index.release.schemas.values())
    _add_values(documents, index, collections)
    return documents


def _weigh(*fields: tuple[Iterable[str], float]) -> dict[str, float]:
    """The words of several fields, each with the weight of the best field that has it."""
    found: dict[str, float] = {}
    for words, weight in fields:
        for word in words:
            if weight > found.get(word, 0.0):
                found[word] = weight
    return found


def _diseases(parts: Iterable[str]) -> Iterator[str]:
    """The words of cancer types, and `cancer` for those that are one by another name."""
    for part in parts:
        words = words_of(part)
        yield from words
        if "noncancer" not in words and any(word.endswith(_DISEASES) for word in words):
            yield "cancer"


def _read_collections(index: Index) -> dict[str, dict[str, Any]]:
    names = (
        "collection_id", "collection_name", "cancer_types", "tumor_locations", "species",
        "supporting_data", "program_id", "description", "titles", "patients", "series",
    )  # fmt: skip
    rows = index.rows(
        f"SELECT {', '.join(names[:8])}, [source.source_title FOR source IN sources], "
        "patients, series FROM facts.collections LEFT JOIN collections_index USING (collection_id) "
        "ORDER BY collection_id"
    )
    collections = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
    for collection in collections.values():
        collection |= {"modalities": {}, "body_parts": set(), "results": set()}
    for id_, modality, body_part, result, series in index.rows(
        "SELECT collection_id, Modality, BodyPartExamined, analysis_result_id, "
        "CAST(sum(series) AS BIGINT) FROM facts.groups GROUP BY ALL"
    ):
        counts = collections[id_]["modalities"]
        counts[modality] = counts.get(modality, 0) + series
        collections[id_]["body_parts"].update(filter(None, [body_part]))
        collections[id_]["results"].update(filter(None, [result]))
    return collections


def _add_collections(documents: Documents, collections: dict[str, dict[str, Any]]) -> None:
    for id_, row in collections.items():
        facets = {
            name: parts_of(row[name]) for name in ("cancer_types", "tumor_locations", "species")
        }
        facets["body part"] = sorted(row["body_parts"])
        facets["name"] = [row["collection_name"] or id_]
        facets["program"] = parts_of(row["program_id"])
        facets["supporting data"] = parts_of(row["supporting_data"])
        facets["analysis results"] = sorted(row["results"])
        # A collection of twenty cancers is less about each than a collection of one.
        types, sites = (
            1 / (1 + 0.12 * max(0, sum(part != "Non-Cancer" for part in facets[name]) - 1))
            for name in ("cancer_types", "tumor_locations")
        )
        words = _weigh(
            ([f"modality:{code}" for code in row["modalities"]], 1.0),
            ([joined(id_), *words_of(id_), *words_of(row["collection_name"] or "")], 1.0),
            (_diseases(facets["cancer_types"]), max(0.4, types)),
            (words_of(" ".join(facets["tumor_locations"])), max(0.4, 0.9 * sites)),
            (words_of(row["species"] or ""), 0.9),
            ([f"species:{joined(part)}" for part in facets["species"]], 1.0),
            (words_of(row["program_id"] or ""), 0.5),
            (words_of(" ".join(row["body_parts"])), 0.4),
            (words_of(" ".join(filter(None, row["titles"] or []))), 0.3),
            (words_of(row["supporting_data"] or ""), 0.3),
            (words_of(" ".join(row["results"])), 0.25),
            (words_of(row["description"] or ""), 0.2),
        )
        document = Document(
            "collection", id_, size=row["series"], patients=row["patients"], facets=facets,
            modalities=row["modalities"],
        )  # fmt: skip
        documents.add(document, words)


def _add_analysis_results(
    documents: Documents, index: Index, collections: dict[str, dict[str, Any]]
) -> None:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for id_, modality, series in index.rows(
        "SELECT analysis_result_id, Modality, CAST(sum(series) AS BIGINT) FROM facts.groups "
        "WHERE analysis_result_id IS NOT NULL GROUP BY ALL"
    ):
        counts[id_][modality] = series
    for id_, title, of, about, series in index.rows(
        "SELECT analysis_result_id, analysis_result_title, results.collections, description, "
        "series FROM facts.analysis_results LEFT JOIN analysis_results_index AS results "
        "USING (analysis_result_id) ORDER BY analysis_result_id"
    ):
        sources = parts_of(of)
        # What few collections are about, their annotations are about too.
        topics = [
            text
            for source in (sources if len(sources) <= 3 else ())
            for name in ("cancer_types", "tumor_locations")
            for text in parts_of(collections.get(source, {}).get(name))
        ]
        images = {
            code
            for source in (sources if len(sources) <= 3 else ())
            for code in collections.get(source, {}).get("modalities", ())
            if code not in DERIVED
        }
        images = images if len(images) == 1 else set()
        words = _weigh(
            ([f"modality:{code}" for code in counts[id_]], 1.0),
            ([f"modality:{code}" for code in images], 0.5),
            ([joined(id_), *words_of(id_), *words_of(title or "")], 1.0),
            ([joined(source) for source in sources], 0.8),
            (_diseases(topics), 0.5),
            (words_of(" ".join(sources)) if len(sources) <= 3 else (), 0.5),
            (words_of(about or ""), 0.3),
        )
        document = Document(
            "analysis_result", id_, size=series, text=title or "",
            sources=sources, modalities=counts[id_],
        )  # fmt: skip
        documents.add(document, words)


def _add_schemas(documents: Documents, index: Index, schemas: Iterable[TableSchema]) -> None:
    rows = row_counts(index)
    for schema in schemas:
        name = schema.name.removesuffix("_index")
        documents.add(
            Document("table", schema.name, size=rows.get(schema.name, 0), text=schema.description),
            _weigh(
                ([joined(schema.name), *words_of(name)], 1.0),
                (words_of(schema.description[:400]), 0.4),
            ),
            spell=False,
        )
        for column in schema.columns:
            if schema.name == MAIN_TABLE:
                documents.columns[joined(column.name)] = column.name
            weight = 1.0 if schema.name == MAIN_TABLE else 0.9 if schema.name in rows else 0.8
            documents.add(
                Document(
                    "column", column.name, table=schema.name, size=rows.get(schema.name, 0),
                    weight=weight, text=column.description,
                ),
                _weigh(
                    ([f"column:{schema.name}.{column.name}"], 1.3),
                    ([joined(column.name), *words_of(spaced(column.name))], 1.0),
                    (words_of(name), 0.3),
                    (words_of(column.description), 0.4),
                ),
                spell=False,
            )  # fmt: skip


def _add_values(documents: Documents, index: Index, collections: dict[str, dict[str, Any]]) -> None:
    for column, value, rows in index.rows(
        "SELECT column_name, value, rows FROM facts.values WHERE table_name = 'index' "
        f"AND column_name IN ({literals(VALUE_WEIGHTS)}) ORDER BY rows DESC"
    ):
        weight = VALUE_WEIGHTS[column]
        document = Document("value", value, MAIN_TABLE, size=rows, weight=weight, text=column)
        _add_value(documents, document)
    for column, weight in COLLECTION_VALUE_WEIGHTS.items():
        series: dict[str, int] = defaultdict(int)
        spelled: dict[str, str] = {}
        for row in collections.values():
            for part in dict.fromkeys(parts_of(row[column])):
                spelled.setdefault(part.lower(), part)
                series[part.lower()] += row["series"]
        for value, count in series.items():
            _add_value(
                documents,
                Document(
                    "value", spelled[value], "collections_index", size=count, weight=weight,
                    text=column,
                ),
            )  # fmt: skip


def _add_value(documents: Documents, document: Document) -> None:
    column = document.text
    words = words_of(document.name)
    document.words = max(1, len(set(words)))
    if column == "species":
        documents.species[joined(document.name)] = document.name
    documents.add(
        document,
        _weigh(
            ([f"modality:{document.name}"] if column == "Modality" else (), 1.0),
            ([f"species:{joined(document.name)}"] if column == "species" else (), 1.0),
            (words, 1.0),
            ([f"column:{document.table}.{column}"], 0.3),
            (words_of(spaced(column)), 0.25),
        ),
        spell=column != "StudyDescription",
    )
