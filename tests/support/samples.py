"""Ledger entries and days of KPIs to store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal

from worker.state import Adoption, DayKpis, Entry, Erasure, Row, Ruling
from worker.state.entry import Interval, Part
from worker.state.records import Decision


def entry(source_id: str, *, parts: int = 1) -> Entry:
    """An accepted source object of `parts` clean objects with ten rows each."""
    return Entry(
        source_id=source_id,
        dataset="orders",
        url=f"s3://shop/orders/{source_id}.csv",
        version=f"version:{source_id}",
        size_bytes=1000,
        uploaded_at=datetime(2024, 5, 1, 12, 30, 15, tzinfo=UTC),
        sha256="0" * 64,
        verdict="accepted",
        reason=None,
        rows_read=10 * parts + 1,
        rows_clean=10 * parts,
        rows_rejected=1,
        reasons={"missing": 1},
        parts=tuple(
            Part(
                key=f"clean/{source_id}/{number:05d}.parquet",
                rows=10,
                size_bytes=500,
                ranges={
                    "order_id": Interval(low=number * 10, high=number * 10 + 9),
                    "order_date": Interval(low="2024-05-01", high="2024-05-02"),
                },
            )
            for number in range(parts)
        ),
        rejects=(f"rejects/{source_id}.jsonl",),
        contract="c0ffee",
        seconds=0.25,
    )


def adoption(digest: str = "c0ffee", *tables: str) -> Adoption:
    """The adoption of a contract."""
    return Adoption(
        digest=digest,
        text=f"name = '{digest}'",
        tables=tables or ("order_kpis",),
        recorded_at=datetime(2024, 5, 1, 8, tzinfo=UTC),
    )


def ruling(source_id: str, kind: Decision = "retraction", ruling_id: str = "1") -> Ruling:
    """A ruling on the upload of `entry(source_id)`."""
    return Ruling(
        kind=kind,
        ruling_id=ruling_id,
        source_id=source_id,
        url=entry(source_id).url,
        reason="test orders",
        recorded_at=datetime(2024, 6, 1, 8, tzinfo=UTC),
    )


def erasure(erasure_id: str = "1" * 16) -> Erasure:
    """An erasure of one customer."""
    return Erasure(
        erasure_id=erasure_id,
        mode="delete",
        customers=("0" * 32,),
        orders=("f" * 32,),
        days=("2024-05-01",),
        recorded_at=datetime(2024, 6, 1, 8, tzinfo=UTC),
    )


def order_row(order_date: date, revenue: Decimal = Decimal("12.30"), *, orders: int = 3) -> Row:
    return {
        "order_date": order_date.isoformat(),
        "total_orders": orders,
        "total_revenue": revenue,
        "total_items_sold": 2 * orders,
        "return_rate": Decimal("0.5000"),
        "unique_customers": orders,
    }


def category_row(order_date: date, category: str, revenue: Decimal = Decimal("12.30")) -> Row:
    return {
        "order_date": order_date.isoformat(),
        "category": category,
        "daily_revenue": revenue,
        "avg_order_value": Decimal("4.10"),
        "avg_return_rate": Decimal("0.3333"),
    }


def day_kpis(
    order_date: date, revenue: Decimal = Decimal("12.30"), *, categories: Iterable[str] = ("Jeans",)
) -> DayKpis:
    """A day with one order_kpis row and one category_kpis row for each category."""
    return DayKpis(
        order_date=order_date,
        tables={
            "order_kpis": [order_row(order_date, revenue)],
            "category_kpis": [
                category_row(order_date, category, revenue) for category in sorted(categories)
            ],
        },
    )


def empty_day(order_date: date) -> DayKpis:
    """A day whose rows have all gone."""
    return DayKpis(order_date=order_date, tables={"order_kpis": [], "category_kpis": []})


def with_as_of(day: DayKpis, as_of: int) -> dict[str, list[Row]]:
    """What the tables hold after `day` was published at `as_of`."""
    return {table: [{**row, "as_of": as_of} for row in rows] for table, rows in day.tables.items()}
