"""Lines that stand in several rows, as where a file is joined with payments or tags."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kpi.inference.contract import infer_contract
from kpi.inference.samples import TableSample
from tests.unit.kpi.inference.test_evidence_of_values import ORDERS, asked, lines, sample, shop_of

ROWS = 2 * ORDERS


def joined(**more: Sequence[object]) -> TableSample:
    """Every line of every third order twice."""
    shown = lines()
    rows = [at for at in range(ROWS) for _ in range(2 if at // 2 % 3 == 0 else 1)]
    columns: dict[str, Sequence[object]] = {
        name: [cells[at] for at in rows] for name, cells in shown.items()
    }
    firsts = [at == 0 or rows[at - 1] != one for at, one in enumerate(rows)]
    columns |= {"zzpay": ["card" if first else "voucher" for first in firsts]}
    return sample(columns | {name: cells[: len(rows)] for name, cells in more.items()})


def test_lines_that_stand_again_for_each_payment_are_a_question() -> None:
    table = joined()
    assert asked(infer_contract([table], {})) == ["lines"]
    once = shop_of(infer_contract([table], {"lines": "once"})).datasets["order_items"]
    assert once.key == ("order_id", "product_id")
    each = shop_of(infer_contract([table], {"lines": "each"})).datasets["order_items"]
    assert each.key_by == "order"


def test_lines_with_identifiers_of_their_own_are_no_copies() -> None:
    table = joined(order_line_id=[f"L{at}" for at in range(2 * ROWS)])
    assert asked(infer_contract([table], {})) == []


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        ("zzpay", ["card", "voucher"] * ORDERS, ["lines"]),
        ("zzpay", ["card"] * ROWS, []),  # nothing tells two rows apart: each is a piece
        ("quantity", [1, 2] * ORDERS, []),
        ("unit_price", ["5.00", "6.50"] * ORDERS, []),
        ("zzpay", [f"n{at}" for at in range(ROWS)], []),  # an identifier of lines
    ],
)
def test_two_rows_of_one_product_are_copies_where_payments_tell_them_apart(
    column: str, cells: Sequence[object], words: list[str]
) -> None:
    shown = lines() | {"sku": [f"P{at // 2 % 4}" for at in range(ROWS)]}
    shown |= {"quantity": [1 + at // 2 % 3 for at in range(ROWS)], "unit_price": ["5.00"] * ROWS}
    found = asked(infer_contract([sample(shown | {column: cells})], {}))
    assert [one for one in found if one == "lines"] == words


def test_a_product_that_stands_twice_in_few_orders_is_no_copy() -> None:
    shown = lines()
    pays = ["card"] * ROWS
    for at in (0, 2):
        shown["sku"] = [*shown["sku"][: at + 1], shown["sku"][at], *shown["sku"][at + 2 :]]
        pays[at + 1] = "voucher"
    shown |= {"quantity": [1 + at // 2 % 3 for at in range(ROWS)], "unit_price": ["5.00"] * ROWS}
    assert "lines" not in asked(infer_contract([sample(shown | {"zzpay": pays})], {}))


def test_copies_of_two_lines_of_one_product_have_no_key() -> None:
    rows = [(order, pieces, pay) for order in range(ORDERS) for pieces in (1, 2) for pay in "ab"]
    columns: dict[str, Sequence[object]] = {
        "order_id": [7000 + order for order, *_ in rows],
        "order_date": [f"2025-03-{1 + order % 28:02}" for order, *_ in rows],
        "sku": [f"P{order % 4}" for order, *_ in rows],
        "quantity": [pieces for _, pieces, _ in rows],
        "unit_price": ["5.00"] * len(rows),
        "zzpay": [pay for *_, pay in rows],
    }
    assert "lines" not in asked(infer_contract([sample(columns)], {}))
