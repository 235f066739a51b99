"""The validation task: one source object to clean rows, rejects and one ledger entry."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from worker.errors import CustomersErased, ObjectsCollected
from worker.objects.source import Source
from worker.state import Entry
from worker.validate.byte_range import ByteRange
from worker.validate.content_digest import Hashing
from worker.validate.context import ValidationContext
from worker.validate.discard import discard
from worker.validate.equal_objects import find_equal_object, record_object
from worker.validate.file_versions import confirm, find_equal, find_part, identify, now_ns, record
from worker.validate.kept_objects import UNCHECKED_S, check_objects, missing_objects
from worker.validate.stream import SourceStream
from worker.validate.verdict import check_balance, same_refusal

if TYPE_CHECKING:
    from worker.validate.mapped_validation import MappedValidation
    from worker.validate.source_validation import SourceValidation


MAX_ATTEMPTS = 10
"""Times that a source object is read again since a customer was erased meanwhile, or what was made
of it was deleted as unused."""


async def validate(source: Source, context: ValidationContext) -> tuple[Entry, bool]:
    """Bring a source object into the ledger; do nothing where it is there already.

    Returns:
        The committed entry, and whether this call made it.

    Raises:
        SourceError: The object cannot be read; nothing is committed.
        StoreError: Results cannot be written; nothing is committed.
        ContractChanged: Another contract is in force; nothing is committed.
        CustomersErased: Customers are erased all the time; nothing is committed.
        ObjectsCollected: Its clean files are deleted all the time; nothing is committed.
        BalanceError: Rows got lost: a bug.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            return await _validate(source, context)
        except CustomersErased:
            context = await context.with_erasures()
        except ObjectsCollected:
            continue
    return await _validate(source, context)


async def _validate(source: Source, context: ValidationContext) -> tuple[Entry, bool]:
    if source.info.stamp is not None:
        return await _validate_file(source, context)
    known = await context.find(source.source_id)
    if known is not None and context.is_final(known):
        return known, False
    entry = await find_equal_object(source, context) if known is None else None
    begun_s = context.now()
    if entry is None:
        entry = await validate_uncommitted(source, context)
    entry = await context.with_known_content(entry)
    committed, new = await _commit(source, entry, known, context, begun_s)
    await record_object(source, committed, context)
    return committed, new


async def _validate_file(source: Source, context: ValidationContext) -> tuple[Entry, bool]:
    """Validate a file, which may have other bytes than the ledger knows, or get some meanwhile."""
    ledger, read_at_ns = context.ledger, now_ns()
    version = await identify(source, ledger)
    known = await context.find(version.source.source_id)
    if known is not None and context.is_final(known):
        await record(version, known, ledger, read_at_ns)
        return known, False
    entry: Entry | None = None
    if known is None and version.content is None:
        equal = await find_equal(version, context)
        entry, version = (equal, version) if isinstance(equal, Entry) else (None, equal)
    begun_s = context.now()
    if entry is None:
        entry = await validate_uncommitted(version.source, context)
        if entry.verdict == "accepted":
            part = await find_part(version, entry, context)
            entry = replace(entry, continues=part)
    version = await confirm(version, entry)
    same = await context.with_known_content(entry)
    committed, new = await _commit(version.source, same, known, context, begun_s)
    if committed.content_id in (version.content, same.content_id):
        await record(version, committed, ledger, read_at_ns)
    return committed, new


async def _commit(
    source: Source, entry: Entry, known: Entry | None, context: ValidationContext, begun_s: float
) -> tuple[Entry, bool]:
    """Commit an entry, unless it says no more than the one that is known.

    Args:
        source: What was validated.
        entry: Its entry.
        known: The last entry of the ledger on it.
        context: Contract and stores.
        begun_s: `context.now()` before its objects were written.
    """
    if known is not None and entry.verdict == "refused" and same_refusal(entry, known):
        return known, False
    # Another worker may have committed it first; that entry counts, and its objects are the same.
    replaces = context.replaces(known)
    await check_objects(entry, context.workspace, context.now() - begun_s)
    checked_s = context.now()
    try:
        committed = await context.ledger.commit(entry, adoption=context.adoption, replaces=replaces)
    except CustomersErased:
        await discard(entry, context)
        raise
    slept = context.now() - checked_s > UNCHECKED_S
    if slept and await missing_objects(committed, context.workspace):
        await validate_uncommitted(source, context)  # the same objects
    # Of two workers that validate an object at once one finds the other's entry, and so commits
    # none: a commit is told, and counted, once.
    return committed, committed == entry.at(committed.sequence)


async def validate_uncommitted(
    source: Source, context: ValidationContext, byte_range: ByteRange | None = None
) -> Entry:
    """Write clean rows and rejects of a source object, and return the entry to commit.

    Args:
        source: Object to read.
        context: Contract and stores; its ledger is not used.
        byte_range: Whole records to read instead of all; the entry then is that of the range, and
            `max_reject_rate` is not applied.

    Raises:
        SourceError: The object cannot be read.
        StoreError: Results cannot be written.
        BalanceError: Rows got lost: a bug.
    """
    started = time.perf_counter()
    async with SourceStream(
        source.store,
        source.info,
        byte_range=byte_range,
        max_inflation=context.contract.max_inflation,
        hashing=Hashing(
            whole=context.sha256 and byte_range is None,
            # The digest of a file is what later tells other bytes of the same mtime and size.
            refused=(context.sha256 or source.info.stamp is not None) and byte_range is None,
        ),
        block_sizes=context.block_sizes,
    ) as stream:
        # The stream has asked for the first bytes: they come while Arrow is imported.
        if context.contract.shop is None:
            validation_type = await asyncio.to_thread(import_source_validation)
            entry = await validation_type(source, context, stream, byte_range).run()
        else:
            mapped_type = await asyncio.to_thread(import_mapped_validation)
            entry = await mapped_type(source, context, stream).run()
    # To the microsecond, which no other validation of the object takes as well: see `_commit`.
    seconds = round(time.perf_counter() - started, 6)
    return check_balance(replace(entry, seconds=seconds, erased=context.erasures.last))


def import_mapped_validation() -> type[MappedValidation]:
    """Import what maps rows: Arrow takes a quarter of a second."""
    from worker.validate.mapped_validation import MappedValidation  # noqa: PLC0415

    return MappedValidation


def import_source_validation() -> type[SourceValidation]:
    """Import what parses and encodes: Arrow takes a quarter of a second."""
    from worker.validate.source_validation import SourceValidation  # noqa: PLC0415

    return SourceValidation
