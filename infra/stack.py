"""Stack of one deployment: its capabilities, and how they depend on each other."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.access import Access
from infra.analytics.glue_catalog import GlueCatalog
from infra.buckets import Buckets
from infra.compute import Compute
from infra.monitoring.alarms import Alarms
from infra.monitoring.dashboard import Dashboard
from infra.monitoring.kpis import KpiWidget
from infra.monitoring.notifications import Notifications
from infra.network import Network
from infra.settings import Settings
from infra.tables import Tables
from infra.workflows.batches import Batches
from infra.workflows.ingest import Ingest
from infra.workflows.intake import Intake
from infra.workflows.operations import Operations
from infra.workflows.redrive import Sweep
from infra.workflows.schedules import TaskSchedule, scheduled_tasks
from infra.workflows.upload_queue import UploadQueue
from infra.workflows.warm_service import WarmService
from kpi.aggregation.tables import ORDER_KPIS


class ShopKpiStack(cdk.Stack):  # type: ignore[misc]  # mypy does not read aws_cdk
    """One deployment of shopkpi; `settings.stage` tells deployments of one account apart.

    Attributes:
        settings: Settings of the deployment.
        network, buckets, tables, notifications, compute: What it is of.
        access: Policies for uploaders and for readers of KPIs.
        ingest, intake, sweep, operations: Its state machines.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(
            scope,
            construct_id,
            description="shopkpi: daily KPIs from uploaded files",
            termination_protection=settings.termination_protection,
        )
        self.settings = settings
        self._retention = _retention(settings.log_retention_days)
        removal = _removal(retain_data=settings.retain_data)
        self.buckets = Buckets(
            self,
            "Buckets",
            settings=settings,
            removal=removal,
        )
        self.tables = Tables(
            self,
            "Tables",
            prefix=settings.prefix,
            removal=removal,
            protect=settings.protect_tables,
        )
        self.notifications = Notifications(self, "Notifications", settings=settings)
        self.uploads = UploadQueue(self, "Uploads")
        self.compute = self._add_compute()
        self._add_workflows()
        for task in scheduled_tasks(settings, self.compute):
            TaskSchedule(
                self, task, settings=settings, compute=self.compute, dlq=self.notifications.dlq
            )
        self._add_monitoring()
        self.access = Access(
            self,
            "Access",
            settings=settings,
            buckets=self.buckets,
            tables=self.tables,
            key_rights=self.compute.key_rights,
        )
        self._bound_and_keep(removal)
        GlueCatalog(self, "Lake", settings=settings, buckets=self.buckets)
        self._add_outputs()

    def _bound_and_keep(self, removal: cdk.RemovalPolicy) -> None:
        """Bound every role, and keep log groups where data is kept."""
        boundary = self.settings.permissions_boundary_arn
        if boundary:
            policy = iam.ManagedPolicy.from_managed_policy_arn(self, "Boundary", boundary)
            iam.PermissionsBoundary.of(self).apply(policy)
        for one in self.node.find_all():
            if isinstance(one, logs.CfnLogGroup):
                one.apply_removal_policy(removal)

    def _add_compute(self) -> Compute:
        settings = self.settings
        self.network = network = Network(
            self,
            "Network",
            settings=settings,
            buckets=[self.buckets.input, self.buckets.clean, self.buckets.archive],
            log_retention=self._retention,
        )
        return Compute(
            self,
            "Compute",
            settings=settings,
            network=network,
            buckets=self.buckets,
            tables=self.tables,
            queue_rights={
                "validate": self.uploads.receiving_rights,
                "transform": self.uploads.holding_rights,
                "archive": self.uploads.deleting_rights,
            },
            log_retention=self._retention,
        )

    def _add_workflows(self) -> None:
        settings, topic, dlq = self.settings, self.notifications.topic, self.notifications.dlq
        warm = (
            WarmService(self, "Warm", settings=settings, compute=self.compute, dlq=dlq)
            if settings.warm_service
            else None
        )
        executions = self.executions = self._executions()
        self.ingest = Ingest(
            self,
            "Ingest",
            settings=settings,
            compute=self.compute,
            buckets=self.buckets,
            tables=self.tables,
            topic=topic,
            log_group=executions,
        )
        self.batches = Batches(
            self,
            "Batches",
            settings=settings,
            compute=self.compute,
            buckets=self.buckets,
            uploads=self.uploads,
            topic=topic,
            warm=warm,
            log_group=executions,
        )
        self.batches.schedule(dlq)
        self.intake = Intake(
            self,
            "Intake",
            settings=settings,
            bucket=self.buckets.input,
            decrypt_rights=self.compute.decrypt_rights,
            ingest=self.ingest.state_machine,
            batches=self.batches.state_machine,
            uploads=self.uploads.queue,
            topic=topic,
            dlq=dlq,
            log_group=executions,
        )
        self.sweep = Sweep(
            self,
            "Sweep",
            settings=settings,
            bucket=self.buckets.input,
            intake=self.intake.state_machine,
            uploads=self.uploads.queue,
            topic=topic,
            dlq=dlq,
            log_group=executions,
        )
        self.operations = Operations(
            self,
            "Operations",
            settings=settings,
            compute=self.compute,
            buckets=self.buckets,
            queue_rights=self.uploads.redriving_rights,
            topic=topic,
            dlq=dlq,
            log_group=executions,
        )
        self._add_rights_of_machines()

    def _add_rights_of_machines(self) -> None:
        with_tasks = [one.state_machine for one in (self.ingest, self.batches, self.operations)]
        for machine in with_tasks:
            machine.add_to_role_policy(self.compute.tagging_right)
        for machine in (*with_tasks, self.intake.state_machine):
            for statement in self.compute.key_rights:
                machine.add_to_role_policy(statement)

    def _executions(self) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            "Executions",
            # Below this name the account's log policy allows Step Functions to write.
            log_group_name=f"/aws/vendedlogs/states/{self.settings.prefix}",
            retention=self._retention,
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )

    def _add_monitoring(self) -> None:
        alarms = Alarms(
            self,
            "Alarms",
            settings=self.settings,
            notifications=self.notifications,
            compute=self.compute,
            machines={
                "Batches": self.batches.state_machine,
                "Ingest": self.ingest.state_machine,
                "Intake": self.intake.state_machine,
                "Sweep": self.sweep.state_machine,
                "Operations": self.operations.state_machine,
            },
            tables=[self.tables.ledger, *self.tables.kpis.values()],
            uploads=(self.uploads.queue, self.uploads.dead_letters),
            age=self.sweep.age,
            log_retention=self._retention,
        )
        self.kpi_widget = KpiWidget(
            self,
            "KpiWidget",
            table=self.tables.kpis[ORDER_KPIS.name],
            log_retention=self._retention,
        )
        Dashboard(
            self,
            "Dashboard",
            settings=self.settings,
            compute=self.compute,
            ingest=self.ingest.state_machine,
            uploads=self.uploads.queue,
            alarms=alarms,
            kpis=self.kpi_widget,
            executions=self.executions,
        )

    def _add_outputs(self) -> None:
        outputs = {
            "InputBucket": self.buckets.input.bucket_name,
            "CleanBucket": self.buckets.clean.bucket_name,
            "ArchiveBucket": self.buckets.archive.bucket_name,
            "State": f"dynamodb://{self.settings.prefix}",
            "IngestStateMachine": self.ingest.state_machine.state_machine_arn,
            "UploadQueue": self.uploads.queue.queue_url,
            "UploadDeadLetters": self.uploads.dead_letters.queue_url,
            "OperationsStateMachine": self.operations.state_machine.state_machine_arn,
            "OperatorPolicy": self.operations.operators.managed_policy_arn,
            "UploaderPolicy": self.access.uploaders.managed_policy_arn,
            "ReaderPolicy": self.access.readers.managed_policy_arn,
            "Topic": self.notifications.topic.topic_arn,
        }
        if self.settings.share_network:
            outputs["VpcId"] = self.network.vpc.vpc_id
            outputs["SubnetIds"] = cdk.Fn.join(",", self.network.subnet_ids)
        for name, value in outputs.items():
            cdk.CfnOutput(self, name, value=value)


def _removal(*, retain_data: bool) -> cdk.RemovalPolicy:
    """Return the removal policy of buckets and tables.

    Retained data outlives the stack. A creation that rolls back deletes it all the same: it is
    empty, and tables of fixed names would block the next creation.
    """
    if retain_data:
        return cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    return cdk.RemovalPolicy.DESTROY


def _retention(days: int) -> logs.RetentionDays:
    """Return the CDK's enumeration member for a retention period of CloudWatch Logs."""
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
