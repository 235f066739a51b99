"""Redrive: start uploads again, on a schedule, that nothing has processed."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.compute import METRICS_NAMESPACE
from infra.settings import MIB, Settings
from infra.workflows.steps import (
    FAILURE,
    UNCHANGED,
    FailureStates,
    adding,
    is_marker,
    retry,
    retry_call,
    when,
)

AGE_METRIC = "uncommitted_age_seconds"

HOUR_S = 3_600
DAY_S = 86_400


class Sweep(Construct):
    """State machine and schedule that start objects left behind in the input bucket.

    An ingest execution moves its object out of the bucket. An object older than
    `settings.sweep_min_age_minutes` was missed (no event came), has failed, or is being processed.
    The sweep reports its age as the metric `uncommitted_age_seconds` and starts its intake.

    The name of an execution keeps the sweep from starting one twice. Within the longest run of an
    execution after the upload, the name is that which the event would have given: it is taken if
    the execution runs or has failed. Then comes one retry per length of that run, `...-retry-1`,
    `...-retry-2` and so on.

    Attributes:
        state_machine: Standard. Input: `again`, a suffix for all executions of this sweep instead;
            empty for none.
        age: The metric.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        bucket: s3.IBucket,
        intake: sfn.StateMachine,
        uploads: sqs.IQueue,
        topic: sns.ITopic,
        dlq: sqs.IQueue,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._uploads = uploads
        dimensions = {"deployment": settings.prefix}
        self.age = cloudwatch.Metric(
            namespace=METRICS_NAMESPACE,
            metric_name=AGE_METRIC,
            dimensions_map=dimensions,
            statistic="Maximum",
            period=Duration.hours(1),
        )
        failure = FailureStates(self, "Failure", topic=topic, workflow="sweep").start
        objects = self._for_each_object(bucket, intake)
        objects.add_catch(failure, errors=["States.ALL"], result_path="$.failure")
        swept = sfn.Succeed.jsonata(self, "Swept", state_name="Swept")
        objects.next(swept)
        first = self._skip_empty_bucket(bucket, failure=failure, objects=objects, swept=swept)
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=f"{settings.prefix}-sweep",
            comment="Starts uploads again that nothing has picked up",
            definition_body=sfn.DefinitionBody.from_chainable(first),
            timeout=Duration.hours(2),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True
            ),
        )
        self._schedule(dlq)

    def _schedule(self, dlq: sqs.IQueue) -> None:
        scheduler.Schedule(
            self,
            "Schedule",
            description="Starts uploads again that nothing has picked up",
            schedule=scheduler.ScheduleExpression.expression(self._settings.sweep_schedule),
            target=targets.StepFunctionsStartExecution(
                self.state_machine,
                input=scheduler.ScheduleTargetInput.from_object({"again": ""}),
                dead_letter_queue=dlq,
                max_event_age=Duration.hours(1),
                retry_attempts=10,
            ),
        )

    def _skip_empty_bucket(
        self,
        bucket: s3.IBucket,
        *,
        failure: sfn.IChainable,
        objects: sfn.IChainable,
        swept: sfn.IChainable,
    ) -> sfn.IChainable:
        """Ask for one key first: AWS does not document a Distributed Map over an empty listing."""
        listing = tasks.CallAwsService.jsonata(
            self,
            "ListOneKey",
            state_name="ListOneKey",
            service="s3",
            action="listObjectsV2",
            iam_action="s3:ListBucket",
            iam_resources=[bucket.bucket_arn],
            parameters={"Bucket": bucket.bucket_name, "MaxKeys": 1},
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=adding("'key_count': $count($states.result.Contents)"),
        )
        retry_call(listing)
        listing.add_catch(failure, errors=["States.ALL"], outputs=FAILURE)
        counting = self._count_messages(failure)
        counting.next(objects)
        listing.next(
            sfn.Choice.jsonata(self, "IsEmpty", state_name="IsEmpty")
            .when(when("$states.input.key_count = 0"), swept)
            .otherwise(counting)
        )
        return listing

    def _count_messages(self, failure: sfn.IChainable) -> tasks.CallAwsService:
        """Count the messages of the queue: small objects are left to them while there are some."""
        names = [f"ApproximateNumberOfMessages{one}" for one in ("", "NotVisible", "Delayed")]
        total = " + ".join(f"$number($states.result.Attributes.{name})" for name in names)
        counting = tasks.CallAwsService.jsonata(
            self,
            "CountMessages",
            state_name="CountMessages",
            service="sqs",
            action="getQueueAttributes",
            iam_resources=[self._uploads.queue_arn],
            parameters={"QueueUrl": self._uploads.queue_url, "AttributeNames": names},
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=adding(f"'queued': {total}"),
        )
        retry_call(counting)
        counting.add_catch(failure, errors=["States.ALL"], outputs=FAILURE)
        return counting

    def _for_each_object(self, bucket: s3.IBucket, intake: sfn.StateMachine) -> sfn.DistributedMap:
        """Map over the listing of the bucket."""
        objects = sfn.DistributedMap(
            self,
            "Objects",
            state_name="Objects",
            label="Objects",
            max_concurrency=50,
            map_execution_type=sfn.StateMachineType.EXPRESS,
            item_reader=sfn.S3ObjectsItemReader(bucket=bucket),
            item_selector={
                "key": sfn.JsonPath.string_at("$$.Map.Item.Value.Key"),
                "modified": sfn.JsonPath.number_at("$$.Map.Item.Value.LastModified"),
                "size": sfn.JsonPath.number_at("$$.Map.Item.Value.Size"),
                "again": sfn.JsonPath.string_at("$.again"),
                "queued": sfn.JsonPath.number_at("$.queued"),
            },
            # One object that cannot be started must not hide the others. Its child tells why.
            tolerated_failure_percentage=100,
            result_path=sfn.JsonPath.DISCARD,
        )
        objects.item_processor(
            self._start_if_left_behind(bucket, intake),
            mode=sfn.ProcessorMode.DISTRIBUTED,
            execution_type=sfn.ProcessorType.EXPRESS,
        )
        retry(objects, errors=["States.ALL"], first_s=10, attempts=3)
        return objects

    def _start_if_left_behind(self, bucket: s3.IBucket, intake: sfn.StateMachine) -> sfn.IChainable:
        """Report the age of one object of the listing and start its intake."""
        age = "($millis() / 1000 - $states.input.modified)"
        folders = " or ".join(
            f"$substring($states.input.key, 0, {len(folder)}) = '{folder}'"
            for folder in self._settings.incoming_folders
        )
        # A small object may be in the queue, or among its dead letters: it is sent again in its
        # first hour, and for an hour of each day after, while no message waits.
        may_be_queued = (
            f"$states.input.size <= {self._settings.small_mib * MIB} and $states.input.again = '' "
            f"and ($states.input.queued > 0 or $floor({age}) % {DAY_S} >= {HOUR_S})"
        )
        # Markers stay where they are, for ever.
        left_behind = (
            f"{age} > {60 * self._settings.sweep_min_age_minutes} and ({folders}) "
            f"and $not({is_marker('$states.input.key')})"
        )
        report = self._report(age)
        start = tasks.StepFunctionsStartExecution.jsonata(
            self,
            "StartIntake",
            state_name="StartIntake",
            state_machine=intake,
            input=sfn.TaskInput.from_object(
                {
                    "detail": {
                        "bucket": {"name": bucket.bucket_name},
                        "object": {"key": "{% $states.input.key %}"},
                    },
                    "again": f"{{% {self._suffix(age)} %}}",
                }
            ),
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=UNCHANGED,
        )
        retry_call(start)
        # Starting the object matters more than reporting its age.
        is_queued = sfn.Choice.jsonata(self, "MayBeQueued", state_name="MayBeQueued")
        is_queued.when(
            when(may_be_queued), sfn.Succeed.jsonata(self, "Queued", state_name="Queued")
        ).otherwise(start)
        report.add_catch(is_queued, errors=["States.ALL"], outputs=UNCHANGED)
        report.next(is_queued)
        return (
            sfn.Choice.jsonata(self, "IsLeftBehind", state_name="IsLeftBehind")
            .when(when(left_behind), report)
            .otherwise(sfn.Succeed.jsonata(self, "Recent", state_name="Recent"))
        )

    def _report(self, age_s: str) -> tasks.CallAwsService:
        """Report the age of an object, JSONata in seconds, as a metric."""
        report = tasks.CallAwsService.jsonata(
            self,
            "ReportAge",
            state_name="ReportAge",
            service="cloudwatch",
            action="putMetricData",
            iam_action="cloudwatch:PutMetricData",
            iam_resources=[
                "*"
            ],  # the action has no resource type (service authorization reference)
            parameters={
                "Namespace": METRICS_NAMESPACE,
                "MetricData": [
                    {
                        "MetricName": AGE_METRIC,
                        "Dimensions": [{"Name": "deployment", "Value": self._settings.prefix}],
                        "Unit": "Seconds",
                        "Value": f"{{% $floor({age_s}) %}}",
                    }
                ],
            },
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=UNCHANGED,
        )
        retry_call(report)
        return report

    def _suffix(self, age_s: str) -> str:
        """Return JSONata for the suffix of the execution's name; empty for the first execution."""
        # An execution that the sweep starts early in a window ends within it.
        window_s = 3600 * (self._settings.execution_timeout_hours + 1)
        return (
            f"( $window := $floor({age_s} / {window_s}); "
            "$states.input.again != '' ? $states.input.again : "
            "$window = 0 ? '' : 'retry-' & $window )"
        )
