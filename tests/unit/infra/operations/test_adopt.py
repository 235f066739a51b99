"""Mapping of kept resources for `cdk import`."""

from __future__ import annotations

from infra.operations.adopt import IDENTIFIERS, resource_mapping
from tests.unit.infra.templates import Template


def test_buckets_and_tables_are_named_by_their_identifiers() -> None:
    summaries = [
        {
            "LogicalResourceId": "TablesLedger1",
            "PhysicalResourceId": "shopkpi-prod-ledger",
            "ResourceType": "AWS::DynamoDB::Table",
            "ResourceStatus": "DELETE_SKIPPED",
        },
        {
            "LogicalResourceId": "BucketsClean2",
            "PhysicalResourceId": "shopkpi-prod-bucketsclean",
            "ResourceType": "AWS::S3::Bucket",
            "ResourceStatus": "DELETE_SKIPPED",
        },
        {
            "LogicalResourceId": "NotificationsTopic3",
            "PhysicalResourceId": "arn:aws:sns:topic",
            "ResourceType": "AWS::SNS::Topic",
            "ResourceStatus": "DELETE_COMPLETE",
        },
    ]
    assert resource_mapping(summaries) == {
        "TablesLedger1": {"TableName": "shopkpi-prod-ledger"},
        "BucketsClean2": {"BucketName": "shopkpi-prod-bucketsclean"},
    }


def test_every_retained_resource_can_be_adopted(full: Template) -> None:
    retained = {
        resource["Type"]
        for resource in full.resources.values()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert retained == set(IDENTIFIERS)
