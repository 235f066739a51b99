"""State machine that takes uploads from the queue, batch after batch, until it is empty."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.buckets import PLANS_FOLDER, Buckets
from infra.compute import Compute
from infra.settings import Settings, cpu_units
from infra.workflows.steps import FAILURE, FailureStates, adding, publish, retry_call, when
from infra.workflows.upload_queue import UploadQueue
from infra.workflows.warm_service import WarmService
from infra.workflows.worker_tasks import WorkerTasks

MAX_ROUNDS = 100
"""Batches of one execution, which then starts another one: a history has 25,000 events at most
(Step Functions quotas), and a batch makes some 100 of them."""

BATCHES_FOLDER = f"{PLANS_FOLDER}batches/"
BATCH_NAME = "$states.context.Execution.Name & '-' & $string($states.input.round)"
MACHINE = "{% $states.context.StateMachine.Id %}"

# The list has the newest first, so what follows on this execution began before it.
AHEAD = (
    "( $running := $states.result.Executions.ExecutionArn; "
    "$own := $map($running, function($arn, $at) "
    "{ $arn = $states.context.Execution.Id ? $at }); "
    "$count($own) = 0 ? $count($running) : $count($running) - 1 - $own[0] )"
)


class Batches(Construct):
    """State machine of batches: validate, transform, archive, and again.

    An upload starts an execution for the window of seconds that it falls into, a schedule one where
    messages were left. An execution ends at once where `settings.batch_concurrency` others began
    before it and still run. That list is eventually consistent, so the setting bounds costs, and
    nothing that must be right: the tasks hold and delete the messages.

    Input: `count`, whether to look for messages before a task is started.

    Attributes:
        state_machine: Standard.
        arn: Its ARN, made from its name, for what it may do to itself.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        compute: Compute,
        buckets: Buckets,
        uploads: UploadQueue,
        topic: sns.ITopic,
        warm: WarmService | None,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._compute = compute
        self._buckets = buckets
        self._uploads = uploads
        self._topic = topic
        self._warm = warm
        self._failure = FailureStates(self, "Failure", topic=topic, workflow="batches").start
        self._worker = WorkerTasks(compute, failure=self._failure, spot=settings.spot)
        name = f"{settings.prefix}-batches"
        self.arn = Stack.of(self).format_arn(
            service="states",
            resource="stateMachine",
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=name,
            comment="Uploads of shopkpi in batches, from their queue to KPIs",
            definition_body=sfn.DefinitionBody.from_chainable(self._states()),
            timeout=Duration.hours(24),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True
            ),
        )

    def schedule(self, dlq: sqs.IQueue) -> None:
        """Start an execution now and then: for messages that came back, or whose start was lost."""
        scheduler.Schedule(
            self,
            "Schedule",
            description="Takes uploads that were left in the queue",
            schedule=scheduler.ScheduleExpression.rate(Duration.minutes(10)),
            target=targets.StepFunctionsStartExecution(
                self.state_machine,
                input=scheduler.ScheduleTargetInput.from_object({"count": True}),
                dead_letter_queue=dlq,
                max_event_age=Duration.minutes(15),
                retry_attempts=3,
            ),
        )

    def _states(self) -> sfn.IChainable:
        drained = self._succeed("Drained")
        count = self._count_files()
        take = self._take(count, drained)
        count.next(
            self._choice("IsEmpty").when(when("$states.input.files = 0"), drained).otherwise(take)
        )
        has_room = (
            self._choice("HasRoom")
            .when(
                when(f"$states.input.ahead >= {self._settings.batch_concurrency}"),
                self._succeed("Busy"),
            )
            .when(when("$states.input.count"), count)
            .otherwise(take)
        )
        window = sfn.Wait.jsonata(
            self,
            "Window",
            state_name="Window",
            time=sfn.WaitTime.duration(Duration.seconds(self._settings.batch_window_s)),
        )
        begin = sfn.Pass.jsonata(
            self,
            "Begin",
            state_name="Begin",
            outputs="{% {'round': 0, 'count': $exists($states.input.count) and "
            "$states.input.count} %}",
        )
        return begin.next(window).next(self._list_running()).next(has_room)

    def _list_running(self) -> sfn.IChainable:
        return self._call(
            "ListRunning",
            service="sfn",
            action="listExecutions",
            rights=("states:ListExecutions", self.arn),
            parameters={"StateMachineArn": MACHINE, "StatusFilter": "RUNNING", "MaxResults": 1000},
            outputs=adding(f"'ahead': {AHEAD}"),
        )

    def _count_files(self) -> tasks.CallAwsService:
        visible = "ApproximateNumberOfMessages"
        return self._call(
            "CountFiles",
            service="sqs",
            action="getQueueAttributes",
            rights=("sqs:GetQueueAttributes", self._uploads.queue.queue_arn),
            parameters={
                "QueueUrl": self._uploads.queue.queue_url,
                "AttributeNames": [visible],
            },
            outputs=adding(f"'files': $number($states.result.Attributes.{visible})"),
        )

    def _take(self, count: sfn.IChainable, drained: sfn.IChainable) -> sfn.IChainable:
        """Take one batch through; return the state to enter."""
        settings = self._settings
        again = self._start_another("StartNext", drained)
        next_round = sfn.Pass.jsonata(
            self,
            "NextRound",
            state_name="NextRound",
            outputs="{% {'round': $states.input.round + 1, 'count': true} %}",
        )
        next_round.next(
            self._choice("IsLong")
            .when(when(f"$states.input.round >= {MAX_ROUNDS}"), again)
            .otherwise(count)
        )
        publish_and_archive = self._publish_and_archive(next_round)
        notify = self._notify_refusals(publish_and_archive)
        refusals = (
            self._choice("AnyRefused")
            .when(when("$states.input.summary.refused > 0"), notify)
            .otherwise(publish_and_archive)
        )
        full = f"$states.input.summary.messages >= {settings.batch_files}"
        came = (
            self._choice("WhatCame")
            .when(when("$states.input.summary.messages = 0"), drained)
            .when(when(full), self._start_another("StartAnother", refusals))
            .otherwise(refusals)
        )
        summary = self._read_summary()
        summary.next(came)
        return self._run(
            "Validate",
            [
                "validate",
                *self._batch(),
                *("--max-files", str(settings.batch_files)),
                *("--max-mib", str(settings.batch_mib)),
                *("--transform-mib", str(settings.one_task_mib)),
            ],
            then=summary,
        )

    def _publish_and_archive(self, then: sfn.IChainable) -> sfn.IChainable:
        to = f"s3://{self._buckets.archive.bucket_name}"
        archive = self._worker.run(
            self,
            "Archive",
            task=self._compute.archive,
            command=["archive", *self._batch(), "--to", to],
            # S3 copies the bytes; the task only waits.
            cpu=f"{cpu_units(0.25)}",
            timeout=Duration.hours(1),
        )
        archive.next(then)
        transform = self._run("Transform", ["transform", *self._batch()], then=archive)
        return (
            self._choice("IsPublished")
            .when(when("$states.input.summary.accepted + $states.input.summary.refused = 0"), then)
            .when(
                when("$states.input.summary.published or $states.input.summary.accepted = 0"),
                archive,
            )
            .otherwise(transform)
        )

    def _run(self, name: str, command: Sequence[str], *, then: sfn.IChainable) -> sfn.IChainable:
        """Run a task, or the warm service where there is one."""
        compute = self._compute
        does_both = name == "Validate" and self._settings.one_task_mib > 0
        task = compute.batch if does_both else getattr(compute, name.lower())
        state = self._worker.run(
            self,
            name,
            task=task,
            command=command,
            cpu=f"{cpu_units(self._settings.small_task_vcpu)}",
            timeout=Duration.hours(4),
        )
        state.next(then)
        if self._warm is None:
            return state
        warm = self._warm.run(self, f"{name}Warm", command=command, otherwise=state)
        warm.next(then)
        return warm

    def _batch(self) -> list[str]:
        """Return the options that name the queue and the batch."""
        folder = f"s3://{self._buckets.clean.bucket_name}/{BATCHES_FOLDER}"
        queue = self._uploads.queue.queue_url
        return ["--queue", queue, "--batch", f"{{% '{folder}' & {BATCH_NAME} %}}"]

    def _read_summary(self) -> tasks.CallAwsService:
        return self._call(
            "ReadSummary",
            service="s3",
            action="getObject",
            rights=("s3:GetObject", self._buckets.clean.arn_for_objects(f"{BATCHES_FOLDER}*")),
            parameters={
                "Bucket": self._buckets.clean.bucket_name,
                "Key": f"{{% '{BATCHES_FOLDER}' & {BATCH_NAME} & '/summary.json' %}}",
            },
            outputs=adding("'summary': $parse($states.result.Body)"),
        )

    def _start_another(self, name: str, then: sfn.IChainable) -> sfn.IChainable:
        """Start one more execution: there is more than one takes, or this one has run for long."""
        state = self._call(
            name,
            service="sfn",
            action="startExecution",
            rights=("states:StartExecution", self.arn),
            parameters={"StateMachineArn": MACHINE, "Input": '{"count": true}'},
            outputs="{% $states.input %}",
            # It saves time, and the schedule starts one too.
            failure=then,
        )
        state.next(then)
        return state

    def _notify_refusals(self, then: sfn.IChainable) -> sfn.IChainable:
        """Report the refused uploads of a batch: one mail, whatever their number."""
        summary = "$states.input.summary"
        notify = publish(
            self,
            "NotifyRefusals",
            topic=self._topic,
            subject="shopkpi: uploads were refused",
            message={
                "event": "batch.refused",
                "files": f"{{% {summary}.refused %}}",
                "of": f"{{% {summary}.files %}}",
                "first": f"{{% [{summary}.first_refused] %}}",
                "batch": f"{{% '{BATCHES_FOLDER}' & {BATCH_NAME} %}}",
                "runbook": "docs/runbook.md#refused-uploads",
            },
        )
        # KPIs matter more than the mail; the ledger has every refusal.
        notify.add_catch(then, errors=["States.ALL"], outputs="{% $states.input %}")
        notify.next(then)
        return notify

    def _call(
        self,
        name: str,
        *,
        service: str,
        action: str,
        rights: tuple[str, str],
        parameters: dict[str, object],
        outputs: str,
        failure: sfn.IChainable | None = None,
    ) -> tasks.CallAwsService:
        """Call a service; `rights` are an action and its resource."""
        state = tasks.CallAwsService.jsonata(
            self,
            name,
            state_name=name,
            service=service,
            action=action,
            iam_action=rights[0],
            iam_resources=[rights[1]],
            parameters=parameters,
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=outputs,
        )
        retry_call(state)
        outputs_of_failure = "{% $states.input %}" if failure else FAILURE
        state.add_catch(failure or self._failure, errors=["States.ALL"], outputs=outputs_of_failure)
        return state

    def _choice(self, name: str) -> sfn.Choice:
        return sfn.Choice.jsonata(self, name, state_name=name)

    def _succeed(self, name: str) -> sfn.Succeed:
        return sfn.Succeed.jsonata(self, name, state_name=name)
