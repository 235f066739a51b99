"""Rows of sample data: orders, items and products of a made-up shop.

Nothing is drawn from a running random generator: every value is a hash of the seed, the column and
the row's number (counter-based, as in Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011). So a block of rows depends on no other block, and memory is one block at any size.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from worker.errors import ConfigError
from worker.sample.text import (
    MINUTE_TEXTS,
    TWO_DIGITS,
    Bits,
    Ints,
    Rows,
    Texts,
    csv_rows,
    digits,
    hex_quads,
    join,
    money,
)

DATASETS = ("orders", "order_items", "products")
BLOCK_ROWS = 16_384  # orders or products; about 5 MB of items, near the processor's caches

STATUSES = np.array([b"processing", b"shipped", b"delivered", b"returned", b"cancelled"])
PROCESSING, SHIPPED, DELIVERED, RETURNED, CANCELLED = range(5)
# Looked up with 10 random bits: 1,024 entries each.
STATUS_OF_DRAW = np.repeat(np.arange(5), [10, 20, 759, 215, 20])
SIZE_OF_DRAW = np.repeat(np.arange(1, 7), [307, 277, 205, 132, 62, 41])  # mean 2.5 items
# An order of the last day may be returned 9 days and an hour later (see `Shop._dates`).
TAIL_DAYS = 10

# Orders per hour of the day (UTC), per weekday from Monday, per month: only ratios matter.
HOUR_WEIGHTS = (9, 6, 4, 3, 2, 3, 6, 12, 20, 27, 31, 33, 34, 32, 31, 30, 31, 34, 39, 45, 48, 42, 29,
                16)  # fmt: skip
WEEKDAY_WEIGHTS = (105, 98, 96, 98, 104, 92, 107)
MONTH_WEIGHTS = (92, 88, 94, 95, 99, 97, 93, 91, 98, 104, 131, 128)

CATEGORIES = {
    "Beauty": "Personal Care", "Fragrance": "Personal Care", "Health": "Personal Care",
    "Books": "Media", "Films": "Media", "Music": "Media", "Magazines": "Media",
    "Clothing": "Fashion", "Jewellery": "Fashion", "Shoes": "Fashion", "Watches": "Fashion",
    "Bed & Bath": "Home", "Décor": "Home", "Furniture": "Home", "Garden": "Home",
    "Home & Kitchen": "Home", "Tools": "Home",
    "Camping": "Outdoors", "Cycling": "Outdoors", "Sports": "Outdoors",
    "Computers": "Tech", "Electronics": "Tech", "Phones": "Tech",
    "Baby": "Kids", "Games": "Kids", "Toys": "Kids",
}  # fmt: skip


def _words(words: str) -> Texts:
    return np.array([word.encode() for word in words.split("|")])


CATEGORY_TEXTS = _words("|".join(CATEGORIES))
DEPARTMENT_TEXTS = _words("|".join(CATEGORIES.values()))
CATEGORY_SLUGS = _words("|".join(CATEGORIES).lower().replace(" & ", "_").replace("é", "e"))
BRANDS = _words("Acme|Globex|Hooli|Initech|Soylent|Stark|Umbrella|Vandelay|Wayne|Wonka")
ADJECTIVES = _words("Classic|Compact|Down-sized|Durable|Everyday|Folding|Lightweight|Modern|Organic"
                    "|Portable|Quiet|Reversible|Robust|Seasonal|Smart|Stackable")  # fmt: skip
MATERIALS = _words("aluminium|bamboo|canvas|ceramic|cork|cotton|felt|glass|leather|linen|oak|paper"
                   "|rosé gold|steel|walnut|wool")  # fmt: skip
NOUNS = _words("basket|blanket|bottle|bracket|collection|cover|display|frame|holder|kit|lamp|mat"
               "|organiser|pouch|set|stand")  # fmt: skip
# One name in 16 has a comma or a quote, so is a quoted field with doubled quotes (RFC 4180).
QUOTED_SUFFIXES = _words(', set of 2| 24"" wide|, ""Signature"" series|, large')


@dataclass(frozen=True, kw_only=True)
class SampleSpec:
    """Parameters of a sample; the same spec gives the same bytes.

    Attributes:
        orders: Number of orders; each has 1 to 6 items, 2.5 on average.
        seed: Any integer.
        dirty: Fraction of each dataset's rows with a wrong value, 0 to 0.5. Duplicates,
            earlier versions and orphans come on top, as often as each kind of fault. It is
            exceeded in a small sample, as each kind comes once.
        days: Number of days, from `start`, on which orders are created.
        files: Files per dataset (fewer where a dataset has fewer rows).
        products: Number of products.
        start: Date of the first order.
        layout: "default" is the built-in contract, "olist" has the columns of Olist's public data.
        ids: "uuid" writes every id as a UUID unrelated to time. Olist's ids are 32 hex digits in
            either case.
        compression: "gz" and "zst" add their suffix to the files' names.

    Raises:
        ConfigError: Values are out of range; the message names all of them.
    """

    orders: int
    seed: int = 0
    dirty: float = 0.0
    days: int = 365
    files: int = 1
    products: int = 10_000
    start: date = date(2025, 1, 1)
    layout: Literal["default", "olist"] = "default"
    ids: Literal["integer", "uuid"] = "integer"
    compression: Literal["none", "gz", "zst"] = "none"

    def __post_init__(self) -> None:
        ranges = {
            "orders": (0, 10**9),
            "dirty": (0, 0.5),
            "days": (1, (date.max - self.start).days - TAIL_DAYS),
            "files": (1, 10_000),
            "products": (1, 10**8),
        }
        choices = {
            "layout": ("default", "olist"),
            "ids": ("integer", "uuid"),
            "compression": ("none", "gz", "zst"),
        }
        wrong = [
            f"{name} is {getattr(self, name)}, must be from {low} to {high}"
            for name, (low, high) in ranges.items()
            if not low <= getattr(self, name) <= high
        ] + [
            f"{name} is {getattr(self, name)!r}, must be one of {', '.join(known)}"
            for name, known in choices.items()
            if getattr(self, name) not in known
        ]
        if wrong:
            raise ConfigError("sample: " + "; ".join(wrong))


class _Orders(NamedTuple):
    """Columns that an order and its items share, one element per order."""

    numbers: Ints
    ids: Texts
    users: Texts
    statuses: Ints
    created_s: Ints  # since the start of the first day
    sizes: Ints


class Shop:
    """Makes the rows of a spec, numbered from 0 within their dataset."""

    def __init__(self, spec: SampleSpec) -> None:
        self.spec = spec
        blocks = ranges(spec.orders, BLOCK_ROWS)
        items = sum(int(self._sizes(np.arange(*block)).sum()) for block in blocks)
        self.row_counts = {"orders": spec.orders, "order_items": items, "products": spec.products}
        self.users = max(spec.orders // 3, 1)
        # Cumulative demand at the ends of the hours, from 0: the quantiles of `created_at`.
        days = [spec.start + timedelta(day) for day in range(spec.days + TAIL_DAYS)]
        weights = [WEEKDAY_WEIGHTS[d.weekday()] * MONTH_WEIGHTS[d.month - 1] for d in days]
        hours = np.outer(weights[: spec.days], HOUR_WEIGHTS).ravel()
        self.demand = np.concatenate([[0], np.cumsum(hours)])
        separator = "T" if spec.layout == "default" else " "
        self.day_texts = np.array([f"{day}{separator}".encode() for day in days])

    def blocks(self) -> Iterator[tuple[str, int, Rows]]:
        """Yield blocks of rows: dataset, number of the first row, rows."""
        for first, stop in ranges(self.spec.products, BLOCK_ROWS):
            yield "products", first, self._product_rows(np.arange(first, stop))
        first_item = 0
        for first, stop in ranges(self.spec.orders, BLOCK_ROWS):
            orders = self._orders(np.arange(first, stop))
            yield "orders", first, self._order_rows(orders)
            items = self._item_rows(orders, first_item)
            yield "order_items", first_item, items
            first_item += len(items)

    def no_rows(self, dataset: str) -> Rows:
        """Make a block of 0 rows, for its columns."""
        nothing = np.arange(0)
        if dataset == "products":
            return self._product_rows(nothing)
        orders = self._orders(nothing)
        return self._order_rows(orders) if dataset == "orders" else self._item_rows(orders, 0)

    def id_texts(self, kind: str, numbers: Ints) -> Texts:
        """Format the ids of the rows with these numbers, in the spec's style."""
        if self.spec.layout == "default" and self.spec.ids == "integer":
            return digits(numbers + 1)
        high = hex_quads(self._hash(f"{kind} id, high half", numbers))
        low = hex_quads(self._hash(f"{kind} id, low half", numbers))
        if self.spec.layout == "olist":
            return join(*high, *low)
        # Version 4 and variant 10, RFC 9562 section 5.4: the first digits of two groups.
        high[3] = join(b"4", high[3].astype("S3"))
        low[0] = join(b"a", low[0].astype("S3"))
        return join(high[0], high[1], b"-", high[2], b"-", high[3], b"-", low[0], b"-", *low[1:])

    def _hash(self, column: str, numbers: Ints) -> Bits:
        """Hash row numbers to 64 bits each from a keyed start.

        SplitMix64 (Steele et al., OOPSLA 2014).
        """
        key = hashlib.blake2b(f"{self.spec.seed} {column}".encode(), digest_size=8).digest()
        z = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(int.from_bytes(key, "little"))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z ^= z >> np.uint64(shift)
            z *= np.uint64(factor)
        z ^= z >> np.uint64(31)
        return z

    def _uniform(self, column: str, numbers: Ints) -> npt.NDArray[np.float64]:
        """Draw a float in [0, 1) per row."""
        return (self._hash(column, numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def _draws(self, column: str, numbers: Ints) -> list[npt.NDArray[np.uint16]]:
        """Draw 16 bits per row, four times independently."""
        bits = self._hash(column, numbers).astype("<u8", copy=False).view("<u2").reshape(-1, 4)
        return list(bits.T)

    def _sizes(self, orders: Ints) -> Ints:
        """Draw the number of items of each order."""
        return SIZE_OF_DRAW.take(self._draws("size", orders)[0] >> 6)

    def _orders(self, numbers: Ints) -> _Orders:
        # A few customers and products make much of the trade: ranks from powers of a uniform.
        uniform = self._uniform("user", numbers)
        users = _scatter(_scaled(uniform * np.sqrt(uniform), self.users), self.users)
        status, late, *_ = self._draws("status", numbers)
        place = (numbers + self._uniform("created_at", numbers)) / max(self.spec.orders, 1)
        end_s = 86_400 * self.spec.days - 1
        created_s = np.interp(
            place * self.demand[-1], self.demand, np.arange(len(self.demand)) * 3600.0
        ).astype(np.int64)
        return _Orders(
            numbers=numbers,
            ids=self.id_texts("order", numbers),
            users=self.id_texts("user", users),
            statuses=STATUS_OF_DRAW[status >> 6],
            # Baskets wait up to 15 minutes for payment, so ids are only roughly in time order.
            created_s=np.minimum(created_s + _below(late, 900), end_s),
            sizes=self._sizes(numbers),
        )

    def _order_rows(self, orders: _Orders) -> Rows:
        columns = {
            "order_id": orders.ids,
            "user_id": orders.users,
            "status": STATUSES[orders.statuses],
            "created_at": self._timestamps(orders.created_s),
        }
        if self.spec.layout == "olist":
            renamed = ("order_id", "customer_id", "order_status", "order_purchase_timestamp")
            return csv_rows(dict(zip(renamed, columns.values(), strict=True)))
        dates = self._dates("order dates", orders.numbers, orders.created_s, orders.statuses)
        for name in ("returned_at", "shipped_at", "delivered_at"):
            columns[name] = dates[name]
        return csv_rows(columns | {"num_of_item": digits(orders.sizes)})

    def _item_rows(self, orders: _Orders, first: int) -> Rows:
        order = np.repeat(np.arange(len(orders.numbers)), orders.sizes)
        place = np.arange(len(order)) - (np.cumsum(orders.sizes) - orders.sizes).take(order)
        numbers = first + np.arange(len(order))
        rank = _scaled(self._uniform("product", numbers) ** 3, self.spec.products)
        products = _scatter(rank, self.spec.products)
        part_return, late, discount, _ = self._draws("item", numbers)
        price = self._retail_cents(products) * (80 + _below(discount, 21)) // 100
        if self.spec.layout == "olist":
            return csv_rows(
                {
                    "order_id": orders.ids.take(order),
                    "order_item_id": digits(place + 1),
                    "product_id": self.id_texts("product", products),
                    "price": money(price),
                }
            )
        # The customer keeps one in five of a returned order's items, never the first.
        statuses = orders.statuses.take(order)
        kept = (statuses == RETURNED) & (place > 0) & (_below(part_return, 5) == 0)
        statuses = np.where(kept, DELIVERED, statuses)
        # Up to an hour after the order, so an item's own date is not always its order's.
        created_s = orders.created_s.take(order) + 60 * _below(late, 60)
        return csv_rows(
            {
                "id": self.id_texts("item", numbers),
                "order_id": orders.ids.take(order),
                "user_id": orders.users.take(order),
                "product_id": self.id_texts("product", products),
                "status": STATUSES[statuses],
                "created_at": self._timestamps(created_s),
                **self._dates("item dates", numbers, created_s, statuses),
                "sale_price": money(price),
            }
        )

    def _product_rows(self, numbers: Ints) -> Rows:
        category, suffix, share, _ = self._draws("category", numbers)
        kind = _below(category, len(CATEGORY_TEXTS))
        ids = self.id_texts("product", numbers)
        if self.spec.layout == "olist":
            return csv_rows({"product_id": ids, "product_category_name": CATEGORY_SLUGS[kind]})
        brand, adjective, material, noun = self._draws("name", numbers)
        quoted = suffix < 4096
        retail = self._retail_cents(numbers)
        return csv_rows(
            {
                "id": ids,
                "sku": join(b"SKU-", *hex_quads(self._hash("sku", numbers))[:2]),
                "cost": money(retail * (30 + _below(share, 41)) // 100),
                "category": CATEGORY_TEXTS[kind],
                "name": join(
                    np.where(quoted, b'"', b""),
                    ADJECTIVES[adjective % 16],
                    b" ",
                    MATERIALS[material % 16],
                    b" ",
                    NOUNS[noun % 16],
                    np.where(quoted, QUOTED_SUFFIXES[suffix % 4], b""),
                    np.where(quoted, b'"', b""),
                ),
                "brand": BRANDS[_below(brand, len(BRANDS))],
                "retail_price": money(retail),
                "department": DEPARTMENT_TEXTS[kind],
            }
        )

    def _retail_cents(self, products: Ints) -> Ints:
        return 500 + _scaled(self._uniform("retail_price", products) ** 2, 24_500)

    def _dates(
        self, column: str, numbers: Ints, created_s: Ints, statuses: Ints
    ) -> dict[str, Texts]:
        """Date shipping, delivery and return as far as the status implies, whole hours apart."""
        to_ship, to_deliver, to_return, _ = self._draws(column, numbers)
        shipped_s = created_s + 3600 * (2 + _below(to_ship, 23))
        delivered_s = shipped_s + 3600 * (6 + _below(to_deliver, 67))
        returned_s = delivered_s + 3600 * (24 + _below(to_return, 97))
        gone = (statuses >= SHIPPED) & (statuses <= RETURNED)
        return {
            "shipped_at": self._timestamps(shipped_s, gone),
            "delivered_at": self._timestamps(delivered_s, gone & (statuses >= DELIVERED)),
            "returned_at": self._timestamps(returned_s, statuses == RETURNED),
        }

    def _timestamps(self, seconds: Ints, known: npt.NDArray[np.bool_] | None = None) -> Texts:
        """Format seconds since the start of the first day as ISO 8601; empty where not known."""
        minutes = seconds // 60
        days = minutes // 1440
        texts = join(
            self.day_texts.take(days),
            MINUTE_TEXTS.take(minutes - 1440 * days),
            TWO_DIGITS.take(seconds - 60 * minutes),
        )
        if known is not None:
            texts[~known] = b""
        return texts


def _scaled(uniform: npt.NDArray[np.float64], count: int) -> Ints:
    """Scale floats in [0, 1) to integers from 0 to count - 1."""
    return (uniform * count).astype(np.int64)


def _below(draws: npt.NDArray[np.uint16], count: int) -> Ints:
    """Scale 16 random bits each to integers from 0 to count - 1."""
    return (draws.astype(np.int64) * count) >> 16


def _scatter(ranks: Ints, count: int) -> Ints:
    """Permute 0 to count - 1, so that rank says nothing about number."""
    step = int(count * 0.618) | 1
    while math.gcd(step, count) != 1:
        step += 2
    return (ranks * step + step) % max(count, 1)


def ranges(stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield (0, step), (step, 2 step) and so on up to stop."""
    return ((first, min(first + step, stop)) for first in range(0, stop, step))
