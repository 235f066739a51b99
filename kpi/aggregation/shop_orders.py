"""Orders of a shop in compact columns: what each is before its lines are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.aggregation.calendar import Days
from kpi.aggregation.shop_columns import column_of, encoded, one_array, texts_of, units_of
from kpi.aggregation.shop_money import ONE_FACTOR, amounts, quantities
from kpi.aggregation.shop_versions import key_columns
from kpi.contract.conditions import Conditions
from kpi.contract.shop import AS_WRITTEN, Shop
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.instants import MICROSECONDS_PER_DAY
from kpi.kernels.keys import Keys, concat_keys, text_keys
from kpi.kernels.masks import booleans, valid
from kpi.kernels.time_zones import to_local
from kpi.mapping.clean_rows import DAY
from kpi.mapping.conditions import holds


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Orders, each once. A column that the contract does not have is None.

    Attributes:
        keys: Keys of their ids.
        day: Of each, days since 1970-01-01.
        users: Keys of customers, any where `has_user` is False.
        has_user: Whether the customer is known.
        excluded: Whether the order's own condition leaves it out.
        returned: Whether the order's own condition says so.
        other: Whether its money is in another currency, without a rate.
        rate: What its money is divided by, at 10 places; None where nothing is.
        has_rate: Whether the rate is said; None as `rate`.
        discount: Of the whole order, at 4 places.
        refund: Of the column, likewise.
        total: Money of an order without lines.
        quantity: Pieces of an order without lines, at 3 places.
        unsettled: Whether a value has not come.
        unsaid: Whether a value was not said, which matters where the order counts.
    """

    keys: Keys
    day: Days
    users: Keys | None
    has_user: Mask | None
    excluded: Mask
    returned: Mask
    other: Mask
    rate: Int64s | None
    has_rate: Mask | None
    discount: Int64s | None
    refund: Int64s | None
    total: Int64s | None
    quantity: Int64s | None
    unsettled: Mask
    unsaid: Mask

    def __len__(self) -> int:
        return len(self.day)


def concat_orders(parts: Sequence[Orders]) -> Orders:
    """Put the orders of some parts, one at least, after each other."""

    def joined(name: str) -> Int64s | None:
        columns = [getattr(part, name) for part in parts]
        if any(column is None for column in columns):
            return None
        return np.concatenate(columns)

    users = [part.users for part in parts if part.users is not None]
    names = [name for name in Orders.__dataclass_fields__ if name not in ("keys", "users")]
    columns = {name: joined(name) for name in names}
    return Orders(
        keys=concat_keys([part.keys for part in parts]),
        users=concat_keys(users) if users else None,
        **columns,  # type: ignore[arg-type]  # columns that every contract has are never None
    )


