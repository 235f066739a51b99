"""Rows of returns as refunds: in a table of sales, or in one of their own."""

from __future__ import annotations

from kpi.inference.draft import Block
from kpi.inference.evidence import describe_dates, describe_values
from kpi.inference.money_evidence import Way
from kpi.inference.reading_plan import ReadingPlan
from kpi.inference.returned_by import ReturnList
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column

AMOUNT = ("after_discount", "before_discount")
"""Roles of money of a whole row."""


def refunds_of_rows(structure: Structure, way: Way | None, plan: ReadingPlan) -> list[Block]:
    """Write the table of refunds whose rows stand among those of the sales."""
    table = structure.lines
    plan.feed(table, "refunds")
    head, columns = Block("[refunds]"), Block("[refunds.columns]")
    head.add("key", "row", "rows of returns have no identifier of their own")
    columns.add("order_id", plan.identifier(structure.order_id))
    columns.add("created_at", plan.cell(structure.date), describe_dates(structure.date))
    roles = dict(way.roles) if way is not None else {}
    own = {role: one for role, one in roles.items() if one.table == table.number}
    for role in AMOUNT:
        if role in own:
            columns.add("amount", plan.money(own[role]), "the sign is dropped")
            return [head, columns]
    if "unit_price" in own and structure.quantity is not None:
        columns.add("unit_price", plan.money(own["unit_price"]))
        columns.add(
            "quantity", plan.header(structure.quantity), describe_values(structure.quantity)
        )
    return [head, columns]


def refunds_of_list(
    found: ReturnList, table: Table, item: Column | None, plan: ReadingPlan
) -> list[Block]:
    """Write the table of refunds whose rows are those of a list of returns.

    Args:
        found: The list.
        table: Its table.
        item: Its column of the line.
        plan: Of the contract.
    """
    plan.feed(table, "refunds")
    head, columns = Block("[refunds]"), Block("[refunds.columns]")
    keys = [one for one in table.columns if one.is_key and "id" in one.meaning]
    if keys and keys[0] is not found.order:
        head.add("key", "id", "unique in the data")
        columns.add("id", plan.header(keys[0]), describe_values(keys[0]))
    else:
        head.add("key", "row", "no other column is unique")
    columns.add("order_id", plan.identifier(found.order), found.note)
    if item is not None:
        columns.add("item", plan.header(item), describe_values(item))
    if found.only is not None:
        column, texts = found.only
        condition = texts[0] if len(texts) == 1 else list(texts)
        plan.read_only(table.number, {column.header.strip(): condition}, found.note)
    dates = [one for one in table.columns if one.kind == "date"]
    if not found.amounts:
        return [head, columns]
    amount = found.amounts[0]
    columns.add("amount", plan.money(amount), describe_values(amount))
    if dates:
        columns.add(
            "created_at",
            dates[0].header.strip(),
            "the day that a refund counts on; without this line it is the order's",
            is_comment=True,
        )
    return [head, columns]
