"""Run what nobody asks for on a schedule: the audit of published days, and maintenance."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.compute import Compute
from infra.settings import Settings


class AuditSchedule(Construct):
    """Schedule of a task that recomputes a sample of days; it exits with 3 on a difference."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        compute: Compute,
        dlq: sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        task = compute.add_task(
            "Audit",
            rights=compute.audit_rights,
            # Between its commit and its publication an upload is no failure. One that stays there
            # stays in the input bucket, too, and the alarm Uncommitted goes off.
            command=["audit", "--sample", str(settings.audit_sample_days), "--during-uploads"],
            vcpu=settings.medium_task_vcpu,
        )
        _run_on_schedule(
            self,
            compute,
            task,
            expression=settings.audit_schedule,
            description="Recomputes a sample of days and compares them with what is published",
            dlq=dlq,
        )


class MaintainSchedule(Construct):
    """Schedule of a task that merges the key index and deletes objects that nothing names."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        compute: Compute,
        dlq: sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        task = compute.add_task(
            "Maintain",
            rights=compute.maintain_rights,
            command=["maintain"],
            vcpu=settings.medium_task_vcpu,
        )
        _run_on_schedule(
            self,
            compute,
            task,
            expression=settings.maintain_schedule,
            description="Merges the key index and deletes objects that nothing names for a day",
            dlq=dlq,
        )


def _run_on_schedule(
    scope: Construct,
    compute: Compute,
    task: ecs.FargateTaskDefinition,
    *,
    expression: str,
    description: str,
    dlq: sqs.IQueue,
) -> None:
    scheduler.Schedule(
        scope,
        "Schedule",
        description=description,
        schedule=scheduler.ScheduleExpression.expression(expression),
        target=targets.EcsRunFargateTask(
            compute.cluster,
            task_definition=task,
            assign_public_ip=False,
            security_groups=[compute.network.tasks],
            vpc_subnets=compute.network.subnets,
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            dead_letter_queue=dlq,
            max_event_age=Duration.hours(1),
            retry_attempts=10,
        ),
    )
