"""Folding: one function for contracts and data, over all of Unicode."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from kpi.contract.folding import BLANKS, fold

CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("İade edildi", "iade edildi"),
        ("İADE EDİLDİ", "iade edildi"),
        ("KARIŞIK", "kar\u0131ş\u0131k"),
        ("ΕΠΙΣΤΡΟΦΕΣ", "επιστροφες"),
        ("ΕΠΙΣΤΡΟΦΕΣ", "επιστροφεσ"),
        ("RETOURNÉ", "retourne\u0301"),
        ("STRASSE", "straße"),
        ("returned", "\u00a0Returned \u3000"),
        ("ﬁnal", "FINAL"),
    ],
)
def test_spellings_of_one_word_fold_alike(left: str, right: str) -> None:
    assert fold(left) == fold(right)


@pytest.mark.parametrize(("left", "right"), [("é", "e"), ("ß", "s"), ("1", "2"), ("a b", "ab")])
def test_other_words_fold_otherwise(left: str, right: str) -> None:
    assert fold(left) != fold(right)


@pytest.mark.slow
def test_folding_twice_changes_nothing() -> None:
    for character in CHARACTERS:
        folded = fold(f"x{character}x")
        assert fold(folded) == folded, hex(ord(character))


@pytest.mark.slow
def test_upper_and_lower_case_of_every_character_fold_alike() -> None:
    odd = [
        character
        for character in CHARACTERS
        if not (
            fold(f"x{character}x")
            == fold(f"x{character}x".upper())
            == fold(f"x{character}x".lower())
        )
    ]
    assert odd == []


@pytest.mark.slow
def test_every_composition_of_a_character_folds_alike() -> None:
    for character in CHARACTERS:
        folded = fold(f"x{character}x")
        for form in ("NFC", "NFD"):
            assert fold(unicodedata.normalize(form, f"x{character}x")) == folded


def test_blanks_are_white_space_and_the_byte_order_mark() -> None:
    by_python = {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()}
    # Unicode's White_Space, and the separators of ASCII, which Python counts too.
    assert set(BLANKS) == by_python | set("\u180e\u200b\u2060\ufeff")
