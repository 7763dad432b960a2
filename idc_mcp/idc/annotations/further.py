"""The calls that give what an answer had to leave out: rows by kind, then by the SQL of a kind."""

from __future__ import annotations

from collections.abc import Collection

from idc_mcp.idc.annotations.kinds import KINDS

_BY_MAKER = {
    "SEG": (
        "AlgorithmType, AlgorithmName, analysis_result_id, count(*) AS series",
        "JOIN seg_index USING (SeriesInstanceUID)",
    ),
    "ANN": (
        "AnnotationGroupGenerationType, AlgorithmName, analysis_result_id, "
        "count(DISTINCT SeriesInstanceUID) AS series",
        "JOIN ann_group_index USING (SeriesInstanceUID)",
    ),
    "RTSTRUCT": (
        "ROIGenerationAlgorithms, analysis_result_id, count(*) AS series",
        "JOIN rtstruct_index USING (SeriesInstanceUID)",
    ),
}
"""For the makers of a kind: what to select, and the table to join with the annotations."""


def makers(handle: str, kind: str) -> str:
    """The call that counts all annotations of a kind under a handle by who made them."""
    columns, table = _BY_MAKER.get(kind, ("analysis_result_id, count(*) AS series", ""))
    return sql_call(
        f"SELECT {columns} FROM {handle} {table} WHERE Modality = '{kind}' "
        "GROUP BY ALL ORDER BY series DESC".replace("  ", " ")
    )


def sources(handle: str) -> str:
    """The call that counts all images under a handle by Modality and collection."""
    return sql_call(
        f"SELECT Modality, collection_id, count(*) AS series FROM {handle} GROUP BY ALL "
        "ORDER BY series DESC"
    )


def kind_by_kind(name: str, direction: str, kinds: Collection[str]) -> str:
    """The same question for each of these kinds: the rows of one have all the room."""
    said = "" if direction == "annotations" else f", direction='{direction}'"
    first, *others = [kind for kind in KINDS if kind in kinds]
    again = "".join(f"; then kinds=['{kind}']" for kind in others)
    return f"idc_annotations(cohort={name!r}{said}, kinds=['{first}']){again}"


def sql_call(sql: str) -> str:
    """A call of idc_sql."""
    return f'idc_sql(sql="{sql}")'
