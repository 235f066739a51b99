"""Take uploads from a queue in batches, and keep their messages invisible while work goes on.

A message lives until its file is in the KPIs: whoever works on it keeps it invisible, and deletes
it last. One that nobody renews comes back, to this worker or another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from worker.errors import WorkerError, describe
from worker.service.queue_worker import MAX_RECEIVED_MESSAGES, Emit, Message

RECEIVERS = 8
"""Requests for messages at once: one of them brings ten at most."""

FIRST_WAIT_S = 5
"""Longest wait for the first message: it was sent before the task was asked for."""

UNSAVED_TIMEOUT_S = 120
"""How long a received message is invisible at first: until its batch is written down.

Of a task that dies before that nobody knows which messages it had; they come back this soon.
"""

RENEWALS_PER_TIMEOUT = 3
"""Renewals within the visibility timeout: two of them may fail."""

FIRST_RETRY_S = 60
MAX_RETRY_S = 900
"""Time after which a message whose file failed is tried again: doubled each time, up to a limit."""


@dataclass(frozen=True, kw_only=True)
class QueueLimits:
    """Hold what a queue is set to.

    Attributes:
        visibility_timeout_s: How long a message stays invisible after its last renewal.
        max_receives: Receives after which a message is a dead letter; 0 where there are none.
    """

    visibility_timeout_s: int
    max_receives: int


class UploadQueue(Protocol):
    """Hold messages about uploads."""

    async def limits(self) -> QueueLimits:
        """Return what the queue is set to."""

    async def receive(self, count: int, wait_s: int) -> list[Message]:
        """Receive up to `count` messages, ten at most; none after `wait_s`.

        They are invisible to others for `UNSAVED_TIMEOUT_S`.
        """

    async def hide(self, receipts: Sequence[str], seconds: int) -> None:
        """Keep messages invisible for `seconds` from now on; those that are gone are passed over.

        A message stays invisible for 12 hours in all at most (SQS developer guide, "Visibility
        timeout"); a renewal beyond that changes nothing.
        """

    async def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages; those that are gone are passed over."""

    async def bury(self, message: Message, cause: str) -> None:
        """Move a message to the dead letters, with the cause beside it."""


async def gather(
    queue: UploadQueue,
    *,
    max_files: int,
    max_bytes: int,
    size_of: Callable[[Message], int],
    wait_s: int = FIRST_WAIT_S,
) -> list[Message]:
    """Receive what is there, up to a number of messages or of their files' bytes.

    Args:
        queue: Where from.
        max_files: Most messages.
        max_bytes: Bytes after which no more are asked for; a request may exceed it once.
        size_of: Returns the bytes of the file of a message.
        wait_s: How long to wait for the first one.

    Raises:
        WorkerError: Messages cannot be received, after retries.
    """
    taken = await queue.receive(min(max_files, MAX_RECEIVED_MESSAGES), wait_s)
    asked = len(taken)

    async def take() -> None:
        nonlocal asked
        while asked < max_files and sum(map(size_of, taken)) < max_bytes:
            count = min(max_files - asked, MAX_RECEIVED_MESSAGES)
            asked += count
            # A short poll asks some of SQS's servers alone, and may bring nothing.
            found = await queue.receive(count, 1)
            asked -= count - len(found)
            taken.extend(found)
            if not found:
                return

    if taken:
        await asyncio.gather(*(take() for _ in range(RECEIVERS)))
    return taken


@asynccontextmanager
async def kept_invisible(
    queue: UploadQueue, receipts: Sequence[str], limits: QueueLimits, emit: Emit
) -> AsyncIterator[None]:
    """Renew the visibility timeout of messages now, while the block runs, and at its end.

    The renewal at the end leaves the next task the whole timeout to begin in.
    """
    seconds = limits.visibility_timeout_s

    async def renew() -> None:
        try:
            await queue.hide(receipts, seconds)
        except WorkerError as error:
            # The next one may succeed. Without any the messages come back, which does no harm.
            emit("heartbeat.failed", problem=describe(error))

    async def keep_renewing() -> None:
        while True:
            await asyncio.sleep(seconds / RENEWALS_PER_TIMEOUT)
            await renew()

    await renew()
    renewing = asyncio.create_task(keep_renewing())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await renew()


def retry_in_s(received: int) -> int:
    """Return the seconds after which a message is tried again that was received so often."""
    return min(MAX_RETRY_S, FIRST_RETRY_S * 2 ** max(0, received - 1))
