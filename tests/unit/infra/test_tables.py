"""DynamoDB tables: keys, indexes, retention."""

from __future__ import annotations

from typing import Any

from kpi.aggregation.tables import KPI_TABLES, LEDGER_PARTITION_KEY, LEDGER_SORT_KEY
from tests.unit.infra.templates import Json, Template


def test_retained_data_outlives_the_stack(template: Template, full: Template) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table"):
        assert {one["DeletionPolicy"] for one in template.of_type(kind).values()} == {"Delete"}
        kept = full.of_type(kind).values()
        # A creation that rolls back deletes them: fixed names would block the next creation.
        assert {one["DeletionPolicy"] for one in kept} == {"RetainExceptOnCreate"}
        assert {one["UpdateReplacePolicy"] for one in kept} == {"Retain"}
    for deployment, protected in ((template, False), (full, True)):
        for table in deployment.of_type("AWS::DynamoDB::Table").values():
            assert table["Properties"]["DeletionProtectionEnabled"] is protected


def test_tables_have_the_keys_and_indexes_that_kpi_defines(template: Template) -> None:
    expected: dict[str, Any] = {
        f"shopkpi-dev-{table.dynamodb_name}": (
            [table.partition_key, table.sort_key],
            {index.name: [index.partition_key, index.sort_key] for index in table.indexes},
        )
        for table in KPI_TABLES.values()
    }
    expected["shopkpi-dev-ledger"] = ([LEDGER_PARTITION_KEY, LEDGER_SORT_KEY], {})
    found = {}
    for table in template.of_type("AWS::DynamoDB::Table").values():
        properties = table["Properties"]
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        recovery = properties["PointInTimeRecoverySpecification"]
        assert recovery == {"PointInTimeRecoveryEnabled": True}
        assert properties["SSESpecification"] == {"SSEEnabled": True}
        assert {one["AttributeType"] for one in properties["AttributeDefinitions"]} == {"S"}
        indexes = properties.get("GlobalSecondaryIndexes", [])
        assert {index["Projection"]["ProjectionType"] for index in indexes} <= {"ALL"}
        found[properties["TableName"]] = (
            keys(properties["KeySchema"]),
            {index["IndexName"]: keys(index["KeySchema"]) for index in indexes},
        )
    assert found == expected


def test_an_update_of_0_1_0_meets_no_table_of_its_name(template: Template) -> None:
    """A key schema cannot be changed: the tables that get other keys have other names."""
    former = {f"shopkpi-dev-{name}" for name in ("order_kpis", "category_kpis", "product_kpis")}
    found = template.of_type("AWS::DynamoDB::Table").values()
    assert former.isdisjoint({table["Properties"]["TableName"] for table in found})


def keys(schema: list[Json]) -> list[str]:
    assert [key["KeyType"] for key in schema] == ["HASH", "RANGE"][: len(schema)]
    return [key["AttributeName"] for key in schema]
