"""What an identifier names, and what matters about it: the door to the accounts of each kind."""

from __future__ import annotations

import re
from collections.abc import Callable

from idc_mcp.errors import NotFound
from idc_mcp.idc.describe.changes import describe_changes
from idc_mcp.idc.describe.dataset import describe_analysis_result, describe_collection, describe_doi
from idc_mcp.idc.describe.description import Description
from idc_mcp.idc.describe.images import (
    describe_patient,
    describe_prior,
    describe_series,
    describe_study,
)
from idc_mcp.idc.describe.release import describe_release
from idc_mcp.idc.identifiers import Identified, Kind, identify, releases_named
from idc_mcp.idc.nearest import folded
from idc_mcp.idc.schema.accounts import Account, describe_table
from idc_mcp.idc.schema.lookup import find_clinical, find_table
from idc_mcp.index.release import CLINICAL
from idc_mcp.index.store import Index

_RELEASE = re.compile(r"(?:idc[ _]*)?(?:release|version)?[ _]*v?(\d{1,3})", re.IGNORECASE)
_MOST_COLUMNS = 100

_ACCOUNTS: dict[Kind, Callable[[Index, Identified], Description]] = {
    "collection": describe_collection,
    "analysis_result": describe_analysis_result,
    "doi": describe_doi,
    "patient": describe_patient,
    "study": describe_study,
    "series": describe_series,
}


def describe(index: Index, identifier: str) -> Description:
    """An account of a collection, analysis result, patient, study, series, DOI, table or release,
    or of what changed between two releases (`v20..v25`).

    Raises
    ------
    NotFound
        Nothing has this name; the nearest names are given.
    BadArgument
        It is empty, or names several things.
    NotFetched
        It may be a clinical table, and nothing of those is on this machine.
    """
    name = identifier.strip().strip("\"'`").strip()
    release = _RELEASE.fullmatch(name)
    if pair := releases_named(name, marked=True):
        return describe_changes(index, pair, name)
    # A bare number that is no release may be a PatientID.
    if release and not (name.isdigit() and int(name) > index.release.number):
        return describe_release(index, int(release[1]))
    plain = folded(name).replace(" ", "_").rstrip(".*")
    if plain in index.release.schemas or plain in ("idc_index", CLINICAL):
        return _of_table(describe_table(index, name, "", _MOST_COLUMNS))
    try:
        found = identify(index, identifier)
    except NotFound as error:
        # 20-25 might have been a PatientID.
        if pair := releases_named(name, marked=False):
            return describe_changes(index, pair, name)
        # It raises NotFetched where only the clinical tables themselves could tell.
        if table := find_clinical(index, name):
            return _of_table(describe_table(index, table, "", _MOST_COLUMNS))
        raise _with_schema(index, name, error) from None
    if found.prior:
        return describe_prior(index, found)
    return _ACCOUNTS[found.kind](index, found)


def _of_table(account: Account) -> Description:
    return Description(
        kind="table",
        understood=account.understood,
        about=account.about,
        tables=account.tables,
        columns=account.columns,
        notes=account.notes,
        next=account.next,
    )


def _with_schema(index: Index, name: str, error: NotFound) -> NotFound:
    """The same error, pointing to idc_schema where the name is a table's or column's."""
    for schema in index.release.schemas.values():
        for column in schema.columns:
            if column.name.lower() == name.lower():
                return NotFound(
                    f"'{name}' is a column of {schema.name}, not an identifier.",
                    next_step=f"idc_schema(table='{schema.name}', column='{column.name}')",
                )
    try:
        table = find_table(index, name).name
    except NotFound:
        return error
    return NotFound(error.what, nearest=[table], next_step=f"idc_schema(table='{table}')")
