"""The orders that items wait for, of each file, as the clean zone has it now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kpi.contract.model import Contract
from kpi.kernels.masks import booleans
from worker.clean import Workspace
from worker.maintenance.shop_status import WaitingFile
from worker.state import State
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.transform.changed_days import latest_of, mark_waiting_items
from worker.transform.latest_versions import LatestVersions
from worker.transform.shop.snapshot import open_shop_snapshot
from worker.transform.shop.transform import open_context
from worker.transform.shop.waiting import WaitingRows
from worker.transform.snapshot import open_snapshot


@dataclass(frozen=True, kw_only=True)
class WaitingOrder:
    """Rows of one file that wait for one order.

    Attributes:
        file: The file.
        dataset: What the rows are.
        order_id: The order; None where they wait for a row of a reference and name no order.
        rows: Their number.
    """

    file: WaitingFile
    dataset: str
    order_id: str | None
    rows: int


async def find_waiting_orders(
    state: State, workspace: Workspace, contract: Contract, files: Sequence[WaitingFile]
) -> list[WaitingOrder]:
    """Find what the rows of some files wait for, file by file in their order, then by order.

    Args:
        state: Ledger.
        workspace: Clean zone.
        contract: Meaning of the clean rows, where the ledger has adopted no contract.
        files: Files of which some rows wait.

    Raises:
        ConfigError, SourceError, StoreError: As `worker.transform.transform`.
    """
    head = await state.head()
    adopted = adopted_contract(await adoption_at(state, head), contract)
    read = _of_items if adopted.shop is None else _of_shop
    by_source = {one.source_id: one for one in files}
    counts = await read(state, workspace, adopted, head, frozenset(by_source))
    places = {source_id: at for at, source_id in enumerate(by_source)}
    ordered = sorted(counts, key=lambda one: (places[one[0]], one[1], str(one[2])))
    return [
        WaitingOrder(file=by_source[source_id], dataset=name, order_id=order_id, rows=counts[one])
        for one in ordered
        for source_id, name, order_id in [one]
    ]


_Counts = Counter[tuple[str, str, str | None]]
"""Source object, dataset and order -> rows."""


async def _of_items(
    state: State, workspace: Workspace, contract: Contract, head: int, source_ids: frozenset[str]
) -> _Counts:
    snapshot = await open_snapshot(state, head, workspace, contract, since=head)
    items, versions = snapshot.items.of_sources(source_ids), LatestVersions(snapshot.items)
    await versions.resolve(await items.row_groups())
    found: _Counts = Counter()
    async for group, waits in mark_waiting_items(items, snapshot.orders, versions):
        if waits.any():
            ids = (await latest_of(group, versions, "order_id")).filter(booleans(waits))
            source_id = group.file.source_id
            found.update((source_id, "order_items", str(one)) for one in ids.to_pylist())
    return found


async def _of_shop(
    state: State, workspace: Workspace, contract: Contract, head: int, source_ids: frozenset[str]
) -> _Counts:
    snapshot = await open_shop_snapshot(state, head, workspace, contract, since=head)
    rows = WaitingRows(open_context(snapshot, frozenset()))
    found: _Counts = Counter()
    for name in filter(rows.may_wait, snapshot.shop.datasets):
        catalog = snapshot.catalogs[name].of_sources(source_ids)
        if len(catalog):
            for (source_id, order_id), count in (await rows.count_by_order(name, catalog)).items():
                found[source_id, name, order_id] += count
    return found
