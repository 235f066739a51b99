"""Numbers, dates and words of headers, found from texts alone."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from kpi.contract.forms import DateForm
from kpi.inference.dates import read_dates
from kpi.inference.headers import meaning_of
from kpi.inference.statuses import meaning_of_status
from kpi.inference.values import read_numbers


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["1.234,50", "3,00"], "1.234,50"),
        (["1,234.50", "12.00"], "1,234.50"),
        (["1234,5", "3"], "1234,50"),
        (["1 234,50 €", "3,00 €"], "1 234,50€"),
        (["(12.50)", "3.00"], "1234.50"),
        (["$1.00", "$2"], "$1234.50"),
    ],
)
def test_the_form_of_numbers_is_that_of_all_values(texts: list[str], form: str) -> None:
    found = read_numbers(texts)
    assert found is not None
    assert found[0][0] == form


@pytest.mark.parametrize("texts", [["P1", "P2"], ["0123", "0456"], ["#17"], ["10 kg"], ["a"]])
def test_codes_are_no_numbers(texts: list[str]) -> None:
    assert read_numbers(texts) is None


@pytest.mark.parametrize(
    ("texts", "examples", "order"),
    [
        (["2024-01-02", "2024-01-03 10:00:00+02:00"], ("iso",), "none"),
        (["01/02/2016", "13/02/2016"], ("31/12/2025",), "day"),
        (["01/02/2016", "02/13/2016"], ("12/31/2025",), "month"),
        (["01/02/2016", "03/04/2016"], ("31/12/2025",), None),
        (["01.02.2016"], ("31.12.2025",), "day"),
        (["Mar 01, 2025"], ("Dec 31, 2025",), "none"),
    ],
)
def test_the_order_of_day_and_month_is_that_of_the_values(
    texts: list[str], examples: tuple[str, ...], order: str | None
) -> None:
    found = read_dates(texts)
    assert found is not None
    assert (found.examples, found.order) == (examples, order)


@pytest.mark.parametrize(
    ("texts", "rivals"),
    [
        (["25-03-03", "25-03-04", "25-03-14"], ("day", "year")),
        (["25/03/03 10:00", "25/03/14 11:00"], ("day", "year")),
        (["25.03.03", "25.04.14"], ("day", "year")),
        (["24-12-01", "25-01-01", "25-02-01"], ("day", "year")),
        (["18-11-05", "20-11-06", "25-11-09"], ("day", "year")),
        (["05-03-03", "05-03-04"], ("day", "month", "year")),
        (["01/02/2016", "03/04/2016"], ("day", "month")),
        (["01-02-24", "09-04-25"], ("day", "month", "year")),
    ],
)
def test_what_may_come_first_in_a_date_is_open(texts: list[str], rivals: tuple[str, ...]) -> None:
    found = read_dates(texts)
    assert found is not None
    assert (found.order, found.rivals) == (None, rivals)


@pytest.mark.parametrize(
    ("texts", "example"),
    [
        (["2025.03.05. 08:22", "2025.03.25. 18:02"], "2025.12.31. 23:59"),
        (["5. 3. 2025", "25. 3. 2025"], "31. 12. 2025"),
        (["05.03.2025.", "25.03.2025."], "31.12.2025."),
    ],
)
def test_points_behind_ordinal_numbers_are_of_the_form(texts: list[str], example: str) -> None:
    """As of Hungarian, Czech and Croatian in Unicode's CLDR."""
    found = read_dates(texts)
    assert found is not None
    assert found.examples == (example,)
    assert DateForm.of_example(example) is not None


@pytest.mark.parametrize(
    ("texts", "example", "order"),
    [
        (["25-03-03", "25-13-03", "26-13-04"], None, None),
        (["32-03-03", "33-03-04"], "25-12-31", "year"),
        (["25-03-3", "25-03-14"], "25-12-31", "year"),
        (["25-02-30", "25-02-28"], "31-12-25", "day"),
        (["25-03-03", "25-03-32"], "31-12-25", "day"),
        (["02-03-25", "03-03-25", "14-03-25"], "31-12-25", "day"),
        (["13-03-25", "14-03-25", "15-03-25"], "31-12-25", "day"),
        (["03/02/24", "03/14/24", "12/30/25"], "12/31/25", "month"),
        (["01.03.25", "14.04.25"], "31.12.25", "day"),
        (["31-04-24", "01-04-24"], None, None),
    ],
)
def test_values_decide_where_a_year_of_two_digits_stands(
    texts: list[str], example: str | None, order: str | None
) -> None:
    found = read_dates(texts)
    if example is None:
        assert found is None
    else:
        assert found is not None
        assert (found.examples, found.order) == ((example,), order)


@pytest.mark.parametrize("texts", [["13/02/2016", "02/13/2016"], ["31-04-2019"], ["1.5"]])
def test_texts_of_no_one_calendar_are_no_dates(texts: list[str]) -> None:
    assert read_dates(texts) is None


@pytest.mark.parametrize(
    ("header", "concepts"),
    [
        ("ORDERLINENUMBER", {"order", "line", "id"}),
        ("OrderDate", {"order", "date"}),
        ("Kundennummer", {"customer", "id"}),
        ("prix_unitaire", {"price", "unit"}),
        ("siparis_tarihi", {"order", "date"}),
        ("цена", {"price"}),
        ("数量", {"quantity"}),
    ],
)
def test_headers_are_split_into_known_words(header: str, concepts: set[str]) -> None:
    assert concepts <= meaning_of(header).concepts


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("Refunded", "returned"), ("on-hold", "no_sale"), ("zwrócone", "returned"), ("x", None)],
)
def test_statuses_are_known_in_several_languages(text: str, meaning: str | None) -> None:
    assert meaning_of_status(text) == meaning


@pytest.mark.parametrize("name", ["spellings.toml", "statuses.toml"])
def test_each_list_of_words_has_a_source(name: str) -> None:
    document = tomllib.loads(files("kpi.inference").joinpath(name).read_text("utf-8"))
    entries = [
        (language, entry)
        for languages in document.values()
        for language, of_language in languages.items()
        for entry in of_language
    ]
    assert len({language for language, _ in entries}) >= 12
    assert all("https://" in entry["source"] and entry["words"] for _, entry in entries)
