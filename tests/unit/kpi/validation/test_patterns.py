"""Regular expressions over few values, many, and long ones."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.loading import built_in
from kpi.contract.model import Column
from kpi.validation import decimals, integers, slow_path, timestamps
from kpi.validation import text as text_

PATTERNS = (
    timestamps.EXTENDED,
    timestamps.BASIC,
    integers.PLAIN_INTEGER,
    decimals.PLAIN_DECIMAL,
    decimals.SCIENTIFIC,
)
SHAPES = st.sampled_from(
    ["2024-02-29T10:11:12.1234567+01:00", "2023-02-29", "-12", "007", "1.5e-3", ".5", "12.", ""]
)
NEARLY = st.builds(
    lambda text, at, piece: text[:at] + piece + text[at:],
    SHAPES,
    st.integers(0, 40),
    st.sampled_from(["", "\n", " ", "\u0663", "x", "\0", "9", "-", "Z"]),
)


@given(st.lists(st.none() | NEARLY | st.text(max_size=5), max_size=20))
@example(["12\n", "2024-02-29\n", "1\u0663"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_few_values_match_as_many_do(pattern: str, values: list[str | None]) -> None:
    text = pa.array(values, pa.string())
    together = pc.match_substring_regex(text, pattern).to_pylist()
    assert text_.matches(text, pattern).tolist() == [one is True for one in together]


@pytest.mark.parametrize("text", ["1" * 101 + "x", "0" * 101 + "x", "1" * 102, " " * 101 + "x"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_long_value_is_left_to_patterns_that_do_not_go_back(
    pattern: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_, "compiled", None)
    together = pc.match_substring_regex(pa.array([text]), pattern).to_pylist()
    assert text_.matches(pa.array([text]), pattern).tolist() == together


@pytest.mark.parametrize("kind", ["integer", "decimal", "timestamp"])
def test_digits_of_a_megabyte_are_judged_at_once(
    kind: Literal["integer", "decimal", "timestamp"],
) -> None:
    column = Column(name="x", type=kind)
    long = ["1" * 2**20, *(digit * 2**20 + end for digit in "01" for end in ("x", " x", ".x"))]
    found = slow_path.convert(pa.array(long).cast(pa.binary()), column, built_in())
    assert found.values.null_count == len(long)
    assert found.bad.all()
