"""Citations: all DOIs of the release, cleaned, and as BibTeX and CSL-JSON that parse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pandas as pd
import pytest

from idc_mcp.idc.citations import citations, references
from idc_mcp.idc.citations.citations import CATALOGUE, Citations, cite
from idc_mcp.idc.citations.references import Author, read_authors, read_references
from idc_mcp.idc.cohorts.resolve import Cohort
from idc_mcp.tools.citations import idc_citations

CSL_ITEM = {
    "type": "object",
    "required": ["id", "type", "title", "author", "issued", "DOI", "URL"],
    "additionalProperties": False,
    "properties": {
        **{name: {"type": "string", "minLength": 1} for name in (
            "id", "title", "container-title", "volume", "issue", "page", "version", "publisher",
            "DOI", "URL", "note")},
        "type": {"enum": ["dataset", "article-journal"]},
        "author": {"type": "array", "minItems": 1, "items": {"oneOf": [
            {"type": "object", "required": ["family", "given"], "additionalProperties": False,
             "properties": {"family": {"type": "string"}, "given": {"type": "string"}}},
            {"type": "object", "required": ["literal"], "additionalProperties": False,
             "properties": {"literal": {"type": "string"}}}]}},
        "issued": {"type": "object", "properties": {"date-parts": {"type": "array", "items": {
            "type": "array", "items": {"type": "integer", "minimum": 1990, "maximum": 2030}}}}},
    },
}  # fmt: skip


def cohort_of(where: str) -> Cohort:
    source = f"(SELECT * FROM core.series WHERE {where}) AS series"
    return Cohort(handle="c_test", understood="a test", definition="", source=source)


@pytest.fixture(scope="module")
def frame(release) -> pd.DataFrame:
    return pd.read_parquet(release.parquet("index"), columns=["collection_id", "source_DOI"])


def bibtex_entries(text: str) -> dict[str, dict[str, str]]:
    """Entries by key; braces are counted, so that nothing is read past its end."""
    entries: dict[str, dict[str, str]] = {}
    for start in re.finditer(r"^@\w+\{([^,\s]+),\n", text, re.MULTILINE):
        depth, at = 1, start.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0) if text[at - 1] != "\\" else 0
            at += 1
        body = text[start.end() : at - 1]
        assert start[1] not in entries
        entries[start[1]] = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", body, re.MULTILINE))
    return entries


def test_every_doi_of_the_release_has_its_text(index, settings, frame):
    found = cite(index, cohort_of("true"), "apa", settings)
    expected = frame.source_DOI.str.lower().value_counts()
    assert found.dois == len(found.cited) == len(expected) == 242
    assert not found.missing
    for item in found.cited:
        assert item.series == expected[item.doi]
        assert item.origin == CATALOGUE
        assert "https://doi.org/" in item.text
        assert not re.search(r"<|&\w+;|[\r\n\t]|  ", item.text)


def test_every_bibtex_entry_parses(index, settings):
    found = cite(index, cohort_of("true"), "bibtex", settings)
    assert not found.missing
    text = citations.document(found, "bibtex", "IDC v25")
    entries = bibtex_entries(text)
    assert len(entries) == text.count("\n@") + 1 == 244  # one text has two references; and IDC's
    for key, fields in entries.items():
        assert re.fullmatch(r"[a-z]+\d{4}_[a-z0-9]+(_\d)?", key)
        assert {"author", "title", "year", "doi", "url"} <= fields.keys()
        assert "publisher" in fields or "journal" in fields
        assert re.fullmatch(r"(19|20)\d\d", fields["year"])
        for name, value in fields.items():
            assert value.count("{") == value.count("}")
            if name not in ("doi", "url"):
                assert not re.search(r"(?<!\\)[&%#_$]", value), (key, name, value)
    assert all(line.startswith("% Built") for line in text.split("\n") if line.startswith("%"))


def test_every_csl_item_is_valid(index, settings):
    found = cite(index, cohort_of("true"), "csl-json", settings)
    items = json.loads(citations.document(found, "csl-json", "IDC v25"))
    assert len(items) == 244
    assert len({item["id"] for item in items}) == 244
    validator = jsonschema.Draft202012Validator(CSL_ITEM)
    for item in items:
        validator.validate(item)


def test_turtle_offline_is_missing_with_the_reason_and_the_text(index, settings):
    found = cite(index, cohort_of("collection_id = '4d_lung'"), "turtle", settings)
    (item,) = found.missing
    assert not found.cited
    assert found.dois == 1
    assert "offline" in item.why
    assert item.apa.startswith("Hugo, G. D.")
    text = citations.document(found, "turtle", "IDC v25")
    assert all(line.startswith("#") for line in text.splitlines() if line)


def test_series_without_a_doi_are_listed(index, settings):
    source = (
        "(SELECT * REPLACE (NULL AS source_DOI) FROM core.series "
        "WHERE collection_id = '4d_lung') AS series"
    )
    cohort = Cohort(handle="c", understood="", definition="", source=source, prior=True)
    found = cite(index, cohort, "apa", settings)
    assert found.dois == 0
    assert found.missing[0].series == 6690
    assert "4d_lung" in found.missing[0].why


def test_a_doi_without_text_is_listed(index, settings):
    source = (
        "(SELECT * REPLACE ('10.1/NONE' AS source_DOI) FROM core.series "
        "WHERE collection_id = '4d_lung') AS series"
    )
    cohort = Cohort(handle="c", understood="", definition="", source=source)
    for form in ("apa", "bibtex", "csl-json", "turtle"):
        (item,) = cite(index, cohort, form, settings).missing
        assert (item.doi, item.series) == ("10.1/none", 6690)
        assert item.why


def test_case_of_a_doi_does_not_matter(index, settings):
    source = (
        "(SELECT * REPLACE (upper(source_DOI) AS source_DOI) FROM core.series "
        "WHERE collection_id = '4d_lung' UNION ALL "
        "SELECT * FROM core.series WHERE collection_id = '4d_lung') AS series"
    )
    cohort = Cohort(handle="c", understood="", definition="", source=source)
    (item,) = cite(index, cohort, "apa", settings).cited
    assert item.series == 2 * 6690


@pytest.mark.parametrize("text, authors, abridged", [
    ("Hugo, G. D., Weiss, E., & Keall, P. J.",
     [("Hugo", "G. D."), ("Weiss", "E."), ("Keall", "P. J.")], False),
    ("National Lung Screening Trial Research Team.",
     [("National Lung Screening Trial Research Team", "")], False),
    ("Clunie, D., GTEx Consortium, & Fedorov, A.",
     [("Clunie", "D."), ("GTEx Consortium", ""), ("Fedorov", "A.")], False),
    ("Deepa Krishnaswamy, Dennis Bontempi, & Andrey Fedorov.",
     [("Krishnaswamy", "Deepa"), ("Bontempi", "Dennis"), ("Fedorov", "Andrey")], False),
    ("Armato III, Samuel G.; Hadjiiski, Lubomir",
     [("Armato III", "Samuel G"), ("Hadjiiski", "Lubomir")], False),
    ("Nohel, M., Válek V., Dostál M.", [("Nohel", "M."), ("Válek", "V."), ("Dostál", "M.")], False),
    ("Bloch, B. N., Jain, A., & jaffe, conrade carl.",
     [("Bloch", "B. N."), ("Jain", "A."), ("jaffe", "conrade carl")], False),
    ("Bakas, S., Nguyen, A. A.-T., … Davatzikos, C.",
     [("Bakas", "S."), ("Nguyen", "A. A.-T."), ("Davatzikos", "C.")], True),
])  # fmt: skip
def test_authors(text, authors, abridged):
    assert read_authors(text) == (tuple(Author(*author) for author in authors), abridged)


def test_a_text_of_two_references_gives_both(index):
    text = citations.catalogue_texts(index)["10.5281/zenodo.22284133"]
    article, data = read_references(text, "10.5281/zenodo.22284133")
    assert article.journal == "Machine Learning for Biomedical Imaging"
    assert data.publisher == "Zenodo"
    assert "cited for 10.5281/zenodo.22284133 in IDC" in references.bibtex(data, "x")


def test_text_that_is_no_reference_stays_whole():
    (found,) = read_references("See <i>the</i> 50% & more_of {it}", "10.1/x")
    assert found.text == "See the 50% & more_of {it}"
    entry = references.bibtex(found, "key")
    assert "See the 50\\% \\& more\\_of \\{it\\}" in entry
    assert references.csl(found)["title"] == found.text


def test_idc_itself():
    reference = references.idc_reference()
    assert len(reference.authors) == 21
    assert reference.authors[-1] == Author("Kikinis", "R.")
    assert reference.title.endswith("in Imaging Artificial Intelligence")
    entry = references.bibtex(reference, "k")
    for field in ("journal = {RadioGraphics}", "volume = {43}", "number = {12}", "{e230180}"):
        assert field in entry


def test_methods_sentence_names_the_release(index):
    text = citations.methods_sentence(index, cohort_of("collection_id = '4d_lung'"))
    assert "6,690 series" in text
    assert "20 patients" in text
    assert "1 collection)" in text
    assert "data release v25 of 26 September 2026 (idc-index-data 25" in text


@pytest.mark.parametrize("form", ["apa", "bibtex", "csl-json", "turtle"])
def test_tool_saves_all_and_shows_a_few(index, settings, form):
    cohorts = SimpleNamespace(resolve=lambda _: cohort_of("true"))
    app = SimpleNamespace(index=index, settings=settings, cohorts=cohorts, release_name="IDC v25")
    name = f"all{citations.SUFFIXES[form][0]}"
    answer = idc_citations(app, "x", format=form, save_as=name)
    assert answer.dois == 242
    text = Path(answer.file).read_text()
    assert text.count("10.7937/") + text.count("10.5281/") >= 242
    assert answer.citations.more + len(answer.citations.rows) == (0 if form == "turtle" else 242)
    assert "10.1148/rg.230180" in str(answer.idc)


def test_where_more_citations_are_is_a_call_that_works(make_app):
    app = make_app()
    for form in ("apa", "bibtex", "csl-json"):
        rest = idc_citations(app, "tcga_luad", format=form).citations.rest
        arguments = eval(rest.replace("idc_citations(", "dict("))
        assert app.cohorts.resolve("tcga_luad").handle in arguments["save_as"]
        saved = idc_citations(app, **arguments)
        assert Path(saved.file).exists()
        assert saved.citations.rest == "all are in the file"
    missing = idc_citations(app, "tcga_luad", format="turtle").missing
    arguments = eval(missing.rest.replace("idc_citations(", "dict("))
    assert idc_citations(app, **arguments).dois == len(missing.rows)


def test_keys_of_doi_org_are_changed_only_where_taken():
    keys = {"a"}
    assert citations._with_new_key("@misc{a, x={}}", keys) == "@misc{a_2, x={}}"
    assert citations._with_new_key("@misc{b, x={}}", keys) == "@misc{b, x={}}"


def test_nothing_at_all():
    assert Citations().dois == 0
