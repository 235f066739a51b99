"""What holds at every moment of a history, whatever has happened so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kpi.erasure.digests import Digests
from tests.simulation import model
from tests.simulation.contracts import CONTRACT, MEANINGS
from tests.simulation.model import Deletion, Upload
from worker.objects import ObjectStore
from worker.state import Adoption, Entry, Erasure, Ruling
from worker.state import Record as LedgerRecord
from worker.state.erasures import read_erasures
from worker.state.memory import MemoryState


class Violation(AssertionError):
    """A promise is broken."""


class Invariants:
    """Checks a state against the model at each prefix of its ledger.

    It asks `MemoryState` itself, so that a state under test whose answers are wrong on purpose
    does not deceive it.

    Args:
        state: Ledger and KPI tables.
        clean: Where clean objects lie.
        uploads: source_id -> what was uploaded; may grow.
        torn: Whether a day may take several transactions.
    """

    def __init__(
        self,
        state: MemoryState,
        clean: ObjectStore,
        uploads: Mapping[str, Upload],
        *,
        torn: bool = False,
    ) -> None:
        self._torn = torn
        self._state = state
        self._clean = clean
        self._uploads = uploads
        self._known: list[LedgerRecord] = []
        self._published: dict[tuple[str, str], int] = {}
        self._reached: Mapping[str, int] = {}
        self._models: list[tuple[model.Tables, int]] = []
        self._customers: dict[str, str] = {}
        self._is_put_back = False

    def put_back(self) -> None:
        """Forget what was seen of ledger and tables, which are those of an earlier time now.

        Until `put_right`, clean files that an erasure has deleted may be missing.
        """
        self._known, self._published, self._reached, self._models = [], {}, {}, []
        self._is_put_back = True

    def put_right(self) -> None:
        """Expect again that everything is there which the ledger names."""
        self._is_put_back = False

    async def check(self) -> None:
        """Check every invariant.

        Raises:
            Violation: One does not hold; it says which.
        """
        await self._check_ledger()
        await self._check_days()
        await self._check_progress()

    def expected(self, sequence: int) -> model.Tables:
        """The KPI tables of the ledger's entries up to a sequence."""
        return self._model(sequence)[0]

    async def _check_ledger(self) -> None:
        records = list(await MemoryState.records(self._state))
        _require([one.sequence for one in records] == list(range(1, len(records) + 1)), "a gap")
        _require(records[: len(self._known)] == self._known, "a committed record has changed")
        erasures = await read_erasures(self._state)
        if erasures.records and not self._customers:
            known = Digests(erasures.key, "customer")
            self._customers = {known.of(str(one)).hex(): str(one) for one in range(1, 10)}
        entries = [
            one for one in erasures.select(records) if isinstance(one, Entry) and not one.erasure
        ]
        # Whoever still has the former contract may refuse an upload that the one in force has
        # refused; then that one is asked again.
        last: dict[tuple[str, bool], tuple[object, ...]] = {}
        for one in entries:
            said = one.contract, one.repair and one.repair.digest
            _require(last.get((one.source_id, one.staged)) != said, "committed twice")
            last[one.source_id, one.staged] = said
        accepted = [
            (one.source_id, one.repair and one.repair.digest)
            for one in entries
            if one.verdict == "accepted" and not one.staged
        ]
        _require(len(set(accepted)) == len(accepted), "accepted twice")
        there = {info.key async for info in self._clean.list("")}
        for entry in entries:
            for part in entry.parts if not self._is_put_back else ():
                _require(part.key in there, f"{part.key} of {entry.url} is not in the clean zone")
        for record in records[len(self._known) :]:
            if isinstance(record, Entry) and not record.erasure:
                upload = self._uploads[record.source_id]
                upload = replace(upload, is_repaired=record.repair is not None)
                _check_receipt(record, upload, self._deletions(records, record.erased))
        self._known = records

    async def _check_days(self) -> None:
        rows: dict[tuple[str, str], list[dict[str, object]]] = defaultdict(list)
        for table in self.expected(0):
            async for row in MemoryState.rows(self._state, table):
                rows[str(row["order_date"]), table].append(dict(row))
        published: dict[tuple[str, str], int] = {}
        begun = await (self._state.days() if self._torn else MemoryState.days(self._state))
        for day, tables in begun.items():
            for table in tables.keys() & self.expected(0).keys():  # one has two names
                published[day.isoformat(), table] = tables[table]
        for place, as_of in self._published.items():
            if not self._torn or place in published:
                _require(published.get(place, 0) >= as_of, f"{place} went back from {as_of}")
        for place in sorted(rows.keys() - published.keys()):
            _require(self._torn, f"{place} has rows and was never published")
            # Rows hold no sequence: a torn state keeps that of their writer beside them.
            written = self._state.written[place]  # type: ignore[attr-defined]
            right = self.expected(written)[place[1]].get(place[0], [])
            for mixed in rows[place]:
                del mixed["as_of"]
                _require(mixed in right, f"{place}: {mixed} was never right")
        for (iso, table), as_of in published.items():
            wanted = self._rows(iso, table, as_of)
            found = rows[iso, table]
            is_right = found == wanted or self._is_after_erasure(found, iso, table, as_of)
            _require(is_right, f"{table} of {iso} as of {as_of}: {found}, not {wanted}")
        # What a writer has begun and not ended stands at least where it stood before.
        self._published |= published

    def _rows(self, day: str, table: str, as_of: int) -> list[dict[str, object]]:
        rows = self.expected(as_of)[table].get(day, [])
        return [{**row, "as_of": as_of} for row in rows]

    def _is_after_erasure(
        self, found: list[dict[str, object]], day: str, table: str, as_of: int
    ) -> bool:
        """Return whether rows are those of a sequence from which a later erasure has taken some.

        An erasure holds for earlier sequences too, since their objects are deleted.
        """
        erased = [
            one.sequence
            for one in self._known[as_of:]
            if isinstance(one, Erasure) and one.mode == "delete"
        ]
        wanted = (self._compute(as_of, up_to)[0][table].get(day, []) for up_to in erased)
        return any(found == [{**row, "as_of": as_of} for row in rows] for rows in wanted)

    async def _check_progress(self) -> None:
        """A table that has come to a sequence holds no day of an elder state."""
        progress = await MemoryState.progress(self._state)
        for table in progress.published.keys() & self.expected(0).keys():
            reached = progress.published[table]
            _require(reached >= self._reached.get(table, 0), f"{table} went back to {reached}")
            wanted = self.expected(reached)[table]
            days = {day for day, of_table in self._published if of_table == table}
            for day in sorted(days | wanted.keys()):
                as_of = self._published.get((day, table), 0)
                stale = as_of < reached and self.expected(as_of)[table].get(day) != wanted.get(day)
                _require(not stale, f"{table} is said to be at {reached}, {day} is at {as_of}")
        self._reached = progress.published
        _, waiting = self._model(progress.waiting_as_of)
        counted = sum(progress.waiting.values())
        _require(counted == waiting, f"{counted} items are said to wait, not {waiting}")

    def _model(self, sequence: int) -> tuple[model.Tables, int]:
        _require(sequence <= len(self._known), f"nothing was committed as {sequence}")
        for number in range(len(self._models), sequence + 1):
            self._models.append(self._compute(number, number))
        return self._models[sequence]

    def _compute(self, sequence: int, erased_up_to: int) -> tuple[model.Tables, int]:
        """Compute KPIs and waiting items of a sequence, without what some erasures deleted."""
        committed: dict[str, Upload] = {}
        rulings: list[tuple[str, bool]] = []
        repaired: set[str] = set()
        meaning = MEANINGS[CONTRACT.name]
        for record in self._known[:sequence]:
            if isinstance(record, Adoption):
                meaning = next(of for name, of in MEANINGS.items() if f'"{name}"' in record.text)
            elif isinstance(record, Entry):
                repaired |= {record.source_id} if record.repair else set()
                committed[record.source_id] = replace(
                    self._uploads[record.source_id], is_repaired=record.source_id in repaired
                )
            elif isinstance(record, Ruling):
                rulings.append((record.source_id, record.kind == "restoration"))
        deletions = self._deletions(self._known, erased_up_to)
        uploads = [
            model.after_deletions(one, deletions)
            for one in model.counted(committed, rulings, whole=meaning.whole)
        ]
        return model.kpis(uploads, meaning), model.waiting(uploads, meaning)

    def _deletions(self, records: Sequence[LedgerRecord], up_to: int) -> list[Deletion]:
        """The customers deleted up to a sequence, each by what had come before."""
        found: list[Deletion] = []
        for record in records[:up_to]:
            if isinstance(record, Erasure) and record.mode == "delete":
                earlier = (one for one in records[: record.sequence] if isinstance(one, Entry))
                committed = sorted({one.source_id for one in earlier})
                (customer,) = (self._customers[one] for one in record.customers)
                uploads = [self._uploads[one] for one in committed]
                found.append(model.delete_customer(customer, uploads, found))
        return found


def _check_receipt(entry: Entry, upload: Upload, deletions: Sequence[Deletion]) -> None:
    rows, clean, left = len(upload.records), 0, 0
    if upload.accepted:
        clean = len(upload.clean)
        left = len(model.after_deletions(upload, deletions).records)
    found = (entry.verdict, entry.rows_read, entry.rows_clean, entry.rows_rejected)
    wanted = ("accepted" if upload.accepted else "refused", rows, left, rows - clean)
    _require(found == wanted, f"{entry.url}: the receipt says {found}, not {wanted}")
    _require(sum(part.rows for part in entry.parts) == left, f"{entry.url}: parts lack rows")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise Violation(message)
