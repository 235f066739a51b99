"""CloudWatch alarms on state machines, tables, tasks and the worker's own metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.compute import METRICS_NAMESPACE, NOT_NOW, Compute
from infra.monitoring.notifications import Notifications
from infra.settings import Settings

FIVE_MINUTES = Duration.minutes(5)

REJECT_RATE_MIN_ROWS = 100
"""Rows within an hour below which a reject rate says nothing."""


QUOTA_ALARM_PERCENT = 80
"""Share of the vCPU quota that leaves no room for a burst."""


class WorkerMetrics:
    """Metrics that the worker writes into its log lines (CloudWatch embedded metric format)."""

    def __init__(self, *, prefix: str) -> None:
        self._prefix = prefix

    def of(
        self,
        event: str,
        field: str,
        *,
        statistic: str = "Sum",
        period: Duration = FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """Return the metric of a field of an event."""
        return cloudwatch.Metric(
            namespace=METRICS_NAMESPACE,
            metric_name=field,
            dimensions_map={"deployment": self._prefix, "event": event},
            statistic=statistic,
            period=period,
            label=label or field,
        )


class Alarms(Construct):
    """Alarms that publish to the topic when they go off, and link to docs/runbook.md.

    Attributes:
        stopped: Log group of the tasks that failed; ECS itself forgets them within the hour.
        failed_tasks: Metric that counts those tasks.
        all: Every alarm.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        notifications: Notifications,
        compute: Compute,
        machines: Mapping[str, sfn.StateMachine],
        tables: Sequence[dynamodb.Table],
        uploads: tuple[sqs.IQueue, sqs.IQueue],
        age: cloudwatch.Metric,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self._topic = actions.SnsAction(notifications.topic)
        self._metrics = WorkerMetrics(prefix=settings.prefix)
        self.all: list[cloudwatch.Alarm] = []
        self.stopped = logs.LogGroup(
            self, "StoppedTasks", retention=log_retention, removal_policy=RemovalPolicy.DESTROY
        )
        self.failed_tasks = self._count_failed_tasks(compute)
        self._executions(machines)
        self._alarm(
            "DeadLetters",
            "An event or message could not be delivered",
            _depth(notifications),
            runbook="dead-letters",
        )
        self._alarm(
            "TaskExits",
            "A task failed, or never started",
            self.failed_tasks,
            runbook="failed-tasks",
        )
        self._uploads(settings, machines["Ingest"])
        self._queue(settings, *uploads)
        self._throttling(tables)
        self._quota()
        self._alarm(
            "Uncommitted",
            "An upload has been in the input bucket for too long",
            age,
            runbook="uploads-left-behind",
            threshold=60 * settings.uncommitted_alarm_minutes,
        )
        if settings.audit_sample_days:
            self._alarm(
                "AuditDifferences",
                "Published days differ from what the clean zone gives",
                self._metrics.of("audit.finished", "differences"),
                runbook="audit-differences",
            )

    def _executions(self, machines: Mapping[str, sfn.StateMachine]) -> None:
        for name, machine in machines.items():
            failures = {
                "Failed": ("failed", machine.metric_failed(period=FIVE_MINUTES)),
                "TimedOut": ("timed out", machine.metric_timed_out(period=FIVE_MINUTES)),
            }
            for kind, (verb, metric) in failures.items():
                self._alarm(
                    f"{name}{kind}",
                    f"{name} executions {verb}",
                    metric,
                    runbook=f"failed-{name.lower()}-executions",
                )
            self._alarm(
                f"{name}Throttled",
                f"{name} executions were throttled",
                machine.metric_throttled(period=FIVE_MINUTES),
                runbook="throttled-executions",
            )

    def _count_failed_tasks(self, compute: Compute) -> cloudwatch.Metric:
        """Keep and count the events of tasks that failed or never started.

        Not counted are exit code 5 ("not now") and Spot interruptions, which are retried as a
        matter of course. A task that never started has no exit code, only a stop code.

        The rule is an L1 construct, since the L2 target for log groups deploys a Lambda function.
        """
        logs.ResourcePolicy(
            self,
            "EventsMayLog",
            policy_statements=[
                iam.PolicyStatement(
                    principals=[
                        iam.ServicePrincipal("events.amazonaws.com"),
                        iam.ServicePrincipal("delivery.logs.amazonaws.com"),
                    ],
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[self.stopped.log_group_arn],
                )
            ],
        )
        rule = events.CfnRule(
            self,
            "BadExit",
            description="A task of shopkpi failed, or never started",
            event_pattern={
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {
                    "clusterArn": [compute.cluster.cluster_arn],
                    "lastStatus": ["STOPPED"],
                    "$or": [
                        {
                            "containers": {"exitCode": [{"anything-but": [0, NOT_NOW]}]},
                            "stopCode": [{"anything-but": ["SpotInterruption"]}],
                        },
                        {"stopCode": ["TaskFailedToStart"]},
                    ],
                },
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="StoppedTasks",
                    # EventBridge expects the ARN without the `:*` at its end.
                    arn=Stack.of(self).format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name=self.stopped.log_group_name,
                        arn_format=ArnFormat.COLON_RESOURCE_NAME,
                    ),
                )
            ],
        )
        return cloudwatch.Metric(
            namespace="AWS/Events",
            metric_name="MatchedEvents",
            dimensions_map={"RuleName": rule.ref},
            statistic="Sum",
            period=FIVE_MINUTES,
        )

    def _uploads(self, settings: Settings, ingest: sfn.StateMachine) -> None:
        hour = Duration.hours(1)
        committed = "source.committed"
        rate = cloudwatch.MathExpression(
            expression=f"IF(read >= {REJECT_RATE_MIN_ROWS}, rejected / read, 0)",
            using_metrics={
                "rejected": self._metrics.of(committed, "rows_rejected", period=hour),
                "read": self._metrics.of(committed, "rows_read", period=hour),
            },
            period=hour,
            label="rejected rows / rows read",
        )
        self._alarm(
            "RejectRate",
            "More rows than usual broke the contract within an hour",
            rate,
            runbook="rejected-rows",
            threshold=settings.reject_rate_alarm,
        )
        self._alarm(
            "Lag",
            "A large upload took too long to become KPIs",
            ingest.metric_time(period=FIVE_MINUTES, statistic="Maximum"),
            runbook="slow-uploads",
            threshold=60_000 * settings.lag_alarm_minutes,  # Step Functions reports milliseconds
        )
        if settings.success_within_hours:
            self._alarm(
                "NoSuccess",
                "No upload has become KPIs for too long",
                self._metrics.of(committed, "seconds", statistic="SampleCount", period=hour),
                runbook="no-uploads",
                # An alarm evaluates one day at most, and so does the setting.
                periods=settings.success_within_hours,
                comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
                missing=cloudwatch.TreatMissingData.BREACHING,
            )

    def _queue(self, settings: Settings, queue: sqs.IQueue, dead_letters: sqs.IQueue) -> None:
        self._alarm(
            "OldestUpload",
            "An upload has waited too long in the queue",
            queue.metric_approximate_age_of_oldest_message(
                period=FIVE_MINUTES, statistic="Maximum"
            ),
            runbook="slow-uploads",
            threshold=60 * settings.lag_alarm_minutes,
        )
        self._alarm(
            "DeadUploads",
            "An upload has failed five times",
            dead_letters.metric_approximate_number_of_messages_visible(
                period=FIVE_MINUTES, statistic="Maximum"
            ),
            runbook="dead-uploads",
        )

    def _quota(self) -> None:
        """Warn where tasks use most of the account's vCPUs, whoever runs them."""
        running = cloudwatch.Metric(
            namespace="AWS/Usage",
            metric_name="ResourceCount",
            # ECS developer guide, "AWS Fargate usage metrics". Spot has a quota of its own, and
            # every task falls back to this one.
            dimensions_map={
                "Service": "Fargate",
                "Type": "Resource",
                "Resource": "vCPU",
                "Class": "Standard/OnDemand",
            },
            statistic="Maximum",
            period=FIVE_MINUTES,
        )
        self._alarm(
            "VcpuQuota",
            "Tasks of this account have used most of its vCPU quota for a quarter of an hour",
            cloudwatch.MathExpression(
                expression="running / SERVICE_QUOTA(running) * 100",
                using_metrics={"running": running},
                period=FIVE_MINUTES,
                label="% of the vCPU quota",
            ),
            runbook="vcpu-quota",
            threshold=QUOTA_ALARM_PERCENT,
            periods=3,
        )

    def _throttling(self, tables: Sequence[dynamodb.Table]) -> None:
        for table in tables:
            metrics = {
                kind: cloudwatch.Metric(
                    namespace="AWS/DynamoDB",
                    metric_name=f"{kind.title()}ThrottleEvents",
                    dimensions_map={"TableName": table.table_name},
                    statistic="Sum",
                    period=FIVE_MINUTES,
                )
                for kind in ("read", "write")
            }
            self._alarm(
                f"{table.node.id}Throttled",
                "DynamoDB has throttled for a quarter of an hour; the worker retries",
                cloudwatch.MathExpression(
                    expression="FILL(read, 0) + FILL(write, 0)",
                    using_metrics=dict(metrics),
                    period=FIVE_MINUTES,
                ),
                runbook="throttled-tables",
                periods=3,
            )

    def _alarm(
        self,
        name: str,
        description: str,
        metric: cloudwatch.IMetric,
        *,
        runbook: str,
        threshold: float = 1,
        periods: int = 1,
        comparison: cloudwatch.ComparisonOperator = (
            cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
        ),
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_description=explained(description, runbook),
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._topic)
        self.all.append(alarm)


def explained(description: str, section: str) -> str:
    """Return the description of an alarm with the anchor of its section of the runbook."""
    return f"{description}. What to do: docs/runbook.md#{section}"


def _depth(notifications: Notifications) -> cloudwatch.Metric:
    return notifications.dlq.metric_approximate_number_of_messages_visible(
        period=FIVE_MINUTES, statistic="Maximum"
    )
