"""Find files of another shop by a contract of language 2; see `worker.transform.takeovers`."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.aggregation.shop_columns import texts_of
from kpi.contract.shop import Shop
from kpi.mapping.clean_rows import DAY
from worker.transform.catalog import Catalog
from worker.transform.rollbacks import COMPARED_KEYS
from worker.transform.shop.order_ids import batches_of, find_orders, ids_of
from worker.transform.shop.snapshot import ShopSnapshot
from worker.transform.takeovers import NewInput, Takeover, input_of, of_new_inputs

CUSTOMER = "user_id"

Values = npt.NDArray[np.object_]


async def find_shop_takeovers(snapshot: ShopSnapshot, wanted: Collection[str]) -> list[Takeover]:
    """Find the takeovers of some source objects; those that do not count are left out.

    Without a customer or a day of orders none can be told.

    Raises:
        ConfigError, SourceError: As `Catalog.row_groups`.
    """
    orders = snapshot.catalogs["orders"]
    if not {CUSTOMER, DAY} <= orders.dataset.columns.keys():
        return []
    found: list[Takeover] = []
    history, mine = snapshot.history, snapshot.feeds.feeding("orders")
    for new in of_new_inputs(history, mine, wanted, lambda url: _input(url, snapshot.shop)):
        takeover = await _compare(orders, new)
        found += [takeover] if takeover.is_likely else []
    return found


def _input(url: str, shop: Shop) -> str:
    """Return the folder that a file is in, or the one above the folders of its pattern."""
    layout = shop.layout_of(url)
    return input_of(url, 1 if layout is None else layout[0].match.text.count("/") + 1)


async def _compare(orders: Catalog, upload: NewInput) -> Takeover:
    """Compare the orders of an upload with those of the same ids in earlier ones."""
    new = orders.with_uncounted().of_sources([upload.source_id])
    pieces = [ids_of(table) async for _, table in batches_of(new, ["order_id"])]
    ids = pa.concat_arrays([one.cast(pa.string()) for one in pieces]) if pieces else pa.array([])
    ids = ids.unique()[:COMPARED_KEYS]
    customers, days = await _last_rows(new, ids)
    former_customers, former_days = await _last_rows(orders.before(upload.sequence), ids)
    are_known = (former_days >= 0) & (former_customers != "") & (customers != "")
    taken = are_known & (former_customers != customers) & (former_days != days)
    return Takeover(
        source_id=upload.source_id,
        url=upload.url,
        rows=int(np.count_nonzero(taken)),
        of_rows=len(ids),
    )


async def _last_rows(orders: Catalog, ids: pa.Array) -> tuple[Values, npt.NDArray[np.int64]]:
    """Return customer and day of the last row of each order; an empty text and -1 for none."""
    customers, days = np.full(len(ids), "", object), np.full(len(ids), -1, np.int64)
    async for _, at, table in find_orders(orders, ids, [CUSTOMER, DAY]):
        hit = at >= 0
        of_rows = table.column(DAY).fill_null(-1).to_numpy()
        # Of several rows of one order, the last one is assigned last.
        customers[at[hit]] = _numpy(texts_of(table, CUSTOMER))[hit]
        days[at[hit]] = of_rows[hit]
    return customers, days


def _numpy(texts: pa.Array) -> Values:
    found: Values = texts.fill_null("").to_numpy(zero_copy_only=False)
    return found
