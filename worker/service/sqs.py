"""Queue and tokens of `worker.service.queue_worker` in AWS: SQS and Step Functions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from worker.aws.clients import client_config, session
from worker.aws.errors import CLIENT_ERRORS, SETUP_ERRORS, error_code, is_transient
from worker.errors import ConfigError, StoreError
from worker.runtime.retry import RetryPolicy
from worker.service.queue_worker import Message, Timings

if TYPE_CHECKING:
    from aiobotocore.client import AioBaseClient

# The state has timed out, or the token was never one.
_GONE = {"InvalidToken", "TaskDoesNotExist", "TaskTimedOut"}

# Another worker has received the message, or it is deleted.
LOST_MESSAGES = {"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"}

_NO_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "InvalidAddress", "QueueDoesNotExist"}

# Few attempts: a heartbeat is sent every few seconds, and an unanswered message comes back.
RETRY = RetryPolicy(attempts=5, limit_s=15)


class Client:
    """Call one service, with retries."""

    def __init__(self, client: AioBaseClient, name: str) -> None:
        self._client = client
        self._name = name

    async def call(
        self, operation: str, gone: Collection[str] = (), **arguments: object
    ) -> dict[str, Any] | None:
        """Call an operation; return None where the error's code is one of `gone`."""
        retries = RETRY.start()
        while True:
            try:
                answer: dict[str, Any] = await getattr(self._client, operation)(**arguments)
                return answer
            except CLIENT_ERRORS as error:
                code = error_code(error)
                if code in gone:
                    return None
                message = f"{operation}: {error}"
                if isinstance(error, SETUP_ERRORS) or code in _NO_QUEUE:
                    raise ConfigError(message, url=self._name) from error
                retryable = is_transient(error)
                if not retryable or not await retries.again():
                    raise StoreError(message, url=self._name, retryable=retryable) from error


class SqsQueue(Client):
    """Implement `Queue` with SQS."""

    def __init__(self, client: AioBaseClient, url: str, timings: Timings) -> None:
        super().__init__(client, url)
        self._timings = timings

    async def receive(self, count: int) -> list[Message]:
        answer = await self.call(
            "receive_message",
            QueueUrl=self._name,
            MaxNumberOfMessages=count,
            WaitTimeSeconds=self._timings.poll_s,
            VisibilityTimeout=self._timings.visibility_timeout_s,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return [
            Message(
                message_id=one["MessageId"],
                receipt=one["ReceiptHandle"],
                body=one["Body"],
                received=int(one.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            for one in (answer or {}).get("Messages", ())
        ]

    async def extend_visibility(self, message: Message, seconds: int) -> None:
        await self.call(
            "change_message_visibility",
            LOST_MESSAGES,
            QueueUrl=self._name,
            ReceiptHandle=message.receipt,
            VisibilityTimeout=seconds,
        )

    async def delete(self, message: Message) -> None:
        await self.call(
            "delete_message", LOST_MESSAGES, QueueUrl=self._name, ReceiptHandle=message.receipt
        )


class StepFunctionsTokens(Client):
    """Implement `Tokens` with Step Functions."""

    async def heartbeat(self, token: str) -> bool:
        return await self.call("send_task_heartbeat", _GONE, taskToken=token) is not None

    async def succeed(self, token: str) -> bool:
        output = '{"exit_code": 0}'
        answer = await self.call("send_task_success", _GONE, taskToken=token, output=output)
        return answer is not None

    async def fail(self, token: str, error: str, cause: str) -> bool:
        answer = await self.call(
            "send_task_failure", _GONE, taskToken=token, error=error, cause=cause
        )
        return answer is not None


@asynccontextmanager
async def open_clients(
    url: str, timings: Timings | None = None
) -> AsyncIterator[tuple[SqsQueue, StepFunctionsTokens]]:
    """Open the queue of a URL, and Step Functions of the same AWS environment.

    Raises:
        ConfigError: That environment is not set up.
    """
    async with AsyncExitStack() as owned:
        try:
            clients = [
                await owned.enter_async_context(
                    session().create_client(service, config=client_config(max_pool=64))
                )
                for service in ("sqs", "stepfunctions")
            ]
        except SETUP_ERRORS as error:
            raise ConfigError(f"AWS is not set up: {error}", url=url) from error
        yield (
            SqsQueue(clients[0], url, timings or Timings()),
            StepFunctionsTokens(clients[1], "Step Functions"),
        )
