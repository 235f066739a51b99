"""Run what nobody asks for on a schedule: the audit of published days, and maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.compute import Compute
from infra.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ScheduledTask:
    """A command that is run on a schedule.

    Attributes:
        name: Of the task, and of its schedule.
        rights: Policy statements of its role.
        command: Arguments of `shopkpi`.
        expression: When, as EventBridge Scheduler has it.
        description: For people.
    """

    name: str
    rights: Sequence[iam.PolicyStatement]
    command: Sequence[str]
    expression: str
    description: str


def scheduled_tasks(settings: Settings, compute: Compute) -> list[ScheduledTask]:
    """Return the tasks of a deployment that are run on schedules."""
    audit = ScheduledTask(
        name="Audit",
        rights=compute.audit_rights,
        # Between its commit and its publication an upload is no failure. One that stays there
        # stays in the input bucket, too, and the alarm Uncommitted goes off.
        command=["audit", "--sample", str(settings.audit_sample_days), "--during-uploads"],
        expression=settings.audit_schedule,
        description="Recomputes a sample of days and compares them with what is published",
    )
    iceberg = ["--iceberg", f"glue://{settings.database}"] if settings.iceberg_tables else []
    maintain = ScheduledTask(
        name="Maintain",
        rights=compute.maintain_rights,
        command=["maintain", *iceberg],
        expression=settings.maintain_schedule,
        description="Merges the key index and deletes objects that nothing names for a day",
    )
    return [audit, maintain] if settings.audit_sample_days else [maintain]


class TaskSchedule(Construct):
    """Schedule of a task."""

    def __init__(
        self,
        scope: Construct,
        task: ScheduledTask,
        *,
        settings: Settings,
        compute: Compute,
        dlq: sqs.IQueue,
    ) -> None:
        super().__init__(scope, task.name)
        definition = compute.add_task(
            task.name,
            rights=task.rights,
            command=task.command,
            vcpu=settings.medium_task_vcpu,
        )
        scheduler.Schedule(
            self,
            "Schedule",
            description=task.description,
            schedule=scheduler.ScheduleExpression.expression(task.expression),
            target=targets.EcsRunFargateTask(
                compute.cluster,
                task_definition=definition,
                propagate_tags=True,
                assign_public_ip=compute.network.public_addresses,
                security_groups=[compute.network.tasks],
                vpc_subnets=compute.network.subnets,
                platform_version=ecs.FargatePlatformVersion.VERSION1_4,
                dead_letter_queue=dlq,
                max_event_age=Duration.hours(1),
                retry_attempts=10,
            ),
        )
