"""Dirt in sample data: faulty rows as in real exports, in known numbers at known places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np

from worker.sample.rows import Shop
from worker.sample.text import Ints, Rows, csv_header

Outcome = Literal["rejected", "nulled", "superseded", "orphan"]

# Kind of dirt -> what becomes of the row. A rejected row is never also superseded.
OUTCOMES: Mapping[str, Outcome] = {
    "missing_value": "rejected",
    "wrong_type": "rejected",
    "broken_rule": "rejected",
    "several_faults": "rejected",
    "too_few_columns": "rejected",
    "too_many_columns": "rejected",
    "undecodable": "rejected",
    "unread_value": "nulled",  # no KPI reads its column
    "duplicate": "superseded",
    "earlier_version": "superseded",
    "orphan_order": "orphan",
    "orphan_product": "orphan",
}
# Rows between a row and what supersedes it.
MAX_LAG_ROWS = 1000

NOTHING = (b"",)
BAD_TIMESTAMPS = (b"not-a-date", b"2025-13-45T00:00:00", b"2025-02-30 10:00:00")
BAD_PRICES = (b'"12,50"', b"abc")
NEGATIVE = (b"-9.99",)
BAD_UTF8 = (b"livr\xe9e", b"\xff\xfe")  # Latin-1 and half of UTF-16
AS_WHEN_NEW = {
    "status": (b"processing",),
    "shipped_at": NOTHING,
    "delivered_at": NOTHING,
    "returned_at": NOTHING,
}

Fields = Mapping[str, tuple[bytes, ...]]

# Kinds of dirt and what they write over a row's fields; variants take turns.
EDITS: Mapping[tuple[str, str], tuple[tuple[str, Fields], ...]] = {
    ("default", "orders"): (
        ("missing_value", {"order_id": NOTHING}),
        ("missing_value", {"created_at": NOTHING}),
        ("wrong_type", {"created_at": BAD_TIMESTAMPS}),
        ("unread_value", {"num_of_item": (b"two", b"2.5")}),
        ("unread_value", {"num_of_item": (b"-1",)}),
        ("several_faults", {"order_id": NOTHING, "created_at": BAD_TIMESTAMPS}),
        ("undecodable", {"status": BAD_UTF8}),
        ("earlier_version", AS_WHEN_NEW),
    ),
    ("default", "order_items"): (
        ("missing_value", {"order_id": NOTHING}),
        ("missing_value", {"sale_price": NOTHING}),
        ("unread_value", {"created_at": BAD_TIMESTAMPS}),
        ("wrong_type", {"sale_price": BAD_PRICES}),
        ("broken_rule", {"sale_price": NEGATIVE}),
        ("several_faults", {"created_at": BAD_TIMESTAMPS, "sale_price": NEGATIVE}),
        ("undecodable", {"status": BAD_UTF8}),
        ("earlier_version", AS_WHEN_NEW),
    ),
    ("default", "products"): (
        ("missing_value", {"id": NOTHING}),
        ("missing_value", {"category": NOTHING}),
        ("unread_value", {"retail_price": BAD_PRICES}),
        ("unread_value", {"retail_price": NEGATIVE}),
        ("unread_value", {"cost": BAD_PRICES, "retail_price": NEGATIVE}),
        ("unread_value", {"name": BAD_UTF8}),
        ("earlier_version", {"retail_price": (b"1.00",)}),
    ),
    ("olist", "orders"): (
        ("missing_value", {"order_id": NOTHING}),
        ("wrong_type", {"order_purchase_timestamp": BAD_TIMESTAMPS[:2]}),
        ("several_faults", {"order_id": NOTHING, "order_purchase_timestamp": BAD_TIMESTAMPS[:2]}),
        ("undecodable", {"order_status": BAD_UTF8}),
        ("earlier_version", {"order_status": (b"processing",)}),
    ),
    ("olist", "order_items"): (
        ("missing_value", {"order_id": NOTHING}),
        ("wrong_type", {"price": BAD_PRICES}),
        ("broken_rule", {"price": NEGATIVE}),
        ("several_faults", {"order_id": NOTHING, "price": NEGATIVE}),
        ("undecodable", {"product_id": BAD_UTF8}),
        ("earlier_version", {"price": (b"1.00",)}),
    ),
    ("olist", "products"): (
        ("missing_value", {"product_id": NOTHING}),
        ("undecodable", {"product_category_name": BAD_UTF8}),
        ("earlier_version", {"product_category_name": (b"clearance",)}),
    ),
}


class Dirt:
    """Makes a dataset's rows dirty; does nothing where the spec's `dirty` is 0."""

    def __init__(self, shop: Shop, dataset: str) -> None:
        self._shop = shop
        self._edits = _edits(shop, dataset)
        self._rows = shop.row_counts[dataset]
        faulty = sum(OUTCOMES[kind] in ("rejected", "nulled") for kind, _ in self._edits)
        wanted = round(shop.spec.dirty * self._rows * len(self._edits) / faulty)
        # However small the sample, each edit is in it once, as long as there are rows.
        self._marks = min(max(wanted, len(self._edits)), self._rows) if shop.spec.dirty else 0

    def apply(self, first: int, rows: Rows) -> tuple[Rows, Counter[str]]:
        """Make rows dirty.

        Args:
            first: Number of the first row in its dataset, counted without dirt.
            rows: Clean rows; they are changed in place.

        Returns:
            The rows with superseding rows inserted; kind of dirt -> rows of it.
        """
        kinds: Counter[str] = Counter()
        places: list[Ints] = []
        copies: list[Rows] = []
        marks, marked = self._spread(first, len(rows))
        for number, (kind, fields) in enumerate(self._edits):
            chosen = marks % len(self._edits) == number
            hit, turn = marked[chosen], marks[chosen] // len(self._edits)
            kinds[kind] += len(hit)
            if OUTCOMES[kind] == "superseded":
                places.append(np.minimum(hit + 1 + marks[chosen] * 37 % MAX_LAG_ROWS, len(rows)))
                copies.append(rows[hit])
            for name, variants in fields.items():
                rows[name][hit] = np.array(variants)[turn % len(variants)]
            if OUTCOMES[kind] == "orphan":
                # Numbers past the last one; each its own, or two items may get the same key.
                parent = kind.removeprefix("orphan_")
                strangers = self._shop.row_counts[f"{parent}s"] + turn
                rows[f"{parent}_id"][hit] = self._shop.id_texts(parent, strangers)
        if copies:
            rows = np.insert(rows, np.concatenate(places), np.concatenate(copies))
        return rows, +kinds

    def _spread(self, first: int, count: int) -> tuple[Ints, Ints]:
        """Find the marks that fall on a range of rows, and their rows (from 0).

        Mark m of M falls in the m-th of M strata of all rows, which are as equal as can be, at a
        place that a golden-ratio sequence gives.
        """
        if not self._marks:
            return np.arange(0), np.arange(0)
        low = max(first * self._marks // self._rows - 1, 0)
        high = min((first + count) * self._marks // self._rows + 2, self._marks)
        marks = np.arange(low, high)
        start = marks * self._rows // self._marks
        size = (marks + 1) * self._rows // self._marks - start
        rows = start + (marks * 0.6180339887498949 % 1 * size).astype(np.int64) - first
        here = (rows >= 0) & (rows < count)
        return marks[here], rows[here]


def _edits(shop: Shop, dataset: str) -> list[tuple[str, Fields]]:
    """List all edits of a dataset: the kinds above, and those that every dataset has."""
    names = csv_header(shop.no_rows(dataset)).decode().strip().split(",")
    edits: list[tuple[str, Fields]] = [
        *EDITS[shop.spec.layout, dataset],
        ("too_few_columns", {f",{names[-2]}": NOTHING, names[-1]: NOTHING}),
        ("too_many_columns", {f",{names[-1]}": (b",surplus\n",)}),
        ("duplicate", {}),
    ]
    # Where ids are strings, text is as good an id as any.
    if (shop.spec.layout, shop.spec.ids) == ("default", "integer"):
        column = {"orders": "user_id", "order_items": "product_id", "products": "id"}[dataset]
        edits.append(("wrong_type", {column: (b"n/a", b"12a")}))
    if dataset == "order_items":
        edits += [("orphan_order", {}), ("orphan_product", {})]
    return edits
