"""Make everything that derives from ledger and clean zone once more: key index, checkpoint, KPIs.

It takes the ledger as it is. So it is also what follows where ledger, KPI tables or workspace were
put back to an earlier time: every day is computed at the ledger's head, and rows that only lost
records had made are deleted. At last all places are marked as those of this ledger.

A process that is killed leaves `index/rebuild.json`. The next one then keeps what was indexed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kpi.errors import KpiError
from worker.clean import Workspace
from worker.clean.ledger_mark import MARK_NAME, replace_mark
from worker.errors import ConfigError, SourceError
from worker.objects import list_names
from worker.state.same_ledger import identify_ledger
from worker.transform import Report, transform
from worker.transform.task import TransformTask

UNDER_WAY_NAME = "rebuild.json"
"""Name of the object that says that a rebuild is under way, in the folder of the index."""


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What a rebuild did.

    Attributes:
        report: Of the transform that published every day.
        deleted_objects: Objects of the index that were deleted.
        deleted_bytes: Their bytes.
        deleted_rows: KPI rows of days that only a lost ledger knew.
        resumed: Whether it went on where another one had been killed.
    """

    report: Report
    deleted_objects: int
    deleted_bytes: int
    deleted_rows: int
    resumed: bool


async def rebuild(
    task: TransformTask, *, progress: Callable[[int, int], None] | None = None
) -> Rebuilt:
    """Delete the index, publish every day, and build the index from clean zone and ledger.

    Args:
        task: Contract, workspace and state.
        progress: Called with the number of days done and the number of days to do.

    Raises:
        ConfigError: The ledger is empty.
        KpiError: Some days cannot be computed; all others are published.
        SourceError, StoreError: A retry may help.
    """
    workspace, state = task.workspace, task.state
    if not await state.head():
        raise ConfigError(
            "the ledger is empty",
            hint="name the raw files: `shopkpi maintain --rebuild INPUT...` reads them again",
        )
    under_way = workspace.absolute(workspace.index(UNDER_WAY_NAME))
    resumed = await _is_there(workspace, under_way)
    objects = size_bytes = 0
    if not resumed:
        objects, size_bytes = await _delete_derived(workspace)
        async with workspace.store.create(under_way) as writer:
            await writer.write(b"{}")
    head = await state.head()
    failure: KpiError | None = None
    try:
        report = await transform(
            contract=task.contract,
            workspace=workspace,
            state=state,
            tables=task.tables,
            everything=True,
            progress=progress,
            limits=task.limits,
        )
    except KpiError as error:
        # All other days are published. Their ledger is taken, or nothing could mend that day.
        failure, report = error, Report(as_of=head)
    rows = await state.delete_unguarded()
    await state.mark_again(await identify_ledger(state, report.as_of), report.as_of)
    await replace_mark(workspace, state, report.as_of)
    await workspace.store.delete(under_way)
    if failure is not None:
        raise failure
    return Rebuilt(
        report=report,
        deleted_objects=objects,
        deleted_bytes=size_bytes,
        deleted_rows=rows,
        resumed=resumed,
    )


async def _is_there(workspace: Workspace, key: str) -> bool:
    try:
        await workspace.store.stat(key)
    except SourceError:
        return False
    return True


async def _delete_derived(workspace: Workspace) -> tuple[int, int]:
    """Delete a shop's index and packs, but for the mark; return the number of objects and bytes.

    Manifests go first: killed, it leaves none that names what is gone.
    """
    kept = workspace.absolute(workspace.index(MARK_NAME))
    root = workspace.absolute("x")[:-1]
    found = [
        one
        for zone in ("index", "packs")
        async for one in list_names(workspace.store, workspace.absolute(zone))
        if workspace.owns(one.key.removeprefix(root)) and one.key != kept
    ]
    for one in sorted(found, key=lambda one: not one.key.endswith(".json")):
        await workspace.store.delete(one.key)
    return len(found), sum(one.size_bytes for one in found)
