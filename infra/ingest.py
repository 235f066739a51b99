"""The way of one source object: validate, read the verdict, transform, move out of the way."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.compute import Compute
from infra.settings import Settings, cpu_units
from infra.states import (
    FAILURE,
    UNCHANGED,
    Failure,
    WorkerTasks,
    adding,
    publish,
    retry,
    retry_call,
)
from infra.storage import ARCHIVE_FOLDER, PLANS_FOLDER, Buckets
from infra.tables import Tables
from infra.warm import WarmService
from kpi.tables import LEDGER_PARTITION_KEY, LEDGER_SORT_KEY

MIB = 2**20

MEDIUM = 16
"""A source object up to so many times `small_mib` gets a task of the medium size."""

# CopyObject takes at most 5 GB (S3 API reference), and the longer it takes the likelier the call
# is cut off; larger objects are moved by a task that copies them in parts.
COPY_LIMIT_BYTES = 1024 * MIB

URL = "{% $states.input.url %}"
VERSION_ID = "{% $states.input.version_id %}"
SOURCE_ID = "{% $states.input.source_id %}"


class Ingest(Construct):
    """State machine that takes one source object from upload to KPIs.

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
        warm: WarmService | None,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._compute = compute
        self._buckets = buckets
        self._ledger = tables.ledger
        self._topic = topic
        self._warm = warm
        self._failure = Failure(self, "Failure", topic=topic, what="ingest").start
        self._tasks = WorkerTasks(compute, failure=self._failure, spot=settings.spot)
        self._timeout = Duration.hours(max(1, settings.execution_timeout_hours // 3))

        verdict = self._verdict()
        read_verdict = self._read_entry("ReadVerdict")
        read_verdict.next(verdict)
        find_entry = self._read_entry("FindEntry")
        find_entry.next(
            self._choice("IsCommitted")
            .when(_is("$exists($states.input.entry.verdict)"), verdict)
            .when(_is(self._is_split()), self._validate_ranges(read_verdict))
            .otherwise(self._validate(read_verdict))
        )
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=f"{settings.prefix}-ingest",
            comment="One source object of shopkpi, from upload to KPIs",
            definition_body=sfn.DefinitionBody.from_chainable(find_entry),
            timeout=Duration.hours(settings.execution_timeout_hours),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True
            ),
        )

    def _is_split(self) -> str:
        """Only plain CSV can be read from the middle: compressed objects stay in one piece."""
        limit = self._settings.split_above_mib * MIB
        return f"$states.input.size > {limit} and $contains($states.input.key, /\\.csv$/i)"

    def _cpu(self) -> str:
        """Task size by size of the source object."""
        settings, size = self._settings, "$states.input.size"
        return (
            f"{size} <= {settings.small_mib * MIB} ? {cpu_units(settings.small_task_vcpu)} : "
            f"{size} <= {MEDIUM * settings.small_mib * MIB} "
            f"? {cpu_units(settings.medium_task_vcpu)} : {cpu_units(settings.large_task_vcpu)}"
        )

    def _read_entry(self, name: str) -> tasks.DynamoGetItem:
        """The ledger is asked, not the task: only what it has committed is true."""
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
        return self._guarded(state)

    def _validate(self, then: sfn.IChainable) -> sfn.IChainable:
        command = ["validate", URL, "--version-id", VERSION_ID]
        validate = self._tasks.run(
            self,
            "Validate",
            task=self._compute.validate,
            command=command,
            cpu=self._cpu(),
            timeout=self._timeout,
        )
        validate.next(then)
        if self._warm is None:
            return validate
        warm = self._warm.run(self, "ValidateWarm", command=command, otherwise=validate)
        warm.next(then)
        small = _is(f"$states.input.size <= {self._settings.small_mib * MIB}")
        return self._choice("IsSmall").when(small, warm).otherwise(validate)

    def _validate_ranges(self, then: sfn.IChainable) -> sfn.IChainable:
        """Plan ranges that begin and end between records, validate each, commit all at once."""
        source = [URL, "--version-id", VERSION_ID]
        size = str(self._settings.range_mib * MIB)
        ranges = f"s3://{self._buckets.clean.bucket_name}/{PLANS_FOLDER}"
        batches = f"{{% '{ranges}' & $states.input.source_id & '/ranges.json' %}}"
        plan = self._large(
            "PlanRanges",
            ["plan", *source, "--split-bytes", size, "--batches", batches],
            outputs=adding(
                f"'ranges_key': '{PLANS_FOLDER}' & $states.input.source_id & '/ranges.json'"
            ),
        )
        validate = self._large(
            "ValidateRange",
            ["validate", *source, "--range", "{% $states.input.range %}"],
            handled=False,
        )
        each = self._fan_out(
            "ValidateRanges",
            validate,
            key_path="$.ranges_key",
            item={
                "url": sfn.JsonPath.string_at("$.url"),
                "version_id": sfn.JsonPath.string_at("$.version_id"),
                "range": sfn.JsonPath.string_at("$$.Map.Item.Value.range"),
            },
        )
        commit = self._large(
            "CommitRanges",
            ["validate", *source, "--batches", batches],
        )
        plan.next(each).next(commit).next(then)
        return plan

    def _verdict(self) -> sfn.Choice:
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
            .when(_is(f"{verdict} = 'accepted'"), self._accepted())
            .when(_is(f"{verdict} = 'refused'"), self._refused())
            .otherwise(uncommitted)
        )

    def _refused(self) -> sfn.IChainable:
        quarantine = self._archive("Quarantine")
        tell = publish(
            self,
            "NotifyRefusal",
            topic=self._topic,
            subject="shopkpi: an upload was refused",
            message={
                "event": "source.refused",
                "url": URL,
                "version_id": VERSION_ID,
                "source_id": SOURCE_ID,
                "reason": "{% $exists($states.input.entry.reason.S) ? "
                "$states.input.entry.reason.S : 'see the verdict beside the object' %}",
                "quarantine": f"{{% 's3://{self._buckets.archive.bucket_name}/quarantine/' & "
                "$states.input.source_id & '/' & $states.input.key %}",
            },
        )
        tell.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        quarantine.next(tell).next(sfn.Succeed.jsonata(self, "Refused", state_name="Refused"))
        return quarantine

    def _accepted(self) -> sfn.IChainable:
        move = self._move()
        transform = self._tasks.run(
            self,
            "Transform",
            task=self._compute.transform,
            command=["transform"],
            cpu=self._cpu(),
            timeout=self._timeout,
        )
        transform.next(move)
        cold: sfn.IChainable = transform
        if self._warm is not None:
            warm = self._warm.run(self, "TransformWarm", command=["transform"], otherwise=transform)
            warm.next(move)
            small = _is(f"$states.input.size <= {self._settings.small_mib * MIB}")
            cold = self._choice("IsSmallTransform").when(small, warm).otherwise(transform)
        return (
            self._choice("HasManyDays")
            .when(_is(self._is_split()), self._transform_days(transform))
            .otherwise(cold)
        )

    def _transform_days(self, then: sfn.IChainable) -> sfn.IChainable:
        """Slices of days in parallel; the transformation after them finds its work done."""
        days = f"s3://{self._buckets.clean.bucket_name}/{PLANS_FOLDER}"
        batches = f"{{% '{days}' & $states.input.source_id & '/days.json' %}}"
        plan = self._large(
            "PlanDays",
            ["plan", "--days", str(self._settings.days_per_task), "--batches", batches],
            task="transform",
            outputs=adding(
                f"'days_key': '{PLANS_FOLDER}' & $states.input.source_id & '/days.json'"
            ),
        )
        transform = self._large(
            "TransformSlice",
            ["transform", "--from", "{% $states.input.from %}", "--to", "{% $states.input.to %}"],
            task="transform",
            handled=False,
        )
        each = self._fan_out(
            "TransformDays",
            transform,
            key_path="$.days_key",
            item={
                "from": sfn.JsonPath.string_at("$$.Map.Item.Value.from"),
                "to": sfn.JsonPath.string_at("$$.Map.Item.Value.to"),
            },
        )
        plan.next(each).next(then)
        return plan

    def _move(self) -> sfn.IChainable:
        """Out of the input bucket: two calls for most objects, a task for the largest."""
        done = sfn.Succeed.jsonata(self, "Done", state_name="Done")
        bucket, key = "{% $states.input.bucket %}", "{% $states.input.key %}"
        archived = self._buckets.archive.arn_for_objects(f"{ARCHIVE_FOLDER}*")
        incoming = self._buckets.input.arn_for_objects("*")
        source = "$states.input.bucket & '/' & $encodeUrlComponent($states.input.key)"
        copy = self._call(
            "CopyToArchive",
            action="copyObject",
            # Tags are copied too. Without the right to list, an object that is gone would look like
            # a missing right (403, not 404).
            rights=[
                _allow(archived, "s3:PutObject"),
                _allow(archived, "s3:PutObjectTagging"),
                _allow(incoming, "s3:GetObjectVersion", "s3:GetObjectVersionTagging"),
                _allow(self._buckets.input.bucket_arn, "s3:ListBucket"),
            ],
            parameters={
                "Bucket": self._buckets.archive.bucket_name,
                "Key": f"{{% '{ARCHIVE_FOLDER}' & $states.input.source_id & '/' & "
                "$states.input.key %}",
                "CopySource": f"{{% {source} & '?versionId=' & $states.input.version_id %}}",
            },
        )
        # Somebody, or an earlier attempt, has moved it already.
        copy.add_catch(done, errors=["S3.NoSuchKeyException"], outputs=UNCHANGED)
        copy.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        # Only this version: one that was uploaded since then is an upload of its own.
        delete = self._call(
            "DeleteFromInput",
            action="deleteObject",
            rights=[_allow(incoming, "s3:DeleteObjectVersion")],
            parameters={"Bucket": bucket, "Key": key, "VersionId": VERSION_ID},
        )
        delete.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        copy.next(delete).next(done)
        archive = self._archive("Archive")
        archive.next(done)
        small = _is(f"$states.input.size <= {COPY_LIMIT_BYTES}")
        return self._choice("IsCopyable").when(small, copy).otherwise(archive)

    def _archive(self, name: str) -> tasks.EcsRunTask:
        """The worker's own move; it looks up the verdict and puts the object where that says."""
        to = f"s3://{self._buckets.archive.bucket_name}"
        return self._tasks.run(
            self,
            name,
            task=self._compute.archive,
            command=["archive", URL, "--version-id", VERSION_ID, "--to", to],
            cpu=str(cpu_units(0.25)),
            timeout=self._timeout,
        )

    def _large(
        self,
        name: str,
        command: list[str],
        *,
        task: str = "validate",
        outputs: str = UNCHANGED,
        handled: bool = True,
    ) -> tasks.EcsRunTask:
        """A task of the largest size. Where not `handled`, its failure is its map's."""
        return self._tasks.run(
            self,
            name,
            task=self._compute.transform if task == "transform" else self._compute.validate,
            command=command,
            cpu=str(cpu_units(self._settings.large_task_vcpu)),
            timeout=self._timeout,
            outputs=outputs,
            handled=handled,
        )

    def _fan_out(
        self, name: str, each: sfn.IChainable, *, key_path: str, item: Mapping[str, str]
    ) -> sfn.DistributedMap:
        """One child execution for each element of a JSON array that a plan has written."""
        fan_out = sfn.DistributedMap(
            self,
            name,
            state_name=name,
            label=name,
            max_concurrency=self._settings.max_parallel_tasks,
            item_reader=sfn.S3JsonItemReader(
                bucket=self._buckets.clean, key=sfn.JsonPath.string_at(key_path)
            ),
            item_selector=dict(item),
            result_path=sfn.JsonPath.DISCARD,
        )
        fan_out.item_processor(
            each,
            mode=sfn.ProcessorMode.DISTRIBUTED,
            # Express children end after five minutes; a range may take longer.
            execution_type=sfn.ProcessorType.STANDARD,
        )
        retry(fan_out, errors=["States.ItemReaderFailed"], first_s=5, attempts=3)
        fan_out.add_catch(self._failure, errors=["States.ALL"], result_path="$.failure")
        return fan_out

    def _call(
        self,
        name: str,
        *,
        action: str,
        parameters: Mapping[str, str],
        rights: list[iam.PolicyStatement],
    ) -> tasks.CallAwsService:
        """A call of S3; `rights` beside that of the first, which the construct asks for."""
        first, *others = rights
        state = tasks.CallAwsService.jsonata(
            self,
            name,
            state_name=name,
            service="s3",
            action=action,
            iam_action=first.actions[0],
            iam_resources=first.resources,
            additional_iam_statements=others,
            parameters=dict(parameters),
            task_timeout=sfn.Timeout.duration(Duration.minutes(5)),
            outputs=UNCHANGED,
        )
        retry_call(state, final=["S3.NoSuchKeyException"])
        return state

    def _guarded(self, state: tasks.DynamoGetItem) -> tasks.DynamoGetItem:
        retry_call(state)
        state.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        return state

    def _choice(self, name: str) -> sfn.Choice:
        return sfn.Choice.jsonata(self, name, state_name=name)


def _allow(resource: str, *actions: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=[resource])


def _is(expression: str) -> sfn.Condition:
    return sfn.Condition.jsonata(f"{{% {expression} %}}")
