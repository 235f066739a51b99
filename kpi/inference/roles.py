"""How well a column fits a role: by what its values are, then by the words of its header."""

from __future__ import annotations

import re

import numpy as np

from kpi.inference.headers import meaning_of, means
from kpi.inference.statuses import is_known_status, meaning_of_status
from kpi.inference.tables import Table
from kpi.inference.values import Column

NO_IDENTIFIER = (
    *("date", "created", "other_date", "status", "quantity", "price", "total", "discount"),
    *("other_money", "currency", "stock", "percent", "type", "category", "sub"),
)
"""What a header means that names no identifier of an order, a product or a customer."""


def order_fit(column: Column, table: Table) -> float:
    """Tell how well a column fits the identifier of an order."""
    meaning = column.meaning
    if column.kind not in ("integer", "text") or meaning.has(*NO_IDENTIFIER, "contact"):
        return 0.0
    if "order" in meaning:
        fit = 1.0 if "id" in meaning else 0.6
        fit -= 0.6 if "line" in meaning or "product" in meaning else 0.0
        fit -= 0.3 if "customer" in meaning else 0.0
        fit -= 0.5 if meaning.has("other_entity", "refund") else 0.0
        return max(0.0, fit - _stray(column))
    if meaning.concepts == {"id"} and not meaning.unknown and _is_orders(table):
        return 0.9
    is_own = column.is_key and column.index == 0 and _is_orders(table)
    if meaning.concepts == {"id", "product"} and not meaning.unknown and is_own:
        # `Référence` is the number of an order in a table of these.
        return 0.7
    if meaning.concepts == {"name"} and _are_numbered(column):
        return 0.5
    return 0.0


def _is_orders(table: Table) -> bool:
    words = set(table.entity.words)
    return ("order" in table.entity or "sales" in words) and "line" not in table.entity


def _are_numbered(column: Column) -> bool:
    return bool(column.distinct) and all(re.fullmatch(r"#\d+", one) for one in column.distinct)


def _stray(column: Column) -> float:
    """Weigh the letters of a header that belong to no known word."""
    return min(0.02 * column.meaning.unknown, 0.2)


def customer_fit(column: Column, fill_share: float) -> float:
    """Tell how well a column fits the customer of an order.

    Args:
        column: The column.
        fill_share: Share of the orders that have a value there.
    """
    meaning = column.meaning
    if not column.has_headers:
        return _nameless_customer_fit(column)
    unfit = set(NO_IDENTIFIER) - ({"other_date", "other_money"} if "contact" in meaning else set())
    kinds = ("integer", "text", "blank") if "customer" in meaning else ("integer", "text")
    if column.kind not in kinds or meaning.has(*unfit):
        return 0.0
    if "customer" in meaning:
        fit = 0.8
        if "id" in meaning:
            fit = 1.0
        elif "contact" in meaning:
            fit = 0.7
        elif "name" in meaning:
            fit = 0.6
        fit -= 0.5 if meaning.has("order", "other_entity") else 0.0
        fit -= _stray(column)
    elif "contact" in meaning:
        fit = 0.5 - _stray(column) - (0.02 if meaning.has("other_entity", "other_date") else 0.0)
    else:
        return 0.0
    return max(0.0, fit) * (0.3 + 0.7 * fill_share)


def _nameless_customer_fit(column: Column) -> float:
    """Take whole numbers that vary for customers, where there are no headers."""
    is_first = column.index == 0
    varies = column.unique_share > 0.3 and len(column.distinct) > 2
    return 0.4 if column.kind == "integer" and varies and not is_first else 0.0


def date_fit(column: Column) -> float:
    """Tell how well a column fits the time of an order."""
    meaning = column.meaning
    if column.kind != "date":
        return 0.0
    if not column.has_headers:
        return 0.6
    if meaning.has("other_date"):
        fit = 0.15 if meaning.has("order", "created") else 0.1
    elif "order" in meaning:
        fit = 1.0
    elif "created" in meaning:
        fit = 0.95
    elif meaning.has("customer", "product", "refund"):
        fit = 0.1
    elif "date" in meaning:
        fit = 0.85
    else:
        fit = 0.5
    return max(0.05, fit - _stray(column)) * (0.2 + 0.8 * column.fill_share)


COUNTED = frozenset(
    {"items", "products", "articles", "itens", "produtos", "articulos", "productos", "articoli"}
    | {"prodotti", "produits", "artikelen", "produkte", "positionen", "pieces"}
)
"""Things in the plural: whole numbers below them count them."""


def _counts_things(column: Column) -> bool:
    """Whether whole numbers count what the header names, such as `Items`."""
    words = set(column.meaning.words)
    if column.kind != "integer" or column.numbers is None or "id" in column.meaning:
        return False
    is_plural = bool(words & COUNTED) and column.meaning.concepts <= {"line", "product", "order"}
    few = len(column.distinct) < max(column.filled / 2, 2)
    return is_plural and few and 0 <= column.amounts.min() <= column.amounts.max() <= 1000


def quantity_fit(column: Column) -> float:
    """Tell how well a column fits the quantity of a line."""
    meaning = column.meaning
    if not column.has_headers:
        return _nameless_quantity_fit(column)
    if _counts_things(column):
        return 0.5
    if not column.is_number or "quantity" not in meaning or meaning.has("price", "other_money"):
        return 0.0
    if meaning.has("stock", "refund", "percent"):
        return 0.1
    # What was shipped or delivered is what was sold, where nothing else says it.
    fit = 0.5 if "other_date" in meaning else 1.0
    fit -= 0.2 if meaning.has("total") and "unit" in meaning else 0.0
    return max(0.1, fit - _stray(column))


