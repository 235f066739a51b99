"""Read the ledger's items of many names: by pages of their partition, or by their keys."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from kpi.aggregation.tables import LEDGER_SORT_KEY, LEDGER_TABLE
from worker.state.dynamodb.client import Database

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item

FEW_NAMES = 300
"""Names that are read by their keys without a look at the partition."""

PAGE_NAMES = 256
"""Names that a page must have on average: one of 1 MB takes as many read units as 256 small items
by their keys (half a unit for each 4 KB, twice that where the read is strongly consistent)."""


async def read_many(
    database: Database, doing: str, kind: str, names: Collection[str]
) -> dict[str, Item]:
    """Return the items of a kind by name; absent where there is none.

    A folder with a large part of the history is read in few pages. Of a long history few names are
    wanted: those are read by their keys.
    """
    wanted = {*names}
    found: dict[str, Item] = {}
    if len(wanted) > FEW_NAMES:
        between = (LEDGER_SORT_KEY, min(wanted), max(wanted))
        pages = 0
        async for page in database.pages(
            doing, LEDGER_TABLE, database.ledger_partition(kind), between
        ):
            items = {item[LEDGER_SORT_KEY]["S"]: item for item in page}
            found |= {name: items[name] for name in items.keys() & wanted}
            pages += 1
            last = max(items, default="")
            if len(found) < PAGE_NAMES * pages:
                wanted = {name for name in wanted if name > last}
                break
        else:
            return found
    keys = [database.ledger_key(kind, name) for name in sorted(wanted)]
    for item in await database.batch_get(doing, LEDGER_TABLE, keys):
        found[item[LEDGER_SORT_KEY]["S"]] = item
    return found
