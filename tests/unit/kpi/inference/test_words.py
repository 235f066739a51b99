"""Words of headers and statuses: phrases, accents, compounds, and words within words."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from kpi.inference.headers import SPELLINGS, meaning_of, vocabulary
from kpi.inference.statuses import STATUSES, meaning_of_status


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


@pytest.mark.parametrize(
    ("header", "concepts"),
    [
        ("ID kupca", {"customer", "id"}),  # genitive of kupac: a vowel goes
        ("Naziv izdelka", {"name", "product"}),
        ("Kliendi nr", {"customer", "id"}),
        ("Tuotteen hinta", {"product", "price"}),
        ("Ημερομηνία παραγγελίας", {"date", "order"}),
        ("Шифра купца", {"id", "customer"}),  # Serbian in Cyrillic letters
        ("วันที่สั่งซื้อ", {"date"}),  # vowels of Thai are marks
        ("Stok Grubu", {"stock", "category"}),  # possessive of grup: p is b before a vowel
    ],
)
def test_a_header_is_known_in_all_cases_of_its_words(header: str, concepts: set[str]) -> None:
    assert concepts <= meaning_of(header).concepts


def test_a_stem_of_words_with_nothing_in_common_says_nothing() -> None:
    known = {one for one in vocabulary() if " " not in one}
    assert all(meaning_of(one).concepts >= vocabulary()[one] for one in known)
    assert meaning_of("orderly").concepts == meaning_of("order").concepts
    assert meaning_of("zzzzama").concepts == frozenset()


@pytest.mark.parametrize("name", [*SPELLINGS, *STATUSES])
def test_each_entry_of_words_has_a_source(name: str) -> None:
    text = files("kpi.inference").joinpath(name).read_text(encoding="utf-8")
    for languages in tomllib.loads(text).values():
        for entries in languages.values():
            assert all(one["source"] and one["words"] for one in entries)


def test_a_short_word_within_an_unknown_cyrillic_one_says_nothing() -> None:
    assert "before" in meaning_of("до")
    assert meaning_of("Документ №").concepts == frozenset()


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
        ("vraćena", "returned"),  # feminine of vraćeno
        ("Grąžintos", "returned"),
        ("Stornované", "no_sale"),
        ("Zurückgegeben", "returned"),
        ("visszaigazolva", None),  # confirmed: visszaküldve is another word
        ("somewhere", None),
    ],
)
def test_a_status_is_known_by_one_of_its_words(text: str, meaning: str | None) -> None:
    assert meaning_of_status(text) == meaning
