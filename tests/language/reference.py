"""Reference of contract language 2: rows as dicts, one by one. It shares no code with the product.

Whatever a rule says is done here in the plainest way, without regard to speed.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.language.reference_files import (
    DECIMALS,
    MONEY,
    PLACES,
    Doc,
    File,
    FileReader,
    Row,
    Shop,
    fold,
    half_even,
    holds,
    matches,
    number,
    steps,
)

__all__ = ["File", "Reference", "Shop", "reference"]


class Reference(FileReader):
    """One contract and its files, to the KPIs."""

    # ---- rows to the latest of each key

    def latest(self, name: str) -> tuple[list[Row], set[str]]:
        """Rules 4, 5, 7 and 8: the latest rows, and the keys that are gone."""
        key, rows = self.key(name), self.rows[name]
        version = self.doc.get(name, {}).get("version")
        entries: dict[str, Doc] = {
            f.name: next(
                (e for e in self.doc["files"] if matches(e["match"], f.name) is not None), {}
            )
            for f in self.files
        }
        by: dict[int, int] = {}
        fed = sorted(
            {at for at, *_ in rows}
            | {
                at
                for at, f in enumerate(self.files)
                if entries[f.name]
                and name in entries[f.name]["feeds"]
                and f.name not in self.shop.refused
            }
        )
        for at in fed:
            file = self.files[at]
            entry = entries[file.name]
            for later in fed:
                if later <= at:
                    continue
                other = self.files[later]
                same_name = other.name == file.name
                if (same_name and (entry.get("replaces") == "file" or key == "row")) or (
                    entries[other.name] is entry and entry.get("replaces") == "all"
                ):
                    by[at] = later
                    break
        if key == "row":
            return [row for at, _, _, row in rows if at not in by and not row["__deleting"]], set()
        if key == "order":
            newest: dict[str, int] = {}
            for at, _, _, row in rows:
                newest[row["order_id"]] = max(newest.get(row["order_id"], -1), by.get(at, at))
            return [
                row
                for at, _, _, row in rows
                if at not in by and newest[row["order_id"]] == at and not row["__deleting"]
            ], set()
        best: dict[tuple[Any, ...], tuple[Any, Row]] = {}
        for at, _, place, row in rows:
            gone = at in by
            value = row.get(version) if version else None
            rank = (value is not None, value or 0, by.get(at, at), -1 if gone else place)
            mine = tuple(self.key_value(row, part) for part in key)
            if mine not in best or best[mine][0] < rank or (best[mine][0] == rank and gone):
                best[mine] = (rank, {**row, "__gone": gone or row["__deleting"]})
        return (
            [row for _, row in best.values() if not row["__gone"]],
            {str(mine[0]) for mine, (_, row) in best.items() if row["__gone"]},
        )

    def key_value(self, row: Row, part: str) -> Any:
        value = row[part]
        return row["__day"] if isinstance(value, datetime) else value

    # ---- look-ups

    def look_up(self, spec: Any, value: str | None, day: date | None) -> tuple[Any, bool]:
        """Rule 18: the value, and whether it has not come."""
        missing = False
        for step in steps(spec):
            reference, column = step.split(".", 1)
            if value is None:
                break
            rows = self.latest_rows[reference]
            key = [
                k
                for k in self.key(reference)
                if k != self.doc.get("references", {}).get(reference, {}).get("valid_from")
            ]
            found = [row for row in rows if " ".join(str(row[k]) for k in key) == value]
            if "valid_from" in self.doc.get("references", {}).get(reference, {}):
                found = sorted(
                    (r for r in found if day is None or r["__day"] <= day), key=lambda r: r["__day"]
                )
            if not found:
                return None, True
            row = found[-1]
            if reference == "products":
                value, missing = (
                    self.look_up(self.columns("products")[column], row[column], None)
                    if steps(self.columns("products")[column])
                    else (row[column], False)
                )
            else:
                value = row[column]
        return value, missing

    # ---- KPIs

    def compute(self) -> Shop:
        self.read()
        self.latest_rows: dict[str, list[Row]] = {}
        gone: set[str] = set()
        for name in [*self.datasets(), *self.doc.get("references", {})]:
            self.latest_rows[name], lost = self.latest(name)
            if name == "orders":
                gone = lost
        self.add_up(gone)
        return self.shop

    def resolved(self, name: str, row: Row, day: date | None) -> Row:
        found = dict(row)
        for column, spec in self.columns(name).items():
            if steps(spec):
                value, missing = self.look_up(spec, row[column], day)
                if isinstance(value, str) and column in DECIMALS:
                    value = number(value, "1234.50", PLACES.get(column, 4))
                found[column] = value
                found["__missing_" + column] = missing
                found["__waits"] = found.get("__waits", False) or (
                    missing and isinstance(spec, dict) and spec.get("required", False)
                )
        return found

    def foreign(self, row: Row) -> bool:
        currency = row.get("currency")
        if currency is None or fold(currency) == fold(self.doc.get("currency")):
            return False
        return not row.get("rate") or row["rate"] <= 0

    @staticmethod
    def divisor(row: Row, default: Fraction = Fraction(1)) -> Fraction:
        rate = row.get("rate")
        return Fraction(rate) if rate and rate > 0 else default

    def line(self, item: Row, rate: Fraction) -> tuple[Decimal, Decimal | None, Decimal]:
        """Rule 11: money, before discounts where it is known, what was taken off."""
        quantity = item["quantity"] if "quantity" in item else Decimal(1)
        quantity = Fraction(quantity or 0)
        whole, unit, after = (
            item.get(n) for n in ("before_discount", "unit_price", "after_discount")
        )
        before = Fraction(whole) if whole is not None else Fraction(unit or 0) * quantity
        known = whole is not None or unit is not None or after is None
        share = Fraction(item.get("discount_rate") or 0)
        if item.get("discount_percent"):
            share = Fraction(half_even(Fraction(item["discount_percent"]) / 100, 10))
        cell = Fraction(item.get("discount") or 0)
        money = Fraction(after) if after is not None else before - cell - before * share
        paid = half_even(money / rate, 4)
        if not known:
            return paid, None, half_even(cell / rate, 4)
        return paid, half_even(before / rate, 4), half_even(before / rate, 4) - paid

    def add_up(self, gone: set[str]) -> None:
        orders = {}
        for row in self.latest_rows["orders"]:
            found = self.resolved("orders", row, row["__day"])
            if not found.get("__waits"):
                orders[row["order_id"]] = found
        items: dict[str, list[Row]] = defaultdict(list)
        for row in self.latest_rows.get("order_items", []):
            order = orders.get(row["order_id"])
            if order is not None and row["order_id"] not in gone:
                found = self.resolved("order_items", row, order["__day"])
                if not found.get("__waits"):
                    items[row["order_id"]].append(found)
        refunds = [
            self.resolved("refunds", row, orders.get(row.get("order_id"), {}).get("__day"))
            for row in self.latest_rows.get("refunds", [])
        ]
        refunds = [r for r in refunds if r.get("__day") or r.get("order_id") in orders]
        state = self.judge(orders, items, refunds)
        self.publish(orders, items, refunds, state)

    def judge(
        self, orders: dict[str, Row], items: dict[str, list[Row]], refunds: list[Row]
    ) -> dict[str, str]:
        """Rules 9, 10 and 20: what each order is; lines are marked."""
        settings, of_items = self.doc["orders"], self.doc.get("order_items", {})
        by_items = "item" in self.doc.get("refunds", {}).get("columns", {})
        named = {r.get("order_id") for r in refunds}
        key = self.key("order_items") if of_items else []
        state = {}
        for order_id, order in orders.items():
            lines = items[order_id]
            for line in lines:
                line["__excluded"] = "excluded" in of_items and holds(of_items["excluded"], line)
            counted = [line for line in lines if not line["__excluded"]]
            excluded = "excluded" in settings and holds(settings["excluded"], order)
            excluded |= bool(lines) and not counted
            default = self.divisor(order)
            other = self.foreign(order) or any(
                self.foreign(line) and (line.get("rate") is not None or default == 1)
                for line in counted
            )
            state[order_id] = "excluded" if excluded else "other" if other else "counts"
            returned = "returned" in settings and holds(settings["returned"], order)
            returned |= order_id in named
            for line in lines:
                own = "returned" in of_items and holds(of_items["returned"], line)
                if by_items and isinstance(key, list):
                    has_order = "order_id" in self.doc["refunds"]["columns"]
                    own |= any(
                        r.get("item") is not None
                        and r["item"] == line[key[-1]]
                        and (not has_order or r.get("order_id") == order_id)
                        for r in refunds
                    )
                line["__returned"] = own
            if "returned" not in settings and state[order_id] == "counts":
                returned |= any(line["__returned"] for line in counted)
            order["__returned"] = returned
            if "returned" not in of_items and not by_items:
                for line in lines:
                    line["__returned"] = returned
        return state

    def category(self, line: Row) -> str | None:
        """Rule 17."""
        own = "category" in self.doc["order_items"]["columns"]
        if not own and "products" not in self.doc:
            return None
        if own:
            if line.get("__missing_category"):
                return "(unknown)"
            if line["category"] is not None:
                return line["category"]
        if "products" in self.doc and "product_id" in line:
            if line["product_id"] is None:
                return "(none)"
            found = [r for r in self.latest_rows["products"] if r["id"] == line["product_id"]]
            if not found:
                return "(unknown)"
            product = self.resolved("products", found[0], None)
            if product.get("__missing_category"):
                return "(unknown)"
            return product.get("category") or "(none)"
        return "(none)"

    def publish(
        self,
        orders: dict[str, Row],
        items: dict[str, list[Row]],
        refunds: list[Row],
        state: dict[str, str],
    ) -> None:
        days: dict[date, dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
        users: dict[date, set[str]] = defaultdict(set)
        groups: dict[tuple[date, str], dict[str, Any]] = defaultdict(
            lambda: {"money": Decimal(0), "orders": set(), "returned": set()}
        )
        has_items = "order_items" in self.doc
        for order_id, order in orders.items():
            day = order["__day"]
            if state[order_id] == "other":
                days[day]["other"] += 1
            if state[order_id] != "counts":
                continue
            sums, rate = days[day], self.divisor(order)
            sums["orders"] += 1
            sums["returned"] += order["__returned"]
            if order.get("user_id") is None:
                sums["anonymous"] += 1
            else:
                users[day].add(order["user_id"])
            taken = half_even(Fraction(order.get("discount") or 0) / rate, 4)
            sums["revenue"] -= taken if has_items else Decimal(0)
            sums["discounts"] += taken
            sums["refunds"] += half_even(Fraction(order.get("refund") or 0) / rate, 4)
            if not has_items:
                sums["revenue"] += half_even(Fraction(order.get("total") or 0) / rate, 4)
                sums["pieces"] += order.get("quantity") or 0
            elif taken:
                groups[day, "(order)"]["money"] -= taken
            for line in items[order_id]:
                if not line["__excluded"]:
                    self.add_line(order, line, sums, groups)
        self.add_refunds(orders, refunds, state, days)
        excluded: dict[date, int] = defaultdict(int)
        for order_id, order in orders.items():
            excluded[order["__day"]] += state[order_id] == "excluded"
        for day, sums in days.items():
            self.shop.orders[day.isoformat()] = self.row_of_day(
                sums, users[day], excluded[day], unknown_before=bool(sums["unknown"])
            )
        self.publish_groups(groups)

    def add_line(
        self,
        order: Row,
        line: Row,
        sums: dict[str, Any],
        groups: dict[tuple[date, str], dict[str, Any]],
    ) -> None:
        """Rules 11, 14 and 17."""
        own = self.divisor(line, self.divisor(order) if line.get("rate") is None else Fraction(1))
        paid, before, off = self.line(line, own)
        sums["revenue"] += paid
        sums["discounts"] += off
        sums["pieces"] += (line["quantity"] or 0) if "quantity" in line else 1
        if before is None:
            sums["unknown"] += 1
        else:
            sums["gross"] += before
        group = self.category(line)
        if group is not None:
            one = groups[order["__day"], group]
            one["money"] += paid
            one["orders"].add(order["order_id"])
            if line["__returned"]:
                one["returned"].add(order["order_id"])

    def add_refunds(
        self,
        orders: dict[str, Row],
        refunds: list[Row],
        state: dict[str, str],
        days: dict[date, dict[str, Any]],
    ) -> None:
        """Rule 15."""
        for refund in refunds:
            order_id = str(refund.get("order_id"))
            if "excluded" in self.doc["refunds"] and holds(self.doc["refunds"]["excluded"], refund):
                continue
            if self.foreign(refund) or state.get(order_id, "counts") != "counts":
                continue
            day = refund.get("__day") or orders[order_id]["__day"]
            size = refund.get("amount")
            if size is None:
                quantity = refund["quantity"] if "quantity" in refund else Decimal(1)
                size = (refund.get("unit_price") or Decimal(0)) * (quantity or 0)
            days[day]["refunds"] += abs(half_even(Fraction(size) / self.divisor(refund), 4))

    def publish_groups(self, groups: dict[tuple[date, str], dict[str, Any]]) -> None:
        """Rules 14 and 17."""
        has_items = "order_items" in self.doc
        if not has_items or not self.has("order_items", *MONEY):
            groups = {place: g for place, g in groups.items() if place[1] != "(order)"}
        shown_categories = has_items and (
            self.has("order_items", "category") or "products" in self.doc
        )
        for (day, name), sold in groups.items() if shown_categories else ():
            size = len(sold["orders"])
            money = sold["money"] if self.has("order_items", *MONEY) else None
            self.shop.categories[day.isoformat(), name] = {
                "daily_revenue": None if money is None else half_even(Fraction(money), 2),
                "avg_order_value": None
                if money is None or not size
                else half_even(Fraction(money) / size, 2),
                "avg_return_rate": half_even(Fraction(len(sold["returned"]), size), 4)
                if size
                else None,
            }

    def has(self, name: str, *columns: str) -> bool:
        return name in self.doc and any(c in self.doc[name]["columns"] for c in columns)

    def row_of_day(
        self, sums: dict[str, Any], users: set[str], excluded: int, *, unknown_before: bool
    ) -> Row:
        has_items = "order_items" in self.doc
        total = int(sums["orders"])
        revenue = (
            sums["revenue"]
            if self.has("order_items", *MONEY) or (not has_items and self.has("orders", "total"))
            else None
        )
        refunds = sums["refunds"] if self.has("orders", "refund") or "refunds" in self.doc else None
        of_lines = self.has("order_items", "discount", "discount_rate", "discount_percent") or (
            self.has("order_items", "after_discount")
            and self.has("order_items", "unit_price", "before_discount")
        )

        def money(value: Decimal | None) -> Decimal | None:
            return None if value is None else half_even(Fraction(value), 2)

        pieces: Any = Decimal(sums["pieces"])
        if not has_items and not self.has("orders", "quantity"):
            pieces = None
        has_gross = self.has("order_items", "unit_price", "before_discount") and not unknown_before
        return {
            "total_orders": total,
            "total_revenue": money(revenue),
            "total_items_sold": pieces,
            "return_rate": half_even(Fraction(int(sums["returned"]), total), 4) if total else None,
            "unique_customers": len(users) if self.has("orders", "user_id") else None,
            "gross_sales": money(sums["gross"]) if has_gross else None,
            "discounts": money(sums["discounts"])
            if of_lines or self.has("orders", "discount")
            else None,
            "refunds": money(refunds),
            "net_sales": None if revenue is None or refunds is None else money(revenue - refunds),
            "avg_order_value": None
            if revenue is None or not total
            else half_even(Fraction(revenue) / total, 2),
            "excluded_orders": excluded
            if any("excluded" in self.doc[n] for n in self.datasets())
            else None,
            "anonymous_orders": int(sums["anonymous"]) if self.has("orders", "user_id") else None,
            "other_currency_orders": int(sums["other"])
            if self.has("orders", "currency") or self.has("order_items", "currency")
            else None,
        }


def reference(contract: Doc, files: list[File]) -> Shop:
    """What a contract and its files come to."""
    return Reference(contract, files).compute()
