"""Tables of datasets: orders, lines, products and refunds, each word with its evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kpi.inference.categories import Cell
from kpi.inference.decisions import Decisions
from kpi.inference.draft import Block, Value
from kpi.inference.evidence import (
    describe_dates,
    describe_discount,
    describe_statuses,
    describe_values,
    describe_way,
    place_of,
    ranked_values,
    share_of,
)
from kpi.inference.keys import line_key
from kpi.inference.money import Money
from kpi.inference.money_evidence import Way
from kpi.inference.open_columns import OpenColumns
from kpi.inference.questions import Answers
from kpi.inference.rates import find_rate
from kpi.inference.reading_plan import ReadingPlan
from kpi.inference.refund_rows import refunds_of_list, refunds_of_rows
from kpi.inference.return_marks import ReturnMarks
from kpi.inference.returns import add_returned
from kpi.inference.states import find_deletions, find_return_mark
from kpi.inference.statuses import meaning_of_status
from kpi.inference.structure import Structure
from kpi.inference.tables import Reference, Table, first_day
from kpi.inference.taxes import price_with_tax
from kpi.inference.values import Column


class DatasetBlocks:
    """Writes the tables of datasets."""

    def __init__(
        self,
        structure: Structure,
        money: Money,
        tables: Sequence[Table],
        references: Sequence[Reference],
        plan: ReadingPlan,
        answers: Answers,
    ) -> None:
        self._structure = structure
        self._money = money
        self._tables = tables
        self._references = references
        self._plan = plan
        self._answers = answers
        self._decisions = Decisions(tables, answers)
        self._open = OpenColumns(tables, answers)
        self._marks = ReturnMarks(structure, tables, plan, answers)

    def orders(self, top: Block, total: Way | None) -> list[Block]:
        structure = self._structure
        table = structure.orders
        self._plan.feed(table, "orders")
        head, columns = Block("[orders]"), Block("[orders.columns]")
        id_note = describe_values(structure.order_id)
        id_note += self._decisions.ask_about_repeats(structure)
        columns.add("order_id", self._plan.identifier(structure.order_id), id_note)
        columns.add("created_at", self._plan.cell(structure.date), describe_dates(structure.date))
        self._add_deletions(head, columns, table)
        self._add_customer(columns)
        self._add_version(head, columns)
        self._add_status(head, columns)
        self._add_returned_by(head, columns, is_of_lines=False)
        self._add_currency(top, columns)
        discount = self._open.choose_order_discount(self._money, structure)
        if discount is not None:
            columns.add("discount", self._plan.money(discount), "of whole orders, as answered")
        for column, share in self._money.order_discounts:
            if column is discount:
                continue
            columns.add(
                "discount",
                column.header.strip(),
                f"of whole orders, {share:.1%} of the revenue: not taken off without this line",
                is_comment=True,
            )
        if total is not None:
            column = total.roles[0][1]
            columns.add("total", self._plan.money(column), describe_way(total))
        return [head, columns]

    def _add_version(self, head: Block, columns: Block) -> None:
        """Take the time of the last change for what tells the later row of an order."""
        for column in self._structure.orders.columns:
            if column.kind == "date" and "updated" in column.meaning and column.fill_share > 0.5:
                if column.dates is not None and column.dates.is_open:
                    continue
                head.add("version", "updated_at", "the greater one is the later row of an order")
                columns.add("updated_at", self._plan.header(column), describe_values(column))
                return

    def _add_customer(self, columns: Block) -> None:
        customer, beside = self._structure.customer, self._structure.customer_beside
        if customer is None and beside is not None:
            columns.add("user_id", self._plan.cell(beside), describe_values(beside.value))
            return
        if customer is None:
            columns.add(
                "user_id", "", "no customer found: unique_customers stays null", is_comment=True
            )
            return
        note = describe_values(customer)
        if self._structure.customer_note:
            note += f"; {self._structure.customer_note}"
        if customer.fill_share < 1:
            note += f"; {1 - customer.fill_share:.1%} of the rows have no customer"
        columns.add("user_id", self._plan.identifier(customer), note)

    def _add_status(self, head: Block, columns: Block) -> None:
        structure = self._structure
        status = structure.status
        if status is None or (structure.is_flat and _varies(status, structure)):
            self._marks.add(head, columns, structure.orders)
            return
        columns.add("status", self._status_cell(status), describe_statuses(status))
        if not self._propose_statuses(head, status):
            self._marks.add(head, columns, structure.orders)

    def _status_cell(self, status: Column) -> Value:
        """Say where a status stands: in its own column, or below a key that is there."""
        for cell in self._structure.looked_up:
            if (cell.column.table, cell.column.index) == (status.table, status.index):
                return self._plan.cell(cell)
        return self._plan.header(status)

    def _add_returned_by(self, head: Block, columns: Block, *, is_of_lines: bool) -> None:
        """Say what another table says of returned orders or lines."""
        found = self._structure.returned_by
        if found is not None and found.is_of_lines == is_of_lines:
            add_returned(found, head, columns, self._plan, self._decisions)

    def _propose_statuses(self, head: Block, status: Column) -> bool:
        """Propose what statuses mean; tell whether one says that an order came back."""
        returned = [one for one in ranked_values(status) if meaning_of_status(one) == "returned"]
        if not returned and self._may_say_returns():
            returned = self._open.choose_returned(status)
        no_sale = [one for one in ranked_values(status) if meaning_of_status(one) == "no_sale"]
        if returned:
            share = share_of(status, returned)
            head.add("returned", {"status": returned}, f"{share:.1%} of the rows")
        if no_sale:
            self._propose_excluded(head, status, no_sale)
        return bool(returned)

    def _may_say_returns(self) -> bool:
        """Whether nothing but a status may say that an order came back."""
        tables = (self._structure.orders, self._structure.lines)
        marked = any(find_return_mark(one.columns) for one in tables)
        structure = self._structure
        beside = structure.refunds or structure.returned_by
        return not marked and beside is None and not structure.are_refunds

    def _propose_excluded(self, head: Block, status: Column, texts: Sequence[str]) -> None:
        """Leave orders of no sale in, by a comment; where there are many of them, ask."""
        note = (
            f"{self._order_share(status, texts):.1%} of the orders, "
            f"{self._revenue_share(status, texts):.1%} of the revenue"
        )
        counts = self._decisions.count_no_sale(
            texts, share=self._order_share(status, texts), note=note
        )
        note += ": they count unless this line does" if counts else ": as answered"
        head.add("excluded", {"status": list(texts)}, note, is_comment=counts)

    def _order_share(self, status: Column, texts: Sequence[str]) -> float:
        """Share of the orders that have one of some statuses."""
        structure = self._structure
        own = structure.order_id if status.table == structure.orders.number else None
        keys = (own or structure.line_order).cells
        # A row without a status is a footer, or a further line of its order.
        stated = {key for key, cell in zip(keys, status.cells, strict=True) if cell}
        named = {key for key, cell in zip(keys, status.cells, strict=True) if cell in texts}
        return len(named) / max(len(stated), 1)

    def _add_deletions(self, head: Block, columns: Block, table: Table) -> None:
        """Take the deletions of a change file."""
        mark = find_deletions(table)
        if mark is None:
            return
        head.add("deleted", {"op": mark.condition}, f"{mark.rows} of the rows take their key away")
        columns.add("op", self._plan.header(mark.column), describe_values(mark.column))

    def _revenue_share(self, status: Column, texts: Sequence[str]) -> float:
        """Share of the revenue that orders of some statuses have."""
        structure, way = self._structure, self._money.way
        if way is None:
            return 0.0
        if structure.lines is not structure.orders and status.table == structure.lines.number:
            named = np.array([one in texts for one in status.cells])
        else:
            of_order = dict(zip(structure.order_id.cells, status.cells, strict=True))
            named = np.array([of_order.get(one) in texts for one in structure.line_order.cells])
        total = float(way.amounts.sum())
        return float(way.amounts[named].sum()) / total if total else 0.0

    def items(self, way: Way | None) -> list[Block]:
        structure = self._structure
        table = structure.lines
        self._plan.feed(table, "order_items")
        head, columns = Block("[order_items]"), Block("[order_items.columns]")
        key = line_key(structure)
        head.add("key", key.value, key.note)
        columns.add(
            "order_id",
            self._plan.identifier(structure.line_order),
            describe_values(structure.line_order),
        )
        if not structure.is_flat:
            self._add_deletions(head, columns, table)
        for name, column in key.columns:
            if name not in ("order_id", "product_id"):
                columns.add(name, self._plan.header(column), describe_values(column))
        product = structure.product
        if product is not None:
            columns.add("product_id", self._plan.identifier(product), self._product_note())
        category = self._open.choose_category(self._structure)
        if category is not None and not category.steps:
            columns.add(
                "category", self._plan.header(category.column), describe_values(category.column)
            )
        if structure.quantity is not None:
            columns.add(
                "quantity",
                self._plan.header(structure.quantity),
                describe_values(structure.quantity),
            )
        self._add_line_status(head, columns)
        self._add_returned_by(head, columns, is_of_lines=True)
        self._add_money(columns, way)
        return [head, columns]

    def _product_note(self) -> str:
        reference = self._structure.products
        if reference is None or self._structure.product is None:
            column = self._structure.product
            return describe_values(column) if column else ""
        return (
            f"{reference.found:.0%} of its values are in {place_of(reference.parent, self._tables)}"
        )

    def _add_line_status(self, head: Block, columns: Block) -> None:
        structure = self._structure
        status = structure.line_status
        if structure.is_flat and structure.status and _varies(structure.status, structure):
            status = structure.status
        returned = False
        if status is not None:
            note = "of a line: " + describe_statuses(status)
            columns.add("status", self._status_cell(status), note)
            returned = self._propose_statuses(head, status)
        if not returned and not structure.is_flat:
            self._marks.add(head, columns, structure.lines)

    def _add_money(self, columns: Block, way: Way | None) -> None:
        if way is None:
            columns.add("unit_price", "", "no money found: revenue stays null", is_comment=True)
            return
        for number, (role, column) in enumerate(way.roles):
            note = describe_way(way) if number == 0 else describe_discount(role, column)
            if column.table == self._structure.lines.number:
                columns.add(role, self._plan.money(column), note)
                continue
            product = self._structure.product
            if product is None:
                continue
            via = "products.price"
            reference, day = self._structure.products, self._day_of_prices()
            if reference is not None and day is not None:
                via = f"{self._plan.dated(reference, column, day)}.{column.header.strip()}"
            value = {"from": product.header.strip(), "via": via}
            columns.add(role, value, f"the lines have no price: {note}")

    def _day_of_prices(self) -> Column | None:
        """Find the day from which a row of a list of prices is in force."""
        reference = self._structure.products
        if reference is None or len(reference.parent.distinct) == reference.parent.filled:
            return None
        return first_day(self._tables[reference.parent.table])

    def products(self, way: Way | None) -> list[Block]:
        structure = self._structure
        reference = structure.products
        category = self._open.choose_category(self._structure)
        price = price_with_tax(structure, self._tables)
        needs_price = way is not None and any(
            column.table != structure.lines.number for _, column in way.roles
        )
        needs_price = needs_price and self._day_of_prices() is None
        has_category = category is not None and bool(category.steps)
        if reference is None or not (needs_price or has_category):
            return []
        table = self._tables[reference.parent.table]
        self._plan.feed(table, "products")
        columns = Block("[products.columns]")
        columns.add(
            "id", self._plan.identifier(reference.parent), describe_values(reference.parent)
        )
        if has_category and category is not None:
            columns.add("category", self._plan.category(category), self._category_note(category))
        if needs_price and price is not None:
            columns.add("price", self._plan.money(price), describe_values(price))
        return [columns]

    def _category_note(self, category: Cell) -> str:
        values = sorted(category.value.distinct)
        return f"{len(values)} values: {', '.join(values[:4])}"

    def refunds(self, way: Way | None) -> list[Block]:
        if self._structure.are_refunds:
            return refunds_of_rows(self._structure, way, self._plan)
        found = self._structure.refunds
        if found is None:
            return []
        table = self._tables[found.order.table]
        return refunds_of_list(found, table, self._refunded_item(table), self._plan)

    def _refunded_item(self, table: Table) -> Column | None:
        key = line_key(self._structure)
        if len(key.columns) != 1:
            return None
        return next(
            (
                one.child
                for one in self._references
                if one.child.table == table.number and one.parent is key.columns[0][1]
            ),
            None,
        )

    def _add_currency(self, top: Block, columns: Block) -> None:
        for table in (self._structure.orders, self._structure.lines):
            for column in table.columns:
                if "currency" not in column.meaning:
                    continue
                rate = find_rate(table, column) if table is self._structure.orders else None
                taken = self._decisions.choose_rate(rate) if rate is not None else False
                code = rate.base if rate and taken else self._decisions.choose_currency(column)
                if code is None:
                    continue
                top.add("currency", code, f"header {column.header.strip()!r}")
                if table is self._structure.orders:
                    columns.add("currency", self._plan.header(column), describe_values(column))
                    if rate is not None and taken:
                        columns.add("rate", self._plan.header(rate.column), "as answered")
                return


def _varies(column: Column, structure: Structure) -> bool:
    """Whether the rows of one order have several values."""
    known: dict[str, str] = {}
    return any(
        cell and known.setdefault(key, cell) != cell
        for key, cell in zip(structure.order_id.cells, column.cells, strict=True)
    )
