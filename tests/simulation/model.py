"""The KPIs in plain Python, row by row: what any history has to end with.

It shares no code with ours; `tests/simulation/test_model.py` holds it against DuckDB.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby

Record = tuple[str, ...]
Row = dict[str, object]
Tables = dict[str, dict[str, list[Row]]]
"""Table -> ISO date -> rows, ascending by group."""

HEADERS: Mapping[str, Record] = {
    "orders": ("order_id", "user_id", "status", "created_at"),
    "order_items": ("id", "order_id", "product_id", "status", "sale_price"),
    "products": ("id", "category"),
}
BROKEN: Mapping[str, Record] = {
    "orders": ("1", "1", "delivered", "yesterday"),
    "order_items": ("1", "1", "1", "", "much"),
    "products": ("1", ""),
}
"""Of each dataset, the one row that breaks the contract."""

MENDED: Mapping[str, Record] = {
    "orders": ("1", "1", "delivered", "2025-03-01T00:00:00"),
    "order_items": ("1", "1", "1", "", "5.00"),
    "products": ("1", "Toys"),
}
"""What a repair makes of it."""

MAX_REJECT_RATE = Decimal("0.5")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One version of one file.

    Attributes:
        key: `<dataset>/<name>.csv`.
        second: When it was uploaded.
        records: Its rows.
        is_repaired: Whether its broken rows were repaired.
    """

    key: str
    second: int
    records: tuple[Record, ...]
    is_repaired: bool = False

    @property
    def dataset(self) -> str:
        return self.key.split("/")[0]

    @property
    def clean(self) -> list[Record]:
        """The rows that keep to the contract."""
        broken, mended = BROKEN[self.dataset], MENDED[self.dataset]
        if self.is_repaired:
            return [mended if record == broken else record for record in self.records]
        return [record for record in self.records if record != broken]

    @property
    def accepted(self) -> bool:
        broken = len(self.records) - len(self.clean)
        return broken <= MAX_REJECT_RATE * len(self.records)

    @property
    def text(self) -> bytes:
        records = [HEADERS[self.dataset], *self.records]
        if self.dataset == "orders":
            promises = ["num_of_item", *map(promise_of, self.records)]
            records = [(*one, promise) for one, promise in zip(records, promises, strict=True)]
        return "".join(f"{','.join(record)}\n" for record in records).encode()


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """A customer whose rows are deleted, whenever they come.

    Attributes:
        customer: The id.
        orders: Those of the customer alone when it was decided.
    """

    customer: str
    orders: frozenset[str]


def delete_customer(
    customer: str, uploads: Iterable[Upload], earlier: Sequence[Deletion]
) -> Deletion:
    """What is deleted with a customer, by the uploads that have come so far."""
    rows = [
        row
        for upload in uploads
        if upload.dataset == "orders" and upload.accepted
        for row in after_deletions(upload, earlier).records
    ]
    others = {row[0] for row in rows if row[1] != customer}
    own = {row[0] for row in rows if row[1] == customer}
    return Deletion(customer=customer, orders=frozenset(own - others))


def after_deletions(upload: Upload, deletions: Iterable[Deletion]) -> Upload:
    """An accepted upload with those of its clean rows that are left."""
    rows = upload.clean
    for one in deletions:
        if upload.dataset == "orders":
            rows = [row for row in rows if row[1] != one.customer and row[0] not in one.orders]
        elif upload.dataset == "order_items":
            rows = [row for row in rows if row[1] not in one.orders]
    return replace(upload, records=tuple(rows))


def version_order(upload: Upload) -> tuple[int, int, str]:
    """Earlier versions first: by upload, then by the number or else the text of the name."""
    stem = upload.key.split("/")[1].removesuffix(".csv")
    return upload.second, int(stem) if stem.isdigit() else -1, stem


