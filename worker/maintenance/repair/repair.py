"""Repair rejected rows of one source object: the protocol.

A repair is another entry of its source object, made of the raw object with the corrected rows in
their places (`Corrections`). The ledger lets the last entry of a source object stand, so that

- a repaired row has the rank of its row in the file, and never beats a later correction;
- whatever takes the source object out of the KPIs takes the repair with it, and back;
- transforms, the index, sums, packs and audits see what they see of any entry.

It is committed on condition that the entry which it replaces is still the last one. The corrections
are all that were ever made of the source object, so the same sheet twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from worker.clean.corrections import read_corrections, write_corrections
from worker.clean.rejects import RejectedRow, read_rejects
from worker.errors import ConfigError, CustomersErased, ObjectsCollected, StoreError
from worker.maintenance.repair.cells import Form, join_record, merge_cells, split_record
from worker.maintenance.repair.corrected_rows import CorrectedRow
from worker.maintenance.repair.revalidation import rejected_again, validate_again
from worker.objects.corrections import Correction, Corrections
from worker.objects.source import Source
from worker.state import Entry
from worker.state.entry import Repair
from worker.validate.context import ValidationContext
from worker.validate.discard import discard
from worker.validate.kept_objects import check_objects

MAX_ATTEMPTS = 10
"""Times that a repair begins again since somebody else changed the ledger meanwhile."""

NO_CORRECTIONS = Corrections(())


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What became of a sheet.

    Attributes:
        entry: Entry of the source object that stands.
        new: Rows of the sheet that this call repaired.
        unchanged: Rows of the sheet that are as they came.
        still: Row that was corrected and is rejected all the same -> why.
    """

    entry: Entry
    new: int
    unchanged: int
    still: dict[int, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class RepairTask:
    """One sheet, and the source object that its rows are of.

    Attributes:
        source: The raw object.
        form: How its records are written.
        rows: Rows of the sheet.
        context: Contract and stores.
    """

    source: Source
    form: Form
    rows: Sequence[CorrectedRow]
    context: ValidationContext

    async def run(self) -> Repaired:
        """Repair the rows.

        Raises:
            ConfigError: A row is not one of the source object's rejects, or the source object would
                be refused all the same; nothing is committed.
            ContractChanged: Another contract is in force; nothing is committed.
            SourceError: The raw object cannot be read; nothing is committed.
            StoreError: A store fails, after retries.
        """
        task = self
        for _ in range(MAX_ATTEMPTS):
            try:
                found = await task._attempt()
            except CustomersErased:
                task = replace(task, context=await task.context.with_erasures())
                continue
            except ObjectsCollected:
                continue
            if found is not None:
                return found
        raise StoreError("others keep changing the entry of this upload", url=self.source.info.url)

    async def _attempt(self) -> Repaired | None:
        """Repair the rows; None where the entry was replaced meanwhile."""
        context = self.context
        last = await context.ledger.find(self.source.source_id)
        entry = await context.find(self.source.source_id)
        if last is None or entry is None:
            raise ConfigError("the ledger does not have it", url=self.source.info.url)
        before = NO_CORRECTIONS
        if entry.repair is not None:
            before = await read_corrections(entry.repair, context.workspace)
        plan = await self._plan(entry, before)
        still: dict[int, tuple[str, ...]] = {}
        wanted = plan.corrections
        while wanted != before:
            begun_s = context.now()
            made = await self._validate(entry, wanted)
            changed = _changed(wanted, before)
            again = await rejected_again(made, changed, context.workspace)
            if not again:
                await self._check(entry, made)
                await check_objects(made, context.workspace, context.now() - begun_s)
                committed = await self._commit(made, last)
                if committed.repair != made.repair:
                    return None
                new = len(changed.records)
                return Repaired(entry=committed, new=new, unchanged=plan.unchanged, still=still)
            still |= again
            await discard(made, context)
            wanted = _without(wanted, again, before)
        return Repaired(entry=entry, new=0, unchanged=plan.unchanged, still=still)

    async def _plan(self, entry: Entry, before: Corrections) -> _Plan:
        """Hold the rows of the sheet against the rejects, and those repaired before."""
        asked = {one.row for one in self.rows}
        rejects = read_rejects(entry, self.context.workspace)
        known = {one.row: one async for one in rejects if one.row in asked}
        known |= {one.row: _rejected(one) for one in before.records if one.row in asked}
        of_row = {one.row: one for one in before.records}
        unchanged = 0
        for row in self.rows:
            original = known.get(row.row)
            if original is None or original.digest != row.digest:
                raise self._misfit(row, original)
            raw = self._record(row, original)
            if raw == original.raw:
                unchanged += 1
                continue
            of_row[row.row] = Correction(
                byte_offset=original.byte_offset, row=row.row, raw=original.raw, corrected=raw
            )
        return _Plan(corrections=Corrections.of(of_row.values()), unchanged=unchanged)

    def _record(self, row: CorrectedRow, original: RejectedRow) -> bytes:
        """Make the record of a corrected row; that of one left as it was is its own bytes."""
        if "record_too_long" in original.codes:
            raise ConfigError(
                f"line {row.line}: row {row.row} is longer than limits.max_record_bytes, and was "
                "kept in part",
                url=self.source.info.url,
                hint="delete it from the sheet, and correct the file itself",
            )
        cells = split_record(original.raw, self.form)
        width = max(len(cells), len(row.cells), len(self.form.headers))
        before, after = ([*some, *[""] * (width - len(some))] for some in (cells, row.cells))
        merged = merge_cells(before, after)
        if merged == before:
            return original.raw
        while len(merged) > len(self.form.headers) and not merged[-1]:
            merged.pop()
        if not any(merged):
            raise ConfigError(
                f"line {row.line}: row {row.row} has no value any more",
                url=self.source.info.url,
                hint="delete the line from the sheet: the row then stays rejected",
            )
        made = join_record(merged, self.form)
        if made is None:
            raise ConfigError(
                f"line {row.line}: row {row.row} has a value with the delimiter or a line end, and "
                "the file has no quotes",
                url=self.source.info.url,
            )
        return made

    def _misfit(self, row: CorrectedRow, original: RejectedRow | None) -> ConfigError:
        if original is None:
            return ConfigError(
                f"line {row.line}: row {row.row} is not rejected",
                url=self.source.info.url,
                hint="write a new sheet with `shopkpi rejects SOURCE --repair FILE`",
            )
        return ConfigError(
            f"line {row.line}: row {row.row} was made of other values than the file has there",
            url=self.source.info.url,
            expected=f"the row with digest {original.digest}",
            actual=row.digest,
            hint="write a new sheet with `shopkpi rejects SOURCE --repair FILE`",
        )

    async def _validate(self, entry: Entry, corrections: Corrections) -> Entry:
        """Validate the raw object with corrections, and keep them beside its rejects."""
        context = self.context
        source = replace(self.source, corrections=corrections)
        key = await write_corrections(source, context.workspace, context.contract)
        repair = Repair(
            key=key,
            digest=corrections.digest,
            rows=len(corrections.records),
            recorded_at=datetime.now(UTC),
        )
        return await validate_again(source, replace(entry, repair=repair), context)

    async def _check(self, entry: Entry, made: Entry) -> None:
        """Check the verdict on the source object with its repaired rows."""
        if made.verdict == "refused":
            await discard(made, self.context)
            raise ConfigError(
                f"it would be refused all the same: {made.reason}",
                url=made.url,
                hint="correct more rows of it; nothing was committed",
            )
        if made.rows_read != entry.rows_read:
            await discard(made, self.context)
            raise ConfigError(
                "the corrected rows are not as many as before",
                url=made.url,
                expected=f"{entry.rows_read} rows",
                actual=str(made.rows_read),
                hint="correct each row in its own line",
            )

    async def _commit(self, made: Entry, last: Entry) -> Entry:
        context = self.context
        try:
            return await context.ledger.commit(
                made, adoption=context.adoption, replaces=last.sequence
            )
        except CustomersErased:
            await discard(made, context)
            raise


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Corrections of a source object, those of a sheet among them.

    Attributes:
        corrections: All of them.
        unchanged: Rows of the sheet that are as they came.
    """

    corrections: Corrections
    unchanged: int


def _changed(wanted: Corrections, before: Corrections) -> Corrections:
    """Return the corrections that were not made before."""
    return Corrections.of(set(wanted.records) - set(before.records))


def _without(wanted: Corrections, rows: Iterable[int], before: Corrections) -> Corrections:
    """Leave out the corrections of some rows; those of earlier repairs stay."""
    left = {one.row: one for one in before.records if one.row in rows}
    others = [one for one in wanted.records if one.row not in rows]
    return Corrections.of([*others, *left.values()])


def _rejected(one: Correction) -> RejectedRow:
    return RejectedRow(row=one.row, byte_offset=one.byte_offset, raw=one.raw, codes=(), reasons=())
