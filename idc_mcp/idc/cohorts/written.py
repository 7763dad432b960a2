"""Long lists of values for statements of ours: written once, read by each statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from idc_mcp.files import private_directory, scratch_file
from idc_mcp.idc.sql import literal


class Written:
    """Gives lists of values as SQL that yields them, from scratch files.

    A list of 100,000 written into each statement as literals takes seconds a statement.
    """

    def __init__(self, directory: Path, files: ExitStack) -> None:
        self._directory = directory
        self._files = files
        self._queries: dict[tuple[str, ...], str] = {}

    @classmethod
    @contextmanager
    def below(cls, directory: Path) -> Iterator[Written]:
        """One whose files lie in `directory` and are gone at the end."""
        private_directory(directory)
        with ExitStack() as files:
            yield cls(directory, files)

    def query(self, values: list[str]) -> str:
        """SQL that yields the values, in a column `id`."""
        key = tuple(values)
        if key not in self._queries:
            path = self._files.enter_context(scratch_file(self._directory, ".values"))
            # As hex digits: a value may hold any character.
            lines = (f"{value.encode().hex()}\n" for value in values if value)
            path.write_text("".join(lines), encoding="ascii")
            self._queries[key] = (
                f"SELECT DISTINCT decode(unhex(id)) AS id FROM read_csv({literal(str(path))}, "
                "header = false, delim = '\\t', quote = '', escape = '', "
                "columns = {'id': 'VARCHAR'})"
            )
        return self._queries[key]