def counted(
    uploads: Mapping[str, Upload], rulings: Iterable[tuple[str, bool]], *, whole: bool
) -> list[Upload]:
    """The uploads that count.

    Args:
        uploads: Source id -> upload, of all that were committed.
        rulings: Source ids, and whether each counts from then on, as they were ruled.
        whole: Whether a later file replaces the earlier one of its name whole.
    """
    said = list(rulings)
    by_key: dict[str, list[str]] = defaultdict(list)
    for source_id, upload in sorted(uploads.items(), key=lambda one: one[1].second):
        if upload.accepted:
            by_key[upload.key].append(source_id)
    found: list[Upload] = []
    for versions in by_key.values():
        groups = [list(ids) for _, ids in groupby(versions, lambda one: uploads[one].text)]
        left: list[Upload] = []
        for ids in groups:
            verdicts = [counts for source_id, counts in said if source_id in ids]
            if not verdicts or verdicts[-1]:
                left += [uploads[one] for one in ids]
        firsts = [next(equal) for _, equal in groupby(left, lambda one: one.text)]
        found += firsts[-1:] if whole else firsts
    return found


VERSIONS = {"orders": 1, "order_items": 2}
"""Columns whose greater value is the later row, by a contract that says so: user and product."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a contract says of the rows.

    Attributes:
        hours: Days begin so long before those of UTC.
        whole: Whether a later file replaces the earlier one of its name whole.
        by_version: Whether a column says which row of a key is the later one.
        language_2: Whether lines have no status of their own, and days some more attributes.
        looked_up: Whether an order without status is gone, an order's lines are those of its latest
            file, a later file of lines replaces that of its name, and a line waits for its product.
    """

    hours: int = 0
    whole: bool = False
    by_version: bool = False
    language_2: bool = False
    looked_up: bool = False


def latest(
    uploads: Iterable[Upload], dataset: str, *, by_version: bool = False
) -> dict[str, Record]:
    """The latest version of each key."""
    column = VERSIONS.get(dataset) if by_version else None
    found: dict[str, Record] = {}
    for upload in sorted(uploads, key=version_order):
        if upload.dataset == dataset and upload.accepted:
            for record in upload.clean:
                known = found.get(record[0])
                if column is None or not known or int(known[column]) <= int(record[column]):
                    found[record[0]] = record
    return found


def latest_lines(uploads: Iterable[Upload]) -> list[Record]:
    """The lines of each order in the latest file that has some.

    A file that a later one of its name replaced has lines at that one's time, and shows none.
    """
    files = [one for one in sorted(uploads, key=version_order) if one.dataset == "order_items"]
    places: list[tuple[int, Upload]] = []
    for place, file in enumerate(files):
        later = (at for at in range(place + 1, len(files)) if files[at].key == file.key)
        places.append((next(later, place), file))
    newest = {record[1]: 0 for _, file in places for record in file.clean}
    for place, file in places:
        for record in file.clean:
            newest[record[1]] = max(newest[record[1]], place)
    return [
        record
        for place, (at, file) in enumerate(places)
        if at == place
        for record in file.clean
        if newest[record[1]] == place
    ]


@dataclass(frozen=True)
class LatestRows:
    """Rows that count, of lines also those that wait."""

    orders: dict[str, Record]
    items: list[Record]
    products: dict[str, Record]
    waiting: list[Record]


def latest_rows(uploads: Iterable[Upload], meaning: Meaning) -> LatestRows:
    """The rows that count."""
    uploads = list(uploads)
    known = latest(uploads, "orders", by_version=meaning.by_version)
    products = latest(uploads, "products")
    if not meaning.looked_up:
        items = [*latest(uploads, "order_items", by_version=meaning.by_version).values()]
        waiting = [one for one in items if one[1] not in known]
        return LatestRows(known, items, products, waiting)
    items = latest_lines(uploads)
    orders = {key: order for key, order in known.items() if order[2]}
    gone = known.keys() - orders.keys()
    waiting = [
        one
        for one in items
        if one[1] not in known or (one[1] not in gone and one[2] not in products)
    ]
    return LatestRows(orders, items, products, waiting)


def waiting(uploads: Iterable[Upload], meaning: Meaning | None = None) -> int:
    """Items whose order, or whose product, has not arrived."""
    return len(latest_rows(uploads, meaning or Meaning()).waiting)


