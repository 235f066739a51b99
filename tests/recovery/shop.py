"""A small shop whose files have dirt, a refusal and an update, in both contract languages."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PRODUCTS = "id,category"
ORDERS = "order_id,user_id,status,created_at"
ORDER_ITEMS = "id,order_id,product_id,status,sale_price"


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A shop.

    Attributes:
        first: Key -> content of its first files.
        later: The same of those that come later.
        orders: Key of the later orders.
        contract: Its contract; None for the built-in one of language 1.
    """

    first: Mapping[str, bytes]
    later: Mapping[str, bytes]
    orders: str
    contract: str | None = None


_DIRT = ("?", "", "returned", "never", "much")


def first_files() -> dict[str, bytes]:
    """Return key -> content. One file is refused; the others have a few rejects."""
    statuses = ("delivered", "returned", "shipped")
    orders = [
        (str(one), str(one % 5), statuses[one % 3], f"2025-03-{1 + one % 3:02d}T10:00:00")
        for one in range(18)
    ]
    items = [
        # Products above 3 are never described; orders from 18 on come later, or never.
        (str(one), str(one % 21), str(one % 5), "delivered", f"{one}.{one % 100:02d}")
        for one in range(30)
    ]
    return {
        "products/1.csv": csv_of(PRODUCTS, [(str(one), f"kind {one % 2}") for one in range(4)]),
        "orders/1.csv": csv_of(ORDERS, [*orders, _DIRT]),
        "orders/refused.csv": csv_of(ORDERS, [orders[0], _DIRT, _DIRT]),
        "order_items/1.csv": csv_of(ORDER_ITEMS, [*items[:20], _DIRT, *items[20:]]),
    }


def later_files() -> dict[str, bytes]:
    """Return orders that change their day, customer or status, and one that items wait for."""
    return {
        "orders/2.csv": csv_of(
            ORDERS,
            [
                # The last order of 2025-03-02 but for these moves to the next day.
                *((str(one), "9", "returned", "2025-03-03T09:00:00") for one in (1, 4, 7)),
                ("18", "2", "delivered", "2025-03-04T09:00:00"),
            ],
        )
    }


def write_files(folder: Path, files: Mapping[str, bytes], *, second: int) -> None:
    """Write files below `folder`, with upload times in seconds after the first."""
    for number, (key, data) in enumerate(files.items()):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        time_ns = (1_740_000_000 + second + number) * 10**9
        os.utime(path, ns=(time_ns, time_ns))


def csv_of(header: str, rows: Sequence[tuple[str, ...]]) -> bytes:
    """Return a file of rows, each as long as its header."""
    names = header.split(",")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(row[: len(names)] for row in rows)
    return text.getvalue().encode()


LANGUAGE_1 = Shop(first=first_files(), later=later_files(), orders="orders/2.csv")
