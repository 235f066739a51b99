"""CloudWatch dashboard, and saved queries of Logs Insights for troubleshooting."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.compute import Compute
from infra.monitoring.alarms import FIVE_MINUTES, Alarms, WorkerMetrics
from infra.monitoring.kpis import KpiWidget
from infra.settings import Settings
from kpi.contract.reject_reasons import Reason

REASONS = ", ".join(f"sum(reasons.{reason}) as {reason}" for reason in Reason)

FOLLOW = "what became of a file"

QUERIES = {
    "errors by source": """\
filter event in ["command.failed", "job.failed"] or @message like /^(shopkpi|Error): /
| fields coalesce(problem, @message) as said, coalesce(url, "no file") as source
| stats count(*) as times, latest(said) as last_problem by source
| sort times desc""",
    "slowest files": """\
filter event = "source.committed"
| fields url, seconds, size_bytes, rows_read, size_bytes / seconds as bytes_per_second
| sort seconds desc
| limit 50""",
    "rejects by reason": f"""\
filter event in ["source.committed", "source.refused"]
| stats {REASONS} by dataset""",
    FOLLOW: """\
filter @message like /ITS SOURCE ID/
| fields @timestamp, coalesce(event, type) as what, execution, verdict, reason, sequence, as_of
| sort @timestamp asc""",
}
"""Saved queries of CloudWatch Logs Insights over the tasks' logs: name -> query."""


class Dashboard(Construct):
    """The CloudWatch dashboard and the saved Logs Insights queries of a deployment."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        compute: Compute,
        ingest: sfn.StateMachine,
        uploads: sqs.IQueue,
        alarms: Alarms,
        kpis: KpiWidget,
        executions: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        metrics = WorkerMetrics(prefix=settings.prefix)
        board = cloudwatch.Dashboard(self, "Board", dashboard_name=settings.prefix)
        board.add_widgets(
            cloudwatch.AlarmStatusWidget(
                title="Alarms", alarms=list(alarms.all), width=24, height=4
            )
        )
        board.add_widgets(kpis.widget)
        committed, refused, published = "source.committed", "source.refused", "kpis.published"
        board.add_widgets(
            _graph(
                "Uploads",
                metrics.of(committed, "seconds", statistic="SampleCount", label="committed"),
                metrics.of(refused, "seconds", statistic="SampleCount", label="refused"),
                ingest.metric_failed(period=FIVE_MINUTES, label="large ones failed"),
            ),
            _graph(
                "Rows", metrics.of(committed, "rows_read"), metrics.of(committed, "rows_rejected")
            ),
            _graph("Bytes", metrics.of(committed, "size_bytes")),
        )
        board.add_widgets(*_backlog(uploads))
        board.add_widgets(
            _graph(
                "Seconds of the slowest",
                metrics.of(committed, "seconds", statistic="Maximum", label="validation"),
                metrics.of(published, "seconds", statistic="Maximum", label="transformation"),
            ),
            _graph(
                "Published",
                metrics.of(published, "days"),
                metrics.of(published, "waiting_items", statistic="Maximum"),
            ),
            _graph(
                "Large upload to KPIs, milliseconds",
                ingest.metric_time(period=FIVE_MINUTES, statistic="Maximum", label="slowest"),
                ingest.metric_time(period=FIVE_MINUTES, statistic="p50", label="median"),
            ),
        )
        for name, query in QUERIES.items():
            logs.CfnQueryDefinition(
                self,
                name.title().replace(" ", ""),
                name=f"{settings.prefix}/{name}",
                query_string=query,
                log_group_names=[
                    compute.log_group.log_group_name,
                    # A file's way is also that of its executions.
                    *([executions.log_group_name] if name == FOLLOW else []),
                ],
            )


def _backlog(uploads: sqs.IQueue) -> list[cloudwatch.GraphWidget]:
    waiting = uploads.metric_approximate_number_of_messages_visible(
        period=FIVE_MINUTES, statistic="Maximum", label="waiting"
    )
    in_batches = uploads.metric_approximate_number_of_messages_not_visible(
        period=FIVE_MINUTES, statistic="Maximum", label="in batches"
    )
    oldest = uploads.metric_approximate_age_of_oldest_message(
        period=FIVE_MINUTES, statistic="Maximum", label="oldest"
    )
    return [
        _graph("Uploads in the queue", waiting, in_batches),
        _graph("Age of the oldest upload, seconds", oldest),
    ]


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8, height=6)
