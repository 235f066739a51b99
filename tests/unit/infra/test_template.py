"""What the template must say of storage, tasks, network and schedules."""

from __future__ import annotations

import json
from typing import Any

import click

from kpi.aggregation.tables import KPI_TABLES, LEDGER_PARTITION_KEY, LEDGER_SORT_KEY
from tests.unit.infra.templates import Json, Template, environment, resolve
from worker.cli.audit import audit as audit_command


def test_buckets_are_private_encrypted_and_clean_up_behind_uploads(template: Template) -> None:
    buckets = template.of_type("AWS::S3::Bucket")
    assert len(buckets) == 5
    for name, bucket in buckets.items():
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}, name
        encryption = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert encryption[0]["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}, name
        rules = properties["LifecycleConfiguration"]["Rules"]
        assert {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}}.items() <= (
            rules[0].items()
        ), name
        is_data = not name.startswith(("BucketsAccessLogs", "BucketsResults"))
        assert ("VersioningConfiguration" in properties) is is_data, name
    policies = template.of_type("AWS::S3::BucketPolicy").values()
    assert {policy["Properties"]["Bucket"]["Ref"] for policy in policies} == set(buckets)
    for policy in policies:
        denied = [
            statement["Condition"]
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny" and statement["Action"] == "s3:*"
        ]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied
        assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_only_the_input_bucket_tells_of_its_objects(template: Template) -> None:
    telling = [
        name
        for name, bucket in template.of_type("AWS::S3::Bucket").items()
        if "NotificationConfiguration" in bucket["Properties"]
    ]
    assert [name.startswith("BucketsInput") for name in telling] == [True]
    # A Lambda function would mean that the L2 property was used, which deploys one.
    assert not template.of_type("AWS::Lambda::Function")


def test_processed_objects_grow_cold_and_go_when_asked(template: Template, full: Template) -> None:
    (cold,) = archive_rules(template)
    assert cold["Transitions"] == [{"StorageClass": "GLACIER_IR", "TransitionInDays": 30}]
    assert "ExpirationInDays" not in cold
    (dying,) = archive_rules(full)
    assert dying["ExpirationInDays"] == 730


