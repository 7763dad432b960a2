"""Reading the catalogue's citation texts, and writing them as BibTeX and CSL-JSON.

The texts are in APA style, with HTML italics, entities and hard line breaks. What an entry
says is what its text says: names that cannot be split into family and given name stay whole,
an author list that the text abridges (`…`) is said to be so.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

_REFERENCE = re.compile(
    r"(?P<authors>.+?)\s*\((?P<year>\d{4})[^)]*\)\.?\s*"
    r"(?:<i>(?P<title>.+?)</i>|(?P<plain>.+?))\.?\s*"
    r"(?:\(Version (?P<version>[^)]*)\))?\s*\[Data ?set\]\.?\s*(?P<publisher>[^.<>]+?)\.\s*"
    r"https?://(?:dx\.)?doi\.org/(?P<doi>\S+?)\.?"
)
_ARTICLE = re.compile(
    r"(?P<authors>.+?)\s*\((?P<year>\d{4})[^)]*\)\.\s*(?P<plain>[^<]+?)\.?\s*"
    r"<i>(?P<journal>.+?)</i>.*?https?://(?:dx\.)?doi\.org/(?P<doi>\S+?)\.?"
)
_UNTYPED = re.compile(
    r"(?P<authors>.+?)\s*\((?P<year>\d{4})[^)]*\)\.?\s*<i>(?P<title>.+?)</i>\.?\s*"
    r"(?:\(Version (?P<version>[^)]*)\))?\.?\s*(?P<publisher>[^.<>]+?)\.\s*"
    r"https?://(?:dx\.)?doi\.org/(?P<doi>\S+?)\.?"
)

IDC_TEXT = (
    "Fedorov, A., Longabaugh, W. J. R., Pot, D., Clunie, D. A., Pieper, S. D., Gibbs, D. L., "
    "Bridge, C., Herrmann, M. D., Homeyer, A., Lewis, R., Aerts, H. J. W. L., Krishnaswamy, D., "
    "Thiriveedhi, V. K., Ciausu, C., Schacherer, D. P., Bontempi, D., Pihl, T., Wagner, U., "
    "Farahani, K., Kim, E., & Kikinis, R. (2023). National Cancer Institute Imaging Data "
    "Commons: Toward Transparency, Reproducibility, and Scalability in Imaging Artificial "
    "Intelligence. RadioGraphics, 43(12), e230180. https://doi.org/10.1148/rg.230180"
)
"""The reference of IDC itself, as PubMed lists it (PMID 37999984)."""

_INITIAL_LAST = re.compile(r"(?P<family>\w[\w’'-]+) (?P<given>(?:\w\.[ -]?)+)")


@dataclass(frozen=True)
class Author:
    """A person, or (without `given`) a name that stands as it is."""

    family: str
    given: str = ""


@dataclass(frozen=True)
class Reference:
    """One reference. Empty fields are not in its text.

    Attributes
    ----------
    doi
        As the text spells it; where it differs from the DOI in the index, `source_doi` has
        the latter.
    abridged
        The text leaves authors out (`…` before the last).
    """

    text: str
    doi: str
    source_doi: str = ""
    authors: tuple[Author, ...] = ()
    abridged: bool = False
    year: int = 0
    title: str = ""
    version: str = ""
    publisher: str = ""
    journal: str = ""
    volume: str = ""
    number: str = ""
    pages: str = ""


def idc_reference() -> Reference:
    """The reference of IDC itself, which every use cites."""
    authors, _ = read_authors(IDC_TEXT[: IDC_TEXT.index(" (2023)")])
    return Reference(
        text=IDC_TEXT,
        doi="10.1148/rg.230180",
        authors=authors,
        year=2023,
        title=IDC_TEXT[IDC_TEXT.index("National Cancer") : IDC_TEXT.index(". RadioGraphics")],
        publisher="Radiological Society of North America",
        journal="RadioGraphics",
        volume="43",
        number="12",
        pages="e230180",
    )


def clean(text: str) -> str:
    """A citation as one line of plain text: no HTML, no entities, no line breaks."""
    return " ".join(html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", text)).split())


def read_references(text: str, source_doi: str) -> list[Reference]:
    """The references of a citation text: one, or several with a blank line between."""
    parts = [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    return [_read(" ".join(html.unescape(part).split()), source_doi) for part in parts]


def bibtex(reference: Reference, key: str) -> str:
    """A BibTeX entry; a data set is `@misc`, which every style knows."""
    names = [f"{{{_latex(author.family)}}}" if not author.given
             else f"{_latex(author.family)}, {_latex(author.given)}"
             for author in reference.authors]  # fmt: skip
    if reference.abridged:
        names.append("others")
    fields = {
        "author": " and ".join(names),
        "title": f"{{{_latex(reference.title or reference.text)}}}",
        "year": str(reference.year or ""),
        "journal": _latex(reference.journal),
        "volume": reference.volume,
        "number": reference.number,
        "pages": reference.pages,
        "version": _latex(reference.version),
        "publisher": _latex(reference.publisher),
        "doi": reference.doi,
        "url": f"https://doi.org/{reference.doi}",
        "note": _latex("; ".join(_notes(reference))),
    }
    kind = "article" if reference.journal else "misc"
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}"


def csl(reference: Reference) -> dict[str, Any]:
    """A CSL-JSON item (citationstyles.org, csl-data schema 1.0)."""
    item: dict[str, Any] = {
        "id": f"https://doi.org/{reference.doi.lower()}",
        "type": "article-journal" if reference.journal else "dataset",
        "title": reference.title or reference.text,
        "author": [
            {"family": author.family, "given": author.given}
            if author.given
            else {"literal": author.family}
            for author in reference.authors
        ],
        "container-title": reference.journal,
        "volume": reference.volume,
        "issue": reference.number,
        "page": reference.pages,
        "version": reference.version,
        "publisher": reference.publisher,
        "DOI": reference.doi,
        "URL": f"https://doi.org/{reference.doi}",
        "note": "; ".join(_notes(reference)),
    }
    if reference.year:
        item["issued"] = {"date-parts": [[reference.year]]}
    return {name: value for name, value in item.items() if value}


def bibtex_key(reference: Reference) -> str:
    """A key such as `hugo2016_eln8ygle`, from the first author, the year and the DOI's end."""
    family = reference.authors[0].family if reference.authors else "anonymous"
    first = _ascii(family.split()[0] if len(reference.authors) == 1 else family)
    return f"{first or 'anonymous'}{reference.year or ''}_{_ascii(reference.doi.split('/')[-1])}"


