"""Deploy a scratch stage, upload a canary, set each alarm, price the hour, and destroy the stage.

    infra/deploy-check                          in the account and region of the AWS credentials
    infra/deploy-check -c image_uri=...         with settings of the stack
    infra/deploy-check --keep                   leaves the stage for a look

It costs some cents. Exit code 0 where every step went well; 1 names the first one that did not. The
stage is destroyed in any case, unless --keep is given.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).parents[2]
HOURS_A_MONTH = 730
MIN_BILLED_S = 60
"""Fargate bills a task for a minute at least."""

TASK_STATES = ("Validate", "Transform", "Archive")

DAY = "2025-03-01"
CANARY = {
    "products": "id,sku,cost,category,name,brand,retail_price,department\n"
    "1,c-1,1.00,Canary,canary,canary,9.99,canary\n",
    "orders": "order_id,user_id,status,created_at,returned_at,shipped_at,delivered_at,num_of_item\n"
    f"1,7,delivered,{DAY}T10:00:00,,,,1\n2,8,returned,{DAY}T11:00:00,2025-03-02T10:00:00,,,1\n",
    "order_items": "id,order_id,user_id,product_id,status,created_at,shipped_at,delivered_at,"
    f"returned_at,sale_price\n1,1,7,1,delivered,{DAY}T10:00:00,,,,10.25\n"
    f"2,2,8,1,returned,{DAY}T11:00:00,,,2025-03-02T10:00:00,5.50\n",
}
"""Two orders of one day, one of them returned."""

EXPECTED = {"total_orders": 2, "total_revenue": "15.75", "total_items_sold": 2}
"""KPIs of that day; the returned order is sold all the same."""


class StepFailed(Exception):
    """Report that a step went wrong; its text says what was expected and what came."""


@dataclass
class Check:
    """One run over a stage.

    Attributes:
        stage: Name of the scratch stage.
        app: Words for the CDK that name the app or its output.
        limit_s: Longest wait for the canary's KPIs.
        outputs: Outputs of the stack.
        lag_s: From the last upload to its KPIs.
    """

    stage: str
    app: Sequence[str]
    limit_s: float
    outputs: Mapping[str, str] = field(default_factory=dict)
    lag_s: float = 0.0

    @property
    def stack(self) -> str:
        return f"ShopKpi-{self.stage}"

    def client(self, service: str) -> Any:  # noqa: ANN401  (boto3 has no types of its own)
        return boto3.client(service)

    def cdk(self, *words: str) -> None:
        """Run the CDK's command line."""
        command = ["npx", "--no-install", "cdk", *words, *self.app]
        done = subprocess.run(  # noqa: S603  (words of this command line)
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StepFailed(f"cdk {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")

    def deploy(self) -> str:
        """Deploy the stage, and read its outputs."""
        self.cdk("deploy", self.stack, "--require-approval", "never")
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        return f"{len(self.outputs)} outputs"

    def upload(self) -> str:
        """Upload the canary, and wait until its KPIs are right."""
        bucket, s3 = self.outputs["InputBucket"], self.client("s3")
        for dataset, text in CANARY.items():
            s3.put_object(Bucket=bucket, Key=f"{dataset}/canary.csv", Body=text.encode())
        begun_s = time.monotonic()
        while (row := self._row()) != EXPECTED:
            if time.monotonic() - begun_s > self.limit_s:
                raise StepFailed(f"KPIs of {DAY}: expected {EXPECTED}, got {row}")
            time.sleep(1)
        self.lag_s = time.monotonic() - begun_s
        return f"KPIs of {DAY} are right after {self.lag_s:.0f} s"

    def _row(self) -> Mapping[str, Any]:
        prefix = self.outputs["State"].removeprefix("dynamodb://")
        rows = self.client("dynamodb").scan(
            TableName=f"{prefix}-order_kpis_v2",
            FilterExpression="order_date = :day",
            ExpressionAttributeValues={":day": {"S": DAY}},
        )["Items"]
        if len(rows) != 1:
            return {}
        kinds: Mapping[str, Callable[[str], Any]] = {"total_revenue": str}
        found = {}
        for name in EXPECTED:
            (value,) = rows[0].get(name, {"": "0"}).values()
            found[name] = kinds.get(name, int)(value)
        return found

    def empty_input(self) -> str:
        """Wait until the canary is in the archive, and its messages are gone."""
        s3, begun_s = self.client("s3"), time.monotonic()
        while s3.list_objects_v2(Bucket=self.outputs["InputBucket"]).get("KeyCount"):
            if time.monotonic() - begun_s > self.limit_s:
                raise StepFailed("the canary is still in the input bucket")
            time.sleep(1)
        names = ["ApproximateNumberOfMessages"]
        dead = self.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs["UploadDeadLetters"], AttributeNames=names
        )
        if int(dead["Attributes"][names[0]]):
            raise StepFailed("an upload became a dead letter")
        return "the canary is archived"

    def set_alarms(self) -> str:
        """Set each alarm, and see that it goes to the topic; it falls back by itself."""
        alarms = self.client("cloudwatch")
        names = [
            one["PhysicalResourceId"]
            for page in self.client("cloudformation")
            .get_paginator("list_stack_resources")
            .paginate(StackName=self.stack)
            for one in page["StackResourceSummaries"]
            if one["ResourceType"] == "AWS::CloudWatch::Alarm"
        ]
        if not names:
            raise StepFailed("the stack has no alarms")
        for name in names:
            alarms.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="deploy-check")
            (alarm,) = alarms.describe_alarms(AlarmNames=[name])["MetricAlarms"]
            reaches = self.outputs["Topic"] in alarm["AlarmActions"]
            if alarm["StateValue"] != "ALARM" or not (reaches or "WarmWake" in name):
                raise StepFailed(f"{name}: {alarm['StateValue']}, actions {alarm['AlarmActions']}")
        return f"{len(names)} alarms went off"

    def price(self) -> str:
        """Price an hour of the idle stage, and the canary by the states that it went through."""
        table = tomllib.loads((ROOT / "benchmarks" / "prices.toml").read_text("utf-8"))
        prices = {name: one["price"] for name, one in table.items()}
        alarms = self.client("cloudwatch").describe_alarms(AlarmNamePrefix=self.stack)
        fixed = len(alarms["MetricAlarms"]) * prices["alarm_metric_month"]
        fixed += prices["dashboard_month"]
        transitions, seconds = self._used()
        hour = prices["fargate_arm_vcpu_hour"] + 2 * prices["fargate_arm_gb_hour"]
        canary = transitions * prices["state_transition"] + seconds / 3600 * hour
        return (
            f"idle ${fixed / HOURS_A_MONTH:.4f} an hour for alarms and dashboard; the canary "
            f"${canary:.4f} on demand: {transitions} transitions, {seconds:,.0f} task seconds"
        )

    def _used(self) -> tuple[int, float]:
        """Return transitions, and vCPU seconds as they are billed, of all batches so far."""
        states = self.client("stepfunctions")
        machine = self.outputs["IngestStateMachine"].removesuffix("ingest") + "batches"
        transitions, seconds = 0, 0.0
        for one in states.list_executions(stateMachineArn=machine)["executions"]:
            history = states.get_execution_history(
                executionArn=one["executionArn"], maxResults=1000
            )["events"]
            entered: dict[str, Any] = {}
            for event in history:
                if name := event.get("stateEnteredEventDetails", {}).get("name"):
                    transitions += 1
                    entered[name] = event["timestamp"]
                name = event.get("stateExitedEventDetails", {}).get("name")
                if name in TASK_STATES and name in entered:
                    took_s = (event["timestamp"] - entered[name]).total_seconds()
                    vcpus = 0.25 if name == "Archive" else 1.0
                    seconds += vcpus * max(MIN_BILLED_S, math.ceil(took_s))
        return transitions, seconds

    def destroy(self) -> str:
        """Empty the buckets, which keep old versions, and destroy the stack."""
        s3 = boto3.resource("s3")
        formation = self.client("cloudformation")
        for page in formation.get_paginator("list_stack_resources").paginate(StackName=self.stack):
            for one in page["StackResourceSummaries"]:
                if one["ResourceType"] == "AWS::S3::Bucket":
                    s3.Bucket(one["PhysicalResourceId"]).object_versions.delete()
        self.cdk("destroy", self.stack, "--force")
        left = formation.list_stacks(
            StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_FAILED"]
        )["StackSummaries"]
        if any(one["StackName"] == self.stack for one in left):
            raise StepFailed(f"{self.stack} is still there")
        return f"{self.stack} is gone"


