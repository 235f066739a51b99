"""`shopkpi serve` on MiniStack's SQS and Step Functions.

They move messages to dead letters and wait for tokens, but know no heartbeat timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from tests.support.emulators import Emulator, create_bucket, unique_name
from tests.support.service import QUICK, Work, World, body, do_nothing, serve_until
from worker.objects.s3 import S3Store
from worker.service.queue_worker import Service, Timings
from worker.service.sqs import open_clients

ORDERS = "order_id,user_id,status,created_at\n1,7,delivered,2025-03-01T10:00:00\n"


@pytest.fixture
def aws(ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    ministack.use(monkeypatch)
    return ministack


@contextlib.asynccontextmanager
async def clients() -> AsyncIterator[tuple[Any, Any]]:
    """SQS and Step Functions."""
    session = get_session()
    async with session.create_client("sqs") as sqs, session.create_client("stepfunctions") as sfn:
        yield sqs, sfn


async def make_queue(sqs: Any, **attributes: str) -> str:
    made = await sqs.create_queue(QueueName=unique_name("queue"), Attributes=attributes)
    return str(made["QueueUrl"])


async def ask(sfn: Any, queue: str, *command: str) -> str:
    """Start an execution whose one state sends `command` and waits; returns its ARN."""
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {
            "QueueUrl": queue,
            "MessageBody": {"task_token.$": "$$.Task.Token", "command": list(command)},
        },
        "End": True,
    }
    machine = await sfn.create_state_machine(
        name=unique_name("machine"),
        definition=json.dumps({"StartAt": "Ask", "States": {"Ask": state}}),
        roleArn="arn:aws:iam::123456789012:role/any",
    )
    started = await sfn.start_execution(stateMachineArn=machine["stateMachineArn"], input="{}")
    return str(started["executionArn"])


async def ended(sfn: Any, execution: str) -> dict[str, Any]:
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        found: dict[str, Any] = await sfn.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("the execution has not ended")


async def in_flight(sqs: Any, queue: str) -> tuple[int, int]:
    """Messages that wait, and messages that somebody has."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    waiting, taken = (int(found["Attributes"][name]) for name in names)
    return waiting, taken


@contextlib.asynccontextmanager
async def emulated(world: World, queue: str, run: Work, timings: Timings) -> AsyncIterator[Service]:
    """A service over the emulator's queue and states, with the log of `world`."""
    async with open_clients(queue, timings) as (messages, tokens):
        yield Service(
            queue=messages, tokens=tokens, run=run, emit=world.emit, concurrency=2, timings=timings
        )


@contextlib.contextmanager
def serving(queue: str, aws: Emulator, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "serve", "--queue", queue, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | aws.environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_the_command_serves_a_state_machine(aws: Emulator, tmp_path: Path) -> None:
    bucket = await create_bucket(aws, versioned=True)
    async with await S3Store.open(bucket) as store:
        async with store.create("orders/1.csv") as writer:
            await writer.write(ORDERS.encode())
        version = (await store.stat("orders/1.csv")).version.removeprefix("version:")
    url = f"s3://{bucket}/orders/1.csv"
    stores = ("--workspace", str(tmp_path), "--state", f"sqlite:///{tmp_path}/shopkpi.db")
    async with clients() as (sqs, sfn):
        queue = await make_queue(sqs)
        with serving(queue, aws, *stores) as process:
            validated = await ended(
                sfn, await ask(sfn, queue, "validate", url, "--version-id", version)
            )
            assert validated["status"] == "SUCCEEDED"
            assert json.loads(validated["output"]) == {"exit_code": 0}
            published = await ended(sfn, await ask(sfn, queue, "transform"))
            assert published["status"] == "SUCCEEDED"
            missing = f"s3://{bucket}/orders/2.csv"
            signed = f"s3://{bucket}/orders/?X-Amz-Signature=0123456789abcdef"
            for words, error, cause in (
                (["validate", signed], "Worker.ExitCode2", "X-Amz-Signature=***"),
                (["validate", missing], "Worker.ExitCode2", "orders/2.csv"),
                (["validate", url, "--version-id", "none"], "Worker.ExitCode1", "no such object"),
                (["rm", "-rf", "/"], "Worker.ExitCode2", "'rm': this service runs"),
            ):
                failed = await ended(sfn, await ask(sfn, queue, *words))
                assert (failed["status"], failed["error"]) == ("FAILED", error), failed
                assert cause in failed["cause"]
            assert await in_flight(sqs, queue) == (0, 0)
            stopped_s = time.monotonic()
            process.send_signal(signal.SIGTERM)
            out, err = await asyncio.to_thread(process.communicate, timeout=10)
        assert time.monotonic() - stopped_s < 3
        assert (process.returncode, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "serve.started"
    assert events[-1] == "serve.stopped"
    assert {"source.committed", "kpis.published"} <= set(events)
    assert events.count("job.succeeded") == 2
    assert events.count("job.failed") == 4
    # What tokens and signatures open is nobody's business.
    assert "task_token" not in out
    assert "0123456789abcdef" not in out


@pytest.mark.usefixtures("aws")
async def test_a_job_that_is_abandoned_is_there_for_the_next_worker() -> None:
    async with clients() as (sqs, sfn):
        queue = await make_queue(sqs)
        execution = await ask(sfn, queue, "transform")

        async def hang(_: Sequence[str]) -> None:
            await asyncio.sleep(3600)

        world = World([])
        async with emulated(world, queue, hang, QUICK) as service:
            await serve_until(service, lambda: "job.started" in world.events(), world.log)
        assert world.events()[-1] == "job.abandoned"
        assert sum(await in_flight(sqs, queue)) == 1
        async with emulated(world, queue, do_nothing, QUICK) as service:
            await serve_until(service, lambda: "job.succeeded" in world.events(), world.log)
        assert world.log[-1]["received"] == 2
        assert (await ended(sfn, execution))["status"] == "SUCCEEDED"
        assert await in_flight(sqs, queue) == (0, 0)


@pytest.mark.usefixtures("aws")
async def test_poison_becomes_a_dead_letter_and_expired_token_is_dropped() -> None:
    async with clients() as (sqs, _):
        dead = await make_queue(sqs)
        arn = await sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": "2"}
        queue = await make_queue(sqs, RedrivePolicy=json.dumps(redrive))
        for text in ("no JSON", body("a token that was never one", "transform")):
            await sqs.send_message(QueueUrl=queue, MessageBody=text)
        world = World([])
        async with emulated(
            world, queue, do_nothing, Timings(poll_s=1, visibility_timeout_s=1)
        ) as service:
            seen = world.events
            await serve_until(service, lambda: seen().count("message.malformed") == 2, world.log)
        deadline_s = time.monotonic() + 20
        while await in_flight(sqs, dead) != (1, 0):
            assert time.monotonic() < deadline_s, world.log
            await sqs.receive_message(QueueUrl=queue)  # who asks for messages moves dead ones
            await asyncio.sleep(0.1)
        assert world.events().count("message.malformed") == 2
        assert world.events().count("job.expired") == 1
        assert await in_flight(sqs, queue) == (0, 0)


async def test_a_queue_that_is_not_there_is_wrong_use(aws: Emulator, tmp_path: Path) -> None:
    queue = f"{aws.endpoint_url}/123456789012/{unique_name('none')}"
    with serving(queue, aws, "--workspace", str(tmp_path)) as process:
        out, err = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 2
    assert queue in err
    assert "Traceback" not in err
    assert json.loads(out)["event"] == "serve.started"
