"""Name the buckets, tables and log groups that a deleted stack has kept, for `cdk import` to adopt.

    aws cloudformation list-stack-resources --stack-name ARN \\
        | python -m infra.operations.adopt > kept.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping

IDENTIFIERS = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
}
"""Type of a resource that is retained -> property that identifies it (`cdk import`)."""


def resource_mapping(summaries: Iterable[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return logical id -> identifier of each bucket, table and log group.

    Args:
        summaries: `StackResourceSummaries` of CloudFormation's ListStackResources.
    """
    return {
        one["LogicalResourceId"]: {IDENTIFIERS[one["ResourceType"]]: one["PhysicalResourceId"]}
        for one in summaries
        if one["ResourceType"] in IDENTIFIERS
    }


def main() -> int:
    """Convert standard input to standard output; return the exit code."""
    listed = json.load(sys.stdin)
    json.dump(resource_mapping(listed["StackResourceSummaries"]), sys.stdout, indent=2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
