"""Ledger and KPI tables in DynamoDB: `dynamodb://<prefix>`."""

from __future__ import annotations

from kpi.aggregation.tables import DEFAULT_SHOP
from worker.runtime.retry import RetryPolicy
from worker.state import DayKpis, Outcome, Progress
from worker.state.dynamodb.client import Database
from worker.state.dynamodb.kpis import DynamoDBKpis
from worker.state.dynamodb.lease import DynamoDBLease
from worker.state.dynamodb.ledger import DynamoDBLedger
from worker.state.dynamodb.marks import DynamoDBMarks
from worker.state.dynamodb.progress import DynamoDBProgress
from worker.state.dynamodb.sources import DynamoDBSources
from worker.state.dynamodb.tables import create_tables
from worker.state.marks import TableMarks


class DynamoDBState(DynamoDBLedger, DynamoDBSources, DynamoDBKpis, DynamoDBProgress, DynamoDBLease):
    """DynamoDB implementation of `worker.state.State`. Create it by `DynamoDBState.open`.

    Attributes:
        database: The client and the prefix of the tables.
    """

    def __init__(self, database: Database) -> None:
        DynamoDBLedger.__init__(self, database)
        DynamoDBSources.__init__(self, database)
        DynamoDBKpis.__init__(self, database)
        DynamoDBProgress.__init__(self, database)
        DynamoDBLease.__init__(self, database)
        self.database = database
        self._marks = DynamoDBMarks(database, self)

    @classmethod
    async def open(
        cls,
        prefix: str,
        *,
        shop: str = DEFAULT_SHOP,
        endpoint_url: str | None = None,
        max_pool: int = 64,
        retry: RetryPolicy | None = None,
    ) -> DynamoDBState:
        """Prepare the connection; nothing is sent yet.

        Args:
            prefix: Tables are called `<prefix>-ledger`, `<prefix>-order_kpis_v2`, ...
            shop: Whose ledger and KPI rows.
            endpoint_url: Another endpoint than that of the region; `AWS_ENDPOINT_URL_DYNAMODB`
                and `AWS_ENDPOINT_URL` also name one. Region and credentials come from the AWS
                environment.
            max_pool: Connections kept open at once; more requests wait for one.
            retry: Policy for calls, and for work that another writer disturbed.

        Raises:
            ConfigError: The AWS environment names no region, or an unknown profile.
        """
        return cls(
            await Database.open(
                prefix,
                shop=shop,
                endpoint_url=endpoint_url,
                max_pool=max_pool,
                retry=retry or RetryPolicy(),
            )
        )

    async def publish(self, day: DayKpis, as_of: int) -> Outcome:
        """Make the day's rows exactly those of `day`, in tables that are marked beforehand."""
        await self._marks.begin(day.tables, as_of)
        return await super().publish(day, as_of)

    async def advance(self, progress: Progress) -> Progress:
        """Replace the record by `record.merge(progress)`, and return that; mark the tables."""
        for as_of in sorted({*progress.published.values()}):
            tables = [name for name, one in progress.published.items() if one == as_of]
            await self._marks.end(tables, as_of)
        return await super().advance(progress)

    async def marks(self) -> TableMarks:
        """Return what the KPI tables have seen of the ledger."""
        return await self._marks.read()

    async def mark_again(self, ledger: str, as_of: int) -> None:
        """Mark every table as published from this ledger."""
        await self._marks.mark_again(ledger, as_of)

    async def delete_unguarded(self) -> int:
        """Delete rows that no guard knows: those of a ledger that is gone."""
        return await self._marks.delete_unguarded()

    async def create_tables(self) -> list[str]:
        """Create what is missing, wait until it can be used, and return the names created."""
        return await create_tables(self.database)

    async def close(self) -> None:
        """Close the connections."""
        await self.database.close()

    async def __aenter__(self) -> DynamoDBState:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
