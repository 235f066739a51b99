"""The clean zone: immutable Parquet objects under keys made from the source object.

    clean/<dataset>/uploaded_on=<date>/<source_id>-<contract>.parquet      clean rows
    rejects/<dataset>/uploaded_on=<date>/<source_id>-<contract>.parquet    rejects, if there are any

A key names all that the bytes are made of: the source object and the contract's digest. So a worker
that comes late writes what is there already, and one with another contract does not touch what the
ledger has. Each chunk of a source object is one row group, so that reading prunes by the ranges in
the footers.
"""

from __future__ import annotations

from dataclasses import dataclass

from kpi.contract.model import Contract
from worker.objects import ObjectStore
from worker.objects.location import Location
from worker.objects.source import Source


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where the clean zone and the rejects lie."""

    store: ObjectStore
    location: Location

    def key(self, zone: str, source: Source, contract: Contract, piece: str = "") -> str:
        """Key of an object of `zone`, relative to the workspace."""
        day = source.info.uploaded_at.date().isoformat()
        name = f"{result_name(source, contract)}{piece}.parquet"
        return f"{zone}/{source.dataset}/uploaded_on={day}/{name}"

    def absolute(self, key: str) -> str:
        return self.location.join(key)


def result_name(source: Source, contract: Contract) -> str:
    """What is made from a source object under a contract, and from nothing else."""
    return f"{source.source_id}-{contract.digest[:8]}"
