"""Make everything that derives from ledger and clean zone once more: key index, checkpoint, KPIs.

It takes the ledger as it is. So it is also what follows where ledger, KPI tables or workspace were
put back to an earlier time: every day is computed at the ledger's head, and rows that only lost
records had made are deleted. At last all places are marked as those of this ledger.

Small clean files are packed before anything else: then days and key index are read from packs, and
each small file is opened once. A process that is killed leaves its progress (see
`worker.maintenance.rebuild_progress`), and the next one goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kpi.errors import KpiError
from worker.clean import Workspace
from worker.clean.ledger_mark import replace_mark
from worker.errors import ConfigError
from worker.maintenance.collection import sweep
from worker.maintenance.erasure.journal import repeat_erasures
from worker.maintenance.erasure.places import INDEX_PREFIX, STORED_PREFIXES
from worker.maintenance.erasure.purge import is_kept, purge
from worker.maintenance.rebuild_progress import begin, end, resume
from worker.objects import list_names
from worker.state.contract_in_force import adopted_contract, adoption_at, contract_of
from worker.state.same_ledger import identify_ledger
from worker.transform import Report, transform
from worker.transform.catalog import Catalog
from worker.transform.pack_upkeep import extend_packs
from worker.transform.shop.snapshot import open_shop_snapshot
from worker.transform.snapshot import open_snapshot
from worker.transform.task import TransformTask

AFTER_RESUMING = tuple(one for one in STORED_PREFIXES if one != INDEX_PREFIX)
"""Folders that are purged of erased customers where the index is kept, which was begun since."""


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What a rebuild did.

    Attributes:
        report: Of the transform that published every day.
        deleted_objects: Objects of the index that were deleted.
        deleted_bytes: Their bytes.
        deleted_rows: KPI rows of days that only a lost ledger knew.
        erasures: Erasures that the ledger did not know any more, and that were repeated.
        resumed: Whether it went on where another one had been killed.
    """

    report: Report
    deleted_objects: int
    deleted_bytes: int
    deleted_rows: int
    erasures: int
    resumed: bool


async def rebuild(
    task: TransformTask,
    *,
    progress: Callable[[int, int], None] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Rebuilt:
    """Delete the index, publish every day, and build the index from clean zone and ledger.

    Args:
        task: Contract, workspace and state.
        progress: Called with the number of days done and the number of days to do.
        now: Returns the present time.

    Raises:
        ConfigError: The ledger is empty, or was put back to before an erasure under another secret.
        KpiError: Some days cannot be computed; all others are published.
        SourceError, StoreError: A retry may help.
    """
    workspace, state = task.workspace, task.state
    if not await state.head():
        raise ConfigError(
            "the ledger is empty",
            hint="name the raw files: `shopkpi maintain --rebuild INPUT...` reads them again",
        )
    in_force = await contract_of(state, await state.adoption(), task.contract)
    repeated = await repeat_erasures(workspace, state, in_force)
    days = await resume(workspace, state, task.tables, now())
    resumed = days is not None
    # Also what came back with a workspace that was put back.
    await purge(workspace, state, AFTER_RESUMING if resumed else STORED_PREFIXES)
    objects, size_bytes = await _delete_derived(
        workspace, before=None if days is None else days.progress.begun_at
    )
    if days is None:
        days = await begin(workspace, state, task.tables, await state.head())
    failure: KpiError | None = None
    try:
        await _pack(task)
        report = await transform(
            contract=task.contract,
            workspace=workspace,
            state=state,
            tables=task.tables,
            everything=True,
            progress=progress,
            limits=task.limits,
            published=days,
        )
    except KpiError as error:
        # All other days are published. Their ledger is taken, or nothing could mend that day.
        failure, report = error, Report(as_of=days.progress.head)
    rows = await state.delete_unguarded()
    await state.mark_again(await identify_ledger(state, report.as_of), report.as_of)
    await replace_mark(workspace, state, report.as_of)
    await end(workspace)
    await sweep(workspace)
    if failure is not None:
        raise failure
    return Rebuilt(
        report=report,
        deleted_objects=objects,
        deleted_bytes=size_bytes,
        deleted_rows=rows,
        erasures=len(repeated),
        resumed=resumed,
    )


async def _pack(task: TransformTask) -> None:
    """Pack the small clean files, many of them read at once."""
    head = await task.state.head()
    adopted = adopted_contract(await adoption_at(task.state, head), task.contract)
    catalogs: Sequence[Catalog]
    if adopted.shop is None:
        opened = await open_snapshot(task.state, head, task.workspace, adopted, limits=task.limits)
        catalogs = opened.catalogs
    else:
        of_shop = await open_shop_snapshot(
            task.state, head, task.workspace, adopted, limits=task.limits
        )
        catalogs = tuple(of_shop.catalogs.values())
    await extend_packs(task.workspace, task.state, catalogs, head)


async def _delete_derived(workspace: Workspace, *, before: datetime | None) -> tuple[int, int]:
    """Delete a shop's index and packs, but for the mark; return the number of objects and bytes.

    Manifests go first: killed, it leaves none that names what is gone.

    Args:
        workspace: Where they are.
        before: Time of the store up to which they were written; None for all of them.
    """
    root = workspace.absolute("x")[:-1]
    found = [
        one
        for zone in ("index", "packs")
        async for one in list_names(workspace.store, workspace.absolute(zone))
        if workspace.owns(one.key.removeprefix(root))
        and not (zone == "index" and is_kept(one.key))
        and (before is None or one.modified_at < before)
    ]
    for one in sorted(found, key=lambda one: not one.key.endswith(".json")):
        await workspace.store.delete(one.key)
    return len(found), sum(one.size_bytes for one in found)
