"""Acknowledge findings of cdk-nag's AwsSolutions checks: each exactly, with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from constructs import Construct

if TYPE_CHECKING:
    from infra.stack import ShopKpiStack

WILDCARD = "IAM5"
NO_RESOURCE = "X-Ray, log delivery and the registry's token take no resource (service reference)"
OBJECTS = "Objects of one bucket or folder, whose keys are not known beforehand"
REVISIONS = "Revisions of one task definition, so that a deployment does not stop running uploads"
TABLES = "Tables of one database: their names follow from the contract in force, and to list them"
TASKS = "Tasks of one cluster, which get the tags of their definition when they start"
INDEXES = "Indexes of one table, whose rows are those of the table"
CHILDREN = "Executions of this state machine itself: children of its Distributed Maps"


class _Scope:
    """Acknowledge findings on one construct and its children."""

    def __init__(self, stack: ShopKpiStack, construct: Construct) -> None:
        self._stack = stack
        self._validations = cdk.Validations.of(construct)

    def acknowledge(self, rule: str, reason: str, finding: str = "") -> None:
        name = f"AwsSolutions::AwsSolutions-{rule}" + (f"[{finding}]" if finding else "")
        self._validations.acknowledge(cdk.Acknowledgment(id=name, reason=reason))

    def resource(self, resource: str, reason: str) -> None:
        """Acknowledge a policy statement whose resource has a wildcard in it."""
        self.acknowledge(WILDCARD, reason, f"Resource::{resource}")

    def objects(self, bucket: Construct, folder: str = "") -> None:
        """Acknowledge a policy statement on the objects of a bucket."""
        name = self._stack.settings.input_bucket if bucket is self._stack.buckets.input else ""
        arn = (
            f"arn:<AWS::Partition>:s3:::{name}"
            if name
            else f"<{_logical_id(self._stack, bucket)}.Arn>"
        )
        self.resource(f"{arn}/{folder}*", OBJECTS)

    def revisions(self, task: Construct) -> None:
        """Acknowledge the right to run any revision of a task definition."""
        parts = f'{{"Fn::Split":[":",{{"Ref":"{_logical_id(self._stack, task)}"}}]}}'
        family = f'{{"Fn::Split":["/",{{"Fn::Select":[5,{parts}]}}]}}'
        region = ":".join(f'{{"Fn::Select":[{number},{parts}]}}' for number in (1, 2, 3, 4))
        name = "/".join(f'{{"Fn::Select":[{number},{family}]}}' for number in (0, 1))
        self.resource(f"arn:{region}:{name}:*", REVISIONS)

    def children(self, machine: Construct, *maps: str) -> None:
        """Acknowledge the right to start and stop the executions of a Distributed Map."""
        name = (
            f'{{"Fn::Select":[6,{{"Fn::Split":[":",{{"Ref":"{_logical_id(self._stack, machine)}"'
            "}]}]}"
        )
        prefix = "arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution"
        for suffix in ("", *(f"/{each}" for each in maps)):
            self.resource(f"{prefix}:{name}{suffix}:*", CHILDREN)


def acknowledge_findings(stack: ShopKpiStack) -> None:
    """Acknowledge the findings that are accepted; any other one fails the synthesis."""
    buckets, compute = stack.buckets, stack.compute
    notifications = _Scope(stack, stack.notifications)
    notifications.acknowledge("SQS3", "It is the dead-letter queue of rules, schedules and queues")

    uploads = _Scope(stack, stack.uploads)
    uploads.acknowledge("SQS3", "It is the dead-letter queue of the queue of uploads")

    _acknowledge_tasks(stack)

    access = _Scope(stack, stack.access)
    for folder in stack.settings.incoming_folders:
        access.objects(buckets.input, folder)
    for table in stack.tables.kpis.values():
        access.resource(f"<{_logical_id(stack, table)}.Arn>/index/*", INDEXES)

    ingest = _Scope(stack, stack.ingest)
    ingest.resource("*", NO_RESOURCE)
    ingest.objects(buckets.input)
    ingest.objects(buckets.archive, "archive/")
    clean = _logical_id(stack, buckets.clean)
    ingest.resource(f"arn:<AWS::Partition>:s3:::<{clean}>/*", OBJECTS)
    for task in (compute.validate, compute.transform, compute.archive):
        ingest.revisions(task)
    ingest.children(stack.ingest.state_machine, "ValidateRanges", "TransformDays")

    batches = _Scope(stack, stack.batches)
    batches.resource("*", NO_RESOURCE)
    batches.objects(buckets.clean, "plans/batches/")
    for task in {compute.batch, compute.validate, compute.transform, compute.archive}:
        batches.revisions(task)

    for construct in (stack.ingest, stack.sweep):
        cdk.Validations.of(construct).acknowledge(
            cdk.Acknowledgment(
                id="Annotation::@aws-cdk/aws-stepfunctions:propertyIgnored",
                reason="DistributedMap requires an executionType, then warns that it ignores it",
            )
        )

    operations = _Scope(stack, stack.operations)
    operations.resource("*", NO_RESOURCE)
    operations.revisions(compute.operator)
    for bucket in (buckets.input, buckets.clean):
        operations.objects(bucket)
    for folder in ("plans/", "index/", "packs/"):
        operations.objects(buckets.clean, folder)
    for folder in ("archive/", "quarantine/"):
        operations.objects(buckets.archive, folder)

    intake = _Scope(stack, stack.intake)
    intake.resource("*", NO_RESOURCE)
    intake.objects(buckets.input)

    sweep = _Scope(stack, stack.sweep)
    sweep.resource("*", NO_RESOURCE)
    sweep.children(stack.sweep.state_machine, "Objects")


def _acknowledge_tasks(stack: ShopKpiStack) -> None:
    buckets, compute = stack.buckets, stack.compute
    tasks = _Scope(stack, compute)
    if not stack.settings.warm_service:
        tasks.acknowledge(
            "ECS4",
            "Insights would cost more than tasks that live for minutes; the worker reports its own "
            "metrics, and every bad exit is counted and kept",
        )
    tasks.acknowledge("ECS2", "Names of tables and buckets; there are no secrets in this system")
    tasks.resource("*", NO_RESOURCE)
    for bucket in (buckets.input, buckets.clean):
        tasks.objects(bucket)
    for folder in ("plans/", "index/", "packs/"):
        tasks.objects(buckets.clean, folder)
    for folder in ("archive/", "quarantine/"):
        tasks.objects(buckets.archive, folder)
    if stack.settings.iceberg_tables:
        tasks.objects(buckets.clean, "iceberg/")
        glue = "arn:<AWS::Partition>:glue:<AWS::Region>:<AWS::AccountId>"
        tasks.resource(f"{glue}:table/{stack.settings.database}/*", TABLES)

    cluster = _logical_id(stack, compute.cluster)
    schedules = _Scope(stack, stack)
    schedules.resource(
        f"arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:task/<{cluster}>/*", TASKS
    )


def _logical_id(stack: cdk.Stack, construct: Construct) -> str:
    return stack.get_logical_id(construct.node.default_child)
