"""Bring another contract into force, where it makes other clean rows.

1. *Find*: every accepted upload needs clean rows of the proposed contract. Where it has none, its
   raw object is looked for. If one is gone, nothing is committed.
2. *Stage*: each is validated by the proposed contract. Its entry is committed as staged, and has no
   effect. If the proposed contract would refuse one, nothing is adopted.
3. *Adopt*: one record, on condition that the ledger has got no other record since the uploads were
   listed. Otherwise the new ones come next.

A process may die anywhere: the next one finds the entries that are staged, and goes on. Until the
record is there, the KPIs are those of the old contract; from then on, those of the new one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from kpi.contract.model import Contract
from worker.errors import ConfigError, CustomersErased, HeadMoved
from worker.maintenance.raw_objects import RawObjects
from worker.maintenance.repair.revalidation import validate_again
from worker.objects.source import Source
from worker.runtime.concurrency import each
from worker.runtime.memory_budget import SMALL_SOURCE_BYTES, SMALL_SOURCES_AT_ONCE
from worker.runtime.wording import counted
from worker.state import Adoption, Entry, Ledger
from worker.state.contract_in_force import ContractInForce, contract_of
from worker.state.counted import CountedUploads
from worker.state.paging import records_in_pages
from worker.validate.context import ValidationContext
from worker.validate.discard import discard
from worker.validate.discovery import feeds
from worker.validate.kept_objects import check_objects

NAMED_SOURCES = 10
"""Source objects that an error names."""

MAX_ROUNDS = 100
"""Attempts of one adoption while others commit uploads."""


@dataclass(kw_only=True)
class Uploads:
    """What an adoption has to know of the uploads, up to a sequence.

    Attributes:
        head: The sequence.
        accepted: Last accepted entry of each source object, staged ones left out.
        done: Source object -> its entry under the proposed contract.
        counting: Source objects that count, by the contract in force or by the proposed one.
        needed: Those that count by the proposed one.
    """

    head: int
    accepted: dict[str, Entry] = field(default_factory=dict)
    done: dict[str, Entry] = field(default_factory=dict)
    counting: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)

    @property
    def missing(self) -> list[Entry]:
        """Entries of uploads that have no clean rows of the proposed contract, oldest first."""
        return [one for name, one in self.accepted.items() if name not in self.done]

    def forget_unrepaired(self) -> None:
        """Take no entry for done that lacks a repair which its upload has got since."""
        for name, accepted in self.accepted.items():
            done = self.done.get(name)
            if accepted.repair is None or done is None:
                continue
            if done.repair is None or done.repair.digest != accepted.repair.digest:
                del self.done[name]

    def check(self) -> None:
        """Raise an error where the proposed contract refuses an upload that counts.

        Raises:
            ConfigError: It names the uploads, and why.
        """
        refused = [
            f"{entry.url}: {entry.reason}"
            for name, entry in self.done.items()
            if entry.verdict == "refused" and name in self.accepted and name in self.counting
        ]
        if refused:
            raise ConfigError(
                f"it refuses {counted(len(refused), 'accepted file')}: {_listed(refused)}",
                hint="change the contract, or take them out of the KPIs with `shopkpi retract`",
            )


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A contract that is to come into force, and what is needed to validate by it.

    Attributes:
        adoption: Its record, without a sequence.
        in_force: The contract so far.
        so_far: Its record.
        context: Validates by the proposed contract.
        raw: Finds raw objects.
        validated: Called with each entry that was staged.
    """

    adoption: Adoption
    in_force: ContractInForce
    so_far: Adoption
    context: ValidationContext
    raw: RawObjects
    validated: Callable[[Entry], None] = lambda _: None

    @property
    def contract(self) -> Contract:
        return self.context.contract

    async def rows(self) -> ContractInForce:
        """Return the proposed contract as if it were in force: it says which entries are of it.

        Raises:
            StoreError: The ledger cannot be read, after retries.
        """
        adoption = replace(self.adoption, replaces=self.so_far.sequence)
        return await contract_of(self.context.ledger, adoption, self.contract)


