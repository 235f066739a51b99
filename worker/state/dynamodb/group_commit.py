"""Commit entries that wait at once in one transaction: a constant number of requests for each.

A transaction moves the head from the sequence that was read to that of the last entry. While it is
on its way others gather, and the next one takes all of them. An entry that the transaction may not
hold (its source object has an entry, another contract is in force, an erasure came) is left to be
committed by itself, which finds out what is the matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.errors import StoreError
from worker.state import Adoption, Entry
from worker.state.dynamodb.client import CONDITION_FAILED, TRANSACTION_WRITES, Database
from worker.state.dynamodb.ledger_writes import Head, LedgerWrites

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item, Write

GROUP_ENTRIES = (TRANSACTION_WRITES - 2) // 2
"""Entries of one transaction: each has a pointer and a record; head and contract are its others."""

GROUP_BYTES = 3 * 2**20
"""JSON of the entries of one transaction: it holds 4 MB of items (TransactWriteItems)."""


@dataclass(eq=False)
class _Waiting:
    """An entry that waits for its commit.

    Attributes:
        pointer: Item that leads to it.
        entry: The entry.
        adoption: Contract that must be in force; None for any.
        size_bytes: Of its JSON.
        is_done: Whether a transaction was tried.
        committed: The entry with its sequence; None where it must be committed by itself.
    """

    pointer: Item
    entry: Entry
    adoption: Adoption | None
    size_bytes: int
    is_done: bool = False
    committed: Entry | None = None


class GroupCommit:
    """Commits entries together; for one event loop."""

    def __init__(
        self, database: Database, writes: LedgerWrites, read_head: Callable[[], Awaitable[Head]]
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            database: The tables.
            writes: Builds the writes.
            read_head: Reads the end of the ledger.
        """
        self._database = database
        self._to = writes
        self._read_head = read_head
        self._turn = asyncio.Lock()
        self._waiting: list[_Waiting] = []

    async def commit(
        self, doing: str, pointer: Item, entry: Entry, adoption: Adoption | None
    ) -> Entry | None:
        """Append an entry whose source object has none yet.

        Args:
            doing: What is done, for errors.
            pointer: Item that leads to the entry.
            entry: What to append.
            adoption: Contract that must be in force; None for any.

        Returns:
            The entry with its sequence; None where it must be committed by itself.

        Raises:
            StoreError: The tables fail after retries.
        """
        waiting = _Waiting(pointer, entry, adoption, len(entry.to_json()))
        self._waiting.append(waiting)
        try:
            async with self._turn:
                if not waiting.is_done:
                    await self._commit_some(doing, waiting)
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        return waiting.committed

    def _next_group(self, first: _Waiting) -> list[_Waiting]:
        """Take an entry and others that wait, as many as a transaction holds, and remove them."""
        group, names, size = [first], {first.entry.source_id}, first.size_bytes
        for one in self._waiting:
            fits = len(group) < GROUP_ENTRIES and size + one.size_bytes <= GROUP_BYTES
            # A transaction writes an item once, and checks one contract.
            is_apart = one.entry.source_id in names or any(
                _other(one.adoption, member.adoption) for member in group
            )
            if fits and not is_apart:
                group.append(one)
                names.add(one.entry.source_id)
                size += one.size_bytes
        self._waiting = [one for one in self._waiting if one not in group]
        return group

    async def _commit_some(self, doing: str, first: _Waiting) -> None:
        group = self._next_group(first)
        try:
            while group:
                group = await self._attempt(doing, group)
        finally:
            # Of a transaction whose answer is unknown some may be committed: each looks by itself.
            for one in group:
                one.is_done = True

    async def _attempt(self, doing: str, group: list[_Waiting]) -> list[_Waiting]:
        """Commit a group; return those of it that are to be tried once more."""
        retries = self._database.retry.while_contended().start()
        while True:
            head = await self._read_head()
            if any(one.entry.erased != head.erased for one in group):
                return self._leave(group, [one.entry.erased == head.erased for one in group])
            writes, committed = self._writes(group, head)
            reasons = await self._database.transact(doing, writes)
            if not reasons:
                for one, entry in zip(group, committed, strict=True):
                    one.committed, one.is_done = entry, True
                return []
            is_free = [reasons[2 * at] != CONDITION_FAILED for at in range(len(group))]
            if len(reasons) > 2 * len(group) + 1 and reasons[-1] == CONDITION_FAILED:
                is_free = [one.adoption is None for one in group]  # another contract is in force
            if not all(is_free):
                return self._leave(group, is_free)
            # Another record took the sequence, or is about to.
            if not await retries.again():
                raise StoreError(f"{doing}: others kept committing", url=self._database.url)

    def _writes(self, group: list[_Waiting], head: Head) -> tuple[list[Write], list[Entry]]:
        """Build the writes of a group: two for each entry, the head, the contract."""
        writes: list[Write] = []
        committed = []
        for sequence, one in enumerate(group, head.sequence + 1):
            entry = one.entry.at(sequence)
            committed.append(entry)
            point, record, moved = self._to.point(one.pointer, entry, head, 0)
            writes += [point, record]
        writes.append(moved)
        adoption = next((one.adoption for one in group if one.adoption is not None), None)
        if adoption is not None:
            writes += self._to.hold_contract(adoption, 0, is_first=False)
        return writes, committed

    @staticmethod
    def _leave(group: list[_Waiting], stays: list[bool]) -> list[_Waiting]:
        """Leave entries to be committed by themselves; return the others."""
        for one, is_kept in zip(group, stays, strict=True):
            one.is_done = not is_kept
        return [one for one in group if not one.is_done]


def _other(one: Adoption | None, other: Adoption | None) -> bool:
    """Return whether both name a contract, and not the same."""
    return one is not None and other is not None and one.digest != other.digest
