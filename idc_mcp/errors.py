"""The one family of errors: what was wrong, the nearest valid values, the next step.

An error is raised where the knowledge is and rendered in one place (`str(error)`), so
that a model, a person at the terminal and a log all read the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_ERROR_CHARS = 8_000
"""Hosts cut errors (Claude Code at 11,000 characters); ours end before that."""


class IdcError(Exception):
    """Something the caller can mend.

    Parameters
    ----------
    what
        One or more sentences: what was wrong, and why.
    nearest
        Valid values close to the one given, best first.
    next_step
        The call or command that gets further.
    """

    def __init__(self, what: str, *, nearest: Sequence[str] = (), next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.nearest = tuple(nearest)
        self.next_step = next_step

    def __str__(self) -> str:
        advice = []
        if self.nearest:
            advice.append(f"Nearest: {', '.join(self.nearest)}.")
        if self.next_step:
            advice.append(f"Next: {self.next_step}")
        # What was wrong may quote the caller at length; the advice is what must arrive.
        rest = _shorten(" ".join(advice), MAX_ERROR_CHARS // 2)
        return f"{_shorten(self.what, MAX_ERROR_CHARS - len(rest))} {rest}".rstrip()


class BadArgument(IdcError):
    """An argument is unknown, of the wrong type, empty, or out of range."""


class NotFound(IdcError):
    """An identifier, value, table, column or handle that this release does not have."""


class Refused(IdcError):
    """The request is understood and not allowed, for the reason given."""


class SqlError(IdcError):
    """The engine rejected a statement or gave up on it; its own words are passed on whole."""


class Unavailable(IdcError):
    """A part that is needed is not there now (a table, the network, a free worker)."""


class NotFetched(Unavailable):
    """Tables of the release whose rows are not on this machine; they can be fetched.

    Attributes
    ----------
    coming
        Whether they are on their way: the same question gets further in a moment.
    """

    def __init__(
        self,
        what: str,
        *,
        nearest: Sequence[str] = (),
        next_step: str = "",
        tables: Sequence[str] = (),
        coming: bool = False,
    ) -> None:
        super().__init__(what, nearest=nearest, next_step=next_step)
        self.tables = tuple(tables)
        self.coming = coming


class Damaged(IdcError):
    """A stored file is corrupt; it is reported or rebuilt, never half-read."""


def quoted(values: Iterable[object]) -> str:
    """Values as a person would list them: `'a', 'b'`."""
    return ", ".join(f"'{value}'" for value in values)


def _shorten(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({len(text) - most} more characters)"
