"""The stack: every capability of one deployment, and how they hang together."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.analytics.glue_catalog import Lake
from infra.buckets import Buckets
from infra.compute import Compute
from infra.monitoring.alarms import Alarms
from infra.monitoring.dashboard import Dashboard
from infra.monitoring.notifications import Notifications
from infra.network import Network
from infra.settings import Settings
from infra.tables import Tables
from infra.workflows.ingest import Ingest
from infra.workflows.intake import Intake
from infra.workflows.redrive import Audit, Sweep
from infra.workflows.warm_service import WarmService


class ShopKpiStack(cdk.Stack):  # type: ignore[misc]  # of a library that mypy does not read
    """One deployment of shopkpi; `settings.stage` tells it from others in the same account.

    Attributes:
        settings: What it was made from.
        buckets, notifications, compute, ingest, intake, sweep: Its capabilities.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id, description="shopkpi: daily KPIs from uploaded files")
        self.settings = settings
        retention = _retention(settings.log_retention_days)
        self.buckets = buckets = Buckets(
            self,
            "Buckets",
            retain_data=settings.retain_data,
            archive_after_days=settings.archive_after_days,
            expire_after_days=settings.expire_after_days,
        )
        tables = Tables(self, "Tables", prefix=settings.prefix, retain_data=settings.retain_data)
        self.notifications = notifications = Notifications(
            self, "Notifications", email=settings.alarm_email
        )
        topic, dlq = notifications.topic, notifications.dlq
        network = Network(
            self,
            "Network",
            az_count=settings.az_count,
            availability_zones=settings.availability_zones,
            warm_service=settings.warm_service,
            log_retention=retention,
        )
        self.compute = compute = Compute(
            self,
            "Compute",
            settings=settings,
            network=network,
            buckets=buckets,
            tables=tables,
            log_retention=retention,
        )
        warm = (
            WarmService(self, "Warm", settings=settings, compute=compute, dlq=dlq)
            if settings.warm_service
            else None
        )
        # Step Functions only writes to log groups of this name into the account's log policy.
        executions = logs.LogGroup(
            self,
            "Executions",
            log_group_name=f"/aws/vendedlogs/states/{settings.prefix}",
            retention=retention,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        self.ingest = ingest = Ingest(
            self,
            "Ingest",
            settings=settings,
            compute=compute,
            buckets=buckets,
            tables=tables,
            topic=topic,
            warm=warm,
            log_group=executions,
        )
        self.intake = intake = Intake(
            self,
            "Intake",
            settings=settings,
            bucket=buckets.input,
            ingest=ingest.state_machine,
            topic=topic,
            dlq=dlq,
            log_group=executions,
        )
        self.sweep = sweep = Sweep(
            self,
            "Sweep",
            settings=settings,
            bucket=buckets.input,
            intake=intake.state_machine,
            topic=topic,
            dlq=dlq,
            log_group=executions,
        )
        if settings.audit_sample_days:
            Audit(self, "Audit", settings=settings, compute=compute, dlq=dlq)
        alarms = Alarms(
            self,
            "Alarms",
            settings=settings,
            notifications=notifications,
            compute=compute,
            machines={
                "Ingest": ingest.state_machine,
                "Intake": intake.state_machine,
                "Sweep": sweep.state_machine,
            },
            tables=[tables.ledger, *tables.kpis.values()],
            age=sweep.age,
            log_retention=retention,
        )
        Dashboard(
            self,
            "Dashboard",
            settings=settings,
            compute=compute,
            ingest=ingest.state_machine,
            alarms=alarms,
        )
        Lake(self, "Lake", settings=settings, buckets=buckets)
        self._outputs(settings, buckets, ingest, notifications)

    def _outputs(
        self, settings: Settings, buckets: Buckets, ingest: Ingest, notifications: Notifications
    ) -> None:
        outputs = {
            "InputBucket": buckets.input.bucket_name,
            "CleanBucket": buckets.clean.bucket_name,
            "ArchiveBucket": buckets.archive.bucket_name,
            "State": f"dynamodb://{settings.prefix}",
            "IngestStateMachine": ingest.state_machine.state_machine_arn,
            "Topic": notifications.topic.topic_arn,
        }
        for name, value in outputs.items():
            cdk.CfnOutput(self, name, value=value)


def _retention(days: int) -> logs.RetentionDays:
    """The member of CDK's enumeration for a number of days that CloudWatch Logs allows."""
    names = {
        1: "ONE_DAY",
        3: "THREE_DAYS",
        5: "FIVE_DAYS",
        7: "ONE_WEEK",
        14: "TWO_WEEKS",
        30: "ONE_MONTH",
        60: "TWO_MONTHS",
        90: "THREE_MONTHS",
        120: "FOUR_MONTHS",
        150: "FIVE_MONTHS",
        180: "SIX_MONTHS",
        365: "ONE_YEAR",
        400: "THIRTEEN_MONTHS",
        545: "EIGHTEEN_MONTHS",
        731: "TWO_YEARS",
        1096: "THREE_YEARS",
        1827: "FIVE_YEARS",
    }
    return logs.RetentionDays[names[days]]
