"""Keys that are named without being shown."""

from __future__ import annotations

import pytest

from worker.explain.row_changes import mask_key


@pytest.mark.parametrize(
    ("key", "masked"),
    [("7", "*"), ("42", "*2"), ("1003", "**03"), ("397d7584-8a22", "***22"), ("8/15/x", "***/x")],
)
def test_a_masked_key_shows_its_end(key: str, masked: str) -> None:
    assert mask_key(key) == masked
