"""Part a ledger into periods that one contract is in force, and open the clean zone of one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.state import Adoption, Ledger, Record
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.state.counted import CountedUploads
from worker.transform.history import no_dataset, places_at
from worker.transform.limits import TransformLimits
from worker.transform.shop.precedence import precedence
from worker.transform.shop.snapshot import ShopSnapshot, open_shop_snapshot
from worker.transform.snapshot import Snapshot, open_snapshot

AnySnapshot = Snapshot | ShopSnapshot
"""The clean zone at a sequence, by a contract of either language."""


@dataclass(frozen=True, kw_only=True)
class Period:
    """Sequences at which one contract is in force.

    Attributes:
        first: The first of them.
        last: The last of them.
        adoption: What brought it into force, at `first`; None before the first adoption.
        contract: The contract.
    """

    first: int
    last: int
    adoption: Adoption | None
    contract: Contract


async def contract_periods(ledger: Ledger, head: int, default: Contract) -> list[Period]:
    """Return the periods up to a sequence, ascending.

    Entries before the first adoption, of release 0.1.0, are taken for those of its contract.

    Args:
        ledger: The ledger.
        head: The sequence.
        default: The contract where none was adopted.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    found: list[Period] = []
    last, adoption = await ledger.head(), await ledger.adoption()
    while adoption is not None:
        contract = adopted_contract(adoption, default)
        found.append(
            Period(first=adoption.sequence, last=last, adoption=adoption, contract=contract)
        )
        last, default = adoption.sequence - 1, contract
        adoption = await adoption_at(ledger, last)
    if last:
        found.append(Period(first=1, last=last, adoption=None, contract=default))
    return [replace(one, last=min(one.last, head)) for one in reversed(found) if one.first <= head]


async def open_period(
    ledger: Ledger, workspace: Workspace, period: Period, limits: TransformLimits
) -> AnySnapshot:
    """Open the clean zone at the last sequence of a period, with everything that came before.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    opened = open_snapshot if period.contract.shop is None else open_shop_snapshot
    # What counted at earlier sequences is asked for: no checkpoint may stand for them.
    return await opened(ledger, period.last, workspace, period.contract, limits, since=0)


async def restrict(
    snapshot: AnySnapshot, ledger: Ledger, sequences: Collection[int]
) -> AnySnapshot:
    """Return a snapshot in which only the uploads of some records count, and rulings on them.

    What counts at a sequence is then decided for their names alone: of a year of daily files, for
    a hundredth of all.

    Args:
        snapshot: The clean zone.
        ledger: Its records.
        sequences: All records about some names.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    history, contract = snapshot.history, snapshot.contract
    wanted = frozenset(sequences)
    rulings = [one for one in history.rulings if one.sequence in wanted]
    records: list[Record] = [*await ledger.entries_at(wanted), *rulings]
    by_file = no_dataset if contract.shop is not None else contract.replaces_file
    uploads = CountedUploads(by_file)
    uploads.add(history.in_force.select(sorted(records, key=lambda one: one.sequence)))
    return replace(snapshot, history=replace(history, uploads=uploads))


def earlier_snapshot(snapshot: AnySnapshot, sequence: int) -> AnySnapshot:
    """Return what a snapshot was at an earlier sequence of its period; nothing is read."""
    places = places_at(snapshot.history, sequence)
    history = replace(snapshot.history, head=sequence, places=places)
    if isinstance(snapshot, ShopSnapshot):
        return replace(
            snapshot,
            history=history,
            catalogs={name: one.in_order(places) for name, one in snapshot.catalogs.items()},
            precedence={
                name: precedence(snapshot.feeds, name, places, sequence)
                for name in snapshot.catalogs
            },
        )
    orders, items, products = (one.in_order(places) for one in snapshot.catalogs)
    return replace(snapshot, history=history, orders=orders, items=items, products=products)
