"""Answers: which are asked for, what an unknown one is told, and what only a person can say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kpi.inference
from kpi.contract.loading import parse_contract
from kpi.inference.contract import infer_contract
from kpi.inference.questions import WORDS, NotInferableError
from kpi.inference.samples import TableSample


def sample(price: str, *dates: str, **more: tuple[str, ...]) -> TableSample:
    columns = {
        "Order": ("1", "2", "3", "4"),
        "Date": dates or ("2024-05-01", "2024-05-01", "2024-05-02", "2024-05-03"),
        "Product": ("Tea", "Cup", "Tea", "Pot"),
        "Qty": ("2", "1", "1", "3"),
        price: ("3.50", "8.00", "3.60", "20.00"),
        **more,
    }
    cells = tuple(columns.values())
    return TableSample(name="s.csv", match="s.csv", headers=tuple(columns), columns=cells)


def test_all_words_of_questions_are_listed() -> None:
    folder = Path(kpi.inference.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    found = re.findall(r'word="(\w+)"|answers\.value\("(\w+)"\)', text)
    assert {one or other for one, other in found} == set(WORDS)


def test_a_later_question_may_be_answered_before_an_open_one() -> None:
    inferred = infer_contract([sample("net_price")], {"order_discount": "none"})
    assert [one.word for one in inferred.questions] == ["money"]


@pytest.mark.parametrize(
    ("word", "hint"), [("mony", "did you mean 'money'"), ("xxxx", "the words are category, ")]
)
def test_an_unknown_word_is_answered_with_the_known_ones(word: str, hint: str) -> None:
    with pytest.raises(NotInferableError, match=hint):
        infer_contract([sample("net_price")], {word: "1"})


def test_an_answer_that_nothing_asks_for_is_refused() -> None:
    with pytest.raises(NotInferableError, match=r"which nothing asks for$"):
        infer_contract([sample("unit_price")], {"order_discount": "none"})


@pytest.mark.parametrize("header", ["net_price", "Nettopreis", "Preis netto"])
def test_a_net_price_that_no_row_decides_is_asked_about(header: str) -> None:
    (question,) = infer_contract([sample(header)], {}).questions
    assert set(question.answers) == {f"unit_price:{header}", f"after_discount:{header}"}
    assert any(one.startswith("the price of one piece") for one in question.answers.values())
    text = infer_contract([sample(header)], {"money": f"unit_price:{header}"}).text
    columns = parse_contract(text, source="inferred").shop.datasets["order_items"].columns  # type: ignore[union-attr]
    assert "unit_price" in columns


def test_a_net_price_that_rows_decide_is_not_asked_about() -> None:
    totals = {"Line total": ("7.00", "8.00", "3.60", "60.00")}
    assert not infer_contract([sample("net_price", **totals)], {}).questions


def test_one_value_that_is_no_date_is_named_by_its_row() -> None:
    dates = ("2024-05-01", "2024-05-01", "gestern", "2024-05-03")
    with pytest.raises(NotInferableError) as refused:
        infer_contract([sample("price", *dates)], {})
    assert "'Date' of s.csv, which has dates but in row 3 ('aaaaaaa')" in str(refused.value)
    assert "gestern" not in str(refused.value)


def test_a_pattern_says_which_later_files_it_takes() -> None:
    text = infer_contract([sample("price")], {}).text
    assert "a file of another name does not match: write * where names differ" in text


def test_names_of_months_are_read_in_the_language_that_has_them_all() -> None:
    months = ("1 Mei 2024", "12 Agustus 2024", "2 Okt 2024", "3 Mei 2024")
    inferred = infer_contract([sample("unit_price", *months)], {})
    assert not inferred.questions
    assert 'dates = ["31 Desember 2025"]' in inferred.text


LISTOPAD = ("1. lis 2024", "2. lis 2024", "2. lis 2024", "14. lis 2024")
"""In November in Czech and Polish, in October in Croatian."""


def test_a_month_of_two_languages_is_asked_about() -> None:
    (question,) = infer_contract([sample("unit_price", *LISTOPAD)], {}).questions
    assert (question.word, set(question.answers)) == (
        "dates",
        {"31. gru 2025", "31. prosinca 2025"},
    )
    answered = infer_contract([sample("unit_price", *LISTOPAD)], {"dates": "31. prosinca 2025"})
    assert 'dates = ["31. prosinca 2025"]' in answered.text


def test_another_column_of_dates_settles_the_language_of_months() -> None:
    paid = ("3. sij 2025", "4. sij 2025", "4. sij 2025", "5. sij 2025")
    inferred = infer_contract([sample("unit_price", *LISTOPAD, Shipped=paid)], {})
    assert not inferred.questions
    assert 'dates = ["31. prosinca 2025"]' in inferred.text


def test_months_that_no_language_names_so_are_named() -> None:
    months = ("1 Lúnasa 2024", "12 Lúnasa 2024", "2 Mei 2024", "3 Mei 2024")
    with pytest.raises(NotInferableError, match=r"names so: Lúnasa; write months as numbers"):
        infer_contract([sample("unit_price", *months)], {})


def test_months_of_two_languages_in_one_column_are_named() -> None:
    months = ("1 May 2024", "12 May 2024", "2 Mei 2024", "3 Mei 2024")
    with pytest.raises(NotInferableError, match=r"names so: May, Mei; write months"):
        infer_contract([sample("unit_price", *months)], {})
