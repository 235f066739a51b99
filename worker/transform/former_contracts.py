"""Find the days that orders had under the contracts that were in force before."""

from __future__ import annotations

import numpy as np

from kpi.aggregation.calendar import NO_DAYS, Days
from kpi.contract.differences import same_clean_rows, same_kpis
from kpi.contract.model import Contract
from worker.state import Adoption
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.transform.changed_days import days_of_files
from worker.transform.snapshot import open_snapshot
from worker.transform.task import TransformTask


async def days_of_former_contracts(
    task: TransformTask, contract: Contract, adoption: Adoption | None, since: int
) -> Days:
    """Return the days of every order under the contracts that were in force since a sequence.

    A transform that slept since then may publish them: each needs a guard, even where the contract
    in force has no order on it.

    Args:
        task: Ledger and clean zone.
        contract: The contract in force.
        adoption: Its adoption.
        since: Sequence.

    Raises:
        SourceError: A clean file cannot be read.
        StoreError: The ledger cannot be read, after retries.
    """
    days = NO_DAYS
    while adoption is not None and adoption.sequence > since:
        last = adoption.sequence - 1
        adoption = await adoption_at(task.state, last)
        if adoption is None:
            break  # no contract was in force: nothing was published by one
        former = adopted_contract(adoption, task.contract)
        same_days = former.business_time_zone == contract.business_time_zone
        if not (same_days and same_clean_rows(former, contract)):
            days = np.union1d(days, await _days_at(task, former, last))
    return days


async def sequence_of_same_kpis(task: TransformTask, adoption: Adoption | None, since: int) -> int:
    """Return `since` where every contract in force since then makes the same KPIs, else 0.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    contract = None if adoption is None else adopted_contract(adoption, task.contract)
    while adoption is not None and adoption.sequence > since:
        adoption = await adoption_at(task.state, adoption.sequence - 1)
        if adoption is None or contract is None:
            return 0  # whatever was published was of no contract of the ledger
        if not same_kpis(adopted_contract(adoption, task.contract), contract):
            return 0
    return since


async def _days_at(task: TransformTask, contract: Contract, sequence: int) -> Days:
    """Return the days of every order at a sequence, by the contract that was in force then."""
    if contract.shop is not None:
        from worker.transform.shop.days import days_of_versions  # noqa: PLC0415  (25 ms)
        from worker.transform.shop.snapshot import open_shop_snapshot  # noqa: PLC0415  (25 ms)

        shop = await open_shop_snapshot(
            task.state, sequence, task.workspace, contract, limits=task.limits
        )
        return await days_of_versions(shop)
    snapshot = await open_snapshot(
        task.state, sequence, task.workspace, contract, limits=task.limits
    )
    return await days_of_files(snapshot.orders.with_uncounted(), contract)
