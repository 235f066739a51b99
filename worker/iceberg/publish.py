"""Bring the Iceberg tables of a shop to the sequence that its KPI tables are at.

Each table is committed by itself. Its current snapshot says in its properties which ledger
sequence it is of, so a reader sees where a process was killed between two of them, and the next
one brings each table from where it is to where it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.errors import ConfigError, OtherContract, SourceMissing
from worker.iceberg.catalogs import PREFIX, Catalog, check_catalog, in_catalog, open_catalog
from worker.iceberg.collection import (
    collect,
    delete_outdated,
    forget,
    outdated_snapshots,
    shop_prefix,
    snapshot_files,
    table_objects,
    unused_snapshots,
    write_hint,
)
from worker.iceberg.damage import DamagedFileError, HealedFile, check_data_files
from worker.iceberg.data_files import readable_schema
from worker.iceberg.file_io import bridged, key_of
from worker.iceberg.snapshot_writer import SnapshotWriter
from worker.iceberg.spans import SPAN_ROWS
from worker.iceberg.tables import (
    Commit,
    CommitConflictError,
    Stamp,
    Stored,
    drop,
    has_schema,
    load,
)
from worker.objects import StoredName
from worker.objects.location import Location
from worker.state import State
from worker.state.erasures import read_erasures
from worker.state.same_ledger import identify_ledger
from worker.transform.current_rows import CurrentDataset, CurrentRows, open_current_rows
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits

MAX_ROUNDS = 5
"""Attempts while others write the same tables, or erase customers."""

MADE_AGAIN = "the table was made again"
FORGOTTEN = "the older snapshots that have it were forgotten"
KEPT = "a branch or tag names its snapshot, so it stays"
"""What was done about damaged files."""


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """What became of one table.

    Attributes:
        rows: Its rows.
        written: Data files written.
        removed: Data files that it has no more.
        location: URL of its folder.
    """

    rows: int
    written: int
    removed: int
    location: str


@dataclass(frozen=True, kw_only=True)
class PublishedTables:
    """What was done.

    Attributes:
        sequence: Ledger sequence that all tables are of; 0 where nothing was published yet.
        tables: Name -> table, of those that got a snapshot.
        unchanged: Names of those that were at the sequence.
        deleted_objects: Files deleted that no snapshot had.
        deleted_bytes: Their bytes.
        healed: Files that were missing or damaged, and what was done.
    """

    sequence: int = 0
    tables: Mapping[str, PublishedTable] = field(default_factory=dict)
    unchanged: tuple[str, ...] = ()
    deleted_objects: int = 0
    deleted_bytes: int = 0
    healed: tuple[HealedFile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class IcebergTask:
    """What is to be published.

    Attributes:
        state: Ledger and KPI tables.
        workspace: Where clean zone and tables are.
        contract: Meaning of the clean rows, where the ledger has adopted none.
        catalog: `sqlite` or `glue://DATABASE`.
        limits: What may be held in memory at once.
        span_rows: Rows of a data file, about.
        rebuilds: Whether tables are made again that are up to date.
        now: Returns the present time.
    """

    state: State
    workspace: Workspace
    contract: Contract
    catalog: str
    limits: TransformLimits = DEFAULT_LIMITS
    span_rows: int = SPAN_ROWS
    rebuilds: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class CustomerErasedMeanwhileError(Exception):
    """Report that a customer was erased while rows were written that may have its id."""


async def publish_tables(task: IcebergTask) -> PublishedTables:
    """Give each table a snapshot of the sequence that all KPI tables have come to.

    Raises:
        ConfigError: The catalog is none for this workspace, or the contract does not fit.
        CommitConflictError: Other processes keep writing the tables.
        SourceError, StoreError: A retry may help.
    """
    check_catalog(task.catalog, task.workspace.location.bucket)
    _check_url(task.workspace)
    failure: Exception | None = None
    for _ in range(MAX_ROUNDS):
        try:
            return await _publish_once(task)
        except (CommitConflictError, CustomerErasedMeanwhileError, DamagedFileError) as error:
            failure = error
        except SourceMissing as error:
            # A clean object that was rewritten for an erasure meanwhile; else it stays missing.
            failure = error
    if isinstance(failure, CustomerErasedMeanwhileError):
        raise CommitConflictError("customers keep being erased") from failure
    assert failure is not None  # noqa: S101  (each round returns or fails)
    raise failure


def _check_url(workspace: Workspace) -> None:
    try:
        workspace.location.url.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            option="--workspace", expected="a path in UTF-8, as Iceberg writes paths into files"
        ) from error


async def _publish_once(task: IcebergTask) -> PublishedTables:
    state, workspace = task.state, task.workspace
    progress = await state.progress()
    sequence = min([*progress.published.values(), progress.waiting_as_of], default=0)
    if not sequence:
        return PublishedTables()
    erasures = await read_erasures(state)
    await delete_outdated(workspace, erasures.generation)
    with bridged(workspace.store) as file_io:
        async with open_catalog(task.catalog, workspace, file_io) as catalog:
            round_ = _Round(task, catalog, sequence, erasures.generation, erasures.last)
            return await round_.run()


class _Round:
    """One attempt to bring all tables to a sequence."""

    def __init__(
        self, task: IcebergTask, catalog: Catalog, sequence: int, generation: str, erased: int
    ) -> None:
        self._task = task
        self._catalog = catalog
        self._sequence = sequence
        self._generation = generation
        self._erased = erased
        self._objects: list[StoredName] = []
        self._listed: dict[str, int] = {}
        self._healed: list[HealedFile] = []

    async def run(self) -> PublishedTables:
        now = await self._rows_since(self._sequence)
        stamp = Stamp(
            sequence=self._sequence,
            shop=self._task.workspace.shop,
            contract=now.in_force.contract.digest,
            ledger=await identify_ledger(self._task.state, self._sequence),
            erasure=self._generation,
        )
        self._objects = await table_objects(self._task.workspace)
        self._listed = {one.key: one.size_bytes for one in self._objects}
        opened = {self._sequence: now}
        done: dict[str, PublishedTable] = {}
        unchanged: list[str] = []
        named: set[str] = set()
        for dataset in now.datasets:
            stored = await self._load(dataset)
            if stored is not None and stored.stamp == stamp:
                unchanged.append(f"{PREFIX}{dataset.name}")
                table = stored.table
            else:
                since = 0 if stored is None else await self._since(stored, stamp)
                if since not in opened:
                    opened[since] = await self._rows_since(since) if since else now
                mine = next(one for one in opened[since].datasets if one.name == dataset.name)
                table, published = await self._publish(mine, stored, since, stamp)
                done[f"{PREFIX}{dataset.name}"] = published
            named |= await self._forget_snapshots(dataset, table)
        await self._drop_others({one.name for one in now.datasets})
        deleted, deleted_bytes = await collect(
            self._task.workspace, self._objects, named, self._task.now()
        )
        return PublishedTables(
            sequence=self._sequence,
            tables=done,
            unchanged=tuple(unchanged),
            deleted_objects=deleted,
            deleted_bytes=deleted_bytes,
            healed=tuple(self._healed),
        )

    async def _rows_since(self, since: int) -> CurrentRows:
        task = self._task
        return await open_current_rows(
            task.state,
            self._sequence,
            task.workspace,
            task.contract,
            since=since,
            limits=task.limits,
        )

    def _location(self, dataset: CurrentDataset) -> Location:
        folder = f"{PREFIX}{dataset.name}{self._generation}"
        key = f"{shop_prefix(self._task.workspace)}{folder}"
        return Location(bucket=self._task.workspace.location.bucket, key=key)

    async def _load(self, dataset: CurrentDataset) -> Stored | None:
        """Load a table; None where it must be made again."""
        if self._task.rebuilds:
            return None
        url = self._location(dataset).url
        try:
            stored = await in_catalog(load, self._catalog, dataset.name, url)
            if stored is None or not has_schema(stored, readable_schema(dataset.schema)):
                return None
            if stored.stamp is None:
                return None
            files = stored.files.values()
            await check_data_files(self._task.workspace, files, self._listed)
        except DamagedFileError as damage:
            # Files of another folder are missing after an erasure, and in a moved workspace.
            if damage.url.startswith(f"{url}/"):
                self._note(dataset, damage, MADE_AGAIN)
            return None
        return stored

    def _note(self, dataset: CurrentDataset, damage: DamagedFileError, remedy: str) -> None:
        name = f"{PREFIX}{dataset.name}"
        healed = HealedFile(table=name, url=damage.url, problem=damage.problem, remedy=remedy)
        if healed not in self._healed:
            self._healed.append(healed)

    async def _forget_snapshots(self, dataset: CurrentDataset, table: Any) -> set[str]:  # noqa: ANN401  (pyiceberg's)
        """Forget snapshots that are too old or cannot be read; return the files of the others."""
        outdated = outdated_snapshots(table, self._task.now())
        table = await in_catalog(forget, table, outdated)
        found = await in_catalog(snapshot_files, table)
        unreadable = dict(found.unreadable)
        for snapshot_id, files in found.data.items():
            if snapshot_id == table.metadata.current_snapshot_id:
                continue
            try:
                await check_data_files(self._task.workspace, files, self._listed)
            except DamagedFileError as damage:
                unreadable[snapshot_id] = damage
        unused = unused_snapshots(table)
        for snapshot_id, found_damage in unreadable.items():
            self._note(dataset, found_damage, FORGOTTEN if snapshot_id in unused else KEPT)
        table = await in_catalog(forget, table, unused & unreadable.keys())
        await write_hint(self._task.workspace, table)
        return found.keys | {key_of(table.metadata_location)}

    async def _since(self, stored: Stored, stamp: Stamp) -> int:
        """Return the sequence that a table is of; 0 where all of its rows are written again."""
        found = stored.stamp
        if found is None or found.contract != stamp.contract or found.shop != stamp.shop:
            return 0
        if found.sequence >= stamp.sequence:
            return 0
        is_same = await identify_ledger(self._task.state, found.sequence) == found.ledger
        return found.sequence if is_same else 0

    async def _publish(
        self, dataset: CurrentDataset, stored: Stored | None, since: int, stamp: Stamp
    ) -> tuple[Any, PublishedTable]:
        """Write the data files that change, and commit them.

        Args:
            dataset: The dataset, opened with `since`.
            stored: The table; None to make it.
            since: Sequence that it is of; 0 to write all rows.
            stamp: What the snapshot will say.
        """
        location = self._location(dataset)
        commit = await in_catalog(
            Commit,
            self._catalog,
            dataset.name,
            location.url,
            readable_schema(dataset.schema),
            stored,
        )
        before = stored.files if since and stored is not None else {}
        files = SnapshotWriter(
            self._task.workspace,
            dataset,
            commit.schema,
            location,
            stamp,
            self._task.limits,
            self._task.span_rows,
        )
        rows = {span: one.record_count for span, one in before.items()}
        try:
            written = await files.write(rows, since)
        except OtherContract:
            if not since:
                raise
            # Nothing is known of the rows of a file of other types that does not count any more.
            since, written = 0, await files.write({}, 0)
        replaced = {span for one in written for span in one.replaced}
        removed = set() if since or stored is None else set(stored.files) - replaced
        await self._check_erasures()
        table = await in_catalog(commit.commit, written, removed, stamp)
        await self._check_erasures()
        new = [one for one in written if one.written is not None]
        return table, PublishedTable(
            rows=int(table.current_snapshot().summary["total-records"]),
            written=len(new),
            removed=len(replaced | removed),
            location=location.url,
        )

    async def _check_erasures(self) -> None:
        """Check that no customer was erased since the rows were listed.

        Raises:
            CustomerErasedMeanwhileError: One was; everything of before it was deleted.
        """
        found = await read_erasures(self._task.state)
        if found.last != self._erased:
            await delete_outdated(self._task.workspace, found.generation)
            raise CustomerErasedMeanwhileError

    async def _drop_others(self, wanted: set[str]) -> None:
        """Take the tables of datasets that the contract has no more out of the catalog."""
        tables = self._catalog.tables
        listed = await in_catalog(tables.list_tables, self._catalog.namespace)
        for identifier in listed:
            name = identifier[-1]
            if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in wanted:
                await in_catalog(drop, self._catalog, identifier)
