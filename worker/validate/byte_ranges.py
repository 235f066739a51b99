"""A huge source object in byte ranges: validated apart, committed once all are in.

A range holds whole records, so any number of ranges gives the same clean rows. Each leaves a
*piece* beside the clean zone, `pieces/<source_id>-<contract>/<start>-<end>.json`: the entry of its
range. Who finds that the pieces tile the object commits it; several may find so, the ledger takes
one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from kpi.contract.model import Contract
from worker.clean import Workspace, result_name
from worker.errors import ConfigError, StoreError
from worker.objects.source import Progress, Source
from worker.state import Entry, Ledger
from worker.validate.task import clean
from worker.validate.verdict import balanced, refuse, too_many_rejects

Span = tuple[int, int]
"""First byte of a range, and the byte behind its last."""

SPAN = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
"""A range in words; no store has objects of more bytes, and Python reads no number of thousands of
digits."""


def parse_span(text: str) -> Span:
    """`A-B` as given on the command line.

    Errors: `ConfigError` for anything else.
    """
    found = SPAN.fullmatch(text)
    if found and int(found[1]) < int(found[2]):
        return int(found[1]), int(found[2])
    raise ConfigError(
        option="--range", expected="FIRST-END in bytes, such as 0-1048576", actual=text[:50]
    )


async def validate_range(
    source: Source,
    span: Span,
    *,
    contract: Contract,
    workspace: Workspace,
    ledger: Ledger,
    executor: Executor,
    progress: Progress | None = None,
) -> tuple[Entry, bool]:
    """Validate one range, and commit the object if it was the last.

    Args:
        source: The object.
        span: Range of whole records, as `worker.validate.range_planner` gives them.
        contract: What the rows are held against.
        workspace: Where clean rows, rejects and pieces go.
        ledger: Where the entry goes.
        executor: Threads that parse.
        progress: Told how far it is.

    Returns:
        The entry of the object and True where this call committed it; else the entry of the
        range, with sequence 0, or the entry that was committed before, and False.

    Errors: as `worker.validate.task.validate`; `ConfigError` for a range behind the object's end.
    """
    known = await ledger.find(source.source_id)
    if known is not None:
        return known, False
    if span[1] > source.info.size_bytes:
        size = source.info.size_bytes
        raise ConfigError(
            url=source.info.url,
            expected=f"a range within {size} bytes",
            actual=f"{span[0]}-{span[1]}",
        )
    piece = await clean(
        source,
        contract=contract,
        workspace=workspace,
        executor=executor,
        progress=progress,
        span=span,
    )
    folder = _folder(source, contract, workspace)
    async with workspace.store.create(f"{folder}/{span[0]:015d}-{span[1]:015d}.json") as writer:
        await writer.write(piece.to_json())
    committed = await commit(source, contract=contract, workspace=workspace, ledger=ledger)
    return (piece, False) if committed is None else (committed, True)


async def commit(
    source: Source, *, contract: Contract, workspace: Workspace, ledger: Ledger
) -> Entry | None:
    """Commit an object whose pieces tile it; None while some are missing.

    Errors: `StoreError` where pieces cannot be read or the ledger refuses.
    """
    known = await ledger.find(source.source_id)
    if known is not None:
        return known
    pieces = await _pieces(source, contract, workspace)
    tiles = _tile(list(pieces), source.info.size_bytes)
    if tiles is None:
        return None
    entry = balanced(_join([pieces[span] for span in tiles], contract))
    committed = await ledger.commit(entry)
    # Clean rows of a refused object, or of another plan's ranges, are nobody's.
    kept = {part.key for part in committed.parts}
    for piece in pieces.values():
        for part in piece.parts:
            if part.key not in kept:
                await workspace.store.delete(workspace.absolute(part.key))
    return committed


async def commit_plan(
    source: Source,
    *,
    contract: Contract,
    workspace: Workspace,
    ledger: Ledger,
) -> Entry:
    """Commit an object all of whose ranges have been validated.

    Errors: `StoreError` that names the first byte that no range has brought.
    """
    entry = await commit(source, contract=contract, workspace=workspace, ledger=ledger)
    if entry is None:
        spans = sorted(await _pieces(source, contract, workspace))
        covered = 0
        for start, end in spans:
            if start <= covered:
                covered = max(covered, end)
        raise StoreError(
            f"not all ranges are in: nothing from byte {covered} of {source.info.size_bytes} on",
            url=source.info.url,
        )
    return entry


def _folder(source: Source, contract: Contract, workspace: Workspace) -> str:
    return workspace.absolute(f"pieces/{result_name(source, contract)}")


async def _pieces(source: Source, contract: Contract, workspace: Workspace) -> dict[Span, Entry]:
    found = {}
    async for info in workspace.store.list(_folder(source, contract, workspace)):
        span = parse_span(info.key.rsplit("/", 1)[-1].removesuffix(".json"))
        data = await workspace.store.read(info, 0, info.size_bytes)
        found[span] = Entry.from_json(data)
    return found


def _tile(spans: Sequence[Span], size: int) -> list[Span] | None:
    """Spans that follow on each other from 0 to `size`; those of other plans are left out."""
    ends: dict[int, list[int]] = defaultdict(list)
    for start, end in spans:
        ends[start].append(end)
    # Backwards from the end: from which starts can the end be reached, and over which span?
    following: dict[int, int] = {}
    for start in sorted(ends, reverse=True):
        for end in sorted(ends[start], reverse=True):
            if end == size or end in following:
                following[start] = end
                break
    if 0 not in following:
        return None
    tiles, at = [], 0
    while at != size:
        tiles.append((at, following[at]))
        at = following[at]
    return tiles


def _join(pieces: Sequence[Entry], contract: Contract) -> Entry:
    """The entry of an object from those of its ranges, in their order."""
    rows = sum(piece.rows_read for piece in pieces)
    rejected = sum(piece.rows_rejected for piece in pieces)
    reasons: Counter[str] = Counter()
    rejects: list[str] = []
    rows_before: list[int] = []
    passed = 0
    for piece in pieces:
        reasons.update(piece.reasons)
        rejects += piece.rejects
        rows_before += [passed] * len(piece.rejects)
        passed += piece.rows_read
    entry = replace(
        pieces[0],
        rows_read=rows,
        rows_clean=rows - rejected,
        rows_rejected=rejected,
        reasons=dict(sorted(reasons.items())),
        parts=tuple(part for piece in pieces for part in piece.parts),
        rejects=tuple(rejects),
        rows_before=tuple(rows_before),
        seconds=round(sum(piece.seconds for piece in pieces), 3),
    )
    refused = next((piece.reason for piece in pieces if piece.verdict == "refused"), None)
    reason = refused or too_many_rejects(contract, rows, rejected, reasons)
    return refuse(entry, reason) if reason else entry
