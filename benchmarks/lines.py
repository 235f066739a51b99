"""One file of order lines, in several formats, and the contract that reads each."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

CATEGORIES = ("Tea", "Cups", "Käse", "Bücher", "Spiele", "Toys", "Outdoor", "Garden")

CONTRACT = """\
language = 2
name = "lines"
day = "as written"
currency = "EUR"

[[files]]
match = "lines*"
feeds = {feeds}
{words}
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = "Customer"
"""

ITEMS = """\
[order_items]
key = "id"
[order_items.columns]
id = "Line"
order_id = "Order"
product_id = "SKU"
category = "Group"
quantity = "Qty"
after_discount = "Total"
"""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A way to write the file.

    Attributes:
        name: Of the form.
        ending: Of the file's name.
        words: Of `[[files]]`, for the contract.
        write: Writes the table.
    """

    name: str
    ending: str
    words: str
    write: Callable[[pa.Table, Path], None]


def _csv(table: pa.Table, path: Path) -> None:
    pa_csv.write_csv(table, path, pa_csv.WriteOptions(quoting_style="needed"))


def _text(encoding: str, *, comma: bool = False) -> Callable[[pa.Table, Path], None]:
    def write(table: pa.Table, path: Path) -> None:
        delimiter = ";" if comma else ","
        if comma:
            prices = pc.replace_substring(table["Total"].cast(pa.string()), ".", ",")
            at = table.schema.get_field_index("Total")
            table = table.set_column(at, "Total", prices)
        plain = path.with_suffix(".plain")
        pa_csv.write_csv(
            table, plain, pa_csv.WriteOptions(quoting_style="needed", delimiter=delimiter)
        )
        path.write_bytes(plain.read_text("utf-8").encode(encoding))
        plain.unlink()

    return write


def _json_lines(table: pa.Table, path: Path) -> None:
    import orjson  # noqa: PLC0415  (only here)

    with path.open("wb") as file:
        for batch in table.to_batches(50_000):
            for row in batch.to_pylist():
                row["Total"] = float(row["Total"])
                file.write(orjson.dumps(row) + b"\n")


def _parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


FORMS = (
    Form(name="CSV", ending="csv", words="", write=_csv),
    Form(name="cp1252", ending="csv", words='encoding = "cp1252"', write=_text("cp1252")),
    Form(name="UTF-16", ending="csv", words="", write=_text("utf-16")),
    Form(
        name="decimal comma",
        ending="csv",
        words='numbers = "1234,50"',
        write=_text("utf-8", comma=True),
    ),
    Form(name="JSON Lines", ending="jsonl", words="", write=_json_lines),
    Form(name="Parquet", ending="parquet", words="", write=_parquet),
)


def make_lines(orders: int) -> pa.Table:
    """Make the lines of some orders, of a year, in the order of their numbers."""
    draw = random.Random(27)  # noqa: S311  (sample data)
    start = datetime(2024, 1, 1)
    columns: dict[str, list[object]] = {
        name: [] for name in ("Order", "Date", "Customer", "Line", "SKU", "Group", "Qty")
    }
    cents: list[int] = []
    for order in range(1, orders + 1):
        placed = start + timedelta(seconds=order * 365 * 86_400 // (orders + 1))
        customer = draw.randrange(1, orders // 3 + 2)
        for _ in range(draw.choices((1, 2, 3, 5), (2, 4, 3, 2))[0]):
            product = draw.randrange(1, 5_000)
            row = (order, placed, customer, len(cents) + 1, f"SKU-{product}")
            for name, value in zip(columns, row, strict=False):
                columns[name].append(value)
            columns["Group"].append(CATEGORIES[product % len(CATEGORIES)])
            columns["Qty"].append(draw.choices((1, 2, 3), (8, 2, 1))[0])
            cents.append(draw.randrange(100, 20_000))
    table = pa.table({**columns, "Date": pa.array(columns["Date"], pa.timestamp("s"))})
    money = pa.array([f"{cent // 100}.{cent % 100:02d}" for cent in cents])
    return table.append_column("Total", money.cast(pa.decimal128(12, 2)))


def lines_file(scratch: Path, form: Form, orders: int) -> Path:
    """Write the file in a form, unless the scratch folder has it from an earlier run."""
    folder = scratch / "data" / f"lines-{orders}" / form.name.replace(" ", "-")
    path = folder / f"lines.{form.ending}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        begun = path.with_name(f"begun.{form.ending}")
        form.write(make_lines(orders), begun)
        begun.rename(path)
    return path


def contract_file(scratch: Path, form: Form, *, feeds_items: bool = True) -> Path:
    """Write the contract of a form: of orders and lines, or of orders alone."""
    feeds = '["orders", "order_items"]' if feeds_items else '["orders"]'
    text = CONTRACT.format(feeds=feeds, words=form.words) + (ITEMS if feeds_items else "")
    kind = "both" if feeds_items else "orders"
    path = scratch / "data" / f"{form.name.replace(' ', '-')}-{kind}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
