"""Decisions that the values of files may leave open: each is a question with its answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from kpi.inference.categories import Cell
from kpi.inference.dates import NO_DAY, Dates, Order, in_order, with_december, with_order
from kpi.inference.evidence import place_of
from kpi.inference.money import Money, unknown_ways
from kpi.inference.money_evidence import Way
from kpi.inference.questions import Answers, NotInferableError, Question
from kpi.inference.rates import Rate
from kpi.inference.repeated_orders import (
    count_of_several_customers,
    count_of_several_days,
    find_return_rows,
)
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column

NO_SALE_SHARE = 0.25
"""Orders with a status of no sale, above which somebody must say whether they count."""

EARLIER_SHARE = 0.5
"""Orders for which another date comes before theirs, above which somebody must say which counts."""

EARLIER_AT_TIMES = 0.02
"""The same where no word says that the date is the order's, and no order is before the other."""

EARLIER_EVENTS = frozenset({"birth", "launch", "registered", "registration", "signup", "first"})
"""Words of dates that come before an order and are not of it."""

MAX_CHOICES = 6
"""Columns that a question offers."""

REPEATS_SHARE = 0.01
"""Rows of orders that contradict an earlier one, above which somebody must say what they are."""

ROLES_IN_WORDS = {
    "unit_price": "the price of one piece, times the quantity",
    "after_discount": "of the whole line, as it is",
}
"""Role of a way's only column -> what it means."""


