"""Licence terms: the allow-list, what each asks, and which uses it permits.

Whether a use is allowed is read off the list below and nowhere else: terms that are not on it
are unknown, and unknown is not allowed. (A test such as "does not contain NC" would pass
terms it has never seen.)
"""

from __future__ import annotations

from dataclasses import dataclass

from idc_mcp.idc.sql import literals

USES = ("any", "commercial")
"""The uses that can be asked about; `any` is every use that the terms themselves allow."""

NOT_STATED = "not stated"
"""The name of the licence where a series has none (the index of prior versions lacks it)."""


@dataclass(frozen=True)
class Terms:
    """A licence that has been read.

    Attributes
    ----------
    name
        As `license_short_name` in `index` spells it.
    commercial
        Whether the terms expressly permit commercial use.
    obligations
        What they ask of whoever uses the data, in a sentence or two.
    """

    name: str
    url: str
    long_name: str
    commercial: bool
    obligations: str


_ATTRIBUTE = "Credit the creators (cite the DOI), name and link the licence, say what you changed"
_NOT_COMMERCIAL = "Not for commercial advantage or monetary compensation"

TERMS: dict[str, Terms] = {
    terms.name: terms
    for terms in (
        Terms(
            "CC BY 4.0",
            "https://creativecommons.org/licenses/by/4.0/",
            "Creative Commons Attribution 4.0 International License",
            True,
            f"{_ATTRIBUTE}.",
        ),
        Terms(
            "CC BY 3.0",
            "https://creativecommons.org/licenses/by/3.0/",
            "Creative Commons Attribution 3.0 Unported License",
            True,
            f"{_ATTRIBUTE}.",
        ),
        Terms(
            "CC BY-NC 4.0",
            "https://creativecommons.org/licenses/by-nc/4.0/",
            "Creative Commons Attribution-NonCommercial 4.0 International License",
            False,
            f"{_NOT_COMMERCIAL}. {_ATTRIBUTE}.",
        ),
        Terms(
            "CC BY-NC 3.0",
            "https://creativecommons.org/licenses/by-nc/3.0/",
            "Creative Commons Attribution-NonCommercial 3.0 Unported License",
            False,
            f"{_NOT_COMMERCIAL}. {_ATTRIBUTE}.",
        ),
        # No Creative Commons licence: the terms neither grant nor forbid commercial use in so
        # many words, so they do not count as a permission.
        Terms(
            "National Library of Medicine Terms and Conditions; May 21, 2019",
            "https://www.nlm.nih.gov/databases/download/terms_and_conditions.html",
            "National Library of Medicine Terms and Conditions; May 21, 2019",
            False,
            "Acknowledge NLM as the source, imply no endorsement by NLM, NIH or HHS, and say "
            "where a redistributed copy is not the current one. Commercial use is not expressly "
            "granted: read the terms.",
        ),
    )
}
"""The allow-list. Sources: the licences' own pages (`url`)."""


def allowed_names(use: str) -> tuple[str, ...]:
    """Values of `license_short_name` whose terms allow a use, one of `USES`."""
    if use not in USES:
        raise ValueError(f"{use!r} is not one of {USES}")
    return tuple(name for name, terms in TERMS.items() if use == "any" or terms.commercial)


def condition(use: str) -> str:
    """The SQL condition for rows of core.series that may be used so."""
    return f"license_short_name IN ({literals(allowed_names(use))})"
