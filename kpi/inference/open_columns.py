"""Columns that words leave open: taken where values prove what they are, asked for elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kpi.inference.categories import Cell
from kpi.inference.classes import classes_of, is_class
from kpi.inference.customers import customer_by_values, identifiers_behind, is_sure
from kpi.inference.decisions import MAX_CHOICES
from kpi.inference.evidence import place_of, ranked_values, share_of
from kpi.inference.money import Money
from kpi.inference.questions import Answers, Question
from kpi.inference.statuses import meaning_of_status
from kpi.inference.structure import Structure
from kpi.inference.tables import Reference, Table
from kpi.inference.unnamed_columns import (
    category_candidates,
    customer_candidates,
    quantity_by_relation,
    quantity_candidates,
)
from kpi.inference.values import Column

RETURNED_SHARE = 0.5
"""Orders that came back at most: a status of more is that of a sale."""


class OpenColumns:
    """Finds columns by values, or asks."""

    def __init__(self, tables: Sequence[Table], answers: Answers) -> None:
        self._tables = tables
        self._answers = answers

    def choose_customer(self, structure: Structure, references: Sequence[Reference]) -> Structure:
        """Take the customer that was answered or that values prove; ask where they may tell."""
        columns = {one.header.strip(): one for one in structure.orders.columns}
        wanted = self._answers.value("customer")
        if wanted in columns:
            return replace(structure, customer=columns[wanted])
        candidates = customer_candidates(structure)
        if wanted is None and structure.customer is not None:
            return self._behind_name(structure, structure.customer, references)
        if wanted is None:
            found, why = customer_by_values(
                candidates, structure.orders, structure.order_id, self._tables, references
            )
            if found is not None:
                return replace(structure, customer=found, customer_note=why)
            if not candidates:
                return structure
        text = "no column is known to have the customer of an order. Which has it?"
        self._ask_for_customer(text, candidates)
        return replace(structure, customer=None)

    def _behind_name(
        self, structure: Structure, name: Column, references: Sequence[Reference]
    ) -> Structure:
        """Take the identifier that determines a customer's name; ask where it may be finer."""
        found = identifiers_behind(name, structure.orders, structure.order_id)
        if not found:
            return structure
        if is_sure(found[0], name, references):
            why = f"determines {name.header.strip()!r}, which several may share"
            return replace(structure, customer=found[0], customer_note=why)
        text = (
            f"each {found[0].header.strip()!r} has one {name.header.strip()!r}, but not the other "
            "way round. Which is the customer of an order?"
        )
        self._ask_for_customer(text, [name, found[0]])
        return structure

    def _ask_for_customer(self, text: str, candidates: Sequence[Column]) -> None:
        offered = {
            one.header.strip(): f"{len(one.distinct)} distinct" for one in candidates[:MAX_CHOICES]
        }
        self._answers.ask(
            Question(
                word="customer",
                text=text,
                answers={"none": "unique_customers stays null", **offered},
            )
        )

    def choose_quantity(self, structure: Structure) -> Structure:
        """Take the quantity that relations tell; ask where only its values may be one."""
        found = quantity_by_relation(structure)
        candidates = quantity_candidates(structure)
        if found is not None or not candidates:
            return replace(structure, quantity=found or structure.quantity)
        offered = {one.header.strip(): one for one in candidates[:MAX_CHOICES]}
        ranges = {
            name: f"{one.amounts.min():g} to {one.amounts.max():g}" for name, one in offered.items()
        }
        answer = self._answers.ask(
            Question(
                word="quantity",
                text="no column is known to have the quantity of a line. Which has it?",
                answers={"none": "each line is one piece", **ranges},
            )
        )
        return replace(structure, quantity=offered.get(answer or "none"))

    def choose_category(self, structure: Structure) -> Cell | None:
        """Give the category; ask where a key of categories has no table, or only values tell."""
        classes = classes_of(structure, self._tables)
        if len(classes) == 1 and is_class(classes[0], self._tables):
            wanted = self._answers.value("category")
            if wanted in (None, classes[0].value.header.strip()):
                return classes[0]
        candidates = _without_keys(category_candidates(structure, self._tables), classes) + classes
        if structure.open_category is None and not candidates:
            return structure.category
        offered = {one.value.header.strip(): one for one in candidates[:MAX_CHOICES]}
        text = "no column is known to have the category of a product. Which has it?"
        if structure.category is not None:
            offered[structure.category.value.header.strip()] = structure.category
        if structure.open_category is not None:
            text = (
                f"{place_of(structure.open_category, self._tables)} is a key of categories, and no "
                "file has their names. Which column has the category?"
            )
        answer = self._answers.ask(
            Question(
                word="category",
                text=text,
                answers={
                    "none": "no categories",
                    **{
                        name: f"the texts of {place_of(one.value, self._tables)}"
                        for name, one in offered.items()
                    },
                },
            )
        )
        return offered.get(answer or "", None if answer == "none" else structure.category)

    def choose_returned(self, status: Column) -> list[str]:
        """Ask which status says that an order came back, where none is known to and some are not.

        Several are answered with a bar between.
        """
        unknown = [
            one
            for one in ranked_values(status)
            if meaning_of_status(one) is None and share_of(status, [one]) <= RETURNED_SHARE
        ]
        if not unknown:
            return []
        given = (self._answers.value("returned") or "").split("|")
        if len(given) > 1 and set(given) <= set(unknown):
            return given
        answer = self._answers.ask(
            Question(
                word="returned",
                text=f"{place_of(status, self._tables)} has words that are not known. Which says "
                "that an order came back?",
                answers={
                    "none": "return_rate is 0",
                    **{one: f"{share_of(status, [one]):.1%} of the rows" for one in unknown[:12]},
                },
            )
        )
        return [] if answer in (None, "none") else [answer]

    def choose_order_discount(self, money: Money, structure: Structure) -> Column | None:
        """Ask whether discounts of orders are taken off lines that have prices of one piece alone.

        An amount of the line itself is taken as it is.
        """
        way = money.way
        if way is None or [one for one, _ in way.roles] != ["unit_price"]:
            return None
        repeated = {id(one) for one in money.repeated}
        discounts = [
            (one, share)
            for one, share in money.order_discounts
            if not structure.is_flat or id(one) in repeated
        ]
        columns = {one.header.strip(): one for one, _ in discounts}
        if not columns:
            return None
        shares = {one.header.strip(): share for one, share in discounts}
        answer = self._answers.ask(
            Question(
                word="order_discount",
                text="the lines have prices alone, and orders have discounts. Which is taken off?",
                answers={
                    **{name: f"{share:.1%} of the revenue" for name, share in shares.items()},
                    "none": "revenue is before discounts",
                },
            )
        )
        return columns.get(answer or "none")


def _without_keys(candidates: Sequence[Cell], classes: Sequence[Cell]) -> list[Cell]:
    """Leave out the keys of classes whose names are known."""
    keys = {id(step.child) for one in classes for step in one.steps}
    return [one for one in candidates if id(one.value) not in keys]
