"""The renderer: two forms that say the same, under one budget, nothing cut without a word."""

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idc_mcp.answers import Answer, Table, render
from idc_mcp.quantities import bytes_text


class Sample(Answer):
    elastic: ClassVar[tuple[str, ...]] = ("small", "large", "words")
    floors: ClassVar[dict[str, int]] = {"words": 50}

    count: int = 0
    nothing: str | None = None
    words: str = ""
    small: Table | None = None
    large: Table | None = None

    def whole(self) -> str:
        return "(whole: elsewhere)"


def _table(rows: int) -> Table:
    return Table.of(["n", "text"], [[i, f"row {i}"] for i in range(rows)], rest="ask(limit=999)")


def test_empty_fields_are_left_out_and_zero_is_not():
    rendered = render(Sample(release="R", count=0), 20_000)
    assert rendered.structured == {"release": "R", "count": 0}
    assert rendered.text == "release: R\ncount: 0"


def test_a_table_is_csv_and_row_arrays():
    table = Table.of(["a", "b"], [[1, 'say "x", y'], [None, [1, 2]]])
    rendered = render(Sample(release="R", small=table), 20_000)
    assert rendered.structured["small"]["rows"] == [[1, 'say "x", y'], [None, [1, 2]]]
    assert rendered.text.splitlines()[-3:] == ["a,b", '1,"say ""x"", y"', ',"[1,2]"']


def test_an_empty_table_keeps_its_columns():
    rendered = render(Sample(release="R", small=Table(columns=["a"], rows=[])), 20_000)
    assert rendered.structured["small"] == {"columns": ["a"], "rows": []}


@given(small=st.integers(0, 300), large=st.integers(0, 300), words=st.integers(0, 3000),
       budget=st.integers(1000, 20_000))  # fmt: skip
def test_budget_holds_and_every_row_is_counted(small, large, words, budget):
    answer = Sample(release="R", small=_table(small), large=_table(large), words="x" * words)
    rendered = render(answer, budget)
    assert rendered.chars <= budget
    for name, total in (("small", small), ("large", large)):
        table = rendered.structured[name]
        assert len(table["rows"]) + table.get("more", 0) == total
        if table.get("more"):
            assert f"{table['more']} more: ask(limit=999)" in rendered.text
    if len(rendered.structured.get("words", "")) < words:
        assert rendered.structured["words"].endswith("… (whole: elsewhere)")


def test_least_important_goes_first():
    answer = Sample(release="R", small=_table(100), large=_table(100))
    structured = render(answer, 3000).structured
    assert len(structured["small"]["rows"]) < 100
    assert len(structured["large"]["rows"]) == 100


def test_lists_lose_their_last_items_and_say_so():
    class Listing(Answer):
        elastic: ClassVar[tuple[str, ...]] = ("warnings",)
        floors: ClassVar[dict[str, int]] = {"warnings": 2}
        warnings: list[str]

    rendered = render(Listing(release="R", warnings=["x" * 100] * 30), 2_000)
    warnings = rendered.structured["warnings"]
    assert rendered.chars <= 2_000
    assert warnings[-1] == f"… {30 - (len(warnings) - 1)} more"
    floor = render(Listing(release="R", warnings=["x" * 100] * 30), 10).structured["warnings"]
    assert floor[-1] == "… 28 more"


def test_without_a_budget_nothing_is_cut():
    assert "more" not in render(Sample(release="R", large=_table(5000)), None).structured["large"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (5_755_827_936_624, "5.76 TB"),
     (99_944_891_647_274, "99.9 TB"), (999_600_000, "1 GB"), (1_234_000_000_000_000, "1,234 TB")],
)  # fmt: skip
def test_bytes_in_words(count, text):
    assert bytes_text(count) == text
