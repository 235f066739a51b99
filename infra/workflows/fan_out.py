"""Divide the work on one huge source object: a plan, a Distributed Map over it, a commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.buckets import PLANS_FOLDER, Buckets
from infra.compute import Compute
from infra.settings import MIB, Settings, cpu_units
from infra.workflows.steps import URL, VERSION_ID, retry
from infra.workflows.worker_tasks import WorkerTasks


class FanOut(Construct):
    """States that validate an object in byte ranges and transform its days in slices.

    A task writes the plan, a JSON array, to the clean bucket. The Distributed Map starts one child
    for each element of the plan.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        compute: Compute,
        buckets: Buckets,
        worker: WorkerTasks,
        failure: sfn.IChainable,
        timeout: Duration,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._compute = compute
        self._clean = buckets.clean
        self._worker = worker
        self._failure = failure
        self._timeout = timeout

    def ranges(self, then: sfn.IChainable) -> sfn.IChainable:
        """Plan byte ranges of whole records, validate each, commit all of them at once."""
        source = [URL, "--version-id", VERSION_ID]
        size = str(self._settings.range_mib * MIB)
        plan = self._task(
            "PlanRanges",
            self._compute.validate,
            ["plan", *source, "--split-bytes", size, "--output", self._url("ranges")],
            new_fields=self._key_field("ranges"),
        )
        each = self._map(
            "ValidateRanges",
            self._task(
                "ValidateRange",
                self._compute.validate,
                ["validate", *source, "--range", "{% $states.input.range %}"],
                failure=self._fail_child("ValidateRange"),
            ),
            plan_key="$.ranges_key",
            item={"url": "$.url", "version_id": "$.version_id", "range": "$$.Map.Item.Value.range"},
        )
        commit = self._task(
            "CommitRanges",
            self._compute.validate,
            ["validate", *source, "--commit-ranges"],
        )
        plan.next(each).next(commit).next(then)
        return plan

    def days(self, then: sfn.IChainable) -> sfn.IChainable:
        """Transform slices of days in parallel; `then` publishes what is left."""
        days = str(self._settings.days_per_task)
        plan = self._task(
            "PlanDays",
            self._compute.transform,
            ["plan", "--days", days, "--output", self._url("days")],
            new_fields=self._key_field("days"),
        )
        first, last = "{% $states.input.from %}", "{% $states.input.to %}"
        whole = "{% $states.input.execution %}"  # a child has an id of its own
        each = self._map(
            "TransformDays",
            self._task(
                "TransformSlice",
                self._compute.transform,
                ["transform", "--from", first, "--to", last, "--part-of", whole],
                failure=self._fail_child("TransformSlice"),
            ),
            plan_key="$.days_key",
            item={
                "from": "$$.Map.Item.Value.from",
                "to": "$$.Map.Item.Value.to",
                "execution": "$$.Execution.Id",
            },
        )
        plan.next(each).next(then)
        return plan

    def _url(self, plan: str) -> str:
        """Return JSONata for the URL of a plan of the source object."""
        folder = f"s3://{self._clean.bucket_name}/{PLANS_FOLDER}"
        return f"{{% '{folder}' & $states.input.source_id & '/{plan}.json' %}}"

    def _key_field(self, plan: str) -> str:
        """Return the field that tells the Distributed Map the key of its plan."""
        return f"'{plan}_key': '{PLANS_FOLDER}' & $states.input.source_id & '/{plan}.json'"

    def _task(
        self,
        name: str,
        task: ecs.FargateTaskDefinition,
        command: Sequence[str],
        *,
        new_fields: str = "",
        failure: sfn.IChainable | None = None,
    ) -> sfn.TaskStateBase:
        return self._worker.run(
            self,
            name,
            task=task,
            command=command,
            cpu=str(cpu_units(self._settings.large_task_vcpu)),
            timeout=self._timeout,
            new_fields=new_fields,
            failure=failure,
        )

    def _fail_child(self, name: str) -> sfn.Fail:
        """End the execution of one element, which fails its map."""
        return sfn.Fail.jsonata(
            self,
            f"{name}Failed",
            state_name=f"{name}Failed",
            error="{% $states.input.failure.Error %}",
            cause="{% $states.input.failure.Cause %}",
        )

    def _map(
        self, name: str, each: sfn.IChainable, *, plan_key: str, item: Mapping[str, str]
    ) -> sfn.DistributedMap:
        """Run one child execution for each element of the plan."""
        fan_out = sfn.DistributedMap(
            self,
            name,
            state_name=name,
            label=name,
            max_concurrency=self._settings.max_parallel_tasks,
            item_reader=sfn.S3JsonItemReader(
                bucket=self._clean, key=sfn.JsonPath.string_at(plan_key)
            ),
            item_selector={key: sfn.JsonPath.string_at(path) for key, path in item.items()},
            result_path=sfn.JsonPath.DISCARD,
        )
        fan_out.item_processor(
            each,
            mode=sfn.ProcessorMode.DISTRIBUTED,
            # Express executions end after five minutes; a byte range may take longer.
            execution_type=sfn.ProcessorType.STANDARD,
        )
        retry(fan_out, errors=["States.ItemReaderFailed"], first_s=5, attempts=3)
        fan_out.add_catch(self._failure, errors=["States.ALL"], result_path="$.failure")
        return fan_out
