"""Commands from an SQS queue, each answered to the state of Step Functions that waits for it.

A message is a JSON object: `task_token` of the state, `command` as the arguments of `shopkpi`.
While a command runs, the state gets heartbeats and the message stays invisible; then the state gets
success or failure, and the message is deleted. A message that could not be answered comes back, to
this service or another one: doing what it asks for twice changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kpi.errors import ContractError, KpiError
from worker.errors import ConfigError, WorkerError

RECEIVED_AT_ONCE = 10
"""ReceiveMessage gives at most so many messages (SQS API reference)."""

# SendTaskFailure takes causes up to this length (Step Functions API reference).
_CAUSE_CHARACTERS = 32_768

Run = Callable[[Sequence[str]], Awaitable[None]]
"""Runs a command; its errors are those of the command line."""

Emit = Callable[..., None]
"""Writes a log line: an event, and its fields by keyword."""


class Refused(ConfigError):  # noqa: N818  (as `SourceChanged`: the verdict on a command)
    """A command that a message may not ask for."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Times of the service.

    Attributes:
        poll_s: How long one request waits for messages; SQS allows 20 s.
        hidden_s: How long a message stays invisible, from its last heartbeat on: so long after a
            crash another worker gets it.
        beat_s: Time between heartbeats.
        grace_s: How long jobs may go on once the service is to stop.
        release_s: How long the others may take to give their messages back.
    """

    poll_s: int = 20
    hidden_s: int = 60
    beat_s: float = 20.0
    grace_s: float = 6.0
    release_s: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message as SQS gives it; `received` counts how often it has done so."""

    message_id: str
    receipt: str
    body: str
    received: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a message asks for: no command where it has a token and nothing that can be run."""

    token: str
    command: tuple[str, ...] | None


class Queue(Protocol):
    """Where messages come from."""

    async def receive(self, count: int) -> list[Message]:
        """Up to `count` messages, as soon as there is one; none after `Pace.poll_s`."""

    async def hide(self, message: Message, seconds: int) -> None:
        """Keep a message from others for so long from now on."""

    async def delete(self, message: Message) -> None:
        """It has been answered."""


class Tokens(Protocol):
    """States that wait; each method is False where the state does not wait any more."""

    async def heartbeat(self, token: str) -> bool: ...

    async def succeed(self, token: str) -> bool: ...

    async def fail(self, token: str, error: str, cause: str) -> bool: ...


def read_body(body: str) -> Job | None:
    """What a message asks for; None where there is no token to answer to."""
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


def exit_code(error: Exception) -> int:
    """What the command line returns for an error."""
    if isinstance(error, WorkerError):
        return error.exit_code
    return 2 if isinstance(error, ContractError) else 1


class Service:
    """Takes messages, at most `concurrency` at once, until it is told to stop.

    `explain` puts errors into words, for the log and for the state machine.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        tokens: Tokens,
        run: Run,
        emit: Emit,
        concurrency: int,
        pace: Pace | None = None,
        explain: Callable[[Exception], str] | None = None,
    ) -> None:
        self._queue = queue
        self._tokens = tokens
        self._run = run
        self._emit = emit
        self._concurrency = concurrency
        self._pace = pace or Pace()
        self._told = explain or told
        self._jobs: set[asyncio.Task[None]] = set()
        self._poll_ends_s = 0.0

    async def serve(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then a little longer.

        Errors: those of receiving messages, once retries are used up.
        """
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                free = self._concurrency - len(self._jobs)
                if free <= 0:
                    await _any({*self._jobs, stopping})
                    continue
                for message in await self._receive(min(free, RECEIVED_AT_ONCE), stopping):
                    job = asyncio.ensure_future(self._handle(message))
                    self._jobs.add(job)
                    job.add_done_callback(self._jobs.discard)
        finally:
            stopping.cancel()
            await self._finish()

    async def _receive(self, count: int, stopping: asyncio.Future[Any]) -> list[Message]:
        """Up to `count` messages; none where the service is to stop.

        What SQS was just handing over then comes back when `Pace.hidden_s` are over.
        """
        ends_s = time.monotonic() + self._pace.poll_s
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
        """Let jobs end within their grace, abandon the others."""
        jobs = set(self._jobs)
        if not jobs:
            return
        self._emit("serve.stopping", jobs=len(jobs))
        _, late = await asyncio.wait(jobs, timeout=self._pace.grace_s)
        for job in late:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _handle(self, message: Message) -> None:
        """One message; nothing that happens to it ends the service."""
        fields: dict[str, object] = {"message_id": message.message_id, "received": message.received}
        try:
            job = read_body(message.body)
            if job is None:
                # Left as it is: the queue hands it out a few times, then to its dead letters.
                self._emit("message.malformed", **fields)
                return
            await self._answer(message, job, fields)
        except asyncio.CancelledError:
            self._emit("job.abandoned", **fields)
            await self._give_back(message)
            raise
        except Exception as error:  # noqa: BLE001  (the service outlives any job)
            # The message comes back by itself.
            self._emit("job.unanswered", **fields, problem=self._told(error))

    async def _give_back(self, message: Message) -> None:
        # SQS may not notice that nobody listens to a poll any more: the message must not go there.
        wait_s = max(0, math.ceil(self._poll_ends_s - time.monotonic()))
        try:
            async with asyncio.timeout(self._pace.release_s):
                await self._queue.hide(message, wait_s)
        except (WorkerError, TimeoutError):
            pass  # it comes back when `hidden_s` are over

    async def _answer(self, message: Message, job: Job, fields: dict[str, object]) -> None:
        """Run a job and tell the state what came of it."""
        started_s = time.perf_counter()
        if not await self._tokens.heartbeat(job.token):
            await self._expired(message, fields)
            return
        if job.command is not None:
            fields["command"] = job.command[0][:40]
        self._emit("job.started", **fields)
        error: Exception | None = None
        try:
            waited_for = await self._run_with_heartbeats(message, job)
        except Exception as caught:  # noqa: BLE001  (told to the state, as a process by exit code)
            waited_for, error = True, caught
        fields["seconds"] = round(time.perf_counter() - started_s, 3)
        if error is not None:
            fields |= {"exit_code": exit_code(error), "problem": self._told(error)}
        if not waited_for or not await self._tell(job.token, error):
            await self._expired(message, fields)
            return
        await self._queue.delete(message)
        self._emit("job.failed" if error else "job.succeeded", **fields)

    async def _tell(self, token: str, error: Exception | None) -> bool:
        """Answer; False where nobody waits for it any more."""
        if error is None:
            return await self._tokens.succeed(token)
        cause = self._told(error)[:_CAUSE_CHARACTERS]
        return await self._tokens.fail(token, f"Worker.ExitCode{exit_code(error)}", cause)

    async def _expired(self, message: Message, fields: dict[str, object]) -> None:
        """The state machine has gone on by itself; what it asked for is done elsewhere."""
        await self._queue.delete(message)
        self._emit("job.expired", **fields)

    async def _run_with_heartbeats(self, message: Message, job: Job) -> bool:
        """Run a command; False, the command cancelled, where nobody waits for it any more."""
        if job.command is None:
            raise Refused("command: expected a list of words")
        work = asyncio.ensure_future(self._run(job.command))
        beats = asyncio.ensure_future(self._beat_until_gone(message, job.token))
        try:
            await _any({work, beats})
            (work if work.done() else beats).result()
            return work.done()
        finally:
            for task in (work, beats):
                task.cancel()
            await asyncio.gather(work, beats, return_exceptions=True)

    async def _beat_until_gone(self, message: Message, token: str) -> None:
        """Heartbeats until the state does not wait any more."""
        while True:
            await asyncio.sleep(self._pace.beat_s)
            try:
                await self._queue.hide(message, self._pace.hidden_s)
                if not await self._tokens.heartbeat(token):
                    return
            except WorkerError as error:
                # The next one may get through; without any, the state gives up and we are told.
                self._emit(
                    "heartbeat.failed", message_id=message.message_id, problem=self._told(error)
                )


async def _any(futures: set[asyncio.Future[Any]]) -> None:
    """Wait until one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def told(error: Exception) -> str:
    """An error in words."""
    if isinstance(error, WorkerError | KpiError):
        return str(error)
    return f"{type(error).__name__}: {error}"
