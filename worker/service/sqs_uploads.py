"""The queue of uploads in SQS: requests for ten messages each, and dead letters with a cause."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from worker.aws.clients import client_config, session
from worker.aws.errors import SETUP_ERRORS
from worker.errors import ConfigError
from worker.runtime.concurrency import each
from worker.service.queue_worker import Message
from worker.service.sqs import LOST_MESSAGES, Client
from worker.service.upload_queue import UNSAVED_TIMEOUT_S, QueueLimits

if TYPE_CHECKING:
    from aiobotocore.client import AioBaseClient

MAX_BATCH_ENTRIES = 10
"""Of DeleteMessageBatch and ChangeMessageVisibilityBatch (SQS API reference)."""

REQUESTS_AT_ONCE = 16

MAX_CAUSE_CHARACTERS = 4_096
"""Of the cause beside a dead letter, far below what a message may have."""

CAUSE_ATTRIBUTE = "cause"
"""Message attribute of a dead letter: why its file could not be read."""


class SqsUploads(Client):
    """Implement `UploadQueue` with SQS."""

    def __init__(self, client: AioBaseClient, url: str) -> None:
        super().__init__(client, url)
        self._dead_letters_arn = ""

    async def limits(self) -> QueueLimits:
        names = ["VisibilityTimeout", "RedrivePolicy"]
        answer = await self.call("get_queue_attributes", QueueUrl=self._name, AttributeNames=names)
        found = (answer or {}).get("Attributes", {})
        policy = json.loads(found.get("RedrivePolicy") or "{}")
        self._dead_letters_arn = policy.get("deadLetterTargetArn", "")
        return QueueLimits(
            visibility_timeout_s=int(found.get("VisibilityTimeout", 30)),
            max_receives=int(policy.get("maxReceiveCount", 0)),
        )

    async def dead_letters(self) -> str:
        """Return the URL of the dead-letter queue that `limits` has found; empty for none."""
        if not self._dead_letters_arn:
            return ""
        account, name = self._dead_letters_arn.split(":")[-2:]
        found = await self.call("get_queue_url", QueueName=name, QueueOwnerAWSAccountId=account)
        return str((found or {})["QueueUrl"])

    async def receive(self, count: int, wait_s: int) -> list[Message]:
        answer = await self.call(
            "receive_message",
            QueueUrl=self._name,
            MaxNumberOfMessages=count,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=UNSAVED_TIMEOUT_S,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=[CAUSE_ATTRIBUTE],
        )
        return [_message(one) for one in (answer or {}).get("Messages", ())]

    async def hide(self, receipts: Sequence[str], seconds: int) -> None:
        await self._for_each_ten(
            "change_message_visibility_batch", receipts, {"VisibilityTimeout": seconds}
        )

    async def delete(self, receipts: Sequence[str]) -> None:
        await self._for_each_ten("delete_message_batch", receipts, {})

    async def bury(self, message: Message, cause: str) -> None:
        await send(self, await self.dead_letters(), message.body, cause)
        await self.delete([message.receipt])

    async def _for_each_ten(
        self, operation: str, receipts: Sequence[str], fields: Mapping[str, object]
    ) -> None:
        """Call an operation on all messages; an entry that fails is of a message that is gone."""
        starts = range(0, len(receipts), MAX_BATCH_ENTRIES)

        async def one(start: int) -> None:
            some = receipts[start : start + MAX_BATCH_ENTRIES]
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, **fields}
                for number, receipt in enumerate(some)
            ]
            await self.call(operation, LOST_MESSAGES, QueueUrl=self._name, Entries=entries)

        await each(starts, one, REQUESTS_AT_ONCE)


async def redrive(url: str) -> AsyncIterator[Message]:
    """Bring the dead letters of a queue back to it; yield each once it is back.

    A message that is sent back and not deleted, since the process dies between, comes twice, which
    does no harm.

    Raises:
        ConfigError: The queue has no dead letters, or AWS is not set up.
        StoreError: SQS fails, after retries.
    """
    async with open_uploads(url) as queue:
        await queue.limits()
        dead_letters = await queue.dead_letters()
        if not dead_letters:
            raise ConfigError("it has no dead-letter queue", url=url, option="--queue")
        async with open_uploads(dead_letters) as dead:
            while found := await dead.receive(MAX_BATCH_ENTRIES, 1):
                for message in found:
                    await send(queue, url, message.body)
                    await dead.delete([message.receipt])
                    yield message


async def send(sender: Client, url: str, body: str, cause: str = "") -> None:
    """Send a message, with a cause beside it where there is one."""
    attribute = {"DataType": "String", "StringValue": cause[:MAX_CAUSE_CHARACTERS]}
    attributes = {"MessageAttributes": {CAUSE_ATTRIBUTE: attribute}} if cause else {}
    await sender.call("send_message", QueueUrl=url, MessageBody=body, **attributes)


def _message(found: Mapping[str, Any]) -> Message:
    cause = found.get("MessageAttributes", {}).get(CAUSE_ATTRIBUTE, {})
    return Message(
        message_id=found["MessageId"],
        receipt=found["ReceiptHandle"],
        body=found["Body"],
        received=int(found.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
        cause=cause.get("StringValue", ""),
    )


@asynccontextmanager
async def open_uploads(url: str) -> AsyncIterator[SqsUploads]:
    """Open the queue of a URL.

    Raises:
        ConfigError: The environment of AWS is not set up.
    """
    async with AsyncExitStack() as owned:
        try:
            client = await owned.enter_async_context(
                session().create_client("sqs", config=client_config(max_pool=REQUESTS_AT_ONCE))
            )
        except SETUP_ERRORS as error:
            raise ConfigError(f"AWS is not set up: {error}", url=url) from error
        yield SqsUploads(client, url)
