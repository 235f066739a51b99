"""Texts from outside become one line, without what a terminal would act on."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from worker.cli.sanitize import json_line, one_line

ANY_TEXT = st.text(st.characters(codec=None))


@given(ANY_TEXT)
@example("a\u2028b\x85c\x0bd\re\nf")
def test_any_text_becomes_one_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not [one for one in line if unicodedata.category(one) == "Cc" and one != "\t"]


@given(st.dictionaries(st.text(), st.text()))
@example({"a\u2028": "\x85\n\u202e"})
def test_json_line_is_one_line_of_the_same_value(value: dict[str, str]) -> None:
    line = json_line(value)
    assert len(line.splitlines()) == 1
    assert json.loads(line) == value


@given(st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_letters_and_digits_stay(text: str) -> None:
    assert one_line(text) == text
