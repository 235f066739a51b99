"""Run commands from an SQS queue, and answer each to the Step Functions state that waits for it.

A message is a JSON object: `task_token` of the state, `command` as the arguments of `shopkpi`.
While a command runs, the state gets heartbeats and the message stays invisible; then the state gets
success or failure, and the message is deleted. A message that could not be answered comes back, to
this service or another one: running its command twice changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from worker.errors import ConfigError, WorkerError, describe, exit_code

MAX_RECEIVED_MESSAGES = 10
"""Of one ReceiveMessage (SQS API reference)."""

MAX_CAUSE_CHARACTERS = 32_768
"""Of one SendTaskFailure (Step Functions API reference)."""

MAX_COMMAND_CHARACTERS = 40
"""Of a command's name in a log line: a message may hold anything."""

Run = Callable[[Sequence[str]], Awaitable[None]]
"""Run a command; its errors are those of the command line."""

Emit = Callable[..., None]
"""Write a log line: an event, and its fields by keyword."""


class Refused(ConfigError):
    """Report a command that a message may not ask for."""


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Set the times of the service, in seconds.

    Attributes:
        poll_s: How long one request waits for messages; SQS allows 20.
        visibility_timeout_s: How long a message stays invisible after its last heartbeat, and so
            how long after a crash another worker gets it.
        heartbeat_s: Time between heartbeats.
        grace_s: How long jobs may go on once the service is to stop.
        release_s: How long the other jobs may take to release their messages.
    """

    poll_s: int = 20
    visibility_timeout_s: int = 60
    heartbeat_s: float = 20.0
    grace_s: float = 6.0
    release_s: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Message:
    """Hold a message as SQS gives it.

    Attributes:
        message_id: Its name in log lines.
        receipt: Handle of this receive.
        body: Its text.
        received: How often it was received.
        cause: Of a dead letter: why its file could not be read.
    """

    message_id: str
    receipt: str
    body: str
    received: int
    cause: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Hold what a message asks for; `command` is None where it is no list of words."""

    token: str
    command: tuple[str, ...] | None


class Queue(Protocol):
    """Give messages to workers."""

    async def receive(self, count: int) -> list[Message]:
        """Receive up to `count` messages as soon as there is one; none after `poll_s`."""

    async def extend_visibility(self, message: Message, seconds: int) -> None:
        """Keep a message invisible to other workers for `seconds` from now on; 0 releases it."""

    async def delete(self, message: Message) -> None:
        """Delete a message that has been answered."""


class Tokens(Protocol):
    """Answer states that wait; each method is False where the state does not wait any more."""

    async def heartbeat(self, token: str) -> bool: ...

    async def succeed(self, token: str) -> bool: ...

    async def fail(self, token: str, error: str, cause: str) -> bool: ...


