"""Validate byte ranges of a huge source object apart, and commit it once all are in.

A range holds whole records, so any number of ranges gives the same clean rows. Each leaves a
*manifest* in the workspace, `pieces/<source_id>-<contract>/<start>-<end>.json`: the entry of its
range. Whoever finds that the manifests tile the object commits it. Several may find so at once; the
ledger takes one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kpi.contract.model import Contract
from worker.errors import ConfigError, ContractChanged, CustomersErased, DamagedObject, StoreError
from worker.objects import ObjectInfo
from worker.objects.source import Source
from worker.state import Entry
from worker.validate.byte_range import ByteRange, first_gap, tile
from worker.validate.content_digest import content_of_parts
from worker.validate.context import ValidationContext
from worker.validate.discard import discard
from worker.validate.equal_objects import find_equal_object, record_object
from worker.validate.kept_objects import UNCHECKED_S, missing_objects
from worker.validate.validate_source import validate_uncommitted
from worker.validate.verdict import check_balance, describe_codes, refuse, too_many_rejects


async def validate_range(
    source: Source, byte_range: ByteRange, context: ValidationContext
) -> tuple[Entry, bool]:
    """Validate one range, and commit the object if it was the last.

    Args:
        source: The object.
        byte_range: Range of whole records, as `worker.validate.range_planner` makes them.
        context: Contract, stores and threads.

    Returns:
        The entry of the object and True where this call committed it. Else False and the entry of
        the range, with sequence 0, or the entry committed before.

    Raises:
        ConfigError: The range ends behind the object's end, or tears a line.
        CustomersErased: A customer was erased meanwhile: all ranges are to be validated again.
        SourceError: The object cannot be read.
        StoreError: Results cannot be written.
    """
    known = await context.find(source.source_id)
    if known is not None and context.is_final(known):
        return known, False
    size = source.info.size_bytes
    if context.contract.shop is not None and byte_range != ByteRange(0, size):
        raise ConfigError(
            url=source.info.url,
            expected=f"the whole object, 0-{size}: contracts of language 2 are not split",
            actual=str(byte_range),
        )
    if byte_range.end > size:
        raise ConfigError(
            url=source.info.url, expected=f"a range within {size} bytes", actual=str(byte_range)
        )
    equal = await find_equal_object(source, context) if known is None else None
    if equal is not None:
        committed = await context.ledger.commit(equal, adoption=context.adoption)
        await record_object(source, committed, context)
        return committed, True
    await _check_edges(source, byte_range)
    entry = await validate_uncommitted(source, context, byte_range)
    erasures = await context.ledger.erasures()
    if erasures and erasures[-1].sequence != entry.erased:
        await discard(entry, context)
        raise CustomersErased(url=source.info.url)
    manifest = f"{_manifest_folder(source, context)}/{byte_range.padded}.json"
    async with context.workspace.store.create(manifest) as writer:
        await writer.write(entry.to_json())
    joined = await commit_if_complete(source, context)
    return (entry, False) if joined is None else (joined, True)


async def _check_edges(source: Source, byte_range: ByteRange) -> None:
    """Check that a range begins and ends behind a line end, as a record does.

    A range given by hand may tear a row, and both halves may be rows of their own.
    """
    for edge in byte_range:
        if 0 < edge < source.info.size_bytes:
            before = await source.store.read(source.info, edge - 1, edge)
            if before not in (b"\n", b"\r"):
                raise ConfigError(
                    url=source.info.url,
                    expected=f"a line end before byte {edge} of a range",
                    actual="a byte within a line",
                    hint="`shopkpi plan` gives ranges of whole records",
                )


async def commit_if_complete(source: Source, context: ValidationContext) -> Entry | None:
    """Commit an object whose manifests tile it.

    Returns:
        The committed entry; None while ranges are missing.

    Raises:
        StoreError: Manifests cannot be read, or the ledger fails.
    """
    known = await context.find(source.source_id)
    if known is not None and context.is_final(known):
        return known
    manifests = await _read_manifests(source, context)
    tiles = tile(manifests, source.info.size_bytes)
    if tiles is None or await _drop_collected(source, context, manifests):
        return None
    entry = check_balance(_join([manifests[one] for one in tiles], context.contract))
    entry = await context.with_known_content(entry)
    committed = await context.ledger.commit(
        entry, adoption=context.adoption, replaces=context.replaces(known)
    )
    await record_object(source, committed, context)
    # Clean files of a refused object, or of another plan's ranges, belong to no entry.
    kept = {part.key for part in committed.parts}
    for manifest in manifests.values():
        for part in manifest.parts:
            if part.key not in kept:
                await context.workspace.store.delete(context.workspace.stored(part.key))
    return committed


async def _drop_collected(
    source: Source, context: ValidationContext, manifests: Mapping[ByteRange, Entry]
) -> bool:
    """Delete the manifests of ranges whose objects are gone; return whether there are any."""
    store, folder = context.workspace.store, _manifest_folder(source, context)
    found = False
    async for info in store.list(folder):
        if context.now() - info.uploaded_at.timestamp() <= UNCHECKED_S:
            continue
        entry = manifests.get(_range_of(info))
        if entry is not None and await missing_objects(entry, context.workspace):
            await store.delete(info.key)
            found = True
    return found


def _range_of(info: ObjectInfo) -> ByteRange:
    return ByteRange.parse(info.key.rsplit("/", 1)[-1].removesuffix(".json"))


async def commit_ranges(source: Source, context: ValidationContext) -> Entry:
    """Commit an object all of whose ranges have been validated.

    Raises:
        ContractChanged: Ranges are missing, and another contract has come into force meanwhile: the
            object may have been committed under that one, which takes its clean files away.
        StoreError: Ranges are missing; the message names the first byte without one.
    """
    entry = await commit_if_complete(source, context)
    if entry is None:
        in_force = await context.ledger.adoption()
        if context.adoption and in_force and in_force.digest != context.adoption.digest:
            raise ContractChanged(expected=context.adoption.digest, actual=in_force.digest)
        gap = first_gap(await _read_manifests(source, context))
        raise StoreError(
            f"not all ranges are in: nothing from byte {gap} of {source.info.size_bytes} on",
            url=source.info.url,
        )
    return entry


def _manifest_folder(source: Source, context: ValidationContext) -> str:
    return context.workspace.pieces(source, context.contract)


async def _read_manifests(source: Source, context: ValidationContext) -> dict[ByteRange, Entry]:
    """Read the entries of all ranges validated so far, of whatever plan."""
    store, found = context.workspace.store, {}
    async for info in store.list(_manifest_folder(source, context)):
        byte_range = _range_of(info)
        entry = Entry.from_json(await store.read(info, 0, info.size_bytes))
        _check_manifest(entry, byte_range, source, context, info.url)
        found[byte_range] = entry
    return found


def _check_manifest(
    entry: Entry, byte_range: ByteRange, source: Source, context: ValidationContext, url: str
) -> None:
    """Check that a manifest is of this source and range, and names no other objects than theirs.

    Raises:
        DamagedObject: It does not: its objects would be committed, or deleted.
    """
    # A file of language 2 is one range, and its objects have the keys of a whole file.
    suffix = "" if context.contract.shop is not None else f"-{byte_range.padded}"

    def key(zone: str, dataset: str) -> str:
        of_dataset = replace(source, dataset=dataset or source.dataset)
        return context.workspace.key(zone, of_dataset, context.contract, suffix)

    keys = {part.key for part in entry.parts if part.key != key("clean", part.dataset)}
    keys |= set(entry.rejects) - {key("rejects", "")}
    if keys or entry.source_id != source.source_id:
        raise DamagedObject(
            url=url,
            expected=f"a manifest of bytes {byte_range} of {source.info.url}",
            actual=f"one of {entry.url} with {len(keys)} other objects",
        )


def _content(entries: Sequence[Entry]) -> str | None:
    """Combine the parts of an object's ranges; None where one is of 0.1.0, or was refused."""
    parts = [entry.content for entry in entries]
    known = [one for one in parts if one is not None]
    return content_of_parts("".join(known)) if len(known) == len(parts) else None


