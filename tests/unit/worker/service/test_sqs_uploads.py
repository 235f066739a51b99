"""A batch of uploads through MiniStack's SQS, S3 and DynamoDB, by the command line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiobotocore.session import get_session

from tests.support.commands import Done, Shopkpi
from tests.support.emulators import Emulator, create_bucket, unique_name
from tests.support.uploads import event
from worker.service import sqs_uploads
from worker.service.sqs_uploads import open_uploads

ORDERS = "order_id,user_id,status,created_at\n{0},7,delivered,2025-03-01T10:00:00\n"
WRONG = "nothing,that,belongs,here\n1,2,3,4\n"


@pytest.fixture
def aws(ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    ministack.use(monkeypatch)
    return ministack


async def make_queues(visibility_s: int, max_receives: int) -> tuple[str, str]:
    """Make a queue and its dead-letter queue; return their URLs."""
    async with get_session().create_client("sqs") as sqs:
        dead = (await sqs.create_queue(QueueName=unique_name("dead")))["QueueUrl"]
        found = await sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        policy = {
            "deadLetterTargetArn": found["Attributes"]["QueueArn"],
            "maxReceiveCount": max_receives,
        }
        attributes = {
            "VisibilityTimeout": str(visibility_s),
            "RedrivePolicy": json.dumps(policy),
        }
        made = await sqs.create_queue(QueueName=unique_name("files"), Attributes=attributes)
        return str(made["QueueUrl"]), str(dead)


async def count(queue: str) -> tuple[int, int]:
    """Return how many messages are visible, and how many are not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    async with get_session().create_client("sqs") as sqs:
        answer = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    visible, hidden = (int(answer["Attributes"][name]) for name in names)
    return visible, hidden


async def count_objects(bucket: str) -> int:
    async with get_session().create_client("s3") as s3:
        listed = await s3.list_objects_v2(Bucket=bucket)
    return int(listed["KeyCount"])


async def upload(bucket: str, queue: str, files: dict[str, str]) -> None:
    """Put objects, and send the event of each twice, as EventBridge may; one is of no object."""
    session = get_session()
    async with session.create_client("s3") as s3, session.create_client("sqs") as sqs:
        for key, body in files.items():
            put = await s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
            text = event(bucket, key, version_id=put["VersionId"], size=len(body))
            for _ in range(2):
                await sqs.send_message(QueueUrl=queue, MessageBody=text)
        gone = event(bucket, "orders/gone.csv", version_id="no-such-version")
        await sqs.send_message(QueueUrl=queue, MessageBody=gone)


def lines(done: Done, name: str) -> list[dict[str, Any]]:
    assert done.code == 0, done.err
    found = [json.loads(line) for line in done.out.splitlines()]
    return [line for line in found if line["event"] == name]


def test_a_batch_goes_from_the_queue_to_the_archive(
    aws: Emulator, shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.service.upload_queue.FIRST_RETRY_S", 0)
    queue, dead = asyncio.run(make_queues(600, 2))
    incoming = asyncio.run(create_bucket(aws, versioned=True))
    zone = asyncio.run(create_bucket(aws))
    state = f"dynamodb://{unique_name('shop')}"
    where = ["--workspace", f"s3://{zone}", "--state", state]
    assert shopkpi("tables", "create", "--state", state).code == 0
    files = {f"orders/{number}.csv": ORDERS.format(number) for number in range(1, 6)}
    asyncio.run(upload(incoming, queue, {**files, "orders/wrong.csv": WRONG}))

    batch = ["--queue", queue, "--batch", f"s3://{zone}/plans/batches/one"]
    done = shopkpi("validate", *batch, *where)
    (validated,) = lines(done, "batch.validated")
    assert (validated["files"], validated["failed"]) == (7, 1)
    assert len(lines(done, "source.committed")) == 5
    # Two messages a file wait for the next task, and one for its next try.
    assert asyncio.run(count(queue)) == (1, 12)
    assert lines(shopkpi("transform", *batch, *where), "kpis.published")
    done = shopkpi("archive", *batch, *where, "--to", f"s3://{zone}")
    (closed,) = lines(done, "batch.closed")
    assert (closed["files"], closed["not_published"]) == (6, 0)
    assert asyncio.run(count(queue)) == (1, 0)
    rows = shopkpi("query", "orders", *where, "--format", "json").json
    assert rows[0]["total_orders"] == 5
    assert asyncio.run(count_objects(incoming)) == 0

    batch[-1] += "-two"
    (dead_letter,) = lines(shopkpi("validate", *batch, *where), "message.dead")
    assert "there is no such object" in dead_letter["problem"]
    assert (asyncio.run(count(queue)), asyncio.run(count(dead))) == ((0, 0), (1, 0))
    done = shopkpi("redrive", "--queue", queue)
    (back,) = lines(done, "message.redriven")
    assert back["url"] == f"s3://{incoming}/orders/gone.csv"
    assert back["problem"] == dead_letter["problem"]
    assert lines(done, "redrive.finished")[0]["messages"] == 1
    assert (asyncio.run(count(queue)), asyncio.run(count(dead))) == ((1, 0), (0, 0))


def test_a_queue_without_dead_letters_cannot_be_redriven(aws: Emulator, shopkpi: Shopkpi) -> None:
    del aws
    _, queue = asyncio.run(make_queues(600, 2))
    done = shopkpi("redrive", "--queue", queue)
    assert done.code == 2
    assert "it has no dead-letter queue" in done.err


@pytest.mark.usefixtures("aws")
async def test_messages_of_a_task_that_died_early_come_back_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody knows which messages it had, as it has not written them down."""
    queue, _ = await make_queues(visibility_s=1800, max_receives=5)
    async with get_session().create_client("sqs") as sqs:
        await sqs.send_message(QueueUrl=queue, MessageBody="{}")
    monkeypatch.setattr(sqs_uploads, "UNSAVED_TIMEOUT_S", 0)
    async with open_uploads(queue) as uploads:
        assert len(await uploads.receive(10, 1)) == 1
    assert await count(queue) == (1, 0)
