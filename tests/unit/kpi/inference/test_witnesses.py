"""What rows of a long file are kept beside its first ones."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

from kpi.inference import witnesses
from kpi.inference.witnesses import WITNESSES_OF_A_KIND, Witnesses

HEAD = (("1", "2", "3"), ("01/02/2025", "03/04/2025", "05/06/2025"), ("paid", "paid", "paid"))


def seen(*columns: Sequence[str], first: int = 0) -> Witnesses:
    found = Witnesses(HEAD)
    found.see([pa.array(cells, pa.string()) for cells in columns], first=first)
    return found


@pytest.mark.parametrize(
    "row",
    [
        ("4", "25/01/2025", "paid"),  # decides that the day comes first
        ("A-4", "07/01/2025", "paid"),  # the ids are no numbers
        ("4", "07/01/2025", "refunded"),  # a further status
        ("4", "2025-01-07", "paid"),  # another form of dates
        ("0004", "07/01/2025", "paid"),  # a code, and no number
    ],
)
def test_a_row_of_a_new_kind_is_kept(row: tuple[str, str, str]) -> None:
    usual = ("5", "07/08/2025", "paid")
    assert seen(*zip(usual, row, usual, strict=True)).rows == [row]


def test_rows_of_known_kinds_are_passed_over() -> None:
    found = seen(["4", "5"], ["07/08/2025", "9/10/2025"], ["paid", ""])
    assert found.rows == []
    assert found.rows_seen == 2


def test_first_rows_are_no_witnesses() -> None:
    assert seen(["order", "4"], ["day", "07/08/2025"], ["status", "paid"], first=1).rows == []


def test_some_rows_of_one_kind_are_enough() -> None:
    many = 3 * WITNESSES_OF_A_KIND
    found = seen([f"W-{10_000 + n}" for n in range(many)], ["07/08/2025"] * many, ["paid"] * many)
    assert len(found.rows) == WITNESSES_OF_A_KIND


def test_a_column_of_free_texts_keeps_nothing_more() -> None:
    found = Witnesses((("a b", "c; d", "e"),))
    marks = [f"{'x ' * (n % 40)}{'-' * n}" for n in range(1, 900)]
    found.see([pa.array(marks, pa.string())])
    assert len(found.rows) <= 2 * witnesses.MAX_KINDS + 1


@pytest.mark.parametrize("held", [40, 2_000_000], ids=["a share", "all"])
def test_keys_that_come_again_are_told(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(witnesses, "MAX_KEYS", held)
    ids = [str(number) for number in range(1000)]
    once, again = Witnesses((ids[:3],)), Witnesses((ids[:3],))
    once.see([pa.array(ids, pa.string())])
    again.see([pa.array(ids, pa.string())])
    again.see([pa.array(ids, pa.string())])
    assert once.repeated() == frozenset()
    assert again.repeated() == {0}
