"""What people call the tables that can be fetched, and which those are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from idc_mcp.errors import Damaged, NotFound, quoted
from idc_mcp.idc.nearest import bare, nearest
from idc_mcp.index.parquet import distinct
from idc_mcp.index.release import CLINICAL, CLINICAL_INDEX, Release

ALL = "all"
_SUFFIX = "index"
_LEAST = 3
"""Letters of a name that may stand for one that it is part of."""


def fetchable(release: Release) -> list[str]:
    """What can be fetched: the tables that are not bundled, then all clinical tables as one."""
    return [*release.specialised, CLINICAL]


def resolve(names: Iterable[str], release: Release) -> list[str]:
    """The tables that names stand for, in the order of `fetchable`.

    `seg` is seg_index; a clinical table stands for all of them and their dictionary; `all` is
    everything.

    Raises
    ------
    NotFound
        A name stands for nothing that can be fetched; the nearest are named.
    """
    wanted: set[str] = set()
    for name in names:
        wanted.update(_meant(name, release))
    return [name for name in fetchable(release) if name in wanted]


def asked_for(names: Iterable[str]) -> list[str]:
    """The fewest names that stand for these tables: `clinical` brings its dictionary."""
    given = list(names)
    return [name for name in given if name != CLINICAL_INDEX or CLINICAL not in given]


def _meant(name: str, release: Release) -> Iterator[str]:
    candidates = fetchable(release)
    said = bare(name)
    by_bare = {bare(one): one for one in candidates}
    if said == ALL:
        yield from candidates
        return
    exact = by_bare.get(said) or by_bare.get(said + _SUFFIX)
    within = [one for key, one in by_bare.items() if len(said) >= _LEAST and said in key]
    if said == CLINICAL or (exact is None and _is_clinical(name, release)):
        yield from (CLINICAL_INDEX, CLINICAL)
    elif exact:
        yield exact
    elif name in release.bundled:
        raise NotFound(
            f"{name} comes with idc-index-data and is always here: there is nothing to fetch.",
            next_step="idc-mcp fetch shows what can be fetched",
        )
    elif len(within) == 1:
        yield within[0]
    else:
        unknown = (
            ""
            if CLINICAL_INDEX in release.files
            else f" Clinical tables are fetched together: idc-mcp fetch {CLINICAL}."
        )
        raise NotFound(
            f"IDC {release.name} has no table {name!r} that can be fetched.{unknown}",
            nearest=within or nearest(name, candidates),
            next_step=f"give some of {quoted(candidates)}, or all",
        )


def _is_clinical(name: str, release: Release) -> bool:
    """Whether this is a clinical table, as far as what is here can tell."""
    said = name.strip().lower().removeprefix(f"{CLINICAL}.").strip('"')
    if said in {table.lower() for table in release.clinical}:
        return True
    dictionary, collections = (
        release.parquet(CLINICAL_INDEX),
        release.parquet("collections_index"),
    )
    try:
        if dictionary:
            return said in {table.lower() for table in distinct(dictionary, "short_table_name")}
        # Without the dictionary: their names begin with that of their collection.
        return collections is not None and any(
            said.startswith(f"{collection}_")
            for collection in distinct(collections, "collection_id")
        )
    except Damaged:
        return False
