"""Words of headers and statuses: phrases, accents, compounds, and words within words."""

from __future__ import annotations

import pytest

from kpi.inference.headers import meaning_of
from kpi.inference.statuses import meaning_of_status


@pytest.mark.parametrize(
    ("header", "concept"),
    [
        ("Số lượng", "quantity"),
        ("SO LUONG", "quantity"),
        ("Đơn giá", "price"),
        ("Mã đơn hàng", "order"),
        ("Ma don hang", "order"),
        ("Positionswert", "line"),
    ],
)
def test_a_header_is_known_by_its_words(header: str, concept: str) -> None:
    assert concept in meaning_of(header)


def test_a_word_within_an_unknown_one_says_nothing() -> None:
    assert meaning_of("xxxxratexxxx").concepts == frozenset()
    assert meaning_of("xxxxpreis").concepts


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("Anulată", "no_sale"),
        ("ANULATA", "no_sale"),
        ("Retour ontvangen", "returned"),
        ("返品済", "returned"),
        ("キャンセル済", "no_sale"),
        ("partially_refunded", "returned"),
        ("not returned", None),
        ("Return requested", None),
        ("somewhere", None),
    ],
)
def test_a_status_is_known_by_one_of_its_words(text: str, meaning: str | None) -> None:
    assert meaning_of_status(text) == meaning
