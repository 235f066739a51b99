"""Compare published days with the clean zone: recompute them, and compare row by row.

The stores are asked what they claim: how far each table has come (the progress record), and at
which sequence each day of it is whole (`KpiStore.days`). What must be there follows from both. No
claim excuses a row from being compared: a day that claims a later sequence than its table, or has
no sequence to keep to, is computed at its own. A sequence beyond the ledger's head is wrong.

Why there is no false alarm while others publish. The progress record is read before the days. By
then every day that it promises has been begun and is at its sequence or a later one, or its KPIs
have not changed since. Rows are read between two readings of the days, whose sequences never fall.
Where a day says the same before and after, the rows between were those of that sequence. Where it
does not, its writer may have caused the difference, and so may a writer that has begun a day and
not ended it. Such a day is left out and counted as unsettled. Of a day that is not ended, rows are
compared all the same: each must be that of a state from the promised sequence on
(`worker.maintenance.open_days`).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from kpi.aggregation.calendar import Days, to_date
from kpi.aggregation.tables import KPI_TABLES
from kpi.contract.model import Contract
from kpi.errors import KpiError
from worker.clean import Workspace
from worker.maintenance.audited_days import day_numbers, sample_days, with_ranges
from worker.maintenance.claims import (
    Cell,
    Claims,
    deleted_cells,
    published_days,
    tables_behind,
    unpublished_tables,
    workspace_tables,
)
from worker.maintenance.open_days import Difference, RowsByDay, never_right
from worker.maintenance.raw_bytes import OpenObjects
from worker.maintenance.recomputation import Recomputation, ShopRecomputation
from worker.maintenance.recount import Recount, Recounter
from worker.state import Row, State
from worker.state.contract_in_force import adopted_contract, adoption_at
from worker.transform.day_ranges import DateRange, possible_days
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.transform.shop.days import days_of_versions
from worker.transform.shop.snapshot import ShopSnapshot, open_shop_snapshot
from worker.transform.snapshot import Snapshot, open_snapshot


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found.

    Attributes:
        as_of: Sequence that every day of every table has been published up to, as the progress
            record has it; 0 where no transform of all days has ended.
        days: Days compared: each has been published, should have been, or has rows.
        differences: What is wrong with them.
        unsettled: Days left out: whoever was publishing them may have caused what is there.
        unpublished: Tables of which no day was ever published although the ledger has accepted
            files, ascending.
        behind: Table -> sequence that it has been published up to, where the ledger had accepted
            files or rulings after it when the audit began.
        failed: Days that cannot be computed, so that nothing is known of them, and why.
        recount: What the second implementation has counted, and from which files.
    """

    as_of: int
    days: int
    differences: tuple[Difference, ...]
    unsettled: int = 0
    unpublished: tuple[str, ...] = ()
    behind: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[date, str] = field(default_factory=dict)
    recount: Recount = field(default_factory=Recount)


async def audit(
    *,
    contract: Contract,
    workspace: Workspace,
    state: State,
    tables: frozenset[str] = frozenset(),
    first: date | None = None,
    last: date | None = None,
    sample: int | None = None,
    recount_days: int | None = 0,
    open_objects: OpenObjects | None = None,
    limits: TransformLimits = DEFAULT_LIMITS,
) -> Audit:
    """Compare published days with what the ledger's entries up to their sequence give.

    Args:
        contract: Meaning of the clean rows, where the ledger has adopted no contract.
        workspace: Where they are.
        state: Ledger and KPI tables.
        tables: KPI tables to compare, beside all those of the workspace.
        first: First day; None for no bound.
        last: Last day.
        sample: Number of published days chosen at random, with at most as many others that may have
            an order. None for all days, with those that should have neither order nor row.
        recount_days: Number of days that the second implementation counts too, from the raw files:
            half of them those published last, the others at random. None for a few where the
            uploads are small.
        open_objects: Opens the store of a raw file; None where clean files are to do.
        limits: What may be held in memory at once.

    Raises:
        ConfigError: The contract does not fit the clean zone.
        SourceError, StoreError: A retry may help.
    """
    contract = adopted_contract(await adoption_at(state, await state.head()), contract)
    claims = await Claims.read(state, tables | await workspace_tables(state))
    auditor = _Auditor(contract, workspace, state, claims, limits)
    date_range = DateRange(first=first, last=last)
    auditor.uses_checkpoint = date_range.is_bounded
    await auditor.compare(date_range, sample)
    recounter = Recounter(contract, workspace, state, open_objects)
    try:
        await auditor.recount(recounter, date_range, recount_days)
    finally:
        await recounter.close()
    return await auditor.result(recounter.result)


