"""Random contracts of language 2 that use every word, with files that mostly fit them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from tests.language.files import File

DAYS = ("2025-03-01", "2025-03-02", "2025-03-30")
"""On the last one the clocks of Berlin change."""

NUMBER_FORMS = {
    "1234.50": ("", ".", ""),
    "1.234,50": (".", ",", ""),
    "1,234.50": (",", ".", ""),
    "1 234,50": ("\u00a0", ",", ""),
    "$1'234.50": ("'", ".", "$"),
}
"""Example -> mark of groups, of decimals, currency sign."""

DATE_FORMS: dict[str, Callable[[str, str], str]] = {
    "iso": lambda day, clock: f"{day}T{clock}:00" if clock else day,
    "31.12.2025 23:59": lambda day, clock: f"{day[8:]}.{day[5:7]}.{day[:4]} {clock or '00:00'}",
    "12/31/25": lambda day, _: f"{day[5:7]}/{day[8:]}/{day[2:4]}",
    "31 Dec 2025 11:59 PM": lambda day, clock: (
        f"{day[8:]} mar {day[:4]} {int(clock[:2]) % 12 or 12}:{clock[3:]} "
        f"{'pm' if clock >= '12' else 'AM'}"
        if clock
        else f"{day[8:]} March {day[:4]} 12:00 am"
    ),
}
"""Example -> how a day and a clock are written."""

COLUMNS = (
    *("Order", "Line", "Date", "Clock", "Changed", "Status", "User", "SKU", "Kind", "Qty"),
    *("Unit", "Before", "Off", "Share", "Percent", "After", "Cut", "Back", "Cur", "Rate", "Type"),
)
AMOUNTS = ("0", "1", "2.5", "19.99", "1234.5", "0.0050", "0.00005", "19.989999771118164", "-3", "")
TEXTS = {
    "Line": ("1", "2"),
    "Clock": ("", "00:10", "02:30", "23:50", "12:00"),
    "Changed": ("", "1", "2", "10", "2025-03-05", "2025-03-05T10:00:00+02:00"),
    "Status": ("paid", "Void", "BACK", "", "gone", "test-7", "zur\u00fcck", "Stra\u00dfe"),
    "User": ("u1", "u2", "", "n/a", "01.0", "1"),
    "SKU": ("A", "B", "GIFT1", "", 'x "y"'),
    "Kind": ("t", "", "g", "h"),
    "Type": ("Order", "order ", "Footer", "Refund", "Order"),
    "Cur": ("EUR", "eur", "", "USD"),
}
NUMBERS = {
    "Qty": ("1", "2", "3", "0", "2.0", "0.125", "-1", ""),
    **dict.fromkeys(("Unit", "Before", "After"), AMOUNTS),
    **dict.fromkeys(("Off", "Cut", "Back"), ("0", "1", "0.5", "2.25", "", "")),
    "Share": ("0", "0.1", "0.25", "", "0.3333"),
    "Percent": ("0", "10", "33.3", "", "100"),
    "Rate": ("1", "1.5", "0.25", "", "0"),
}


@dataclass(frozen=True)
class WideShop:
    """A contract, its files in the order of their uploads, and the encoding of the files."""

    contract: str
    files: tuple[File, ...]
    encoding: str


@st.composite
def wide_shops(draw: st.DrawFn) -> WideShop:
    """A random shop."""
    return _Maker(draw(st.randoms(use_true_random=False))).make()


@dataclass
class _Maker:
    """Makes one shop."""

    rnd: random.Random
    lines: list[str] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    def maybe(self, share: float = 0.5) -> bool:
        return self.rnd.random() < share

    def pick(self, options: Sequence[str]) -> str:
        return self.rnd.choice(options)

    def some(self, *lines: str) -> list[str]:
        return [line for line in lines if self.maybe()]

    def make(self) -> WideShop:
        self.numbers, self.dates = self.pick(sorted(NUMBER_FORMS)), self.pick(sorted(DATE_FORMS))
        self.encoding = self.pick(("utf-8", "utf-8", "cp1252", "utf-16"))
        self.is_json = self.maybe(0.25) and self.encoding != "cp1252"
        self.has_store = self.maybe(0.3)
        self.has_items = self.maybe(0.85)
        self.refunds = self.pick(("none", "file", "rows"))
        self.has_products = self.has_items and self.maybe()
        self.references: set[str] = set()
        zone = self.pick(("as written", "Europe/Berlin", "UTC", "America/New_York"))
        self.lines = [
            *("language = 2", f'day = "{zone}"', 'not_after = "2026-12-31"', 'currency = "EUR"'),
            *(['times = "Asia/Tokyo"'] if zone != "as written" and self.maybe() else []),
            *("[limits]", "max_reject_rate = 1.0"),
        ]
        tables = [*self._orders(), *self._items(), *self._refunds(), *self._products()]
        self._sales_entry()
        for name in sorted(self.references | self._other_files()):
            self._entry(name, [f'feeds = ["{name}"]'])
        self.lines += tables
        for name in sorted(self.references):
            keys = {"people": "who", "kinds": "kind", "prices": "sku", "rates": "code"}
            self.lines += [f"[references.{name}]", f'key = "{keys[name]}"']
            self.lines += ['valid_from = "from"'] if name in ("prices", "rates") else []
        self._make_files()
        self.rnd.shuffle(self.files)
        files = [File(name, text, second) for second, (name, text) in enumerate(self.files)]
        return WideShop("\n".join(self.lines) + "\n", tuple(files), self.encoding)

    def _other_files(self) -> set[str]:
        found = {"products"} if self.has_products else set()
        return found | ({"refunds"} if self.refunds == "file" else set())

    # ---- contract

    def _entry(self, name: str, lines: list[str]) -> None:
        encoding = ['encoding = "cp1252"'] if self.encoding == "cp1252" else []
        self.lines += ["[[files]]", f'match = "{name}*"', *encoding, *lines]

    def _sales_entry(self) -> None:
        feeds = ["orders", *(["order_items"] if self.has_items else [])]
        feeds += ["refunds"] if self.refunds == "rows" else []
        self.delimiter = self.pick((";", "|", "\t"))
        self.shape = self.pick(("plain", "plain", "columns", "begins", "sep"))
        self.quoting = self.pick(('"', '"', "", "\\"))
        self.minor = self.maybe(0.2)
        lines = [
            f"feeds = {json.dumps(feeds)}",
            f"numbers = {json.dumps(self.numbers)}",
            f"dates = {json.dumps([self.dates, *(['iso'] if self.maybe(0.3) else [])])}",
            f'replaces = "{self.pick(("rows", "rows", "file", "all"))}"',
            *self.some('blanks = ["N/A", "-"]'),
        ]
        lines += ["minor_units = true"] if self.minor else []
        if not self.is_json:
            lines += [f"delimiter = {json.dumps(self.delimiter)}"] if self.maybe(0.3) else []
            lines += [f"columns = {json.dumps(COLUMNS)}"] if self.shape == "columns" else []
            lines += ['begins = "order "'] if self.shape == "begins" else []
            lines += ['quote = ""'] if not self.quoting else []
            lines += ['escape = "\\\\"'] if self.quoting == "\\" else []
            lines += ['fill = "Order"'] if self.maybe(0.4) else []
            lines += ['merged = ["Order", "Date"]'] if self.maybe(0.2) else []
        else:
            lines += ['each = "Lines"'] if self.has_items else []
        only = self._only()
        lines += ["[files.only]", *only] if only else []
        name = "{store}/sales" if self.has_store else "sales"
        self._entry(name, lines)

    def _only(self) -> list[str]:
        if self.refunds != "rows":
            return self.some('orders = [{ Type = ["Order", "refund"] }, { Qty = "<0" }]')
        found = ['refunds = { Type = "refund" }', 'orders = { Type = ["!Refund", "!Foot*"] }']
        if self.has_items:
            found.append('order_items = { Type = "!Refund", Qty = ["!<0", "!7"] }')
        return found

    def _id(self) -> str:
        return '{ join = ["{store}", "Order"] }' if self.has_store else '"Order"'

    def _use(self, reference: str) -> None:
        self.references.add(reference)

    def _orders(self) -> list[str]:
        lines = ["[orders]", *self.some('version = "changed"', 'deleted = { status = "gone" }')]
        lines += self.some('excluded = [{ status = "void" }, { status = "test*", changed = "!*" }]')
        lines += self.some('returned = { status = ["back", "ZUR\u00dcCK", "strasse"] }')
        lines += ["[orders.columns]", f"order_id = {self._id()}", 'changed = "Changed"']
        created = '{ from = ["Paid", "Date"] }' if self.maybe() else '"Date"'
        if self.dates == "31.12.2025 23:59":
            created = '{ join = ["Date", "Clock"] }'
        lines += [f"created_at = {created}", 'status = "Status"']
        if self.maybe(0.4):
            self._use("people")
            required = ", required = true" if self.maybe(0.3) else ""
            lines.append(f'user_id = {{ from = "User", via = "people.person"{required} }}')
        elif self.maybe(0.7):
            kind = ', type = "integer"' if self.maybe(0.2) else ', blanks = ["0", "N/A"]'
            lines.append(f'user_id = {{ from = "User"{kind} }}')
        lines += self.some('discount = "Cut"')
        lines += self.some('refund = "Back"') if self.refunds == "none" else []
        lines += self._currency()
        if not self.has_items:
            lines += self.some('total = { from = "After", when = { Kind = "!g" } }')
            lines += self.some('quantity = "Qty"')
        return lines

    def _currency(self) -> list[str]:
        if not self.maybe(0.4):
            return []
        how = self.pick(("none", "column", "reference"))
        if how == "reference":
            self._use("rates")
            return ['currency = "Cur"', 'rate = { from = "Cur", via = "rates.rate" }']
        return ['currency = "Cur"', *(['rate = "Rate"'] if how == "column" else [])]

    def _items(self) -> list[str]:
        if not self.has_items:
            return []
        self.item_key = self.pick(('"order"', '"row"', '["order_id", "line"]', '"line"'))
        lines = ["[order_items]", f"key = {self.item_key}"]
        lines += self.some('excluded = [{ product_id = "gift*" }, { quantity = "<0" }]')
        lines += self.some('returned = { status = "*back*" }', 'deleted = { status = "gone" }')
        lines += self.some('version = "changed"')
        lines += ["[order_items.columns]", f"order_id = {self._id()}", 'line = "Line"']
        lines += ['product_id = "SKU"', 'status = "Status"', 'changed = "Changed"']
        if self.maybe(0.3):
            self._use("kinds")
            lines.append('category = { from = "Kind", via = "kinds.name" }')
        else:
            lines += self.some('category = "Kind"')
        if self.maybe(0.3):
            self._use("prices")
            required = ", required = true" if self.maybe(0.3) else ""
            lines.append(f'unit_price = {{ from = "SKU", via = "prices.price"{required} }}')
        else:
            lines += self.some('unit_price = "Unit"')
        lines.append('quantity = "Qty"')
        lines += self.some('before_discount = "Before"', 'after_discount = "After"')
        lines += self.some(
            self.pick(
                (
                    'discount = { from = "Off", when = { Type = "!Footer" } }',
                    'unit_discount = "Off"',
                    'discount = "Cut"\nunit_discount = "Off"',
                )
            )
        )
        lines += self.some(self.pick(('discount_rate = "Share"', 'discount_percent = "Percent"')))
        return lines + self._currency()

    def _refunds(self) -> list[str]:
        if self.refunds == "none":
            return []
        is_file = self.refunds == "file"
        key = self.pick(('"order"', '"row"', '"id"' if is_file else '["order_id", "item"]'))
        lines = ["[refunds]", f"key = {key}", *self.some('excluded = { note = ["no*", "paid"] }')]
        headers = {"order_id": "order", "item": "line", "created_at": "day", "note": "note"}
        if not is_file:
            headers = {"order_id": "", "item": "Line", "created_at": "Date", "note": "Status"}
        lines += ["[refunds.columns]", f'note = "{headers["note"]}"']
        order_id = '"order"' if is_file else self._id()
        lines += [f"order_id = {order_id}"]
        has_lines = self.has_items and "line" in self.item_key
        key = key if has_lines or "item" not in key else '"row"'
        lines[1] = f"key = {key}"
        has_item = has_lines and ("item" in key or self.maybe())
        lines += [f'item = "{headers["item"]}"'] if has_item else []
        lines += ['id = "id"'] if is_file else []
        lines += self.some(f'created_at = "{headers["created_at"]}"') if is_file else []
        if self.maybe(0.7):
            lines.append('amount = "amount"' if is_file else 'amount = "Back"')
        else:
            price, quantity = ("amount", "line") if is_file else ("Unit", "Qty")
            lines += [f'unit_price = "{price}"', *self.some(f'quantity = "{quantity}"')]
        return lines

    def _products(self) -> list[str]:
        if not self.has_products:
            return []
        lines = [*self.some("[products]", 'deleted = { kind = "gone" }')]
        lines = ["[products]", 'deleted = { kind = "gone" }'] if lines else []
        lines += ["[products.columns]", 'id = "sku"', 'kind = "kind"']
        if self.maybe():
            self._use("kinds")
            return [*lines, 'category = { from = "kind", via = "kinds.name" }']
        return [*lines, *self.some('category = "kind"')]

    # ---- files

    def _make_files(self) -> None:
        for name in self._names():
            rows = [self._cells() for _ in range(self.rnd.randint(1, 7))]
            if "merged" in "".join(self.lines):
                for row in rows[1:]:
                    row.update({"Order": "", "Date": ""} if self.maybe() else {})
            elif "fill" in "".join(self.lines) and self.maybe(0.8):
                rows.sort(key=lambda row: row["Order"])
            text = self._json(rows) if self.is_json else self._csv(rows)
            self.files.append((name, text))
        tables = {
            "products": ("sku,kind", ("A,t", "A,", "B,g", "A,gone", "GIFT1,h")),
            "people": ("who,person", ("u1,p1", "u1,p2", "u2,p1", "n/a,", "1,p1")),
            "kinds": ("kind,name", ("t,Toys", "g,Games", "g,", "t,Tools")),
            "prices": (
                "sku,from,price",
                ("A,2025-01-01,5", "A,2025-03-02,7.5", "B,2025-03-02,0.0005", "B,2025-01-01,"),
            ),
            "rates": (
                "code,from,rate",
                ("USD,2025-01-01,1.2", "USD,2025-03-02,1", "EUR,2025-01-01,1"),
            ),
            "refunds": (
                "id,order,amount,line,day,note",
                (
                    *("a,1,2.5,1,2025-03-05,", "b,2,1,2,,nothing", "a,2,1,,2025-03-02,ok"),
                    *("c,,1,,2025-03-02,", "d,9,1,1,,", "e,north 1,3,1,2025-03-01,"),
                ),
            ),
        }
        for name in sorted(self.references | self._other_files()):
            header, lines = tables[name]
            for number in range(self.rnd.randint(0, 2)):
                some = [self.pick(lines) for _ in range(self.rnd.randint(1, 4))]
                self.files.append((f"{name}{number}.csv", "\n".join((header, *some)) + "\n"))

    def _names(self) -> list[str]:
        ending = "json" if self.is_json else "csv"
        stores = ("north/", "south/") if self.has_store else ("", "")
        options = [f"{store}sales{number}.{ending}" for store in stores for number in (1, 2)]
        return [self.pick(options) for _ in range(self.rnd.randint(1, 4))]

    def _cells(self) -> dict[str, str]:
        row = {name: self.pick(TEXTS[name]) for name in TEXTS}
        row |= {name: self._number(self.pick(NUMBERS[name]), name) for name in NUMBERS}
        row["Order"] = self.pick(("1", "2", "3", "4", "4")) if self.maybe(0.97) else ""
        day = self.pick(DAYS)
        clock = row["Clock"] if self.dates == "31 Dec 2025 11:59 PM" or self.maybe() else ""
        row["Date"] = DATE_FORMS[self.dates](day, clock)
        if self.dates == "31.12.2025 23:59":
            row["Date"], row["Clock"] = row["Date"][:10], row["Clock"] or "10:00"
        elif self.dates == "iso" and "T" in row["Date"]:
            row["Date"] += self.pick(("", "", "Z", "-05:00", "+0530"))
        if self.maybe(0.03):
            row["Date"] = "never"
        return row

    def _number(self, number: str, name: str) -> str:
        """Write 1234.5 as the form has it; negative ones in parentheses or with a minus."""
        if self.is_json:
            return number
        group, point, sign = NUMBER_FORMS[self.numbers]
        whole, _, fraction = number.lstrip("-").partition(".")
        if len(whole) > 3:
            whole = f"{whole[:-3]}{group}{whole[-3:]}"
        text = whole + (point + fraction if fraction else "")
        text = f"{sign}{text}" if text and sign and name != "Qty" else text
        if number.startswith("-"):
            return self.pick((f"-{text}", f"({text})", f"{text}-"))
        return text

    def _csv(self, rows: Sequence[dict[str, str]]) -> str:
        lines = [self.delimiter.join(self._quoted(row[name]) for name in COLUMNS) for row in rows]
        header = self.delimiter.join(COLUMNS)
        head = {
            "plain": [header],
            "columns": [],
            "begins": ["Sales of March", f"all{self.delimiter}shops", header],
            "sep": [f"sep={self.delimiter}", header],
        }[self.shape]
        if self.maybe(0.3):
            lines.insert(self.rnd.randint(0, len(lines)), self.delimiter * (len(COLUMNS) - 1))
        if self.maybe(0.2) and head:
            lines.insert(self.rnd.randint(0, len(lines)), header)
        end = self.pick(("\n", "\r\n"))
        return end.join([*head, *lines]) + (end if self.maybe(0.8) else "")

    def _quoted(self, cell: str) -> str:
        if not self.quoting:
            return cell
        if '"' not in cell and not self.maybe(0.2):
            return cell
        mark = '\\"' if self.quoting == "\\" else '""'
        return '"' + cell.replace('"', mark) + '"'

    def _json(self, rows: Sequence[dict[str, str]]) -> str:
        objects = [self._object(row) for row in rows]
        if self.has_items:
            for one in objects:
                count = self.pick(("0", "1", "1", "2"))
                some = [self._object(self._cells()) for _ in range(int(count))]
                names = ("Line", "SKU", "Kind", "Qty", "Unit", "Before", "Off", "Share", "Percent")
                of_line = (*names, "After")
                one["Lines"] = [{name: row[name] for name in of_line} for row in some]
                for name in of_line:
                    one.pop(name)
        if self.maybe():
            return json.dumps(objects)
        return "".join(json.dumps(one) + "\n" for one in objects)

    def _object(self, row: dict[str, str]) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, text in row.items():
            value: object = text
            if name in NUMBERS:
                value = None if text == "" else float(text) if "." in text else int(text)
            found[name] = value
        return found
