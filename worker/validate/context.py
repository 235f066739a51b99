"""What all validations of one command share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.objects.source import HeaderCallback, ProgressCallback
from worker.state import Adoption, Entry, Ledger
from worker.state.contract_in_force import ContractInForce
from worker.state.erasures import NO_ERASURES, Erasures, read_erasures
from worker.state.sighting import rewritten_name
from worker.validate.stream import DEFAULT_BLOCK_SIZES, BlockSizes


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationContext:
    """Contract, stores, threads and options of a validation.

    Attributes:
        contract: Contract that rows must satisfy.
        workspace: Receives clean files, rejects and manifests of byte ranges.
        ledger: Receives the entry.
        adoption: The contract, as the first accepted source adopts it; None where the ledger is to
            hold entries alone.
        in_force: Which entries are of the contract; None where no other was ever in force.
        executor: Threads that parse and encode.
        progress: Called with each block read; None to report nothing.
        refused_header: Called with a header that refuses a source, for the terminal of the person
            who has the file. The ledger's reason names only columns that are known or nearly so.
        sha256: Whether entries of objects of several parts carry the SHA-256 of the stored bytes
            beside their content, for a tenth of the CPU time of a validation. Those of one part
            always do, those of byte ranges never.
        again: Whether sources that were refused under the contract are validated again.
        moved: URL of a file of a folder that was moved as a whole -> entry of what it was before.
        block_sizes: How sources are read; tests make blocks of a few bytes.
        erasures: Customers whose rows are dropped or get a pseudonym.
        now: Returns seconds since 1970, by which it shows how long a process slept.
    """

    contract: Contract
    workspace: Workspace
    ledger: Ledger
    executor: Executor
    progress: ProgressCallback | None = None
    refused_header: HeaderCallback | None = None
    adoption: Adoption | None = None
    in_force: ContractInForce | None = None
    sha256: bool = False
    again: bool = False
    moved: Mapping[str, Entry] = field(default_factory=dict)
    block_sizes: BlockSizes = DEFAULT_BLOCK_SIZES
    erasures: Erasures = NO_ERASURES
    now: Callable[[], float] = time.time

    async def with_erasures(self) -> ValidationContext:
        """Return the context with the erasures that the ledger has now.

        Raises:
            StoreError: The ledger cannot be read, after retries.
        """
        return self.under(await read_erasures(self.ledger))

    def under(self, erasures: Erasures) -> ValidationContext:
        """Return the context with some erasures."""
        workspace = replace(self.workspace, generation=erasures.generation)
        return replace(self, erasures=erasures, workspace=workspace)

    async def find(self, source_id: str) -> Entry | None:
        """Return the entry of a source object that stands under the contract, else the last."""
        if self.in_force is None:
            entry = await self.ledger.find(source_id)
        else:
            entry = await self.in_force.find(self.ledger, source_id)
        return None if entry is None else self.erasures.effective(entry)

    def serves(self, entry: Entry) -> bool:
        """Return whether the clean rows of an entry are of the contract."""
        return self.in_force is None or self.in_force.serves(entry)

    async def with_known_content(self, entry: Entry) -> Entry:
        """Return an entry with the content that its file had before a customer was erased from it.

        Raises:
            StoreError: The ledger cannot be read, after retries.
        """
        content = entry.content_id
        if content is None:
            return entry
        known = await self.known_content(content)
        return entry if known == content else replace(entry, content=known)

    async def known_content(self, content: str) -> str:
        """Return the content that a file had before a customer was erased from it.

        Raises:
            StoreError: The ledger cannot be read, after retries.
        """
        if not self.erasures.records:
            return content
        return await content_before_erasures(content, self.ledger)

    def is_final(self, entry: Entry) -> bool:
        """Return whether the verdict of an entry stands, so that its source is not read again."""
        if self.again and entry.verdict == "refused":
            return False
        if self.in_force is None:
            return entry.is_final(self.contract.digest)
        return self.in_force.is_final(entry)

    def replaces(self, entry: Entry | None) -> int:
        """Return the sequence of an entry that no longer stands; 0 for none."""
        return 0 if entry is None or self.is_final(entry) else entry.sequence


async def content_before_erasures(content: str, ledger: Ledger) -> str:
    """Return the content that a raw file had before customers were erased from it.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    name = rewritten_name(content)
    found = (await ledger.sightings([name])).get(name)
    return content if found is None else found.sha256