def _nameless_quantity_fit(column: Column) -> float:
    """Take small whole numbers above 0 for quantities, where there are no headers."""
    if column.kind != "integer" or column.numbers is None or column.index == 0:
        return 0.0
    known = column.numbers[~np.isnan(column.numbers)]
    return 0.4 if len(known) and known.min() >= 1 and known.max() <= 1000 else 0.0


def product_fit(column: Column) -> float:
    """Tell how well a column fits the product of a line."""
    meaning = column.meaning
    own = meaning_of(column.header.rpartition(".")[2])
    if "product" in own and column.has_headers:
        # In `orders.items.sku` the path says what the list is of, and the last word what this is.
        meaning = own
    if not column.has_headers and column.kind in ("integer", "text"):
        return 0.1 if column.index == 0 else 0.3
    if column.kind not in ("integer", "text") or "product" not in meaning:
        return 0.0
    if meaning.has(*NO_IDENTIFIER, "other_entity", "contact") or _counts_things(column):
        return 0.0
    if "order" in meaning or ("line" in meaning and "id" in meaning and _only_line(column)):
        return 0.3
    fit = 0.6 if "name" in meaning else 1.0 if meaning.has("id") else 0.85
    return max(0.1, fit - _stray(column)) * (0.3 + 0.7 * column.fill_share)


def _only_line(column: Column) -> bool:
    """Whether the words of a header are those of a line, such as `item`, and none of a product."""
    return set(column.meaning.words) & {"product", "article", "sku", "menu", "book"} == set()


def category_fit(column: Column) -> float:
    """Tell how well a column fits the category of a product."""
    meaning = column.meaning
    if column.kind not in ("text", "integer") or not column.filled:
        return 0.0
    if "category" in meaning:
        fit = 1.0
    elif meaning.has("sub"):
        fit = 0.6
    elif "type" in meaning and "product" in meaning:
        fit = 0.5
    else:
        return 0.0
    fit -= 0.35 if "sub" in meaning and "category" in meaning else 0.0
    fit -= 0.5 if meaning.has("customer", "other_entity", "order", "other_money") else 0.0
    fit -= 0.45 if column.kind == "integer" else 0.0
    rows = len(column.cells)
    if rows > 20 and len(column.distinct) > 0.8 * column.filled:
        fit *= 0.5
    return max(0.0, fit - _stray(column) / 2)


MAX_STATUSES = 40
"""Distinct statuses at most: a column with more is free text."""

KNOWN_STATUSES_SHARE = 0.5
"""Rows with known words, of which one says no plain sale, that tell a status without its header."""


def _unnamed_status_fit(column: Column) -> float:
    """Take a column for a status by its values where its header says nothing else."""
    if not column.has_headers or column.meaning.concepts - {"order", "line", "name"}:
        return 0.0
    meanings = {one: meaning_of_status(one) for one in column.distinct}
    if not {"returned", "no_sale"} & set(meanings.values()):
        return 0.0
    known = sum(meanings.get(cell) is not None for cell in column.cells)
    return 0.4 if known >= KNOWN_STATUSES_SHARE * max(column.filled, 1) else 0.0


def status_fit(column: Column) -> float:
    """Tell how well a column fits the status of an order or a line."""
    meaning = column.meaning
    if column.kind != "text" or len(column.distinct) > MAX_STATUSES:
        return 0.0
    if "status" not in meaning:
        return _unnamed_status_fit(column)
    fit = 1.0 if "order" in meaning or meaning.concepts == {"status"} else 0.6
    fit += 0.3 if any(is_known_status(one) for one in column.distinct) else 0.0
    return max(0.1, fit - (0.3 if meaning.has("other_entity", "other_date") else 0.0))


def is_money(column: Column) -> bool:
    """Whether a column may be a price or an amount of sales."""
    meaning = column.meaning
    if not column.has_headers:
        return _is_nameless_money(column)
    return (
        column.is_number
        and meaning.has("price", "total")
        and not meaning.has("stock", "refund", "quantity", "date", "customer")
        and ("other_money" not in meaning or _says_tax(column))
        and not ("discount" in meaning and not meaning.has("after"))
        and not ("percent" in meaning and "price" not in meaning)
    )


def _says_tax(column: Column) -> bool:
    """Whether money is told to be with or without its tax, and is no tax or fee itself."""
    taxes = {word for word in column.meaning.words if means(word, "tax")}
    others = {word for word in column.meaning.words if means(word, "other_money")}
    return "taxed" in column.meaning and column.meaning.has("price", "total") and others <= taxes


def _is_nameless_money(column: Column) -> bool:
    """Whether numbers vary and are above 0, as prices are, where there are no headers."""
    if not column.is_number or column.numbers is None or column.index == 0:
        return False
    known = column.numbers[~np.isnan(column.numbers)]
    return bool(len(known) and known.min() > 0 and len(column.distinct) > 2)


def may_be_money(column: Column) -> bool:
    """Whether numbers that no word names have decimals, as money has."""
    has_decimals = column.kind == "decimal" or column.dotted
    return has_decimals and not column.meaning.concepts - {"line", "product", "order"}


def is_unit_price(column: Column) -> bool:
    """Whether the words of a header say that money is of one piece."""
    return "unit" in column.meaning or ("price" in column.meaning and "total" not in column.meaning)


def is_discount(column: Column) -> bool:
    """Whether a column is a discount."""
    meaning = column.meaning
    return column.is_number and "discount" in meaning and not meaning.has("price", "id")
