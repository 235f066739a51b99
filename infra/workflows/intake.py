"""Send small uploads into the queue; start one ingest execution per version of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.settings import MIB, Settings
from infra.workflows.steps import (
    FAILURE,
    UNCHANGED,
    VERSION_ID,
    FailureStates,
    adding,
    is_marker,
    retry_call,
    when,
)

NAME_IS_TAKEN = "StepFunctions.ExecutionAlreadyExistsException"

KEPT_FOR_A_DAY: dict[str, Any] = {
    "retry_attempts": 185,  # the maximum (EventBridge, "Retry policy")
    "max_event_age": Duration.hours(24),
}

OBJECT = "$states.input.detail.object"
BUCKET = "$states.input.detail.bucket.name"

# The first 16 hex digits of a SHA-256, as in the worker's source_id; a test compares the two.
SOURCE_ID_OF_VERSION = (
    "$substring($hash($states.input.bucket & '\\u0000' & $states.input.key & '\\u0000version:' & "
    "$states.input.version_id, 'SHA-256'), 0, 16)"
)


class Intake(Construct):
    """Rules on the input bucket, and a state machine that names executions.

    An object of up to `settings.small_mib` becomes a message of the queue of uploads. A larger one
    gets an execution of its own. EventBridge cannot name the execution that it starts. It starts
    this short Express execution, which computes the object's `source_id` and starts the ingest
    execution under that name. A second event of the same version finds the name taken for 90 days;
    the ledger never forgets it.

    Attributes:
        state_machine: Express. Input: an "Object Created" event, of a large object or as the sweep
            makes it; the optional field `again` is a suffix of the execution's name, which starts a
            version a second time on purpose. With the field `wake` it starts batches instead.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        bucket: s3.IBucket,
        decrypt_rights: Sequence[iam.PolicyStatement],
        ingest: sfn.StateMachine,
        batches: sfn.StateMachine,
        uploads: sqs.IQueue,
        topic: sns.ITopic,
        dlq: sqs.IQueue,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._decrypt_rights = decrypt_rights
        self._uploads = uploads
        self._wake = self._start_batches(batches)
        failure = FailureStates(self, "Failure", topic=topic, workflow="intake").start
        start = self._start(ingest, failure)
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=f"{settings.prefix}-intake",
            state_machine_type=sfn.StateMachineType.EXPRESS,
            comment="Names an uploaded object version and starts its ingest execution",
            definition_body=sfn.DefinitionBody.from_chainable(self._locate(bucket, start, failure)),
            timeout=Duration.minutes(5),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True
            ),
        )
        largest = settings.small_mib * MIB
        self._rule(
            "ObjectCreated",
            "An object of a dataset came into the input bucket of shopkpi: it goes into the queue",
            bucket,
            ["<=", largest],
            targets.SqsQueue(uploads, dead_letter_queue=dlq, **KEPT_FOR_A_DAY),
            # A hint: the schedule starts batches too, where it is lost.
            targets.SfnStateMachine(
                self.state_machine,
                input=events.RuleTargetInput.from_object({"wake": True}),
                retry_attempts=2,
                max_event_age=Duration.minutes(1),
            ),
        )
        self._rule(
            "LargeObjectCreated",
            "An object that is too large for a batch came into the input bucket of shopkpi",
            bucket,
            [">", largest],
            targets.SfnStateMachine(self.state_machine, dead_letter_queue=dlq, **KEPT_FOR_A_DAY),
        )

    def _rule(
        self,
        construct_id: str,
        description: str,
        bucket: s3.IBucket,
        size: Sequence[object],
        *rule_targets: events.IRuleTarget,
    ) -> None:
        object_ = {**keys_below(self._settings).get("object", {}), "size": [{"numeric": size}]}
        events.Rule(
            self,
            construct_id,
            description=description,
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [bucket.bucket_name]}, "object": object_},
            ),
            targets=list(rule_targets),
        )

    def _start_batches(self, batches: sfn.StateMachine) -> sfn.IChainable:
        """Start an execution for this window of time; one of its name is enough."""
        window_ms = 1000 * self._settings.batch_window_s
        woken = sfn.Succeed.jsonata(self, "Woken", state_name="Woken")
        wake = tasks.StepFunctionsStartExecution.jsonata(
            self,
            "StartBatches",
            state_name="StartBatches",
            state_machine=batches,
            name=f"{{% 'window-' & $string($floor($millis() / {window_ms})) %}}",
            input=sfn.TaskInput.from_object({"count": False}),
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=UNCHANGED,
        )
        retry_call(wake, final=[NAME_IS_TAKEN])
        # Whatever fails here, the message is in the queue.
        wake.add_catch(woken, errors=["States.ALL"], outputs=UNCHANGED)
        wake.next(woken)
        return wake

    def _locate(
        self, bucket: s3.IBucket, start: sfn.IChainable, failure: sfn.IChainable
    ) -> sfn.Choice:
        """Find the object version: the event names it, the sweep's listing does not."""
        ignored = sfn.Succeed.jsonata(self, "Ignored", state_name="Ignored")
        is_again = "$exists($states.input.again) and $states.input.again != ''"
        again = f"'again': {is_again} ? '-' & $states.input.again : ''"
        named = sfn.Pass.jsonata(
            self,
            "VersionOfEvent",
            state_name="VersionOfEvent",
            outputs=(
                f"{{% {{'bucket': {BUCKET}, 'key': {OBJECT}.key, 'size': {OBJECT}.size, "
                f"'version_id': {OBJECT}.`version-id`, {again}}} %}}"
            ),
        )
        current = tasks.CallAwsService.jsonata(
            self,
            "CurrentVersion",
            state_name="CurrentVersion",
            service="s3",
            action="headObject",
            iam_action="s3:GetObject",
            iam_resources=[bucket.arn_for_objects("*")],
            # Without this right S3 answers 403 instead of 404 for a missing object.
            additional_iam_statements=[
                iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn]),
                *self._decrypt_rights,
            ],
            parameters={"Bucket": f"{{% {BUCKET} %}}", "Key": f"{{% {OBJECT}.key %}}"},
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=(
                f"{{% {{'bucket': {BUCKET}, 'key': {OBJECT}.key, "
                "'size': $states.result.ContentLength, "
                f"'version_id': $states.result.VersionId, {again}}} %}}"
            ),
        )
        retry_call(current, final=["S3.NoSuchKeyException"])
        # The object has been moved or deleted since the event: nothing is left to do.
        current.add_catch(ignored, errors=["S3.NoSuchKeyException"], outputs=UNCHANGED)
        current.add_catch(failure, errors=["States.ALL"], outputs=FAILURE)
        named.next(start)
        current.next(start)
        no_data = when(f"$substring({OBJECT}.key, -1) = '/' or {is_marker(f'{OBJECT}.key')}")
        return (
            sfn.Choice.jsonata(self, "WhichVersion", state_name="WhichVersion")
            .when(when("$exists($states.input.wake)"), self._wake)
            .when(no_data, ignored)
            .when(when(f"$exists({OBJECT}.`version-id`)"), named)
            .otherwise(current)
        )

    def _start(self, ingest: sfn.StateMachine, failure: sfn.IChainable) -> sfn.IChainable:
        identify = sfn.Pass.jsonata(
            self,
            "Identify",
            state_name="Identify",
            outputs=adding(
                "'url': 's3://' & $states.input.bucket & '/' & $states.input.key, "
                f"'source_id': {SOURCE_ID_OF_VERSION}"
            ),
        )
        start = tasks.StepFunctionsStartExecution.jsonata(
            self,
            "StartIngest",
            state_name="StartIngest",
            state_machine=ingest,
            name="{% $states.input.source_id & $states.input.again %}",
            input=sfn.TaskInput.from_object(
                {
                    name: f"{{% $states.input.{name} %}}"
                    for name in ("bucket", "key", "version_id", "size", "url", "source_id")
                }
            ),
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=UNCHANGED,
        )
        # A taken name means that the version has been started: a result, not a failure.
        known = sfn.Succeed.jsonata(self, "AlreadyStarted", state_name="AlreadyStarted")
        started = sfn.Succeed.jsonata(self, "Started", state_name="Started")
        retry_call(start, final=[NAME_IS_TAKEN])
        start.add_catch(known, errors=[NAME_IS_TAKEN], outputs=UNCHANGED)
        start.add_catch(failure, errors=["States.ALL"], outputs=FAILURE)
        start.next(started)
        is_small = when(f"$states.input.size <= {self._settings.small_mib * MIB}")
        identify.next(
            sfn.Choice.jsonata(self, "IsSmall", state_name="IsSmall")
            .when(is_small, self._enqueue(failure))
            .otherwise(start)
        )
        return identify

    def _enqueue(self, failure: sfn.IChainable) -> sfn.IChainable:
        """Send a message such as the rule sends, for an object that the sweep has found."""
        send = tasks.SqsSendMessage.jsonata(
            self,
            "Enqueue",
            state_name="Enqueue",
            queue=self._uploads,
            message_body=sfn.TaskInput.from_object(
                {
                    "detail": {
                        "bucket": {"name": "{% $states.input.bucket %}"},
                        "object": {
                            "key": "{% $states.input.key %}",
                            "size": "{% $states.input.size %}",
                            "version-id": VERSION_ID,
                        },
                    }
                }
            ),
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=UNCHANGED,
        )
        retry_call(send)
        send.add_catch(failure, errors=["States.ALL"], outputs=FAILURE)
        send.next(self._wake)
        return send


def keys_below(settings: Settings) -> dict[str, Any]:
    """Return the part of an event pattern that keys must match; empty where every key does."""
    if "" in settings.incoming_folders:
        return {}
    return {"object": {"key": [{"prefix": folder} for folder in settings.incoming_folders]}}
