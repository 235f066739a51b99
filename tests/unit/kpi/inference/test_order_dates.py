"""Which of two dates an order counts on, where words do not say it."""

from __future__ import annotations

from kpi.inference.contract import infer_contract
from tests.unit.kpi.inference.shop_samples import ROWS, flat, table_of

AMOUNTS = [f"{1 + order + line}.50" for order, line in ROWS]


def asked(*, later: int, header: str = "zzkk", date: str = "day") -> list[str]:
    """Infer a shop with two dates, of which one is a day later on some orders."""
    shown = flat(line_total=AMOUNTS)
    days = [f"2025-03-{1 + order % 27 + (order % 10 < later):02}" for order, _ in ROWS]
    earlier = shown.pop("order_date")
    table = table_of({**shown, date: days, header: [f"2025-03-{1 + o % 27:02}" for o, _ in ROWS]})
    assert len(earlier) == len(days)
    return [one.word for one in infer_contract([table], {}).questions]


def test_a_date_that_is_never_after_the_chosen_one_is_a_question() -> None:
    assert asked(later=1) == ["date"]


def test_dates_that_are_one_on_all_orders_are_no_question() -> None:
    assert asked(later=0) == []


def test_a_date_that_words_name_stays_where_another_is_before_it_at_times() -> None:
    assert asked(later=1, date="order_date") == []
