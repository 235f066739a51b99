"""The validation task: one source object to clean rows, rejects and one ledger entry."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import replace
from importlib import import_module

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.objects.source import Progress, Source
from worker.state import Entry, Ledger
from worker.validate.stream import SourceStream
from worker.validate.verdict import balanced


async def validate(
    source: Source,
    *,
    contract: Contract,
    workspace: Workspace,
    ledger: Ledger,
    executor: Executor,
    progress: Progress | None = None,
    sha256: bool = False,
) -> tuple[Entry, bool]:
    """Bring a source object into the ledger; do nothing where it is there already.

    Args:
        source: What to validate.
        contract: What its rows are held against.
        workspace: Where clean rows and rejects go.
        ledger: Where its entry goes.
        executor: Threads that parse and encode.
        progress: Told how far it is.
        sha256: Whether the entry tells the SHA-256 of the stored bytes.

    Returns:
        The committed entry, and whether this call committed it.

    Errors: `SourceError` where the object cannot be read, `StoreError` where results cannot be
        written: nothing is committed then. `BalanceError` where rows got lost: a bug.
    """
    known = await ledger.find(source.source_id)
    if known is not None:
        return known, False
    entry = await clean(
        source,
        contract=contract,
        workspace=workspace,
        executor=executor,
        progress=progress,
        sha256=sha256,
    )
    committed = await ledger.commit(entry)
    # Another worker may have committed it first; that entry counts, and its objects are the same.
    return committed, True


async def clean(
    source: Source,
    *,
    contract: Contract,
    workspace: Workspace,
    executor: Executor,
    progress: Progress | None = None,
    span: tuple[int, int] | None = None,
    sha256: bool = False,
) -> Entry:
    """Write the clean rows and rejects of a source object; the entry is not committed here.

    Args:
        source: See `validate`, as for the other arguments.
        contract: See there.
        workspace: See there.
        executor: See there.
        progress: See there.
        span: First byte and the byte behind the last of a range of whole records, for an entry of
            that range alone; its rejects are not held against `max_reject_rate`.
        sha256: See `validate`; not of a range.
    """
    started = time.perf_counter()
    start, end = span or (0, source.info.size_bytes)
    async with SourceStream(
        source.store,
        source.info,
        start=start,
        end=end,
        max_inflation=contract.max_inflation,
        sha256=sha256,
    ) as stream:
        # Arrow and all that works with it take a quarter of a second to be imported: the first
        # bytes have been asked for, and come meanwhile.
        await asyncio.to_thread(import_module, "worker.validate.source_validation")
        from worker.validate.source_validation import Validation  # noqa: PLC0415

        validation = Validation(
            source, contract, workspace, stream, executor=executor, progress=progress, span=span
        )
        entry = await validation.run()
    return balanced(replace(entry, seconds=round(time.perf_counter() - started, 3)))
