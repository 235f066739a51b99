"""The KPIs of the dashboard: a function of its own, with the right to query one table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import boto3
import pytest

from infra.monitoring.kpi_widget import DAYS, handler
from infra.monitoring.kpis import CODE
from kpi.aggregation.tables import KPI_TABLES, ORDER_KPIS
from tests.unit.infra.templates import Template, resolve
from worker.state.dynamodb.rows import row_item

Items = dict[str, list[dict[str, dict[str, str]]]]


class FakeDynamoDB:
    """Answers Query by the partition key, one item a page."""

    def __init__(self, items: Items) -> None:
        self._items = items

    def get_paginator(self, name: str) -> FakeDynamoDB:
        assert name == "query"
        return self

    def paginate(self, **given: object) -> Iterator[dict[str, object]]:
        assert given["TableName"] == "kpis"
        assert given["KeyConditionExpression"] == f"{ORDER_KPIS.partition_key} = :day"
        day = given["ExpressionAttributeValues"][":day"]["S"]  # type: ignore[index]
        for item in self._items.get(day, []):
            yield {"Items": [item]}
        yield {"Items": []}


@pytest.fixture
def items(monkeypatch: pytest.MonkeyPatch) -> Items:
    items: Items = {}
    monkeypatch.setenv("TABLE", "kpis")
    monkeypatch.setattr(boto3, "client", lambda _: FakeDynamoDB(items))
    return items


def put(items: Items, back: int, shop: str, revenue: str) -> str:
    """Store the row of a shop's day, so many days ago; return the day."""
    day = str(datetime.now(UTC).date() - timedelta(days=back))
    row = {
        "order_date": day,
        "total_orders": 3,
        "total_revenue": Decimal(revenue),
        "total_items_sold": 5,
        "return_rate": None,
        "unique_customers": 2,
    }
    items.setdefault(day, []).append(row_item(shop, ORDER_KPIS, row))  # type: ignore[arg-type]
    return day


def test_rows_of_the_last_days_are_shown_newest_first(items: Items) -> None:
    older, newer = put(items, 2, "default", "1234.50"), put(items, 0, "default", "99.99")
    put(items, DAYS, "default", "7.77")
    html = handler({}, None)
    assert html.index(newer) < html.index(older)
    assert f"<td>{older}</td><td>3</td><td>1234.5</td><td>5</td></tr>" in html
    assert "7.77" not in html
    assert "<th>shop</th>" not in html
    assert "<th>return_rate</th>" not in html  # null everywhere


def test_a_restatement_is_seen_at_the_next_look(items: Items) -> None:
    day = put(items, 1, "default", "10")
    assert "<td>10</td>" in handler({}, None)
    items[day].clear()
    put(items, 1, "default", "8")
    html = handler({}, None)
    assert "<td>8</td>" in html
    assert "<td>10</td>" not in html


def test_shops_are_told_apart_and_their_names_escaped(items: Items) -> None:
    put(items, 1, "default", "10")
    put(items, 1, "<b>x", "20")
    html = handler({}, None)
    assert "<td>default</td>" in html
    assert "<td>&lt;b&gt;x</td>" in html


def test_an_empty_table_and_the_description_are_words(items: Items) -> None:
    assert not items
    assert handler({}, None).startswith("<p>No KPIs")
    assert "KPIs" in handler({"describe": True}, None)


def test_the_function_may_query_one_table(template: Template) -> None:
    function = template.named("KpiWidgetFunction", "AWS::Lambda::Function")
    assert function["Code"] == {"ZipFile": CODE.read_text("utf-8")}
    assert len(CODE.read_bytes()) <= 4096
    table = resolve(function["Environment"]["Variables"]["TABLE"])
    name = KPI_TABLES["order_kpis"].dynamodb_name
    assert template.resources[table]["Properties"]["TableName"] == f"shopkpi-dev-{name}"
    rights = template.rights("KpiWidgetRole")
    assert {one for one in rights if one[0].startswith("dynamodb")} == {
        ("dynamodb:Query", f"arn:{table}")
    }
    assert {action.split(":")[0] for action, _ in rights} == {"dynamodb", "logs"}


def test_the_widget_is_on_the_one_dashboard(template: Template) -> None:
    (board,) = template.of_type("AWS::CloudWatch::Dashboard").values()
    body = resolve(board["Properties"]["DashboardBody"])
    assert '"type":"custom"' in body
    assert "KPIs of the last 30 days" in body
    assert "arn:KpiWidgetFunction" in body
