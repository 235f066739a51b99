"""Custom widget of the dashboard that shows the KPIs of the last 30 days."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as functions
from aws_cdk import aws_logs as logs
from constructs import Construct

PYTHON = functions.Runtime("python3.14", functions.RuntimeFamily.PYTHON, supports_inline_code=True)
"""The CDK's list ends before it."""

CODE = Path(__file__).with_name("kpi_widget.py")


class KpiWidget(Construct):
    """Function that answers the widget, and the widget.

    A KPI is no metric: a point of CloudWatch cannot be corrected, and none is older than two weeks.
    This reads the rows themselves, whenever somebody looks (docs/decisions/0025).

    Attributes:
        function: May query the one table, and nothing else.
        widget: To put on a dashboard. Who looks needs `lambda:InvokeFunction` on the function.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        table: dynamodb.ITable,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(self, "Logs", retention=log_retention)
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="What the KPIs on the dashboard of shopkpi may do",
        )
        iam.Policy(
            self,
            "Policy",
            roles=[role],
            statements=[
                iam.PolicyStatement(actions=["dynamodb:Query"], resources=[table.table_arn]),
                iam.PolicyStatement(
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[log_group.log_group_arn],
                ),
            ],
        )
        self.function = functions.Function(
            self,
            "Function",
            description="Shows the KPIs of shopkpi on its dashboard",
            runtime=PYTHON,
            architecture=functions.Architecture.ARM_64,
            handler="index.handler",
            code=functions.Code.from_inline(CODE.read_text("utf-8")),
            role=role,
            memory_size=256,
            # Thirty queries one after another take about a second.
            timeout=Duration.seconds(20),
            environment={"TABLE": table.table_name},
            log_group=log_group,
        )
        self.widget = cloudwatch.CustomWidget(
            title="KPIs of the last 30 days",
            function_arn=self.function.function_arn,
            width=24,
            height=9,
            update_on_resize=False,
            update_on_time_range_change=False,
        )