class _Auditor:
    """One audit, from the claims to what is certain to be wrong."""

    def __init__(
        self,
        contract: Contract,
        workspace: Workspace,
        state: State,
        claims: Claims,
        limits: TransformLimits,
    ) -> None:
        self._contract = contract
        self._workspace = workspace
        self._state = state
        self._claims = claims
        self._limits = limits
        self._compared: set[date] = set()
        self._suspects: list[Difference] = []
        self._failed: dict[date, str] = {}
        # Of all days, it is looked for faults of the checkpoint of the ledger too.
        self.uses_checkpoint = False

    async def compare(self, date_range: DateRange, sample: int | None) -> None:
        """Compare the days of a range, or a sample of them.

        Most days have not changed since they were published, so that one snapshot serves. What is
        not right as of that one may be right as of its own sequence.
        """
        claims, latest = self._claims, self._claims.latest
        snapshot = await self._snapshot(latest)
        begun = date_range.select(day_numbers(claims.begun))
        others = np.setdiff1d(date_range.select(await _days_of(snapshot)), begun)
        gaps: DateRange | None = date_range
        if sample is not None:
            begun, others, gaps = sample_days(begun, sample), sample_days(others, sample), None
        # A day that has lost all of its orders is compared as well: nothing must be there.
        self._compared = {
            day
            for day in map(to_date, begun.tolist())
            if any(claims.sequence((name, day)) for name in claims.reached)
        }
        at_own_sequence: dict[int, set[date]] = defaultdict(set)
        days = np.union1d(begun, others)
        async for cell, found in self._cells(snapshot, days, gaps):
            self._compared.add(cell[1])
            own = claims.sequence(cell)
            if own in (0, latest):
                self._note(cell, found)
            elif found:
                at_own_sequence[own].add(cell[1])
        for own, of_own in sorted(at_own_sequence.items()):
            earlier = await self._snapshot(own)
            async for cell, found in self._cells(earlier, day_numbers(of_own), None):
                if claims.sequence(cell) == own:
                    self._note(cell, found)

    async def recount(self, recounter: Recounter, date_range: DateRange, size: int | None) -> None:
        """Compare some published days with a count by the second implementation."""
        latest = self._claims.latest
        if size is None:
            size = await recounter.automatic_days(latest, is_bounded=date_range.is_bounded)
        at_own_sequence: dict[int, set[date]] = defaultdict(set)
        chosen = await self._days_to_recount(date_range, size)
        async for cell, found in self._recounted_cells(recounter, chosen, latest):
            own = self._claims.sequence(cell)
            if own in (0, latest):
                self._add_suspects(found)
            elif found:
                at_own_sequence[own].add(cell[1])
        for own, days in sorted(at_own_sequence.items()):
            async for cell, found in self._recounted_cells(recounter, days, own):
                if self._claims.sequence(cell) == own:
                    self._add_suspects(found)

    async def _days_to_recount(self, date_range: DateRange, size: int) -> set[date]:
        """Choose days: half of them those published last, the others at random.

        A day that may have an order and was never published is among the others.
        """
        if not size:
            return set()
        snapshot = await self._snapshot(self._claims.latest)
        possible = date_range.select(await _days_of(snapshot))
        begun = date_range.select(day_numbers(self._claims.begun))
        # Of days published at one sequence, some at random.
        days = list(map(to_date, np.random.default_rng().permutation(begun)))
        days.sort(key=lambda day: max(self._claims.begun[day].values(), default=0), reverse=True)
        last, rest = days[: -(-size // 2)], days[-(-size // 2) :]
        rest += map(to_date, np.setdiff1d(possible, begun))
        return {*last, *random.sample(rest, min(size - len(last), len(rest)))}

    async def _recounted_cells(
        self, recounter: Recounter, days: Collection[date], sequence: int
    ) -> AsyncIterator[tuple[Cell, list[Difference]]]:
        """Compare each table of some days with a count as of a sequence."""
        if not days:
            return
        counted = await recounter.count(days, sequence)
        for name in sorted(self._claims.reached):
            for day in sorted(days):
                expected: list[Row] = [*counted[name].get(day, [])]
                published: list[Row] = []
                async for _, rows in published_days(
                    self._state, name, DateRange(first=day, last=day)
                ):
                    published = rows
                if day not in self._failed:
                    cell = name, day
                    yield cell, self._differences(cell, published, expected)

    def _add_suspects(self, found: list[Difference]) -> None:
        known = {(one.cell, one.group) for one in self._suspects}
        self._suspects += [one for one in found if (one.cell, one.group) not in known]

    async def result(self, recount: Recount) -> Audit:
        """Read the claims again, and keep what no writer can have caused meanwhile."""
        claims = self._claims
        after = await Claims.read(self._state, claims.reached) if self._suspects else claims
        pending = await deleted_cells(self._state, claims)
        steady = [
            one
            for one in self._suspects
            if one.cell not in pending and _is_steady(one, claims, after)
        ]
        certain = [one for one in steady if not claims.is_open(one.cell)]
        certain += await never_right(
            [one for one in steady if claims.is_open(one.cell)],
            claims,
            after.head,
            self._state,
            self._expected,
        )
        wrong = {one.order_date for one in certain}
        unsettled = {one.order_date for one in self._suspects} - wrong
        unpublished = await unpublished_tables(self._state, claims)
        behind = await tables_behind(self._state, claims)
        return Audit(
            as_of=min(claims.reached.values()),
            days=len(self._compared - unsettled - self._failed.keys()),
            differences=tuple(sorted(certain, key=lambda one: (one.order_date, one.table))),
            unsettled=len(unsettled),
            unpublished=unpublished,
            behind={name: at for name, at in behind.items() if name not in unpublished},
            failed=self._failed,
            recount=recount,
        )

    async def _snapshot(self, sequence: int) -> Snapshot | ShopSnapshot:
        # Days published before an adoption may be of a contract of the other language.
        contract = adopted_contract(await adoption_at(self._state, sequence), self._contract)
        since = sequence if self.uses_checkpoint else 0
        if contract.shop is not None:
            return await open_shop_snapshot(
                self._state,
                sequence,
                self._workspace,
                contract,
                limits=self._limits,
                since=since,
                with_index=False,  # it is looked for faults of the index too
            )
        return await open_snapshot(
            self._state,
            sequence,
            self._workspace,
            contract,
            limits=self._limits,
            since=since,
            with_index=False,
        )

    async def _expected(self, sequence: int, days: Collection[date]) -> RowsByDay:
        """Recompute some days as of a sequence: table -> day -> rows."""
        recomputation = await self._recomputation(await self._snapshot(sequence), day_numbers(days))
        found: dict[str, dict[date, list[Row]]] = defaultdict(dict)
        for batch in recomputation.batches:
            expected, _ = await recomputation.rows(batch)
            for name, by_day in expected.items():
                found[name] |= by_day
        return found

    async def _recomputation(
        self, snapshot: Snapshot | ShopSnapshot, days: Days
    ) -> Recomputation | ShopRecomputation:
        tables = frozenset(self._claims.reached)
        if isinstance(snapshot, ShopSnapshot):
            return await ShopRecomputation.of(snapshot, days, tables)
        return await Recomputation.of(snapshot, days, tables)

    def _note(self, cell: Cell, found: list[Difference] | KpiError) -> None:
        if isinstance(found, KpiError):
            self._failed[cell[1]] = str(found)
        else:
            self._suspects += found

    async def _cells(
        self, snapshot: Snapshot | ShopSnapshot, days: Days, gaps: DateRange | None
    ) -> AsyncIterator[tuple[Cell, list[Difference] | KpiError]]:
        """Compare each table of some days that has rows, or must have some.

        Args:
            snapshot: The clean zone at the sequence that the rows are compared at.
            days: Ascending.
            gaps: Days between these, and around them, are searched for rows as well.

        Yields:
            A table and a day with its differences, or why it cannot be computed.
        """
        recomputation = await self._recomputation(snapshot, days)
        for batch, ranges in with_ranges(recomputation.batches, gaps):
            expected, failed = await recomputation.rows(batch)
            for name, by_day in sorted(expected.items()):
                for day, error in failed.items():
                    yield (name, day), error
                for date_range in ranges:
                    async for day, published in published_days(self._state, name, date_range):
                        if day not in failed:
                            cell = name, day
                            yield cell, self._differences(cell, published, by_day.pop(day, []))
                for day, missing in by_day.items():
                    cell = name, day
                    if self._claims.sequence(cell):
                        yield cell, self._differences(cell, [], missing)

    def _differences(
        self, cell: Cell, published: list[Row], expected: list[Row]
    ) -> list[Difference]:
        """Return the rows of a day of a table that differ, ascending by group."""
        table, day = cell
        key = KPI_TABLES[table].group_key

        def by_group(rows: list[Row]) -> dict[str | None, Row]:
            return {str(row[key]) if key else None: row for row in rows}

        found = by_group(published)
        wanted = by_group(expected if self._claims.sequence(cell) else [])
        differences = []
        for group in sorted({*found, *wanted}, key=str):
            there, right = found.get(group), wanted.get(group)
            if right is not None:
                right = {**right, "as_of": self._claims.expected_as_of(cell, there)}
                if self._claims.is_of_earlier_release(cell):
                    # The next transform fills them.
                    right = _without(right, KPI_TABLES[table].completeness)
                    there = there and _without(there, KPI_TABLES[table].completeness)
            if there != right:
                differences.append(
                    Difference(
                        table=table, order_date=day, group=group, published=there, expected=right
                    )
                )
        return differences


def _without(row: Row, attributes: Collection[str]) -> Row:
    return {name: value for name, value in row.items() if name not in attributes}


async def _days_of(snapshot: Snapshot | ShopSnapshot) -> Days:
    """Find the days that may have an order."""
    if isinstance(snapshot, ShopSnapshot):
        return await days_of_versions(snapshot)
    return await possible_days(snapshot.orders)


def _is_steady(one: Difference, before: Claims, after: Claims) -> bool:
    """Return whether no writer has ended the day between two readings, or begun it."""
    was_begun, is_begun = (one.order_date in claims.begun for claims in (before, after))
    return was_begun == is_begun and before.whole(one.cell) == after.whole(one.cell)