def run(check: Check, *, keep: bool) -> int:
    """Run the steps in order; return the exit code."""
    steps = (check.deploy, check.upload, check.empty_input, check.set_alarms, check.price)
    code = 0
    for step in steps:
        code = _take(step)
        if code:
            break
    return code if keep else max(code, _take(check.destroy))


def _take(step: Callable[[], str]) -> int:
    name = step.__name__.replace("_", " ")
    begun_s = time.monotonic()
    try:
        said = step()
    except Exception as error:  # noqa: BLE001  (whatever fails, the stage is destroyed)
        sys.stdout.write(f"FAILED {name}: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"ok     {name} ({time.monotonic() - begun_s:.0f} s): {said}\n")
    sys.stdout.flush()
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="infra/deploy-check", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-c", action="append", default=[], metavar="name=value")
    parser.add_argument("--stage", default=f"check{uuid.uuid4().hex[:6]}")
    parser.add_argument("--app", help="output folder of cdk synth, for a stage that it names")
    parser.add_argument("--limit-s", type=float, default=900.0)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args(words)
    settings = [word for one in (f"stage={given.stage}", *given.c) for word in ("-c", one)]
    app = ["--app", given.app] if given.app else settings
    return run(Check(given.stage, app, given.limit_s), keep=given.keep)


if __name__ == "__main__":
    sys.exit(main())
