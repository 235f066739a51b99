"""One page that shows whether all is well, and queries for when it is not."""

from __future__ import annotations

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.compute import Compute
from infra.observability import FIVE_MINUTES, Alarms, WorkerMetrics
from infra.settings import Settings

QUERIES = {
    "errors by source": """\
fields @timestamp, event, source_id, error, @logStream
| filter level in ["error", "critical"]
| stats count(*) as errors, latest(error) as last_error by source_id, event
| sort errors desc""",
    "slowest files": """\
filter event = "source.committed"
| fields source_id, url, seconds, size_bytes, rows_read, size_bytes / seconds as bytes_per_second
| sort seconds desc
| limit 50""",
    "rejects by reason": """\
filter event = "source.rejects"
| stats sum(rows) as rows by reason, dataset
| sort rows desc""",
    "what became of a file": """\
fields @timestamp, event, verdict, rows_read, rows_rejected, error
| filter url like /PART OF THE KEY/ or source_id = "SOURCE ID"
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
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        metrics = WorkerMetrics(prefix=settings.prefix)
        board = cloudwatch.Dashboard(self, "Board", dashboard_name=settings.prefix)
        board.add_widgets(
            cloudwatch.AlarmStatusWidget(
                title="Alarms", alarms=list(alarms.all), width=24, height=4
            )
        )
        board.add_widgets(
            _graph(
                "Uploads",
                ingest.metric_started(period=FIVE_MINUTES, label="started"),
                ingest.metric_succeeded(period=FIVE_MINUTES, label="ended well"),
                ingest.metric_failed(period=FIVE_MINUTES, label="failed"),
                metrics.sum("refused"),
            ),
            _graph("Rows", metrics.sum("rows_read"), metrics.sum("rows_rejected")),
            _graph("Bytes", metrics.sum("source_bytes")),
        )
        board.add_widgets(
            _graph("Seconds", metrics.max("validate_seconds"), metrics.max("transform_seconds")),
            _graph("Published", metrics.sum("days_published"), metrics.max("items_waiting")),
            _graph("Commit to publication, seconds", metrics.max("publish_lag_seconds")),
        )
        for name, query in QUERIES.items():
            logs.CfnQueryDefinition(
                self,
                name.title().replace(" ", ""),
                name=f"{settings.prefix}/{name}",
                query_string=query,
                log_group_names=[compute.log_group.log_group_name],
            )


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8, height=6)
