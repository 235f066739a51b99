"""Amounts with and without tax: by their values, one is the other with a few constant rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kpi.inference.headers import means
from kpi.inference.money_evidence import CENT, DISCOUNT_ROLES, Way, agree, reduce_by
from kpi.inference.roles import is_discount
from kpi.inference.structure import Structure, price_of_product
from kpi.inference.tables import Table
from kpi.inference.values import Column, Floats
from kpi.kernels.arrays import Mask

SURE_SHARE = 0.95
"""Rows that must be explained by the rates."""

TAXED_SHARE = 0.5
"""Rows that must have a tax: a reduction that few rows have is a discount."""

RATES = (0.02, 0.301)
"""Rates of taxes on sales; the highest is 27 % (Hungary), and some add taxes of states up."""

MAX_RATES = 5

MIN_ROWS = 5
"""Rows and distinct amounts that say something, below which nothing is concluded."""

USUAL_AMOUNT = 2.0
"""Amounts from which on a rate can be read off in spite of cents."""

NET_WORDS = frozenset({"net", "netto", "neto", "nett", "netta"})
"""Words that say without tax in most languages, though after discounts in English."""


@dataclass(frozen=True, kw_only=True)
class Gross:
    """An amount that another one is with its tax.

    Attributes:
        way: The amount with tax.
        proof: What proves it; empty where two amounts differ by a rate and nothing says why.
    """

    way: Way
    proof: str


def with_tax(
    first: Way, ways: Sequence[Way], rivals: list[Way], columns: Sequence[Column], quantity: Floats
) -> tuple[Way, list[Way]]:
    """Take the amount with tax where both are stated: (way, rivals that are still open).

    A customer pays it. Where nothing proves that the difference is a tax, both are open.
    """
    found = find_gross(first, ways, columns, quantity)
    if found is None:
        known = [one for one in rivals if tax_rates(one.amounts, first.amounts, quantity) is None]
        return first, known
    if not found.proof:
        others = [one for one in rivals if one is not found.way]
        return first, [*others, found.way.with_evidence(0.0, f"more than {_name(first)} by a rate")]
    weight = max(0.0, first.weight - found.way.weight)
    gross = found.way.with_evidence(weight, found.proof)
    return gross, [
        one
        for one in rivals
        if one is not found.way
        and not agree(one.amounts, gross.amounts).all()
        and tax_rates(one.amounts, gross.amounts, quantity) is None
    ]


def amounts_with_tax(
    columns: Sequence[Column], amounts: Sequence[Column], quantity: Floats, taken: set[int]
) -> list[Column]:
    """Find amounts that no word names, and that known ones are with a tax that is proved."""
    found = []
    for column in columns:
        if not column.is_number or column.numbers is None or id(column) in taken:
            continue
        if column.meaning.has("discount", "id", "stock", "refund", "quantity"):
            continue
        gross = Way(roles=(("after_discount", column),), amounts=column.amounts, weight=0.0)
        bases = [
            Way(roles=(("after_discount", one),), amounts=base, weight=0.0)
            for one in amounts
            for base in (one.amounts, one.amounts * quantity)
        ]
        proved = (find_gross(one, [gross], columns, quantity) for one in bases)
        if any(one is not None and one.proof for one in proved):
            found.append(column)
    return found


def price_with_tax(structure: Structure, tables: Sequence[Table]) -> Column | None:
    """Find the price in the table of products; where two differ by a tax, the one with it."""
    price = price_of_product(structure, tables)
    if price is None or price.numbers is None:
        return price
    columns = tables[price.table].columns
    pieces = np.ones(len(price.cells))
    others = [
        Way(roles=(("unit_price", one),), amounts=one.amounts, weight=0.0)
        for one in columns
        if one is not price and one.is_number and one.numbers is not None
    ]
    net = Way(roles=(("unit_price", price),), amounts=price.amounts, weight=0.0)
    found = find_gross(net, others, columns, pieces)
    return found.way.roles[0][1] if found is not None and found.proof else price


def find_gross(
    net: Way, ways: Iterable[Way], columns: Sequence[Column], quantity: Floats
) -> Gross | None:
    """Find the amount that one is with its tax; one that is proved comes first.

    Args:
        net: Money of each line, as it was found.
        ways: Others, the likeliest first.
        columns: Of the lines, among them taxes and rates.
        quantity: Pieces of each line.
    """
    unproved = None
    for way in ways:
        if way is net or way.roles[0][0] == "before_discount":
            continue
        rates = tax_rates(net.amounts, way.amounts, quantity)
        if rates is None or _is_discounted(net, way, columns, quantity):
            continue
        proof = _proof(net, way, rates, columns, quantity)
        if proof:
            return Gross(way=way, proof=proof)
        if "before" not in way.roles[0][1].meaning:
            unproved = unproved or Gross(way=way, proof="")
    return unproved


def tax_rates(net: Floats, gross: Floats, quantity: Floats) -> Floats | None:
    """Give the rate of each row by which one amount is another with tax; None where it is none."""
    if len(net) != len(gross) or len(net) != len(quantity):
        return None
    rows = (net != 0) & (gross != 0)
    if rows.sum() < MIN_ROWS or len(np.unique(np.abs(gross[rows]))) < MIN_ROWS:
        return None
    tax = gross - net
    found = np.full(len(net), np.nan)
    rest = rows & (np.abs(net) >= USUAL_AMOUNT)
    for _ in range(MAX_RATES):
        rate = _commonest(tax[rest] / net[rest])
        if rate is None:
            break
        close = np.abs(tax - rate * net) <= _rounding(quantity)
        found[rows & close & np.isnan(found)] = rate
        rest &= np.isnan(found)
    known = ~np.isnan(found[rows])
    taxed = found[rows] >= RATES[0]
    if known.mean() < SURE_SHARE or taxed.mean() < TAXED_SHARE:
        return None
    return found


def _rounding(quantity: Floats) -> Floats:
    """Tell how far amounts may differ: a price is rounded to a cent, and so is each amount."""
    return CENT + 0.006 * np.abs(quantity)


def _commonest(rates: Floats) -> float | None:
    """Give the rate that most rows have, if it may be one of a tax."""
    if not len(rates):
        return None
    rounded = np.round(rates, 2)
    usual, _ = Counter(rounded.tolist()).most_common(1)[0]
    rate = round(float(np.median(rates[np.abs(rates - usual) <= 0.006])), 3)
    return rate if rate == 0 or RATES[0] <= rate <= RATES[1] else None


def _is_discounted(net: Way, gross: Way, columns: Iterable[Column], quantity: Floats) -> bool:
    """Whether an amount is less than another one by a discount."""
    for column in columns:
        if not is_discount(column) or not column.amounts.any():
            continue
        for role in DISCOUNT_ROLES:
            for sizes in (np.abs(column.amounts), np.abs(column.amounts) * quantity):
                rest = reduce_by(gross.amounts, sizes, role)
                if _share(agree(rest, net.amounts)) >= SURE_SHARE:
                    return True
    return False


def _proof(net: Way, gross: Way, rates: Floats, columns: Sequence[Column], quantity: Floats) -> str:
    """Say what proves that a difference is a tax: its column, that of its rate, or a word."""
    own = {id(column) for way in (net, gross) for _, column in way.roles}
    rows = ~np.isnan(rates) & (rates > 0)
    tax = (gross.amounts - net.amounts)[rows]
    pieces = np.where(quantity, quantity, 1.0)[rows]
    rounding = _rounding(quantity)[rows]
    for column in columns:
        if id(column) in own or not column.is_number or column.numbers is None:
            continue
        if "discount" in column.meaning:
            continue
        values = column.amounts[rows]
        close = [np.abs(one - tax) <= rounding for one in (values, values * pieces)]
        if max(map(_share, close)) >= SURE_SHARE:
            return f"{_name(net)} with {column.header.strip()!r}"
        if _share(np.abs(values / 100 - rates[rows]) < 0.0006) >= SURE_SHARE or _share(
            np.abs(values - rates[rows]) < 0.0006
        ) >= (SURE_SHARE):
            return f"{_name(net)} with the rate {column.header.strip()!r}"
    if any(map(says_tax, (net.roles[0][1], gross.roles[0][1]))):
        shown = ", ".join(f"{one:.1%}" for one in np.unique(rates[rows]).tolist())
        return f"{_name(net)} with {shown}"
    return ""


def says_tax(column: Column) -> bool:
    """Whether the words of a header say that money is with or without tax."""
    words = column.meaning.words
    is_told = any(means(word, "tax") for word in words) and "taxed" in column.meaning
    return is_told or not NET_WORDS.isdisjoint(words) or "brutto" in words


def _share(rows: Mask) -> float:
    return float(rows.mean()) if len(rows) else 0.0


def _name(way: Way) -> str:
    return repr(way.roles[0][1].header.strip())
