"""Work on one huge source object by many tasks: a plan, a Distributed Map over it, the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.buckets import PLANS_FOLDER, Buckets
from infra.compute import Compute
from infra.settings import MIB, Settings, cpu_units
from infra.workflows.steps import UNCHANGED, URL, VERSION_ID, WorkerTasks, adding, retry


class FanOut(Construct):
    """States that divide the validation of an object, and the transformation of its days.

    The plan is a JSON array in the clean bucket, written by a task. The state machine hands its
    elements to tasks; it makes no batches of its own, so that what runs is what the plan says.

    Attributes:
        ranges: Method that leads to the ranges of the object.
        days: Method that leads to the days that it touched.
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
        """Plan ranges that begin and end between records, validate each, commit all at once."""
        source = [URL, "--version-id", VERSION_ID]
        size = str(self._settings.range_mib * MIB)
        plan = self._task(
            "PlanRanges",
            self._compute.validate,
            ["plan", *source, "--split-bytes", size, "--batches", self._url("ranges")],
            outputs=self._adding_key("ranges"),
        )
        each = self._map(
            "ValidateRanges",
            self._task(
                "ValidateRange",
                self._compute.validate,
                ["validate", *source, "--range", "{% $states.input.range %}"],
                handled=False,
            ),
            plan_key="$.ranges_key",
            item={"url": "$.url", "version_id": "$.version_id", "range": "$$.Map.Item.Value.range"},
        )
        commit = self._task(
            "CommitRanges",
            self._compute.validate,
            ["validate", *source, "--batches", self._url("ranges")],
        )
        plan.next(each).next(commit).next(then)
        return plan

    def days(self, then: sfn.IChainable) -> sfn.IChainable:
        """Slices of days in parallel; the transformation after them finds its work done."""
        days = str(self._settings.days_per_task)
        plan = self._task(
            "PlanDays",
            self._compute.transform,
            ["plan", "--days", days, "--batches", self._url("days")],
            outputs=self._adding_key("days"),
        )
        first, last = "{% $states.input.from %}", "{% $states.input.to %}"
        each = self._map(
            "TransformDays",
            self._task(
                "TransformSlice",
                self._compute.transform,
                ["transform", "--from", first, "--to", last],
                handled=False,
            ),
            plan_key="$.days_key",
            item={"from": "$$.Map.Item.Value.from", "to": "$$.Map.Item.Value.to"},
        )
        plan.next(each).next(then)
        return plan

    def _url(self, plan: str) -> str:
        """Where a plan of the source object lies."""
        folder = f"s3://{self._clean.bucket_name}/{PLANS_FOLDER}"
        return f"{{% '{folder}' & $states.input.source_id & '/{plan}.json' %}}"

    def _adding_key(self, plan: str) -> str:
        return adding(f"'{plan}_key': '{PLANS_FOLDER}' & $states.input.source_id & '/{plan}.json'")

    def _task(
        self,
        name: str,
        task: ecs.FargateTaskDefinition,
        command: Sequence[str],
        *,
        outputs: str = UNCHANGED,
        handled: bool = True,
    ) -> sfn.TaskStateBase:
        return self._worker.run(
            self,
            name,
            task=task,
            command=command,
            cpu=str(cpu_units(self._settings.large_task_vcpu)),
            timeout=self._timeout,
            outputs=outputs,
            handled=handled,
        )

    def _map(
        self, name: str, each: sfn.IChainable, *, plan_key: str, item: Mapping[str, str]
    ) -> sfn.DistributedMap:
        """One child execution for each element of the plan."""
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
            # Express children end after five minutes; a range may take longer.
            execution_type=sfn.ProcessorType.STANDARD,
        )
        retry(fan_out, errors=["States.ItemReaderFailed"], first_s=5, attempts=3)
        fan_out.add_catch(self._failure, errors=["States.ALL"], result_path="$.failure")
        return fan_out
