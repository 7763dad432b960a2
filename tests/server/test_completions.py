"""Completions of clinical tables and their columns, where those are on this machine."""

from __future__ import annotations

import dataclasses

import pytest
from mcp_types import PromptReference

from tests.server.conftest import connected

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("argument", "typed", "given", "expected"),
    [
        ("table", "nlst_c", {}, ["nlst_canc", "nlst_ctab", "nlst_ctabc"]),
        ("table", "clinical", {}, ["clinical_index", "clinical"]),
        ("column", "clinical_s", {"table": "nlst_canc"}, ["clinical_stag"]),
        ("column", "x", {"table": "clinical"}, []),
    ],
)
async def test_clinical_names(settings, full_cache, argument, typed, given, expected):
    async with connected(dataclasses.replace(settings, cache_dir=full_cache)) as client:
        result = await client.complete(
            PromptReference(name="find_data"),
            {"name": argument, "value": typed},
            context_arguments=given,
        )
    assert result.completion.values[: len(expected) or None] == expected