async def read_uploads(
    ledger: Ledger, head: int, in_force: ContractInForce, rows: ContractInForce
) -> Uploads:
    """Find which uploads have clean rows of a proposed contract.

    Args:
        ledger: Its records up to `head` are read.
        head: Sequence.
        in_force: The contract in force.
        rows: The proposed one; see `Proposal.rows`.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    found = Uploads(head=head)
    of_contracts = [CountedUploads(one.contract.replaces_file) for one in (in_force, rows)]
    async for page in records_in_pages(ledger, head):
        for uploads in of_contracts:
            uploads.add(in_force.select(page))
        for record in page:
            if isinstance(record, Entry) and not record.erasure:
                if record.verdict == "accepted" and not record.staged:
                    found.accepted[record.source_id] = record
                if (rows.serves(record) and record.verdict == "accepted") or (
                    record.staged and record.contract == rows.contract.digest
                ):
                    found.done[record.source_id] = record
    found.forget_unrepaired()
    for uploads in of_contracts:
        found.needed = {upload.source_id for upload in uploads.in_order()}
        found.counting |= found.needed
    return found


async def stage_and_adopt(proposal: Proposal) -> Adoption:
    """Stage what the proposed contract needs, then bring it into force.

    Raises:
        ConfigError: Raw objects are gone, or the contract refuses some; nothing is adopted.
        ContractChanged: Another contract came into force meanwhile.
        SourceError: A raw object cannot be read.
        StoreError: A store fails, or others keep committing.
    """
    ledger = proposal.context.ledger
    rows = await proposal.rows()
    for _ in range(MAX_ROUNDS):
        uploads = await read_uploads(ledger, await ledger.head(), proposal.in_force, rows)
        uploads.check()
        if not await stage(proposal, uploads, ledger.stage):
            if proposal.adoption.digest == proposal.so_far.digest:
                return proposal.so_far
            try:
                return await ledger.adopt(
                    proposal.adoption, replaces=proposal.so_far.sequence, head=uploads.head
                )
            except HeadMoved:
                continue  # the new uploads come next
    raise HeadMoved(f"gave up after {MAX_ROUNDS} rounds: others keep committing uploads")


async def stage(
    proposal: Proposal, uploads: Uploads, commit: Callable[[Entry], Awaitable[Entry]]
) -> list[Entry]:
    """Validate the uploads that have no clean rows of the proposed contract yet.

    Args:
        proposal: The contract.
        uploads: The uploads.
        commit: Takes each entry, and returns it as it is committed.

    Returns:
        Their entries. Uploads that the proposed contract does not count and whose raw objects are
        gone have none.

    Raises:
        ConfigError: Raw objects of uploads that are to count are gone.
        SourceError: A raw object cannot be read.
        StoreError: A store fails, after retries.
    """
    sources = await find_sources(proposal, uploads)
    entries: list[Entry] = []

    async def one(source: Source) -> None:
        earlier = uploads.accepted[source.source_id]
        begun_s = proposal.context.now()
        entry = await validate_again(source, earlier, proposal.context)
        entry = replace(entry, staged=True)
        age_s = proposal.context.now() - begun_s
        await check_objects(entry, proposal.context.workspace, age_s)
        try:
            committed = await commit(entry)
        except CustomersErased:
            await discard(entry, proposal.context)
            raise
        if committed.repair != entry.repair:
            raise ConfigError(
                "rows of it were repaired after it was validated by this contract",
                url=entry.url,
                hint="give the contract another name: it is validated by that one anew",
            )
        entries.append(committed)
        proposal.validated(committed)

    small = [source for source in sources if source.info.size_bytes <= SMALL_SOURCE_BYTES]
    await each(small, one, SMALL_SOURCES_AT_ONCE)
    for source in sources:
        if source.info.size_bytes > SMALL_SOURCE_BYTES:
            await one(source)
    return entries


async def find_sources(proposal: Proposal, uploads: Uploads) -> list[Source]:
    """Find the raw objects of the uploads that have no clean rows of the proposed contract.

    Raises:
        ConfigError: It names uploads that count and whose raw objects are gone, or that the
            proposed contract has no place for.
        StoreError: A store fails, after retries.
    """
    sources: list[Source] = []
    gone: list[Entry] = []

    async def look(entry: Entry) -> None:
        source = await proposal.raw.find(entry)
        if source is not None:
            dataset = _dataset(source.info.key, entry, proposal)
            if dataset is not None:
                sources.append(replace(source, dataset=dataset))
            elif entry.source_id in uploads.counting:
                raise ConfigError(
                    "it is in no folder of a dataset of the proposed contract",
                    url=entry.url,
                    hint="retract this upload, or name its folder in the contract",
                )
        elif entry.source_id in uploads.needed:
            gone.append(entry)

    await each(uploads.missing, look, SMALL_SOURCES_AT_ONCE)
    if gone:
        raise ConfigError(
            "it changes the clean rows, and "
            f"{counted(len(gone), 'raw file is', 'raw files are')} gone or changed: "
            f"{_listed(sorted(entry.url for entry in gone))}",
            hint=_hint_of(gone, uploads),
        )
    order = {entry.source_id: at for at, entry in enumerate(uploads.missing)}
    return sorted(sources, key=lambda source: order[source.source_id])


def _dataset(key: str, entry: Entry, proposal: Proposal) -> str | None:
    """Name the dataset of an upload by the proposed contract; None where it has no place for it.

    One that was named by hand, with --dataset, keeps its name.
    """
    if proposal.contract.shop is not None:
        return feeds(key, proposal.contract.shop)
    former = proposal.in_force.contract
    by_hand = former.shop is None and former.dataset_of(key) != entry.dataset
    # An upload of an earlier contract of language 2 may have fed what language 1 does not have.
    if by_hand and entry.dataset in proposal.contract.datasets:
        return entry.dataset
    return proposal.contract.dataset_of(key)


def _hint_of(gone: Sequence[Entry], uploads: Uploads) -> str:
    """Say what can be done about raw files that are gone.

    Rows of an earlier version of a file count where no later one has their key.
    """
    hint = "say with --raw where they were moved, or retract these uploads"
    newest: dict[str, Entry] = {}
    for entry in uploads.accepted.values():
        other = newest.get(entry.url)
        if other is None or other.uploaded_at <= entry.uploaded_at:
            newest[entry.url] = entry
    earlier = sorted(one.source_id for one in gone if newest[one.url] is not one)
    if not earlier:
        return hint
    which = counted(len(earlier), "is an earlier version", "are earlier versions")
    return (
        f"{hint}; {which} of files that came again, of which rows count that no later one has: "
        f"`shopkpi retract {' '.join(earlier[:NAMED_SOURCES])}` leaves them out"
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED_SOURCES
    return "; ".join(names[:NAMED_SOURCES]) + (f"; and {more} more" if more > 0 else "")
