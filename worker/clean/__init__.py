"""Name the objects of the clean zone: immutable Parquet under keys made from the source object.

    clean/<dataset>/uploaded_on=<date>/<source_id>-<contract>.parquet      clean rows
    rejects/<dataset>/uploaded_on=<date>/<source_id>-<contract>.parquet    rejects, if any

A key names everything that the bytes depend on: the source object and the contract's digest. So a
late worker writes the bytes that are there already, and a worker with another contract does not
touch the objects of the ledger. Each chunk of a source object is one row group, so that readers
prune by the ranges in the footers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kpi.contract.model import Contract
from worker.errors import DamagedObject
from worker.objects import ObjectStore
from worker.objects.location import Location
from worker.objects.source import Source

STORED_KEY = re.compile(
    r"(clean|rejects)/[a-z_+]+/uploaded_on=\d{4}-\d{2}-\d{2}/"
    r"[0-9a-f]{16}-[0-9a-f]{8}(-\d{15}-\d{15})?\.parquet"
)
"""Keys that `Workspace.key` makes."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A place for the clean zone and the rejects."""

    store: ObjectStore
    location: Location

    def key(self, zone: str, source: Source, contract: Contract, piece: str = "") -> str:
        """Return the key of an object of `zone`, relative to the workspace."""
        day = source.info.uploaded_at.date().isoformat()
        name = f"{result_name(source, contract)}{piece}.parquet"
        return f"{zone}/{source.dataset}/uploaded_on={day}/{name}"

    def absolute(self, key: str) -> str:
        return self.location.join(key)

    def stored(self, key: str) -> str:
        """Return the absolute key of an object that a ledger entry or a manifest names.

        Raises:
            DamagedObject: It is no key of clean rows or rejects: somebody else wrote it, and it may
                lead out of the workspace.
        """
        if STORED_KEY.fullmatch(key) is None:
            raise DamagedObject(
                url=self.location.url,
                expected="keys of clean rows and rejects in ledger and manifests",
                actual=repr(key[:100]),
            )
        return self.absolute(key)


def result_name(source: Source, contract: Contract) -> str:
    """Name the result of a source object under a contract, which depends on nothing else."""
    return f"{source.source_id}-{contract.digest[:8]}"
