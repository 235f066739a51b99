"""Find, rewrite and erase; see the package."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from kpi.contract.receipt_notes import Note
from worker.errors import CustomersErased, HeadMoved, ObjectsCollected, SourceMissing
from worker.index.day_sums import drop_sums
from worker.maintenance.erasure.request import Found, Request
from worker.maintenance.erasure.rewriting import Rewriter
from worker.maintenance.erasure.scan import find_related
from worker.state import Adoption, Entry, Erasure, Ledger
from worker.state.contract_in_force import ContractInForce
from worker.state.erasures import Erasures, read_erasures
from worker.state.paging import records_in_pages
from worker.validate.kept_objects import check_objects

MAX_ROUNDS = 100
"""Attempts of one erasure while others commit uploads."""

NOTES = (Note.PSEUDONYMISED, Note.ERASED, Note.ERASED_REJECTS)
"""Notes that count what was erased."""


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What an erasure did.

    Attributes:
        erasure: Its record; None where no object has the customer, and none was erased before.
        entries: Entries that were rewritten, as they are in effect.
        rows: Note -> rows that have it, in all of these together.
        scanned: Entries with objects that were looked at.
    """

    erasure: Erasure | None
    entries: tuple[Entry, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    scanned: int = 0


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The entries of a ledger at its head.

    Attributes:
        head: Its last sequence.
        erasures: Customers erased by then.
        entries: Entries with objects, as they are in effect; also those that are staged for a
            contract, and those of refused, replaced and retracted files.
        contracts: Digest -> contract, of all that were ever in force.
    """

    head: int
    erasures: Erasures
    entries: tuple[Entry, ...]
    contracts: dict[str, Contract]


async def list_entries(ledger: Ledger, in_force: ContractInForce) -> Listing:
    """List everything that may name an object with the customer.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    head = await ledger.head()
    erasures = await read_erasures(ledger)
    entries: list[Entry] = []
    contracts = {in_force.contract.digest: in_force.contract}
    async for page in records_in_pages(ledger, head):
        for record in erasures.select(page):
            if isinstance(record, Entry) and (record.parts or record.rejects):
                entries.append(record)
            elif isinstance(record, Adoption) and record.digest not in contracts:
                contracts[record.digest] = parse_contract(record.text, source="the ledger")
    return Listing(head=head, erasures=erasures, entries=tuple(entries), contracts=contracts)


async def rewrite(
    request: Request, listing: Listing, found: Found, erasure: Erasure
) -> list[Entry]:
    """Rewrite the entries that have the customer, and return them, ready to be staged.

    Raises:
        SourceError: A clean object cannot be read.
        StoreError: One cannot be written.
    """
    rewriter = Rewriter(
        workspace=request.workspace_for(erasure),
        subjects=request.subjects(found),
        contracts=listing.contracts,
    )
    entries: list[Entry] = []
    for entry in listing.entries:
        rewritten = await rewriter.rewrite(entry)
        if rewritten is not None:
            entries.append(
                replace(
                    rewritten,
                    staged=True,
                    erasure=erasure.erasure_id,
                    rewrites=entry.sequence,
                    erased=listing.erasures.last,
                    sequence=0,
                )
            )
    return entries


async def plan(request: Request) -> Erased:
    """Return what an erasure would do; its entries are not staged, nor is it committed.

    The workspace of the request receives the objects that it rewrites.

    Raises:
        SourceError: A clean object cannot be read.
        StoreError: A store fails, after retries.
    """
    listing = await list_entries(request.ledger, request.in_force)
    found = await find_related(request, listing.entries, listing.contracts)
    erasure = request.erasure(listing.erasures, found)
    entries = await rewrite(request, listing, found, erasure)
    return Erased(
        erasure=erasure if entries or request.keeps_absent else request.latest(listing.erasures),
        entries=tuple(entries),
        rows=count_rows(listing, {one.rewrites: one for one in entries}),
        scanned=len(listing.entries),
    )


async def erase(request: Request) -> Erased:
    """Rewrite everything that has the customer, and commit the erasure.

    Raises:
        HeadMoved: Others keep committing uploads.
        SourceError: A clean object cannot be read.
        StoreError: A store fails, after retries.
    """
    checked: dict[str, set[int]] = {}
    for _ in range(MAX_ROUNDS):
        listing = await list_entries(request.ledger, request.in_force)
        try:
            done = await _erase_once(request, listing, checked)
        except (CustomersErased, HeadMoved, ObjectsCollected):
            continue
        except SourceMissing:
            if (await read_erasures(request.ledger)).last == listing.erasures.last:
                raise
            continue  # another customer was erased, and the object is another one now
        if done is not None:
            await drop_sums(request.workspace)
            return done
    raise HeadMoved(f"gave up after {MAX_ROUNDS} rounds: others keep committing uploads")


async def _erase_once(
    request: Request, listing: Listing, checked: dict[str, set[int]]
) -> Erased | None:
    """Rewrite what a listing has of the customer, or commit the erasure where all of it is staged.

    Args:
        request: Who is erased.
        listing: At the ledger's head.
        checked: Erasure -> sequences of entries that need not be looked at again; extended.

    Returns:
        None where entries were staged, so that the head has moved.
    """
    ledger = request.ledger
    found = await find_related(request, listing.entries, listing.contracts)
    erasure = request.erasure(listing.erasures, found)
    staged = {one.rewrites: one for one in await ledger.rewritten(erasure.erasure_id)}
    done = checked.setdefault(erasure.erasure_id, set())
    left = tuple(
        one for one in listing.entries if one.sequence not in done and one.sequence not in staged
    )
    begun_s = request.now()
    new = await rewrite(request, replace(listing, entries=left), found, erasure)
    for entry in new:
        await check_objects(entry, request.workspace, request.now() - begun_s)
        request.rewritten(await ledger.stage(entry))
    done.update(one.sequence for one in left)
    if new:
        return None
    known = request.latest(listing.erasures)
    if not staged and (known is not None or not request.keeps_absent):
        return Erased(erasure=known, scanned=len(listing.entries))
    return Erased(
        erasure=await ledger.erase(erasure, head=listing.head),
        entries=tuple(staged.values()),
        rows=count_rows(listing, staged),
        scanned=len(listing.entries),
    )


def count_rows(listing: Listing, rewritten: dict[int, Entry]) -> dict[str, int]:
    """Count the rows that an erasure has changed, by note."""
    before = {one.sequence: one for one in listing.entries}
    counts = {
        str(note): sum(
            entry.notes.get(str(note), 0) - before[at].notes.get(str(note), 0)
            for at, entry in rewritten.items()
            if at in before
        )
        for note in NOTES
    }
    return {note: rows for note, rows in counts.items() if rows}
