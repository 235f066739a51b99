"""State machine of one large object: validate, read the verdict, transform, archive."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.buckets import QUARANTINE_FOLDER, Buckets
from infra.compute import Compute
from infra.settings import MIB, Settings, cpu_units
from infra.tables import Tables
from infra.workflows.archive import ArchiveStates
from infra.workflows.fan_out import FanOut
from infra.workflows.steps import (
    FAILURE,
    SOURCE_ID,
    URL,
    VERSION_ID,
    FailureStates,
    adding,
    publish,
    retry_call,
    when,
)
from infra.workflows.worker_tasks import WorkerTasks
from kpi.aggregation.tables import LEDGER_PARTITION_KEY, LEDGER_SORT_KEY

WHOLE = "{% $states.context.Execution.Id %}"
"""Name that the transform has in common with its slices: it takes their lease over at once."""

MEDIUM_FACTOR = 16
"""Largest object of a medium task, as a multiple of `small_mib`."""


class Ingest(Construct):
    """State machine that takes one object that is too large for a batch from upload to KPIs.

    Input: `bucket`, `key`, `version_id`, `size` (bytes), `url`, `source_id`.

    Attributes:
        state_machine: Standard, at most `settings.execution_timeout_hours`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        compute: Compute,
        buckets: Buckets,
        tables: Tables,
        topic: sns.ITopic,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._compute = compute
        self._ledger = tables.ledger
        self._failure = FailureStates(self, "Failure", topic=topic, workflow="ingest").start
        self._worker = WorkerTasks(compute, failure=self._failure, spot=settings.spot)
        self._timeout = Duration.hours(max(1, settings.execution_timeout_hours // 3))
        self._fan_out = FanOut(
            self,
            "FanOut",
            settings=settings,
            compute=compute,
            buckets=buckets,
            worker=self._worker,
            failure=self._failure,
            timeout=self._timeout,
        )
        moves = ArchiveStates(
            self,
            "Moves",
            compute=compute,
            buckets=buckets,
            worker=self._worker,
            failure=self._failure,
            timeout=self._timeout,
        )
        quarantine = f"s3://{buckets.archive.bucket_name}/{QUARANTINE_FOLDER}"
        verdict = self._verdict(
            accepted=self._transform(moves.accepted),
            refused=moves.quarantine.next(self._notify_refusal(topic, quarantine)),
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=f"{settings.prefix}-ingest",
            comment="One source object of shopkpi, from upload to KPIs",
            definition_body=sfn.DefinitionBody.from_chainable(self._find_entry(verdict)),
            timeout=Duration.hours(settings.execution_timeout_hours),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True
            ),
        )

    def _find_entry(self, verdict: sfn.IChainable) -> sfn.IChainable:
        """Skip the validation of an object that the ledger has committed already."""
        read_verdict = self._read_entry("ReadVerdict")
        read_verdict.next(verdict)
        command = ["validate", URL, "--version-id", VERSION_ID]
        find_entry = self._read_entry("FindEntry")
        find_entry.next(
            self._choice("IsCommitted")
            .when(when("$exists($states.input.entry.verdict)"), verdict)
            .when(when(self._is_huge()), self._fan_out.ranges(read_verdict))
            .otherwise(
                self._run(
                    "Validate",
                    self._compute.validate,
                    command,
                    cpu=self._cpu_by_size(),
                    then=read_verdict,
                )
            )
        )
        return find_entry

    def _transform(self, move: sfn.IChainable) -> sfn.IChainable:
        transform = self._run(
            "Transform",
            self._compute.transform,
            ["transform", "--part-of", WHOLE],
            cpu=self._cpu_by_size(),
            then=move,
        )
        return (
            self._choice("HasManyDays")
            .when(when(self._is_huge()), self._fan_out.days(transform))
            .otherwise(transform)
        )

    def _run(
        self,
        name: str,
        task: ecs.FargateTaskDefinition,
        command: Sequence[str],
        *,
        cpu: str,
        then: sfn.IChainable,
    ) -> sfn.IChainable:
        """Run a task sized by the object."""
        state = self._worker.run(
            self, name, task=task, command=command, cpu=cpu, timeout=self._timeout
        )
        state.next(then)
        return state

    def _read_entry(self, name: str) -> tasks.DynamoGetItem:
        """Read the entry of the source object: the ledger decides, not the exit code of a task."""
        state = tasks.DynamoGetItem.jsonata(
            self,
            name,
            state_name=name,
            table=self._ledger,
            key={
                LEDGER_PARTITION_KEY: tasks.DynamoAttributeValue.from_string("source"),
                LEDGER_SORT_KEY: tasks.DynamoAttributeValue.from_string(SOURCE_ID),
            },
            consistent_read=True,
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=adding("'entry': $exists($states.result.Item) ? $states.result.Item : {}"),
        )
        retry_call(state)
        state.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        return state

    def _verdict(self, *, accepted: sfn.IChainable, refused: sfn.IChainable) -> sfn.Choice:
        uncommitted = sfn.Pass.jsonata(
            self,
            "NotCommitted",
            state_name="NotCommitted",
            outputs=adding(
                "'failure': {'Error': 'NotCommitted', "
                "'Cause': 'The validation task succeeded, yet the ledger has no entry of it'}"
            ),
        )
        uncommitted.next(self._failure)
        verdict = "$states.input.entry.verdict.S"
        return (
            self._choice("Verdict")
            .when(when(f"{verdict} = 'accepted'"), accepted)
            .when(when(f"{verdict} = 'refused'"), refused)
            .otherwise(uncommitted)
        )

    def _notify_refusal(self, topic: sns.ITopic, quarantine: str) -> sfn.IChainable:
        """Report a refused upload and succeed: a refusal is a result, not a failure."""
        reason = "$states.input.entry.reason.S"
        notify = publish(
            self,
            "NotifyRefusal",
            topic=topic,
            subject="shopkpi: an upload was refused",
            message={
                "event": "source.refused",
                "url": URL,
                "version_id": VERSION_ID,
                "source_id": SOURCE_ID,
                "reason": f"{{% $exists({reason}) ? {reason} : 'see the verdict' %}}",
                "quarantine": f"{{% '{quarantine}' & $states.input.source_id & '/' & "
                "$states.input.key %}",
                "runbook": "docs/runbook.md#refused-uploads",
            },
        )
        notify.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        notify.next(sfn.Succeed.jsonata(self, "Refused", state_name="Refused"))
        return notify

    def _is_huge(self) -> str:
        """Return JSONata for "is split": large and plain CSV, which can be read from any byte."""
        limit = self._settings.split_above_mib * MIB
        return f"$states.input.size > {limit} and $contains($states.input.key, /\\.csv$/i)"

    def _cpu_by_size(self) -> str:
        """Return JSONata for the CPU units of a task by the size of the source object."""
        settings, size = self._settings, "$states.input.size"
        return (
            f"{size} <= {MEDIUM_FACTOR * settings.small_mib * MIB} "
            f"? {cpu_units(settings.medium_task_vcpu)} : {cpu_units(settings.large_task_vcpu)}"
        )

    def _choice(self, name: str) -> sfn.Choice:
        return sfn.Choice.jsonata(self, name, state_name=name)
