"""Run the audit of a sample of published days on a schedule."""

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
        scheduler.Schedule(
            self,
            "Schedule",
            description="Recomputes a sample of days and compares them with what is published",
            schedule=scheduler.ScheduleExpression.expression(settings.audit_schedule),
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