def read_body(body: str) -> Job | None:
    """Read what a message asks for; None where it has no token to answer to."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    token, command = document.get("task_token"), document.get("command")
    if not isinstance(token, str) or not token:
        return None
    words = command if isinstance(command, list) else []
    usable = bool(words) and all(isinstance(word, str) for word in words)
    return Job(token=token, command=tuple(words) if usable else None)


class Service:
    """Run the commands of messages, at most `concurrency` at once, until it is to stop.

    `word_error` replaces `describe`, for the log and for the state machine.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        tokens: Tokens,
        run: Run,
        emit: Emit,
        concurrency: int,
        timings: Timings | None = None,
        word_error: Callable[[Exception], str] | None = None,
    ) -> None:
        self._queue = queue
        self._tokens = tokens
        self._run = run
        self._emit = emit
        self._concurrency = concurrency
        self._timings = timings or Timings()
        self._describe = word_error or describe
        self._jobs: set[asyncio.Task[None]] = set()
        self._poll_ends_s = 0.0

    async def serve(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then let jobs end within `grace_s`.

        Raises:
            WorkerError: Messages cannot be received, after retries.
        """
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                free = self._concurrency - len(self._jobs)
                if free <= 0:
                    await _any({*self._jobs, stopping})
                    continue
                for message in await self._receive(min(free, MAX_RECEIVED_MESSAGES), stopping):
                    job = asyncio.ensure_future(self._handle(message))
                    self._jobs.add(job)
                    job.add_done_callback(self._jobs.discard)
        finally:
            stopping.cancel()
            await self._finish()

    async def _receive(self, count: int, stopping: asyncio.Future[Any]) -> list[Message]:
        """Receive up to `count` messages; none where the service is to stop.

        Messages that SQS was just sending then come back after `visibility_timeout_s`.
        """
        ends_s = time.monotonic() + self._timings.poll_s
        receiving = asyncio.ensure_future(self._queue.receive(count))
        try:
            await _any({receiving, stopping})
            if receiving.done():
                return receiving.result()
            self._poll_ends_s = ends_s
            return []
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _finish(self) -> None:
        """Let jobs end within `grace_s`, abandon the others."""
        jobs = set(self._jobs)
        if not jobs:
            return
        self._emit("serve.stopping", jobs=len(jobs))
        _, late = await asyncio.wait(jobs, timeout=self._timings.grace_s)
        for job in late:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _handle(self, message: Message) -> None:
        """Handle one message; no error of it ends the service."""
        fields: dict[str, object] = {"message_id": message.message_id, "received": message.received}
        try:
            job = read_body(message.body)
            if job is None:
                # Left in the queue, which moves it to its dead letters after a few receives.
                self._emit("message.malformed", **fields)
                return
            await self._answer(message, job, fields)
        except asyncio.CancelledError:
            self._emit("job.abandoned", **fields)
            await self._release(message)
            raise
        except Exception as error:  # noqa: BLE001  (the service outlives any job)
            # Its visibility ends, and the message comes back.
            self._emit("job.unanswered", **fields, problem=self._describe(error))

    async def _release(self, message: Message) -> None:
        """Make a message visible to other workers."""
        # SQS may not notice that nobody listens to our last poll, and answer it with the message.
        wait_s = max(0, math.ceil(self._poll_ends_s - time.monotonic()))
        try:
            async with asyncio.timeout(self._timings.release_s):
                await self._queue.extend_visibility(message, wait_s)
        except (WorkerError, TimeoutError):
            pass  # it comes back after `visibility_timeout_s`

    async def _answer(self, message: Message, job: Job, fields: dict[str, object]) -> None:
        """Run a job and answer its state."""
        started_s = time.perf_counter()
        if not await self._tokens.heartbeat(job.token):
            await self._expired(message, fields)
            return
        if job.command is not None:
            fields["command"] = job.command[0][:MAX_COMMAND_CHARACTERS]
        self._emit("job.started", **fields)
        error: Exception | None = None
        try:
            is_awaited = await self._run_with_heartbeats(message, job)
        except Exception as caught:  # noqa: BLE001  (the state gets it, as an exit code)
            is_awaited, error = True, caught
        fields["seconds"] = round(time.perf_counter() - started_s, 3)
        if error is not None:
            fields |= {"exit_code": exit_code(error), "problem": self._describe(error)}
        if not is_awaited or not await self._send_answer(job.token, error):
            await self._expired(message, fields)
            return
        await self._queue.delete(message)
        self._emit("job.failed" if error else "job.succeeded", **fields)

    async def _send_answer(self, token: str, error: Exception | None) -> bool:
        """Send success or failure; False where the state does not wait any more."""
        if error is None:
            return await self._tokens.succeed(token)
        cause = self._describe(error)[:MAX_CAUSE_CHARACTERS]
        return await self._tokens.fail(token, f"Worker.ExitCode{exit_code(error)}", cause)

    async def _expired(self, message: Message, fields: dict[str, object]) -> None:
        """Delete a message whose state has timed out; the state machine runs it elsewhere."""
        await self._queue.delete(message)
        self._emit("job.expired", **fields)

    async def _run_with_heartbeats(self, message: Message, job: Job) -> bool:
        """Run a command; cancel it and return False where the state does not wait any more."""
        if job.command is None:
            raise Refused("command: expected a list of words")
        work = asyncio.ensure_future(self._run(job.command))
        heartbeats = asyncio.ensure_future(self._send_heartbeats(message, job.token))
        try:
            await _any({work, heartbeats})
            (work if work.done() else heartbeats).result()
            return work.done()
        finally:
            for task in (work, heartbeats):
                task.cancel()
            await asyncio.gather(work, heartbeats, return_exceptions=True)

    async def _send_heartbeats(self, message: Message, token: str) -> None:
        """Send heartbeats until the state does not wait any more."""
        while True:
            await asyncio.sleep(self._timings.heartbeat_s)
            try:
                await self._queue.extend_visibility(message, self._timings.visibility_timeout_s)
                if not await self._tokens.heartbeat(token):
                    return
            except WorkerError as error:
                # The next one may succeed. Without any the state times out, and answers so.
                self._emit(
                    "heartbeat.failed", message_id=message.message_id, problem=self._describe(error)
                )


async def _any(futures: set[asyncio.Future[Any]]) -> None:
    """Wait until one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