def day_of(created_at: str, hours: int) -> str:
    """The day of an instant in UTC, in a zone that is ahead by some hours."""
    instant = datetime.fromisoformat(created_at) + timedelta(hours=hours)
    return instant.date().isoformat()


def kpis(uploads: Iterable[Upload], meaning: Meaning | None = None) -> Tables:
    """The KPI rows of some uploads that count."""
    meaning = meaning or Meaning()
    rows = latest_rows(uploads, meaning)
    orders, products = rows.orders, rows.products
    by_day: dict[str, list[Record]] = defaultdict(list)
    for order in orders.values():
        by_day[day_of(order[3], meaning.hours)].append(order)
    by_category: dict[tuple[str, str], list[Record]] = defaultdict(list)
    by_product: dict[tuple[str, str], list[Record]] = defaultdict(list)
    sold: dict[str, list[Record]] = defaultdict(list)
    for item in rows.items:
        if item[1] in orders and item not in rows.waiting:
            day = day_of(orders[item[1]][3], meaning.hours)
            product = products.get(item[2])
            sold[day].append(item)
            by_product[day, item[2]].append(item)
            by_category[day, product[1] if product else "(unknown)"].append(item)

    def came_back(item: Record) -> bool:
        own = "" if meaning.language_2 else item[3]
        return is_returned(own or orders[item[1]][2])

    tables: Tables = {"order_kpis": {}, "category_kpis": {}, "product_kpis": {}}
    for day, of_day in by_day.items():
        tables["order_kpis"][day] = [
            {
                "order_date": day,
                "total_orders": len(of_day),
                "total_revenue": revenue(sold[day]),
                "total_items_sold": len(sold[day]),
                "return_rate": ratio(sum(is_returned(one[2]) for one in of_day), len(of_day)),
                "unique_customers": len({one[1] for one in of_day}),
                **(
                    {
                        "avg_order_value": ratio(revenue(sold[day]), len(of_day), "0.01"),
                        "anonymous_orders": 0,
                    }
                    if meaning.language_2
                    else {}
                ),
                **completeness(of_day, sold[day], has_promises=not meaning.language_2),
            }
        ]
    for (day, category), items in sorted(by_category.items()):
        with_return = {item[1] for item in items if came_back(item)}
        count = len({item[1] for item in items})
        tables["category_kpis"].setdefault(day, []).append(
            {
                "order_date": day,
                "category": category,
                "daily_revenue": revenue(items),
                "avg_order_value": ratio(revenue(items), count, "0.01"),
                "avg_return_rate": ratio(len(with_return), count),
            }
        )
    for (day, product_id), items in sorted(by_product.items()):
        with_return = {item[1] for item in items if came_back(item)}
        count = len({item[1] for item in items})
        tables["product_kpis"].setdefault(day, []).append(
            {
                "order_date": day,
                "product_id": product_id,
                "units_sold": len(items),
                "revenue": revenue(items),
                "orders": count,
                "return_rate": ratio(len(with_return), count),
            }
        )
    return tables


def promise_of(order: Record) -> str:
    """The items that an order says to have; it changes with the customer."""
    return ("", "0", "1", "3")[(int(order[0]) + 2 * int(order[1])) % 4]


def completeness(orders: list[Record], items: list[Record], *, has_promises: bool) -> Row:
    """What of a day has come."""
    arrived = Counter(item[1] for item in items)
    promised = {
        order[0]: int(promise)
        for order in orders
        if has_promises and (promise := promise_of(order))
    }
    row: Row = {
        "orders_without_promise": len(orders) - len(promised),
        "orders_without_items": sum(not arrived[order[0]] for order in orders),
    }
    if promised:
        row["items_expected"] = sum(promised.values())
        row["items_missing"] = sum(
            max(count - arrived[order_id], 0) for order_id, count in promised.items()
        )
    return row


def is_returned(status: str) -> bool:
    return status.lower() == "returned"


def revenue(items: Iterable[Record]) -> Decimal:
    return sum((Decimal(item[4]) for item in items), Decimal())


def ratio(part: int | Decimal, whole: int, places: str = "0.0001") -> Decimal:
    return (Decimal(part) / whole).quantize(Decimal(places), ROUND_HALF_EVEN)
