"""Call the DynamoDB tables of one prefix: connection, retries, transactions, paging."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from kpi.aggregation.tables import LEDGER_PARTITION_KEY, LEDGER_SORT_KEY
from worker.aws.clients import client_config, session
from worker.aws.errors import CLIENT_ERRORS, SETUP_ERRORS, error_code, is_transient
from worker.errors import ConfigError, StoreError, WorkerError
from worker.runtime.retry import RetryPolicy
from worker.state.dynamodb.format import check_format
from worker.state.shop import with_shop

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import (
        BatchGetItemOutputTypeDef,
        KeysAndAttributesUnionTypeDef,
        QueryInputTypeDef,
        QueryOutputTypeDef,
        ScanInputTypeDef,
    )

    from worker.state.dynamodb.items import Item, Put, Write

T = TypeVar("T")

TRANSACTION_WRITES = 100
"""Most writes of TransactWriteItems."""

CONDITION_FAILED = "ConditionalCheckFailed"
"""Cancellation reason: the condition of that write did not hold."""

_BUSY = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
"""Cancellation reasons after which another attempt may succeed (TransactWriteItems, API
reference)."""

_BATCH_KEYS = 100
"""Most keys of BatchGetItem."""


class Database:
    """DynamoDB client for the tables of one prefix.

    Attributes:
        client: The aiobotocore client.
        prefix: Tables are called `<prefix>-<name>`.
        shop: Whose items are read and written.
        retry: Policy for calls, and for work that another writer disturbed.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        prefix: str,
        *,
        shop: str,
        retry: RetryPolicy,
        owned: AsyncExitStack,
    ) -> None:
        self.client = client
        self.prefix = prefix
        self.shop = shop
        self.retry = retry
        self._owned = owned

    @classmethod
    async def open(
        cls, prefix: str, *, shop: str, endpoint_url: str | None, max_pool: int, retry: RetryPolicy
    ) -> Database:
        """Create the client; see `DynamoDBState.open`."""
        owned = AsyncExitStack()
        try:
            client = await owned.enter_async_context(
                session().create_client(
                    "dynamodb", endpoint_url=endpoint_url, config=client_config(max_pool=max_pool)
                )
            )
        except (*SETUP_ERRORS, ValueError) as error:  # ValueError: an endpoint that is no URL
            url = f"dynamodb://{prefix}"
            raise ConfigError(f"AWS is not set up: {error}", url=url) from error
        return cls(client, prefix, shop=shop, retry=retry, owned=owned)

    async def close(self) -> None:
        """Close the connections."""
        await self._owned.aclose()

    @property
    def url(self) -> str:
        """Name the database in messages."""
        return f"dynamodb://{self.prefix}"

    def table(self, name: str) -> str:
        """Return the full name of a table of `kpi.aggregation.tables`."""
        return f"{self.prefix}-{name}"

    def ledger_partition(self, kind: str) -> tuple[str, str]:
        """Return name and value of the ledger's partition key for items of a kind."""
        return LEDGER_PARTITION_KEY, with_shop(self.shop, kind)

    def ledger_key(self, kind: str, name: str) -> Item:
        """Build the key of an item of the ledger table."""
        partition, value = self.ledger_partition(kind)
        return {partition: {"S": value}, LEDGER_SORT_KEY: {"S": name}}

    async def call(self, doing: str, send: Callable[[], Awaitable[T]]) -> T:
        """Return what `send` returns, after retries.

        Args:
            doing: Names the call in messages, as in `reading the head`.
            send: Sends the same request each time.
        """
        retries = self.retry.start()
        while True:
            try:
                return await send()
            except CLIENT_ERRORS as error:
                if not is_transient(error) or not await retries.again():
                    raise self._failure(error, doing, retries.attempts) from error

    async def get(self, doing: str, table: str, key: Item) -> Item | None:
        """Read one item, strongly consistent; None where there is none."""
        name = self.table(table)
        answer = await self.call(
            doing, lambda: self.client.get_item(TableName=name, Key=key, ConsistentRead=True)
        )
        item = answer.get("Item")
        if item is not None:
            check_format(item, self.url)
        return item

    async def put(self, doing: str, request: Put) -> bool:
        """Put an item where its condition holds; False where it does not.

        After a lost answer the condition meets the item put before. So False may also mean that
        it is there: read it again.
        """

        async def send() -> bool:
            try:
                await self.client.put_item(**request)
            except ClientError as error:
                if error_code(error) == "ConditionalCheckFailedException":
                    return False
                raise
            return True

        return await self.call(doing, send)

    async def transact(self, doing: str, writes: Sequence[Write]) -> list[str]:
        """Apply all of at most TRANSACTION_WRITES writes, or none.

        The request carries a token: sent again after its answer was lost, it does nothing twice
        (DynamoDB knows a token for ten minutes).

        Returns:
            Nothing where they are applied. Otherwise the cancellation reason of each write:
            CONDITION_FAILED, `None`, or one of a busy item, so that a retry may succeed.
        """
        token = uuid.uuid4().hex

        async def send() -> list[str]:
            try:
                await self.client.transact_write_items(
                    TransactItems=writes, ClientRequestToken=token
                )
            except ClientError as error:
                reasons = [reason for reason, _ in _cancellations(error)]
                if reasons and {*reasons} <= {"None", CONDITION_FAILED, *_BUSY}:
                    return reasons
                raise
            return []

        return await self.call(doing, send)

    async def query(
        self,
        doing: str,
        table: str,
        partition: tuple[str, str],
        between: tuple[str, str, str] | None = None,
        *,
        index: str | None = None,
    ) -> AsyncIterator[Item]:
        """Yield items of one partition, ascending by sort key; as `pages`."""
        async for page in self.pages(doing, table, partition, between, index=index):
            for item in page:
                yield item

    async def pages(
        self,
        doing: str,
        table: str,
        partition: tuple[str, str],
        between: tuple[str, str, str] | None = None,
        *,
        index: str | None = None,
    ) -> AsyncIterator[Sequence[Item]]:
        """Yield the items of one partition in pages of 1 MB, ascending by sort key.

        The read is strongly consistent, but for an index.

        Args:
            doing: Names the call in messages.
            table: Name of the table, without the prefix.
            partition: Name and value of the partition key.
            between: Name of the sort key, its lowest and its highest value.
            index: Name of the index to read instead of the table.
        """
        request: QueryInputTypeDef = {
            "TableName": self.table(table),
            "KeyConditionExpression": "#partition = :partition",
            "ExpressionAttributeNames": {"#partition": partition[0]},
            "ExpressionAttributeValues": {":partition": {"S": partition[1]}},
        }
        if between is not None:
            # DynamoDB refuses a range that ends before it begins.
            if between[1] > between[2]:
                return
            request["KeyConditionExpression"] += " AND #sort BETWEEN :first AND :last"
            request["ExpressionAttributeNames"] = {"#partition": partition[0], "#sort": between[0]}
            request["ExpressionAttributeValues"] = {
                ":partition": {"S": partition[1]},
                ":first": {"S": between[1]},
                ":last": {"S": between[2]},
            }
        if index is None:
            request["ConsistentRead"] = True
        else:
            request["IndexName"] = index
        while True:
            page = await self._page(doing, request)
            for item in page["Items"]:
                check_format(item, self.url)
            yield page["Items"]
            if not page.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def scan(self, doing: str, table: str) -> AsyncIterator[Item]:
        """Yield all items of a table, strongly consistent; those of one partition in a row."""
        request: ScanInputTypeDef = {"TableName": self.table(table), "ConsistentRead": True}
        while True:
            page = await self.call(doing, lambda: self.client.scan(**request))
            for item in page["Items"]:
                yield item
            if not page.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def batch_get(self, doing: str, table: str, keys: Sequence[Item]) -> list[Item]:
        """Read the existing items of some distinct keys, in any order, strongly consistent."""
        name = self.table(table)
        items: list[Item] = []
        for first in range(0, len(keys), _BATCH_KEYS):
            chunk = keys[first : first + _BATCH_KEYS]
            wanted: Mapping[str, KeysAndAttributesUnionTypeDef] = {
                name: {"Keys": chunk, "ConsistentRead": True}
            }
            retries = self.retry.start()
            while wanted:
                answer = await self._batch(doing, wanted)
                got = answer["Responses"].get(name, [])
                items.extend(got)
                wanted = answer["UnprocessedKeys"]
                # Keys are left over where the answer reached 16 MB, or the table is throttled.
                if wanted and not got and not await retries.again():
                    raise StoreError(f"{doing}: throttled", url=self.url)
        return items

    async def _page(self, doing: str, request: QueryInputTypeDef) -> QueryOutputTypeDef:
        return await self.call(doing, lambda: self.client.query(**request))

    async def _batch(
        self, doing: str, wanted: Mapping[str, KeysAndAttributesUnionTypeDef]
    ) -> BatchGetItemOutputTypeDef:
        return await self.call(doing, lambda: self.client.batch_get_item(RequestItems=wanted))

    def _failure(self, error: Exception, doing: str, attempts: int) -> WorkerError:
        """Build the error to raise for one that no retry cured."""
        if isinstance(error, SETUP_ERRORS):
            return ConfigError(f"{doing}: AWS is not set up: {error}", url=self.url)
        if is_transient(error):
            return StoreError(f"{doing}: gave up after {attempts} attempts: {error}", url=self.url)
        if error_code(error) == "ResourceNotFoundException":
            hint = "`shopkpi tables create` makes it"
            message = f"{doing}: a table is missing"
            return StoreError(message, url=self.url, hint=hint, retryable=False)
        causes = {message for _, message in _cancellations(error) if message}
        message = ": ".join([doing, str(error), *sorted(causes)])
        return StoreError(message, url=self.url, retryable=False)


def _cancellations(error: Exception) -> list[tuple[str, str]]:
    """Return code and message for each write of a cancelled transaction; else nothing."""
    if error_code(error) != "TransactionCanceledException" or not isinstance(error, ClientError):
        return []
    reasons = error.response.get("CancellationReasons", [])
    return [(reason.get("Code", "None"), reason.get("Message", "")) for reason in reasons]