def _notes(reference: Reference) -> list[str]:
    notes = []
    if not reference.journal:
        notes.append("Data set")
    if reference.abridged:
        notes.append("the source abridges its list of authors")
    if reference.source_doi:
        notes.append(f"cited for {reference.source_doi} in IDC")
    return notes


def _read(text: str, source_doi: str) -> Reference:
    plain = " ".join(re.sub(r"</?i>", "", text).split())
    match = next(
        (found for form in (_REFERENCE, _UNTYPED, _ARTICLE) if (found := form.fullmatch(text))),
        None,
    )
    if match is None:
        return Reference(text=plain, doi=source_doi)
    part = {name: (value or "").strip() for name, value in match.groupdict().items()}
    authors, abridged = read_authors(part["authors"])
    doi = part["doi"]
    return Reference(
        text=plain,
        doi=doi,
        source_doi="" if doi.lower() == source_doi.lower() else source_doi,
        authors=authors,
        abridged=abridged,
        year=int(part["year"]),
        title=part.get("title") or part.get("plain", ""),
        version=part.get("version", ""),
        publisher=part.get("publisher", ""),
        journal=part.get("journal", ""),
    )


def read_authors(text: str) -> tuple[tuple[Author, ...], bool]:
    """The authors of an APA list (`Hugo, G. D., Weiss, E., & Keall, P. J.`), and whether the
    list is abridged. What is not clearly a person's name stays whole."""
    abridged = "…" in text or "..." in text
    text = re.sub(r"\s*(?:…|\.\.\.)\s*", " ", text).strip()
    if ";" in text:
        return tuple(_family_first(part) for part in text.split(";") if part.strip()), abridged
    words = [word.strip() for word in re.sub(r",?\s*&\s*", ", ", text).split(",") if word.strip()]
    if not any("." in word[:-1] or re.fullmatch(r"\w\.", word) for word in words):
        whole = [word.removesuffix(".") for word in words]
        if len(whole) == 1:
            return (Author(whole[0]),), abridged
        return tuple(map(_given_first, whole)), abridged
    authors: list[Author] = []
    for word in words:
        last = authors[-1] if authors else None
        if (
            last is not None
            and not last.given
            and not _INITIAL_LAST.fullmatch(last.family)
            and ("." in word or word[0].islower())
        ):
            is_word = word[0].islower() and "." not in word[:-1]
            authors[-1] = Author(last.family, word.removesuffix(".") if is_word else word)
        else:
            authors.append(Author(word))
    return tuple(map(_initials_last, authors)), abridged


def _family_first(name: str) -> Author:
    family, _, given = name.strip().removesuffix(".").partition(",")
    return Author(family.strip(), given.strip())


def _given_first(name: str) -> Author:
    given, _, family = name.rpartition(" ")
    return Author(family, given)


def _initials_last(author: Author) -> Author:
    found = None if author.given else _INITIAL_LAST.fullmatch(author.family)
    return Author(found["family"], found["given"]) if found else author


def _latex(text: str) -> str:
    text = text.replace("\\", "\\textbackslash ").replace("{", "\\{").replace("}", "\\}")
    text = re.sub(r"([&%$#_])", r"\\\1", text)
    return text.replace("~", "\\textasciitilde ").replace("^", "\\textasciicircum ")


def _ascii(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", folded.lower())
