"""What a shop's operator asks first: what came, what was refused, what waits, how far the KPIs are.

It reads counters, the progress record and few receipts, whatever the ledger holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kpi.aggregation.tables import KPI_TABLES, record_names
from kpi.contract.deliveries import MissingDelivery
from kpi.contract.loading import parse_contract
from worker.clean import Workspace
from worker.index.intake import DatasetIntake, Refusal
from worker.index.stored_intake import STRIDE_RECORDS, count_on, read_intake
from worker.maintenance.expected_files import find_missing_files
from worker.maintenance.gone_files import find_gone_files
from worker.state import Adoption, Entry, Progress, State
from worker.state.contract_in_force import adoption_at
from worker.state.paging import PAGE_ENTRIES

MOST_WAITING = 1_000
"""Files with waiting items of which the receipt is read: those with the most of them."""


@dataclass(frozen=True, kw_only=True)
class WaitingFile:
    """A file of which items wait for their order.

    Attributes:
        source_id: The upload.
        url: Where it was read.
        items: Items of it that wait.
        uploaded_at: When it was uploaded: they wait since then.
    """

    source_id: str
    url: str
    items: int
    uploaded_at: datetime


@dataclass(frozen=True, kw_only=True)
class ShopStatus:
    """The state of a shop.

    Attributes:
        head: Last sequence of the ledger.
        counted_up_to: Sequence up to which `datasets` and `refused` are known.
        datasets: Dataset -> its accepted uploads.
        refused: Files that are refused, the earliest verdict first.
        refusals_dropped: How many more there were, before them.
        waiting: Files with waiting items, the longest waiting first; see `MOST_WAITING`.
        waiting_files: Number of all of them.
        waiting_items: Items of all of them.
        waiting_as_of: Sequence that they are known at.
        published: KPI table -> sequence up to which every day of it is published.
        behind: KPI table -> sequence that it has reached, where records that may change it follow.
        adoption: The contract in force; None before the first accepted file.
        contract_name: Its name; empty where there is none.
        expects: Whether it says which files come when.
        missing: Expected files that are not there, those due first first.
        gone: Last uploads of local files that count and are gone; none of a large ledger.
    """

    head: int
    counted_up_to: int
    datasets: Mapping[str, DatasetIntake]
    refused: tuple[Refusal, ...]
    refusals_dropped: int
    waiting: tuple[WaitingFile, ...]
    waiting_files: int
    waiting_items: int
    waiting_as_of: int
    published: Mapping[str, int]
    behind: Mapping[str, int] = field(default_factory=dict)
    adoption: Adoption | None = None
    contract_name: str = ""
    expects: bool = False
    missing: tuple[MissingDelivery, ...] = ()
    gone: tuple[Entry, ...] = ()


async def read_status(
    workspace: Workspace,
    state: State,
    *,
    now: datetime,
    most_records: int = STRIDE_RECORDS,
) -> ShopStatus:
    """Read the state of a shop.

    Args:
        workspace: Where the counters are.
        state: Ledger and KPI tables.
        now: The present time.
        most_records: Records that are read at most, where the counters are far behind, and up to
            which all receipts are read for `gone`.

    Raises:
        StoreError: A store fails after retries.
    """
    head = await state.head()
    progress = await state.progress()
    intake = await read_intake(workspace, state, head)
    await count_on(intake, state, head, most_records)
    adoption = await adoption_at(state, head)
    contract = None
    if adoption is not None:
        contract = parse_contract(adoption.text, source="the contract in the ledger")
    return ShopStatus(
        head=head,
        counted_up_to=intake.up_to,
        datasets=dict(sorted(intake.datasets.items())),
        refused=tuple(intake.refused.values()),
        refusals_dropped=intake.refusals_dropped,
        waiting=await find_waiting_files(state, progress),
        waiting_files=len(progress.waiting),
        waiting_items=sum(progress.waiting.values()),
        waiting_as_of=progress.waiting_as_of,
        published=_of_tables(progress),
        behind=await _behind(state, progress, head),
        adoption=adoption,
        contract_name="" if contract is None else contract.name,
        expects=contract is not None and bool(contract.expect),
        missing=await find_missing_files(state, intake.datasets, adoption, now),
        gone=await _gone_files(workspace, state, head, most_records),
    )


async def _gone_files(
    workspace: Workspace, state: State, head: int, most_records: int
) -> tuple[Entry, ...]:
    """Return local files that are gone; with a workspace in S3, files are mostly there too."""
    if workspace.location.bucket or head > most_records:
        return ()
    return tuple(await find_gone_files(state))


async def _behind(state: State, progress: Progress, head: int) -> dict[str, int]:
    """Return the tables that lack something: a file that is refused or staged changes none."""
    since = min(progress.published.values(), default=head)
    records = await state.records(after=since, up_to=min(head, since + PAGE_ENTRIES))
    last = max(
        (
            one.sequence
            for one in records
            if not (isinstance(one, Entry) and (one.verdict == "refused" or one.staged))
        ),
        default=0,
    )
    return {table: at for table, at in _of_tables(progress).items() if at < last}


def _of_tables(progress: Progress) -> dict[str, int]:
    """Return how far each table has come: the lesser, where a record has two names of it."""
    return {
        table: min(progress.published.get(name, 0) for name in record_names([table]))
        for table in sorted(KPI_TABLES.keys() & progress.published.keys())
    }


async def find_waiting_files(state: State, progress: Progress) -> tuple[WaitingFile, ...]:
    """Return the files with the most waiting items, the longest waiting first."""
    most = sorted(progress.waiting, key=lambda one: (-progress.waiting[one], one))[:MOST_WAITING]
    pointers = await state.pointers(most)
    entries = await state.entries_at([one.sequence for one in pointers.values()])
    found = [
        WaitingFile(
            source_id=entry.source_id,
            url=entry.url,
            items=progress.waiting[entry.source_id],
            uploaded_at=entry.uploaded_at,
        )
        for entry in entries
    ]
    return tuple(sorted(found, key=lambda one: (one.uploaded_at, one.url)))
