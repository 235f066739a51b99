"""Rows of shipping and fees among the lines of an order are no goods."""

from __future__ import annotations

import pytest

from kpi.inference.contract import infer_contract
from tests.unit.kpi.inference.shop_samples import flat, shop_of, table_of


def lines_with(kind: str, *, blank: bool = True) -> dict[str, list[object]]:
    """Add a row of another kind behind the lines of each second order."""
    shown = flat(zzname=[f"Thing {at % 6}" for at in range(120)])
    names = list(shown)
    rows = [[shown[name][at] for name in names] for at in range(120)]
    out = []
    for at, row in enumerate(rows):
        out.append([*row, "Zzgoods", f"{1 + at % 6}.50"])
        if at % 4 == 3:
            order, day, sku = row[0], row[1], row[2]
            out.append([order, day, "" if blank else sku, 1, "Zzzz", kind, "4.90"])
    columns = list(zip(*out, strict=True))
    headers = [*names, "zzkind", "line_total"]
    return {name: list(cells) for name, cells in zip(headers, columns, strict=True)}


@pytest.mark.parametrize("kind", ["Doprava", "Shipping"])
def test_rows_of_shipping_without_a_product_are_passed_over(kind: str) -> None:
    shop = shop_of(infer_contract([table_of(lines_with(kind))], {}))
    (condition,) = shop.files[0].only["order_items"]
    assert condition["zzkind"].texts == (f"!{kind}",)
    assert "orders" not in shop.files[0].only


@pytest.mark.parametrize(("answer", "left_out"), [("no", True), ("yes", False)])
def test_rows_that_no_word_explains_are_a_question(answer: str, left_out: bool) -> None:
    table = table_of(lines_with("Zzother"))
    assert [one.word for one in infer_contract([table], {}).questions] == ["charges"]
    shop = shop_of(infer_contract([table], {"charges": answer}))
    assert ("order_items" in shop.files[0].only) == left_out


def test_rows_of_a_kind_that_have_products_are_goods() -> None:
    shop = shop_of(infer_contract([table_of(lines_with("Doprava", blank=False))], {}))
    assert not shop.files[0].only