class Decisions:
    """Decides by the values, else asks."""

    def __init__(self, tables: Sequence[Table], answers: Answers) -> None:
        self._tables = tables
        self._answers = answers

    def order_dates(self, structure: Structure) -> Structure:
        """Settle what the column of the days itself leaves open: names of months, what is first."""
        for settle in (self._december, self._order):
            column = structure.date.value
            settled = settle(column, column.dates) if column.dates is not None else None
            if settled is not None:
                ordered = replace(column, dates=settled)
                structure = replace(structure, date=_with_value(structure.date, ordered))
        return structure

    def _december(self, column: Column, dates: Dates) -> Dates | None:
        """Settle names of months that languages read otherwise; None where nothing is open."""
        if len(dates.decembers) < 2:
            return None
        readings = [with_december(column.cells, dates, one) for one in dates.decembers]
        options = {next(iter(one.examples)): one for one in readings}
        settled = {
            name
            for table in self._tables
            for other in table.columns
            if other.dates is not None and len(other.dates.decembers) == 1
            for name in other.dates.decembers[0]
        }
        known = [one for one in readings if not settled.isdisjoint(one.decembers[0])]
        if len(known) == 1:
            return known[0]
        answer = self._answers.ask(
            Question(
                word="dates",
                text=f"{place_of(column, self._tables)} has names of months that mean others in "
                "another language: how is December written?",
                answers=dict.fromkeys(options, ""),
            )
        )
        return readings[0] if answer is None else options[answer]

    def _order(self, column: Column, dates: Dates) -> Dates | None:
        """Settle what comes first in a date; None where nothing is open."""
        if dates.order is not None:
            return None
        rivals = dates.rivals
        example = next(iter(dates.examples))
        options = {in_order(example, one): one for one in rivals}
        order = self._order_elsewhere(column, rivals, options)
        if order is None:
            why = "may begin with the year" if "year" in rivals else "has no day above 12"
            answer = self._answers.ask(
                Question(
                    word="dates",
                    text=f"{place_of(column, self._tables)} {why}: what comes first?",
                    answers={form: f"the {one}" for form, one in options.items()},
                )
            )
            order = rivals[0] if answer is None else options[answer]
        return with_order(column.cells, dates, order)

    def _order_elsewhere(
        self, column: Column, rivals: Sequence[Order], forms: Collection[str]
    ) -> Order | None:
        """Find the order in another column of dates: of the same table, else of any."""
        tables = sorted(self._tables, key=lambda one: one.number != column.table)
        for table in tables:
            dates = [one.dates for one in table.columns if one.dates is not None]
            if "year" in rivals:
                # Dates in another form do not tell where a year stands.
                dates = [one for one in dates if not set(one.examples).isdisjoint(forms)]
            found = [order for order in rivals if any(one.order == order for one in dates)]
            if len(found) == 1:
                return found[0]
        return None

    def choose_date(self, structure: Structure) -> Structure:
        """Ask which time counts, where two that fit alike give other days."""
        wanted = self._answers.value("date")
        columns = {structure.date.value.header: structure.date}
        for rival in structure.dates:
            one, other = structure.date.value.dates, rival.value.dates
            if rival.steps or one is None or other is None or len(one.days) != len(other.days):
                continue
            both = (one.days != NO_DAY) & (other.days != NO_DAY)
            if (one.days[both] != other.days[both]).any():
                columns[rival.value.header] = rival
        own = {one.header: Cell.own(one) for one in structure.orders.columns if one.dates}
        if wanted is not None and wanted in own:
            return replace(structure, date=own[wanted])
        earliest = _earliest(list(columns.values()))
        if earliest is not None:
            structure = replace(structure, date=earliest)
            columns = {earliest.value.header: earliest}
        columns |= {one.header: Cell.own(one) for one in _precede(structure)}
        chosen = structure.date.value.meaning
        is_later = "other_date" in chosen and not chosen.has("order", "created", "paid")
        if len(columns) > 1 or (is_later and not structure.date.steps):
            self._answers.ask(
                Question(
                    word="date",
                    text="which column has the day that an order counts on?",
                    answers=dict.fromkeys(columns, ""),
                )
            )
        return structure

    def count_no_sale(self, texts: Sequence[str], *, share: float, note: str) -> bool:
        """Tell whether orders with a status of no sale count: asked where they are many."""
        wanted = self._answers.value("excluded")
        if wanted is None and share < NO_SALE_SHARE:
            return True
        answer = self._answers.ask(
            Question(
                word="excluded",
                text=f"{', '.join(texts)}: {note}. Do such orders count?",
                answers={"no": "they are left out of all KPIs", "yes": "they count as sales"},
            )
        )
        return answer != "no"

    def choose_money(self, money: Money, structure: Structure) -> Way | None:
        """Ask where the rows leave several ways open, or no column is known to have the money."""
        if money.way is None:
            return self._choose_unknown_money(structure, money.repeated)
        if not money.rivals:
            return money.way
        ways = {_way_name(one): one for one in (money.way, *money.rivals)}
        answer = self._answers.ask(
            Question(
                word="money",
                text="what is the money of a line? The rows do not decide it",
                answers={name: _explained(one) for name, one in ways.items()},
            )
        )
        return ways[answer] if answer else money.way

    def _choose_unknown_money(self, structure: Structure, repeated: Sequence[Column]) -> Way | None:
        """Offer the numbers of a line for its money."""
        ways: dict[str, Way] = {}
        for way in unknown_ways(structure, repeated)[: 2 * MAX_CHOICES]:
            ways[_way_name(way)] = way
        answers = {name: way.evidence[-1] for name, way in ways.items()}
        text = "no column is known to have the money of a line. Which has it?"
        if repeated:
            names = " and ".join(place_of(one, self._tables) for one in repeated)
            text = f"{names} has one value on all lines of an order, as a total of it has; {text}"
        answer = self._answers.ask(
            Question(
                word="money",
                text=text,
                answers={"none": "revenue stays null", **answers},
            )
        )
        return ways.get(answer or "none")

    def ask_about_repeats(self, structure: Structure) -> str:
        """Ask where rows of one file replace each other and say other things of an order."""
        if structure.is_flat:
            self._ask_about_rows_of_orders(structure)
            return ""
        repeated = structure.order_id.filled - len(structure.order_id.distinct)
        if not repeated:
            return ""
        columns = (structure.date.column, structure.customer, structure.status)
        read = [one for one in columns if one]
        rows = list(zip(structure.order_id.cells, *(one.cells for one in read), strict=True))
        differing = 0
        for part in _parts(rows, structure.orders):
            # A later file that says other things of an order is an update.
            differing += len(set(part)) - len({one[0] for one in part})
        # But an order is made once: another day is that of another order.
        differing = max(differing, count_of_several_days(structure))
        note = f"; {repeated} rows repeat an order: of each the last row counts"
        if differing > REPEATS_SHARE * structure.order_id.filled:
            self._answers.ask(
                Question(
                    word="repeats",
                    text=f"{differing} rows of {place_of(structure.order_id, self._tables)} say "
                    "other things of an order that stands above. Does the last row of each count?",
                    answers={"last": "yes; if not, the column is no identifier of an order"},
                )
            )
        return note

    def _ask_about_rows_of_orders(self, structure: Structure) -> None:
        """Ask where the lines of one order have several days or customers."""
        returns = structure.returns
        sold = None if returns is None else np.asarray(returns.amounts >= 0)
        counts = {
            "days": count_of_several_days(structure, sold),
            "customers": count_of_several_customers(structure, sold),
        }
        what, most = max(counts.items(), key=lambda one: one[1])
        if most > REPEATS_SHARE * len(structure.order_id.distinct):
            self._answers.ask(
                Question(
                    word="repeats",
                    text=f"{most} orders of {place_of(structure.order_id, self._tables)} have rows "
                    f"of several {what}. Does the last row of each count?",
                    answers={"last": "yes; if not, numbers begin anew, or it is no order's"},
                )
            )

    def choose_returns(self, structure: Structure) -> Structure:
        """Ask what rows below 0 are that stand on a later day than their order."""
        found = find_return_rows(structure)
        if found is None:
            return structure
        answer = self._answers.ask(
            Question(
                word="returns",
                text=f"{found.rows} rows have {place_of(found.column, self._tables)} below 0, in "
                f"{found.orders} orders on another day than the sale. What are they?",
                answers={
                    "refunds": "paid back on their own day, and no part of revenue",
                    "lines": "lines that lower the revenue of their order, on its day",
                },
            )
        )
        return replace(structure, returns=found.column, are_refunds=answer != "lines")

    def choose_rate(self, rate: Rate) -> bool:
        """Ask whether money is divided by a rate: the values do not tell which way it goes."""
        name = rate.column.header.strip()
        answer = self._answers.ask(
            Question(
                word="rate",
                text=f"{place_of(rate.column, self._tables)} is 1 for {rate.base} alone. "
                "Are amounts in other currencies divided by it?",
                answers={
                    name: f"yes, and all KPIs are in {rate.base}",
                    "none": "no: orders in others are counted apart",
                },
            )
        )
        return answer != "none"

    def choose_currency(self, column: Column) -> str | None:
        """Give the currency of a column, None where it has no codes.

        Raises:
            NotInferableError: It has several, of which no answer names one.
        """
        codes = Counter(one.upper() for one in column.cells if one)
        if not all(re.fullmatch("[A-Z]{3}", one) for one in codes):
            if len(codes) > 1 and column.kind == "text":
                raise NotInferableError(
                    f"{place_of(column, self._tables)} has amounts in several currencies "
                    f"({', '.join(list(codes)[:MAX_CHOICES])}), which are never added; a contract "
                    "takes one of them by its code of ISO 4217, such as EUR"
                )
            return None
        if not codes:
            return None
        if len(codes) == 1:
            return next(iter(codes))
        answer = self._answers.value("currency")
        if answer in codes:
            return answer
        names = [f'--answer "currency={one}" ({n} rows)' for one, n in codes.most_common()]
        raise NotInferableError(
            f"{place_of(column, self._tables)} has amounts in {len(codes)} currencies, which are "
            "never added. KPIs are of one of them, and orders in others are counted apart, as "
            f"other_currency_orders: {'; '.join(names[:MAX_CHOICES])}"
        )


