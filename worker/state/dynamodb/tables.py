"""Create the DynamoDB tables that `kpi.aggregation.tables` defines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from kpi.aggregation.tables import (
    KPI_TABLES,
    LEDGER_PARTITION_KEY,
    LEDGER_SORT_KEY,
    LEDGER_TABLE,
    Index,
)
from worker.aws.errors import error_code
from worker.errors import StoreError
from worker.runtime.retry import RetryPolicy
from worker.state.dynamodb.client import Database

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.literals import KeyTypeType
    from types_aiobotocore_dynamodb.type_defs import (
        CreateTableInputTypeDef,
        GlobalSecondaryIndexTypeDef,
        KeySchemaElementTypeDef,
    )


async def create_tables(database: Database) -> list[str]:
    """Create the tables that are missing, billed by request, and wait until they can be used.

    An existing table stays as it is.

    Returns:
        Names of the tables created, in the order of `kpi.aggregation.tables`.
    """
    requests = [
        _request(database.table(LEDGER_TABLE), (LEDGER_PARTITION_KEY, LEDGER_SORT_KEY), ()),
        *(
            _request(
                database.table(table.dynamodb_name),
                (table.partition_key, table.sort_key),
                table.indexes,
            )
            for table in KPI_TABLES.values()
        ),
    ]
    created = await asyncio.gather(*(_create(database, request) for request in requests))
    await asyncio.gather(*(_until_active(database, request["TableName"]) for request in requests))
    return [request["TableName"] for request, new in zip(requests, created, strict=True) if new]


def _request(
    name: str, key: tuple[str, ...], indexes: tuple[Index, ...]
) -> CreateTableInputTypeDef:
    """Build a request for a table whose keys, and those of its indexes, are all strings."""
    attributes = sorted(
        {*key, *(index.partition_key for index in indexes), *(index.sort_key for index in indexes)}
    )
    secondary: list[GlobalSecondaryIndexTypeDef] = [
        {
            "IndexName": index.name,
            "KeySchema": _key_schema((index.partition_key, index.sort_key)),
            "Projection": {"ProjectionType": "ALL"},
        }
        for index in indexes
    ]
    request: CreateTableInputTypeDef = {
        "TableName": name,
        "KeySchema": _key_schema(key),
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": "S"} for attribute in attributes
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if secondary:
        request["GlobalSecondaryIndexes"] = secondary
    return request


def _key_schema(key: tuple[str, ...]) -> list[KeySchemaElementTypeDef]:
    kinds: tuple[KeyTypeType, ...] = ("HASH", "RANGE")
    return [
        {"AttributeName": attribute, "KeyType": kind}
        for attribute, kind in zip(key, kinds, strict=False)
    ]


async def _create(database: Database, request: CreateTableInputTypeDef) -> bool:
    """Create a table; False where it existed."""

    async def send() -> bool:
        try:
            await database.client.create_table(**request)
        except ClientError as error:
            if error_code(error) == "ResourceInUseException":
                return False
            raise
        return True

    return await database.call(f"creating table {request['TableName']}", send)


async def _until_active(database: Database, name: str) -> None:
    retry = database.retry
    # A new table is usually ready within seconds; one with indexes may take minutes.
    patience = RetryPolicy(
        attempts=1000,
        first_wait_s=0.2,
        max_wait_s=5,
        limit_s=600,
        sleep=retry.sleep,
        clock=retry.clock,
        draw=retry.draw,
    ).start()
    while True:
        description = (
            await database.call(
                f"waiting for table {name}",
                lambda: database.client.describe_table(TableName=name),
            )
        )["Table"]
        states = {
            description["TableStatus"],
            *(index["IndexStatus"] for index in description.get("GlobalSecondaryIndexes", ())),
        }
        if states == {"ACTIVE"}:
            return
        if not await patience.again():
            message = f"table {name} is still {', '.join(sorted(states))} after ten minutes"
            raise StoreError(message, url=database.url)
