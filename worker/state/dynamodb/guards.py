"""Guards of days as items of the ledger table; see `worker.state.day_guard`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kpi.aggregation.tables import LEDGER_SORT_KEY, LEDGER_TABLE
from worker.state.corruption import parsing
from worker.state.day_guard import Guard
from worker.state.dynamodb.items import number, put, unchanged

if TYPE_CHECKING:
    from worker.state.dynamodb.client import Database
    from worker.state.dynamodb.items import Item, Write


def guard_of(item: Item) -> Guard:
    """Read a guard.

    Raises:
        StoreError: It is damaged.
    """
    with parsing(f"guard of {item[LEDGER_SORT_KEY]['S']}"):
        return Guard(
            version=int(item["version"]["N"]),
            claim=int(item["claim"]["N"]),
            published={table: int(one["N"]) for table, one in item["published"]["M"].items()},
            published_at=datetime.fromtimestamp(int(item["published_at"]["N"]), UTC)
            if "published_at" in item
            else None,
        )


def guard_write(database: Database, day: str, before: Guard, after: Guard) -> Write:
    """Build the write that replaces the guard of a day (ISO date) where it is still `before`."""
    item: Item = {
        **database.ledger_key("kpi_guard", day),
        "version": number(after.version),
        "claim": number(after.claim),
        "published": {"M": {table: number(as_of) for table, as_of in after.published.items()}},
    }
    if after.published_at is not None:
        item = {**item, "published_at": number(int(after.published_at.timestamp()))}
    table = database.table(LEDGER_TABLE)
    return {"Put": put(table, item, unchanged("version", before.version))}
