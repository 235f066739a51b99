"""Keep the lease on transforms: an item of the ledger table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpi.aggregation.tables import LEDGER_TABLE
from worker.state.corruption import parsing
from worker.state.dynamodb.client import Database
from worker.state.dynamodb.format import FORMAT_ATTRIBUTE
from worker.state.dynamodb.items import number, put, unchanged
from worker.state.lease import Lease

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item

_LEASE = ("kpi_lease", "transform")


class DynamoDBLease:
    """DynamoDB implementation of `lease` and `put_lease` of `worker.state.KpiStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lease(self) -> Lease:
        """Return the lease on transforms."""
        key = self._database.ledger_key(*_LEASE)
        item = await self._database.get("reading the lease", LEDGER_TABLE, key)
        if item is None:
            return Lease()
        with parsing("lease on transforms"):
            return Lease(
                owner=item["owner"]["S"],
                version=int(item["version"]["N"]),
                seconds=float(item["seconds"]["N"]),
            )

    async def put_lease(self, lease: Lease) -> bool:
        """Write the next state of the lease; False where another one has been written."""
        item: Item = {
            **self._database.ledger_key(*_LEASE),
            **FORMAT_ATTRIBUTE,
            "owner": {"S": lease.owner},
            "version": number(lease.version),
            "seconds": {"N": str(lease.seconds)},
        }
        request = put(
            self._database.table(LEDGER_TABLE), item, unchanged("version", lease.version - 1)
        )
        # False: another one is there, or this one, its answer having been lost.
        return await self._database.put("writing the lease", request) or (
            bool(lease.owner) and await self.lease() == lease
        )
