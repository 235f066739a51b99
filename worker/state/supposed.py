"""A state as it would be after some records: what a dry run commits is kept here alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from worker.state import Adoption, Entry, Erasure, Pointer, Record, Sighting, State


class SupposedState:
    """Read a state through some records that it does not have, and commit to them alone.

    It has what validation and a preview of a transform call, and no more: any other method is a
    mistake, and fails.

    Args:
        state: What is only read.
        head: Its last sequence.
        records: Follow that, in their order.
    """

    def __init__(self, state: State, head: int, records: Sequence[Record] = ()) -> None:
        self._state = state
        self._head = head
        self._supposed: list[Record] = [
            record.at(head + at) for at, record in enumerate(records, start=1)
        ]
        self.progress = state.progress
        self.days = state.days
        self.rows = state.rows
        self.find_staged = state.find_staged
        self.entries_at = state.entries_at
        self.sightings = state.sightings

    @property
    def supposed(self) -> Sequence[Record]:
        """What follows the records of the state, in order."""
        return tuple(self._supposed)

    async def head(self) -> int:
        return self._head + len(self._supposed)

    async def find(self, source_id: str) -> Entry | None:
        entries = [one for one in self._entries() if one.source_id == source_id]
        return entries[-1] if entries else await self._state.find(source_id)

    async def pointers(
        self, source_ids: Collection[str], *, staged_for: str | None = None
    ) -> dict[str, Pointer]:
        return await self._state.pointers(source_ids, staged_for=staged_for)

    async def commit(
        self, entry: Entry, *, adoption: Adoption | None = None, replaces: int = 0
    ) -> Entry:
        """Suppose an entry; as of `Ledger.commit`, the first accepted one adopts its contract."""
        del replaces  # there is no other worker who could have committed it meanwhile
        if entry.verdict == "accepted" and adoption is not None and await self.adoption() is None:
            self._supposed.append(adoption.at(await self.head() + 1))
        supposed = entry.at(await self.head() + 1)
        self._supposed.append(supposed)
        return supposed

    async def record_sighting(self, source_id: str, sighting: Sighting) -> None:
        """Forget it: nothing was read for good."""
        del source_id, sighting

    async def adoption(self) -> Adoption | None:
        supposed = [record for record in self._supposed if isinstance(record, Adoption)]
        return supposed[-1] if supposed else await self._state.adoption()

    async def erasures(self) -> list[Erasure]:
        supposed = [record for record in self._supposed if isinstance(record, Erasure)]
        return [*await self._state.erasures(), *supposed]

    async def rewritten(self, erasure_id: str) -> list[Entry]:
        supposed = [one for one in self._entries() if one.erasure == erasure_id]
        return [*await self._state.rewritten(erasure_id), *supposed]

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None:
        del proposed  # nothing is written
        return await self._state.erasure_key() or b"-"

    async def records(self, *, after: int = 0, up_to: int | None = None) -> list[Record]:
        last = self._head if up_to is None else min(up_to, self._head)
        supposed = [
            record
            for record in self._supposed
            if after < record.sequence and (up_to is None or record.sequence <= up_to)
        ]
        return [*await self._state.records(after=after, up_to=last), *supposed]

    def _entries(self) -> list[Entry]:
        return [record for record in self._supposed if isinstance(record, Entry)]