def archive_rules(template: Template) -> list[Json]:
    rules = template.named("BucketsArchive", "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    return [rule for rule in rules if rule.get("Prefix") == "archive/"]


def test_data_outlives_the_stack_where_it_must(template: Template, full: Template) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table"):
        assert {one["DeletionPolicy"] for one in template.of_type(kind).values()} == {"Delete"}
        assert {one["DeletionPolicy"] for one in full.of_type(kind).values()} == {"Retain"}
    for deployment, protected in ((template, False), (full, True)):
        for table in deployment.of_type("AWS::DynamoDB::Table").values():
            assert table["Properties"]["DeletionProtectionEnabled"] is protected


def test_tables_have_the_keys_and_indexes_that_kpi_defines(template: Template) -> None:
    expected: dict[str, Any] = {
        f"shopkpi-dev-{table.name}": (
            [table.partition_key, *([table.group_key] if table.group_key else [])],
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


def keys(schema: list[Json]) -> list[str]:
    assert [key["KeyType"] for key in schema] == ["HASH", "RANGE"][: len(schema)]
    return [key["AttributeName"] for key in schema]


def test_containers_are_confined(template: Template, full: Template) -> None:
    assert len(template.of_type("AWS::ECS::TaskDefinition")) == 4
    assert len(full.of_type("AWS::ECS::TaskDefinition")) == 5
    for deployment in (template, full):
        for task in deployment.of_type("AWS::ECS::TaskDefinition").values():
            properties = task["Properties"]
            assert properties["RequiresCompatibilities"] == ["FARGATE"]
            assert properties["NetworkMode"] == "awsvpc"
            (container,) = properties["ContainerDefinitions"]
            assert container["ReadonlyRootFilesystem"] is True
            assert container["User"] == "10001:10001"
            assert container["LinuxParameters"]["InitProcessEnabled"] is True
            assert container["StopTimeout"] == 120
            assert "EntryPoint" not in container
            assert [mount["ContainerPath"] for mount in container["MountPoints"]] == ["/tmp"]
            assert "Privileged" not in container


def test_tasks_know_where_everything_is(template: Template, full: Template) -> None:
    assert environment(template) == {
        "SHOPKPI_CONTRACT": "default",
        "SHOPKPI_DEPLOYMENT": "shopkpi-dev",
        "SHOPKPI_KPIS": "order,category",
        "SHOPKPI_METRICS_NAMESPACE": "shopkpi",
        "SHOPKPI_STATE": "dynamodb://shopkpi-dev",
        "SHOPKPI_WORKSPACE": "s3://BucketsClean",
    }
    assert environment(full)["SHOPKPI_STATE"] == "dynamodb://shopkpi-prod"
    assert environment(full)["SHOPKPI_CONTRACT"] == "olist"
    assert environment(full)["SHOPKPI_KPIS"] == "order,category,product"


EGRESS = {("0.0.0.0/0", 443), ("255.255.255.255/32", 86)}


def test_nothing_is_reachable_from_the_internet(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for kind in ("InternetGateway", "NatGateway", "EIP"):
            assert not deployment.of_type(f"AWS::EC2::{kind}")
        for subnet in deployment.of_type("AWS::EC2::Subnet").values():
            assert subnet["Properties"]["MapPublicIpOnLaunch"] is False
        for group in deployment.of_type("AWS::EC2::SecurityGroup").values():
            assert "SecurityGroupIngress" not in group["Properties"]
            # HTTPS out, or nothing: the CDK says nothing with a rule that matches no address.
            (out,) = group["Properties"]["SecurityGroupEgress"]
            assert (out["CidrIp"], out.get("ToPort")) in EGRESS
        for rule in deployment.of_type("AWS::EC2::SecurityGroupIngress").values():
            assert "SourceSecurityGroupId" in rule["Properties"]
            assert rule["Properties"]["ToPort"] == 443


def test_tasks_reach_the_services_that_they_need(template: Template, full: Template) -> None:
    assert endpoints(template) == {"s3", "dynamodb", "ecr.api", "ecr.dkr", "logs"}
    assert endpoints(full) == endpoints(template) | {"sqs", "states"}


def endpoints(template: Template) -> set[str]:
    return {
        resolve(one["Properties"]["ServiceName"]).removeprefix("com.amazonaws.eu-central-1.")
        for one in template.of_type("AWS::EC2::VPCEndpoint").values()
    }


def test_the_rule_listens_to_the_datasets_and_keeps_what_fails(
    template: Template, full: Template
) -> None:
    rule = template.named("IntakeObjectCreated", "AWS::Events::Rule")
    assert resolve(rule["EventPattern"]["detail"]["object"]["key"]) == [
        {"prefix": "orders/"},
        {"prefix": "order_items/"},
        {"prefix": "products/"},
    ]
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 86400,
        "MaximumRetryAttempts": 185,
    }
    assert resolve(target["DeadLetterConfig"]["Arn"]).startswith("arn:NotificationsDeadLetters")
    assert resolve(target["Arn"]).startswith("IntakeStateMachine")
    prefixed = full.named("IntakeObjectCreated", "AWS::Events::Rule")["EventPattern"]
    assert prefixed["detail"]["object"]["key"][0] == {"prefix": "incoming/orders/"}


def test_the_sweep_and_the_audit_come_by_the_clock(template: Template, full: Template) -> None:
    sweep = template.named("SweepSchedule", "AWS::Scheduler::Schedule")
    assert sweep["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert json.loads(sweep["Target"]["Input"]) == {"again": "<aws.scheduler.execution-id>"}
    assert len(template.of_type("AWS::Scheduler::Schedule")) == 2
    audit = full.named("AuditSchedule", "AWS::Scheduler::Schedule")
    assert audit["ScheduleExpression"] == "cron(0 4 * * ? *)"
    task = full.named("ComputeAudit", "AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    assert container["Command"] == ["audit", "--sample", "7"]
    assert audit_command.parse_args(click.Context(audit_command), container["Command"][1:]) == []
    writes = {a for a, _ in full.rights("ComputeAuditRole") if "Put" in a or "Delete" in a}
    assert not writes


def test_what_tasks_tell_each_other_is_forgotten(template: Template) -> None:
    rules = template.named("BucketsClean", "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    expired = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert expired == {"plans/": 14, "pieces/": 14}
