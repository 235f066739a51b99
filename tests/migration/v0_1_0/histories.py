"""Histories of small shops: which files were uploaded when, and which commands ran then.

Every value is computed from row numbers, so that the bytes are the same each time.
"""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

FIRST_UPLOAD = datetime(2025, 4, 1, 6, 30, tzinfo=UTC)
SHOP = "{shop}"
"""Placeholder in commands: the folder or URL that the files are uploaded to."""

ALL_TABLES = "order,category,product"
CATEGORIES = ("Beauty", "Décor", "Home & Kitchen", "Books")
STATUSES = ("delivered", "shipped", "processing", "Returned")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line of shopkpi, and the exit code it has to end with."""

    arguments: tuple[str, ...]
    contract: str
    code: int = 0

    def to_json(self) -> dict[str, Any]:
        return {"arguments": self.arguments, "contract": self.contract, "exit_code": self.code}


@dataclass(frozen=True, kw_only=True)
class Step:
    """Uploads, then commands.

    Attributes:
        files: `<dataset>/<name>` -> bytes.
        commands: Run in this order once the files are there.
        split_bytes: File -> size of the byte ranges that it is validated in, before the commands.
    """

    files: Mapping[str, bytes]
    commands: Sequence[Command]
    split_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class History:
    """All that happened to one workspace.

    Attributes:
        contract: Built-in contract of the shop.
        tables: KPI tables that were ever published, as `--kpis` takes them.
        steps: One day apart.
    """

    contract: str
    tables: str
    steps: Sequence[Step]

    @staticmethod
    def uploaded_at(step: int, file: int) -> datetime:
        """Time of an upload: a day for each step, a minute for each file."""
        return FIRST_UPLOAD + timedelta(days=step, minutes=file)


class Ids:
    """Ids in the form that a contract expects, from numbers."""

    def __init__(self, contract: str) -> None:
        self._form = {"default": _integer, "string-ids": _text, "uuid-ids": _uuid}[contract]

    def __call__(self, kind: str, number: int) -> str:
        return self._form(kind, number)


def _integer(kind: str, number: int) -> str:
    return str(number if kind == "product" else 1000 + number)


def _text(kind: str, number: int) -> str:
    if kind == "product":  # differ by case, by leading zeros, by letters outside of ASCII
        return ("sku-a", "sku-A", "007", "0007", "größe-42")[number % 5] + f"/{number // 5}"
    return f"{kind[0].upper()}{number:05d}"


def _uuid(kind: str, number: int) -> str:
    text = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{number}"))
    return text.upper() if number % 3 == 0 else text


ORDER_COLUMNS = "order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item"
ITEM_COLUMNS = (
    "id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,returned_at,"
    "sale_price"
)
PRODUCT_COLUMNS = "id,sku,cost,category,name,brand,retail_price,department"


@dataclass(frozen=True)
class Rows:
    """Lines of CSV for one contract's ids."""

    ids: Ids

    def order(self, number: int, *, day: int | None = None, status: str | None = None) -> str:
        """An order; ten come on each day, the day's number counts from 1 March 2025."""
        moment = datetime(2025, 3, 1, number % 24, number % 60, tzinfo=UTC)
        moment += timedelta(days=number // 10 if day is None else day)
        status = STATUSES[number * 7 % 4] if status is None else status
        returned = (moment + timedelta(days=5)).isoformat() if status == "Returned" else ""
        user = self.ids("user", number * 5 % 17)
        return (
            f"{self.ids('order', number)},{user},{status},{moment:%Y-%m-%dT%H:%M:%S},{returned},,,2"
        )

    def item(self, number: int, *, price: str | None = None, status: str | None = None) -> str:
        """An item; number // 2 is its order. Product 13 is in no catalogue."""
        order = number // 2
        price = f"{number * 37 % 200}.{number * 13 % 100:02d}" if price is None else price
        status = STATUSES[order * 7 % 4] if status is None else status
        return (
            f"{self.ids('item', number)},{self.ids('order', order)},,"
            f"{self.ids('product', 1 + number * 3 % 13)},{status},,,,,{price}"
        )

    def product(self, number: int, *, category: str | None = None) -> str:
        category = CATEGORIES[number % 4] if category is None else category
        return (
            f'{self.ids("product", number)},SKU{number},{number}.50,{category},"Thing, {number}",'
            f"Brand {number % 3},{number * 3}.99,all"
        )


def csv(columns: str, rows: Iterable[str | bytes]) -> bytes:
    lines = [row.encode() if isinstance(row, str) else row for row in (columns, *rows)]
    return b"\n".join(lines) + b"\n"


def histories() -> dict[str, History]:
    """Name -> history."""
    return {
        "default": _shop("default", late=ALL_TABLES, ranges=1500),
        "string-ids": _shop("string-ids", ranges=1500, pending=True),
        # One range a row: DynamoDB holds the entry compressed, as its JSON is above 16 KiB.
        "uuid-ids": _shop("uuid-ids", early=ALL_TABLES, late=ALL_TABLES, ranges=1),
        "slips": _slips(),
        "spoilt": _spoilt(),
    }


def _validate(contract: str, files: Iterable[str], *options: str) -> list[Command]:
    """One command for each file: the files of one command are committed in any order."""
    return [
        Command(arguments=("validate", f"{SHOP}/{name}", *options), contract=contract)
        for name in files
    ]


def _run(contract: str, tables: str | None, code: int = 0) -> Command:
    options = ("--kpis", tables) if tables else ()
    return Command(arguments=("run", SHOP, *options), contract=contract, code=code)


def _shop(
    contract: str,
    *,
    early: str | None = None,
    late: str | None = None,
    ranges: int,
    pending: bool = False,
) -> History:
    """Three days of a shop.

    Args:
        contract: Name of a built-in contract.
        early: `--kpis` of the first two days; None for the default.
        late: `--kpis` of the third day.
        ranges: Bytes of a range of `order_items/late.csv`.
        pending: Whether a fourth day's file was validated but not transformed.
    """
    rows = Rows(Ids(contract))
    first, second, third = _day_1(rows), _day_2(rows), _day_3(rows)
    whole = [name for name in third if name != "order_items/late.csv"]
    steps = [
        Step(files=first, commands=[*_validate(contract, first), _run(contract, early)]),
        Step(
            files=second,
            commands=[*_validate(contract, second, "--sha256"), _run(contract, early)],
        ),
        Step(
            files=third,
            split_bytes={"order_items/late.csv": ranges},
            commands=[*_validate(contract, whole), _run(contract, late)],
        ),
    ]
    if pending:
        files = {
            "order_items/pending.csv": csv(
                ITEM_COLUMNS, [rows.item(n, price="1000.01") for n in range(68, 90)]
            )
        }
        steps.append(Step(files=files, commands=_validate(contract, files)))
    return History(contract=contract, tables=late or "order,category", steps=steps)


def _day_1(rows: Rows) -> dict[str, bytes]:
    """Items of orders 34 to 37 come before their orders; rejects of many reasons."""
    ids = rows.ids
    moment = "2025-03-01T10:00:00"
    bad_orders: list[str | bytes] = [
        f"{ids('order', 900)},{ids('user', 1)},shipped,,,,,1",  # missing value
        f",{ids('user', 1)},shipped,2025-02-30 10:00:00,,,,1",  # missing value and wrong type
        f"{ids('order', 901)},{ids('user', 1)},livr\u00e9,{moment},,,,1".encode("latin-1"),
    ]
    item = f"{ids('item', 900)},{ids('order', 3)},,{ids('product', 1)}"
    bad_items = [
        f"{item},shipped,,,,,",  # missing value
        f"{item},shipped,yesterday,,,,abc",  # wrong type, twice
        f"{item},shipped,,,,,-9.99",  # out of range
        f"{item},{'long' * 70},,,,,9.99",  # too long
        f"{item},shipped,,,,",  # wrong number of columns
        f'{item},"ship"ped,,,,,9.99',  # malformed quotes
    ]
    items = [rows.item(n) for n in range(2, 76)]
    items.insert(20, rows.item(6, price="3.33"))  # item 6 again: the later row wins
    return {
        "products/catalog.csv": csv(
            PRODUCT_COLUMNS,
            [*map(rows.product, range(1, 13)), f"{ids('product', 99)},,1.00,,nothing,,1.00,"],
        ),
        "orders/week1.csv": csv(
            ORDER_COLUMNS,
            # Order 33 is the only one of its day, until it moves to another.
            [*map(rows.order, range(1, 33)), rows.order(33, day=20), *bad_orders],
        ),
        "order_items/week1.csv": csv(ITEM_COLUMNS, [*items[:40], *bad_items, *items[40:]]),
    }


def _day_2(rows: Rows) -> dict[str, bytes]:
    """Updates, orders that were waited for (not 37), items that wait, two refused files."""
    orders = [rows.order(n) for n in (*range(34, 37), *range(38, 60))]
    updates = [rows.order(3, status="Returned"), rows.order(33, day=4)]
    bad = csv(ITEM_COLUMNS, [rows.item(n, price="?") if n % 2 else rows.item(n) for n in range(8)])
    return {
        "orders/week2.csv.gz": gzip.compress(csv(ORDER_COLUMNS, [*updates, *orders]), mtime=0),
        "orders/other-till.csv": csv(
            ORDER_COLUMNS.replace(",", ";"), [rows.order(70).replace(",", ";")]
        ),
        "order_items/half-bad.csv": bad,
        "order_items/week2.csv": csv(ITEM_COLUMNS, map(rows.item, range(76, 124))),
    }


def _day_3(rows: Rows) -> dict[str, bytes]:
    """The first orders file delivered again with corrections, products that change category."""
    corrected = [
        rows.order(n, status="Returned") if n % 6 == 0 else rows.order(n) for n in range(1, 32)
    ]
    products = [f"{rows.product(n, category='Garden')},green" for n in (2, 3, 5)]
    late = [
        rows.item(n, status="Returned" if n % 8 < 3 else "delivered", price=f"{n}.00")
        for n in range(10, 62)
    ]
    late.insert(5, f"{rows.ids('item', 902)},,,{rows.ids('product', 1)},shipped,,,,,1.00")
    return {
        "products/catalog-2.csv": csv(f"{PRODUCT_COLUMNS},colour", products),
        "orders/week1.csv": csv(ORDER_COLUMNS, corrected),
        "order_items/late.csv": csv(ITEM_COLUMNS, late),
    }


def _slips() -> History:
    """Mistakes that 0.1.0 lets pass: a forgotten KPI table, the bytes of an old file again."""
    rows = Rows(Ids("default"))
    monday = {
        "products/catalog.csv": csv(PRODUCT_COLUMNS, map(rows.product, range(1, 13))),
        "orders/monday.csv": csv(ORDER_COLUMNS, map(rows.order, range(1, 30))),
        "order_items/monday.csv": csv(ITEM_COLUMNS, map(rows.item, range(2, 60))),
    }
    moved = [rows.order(n, day=2, status="Returned") for n in (1, 2, 3, 4, 11, 12)]
    tuesday = {"orders/tuesday.csv": csv(ORDER_COLUMNS, moved[:4])}
    wednesday = {"orders/monday.csv": monday["orders/monday.csv"]}
    thursday = {"orders/thursday.csv": csv(ORDER_COLUMNS, moved[4:])}
    return History(
        contract="default",
        tables=ALL_TABLES,
        steps=[
            Step(
                files=monday,
                commands=[*_validate("default", monday), _run("default", ALL_TABLES)],
            ),
            Step(files=tuesday, commands=[_run("default", None)]),
            Step(files=wednesday, commands=[_run("default", None)]),  # undoes the correction
            Step(files=thursday, commands=[_run("default", None)]),  # product_kpis stays behind
        ],
    )


def _spoilt() -> History:
    """One run with the wrong contract: 0.1.0 can never transform this workspace again."""
    rows = Rows(Ids("default"))
    monday = {
        "products/catalog.csv": csv(PRODUCT_COLUMNS, map(rows.product, range(1, 13))),
        "orders/monday.csv": csv(ORDER_COLUMNS, map(rows.order, range(1, 30))),
        "order_items/monday.csv": csv(ITEM_COLUMNS, map(rows.item, range(2, 60))),
    }
    tuesday = {"orders/tuesday.csv": csv(ORDER_COLUMNS, map(rows.order, (1, 2)))}
    wednesday = {"orders/wednesday.csv": csv(ORDER_COLUMNS, map(rows.order, range(1, 5)))}
    return History(
        contract="default",
        tables="order,category",
        steps=[
            Step(files=monday, commands=[*_validate("default", monday), _run("default", None)]),
            Step(files=tuesday, commands=[_run("string-ids", None, code=2)]),
            Step(
                files=wednesday,
                commands=[
                    _run("default", None, code=2),
                    Command(arguments=("transform", "--all"), contract="default", code=2),
                ],
            ),
        ],
    )
