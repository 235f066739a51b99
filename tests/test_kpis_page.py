"""Every number of docs/kpis.md is computed by the product from the page's own example."""

from __future__ import annotations

import ast
import json
import operator
import re
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from kpi.aggregation.tables import KPI_TABLES
from tests.support.commands import Shopkpi

PAGE = (Path(__file__).parents[1] / "docs" / "kpis.md").read_text("utf-8")
CONTRACT, RATES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ORDERS, RETURNS = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
SECTIONS = dict(re.findall(r"\n## ([^\n]+)\n(.*?)(?=\n## |\Z)", PAGE, re.DOTALL))
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def compute(text: str) -> Decimal:
    """Compute sums, products and quotients of decimals."""

    def value(node: ast.expr) -> Decimal:
        if isinstance(node, ast.BinOp):
            found: Decimal = OPERATORS[type(node.op)](value(node.left), value(node.right))
            return found
        if isinstance(node, ast.UnaryOp):
            return -value(node.operand)
        assert isinstance(node, ast.Constant)
        return Decimal(ast.get_source_segment(text, node) or "")

    return value(ast.parse(text, mode="eval").body)


def table(text: str, columns: int) -> list[list[str]]:
    """Read the rows of tables of a number of columns, whose last one is an example."""
    rows = [
        [cell.strip().removesuffix(" *").strip("`") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and " = " in line
    ]
    return [row for row in rows if len(row) == columns]


def run(shopkpi: Shopkpi, folder: Path, contract: str, **files: str) -> dict[str, Any]:
    home = folder / "shop"
    home.mkdir()
    for name, text in {"orders": ORDERS, "returns": RETURNS, **files}.items():
        (home / f"{name}.csv").write_text(text)
    (folder / "shop.toml").write_text(contract)
    done = shopkpi("run", "shop", "--contract", "shop.toml", "--kpis", "order,category,product")
    assert done.code == 0, done.err
    names = {"orders": "order_kpis", "category": "category_kpis", "product": "product_kpis"}
    return {
        name: json.loads(shopkpi("query", word, "--format", "json").out)
        for word, name in names.items()
    }


def check(example: str, row: dict[str, Any], attribute: str) -> None:
    expression, _, shown = example.rpartition(" = ")
    places = Decimal(shown)
    assert compute(expression).quantize(places, ROUND_HALF_EVEN) == places, example
    assert Decimal(row[attribute]) == places, (attribute, example)


def test_every_number_of_the_page_is_that_of_the_product(shopkpi: Shopkpi, tmp_path: Path) -> None:
    rows = run(shopkpi, tmp_path, CONTRACT)
    days = {row["order_date"]: row for row in rows["order_kpis"]}
    text = SECTIONS["A day: `order_kpis`"]
    first, second = table(text, 3), table(text, 2)
    for attribute, _, example in first:
        check(example, days["2025-03-01"], attribute)
    for attribute, example in second:
        check(example, days["2025-03-02"], attribute)
    assert days["2025-03-02"]["return_rate"] is None
    assert days["2025-03-02"]["avg_order_value"] is None
    shown = {**KPI_TABLES["order_kpis"].attributes, **KPI_TABLES["order_kpis"].optional}
    assert [one[0] for one in first] == list(shown)[1:]
    for section, name in (
        ("Categories: `category_kpis`", "category_kpis"),
        ("Products: `product_kpis`", "product_kpis"),
    ):
        key = KPI_TABLES[name].group_key
        groups = {row[key]: row for row in rows[name] if row["order_date"] == "2025-03-01"}
        told = table(SECTIONS[section], 4)
        for group, attribute, _, example in told:
            check(example, groups[group], attribute)
        assert {one[1] for one in told} == set(KPI_TABLES[name].kinds) - {"order_date", key}
    added = sum(Decimal(row["daily_revenue"]) for row in rows["category_kpis"])
    assert added == Decimal(days["2025-03-01"]["total_revenue"])


def test_every_number_of_completeness_is_that_of_the_product(
    shopkpi: Shopkpi, tmp_path: Path
) -> None:
    for dataset, text in {
        "orders": "order_id,user_id,created_at,num_of_item\n7,1,2026-11-26,2\n8,2,2026-11-26,1\n",
        "order_items": "id,order_id,product_id,sale_price\n1,7,1,5.00\n",
    }.items():
        (tmp_path / "shop" / dataset).mkdir(parents=True)
        (tmp_path / "shop" / dataset / "one.csv").write_text(text)
    assert shopkpi("run", "shop").code == 0
    (day,) = json.loads(shopkpi("query", "orders", "--format", "json").out)
    told = table(SECTIONS["Is the day complete?"], 3)
    assert [one[0] for one in told] == list(KPI_TABLES["order_kpis"].completeness)
    for attribute, _, example in told:
        check(example, day, attribute)
    assert (day["state"], day["why"]) == ("provisional", "2 items missing")


def test_rule_20_a_rate_of_the_day_converts(shopkpi: Shopkpi, tmp_path: Path) -> None:
    rate, reference = RATES.split("\n\n")
    contract = CONTRACT.replace('currency = "Currency"\n', f'currency = "Currency"\n{rate}\n')
    contract = contract.replace(
        "[orders]", '[[files]]\nmatch = "rates*.csv"\nfeeds = ["rates"]\n\n[orders]', 1
    )
    rates = "Code,Day,Rate\nUSD,2025-01-01,1.10\nUSD,2025-02-01,1.20\nUSD,2025-03-02,2\n"
    rows = run(shopkpi, tmp_path, contract + reference, rates=rates)
    day = next(row for row in rows["order_kpis"] if row["order_date"] == "2025-03-01")
    example = re.search(r"counts with (12\.00 / 1\.20) = (10\.00)", PAGE)
    assert example is not None
    assert compute(example[1]) == Decimal(example[2])
    assert Decimal(day["total_revenue"]) == Decimal("49.00") + Decimal(example[2])
    assert (day["total_orders"], day["other_currency_orders"]) == (4, 0)


def test_rates_of_returns_are_0_where_nothing_is_said(shopkpi: Shopkpi, tmp_path: Path) -> None:
    """What has no column is null (rule 16), but what nothing returns has not come back."""
    contract = CONTRACT.partition("[refunds]")[0] + "[limits]\n"
    for line in ('user_id = "Customer"\n', 'unit_price = "Price"\n', 'discount = "Off"\n'):
        assert line in contract
        contract = contract.replace(line, "")
    contract = contract.replace('["refunds"]', "[]")
    rows = run(shopkpi, tmp_path, contract)
    (day,) = rows["order_kpis"]
    nothing = ("unique_customers", "total_revenue", "gross_sales", "refunds", "net_sales")
    assert [day[name] for name in nothing] == [None] * len(nothing)
    rates = [day["return_rate"], *(one["avg_return_rate"] for one in rows["category_kpis"])]
    assert {Decimal(one) for one in rates if one is not None} == {0}
    assert day["return_rate"] is not None
    assert "they are 0" in PAGE


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_every_attribute_is_in_every_form(shopkpi: Shopkpi, tmp_path: Path, form: str) -> None:
    run(shopkpi, tmp_path, CONTRACT)
    shown = shopkpi("query", "orders", "--format", form).out
    # On a narrow terminal a table breaks its headers over lines.
    text = shown.replace("_", "") if form != "table" else ""
    assert form == "table" or all(
        name.replace("_", "") in text for name in KPI_TABLES["order_kpis"].optional
    )
    assert all(number in shown for number in ("54.00", "41.00", "16.33", "-10.00"))