def created_days(shop: Shop, table: pa.Table) -> tuple[Days, Mask]:
    """Return the day of each order, and where there is none."""
    kept = column_of(table, DAY)
    if kept is not None:
        days = kept.fill_null(0) if kept.null_count else kept
        return days.to_numpy(zero_copy_only=False).astype(np.int32), ~valid(kept)
    created = one_array(table, "created_at")
    instants = created.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    if shop.day != AS_WRITTEN:
        instants = to_local(instants, shop.day)
    return (instants // MICROSECONDS_PER_DAY).astype(np.int32), ~valid(created)


def waits(shop: Shop, dataset: str, missing: Mapping[str, Mask], rows: int) -> Mask:
    """Find the rows that wait for a value that the contract requires."""
    waiting = np.zeros(rows, bool)
    for name, absent in missing.items():
        if shop.datasets[dataset].columns[name].required:
            waiting |= absent
    return waiting


CustomersOf = Callable[[pa.ChunkedArray], Keys]
"""Makes keys of customers."""


def orders_of(
    shop: Shop,
    table: pa.Table,
    missing: Mapping[str, Mask],
    customers_of: CustomersOf = text_keys,
) -> Orders:
    """Make compact columns of orders.

    Args:
        shop: Contract.
        table: Latest rows, their look-ups done; none of them waits.
        missing: For each column with a `via`, where its value has not come.
        customers_of: Makes keys of customers.
    """
    rows = table.num_rows
    dataset = shop.datasets["orders"]
    rate, other = rates(shop, table)
    unsettled, unsaid = np.zeros(rows, bool), np.zeros(rows, bool)
    for absent in not_come(shop, table, missing):
        unsettled |= absent
    total = units_of(table, "total")
    if total is not None and "order_items" not in shop.datasets:
        unsaid |= ~total[1]
    user = column_of(table, "user_id")
    users = None
    if user is not None:
        users = customers_of(table.column("user_id").cast(pa.string()))
    return Orders(
        keys=key_columns(table, ["order_id"]),
        day=created_days(shop, table)[0],
        users=users,
        has_user=None if user is None else np.array(valid(user)),
        excluded=_holds(dataset.excluded, table),
        returned=_holds(dataset.returned or (), table),
        other=other,
        rate=rate,
        has_rate=None if rate is None else _has_rate(table),
        discount=_amounts(table, "discount", rate),
        refund=_amounts(table, "refund", rate),
        total=_amounts(table, "total", rate),
        quantity=quantities(table)[0] if "quantity" in table.schema.names else None,
        unsettled=unsettled,
        unsaid=unsaid,
    )


def rates(
    shop: Shop,
    table: pa.Table,
    of_order: Int64s | None = None,
    order_has_rate: Mask | None = None,
) -> tuple[Int64s | None, Mask]:
    """Find what money is divided by, and where money is of another currency without a rate.

    Args:
        shop: Contract.
        table: Rows.
        of_order: Rate of each row's order, which a row without a rate column has.
        order_has_rate: Whether it is said; None as `of_order`.
    """
    rate, other = units_of(table, "rate"), _in_other_currency(shop, table)
    if rate is None:
        return of_order, other if order_has_rate is None else other & ~order_has_rate
    has = _has_rate(table)
    return np.where(has, rate[0], ONE_FACTOR), other & ~has


def not_come(shop: Shop, table: pa.Table, missing: Mapping[str, Mask]) -> Iterator[Mask]:
    """Yield for each look-up the rows whose value is still to come.

    Money in the contract's own currency needs no rate.
    """
    for name, absent in missing.items():
        if name == "rate" and column_of(table, "currency") is not None:
            yield absent & _in_other_currency(shop, table)
        else:
            yield absent


def _in_other_currency(shop: Shop, table: pa.Table) -> Mask:
    """Find the rows whose currency is said, and is not the contract's."""
    currency = column_of(table, "currency")
    if currency is None:
        return np.zeros(table.num_rows, bool)
    names, at = encoded(currency)
    mine = pc.equal(pc.utf8_upper(names.cast(pa.string())), shop.currency or "")
    # No currency, at place -1, is the contract's.
    is_other = np.append(~mine.to_numpy(zero_copy_only=False).astype(bool), False)
    found: Mask = is_other[at]
    return found


def _has_rate(table: pa.Table) -> Mask:
    found = units_of(table, "rate")
    return np.zeros(table.num_rows, bool) if found is None else found[1] & (found[0] > 0)


def _amounts(table: pa.Table, name: str, rate: Int64s | None) -> Int64s | None:
    return amounts(table, name, rate) if name in table.schema.names else None


def _holds(conditions: Conditions, table: pa.Table) -> Mask:
    return holds(conditions, lambda name: texts_of(table, name), table.num_rows)


def without_waiting(
    table: pa.Table, missing: Mapping[str, Mask], waiting: Mask
) -> tuple[pa.Table, dict[str, Mask]]:
    """Leave out the rows that wait."""
    if not waiting.any():
        return table, dict(missing)
    keep = ~waiting
    return table.filter(booleans(keep)), {name: absent[keep] for name, absent in missing.items()}
