"""Load, create and commit one Iceberg table with pyiceberg."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

import pyarrow as pa
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFileContent

from worker.errors import StoreError
from worker.iceberg.catalogs import Catalog
from worker.iceberg.damage import naming_damage, read_snapshot
from worker.iceberg.data_files import Written, data_file
from worker.iceberg.spans import Span

SNAPSHOT_AGE = timedelta(days=7)
"""Age up to which a snapshot is kept, where the table's property says nothing else."""

AGE_PROPERTY = "history.expire.max-snapshot-age-ms"

RETRIES_PROPERTY = "commit.retry.num-retries"

PROPERTIES = {
    "format-version": "2",
    RETRIES_PROPERTY: "0",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    AGE_PROPERTY: str(SNAPSHOT_AGE // timedelta(milliseconds=1)),
}
"""Properties of a new table."""

LEAD = "shopkpi."
"""What the properties of a snapshot begin with."""


class CommitConflictError(StoreError):
    """Report that another process has written the table meanwhile."""

    problem = "another process has written this Iceberg table meanwhile"


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What a snapshot says of itself.

    Attributes:
        sequence: Ledger sequence that its rows are of.
        shop: The shop.
        contract: Digest of the contract in force.
        ledger: Digest of the last records up to the sequence.
        erasure: Part of keys that names the last erasure of a customer; empty for none.
    """

    sequence: int
    shop: str
    contract: str
    ledger: str
    erasure: str

    def properties(self) -> dict[str, str]:
        """Return the properties of a snapshot."""
        return {
            f"{LEAD}sequence": str(self.sequence),
            f"{LEAD}shop": self.shop,
            f"{LEAD}contract": self.contract,
            f"{LEAD}ledger": self.ledger,
            f"{LEAD}erasure": self.erasure.removeprefix("-"),
        }

    @classmethod
    def read(cls, snapshot: Any) -> Self | None:  # noqa: ANN401  (pyiceberg counts as untyped)
        """Read the stamp of a snapshot; None where another program has written it."""
        if snapshot is None or snapshot.summary is None:
            return None
        found = snapshot.summary.additional_properties
        try:
            erasure = found[f"{LEAD}erasure"]
            return cls(
                sequence=int(found[f"{LEAD}sequence"]),
                shop=found[f"{LEAD}shop"],
                contract=found[f"{LEAD}contract"],
                ledger=found[f"{LEAD}ledger"],
                erasure=f"-{erasure}" if erasure else "",
            )
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A table as it is.

    Attributes:
        table: pyiceberg's table.
        metadata_location: URL of its metadata when it was loaded.
        stamp: What its current snapshot says of itself; None where that is not ours.
        files: Span -> data file of the current snapshot.
    """

    table: Any
    metadata_location: str
    stamp: Stamp | None
    files: dict[Span, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A data file to commit.

    Attributes:
        url: Its URL.
        written: What was written; None where the span has no row any more.
        replaced: Spans whose data files it takes the place of.
    """

    url: str
    written: Written | None
    replaced: Sequence[Span]


def load(catalog: Catalog, dataset: str, location: str) -> Stored | None:
    """Load the table of a dataset.

    Args:
        catalog: Where it is registered.
        dataset: The dataset.
        location: URL of its folder.

    Returns:
        None where there is none, or its folder is another one.

    Raises:
        DamagedFileError: Its metadata, a manifest list or a manifest is missing or damaged.
    """
    try:
        with naming_damage(catalog.tables.properties):
            table = catalog.tables.load_table(catalog.identifier(dataset))
    except NoSuchTableError:
        return None
    at, snapshot = table.metadata_location, table.current_snapshot()
    if table.metadata.location != location or snapshot is None:
        return None
    files = {}
    for one in read_snapshot(table, snapshot, {}):
        span = Span.parse(one.file_path)
        if span is None or one.content != DataFileContent.DATA:
            return Stored(table=table, metadata_location=at, stamp=None)
        files[span] = one
    stamp = Stamp.read(snapshot)
    return Stored(table=table, metadata_location=at, stamp=stamp, files=files)


def has_schema(stored: Stored, schema: pa.Schema) -> bool:
    """Return whether a table has the columns of a schema, and no others."""
    found = schema_to_pyarrow(stored.table.schema(), include_field_ids=False)
    return [(one.name, _plain(one.type)) for one in found] == [
        (one.name, _plain(one.type)) for one in schema
    ]


def _plain(kind: pa.DataType) -> str:
    return str(kind).replace("large_", "").replace(" ('key', 'value')", "")


class Commit:
    """One snapshot that is being made: of the table as it was loaded, or of a new one.

    Args:
        catalog: Where the table is registered.
        dataset: The dataset.
        location: URL of its folder.
        schema: Its columns, without field ids.
        stored: The table that gets a snapshot; None for a new one.
    """

    def __init__(
        self,
        catalog: Catalog,
        dataset: str,
        location: str,
        schema: pa.Schema,
        stored: Stored | None,
    ) -> None:
        self._catalog = catalog
        self._identifier = catalog.identifier(dataset)
        self._stored = stored
        if stored is None:
            self._transaction = catalog.tables.create_table_transaction(
                self._identifier, schema=schema, location=location, properties=PROPERTIES
            )
        else:
            # A commit that others were quicker than is planned again: repeated as it is, it would
            # add the same rows twice, whatever the table's owner has set.
            stored.table.metadata.properties[RETRIES_PROPERTY] = "0"
            self._transaction = stored.table.transaction()
        self._schema = self._transaction.table_metadata.schema()
        # With these the columns of a file are found, whatever their names.
        self.schema = schema_to_pyarrow(self._schema, include_field_ids=True)

    def commit(self, files: Iterable[NewFile], removed: Iterable[Span], stamp: Stamp) -> Any:  # noqa: ANN401
        """Commit a snapshot, and return the table.

        Args:
            files: Data files that were written.
            removed: Spans whose data files have no row any more, beside those replaced.
            stamp: What the snapshot says of itself.

        Raises:
            CommitConflictError: Another process has written the table.
        """
        update = self._transaction.update_snapshot(snapshot_properties=stamp.properties())
        producer = update.fast_append() if self._stored is None else update.overwrite()
        of_spans = {} if self._stored is None else self._stored.files
        metadata = self._transaction.table_metadata
        gone = set(removed)
        for one in files:
            gone.update(one.replaced)
            if one.written is not None:
                producer.append_data_file(data_file(one.written, one.url, self._schema, metadata))
        for span in gone:
            producer.delete_data_file(of_spans[span])
        name = ".".join(self._identifier)
        try:
            producer.commit()
            if self._stored is None:
                drop(self._catalog, self._identifier)
            return self._transaction.commit_transaction()
        except (CommitFailedException, TableAlreadyExistsError, ValidationException) as error:
            raise CommitConflictError(url=name) from error
        except NoSuchTableError as error:
            raise CommitConflictError(url=name) from error


def drop(catalog: Catalog, identifier: tuple[str, ...]) -> None:
    """Take a table out of the catalog; its files stay."""
    try:
        catalog.tables.drop_table(identifier)
    except NoSuchTableError:
        return
