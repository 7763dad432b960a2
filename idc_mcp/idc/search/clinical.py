"""The clinical data as a search finds it: tables, columns and coded values, by what they mean.

What a collection is about, its clinical tables are about too: `stage IV lung` is a stage in a
table of a collection of lung cancers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log10

from idc_mcp.idc.search.documents import Clinical, Document
from idc_mcp.idc.search.lookups import (
    MOST,
    OWN,
    matching,
    most_of,
    own_words,
    score,
    stands_in,
)
from idc_mcp.idc.search.measures import grades_of, stages_of
from idc_mcp.idc.search.query import Query, Term
from idc_mcp.idc.search.ranking import Hit
from idc_mcp.idc.search.special_words import CLINICAL
from idc_mcp.idc.search.words import joined, words_of
from idc_mcp.idc.sql import identifier, literal, literals
from idc_mcp.idc.vocabulary import STOPWORDS
from idc_mcp.index.clinical import PATIENT_COLUMN
from idc_mcp.index.release import CLINICAL as CLINICAL_TABLES
from idc_mcp.index.specialised import SERIES_UID
from idc_mcp.index.store import Index

COLUMN_SHARE, TABLE_SHARE, COLLECTION_SHARE = 0.7, 0.5, 0.9
"""What a word says about a clinical value that stands in its column, table or collection."""

NAMED = 1.3
"""What a word says about a clinical column whose name it is."""

ADDED = (PATIENT_COLUMN, "source_batch", "collection_id")
"""Columns of every clinical table; none says anything about a patient."""

ABOUT = "lower(concat_ws(' ', column_name, label))"
VALUE = "lower(coalesce(meaning, code))"
"""What is searched of a clinical column, and of a value of it."""


def clinical_hits(
    index: Index, query: Query, asked: Mapping[int, str], about: Mapping[str, list[float]]
) -> list[Hit]:
    """Clinical tables, columns and values that have words of the query, scored.

    Parameters
    ----------
    asked
        By the place of a term, the pattern of its words.
    about
        By collection, how well each term matches it.
    """
    terms = query.terms
    sizes: dict[str, int] = index.once(
        "series of collections",
        lambda: dict(index.rows("SELECT collection_id, series FROM facts.collections")),
    )
    rows = _rows(index)
    found: list[Hit] = []
    of_table: dict[str, tuple[Clinical, list[float]]] = {}
    for values in (True, False):
        for place, label, meaning in _candidates(index, terms, asked, about, values=values):
            hit = _hit(terms, asked, about, place, label, meaning)
            if hit is None:
                continue
            hit.document.size = max((sizes.get(one, 0) for one in place.collections), default=0)
            # A table of the diseased says more of a disease than one of everybody.
            hit.document.weight -= 0.02 * log10(1 + rows.get(place.table, (0, None))[0])
            found.append(hit)
            _add(of_table, Clinical(place.table, collections=place.collections), hit.terms)
    for place in named_tables(index, query):
        words = dict.fromkeys([joined(place.table), *own_words(place.table)], 1.0)
        scores = [score(term, words | {"clinical": 1.0}, begun=True) for term in terms]
        _through(scores, place, about)
        if joined(place.table) in joined(query.text):
            scores = [1.0] * len(terms)
        _add(of_table, place, scores)
    for place, scores in of_table.values():
        count, patients = rows.get(place.table, (0, None))
        said = ", ".join(place.collections) + (f": {patients:,} patients" if patients else "")
        document = Document(
            "table", f"clinical.{place.table}", size=count, weight=0.9, text=said, clinical=place
        )
        found.append(Hit(document, scores))
    return found


def _rows(index: Index) -> dict[str, tuple[int, int | None]]:
    """Rows and patients of the clinical tables; none before they are counted in the database."""
    if index.database is None:
        return {}
    return {
        name: (count, patients)
        for name, count, patients in index.rows(
            "SELECT table_name, rows, patients FROM facts.clinical_tables"
        )
    }


def _add(
    tables: dict[str, tuple[Clinical, list[float]]], place: Clinical, scores: list[float]
) -> None:
    """What a table's columns and values match, the table matches."""
    _, known = tables.setdefault(place.table, (place, [0.0] * len(scores)))
    tables[place.table] = (place, [max(pair) for pair in zip(known, scores, strict=True)])


def _candidates(
    index: Index,
    terms: Sequence[Term],
    asked: Mapping[int, str],
    about: Mapping[str, list[float]],
    *,
    values: bool,
) -> Iterator[tuple[Clinical, str, str]]:
    """Values, or columns, that have a word of the query, with label and meaning."""
    of_table = _collections(index)
    own, flags = [], []
    for place, term in enumerate(terms):
        names = {name for name, scores in about.items() if scores[place] >= OWN}
        tables = [table for table, of in of_table.items() if names & {*of}]
        near = "false"
        if term.measure and term.measure.values:
            near = here = matching(ABOUT, [term.measure.about])
            if values:
                # A stage may stand there as IV alone, where the column says what it is.
                named = f"contains({VALUE}, {literal(term.measure.word)})"
                here = f"({matching(VALUE, [term.measure.values])} AND ({near} OR {named}))"
        elif place in asked:
            near = matching(ABOUT, [asked[place]])
            here = matching(VALUE, [asked[place]]) if values else near
        else:
            continue
        own.append(here)
        within = f" OR table_name IN ({literals(tables)})" if tables else ""
        either = here if here == near else f"{here} OR {near}"
        flags.append(f"{either}{within}")
    if not own:
        return
    key = "table_name, column_name, code" if values else "table_name, column_name, NULL AS code"
    meaning = "any_value(meaning) AS meaning" if values else "NULL AS meaning"
    for table, column, code, label, text in index.rows(
        f"SELECT * FROM (SELECT {key}, any_value(label) AS label, {meaning} "
        "FROM core.clinical_columns "
        f"WHERE column_name NOT IN ({literals(ADDED)}) AND ({' OR '.join(own)})"
        f"{' AND code IS NOT NULL' if values else ''} GROUP BY ALL) "
        f"ORDER BY {most_of(flags)}table_name, column_name, code LIMIT {MOST}"
    ):
        yield Clinical(table, column, code, of_table.get(table, ())), label or "", text or ""


