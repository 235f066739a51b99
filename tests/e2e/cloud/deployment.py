"""Deploy the synthesized template on MiniStack, and act as its user and operator."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer

from kpi.aggregation.tables import KPI_TABLES
from tests.support.emulators import Emulator

Json = dict[str, Any]

STAGE = "e2estage"
BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
"""Stage of the synthesized template; each deployment replaces it by a stage of its own."""

# Resources that MiniStack cannot create. No upload passes through them; template tests check them.
NOT_EMULATED = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Athena::NamedQuery",
    "AWS::EC2::FlowLog",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::Logs::QueryDefinition",
    # MiniStack can, but an account has ten at most, and each test deploys a stack.
    "AWS::Logs::ResourcePolicy",
}

# Eleven uploads at once start twenty containers on a machine that may be busy.
WAIT_LIMIT_S = 300.0


def emulated(template: Json) -> Json:
    """Return the template without the resources that MiniStack cannot create."""
    left_out = {
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] in NOT_EMULATED
        # MiniStack accepts no alarms on metric math.
        or (resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"])
    }
    resources = {
        name: resource for name, resource in template["Resources"].items() if name not in left_out
    }
    for resource in resources.values():
        if "DependsOn" in resource:
            after = resource["DependsOn"]
            after = [after] if isinstance(after, str) else after
            resource["DependsOn"] = [name for name in after if name not in left_out]
    dashboards = [
        name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Dashboard"
    ]
    for name in dashboards:
        # It refers to alarms that were left out.
        del resources[name]
    return {**template, "Resources": resources}


@dataclass
class Deployment:
    """One stack on the emulator."""

    emulator: Emulator
    stage: str
    home: Path
    outputs: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.emulator.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    @cached_property
    def s3(self) -> Any:
        return self.client("s3")

    @cached_property
    def states(self) -> Any:
        return self.client("stepfunctions")

    @classmethod
    def create(
        cls, emulator: Emulator, template: str, home: Path, *, stage: str = ""
    ) -> Deployment:
        """Deploy through CloudFormation, as `cdk deploy` does once its assets are published."""
        stage = stage or f"e{uuid.uuid4().hex[:10]}"
        made = cls(emulator=emulator, stage=stage, home=home)
        body = template.replace(STAGE, stage)
        bucket = f"assets-{stage}"
        made.s3.create_bucket(Bucket=bucket)
        made.s3.put_object(Bucket=bucket, Key="template.json", Body=body.encode())
        # `cdk bootstrap` writes this parameter, and the template reads it.
        made.client("ssm").put_parameter(
            Name=BOOTSTRAP_PARAMETER, Value="30", Type="String", Overwrite=True
        )
        formation = made.client("cloudformation")
        formation.create_stack(
            StackName=made.stack,
            TemplateURL=f"{emulator.endpoint_url}/{bucket}/template.json",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )
        stack = _until(lambda: _settled(formation, made.stack), "the stack to settle")
        if stack["StackStatus"] != "CREATE_COMPLETE":
            events = formation.describe_stack_events(StackName=made.stack)["StackEvents"]
            reasons = [one.get("ResourceStatusReason", "") for one in events]
            raise AssertionError(f"{stack['StackStatus']}: {[one for one in reasons if one]}")
        made.outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        return made

    @property
    def stack(self) -> str:
        return f"ShopKpi-{self.stage}"

    @property
    def prefix(self) -> str:
        return f"shopkpi-{self.stage}"

    def upload(self, key: str, body: bytes) -> str:
        """Put an object into the input bucket and return its version id."""
        put = self.s3.put_object(Bucket=self.outputs["InputBucket"], Key=key, Body=body)
        version: str = put["VersionId"]
        return version

    def keys(self, output: str, prefix: str = "") -> list[str]:
        """List the keys of a bucket, named by its output."""
        listed = self.s3.list_objects_v2(Bucket=self.outputs[output], Prefix=prefix)
        return [one["Key"] for one in listed.get("Contents", ())]

    def read(self, output: str, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.outputs[output], Key=key)["Body"].read()
        return body

    def machine(self, name: str) -> str:
        ingest = self.outputs["IngestStateMachine"]
        return ingest.removesuffix("ingest") + name

    def executions(self, name: str = "ingest") -> list[Json]:
        """Return the executions of a state machine, the oldest first."""
        found = self.states.list_executions(stateMachineArn=self.machine(name))["executions"]
        return [
            self.states.describe_execution(executionArn=one["executionArn"])
            for one in sorted(found, key=lambda one: one["startDate"])
        ]

    def wait(self, count: int, name: str = "ingest") -> list[Json]:
        """Wait until a state machine has `count` executions and none of them runs."""

        def ended() -> list[Json] | None:
            found = self.executions(name)
            assert len(found) <= count, [one["name"] for one in found]
            done = len(found) == count and all(one["status"] != "RUNNING" for one in found)
            return found if done else None

        return _until(ended, f"{count} executions of {name} to end", self._describe)

    def messages(self, output: str = "UploadQueue") -> int:
        """Count the messages of a queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.client("sqs").get_queue_attributes(
            QueueUrl=self.outputs[output], AttributeNames=names
        )
        return sum(int(found["Attributes"][name]) for name in names)

    def send(self, key: str, version: str, size: int) -> None:
        """Send the event of an object version into the queue of uploads, as EventBridge does."""
        object_ = {"key": key, "version-id": version, "size": size}
        bucket = {"name": self.outputs["InputBucket"]}
        self.send_text(json.dumps({"detail": {"bucket": bucket, "object": object_}}))

    def send_text(self, body: str) -> None:
        """Send any text into the queue of uploads."""
        queue = self.outputs["UploadQueue"]
        self.client("sqs").send_message(QueueUrl=queue, MessageBody=body)

    def events(self, name: str) -> list[Json]:
        """Return the log lines of an event."""
        lines = [json.loads(line) for line in self.logs() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def wait_for_state(self, name: str, state: str) -> None:
        """Wait until an execution of a state machine has entered a state."""

        def entered() -> bool | None:
            every = [self.states_of(one) for one in self.executions(name)]
            return True if any(state in one for one in every) else None

        _until(entered, f"{state} of {name}", self._describe)

    def end_of(self, execution: str) -> Json:
        """Wait for the end of an execution."""

        def ended() -> Json | None:
            found: Json = self.states.describe_execution(executionArn=execution)
            return None if found["status"] == "RUNNING" else found

        end: Json = _until(ended, f"{execution} to end", self._describe)
        return end

    def take_uploads(self) -> None:
        """Start batches, as an upload does."""
        self.start("batches", {"count": False})

    def drain(self, moved: int) -> list[Json]:
        """Wait until so many files have been moved away, no message is left, and no batch runs.

        Returns:
            All executions of batches.
        """

        def drained() -> list[Json] | None:
            found = self.executions("batches")
            is_running = any(one["status"] == "RUNNING" for one in found)
            if is_running or self.messages() or len(self.events("source.moved")) < moved:
                return None
            return found

        executions: list[Json] = _until(drained, f"{moved} files to be moved", self._describe)
        return executions

    def states_of(self, execution: Json) -> list[str]:
        """Return the names of the states that an execution entered, in order."""
        events = self.states.get_execution_history(
            executionArn=execution["executionArn"], maxResults=1000
        )["events"]
        entered = (one.get("stateEnteredEventDetails") for one in events)
        return [one["name"] for one in entered if one]

    def exit_next(self, command: str, code: int) -> None:
        """Let the next container of a command of the worker exit at once with a code."""
        (self.home / f"exit-{command}").write_text(str(code))

    def start(self, name: str, document: Mapping[str, Any]) -> str:
        """Start an execution by hand."""
        arn: str = self.states.start_execution(
            stateMachineArn=self.machine(name), input=json.dumps(document)
        )["executionArn"]
        return arn

    def commands(self) -> list[list[str]]:
        """Return the command lines of the containers of this deployment."""
        runs = self.home / "runs.jsonl"
        lines = runs.read_text().splitlines() if runs.exists() else []
        return [
            run["command"] for run in map(json.loads, lines) if self.prefix == run["deployment"]
        ]

    def scale(self, tasks: int) -> None:
        """Set the number of tasks of the warm service, as its scaling policy would."""
        ecs = self.client("ecs")
        (cluster,) = [
            arn for arn in ecs.list_clusters()["clusterArns"] if f"ShopKpi-{self.stage}-" in arn
        ]
        (service,) = ecs.list_services(cluster=cluster)["serviceArns"]
        ecs.update_service(cluster=cluster, service=service, desiredCount=tasks)

    def rows(self, table: str) -> list[dict[str, object]]:
        """Return the rows of a KPI table, ascending by key, without internal attributes."""
        paginator = self.client("dynamodb").get_paginator("scan")
        read = TypeDeserializer().deserialize
        rows = []
        stored = KPI_TABLES[table]
        name = f"{self.prefix}-{stored.dynamodb_name}"
        for page in paginator.paginate(TableName=name, ConsistentRead=True):
            for item in page["Items"]:
                row = {name: read(value) for name, value in item.items()}
                if "mark" in row:
                    continue  # of the ledger that the table was last published from
                assert str(row.pop(stored.sort_key)).startswith("default")
                assert row.pop("shop", "default") == "default"
                rows.append(row)
        keys = ("order_date", "category", "product_id")
        return sorted(rows, key=lambda row: [str(row.get(key, "")).encode() for key in keys])

    def subscribe(self) -> Iterator[Json]:
        """Yield the messages that the topic publishes from now on, until there are none."""
        queues = self.client("sqs")
        url = queues.create_queue(QueueName=f"topic-{self.stage}")["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self.client("sns").subscribe(
            TopicArn=self.outputs["Topic"], Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )
        return self.receive()

    def receive(self) -> Iterator[Json]:
        """Yield the messages that came since `subscribe` and were not received before."""
        queues = self.client("sqs")
        url = queues.get_queue_url(QueueName=f"topic-{self.stage}")["QueueUrl"]
        while True:
            got = queues.receive_message(QueueUrl=url, WaitTimeSeconds=1)
            for message in got.get("Messages", ()):
                queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                yield json.loads(json.loads(message["Body"])["Message"])
            if not got.get("Messages"):
                return

    def succeed(self, count: int) -> list[Json]:
        """Wait for `count` ingest executions, all of which succeed."""
        executions = self.wait(count)
        assert {one["status"] for one in executions} == {"SUCCEEDED"}, self._describe()
        return executions

    def logs(self) -> list[str]:
        """Return the lines in the log group of the tasks."""
        logs = self.client("logs")
        events = logs.filter_log_events(logGroupName=f"/{self.prefix}/tasks")["events"]
        return [event["message"] for event in events]

    def fail_next_job(self) -> list[str]:
        """Receive the next message of the warm service, fail it, and return its command."""
        queues = self.client("sqs")
        (queue,) = [
            url
            for url in queues.list_queues()["QueueUrls"]
            if f"ShopKpi-{self.stage}-WarmQueue" in url
        ]

        def taken() -> Json | None:
            got = queues.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
            return next(iter(got.get("Messages", ())), None)

        message = _until(taken, "a message of the warm service", self._describe)
        queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        body = json.loads(message["Body"])
        self.states.send_task_failure(
            taskToken=body["task_token"], error="Worker.ExitCode1", cause="on purpose"
        )
        command: list[str] = body["command"]
        return command

    def wait_for_log(self, event: str, count: int = 1) -> list[Json]:
        """Wait until tasks have logged `count` lines of an event, and return them."""

        def written() -> list[Json] | None:
            found = self.events(event)
            return found if len(found) >= count else None

        found: list[Json] = _until(written, f"{count} log lines {event}", self._describe)
        return found

    def _describe(self) -> str:
        """Describe executions, commands and logs for a failure message."""
        lines = [
            f"{name} {one['name']} {one['status']} {one.get('error', '')}"
            for name in ("intake", "batches", "ingest")
            for one in self.executions(name)
        ]
        return "\n".join([*lines, *map(str, self.commands()), *self.logs()])


def plain(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Convert every number to Decimal, so that 3 and Decimal(3) compare equal."""
    return [
        {
            name: Decimal(value) if isinstance(value, int | Decimal) else value
            for name, value in row.items()
        }
        for row in rows
    ]


def _settled(formation: Any, name: str) -> Json | None:
    stack: Json = formation.describe_stacks(StackName=name)["Stacks"][0]
    return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack


def _until(question: Any, what: str, describe: Any = None) -> Any:
    deadline_s = time.monotonic() + WAIT_LIMIT_S
    while time.monotonic() < deadline_s:
        answer = question()
        if answer is not None:
            return answer
        time.sleep(0.1)
    raise AssertionError(
        f"waited {WAIT_LIMIT_S:.0f} s for {what}; {describe() if describe else ''}"
    )
