"""`[expect]`: what it may say in both languages, and what it is no part of."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest

from kpi.contract.differences import same_clean_rows, same_kpis
from kpi.contract.expectation import Expectation
from kpi.contract.loading import built_in, layout_names, parse_contract
from kpi.errors import ContractError

DEFAULT = built_in().text
SHOP = built_in(layout_names()[0]).text
FIRST = '\n[expect]\nevery = "day"\nby = "09:00"\ndatasets = ["orders", "order_items"]\n'
SECOND = """
[[expect]]
every = "workday"
by = "23:30"
datasets = "orders"
files = 24
until = "today"
zone = "Asia/Kolkata"
[[expect]]
every = ["monday", "thursday"]
by = "06:05"
datasets = ["products"]
"""


@pytest.mark.parametrize("text", [DEFAULT, SHOP], ids=["language 1", "language 2"])
def test_both_languages_say_what_comes_when(text: str) -> None:
    contract = parse_contract(text + FIRST, source="test")
    assert [replace(one, time_zone="UTC") for one in contract.expect] == [
        Expectation(
            weekdays=tuple(range(7)), by=time(9), datasets=("orders", "order_items"), files=1
        )
    ]
    assert parse_contract(text, source="test").expect == ()


def test_several_expectations_have_hours_of_their_own() -> None:
    berlin = DEFAULT.replace('business_time_zone = "UTC"', 'business_time_zone = "Europe/Berlin"')
    assert parse_contract(berlin + SECOND, source="test").expect == (
        Expectation(
            weekdays=(0, 1, 2, 3, 4),
            by=time(23, 30),
            datasets=("orders",),
            files=24,
            until="today",
            time_zone="Asia/Kolkata",
        ),
        Expectation(
            weekdays=(0, 3), by=time(6, 5), datasets=("products",), time_zone="Europe/Berlin"
        ),
    )


@pytest.mark.parametrize("text", [DEFAULT, SHOP], ids=["language 1", "language 2"])
def test_every_problem_is_listed(text: str) -> None:
    wrong = """
[[expect]]
every = ["day", "fullmoon"]
by = "9:00"
datasets = ["orders", "invoices"]
files = 0
until = "tomorrow"
zone = "Mars"
when = 3
[[expect]]
"""
    with pytest.raises(ContractError) as error:
        parse_contract(text + wrong, source="test")
    listed = "\n".join(error.value.problems)
    for problem in (
        "expect 1.every: expected one or more of day, workday, monday, tuesday, ",
        "expect 1.by: expected a time of the day such as \"09:00\", got '9:00'",
        "expect 1.datasets: expected one or more of orders, ",
        "expect 1.files: expected a whole number from 1 to 10000, got 0",
        "expect 1.until: expected one of yesterday, today, got 'tomorrow'",
        "expect 1.zone: expected an IANA time zone such as Europe/Berlin, got 'Mars'",
        "expect 1.when: expected one of the settings ",
        "expect 2.every: expected one or more of ",
        "expect 2.by: expected a time of the day",
        "expect 2.datasets: expected one or more of",
    ):
        assert problem in listed
    with pytest.raises(ContractError, match=r"expect: expected tables under \[\[expect\]\]"):
        parse_contract("expect = 3\n" + text, source="test")


@pytest.mark.parametrize("text", [DEFAULT, SHOP], ids=["language 1", "language 2"])
def test_rows_and_kpis_do_not_depend_on_it(text: str) -> None:
    bare, expecting = (parse_contract(one, source="test") for one in (text, text + FIRST))
    assert expecting.digest != bare.digest
    assert same_clean_rows(bare, expecting)
    assert same_kpis(bare, expecting)
    other = replace(expecting, max_reject_rate=0.5)
    assert not same_kpis(bare, other)
