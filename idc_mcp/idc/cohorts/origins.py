"""The SELECT that gave a cohort its series, and how that is written into another statement."""

from __future__ import annotations

import re
from dataclasses import dataclass

SERIES_COLUMNS = ("crdc_series_uuid", "SeriesInstanceUID")

_PARTS = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | \s+ | ;
      | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(\w*)\$.*?\$\1\$
      | \w+ | .""",
    re.DOTALL | re.VERBOSE,
)
"""A statement's comments, spaces, ends, texts in all their quotes, words, and what is left."""


@dataclass(frozen=True)
class Origin:
    """A caller's SELECT.

    Attributes
    ----------
    key
        The columns of `index` that its rows are values of: one of SERIES_COLUMNS,
        StudyInstanceUID, or `collection_id, PatientID`; '' where that is not known.
    picked
        What of its rows these values are; '' where its rows are just that.
    """

    sql: str
    key: str = ""
    picked: str = ""

    @property
    def names_series(self) -> bool:
        """Whether its rows are series, so that it gives them as it stands."""
        return self.key in ("", *SERIES_COLUMNS)

    def condition(self) -> str:
        """The series that it names, as a condition on `index`."""
        rows = statement(self.sql)
        if "--" in rows:
            rows += "\n"  # the comment must not swallow what follows
        if self.picked:
            rows = f"SELECT {self.picked} FROM ({rows})"
        key = f"({self.key})" if "," in self.key else self.key
        return f"{key} IN ({rows})"


def statement(sql: str) -> str:
    """A statement without what stands around it: it may then be put into parentheses."""
    if ";" not in sql:
        return sql.strip()
    meant = [
        part
        for part in _PARTS.finditer(sql)
        if not (part[0].isspace() or part[0] == ";" or part[0].startswith(("--", "/*")))
    ]
    return sql[meant[0].start() : meant[-1].end()] if meant else ""
