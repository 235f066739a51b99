"""What `shopkpi maintain` does: merge the key index, write a checkpoint, delete what is unused.

Nothing of it is needed, and everything may run beside transforms, validations and itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.errors import SourceError
from worker.index.compaction import Merged, compact_index
from worker.index.key_index import MANIFEST_NAME
from worker.index.stored_intake import keep_intake
from worker.maintenance.collection import Collected, Collector
from worker.maintenance.erasure.journal import keep_copies
from worker.objects import StoredName
from worker.state import State
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.state.erasures import read_erasures
from worker.transform.history import keep_history
from worker.transform.shop.snapshot import open_shop_snapshot
from worker.transform.snapshot import open_snapshot


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """What was done.

    Attributes:
        merged: Runs of the key index that became one.
        index_damaged: Whether a run could not be read. The index is given up then, and the next
            transform builds it again.
        checkpoint: Ledger sequence of the checkpoint that was written; 0 for none.
        collected: Objects that were deleted.
    """

    merged: Merged
    index_damaged: bool
    checkpoint: int
    collected: Collected


async def keep_up(
    contract: Contract,
    workspace: Workspace,
    state: State,
    *,
    dry_run: bool = False,
    found: Callable[[StoredName], None] = lambda _: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Upkeep:
    """Merge, write a checkpoint, and delete what nothing names.

    Args:
        contract: Meaning of the clean rows, where the ledger has adopted no contract.
        workspace: Where index, packs and clean zone are.
        state: Ledger and KPI tables.
        dry_run: Whether to change nothing.
        found: Called with each object that nothing names.
        now: Returns the present time.

    Raises:
        SourceError, StoreError: A retry may help.
    """
    erasures = await read_erasures(state)
    workspace = replace(workspace, generation=erasures.generation)
    merged, damaged = Merged(), False
    try:
        merged = await compact_index(workspace, dry_run=dry_run)
    except SourceError:
        damaged = True
        if not dry_run:
            await workspace.store.delete(workspace.absolute(workspace.index(MANIFEST_NAME)))
    checkpoint = 0 if dry_run else await _write_checkpoint(contract, workspace, state)
    if not dry_run:
        head = await state.head()
        await keep_intake(workspace, state, head, tail_records=1, most_records=head)
    if not dry_run:
        await keep_copies(workspace, state, erasures)  # releases before had none
    collector = Collector(workspace, state, dry_run=dry_run, found=found, now=now)
    collected = await collector.collect()
    return Upkeep(merged=merged, index_damaged=damaged, checkpoint=checkpoint, collected=collected)


async def _write_checkpoint(contract: Contract, workspace: Workspace, state: State) -> int:
    """Write a checkpoint where the KPI tables have come to; return its sequence, 0 for none.

    Beyond that one no transform could use it: it asks what has changed since.
    """
    progress = await state.progress()
    reached = min([*progress.published.values(), progress.waiting_as_of], default=0)
    adopted = adopted_contract(await adoption_at(state, reached), contract)
    opened = open_snapshot if adopted.shop is None else open_shop_snapshot
    if not reached:
        return 0
    snapshot = await opened(state, reached, workspace, adopted, since=reached)
    if snapshot.history.checkpoint.uploads.up_to == reached:
        return 0
    written = await keep_history(snapshot.history, workspace, state, tail_records=1)
    return reached if written else 0
