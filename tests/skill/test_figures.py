"""Every number in the skill's prose is claimed by an entry of `figures/`, and recomputed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_blocks import ROOT, SKILL_DOCUMENTS
from tests.skill import claims

FILES = sorted(claims.FIGURES.glob("*.toml"))
CLAIMS = [
    pytest.param(claim, id=f"{path.stem}-{number}")
    for path in FILES
    for number, claim in enumerate(claims.claims(path), 1)
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_figures_are_of_documents_that_there_are(path):
    assert (ROOT / claims.document_of(path)).exists()


@pytest.mark.parametrize("claim", CLAIMS)
def test_figures_stand_in_the_document_and_are_true(claim, app, release):
    assert claims.places(claim.text, claims.prose(claim.document)), (
        f"{claim.document} does not say {claim.text!r}"
    )
    why = claims.wrong(claim, release, lambda sql: app.index.rows(sql)[0], app)
    assert not why, why


@pytest.mark.parametrize("document", SKILL_DOCUMENTS, ids=lambda name: Path(name).stem)
def test_every_number_in_prose_is_claimed(document, release):
    path = claims.FIGURES / f"{Path(document).stem}.toml"
    made = claims.claims(path) if path.exists() else []
    assert not (found := claims.unclaimed(document, made, release)), "\n".join(found)


@pytest.mark.parametrize(("text", "found"), [
    ("45% of the series", ["45%"]),
    ("empty in 44.9 % of them", ["44.9 %"]),
    ("up to 5 MB or 3 of them", ["5 MB"]),
    ("1,044,191 series, 10⁶, 1e6 and 512x512", ["1,044,191 series", "10", "1e6", "512"]),
    ("`SELECT 100` and `LIMIT 10`", ["100", "10"]),
    ("release v25, v24 is older, `idc_v23_clinical`", ["v24", "v23"]),
    ("idc_v25 and `(0018,9087)`, PS3.5 6.2, CC BY 4.0, SHA-256, T1, 3D, S3, `ct_64_b`", []),
    ("`1.2.840.10008.1.2.1`, 10.1148/rg.230180, `c_ba3d79187618`", []),
    ("12. first\n3 others", []),
])  # fmt: skip
def test_what_is_a_figure(text, found, release):
    assert [number.text for number in claims.numbers(text, release)] == found


@pytest.mark.parametrize(("shown", "real", "roughly", "fits"), [
    ("45", 44.9, False, True), ("45", 44.4, False, False), ("99.945", 99.94521, False, True),
    ("5,000", 4987, True, True), ("5,000", 4987, False, False), ("5,000", 4400, True, False),
    ("1e6", 1_000_000, False, True),
])  # fmt: skip
def test_a_number_is_rounded_as_it_is_shown(shown, real, roughly, fits):
    assert claims._fits(shown, real, roughly) == fits
