"""What the values of columns say where no word does, and what they leave to a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kpi.contract.loading import parse_contract
from kpi.contract.shop import Shop
from kpi.inference.contract import Inferred, infer_contract
from kpi.inference.questions import NotInferableError
from kpi.inference.samples import TableSample

ORDERS = 60
PRICES = (12.5, 40.0, 3.2, 88.8)


def sample(columns: Mapping[str, Sequence[object]], name: str = "sales.csv") -> TableSample:
    return TableSample(
        name=name,
        match=name,
        headers=tuple(columns),
        columns=tuple(tuple(map(str, cells)) for cells in columns.values()),
    )


def lines(**more: Sequence[object]) -> dict[str, Sequence[object]]:
    """Sixty orders of two lines each; a fifth of the lines has 10 % off."""
    rows = [(order, line) for order in range(ORDERS) for line in range(2)]
    products = [(order + line) % 4 for order, line in rows]
    pieces = [1 + (3 * order + line) % 4 for order, line in rows]
    return {
        "order_id": [7000 + order for order, _ in rows],
        "order_date": [f"2025-03-{1 + order % 28:02}" for order, _ in rows],
        "sku": [f"P{product}" for product in products],
        "quantity": pieces,
        "unit_price": [f"{PRICES[product]:.2f}" for product in products],
        **more,
    }


def gross() -> list[float]:
    shown = lines()
    return [
        float(str(price)) * int(str(count))
        for price, count in zip(shown["unit_price"], shown["quantity"], strict=True)
    ]


def off() -> list[float]:
    return [round(one / 10, 2) if at % 5 == 0 else 0.0 for at, one in enumerate(gross())]


def net() -> list[str]:
    return [f"{one - less:.2f}" for one, less in zip(gross(), off(), strict=True)]


def asked(inferred: Inferred) -> list[str]:
    return [one.word for one in inferred.questions]


def shop_of(inferred: Inferred) -> Shop:
    assert not inferred.questions
    shop = parse_contract(inferred.text, source="test").shop
    assert shop is not None
    return shop


def money_of(shop: Shop) -> dict[str, str]:
    roles = ("unit_price", "before_discount", "after_discount", "discount", "discount_percent")
    columns = shop.datasets["order_items"].columns
    return {role: columns[role].headers[0] for role in roles if role in columns}


BUYERS = [f"b{order % 17}" for order in range(ORDERS) for _ in range(2)]


def test_a_column_that_repeats_over_orders_may_be_the_customer() -> None:
    table = sample(lines(zzkk=BUYERS))
    assert asked(infer_contract([table], {})) == ["customer"]
    taken = shop_of(infer_contract([table], {"customer": "zzkk"}))
    assert taken.datasets["orders"].columns["user_id"].headers == ("zzkk",)
    none = shop_of(infer_contract([table], {"customer": "none"}))
    assert "user_id" not in none.datasets["orders"].columns


@pytest.mark.parametrize(
    "cells",
    [
        ["card", "cash"] * ORDERS,  # too few, and not one for each order
        [f"n{at}" for at in range(2 * ORDERS)],  # each once
        [f"{at // 2 % 3}" for at in range(2 * ORDERS)],  # as many as ways of payment
    ],
)
def test_a_column_unlike_customers_is_no_question(cells: list[str]) -> None:
    assert asked(infer_contract([sample(lines(zzkk=cells))], {})) == []


def test_a_column_that_groups_products_may_be_the_category() -> None:
    shown = lines()
    groups = ["left" if sku in ("P0", "P2") else "right" for sku in shown["sku"]]
    table = sample(lines(zzkk=groups))
    assert asked(infer_contract([table], {})) == ["category"]
    taken = shop_of(infer_contract([table], {"category": "zzkk"}))
    assert taken.datasets["order_items"].columns["category"].headers == ("zzkk",)


STATES = [("okkk", "okkk", "okkk", "backk", "gonee")[order % 5] for order in range(ORDERS)]


def test_statuses_of_no_known_word_are_a_question() -> None:
    table = sample(lines(status=[one for one in STATES for _ in range(2)]))
    (question,) = infer_contract([table], {}).questions
    # A status of most orders is no return.
    assert list(question.answers) == ["none", "backk", "gonee"]
    several = shop_of(infer_contract([table], {"returned": "backk|gonee"}))
    (condition,) = several.datasets["orders"].returned or ()
    assert condition["status"].texts == ("backk", "gonee")


def test_a_status_is_known_by_its_values_alone() -> None:
    states = [("delivered", "returned")[order % 4 == 0] for order in range(ORDERS)]
    table = sample(lines(zzkk=[one for one in states for _ in range(2)]))
    (condition,) = shop_of(infer_contract([table], {})).datasets["orders"].returned or ()
    assert condition["status"].texts == ("returned",)


def test_the_number_that_multiplies_a_price_is_the_quantity() -> None:
    shown = lines()
    pieces = shown.pop("quantity")
    table = sample(shown | {"zzkk": pieces, "line_total": [f"{one:.2f}" for one in gross()]})
    columns = shop_of(infer_contract([table], {})).datasets["order_items"].columns
    assert columns["quantity"].headers == ("zzkk",)


def test_an_unnamed_amount_below_the_price_is_after_discounts() -> None:
    shop = shop_of(infer_contract([sample(lines(zzkk=net()))], {}))
    assert money_of(shop) == {"after_discount": "zzkk"}


def test_an_unnamed_discount_is_known_by_what_it_leaves() -> None:
    sizes = [f"{one:.2f}" for one in off()]
    shown = lines(zzkk=sizes, line_total=net())
    assert money_of(shop_of(infer_contract([sample(shown)], {}))) == {
        "after_discount": "line_total"
    }


def test_an_unnamed_amount_that_nothing_explains_is_a_question() -> None:
    table = sample(lines(zzkk=[f"{one:.2f}" for one in off()]))
    assert asked(infer_contract([table], {})) == ["money"]


def test_the_stated_amount_of_a_line_comes_before_a_computed_one() -> None:
    percents = [10 if at % 5 == 0 else 0 for at in range(2 * ORDERS)]
    shown = lines(discount_percent=percents, line_total=net())
    assert money_of(shop_of(infer_contract([sample(shown)], {}))) == {
        "after_discount": "line_total"
    }


def test_a_price_that_is_the_usual_one_is_before_its_discount() -> None:
    shown = lines(discount=[f"{one:.2f}" for one in off()])
    del shown["unit_price"]
    shown["item_price"] = [f"{one:.2f}" for one in gross()]
    assert money_of(shop_of(infer_contract([sample(shown)], {}))) == {
        "before_discount": "item_price",
        "discount": "discount",
    }


def totals(fee: str) -> TableSample:
    amounts = [50 + 3 * order for order in range(ORDERS)]
    fees = [(0, 5)[order % 2] for order in range(ORDERS)]
    columns = {
        "order_id": range(ORDERS),
        "order_date": [f"2025-03-{1 + order % 28:02}" for order in range(ORDERS)],
        "amount": [f"{one:.2f}" for one in amounts],
        fee: [f"{one:.2f}" for one in fees],
        "total": [f"{one + more:.2f}" for one, more in zip(amounts, fees, strict=True)],
    }
    return sample({name: list(cells) for name, cells in columns.items()})


def test_a_total_with_its_shipping_is_no_revenue() -> None:
    shop = shop_of(infer_contract([totals("shipping")], {}))
    assert shop.datasets["orders"].columns["total"].headers == ("amount",)


def test_a_total_with_its_tax_is_a_question() -> None:
    assert asked(infer_contract([totals("tax")], {})) == ["money"]


@pytest.mark.parametrize(("answer", "taken"), [("coupon_discount", True), ("none", False)])
def test_a_discount_of_orders_is_asked_for(answer: str, taken: bool) -> None:
    orders = sample(
        {
            "order_id": [7000 + order for order in range(ORDERS)],
            "order_date": [f"2025-03-{1 + order % 28:02}" for order in range(ORDERS)],
            "coupon_discount": [(0, 2)[order % 3 == 0] for order in range(ORDERS)],
        },
        "orders.csv",
    )
    shown = lines()
    del shown["order_date"]
    samples = [orders, sample(shown, "order_lines.csv")]
    assert asked(infer_contract(samples, {})) == ["order_discount"]
    shop = shop_of(infer_contract(samples, {"order_discount": answer}))
    assert ("discount" in shop.datasets["orders"].columns) is taken


def test_an_article_with_letters_is_no_amount_of_money() -> None:
    shown = lines()
    shown["article no"] = [f"Ft{sku}".replace("P", "10") for sku in shown.pop("sku")]
    shop = shop_of(infer_contract([sample(shown)], {}))
    assert shop.datasets["order_items"].columns["product_id"].headers == ("article no",)


def test_the_only_date_is_asked_for_where_it_is_of_a_delivery() -> None:
    shown = lines()
    shown["delivery_date"] = shown.pop("order_date")
    assert asked(infer_contract([sample(shown)], {})) == ["date"]
    shop = shop_of(infer_contract([sample(shown)], {"date": "delivery_date"}))
    assert shop.datasets["orders"].columns["created_at"].headers == ("delivery_date",)


def test_days_of_eight_digits_are_dates() -> None:
    shown = lines()
    shown["order_date"] = [str(one).replace("-", "") for one in shown["order_date"]]
    inferred = infer_contract([sample(shown)], {})
    shop_of(inferred)
    assert 'dates = ["20251231"]' in inferred.text


CURRENCIES = [("EUR", "USD")[order % 7 == 0] for order in range(ORDERS) for _ in range(2)]


@pytest.mark.parametrize("header", ["Currency", "Währung", "Měna", "Para Birimi", "通貨"])
def test_two_currencies_are_refused_until_one_is_named(header: str) -> None:
    table = sample(lines() | {header: CURRENCIES})
    with pytest.raises(NotInferableError, match=r"currency=EUR.*currency=USD"):
        infer_contract([table], {})
    shop = shop_of(infer_contract([table], {"currency": "EUR"}))
    assert shop.currency == "EUR"
    assert shop.datasets["orders"].columns["currency"].headers == (header,)


def test_two_currencies_without_codes_are_refused() -> None:
    signs = ["€" if one == "EUR" else "$" for one in CURRENCIES]
    with pytest.raises(NotInferableError, match="several currencies"):
        infer_contract([sample(lines() | {"Currency": signs})], {})


def test_a_number_that_may_be_the_quantity_is_a_question() -> None:
    shown = lines()
    pieces = shown.pop("quantity")
    del shown["unit_price"]
    table = sample(shown | {"zzkk": pieces, "line_total": [f"{one:.2f}" for one in gross()]})
    assert asked(infer_contract([table], {})) == ["quantity"]
    shop = shop_of(infer_contract([table], {"quantity": "zzkk"}))
    assert shop.datasets["order_items"].columns["quantity"].headers == ("zzkk",)
    none = shop_of(infer_contract([table], {"quantity": "none"}))
    assert "quantity" not in none.datasets["order_items"].columns


def test_what_comes_again_in_other_orders_is_the_product() -> None:
    shown = lines()
    shown["ref"] = shown.pop("sku")
    shop = shop_of(infer_contract([sample(shown)], {}))
    assert shop.datasets["order_items"].columns["product_id"].headers == ("ref",)


def test_a_quantity_of_what_was_shipped_is_the_quantity() -> None:
    shown = lines()
    shown["Qty Shipped"] = shown.pop("quantity")
    shop = shop_of(infer_contract([sample(shown)], {}))
    assert shop.datasets["order_items"].columns["quantity"].headers == ("Qty Shipped",)


@pytest.mark.parametrize("has_end", [False, True])
def test_rule_18_prices_of_a_day_are_those_in_force(has_end: bool) -> None:
    rows = [(sku, day) for sku in range(4) for day in (1, 15)]
    prices: dict[str, Sequence[object]] = {
        "sku": [f"P{sku}" for sku, _ in rows],
        "valid_from": [f"2025-03-{day:02}" for _, day in rows],
        "price": [f"{PRICES[sku] + day:.2f}" for sku, day in rows],
    }
    if has_end:
        prices["valid_to"] = [f"2025-03-{day + 13:02}" for _, day in rows]
    shown = lines()
    del shown["unit_price"]
    shop = shop_of(infer_contract([sample(shown), sample(prices, "prices.csv")], {}))
    price = shop.datasets["order_items"].columns["unit_price"]
    assert [(one.reference, one.column) for one in price.via] == [("prices", "price")]
    assert shop.references["prices"].valid_from == "valid_from"


def test_rule_25_a_header_that_stands_twice_is_refused() -> None:
    shown = list(lines().items())
    twice = [*shown, ("sku", shown[2][1])]
    table = TableSample(
        name="sales.csv",
        match="sales.csv",
        headers=tuple(name for name, _ in twice),
        columns=tuple(tuple(map(str, cells)) for _, cells in twice),
    )
    with pytest.raises(NotInferableError, match="expected column 'sku' once"):
        infer_contract([table], {})


def test_rule_20_a_rate_that_is_1_for_one_currency_is_a_question() -> None:
    rates = ["1" if one == "EUR" else f"1.{at % 3 + 1}" for at, one in enumerate(CURRENCIES)]
    table = sample(lines() | {"Currency": CURRENCIES, "zzkk": rates})
    assert asked(infer_contract([table], {})) == ["rate"]
    shop = shop_of(infer_contract([table], {"rate": "zzkk"}))
    assert shop.currency == "EUR"
    assert shop.datasets["orders"].columns["rate"].headers == ("zzkk",)
    apart = shop_of(infer_contract([table], {"rate": "none", "currency": "EUR"}))
    assert "rate" not in apart.datasets["orders"].columns