def _parts(rows: Sequence[tuple[str, ...]], table: Table) -> Iterator[Sequence[tuple[str, ...]]]:
    """Divide rows by the files that they are of."""
    start = 0
    for _, count in table.sample.parts or (("", len(rows)),):
        yield rows[start : start + count]
        start += count


def _precede(structure: Structure) -> list[Column]:
    """Find the times of an order that come before its own on most orders: which is its day?"""
    if structure.date.steps:
        return []
    chosen = structure.date.value
    # A date that words do not name may be one of the payment, which often is the same day.
    is_told = chosen.meaning.has("order", "created") and not chosen.meaning.unknown
    least = EARLIER_SHARE if is_told else EARLIER_AT_TIMES
    return [
        one
        for one in structure.orders.columns
        if one is not chosen
        and one.dates is not None
        and not one.meaning.has("customer", "product", "refund", "stock")
        and not EARLIER_EVENTS.intersection(one.meaning.words)
        and one.fill_share > EARLIER_SHARE
        and _later_share(chosen, one) > least
        and (is_told or not _later_share(one, chosen))
    ]


def _later_share(column: Column, other: Column) -> float:
    """Share of the rows in which a date comes after another one."""
    if column.dates is None or other.dates is None:
        return 0.0
    both = (column.dates.days != NO_DAY) & (other.dates.days != NO_DAY)
    return float((column.dates.days > other.dates.days)[both].mean()) if both.any() else 0.0


def _earliest(cells: Sequence[Cell]) -> Cell | None:
    """Find the time that is before all others: an order is made before it is shipped."""
    for cell in cells:
        if len(cells) > 1 and all(_is_before(cell, other) for other in cells if other is not cell):
            return cell
    return None


def _is_before(one: Cell, other: Cell) -> bool:
    """Whether a time is never after another, and before it in half of the rows."""
    if one.value.dates is None or other.value.dates is None:
        return False
    days, others = one.value.dates.days, other.value.dates.days
    both = (days != NO_DAY) & (others != NO_DAY)
    earlier = (days < others)[both]
    return bool(both.any() and not (days > others)[both].any() and earlier.mean() > 0.5)


def _with_value(cell: Cell, value: Column) -> Cell:
    return replace(cell, value=value, column=cell.column if cell.steps else value)


def _explained(way: Way) -> str:
    """Say what a way means, where it is a price or an amount alone, and what speaks for it."""
    said = ROLES_IN_WORDS.get("+".join(role for role, _ in way.roles), "")
    return f"{said}; {way.evidence[-1]}" if said else way.evidence[-1]


def _way_name(way: Way) -> str:
    """Name a way by its roles, as an answer."""
    return "+".join(f"{role}:{column.header.strip()}" for role, column in way.roles)
