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
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.compute import METRICS_NAMESPACE, Compute
from infra.monitoring.notifications import Notifications
from infra.settings import Settings

FIVE_MINUTES = Duration.minutes(5)


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
    """Alarms that publish to the topic on each change between OK and ALARM.

    Attributes:
        stopped: Log group of the tasks that failed; ECS itself forgets them within the hour.
        exits: Metric that counts those tasks.
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
        self.exits = self._count_failed_tasks(compute)
        self._executions(machines)
        self._alarm(
            "DeadLetters", "An event or message could not be delivered", _depth(notifications)
        )
        self._alarm("TaskExits", "A task ended with an exit code other than 0", self.exits)
        self._uploads(settings, machines["Ingest"])
        self._throttling(tables)
        self._alarm(
            "Uncommitted",
            "An upload has lain in the input bucket for too long; the sweep started it again",
            age,
            threshold=60 * settings.sweep_min_age_minutes,
        )
        if settings.audit_sample_days:
            self._alarm(
                "AuditDifferences",
                "Published days are not what the clean zone gives; `shopkpi transform --all`",
                self._metrics.of("audit.finished", "differences"),
            )

    def _executions(self, machines: Mapping[str, sfn.StateMachine]) -> None:
        for name, machine in machines.items():
            metrics = {
                "Failed": ("failed", machine.metric_failed(period=FIVE_MINUTES)),
                "TimedOut": ("timed out", machine.metric_timed_out(period=FIVE_MINUTES)),
                "Throttled": ("were throttled", machine.metric_throttled(period=FIVE_MINUTES)),
            }
            for kind, (verb, metric) in metrics.items():
                self._alarm(f"{name}{kind}", f"{name} executions {verb}", metric)

    def _count_failed_tasks(self, compute: Compute) -> cloudwatch.Metric:
        """Keep and count the events of tasks with an exit code other than 0.

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
            description="A task of shopkpi ended with an exit code other than 0",
            event_pattern={
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {
                    "clusterArn": [compute.cluster.cluster_arn],
                    "lastStatus": ["STOPPED"],
                    "containers": {"exitCode": [{"anything-but": 0}]},
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
            expression="IF(read > 0, rejected / read, 0)",
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
            threshold=settings.reject_rate_alarm,
        )
        self._alarm(
            "Lag",
            "An upload took too long to become KPIs",
            ingest.metric_time(period=FIVE_MINUTES, statistic="Maximum"),
            threshold=60_000 * settings.lag_alarm_minutes,  # Step Functions reports milliseconds
        )
        if settings.success_within_hours:
            self._alarm(
                "NoSuccess",
                "No upload has become KPIs for too long",
                ingest.metric_succeeded(period=hour),
                # An alarm evaluates one day at most, and so does the setting.
                periods=settings.success_within_hours,
                comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
                missing=cloudwatch.TreatMissingData.BREACHING,
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
                periods=3,
            )

    def _alarm(
        self,
        name: str,
        description: str,
        metric: cloudwatch.IMetric,
        *,
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
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._topic)
        alarm.add_ok_action(self._topic)
        self.all.append(alarm)


def _depth(notifications: Notifications) -> cloudwatch.Metric:
    return notifications.dlq.metric_approximate_number_of_messages_visible(
        period=FIVE_MINUTES, statistic="Maximum"
    )