def _collections(index: Index) -> dict[str, tuple[str, ...]]:
    """The collections of each clinical table."""

    def read() -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for table, collection in index.rows(
            "SELECT DISTINCT table_name, collection_id FROM core.clinical_columns ORDER BY ALL"
        ):
            found[table] = (*found.get(table, ()), *filter(None, [collection]))
        return found

    return index.once("clinical tables", read)


def named_tables(index: Index, query: Query) -> list[Clinical]:
    """The clinical tables whose name has a word of a query about clinical data, or is in it."""
    text = joined(query.text)
    words = {word for word in words_of(query.text) if len(word) >= 3}
    general = "clinical" in words
    return [
        Clinical(table, collections=of)
        for table, of in _collections(index).items()
        if joined(table) in text or (general and words & {*own_words(table)})
    ]


def clinical_join(
    place: Clinical, columns: Mapping[str, Sequence[str]], modalities: Sequence[str] = ()
) -> str:
    """SQL that takes the series of the patients who have values: on collection and patient."""
    of = f" AND i.Modality {_one_of(modalities)}" if modalities else ""
    having = " AND ".join(
        f"c.{identifier(column)} {_one_of(codes)}" for column, codes in columns.items()
    )
    return (
        f"SELECT i.{SERIES_UID} FROM index i JOIN {identifier(place.table)} c "
        f"ON c.collection_id = i.collection_id AND c.{PATIENT_COLUMN} = i.PatientID "
        f"WHERE {having}{of}"
    )


def _one_of(values: Sequence[str]) -> str:
    return f"= {literal(values[0])}" if len(values) == 1 else f"IN ({literals(values)})"


def clinical_series(index: Index, place: Clinical) -> int | None:
    """How many series the patients have who have a value; None where it names no patients."""

    def count() -> int | None:
        table = f"{CLINICAL_TABLES}.{identifier(place.table)}"
        named = index.value(
            f"SELECT patients FROM facts.clinical_tables WHERE table_name = {literal(place.table)}"
        )
        if named is None:
            return None
        return int(
            index.value(
                "SELECT count(*) FROM core.series AS series WHERE (collection_id, PatientID) IN "
                f"(SELECT (collection_id, {PATIENT_COLUMN}) FROM {table} "
                f"WHERE {identifier(place.column)} = {literal(place.code or '')}"
                f") AND collection_id IN ({literals(place.collections)})"
            )
        )

    return index.once(("clinical series", place.table, place.column, place.code), count)


def is_clinical(term: Term) -> bool:
    """Whether a term asks for what clinical tables hold."""
    about = any(word.startswith("about:") for word in term.alternatives)
    return about or term.word in CLINICAL or "clinical" in term.text.split()


def _hit(
    terms: Sequence[Term],
    asked: Mapping[int, str],
    about: Mapping[str, list[float]],
    place: Clinical,
    label: str,
    meaning: str,
) -> Hit | None:
    described = own_words(f"{place.column} {label}")
    value = meaning or place.code or ""
    own = own_words(value) if place.code is not None else ()
    share = COLUMN_SHARE if own else 1.0
    words = dict.fromkeys(own_words(place.table), TABLE_SHARE)
    words |= {"clinical": TABLE_SHARE}
    words |= dict.fromkeys(described, share)
    if not own:
        # A column that is called just what was said comes before others about it.
        words[joined(place.column)] = NAMED
    staged = _is_about(described, ("stage", "staging", "stag", "ajcc", "tnm"))
    graded = _is_about(described, ("grade", "grading"))
    if staged or "stage" in own:
        words |= {"about:stage": 1.0} if not own else stages_of(own)
    if graded or "grade" in own:
        words |= {"about:grade": 1.0} if not own else grades_of(own)
    words |= dict.fromkeys(own, 1.0)
    scores = [score(term, words, begun=True) for term in terms]
    marks = [word for word in words if word.startswith(("stage:", "grade:", "about:"))]
    sought = [*asked, *(place for place, term in enumerate(terms) if term.measure)]
    if not stands_in(terms, sought, [*(own or described), *marks]):
        return None
    _through(scores, place, about)
    if place.code is None:
        return Hit(
            Document("column", place.column, place.table, weight=0.85, text=label, clinical=place),
            scores,
        )
    # Of columns with the same value that says less which nobody asked for comes first.
    name = f"{place.code} = {meaning}" if meaning and meaning != place.code else place.code
    marked = any(word.startswith(("stage:", "grade:")) for word in words)
    count = max(1, len(own) - marked)
    weight = 1.0 - 0.01 * min(15, len({*described} - STOPWORDS))
    return Hit(
        Document(
            "value", name, place.table, words=count, weight=weight,
            text=f"{place.table}.{place.column}", clinical=place,
        ),
        scores,
    )  # fmt: skip


def _through(scores: list[float], place: Clinical, about: Mapping[str, list[float]]) -> None:
    """What the collection of a table is about, the table is about."""
    for number, known in enumerate(scores):
        through = max((about[one][number] for one in place.collections if one in about), default=0)
        scores[number] = max(known, COLLECTION_SHARE * min(1.0, through))


def _is_about(words: Sequence[str], what: tuple[str, ...]) -> bool:
    return any(word in what for word in words)
