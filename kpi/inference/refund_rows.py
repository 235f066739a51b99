"""Rows of returns in a table of sales, as refunds."""

from __future__ import annotations

from kpi.inference.draft import Block
from kpi.inference.evidence import describe_dates, describe_values
from kpi.inference.money_evidence import Way
from kpi.inference.reading_plan import ReadingPlan
from kpi.inference.structure import Structure

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
