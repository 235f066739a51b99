"""The customer of an order: by words, by what determines a name, by joins, and by e-mails."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kpi.inference.categories import MIN_FIT
from kpi.inference.roles import NO_IDENTIFIER, customer_fit
from kpi.inference.tables import Reference, Table
from kpi.inference.values import Column

SURE_SHARE = 0.95
"""Values of a key that must have one value of another column."""

BACK_SHARE = 0.7
"""Names with one identifier, below which an identifier may be of something finer."""

MIN_CUSTOMERS = 6
"""Distinct customers below which a column may be anything, such as a way of payment."""

CUSTOMER_SHARE = (0.08, 0.97)
"""Distinct customers for each order: some come again, and they are more than places or sellers."""

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

CLOCK = re.compile(r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?")
"""A time of day, which orders share by chance."""

CODE = re.compile(r"(?=.*\d)[^\s@]+")
"""What an identifier looks like: it has a digit, and no blank."""

USUAL_SHARE = 0.9
"""Values that must look alike."""


def customer_by_words(orders: Table, order_id: Column) -> tuple[Column | None, float]:
    """Find the customer; of contacts, one that another column confirms."""
    count = max(len(order_id.distinct), 1)
    shares = {
        one.index: len({key for key, cell in zip(order_id.cells, one.cells, strict=True) if cell})
        / count
        for one in orders.columns
    }
    contacts = [
        one
        for one in orders.columns
        if "contact" in one.meaning and "customer" not in one.meaning and one.filled
    ]
    best: Column | None = None
    most = MIN_FIT
    for column in orders.columns:
        if column is order_id:
            continue
        found = customer_fit(column, shares[column.index])
        others = (one for one in contacts if one is not column)
        confirmed = column in contacts and any(_is_alike(column, one) for one in others)
        fit = found + (0.1 if found and confirmed else 0.0)
        if fit > most:
            best, most = column, fit
    return best, most if best is not None else 0.0


def _is_alike(one: Column, other: Column) -> bool:
    """Whether two columns have the same value wherever both have one."""
    both = [(a, b) for a, b in zip(one.cells, other.cells, strict=True) if a and b]
    return bool(both) and sum(a == b for a, b in both) >= 0.95 * len(both)


def determines(keys: Sequence[str], cells: Sequence[str], share: float = SURE_SHARE) -> bool:
    """Whether each key has one value, but for some."""
    values: dict[str, set[str]] = {}
    for key, cell in zip(keys, cells, strict=True):
        if key and cell:
            values.setdefault(key, set()).add(cell)
    alone = sum(len(one) == 1 for one in values.values())
    return bool(values) and alone >= share * len(values)


def are_emails(column: Column) -> bool:
    """Whether values are addresses of e-mail."""
    return column.kind == "text" and _looks(column, EMAIL)


def _looks(column: Column, pattern: re.Pattern[str]) -> bool:
    fitting = sum(pattern.fullmatch(one) is not None for one in column.distinct)
    return bool(column.distinct) and fitting >= USUAL_SHARE * len(column.distinct)


def is_identifier(column: Column) -> bool:
    """Whether values look like those of an identifier: whole numbers, codes or e-mails."""
    return column.kind == "integer" or are_emails(column) or _looks(column, CODE)


def identifiers_behind(customer: Column, orders: Table, order_id: Column) -> list[Column]:
    """Find identifiers of an order that determine its customer's name, the coarsest first.

    Two customers may share a name. A name that determines the identifier is no finer.
    """
    if "id" in customer.meaning or is_identifier(customer):
        return []
    found = [
        one
        for one in orders.columns
        if one is not customer
        and one is not order_id
        and comes_again(one, order_id)
        and not {"order", "id"} <= one.meaning.concepts
        and one.fill_share >= USUAL_SHARE * customer.fill_share
        and len(one.distinct) >= len(customer.distinct)
        and is_identifier(one)
        and determines(one.cells, customer.cells)
    ]
    return sorted(found, key=lambda one: (not _says_customer(one), len(one.distinct)))


def is_sure(identifier: Column, customer: Column, references: Sequence[Reference]) -> bool:
    """Whether an identifier behind a name is a customer's, by its words, a join or the name."""
    joined = any(one.child is identifier and one.parent.is_key for one in references)
    is_coarse = determines(customer.cells, identifier.cells, BACK_SHARE)
    return _says_customer(identifier) or are_emails(identifier) or joined or is_coarse


def _says_customer(column: Column) -> bool:
    return column.meaning.has("customer", "contact")


def comes_again(column: Column, order_id: Column) -> bool:
    """Whether a column has one value on each order, and the same one on some of the others."""
    meaning = column.meaning
    unfit = (*NO_IDENTIFIER, "product", "line", "other_entity", "paid", "unit")
    if column.kind not in ("integer", "text") or (meaning.has(*unfit) and not are_emails(column)):
        return False
    orders = len(order_id.distinct)
    least, most = CUSTOMER_SHARE
    return (
        len(column.distinct) >= MIN_CUSTOMERS
        and least * orders <= len(column.distinct) <= most * orders
        and determines(order_id.cells, column.cells)
        and not _looks(column, CLOCK)
    )


def customer_by_values(
    candidates: Sequence[Column],
    orders: Table,
    order_id: Column,
    tables: Sequence[Table],
    references: Sequence[Reference],
) -> tuple[Column | None, str]:
    """Find the customer where no word names it: by a table of people, else by e-mails.

    Args:
        candidates: Columns that no word names, and that may be a customer's.
        orders: Table of orders.
        order_id: Of an order.
        tables: All tables.
        references: All references.

    Returns:
        The column and what speaks for it; None where nothing decides.
    """
    joined = [
        one
        for one in references
        if any(one.child is column for column in candidates)
        and one.parent.is_key
        and one.parent.table not in (orders.number, order_id.table)
        and has_people(tables[one.parent.table])
    ]
    if joined:
        best = max(joined, key=lambda one: one.weight)
        return best.child, f"a key of {tables[best.parent.table].sample.name}, which has people"
    for column in orders.columns:
        if column is order_id or not are_emails(column) or column.meaning.has("other_entity"):
            continue
        if len(column.distinct) < MIN_CUSTOMERS or not determines(order_id.cells, column.cells):
            continue
        if len(column.distinct) < CUSTOMER_SHARE[0] * len(order_id.distinct):
            continue
        alike = [
            one
            for one in candidates
            if is_identifier(one)
            and determines(one.cells, column.cells)
            and determines(column.cells, one.cells)
        ]
        if alike:
            return alike[0], f"one for each e-mail of {column.header.strip()!r}"
        return column, "addresses of e-mail"
    return None, ""


def has_people(table: Table) -> bool:
    """Whether a table has what people have: an e-mail, a contact, a name of a customer."""
    if "customer" in table.entity:
        return True
    return any(are_emails(one) or one.meaning.has("contact", "customer") for one in table.columns)