def _join(entries: Sequence[Entry], contract: Contract) -> Entry:
    """Join the entries of an object's ranges, in their order, to the entry of the object."""
    if entries[0].feeds:  # of language 2, whose objects are not split
        return replace(entries[0], content=_content(entries))
    rows = sum(entry.rows_read for entry in entries)
    rejected = sum(entry.rows_rejected for entry in entries)
    passed_over = sum(entry.rows_passed_over for entry in entries)
    reasons: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    rejects: list[str] = []
    rows_before: list[int] = []
    rows_so_far = 0
    for entry in entries:
        reasons.update(entry.reasons)
        notes.update(entry.notes)
        rejects += entry.rejects
        rows_before += [rows_so_far] * len(entry.rejects)
        rows_so_far += entry.rows_read
    joined = replace(
        entries[0],
        rows_read=rows,
        rows_clean=rows - rejected - passed_over,
        rows_passed_over=passed_over,
        rows_rejected=rejected,
        reasons=dict(sorted(reasons.items())),
        parts=tuple(part for entry in entries for part in entry.parts),
        rejects=tuple(rejects),
        rows_before=tuple(rows_before),
        notes=dict(notes),
        reason=None,
        seconds=round(sum(entry.seconds for entry in entries), 3),
        content=_content(entries),
    )
    refused = next((entry.reason for entry in entries if entry.verdict == "refused"), None)
    worst = max(entries, key=lambda entry: entry.rows_rejected)
    summary = f"{describe_codes(reasons)}; of one range: {worst.reason}"
    reason = refused or too_many_rejects(contract, rows, rejected, summary)
    return refuse(joined, reason) if reason else joined
