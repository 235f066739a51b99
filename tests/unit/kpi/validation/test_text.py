"""Texts lose their outer blanks, and nothing else."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.folding import BLANKS
from kpi.validation.text import trim

CHARACTERS = st.sampled_from([*BLANKS, "a", "é", "Š", "\u0800", "日", "\x1c", "\u200b", "😀"])
VALUES = st.lists(st.none() | st.text(CHARACTERS, max_size=5), max_size=8)


def expected(text: str | None) -> str | None:
    """Trim one text; null where it was nothing but blanks, or is NULL without them."""
    if text is None:
        return None
    trimmed = text.strip(BLANKS)
    return None if trimmed != text and trimmed in ("", "NULL") else trimmed


@pytest.mark.parametrize("as_dictionary", [False, True])
@given(values=VALUES)
@example(values=["a", "a ", " a", None, "NULL ", "NULL", "", " "])
@example(values=["returned", "returned  "])
def test_texts_are_trimmed_as_one_by_one(values: list[str | None], as_dictionary: bool) -> None:
    whole = pa.array(["before ", *values, " after"], pa.string())[1:-1]
    trimmed = trim(whole.dictionary_encode() if as_dictionary else whole, ["NULL"])
    assert trimmed.values.to_pylist() == [expected(value) for value in values]
    assert trimmed.changed.tolist() == [
        value is not None and value.strip(BLANKS) != value for value in values
    ]
    if as_dictionary:
        texts = trimmed.values.dictionary.to_pylist()
        assert len(set(texts)) == len(texts)
