"""Answer a custom widget of CloudWatch with the KPIs of the last days, as an HTML table.

It runs in AWS Lambda as it stands here (inline code: at most 4 KiB, no other module of shopkpi).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import boto3

DAYS = 30
COLUMNS = ("total_orders", "total_revenue", "net_sales", "total_items_sold", "return_rate")

Item = dict[str, dict[str, str]]


def handler(event: dict[str, Any], _context: object) -> str:
    """Return HTML for a viewer; the field `describe` asks what the widget is."""
    if event.get("describe"):
        return "KPIs of each shop and day, read from DynamoDB whenever somebody looks."
    today = datetime.now(UTC).date()
    days = [str(today - timedelta(days=back)) for back in range(DAYS)]
    query = boto3.client("dynamodb").get_paginator("query")
    rows: list[Item] = [
        item
        for day in days
        for page in query.paginate(
            TableName=os.environ["TABLE"],
            KeyConditionExpression="order_date = :day",
            ExpressionAttributeValues={":day": {"S": day}},
        )
        for item in page["Items"]
    ]
    if not rows:
        return f"<p>No KPIs of the {DAYS} days to {days[0]}.</p>"
    several = len({row["shop"]["S"] for row in rows}) > 1
    heads = [
        "order_date",
        *(["shop"] if several else []),
        *(name for name in COLUMNS if any(name in row for row in rows)),
    ]
    return table(heads, [[text(row, name) for name in heads] for row in rows])


def text(row: Item, name: str) -> str:
    """Return a value as it is stored: no number is rounded here, and null is empty."""
    value = row.get(name, {})
    return value.get("S") or value.get("N") or ""


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Build the table. Text is escaped: names of shops come from outside."""
    lines = ["<table><tr>", *(f"<th>{escape(head)}</th>" for head in heads), "</tr>"]
    for row in rows:
        lines += ["<tr>", *(f"<td>{escape(one)}</td>" for one in row), "</tr>"]
    return "".join([*lines, "</table>"])
