"""A service over a queue and states in memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.service.queue_worker import Message, Service, Timings

QUICK = Timings(poll_s=1, visibility_timeout_s=60, heartbeat_s=0.01, grace_s=0.05, release_s=1)
Work = Callable[[Sequence[str]], Coroutine[Any, Any, None]]


def body(token: str, *command: object) -> str:
    return json.dumps({"task_token": token, "command": list(command)})


@dataclass
class World:
    """A queue, the states that wait, and the log, in memory; what happened in which order."""

    bodies: list[str]
    gone: set[str] = field(default_factory=set)
    answers: list[tuple[str, str]] = field(default_factory=list)
    beats: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    given_back: list[tuple[str, int]] = field(default_factory=list)
    hidden: int = 0
    asked_for: list[int] = field(default_factory=list)
    log: list[dict[str, object]] = field(default_factory=list)
    broken: Exception | None = None

    async def receive(self, count: int) -> list[Message]:
        self.asked_for.append(count)
        while not self.bodies:
            if self.broken is not None:
                raise self.broken
            await asyncio.sleep(0.001)
        taken, self.bodies = self.bodies[:count], self.bodies[count:]
        return [Message(message_id=text, receipt=text, body=text, received=1) for text in taken]

    async def extend_visibility(self, message: Message, seconds: int) -> None:
        if seconds == QUICK.visibility_timeout_s:
            self.hidden += 1
        else:
            self.given_back.append((message.body, seconds))

    async def delete(self, message: Message) -> None:
        self.deleted.append(message.body)

    async def heartbeat(self, token: str) -> bool:
        self.beats.append(token)
        return token not in self.gone

    async def succeed(self, token: str) -> bool:
        self.answers.append((token, "success"))
        return token not in self.gone

    async def fail(self, token: str, error: str, cause: str) -> bool:
        assert cause
        self.answers.append((token, error))
        return token not in self.gone

    def emit(self, event: str, **fields: object) -> None:
        self.log.append({"event": event, **fields})

    def events(self) -> list[object]:
        return [line["event"] for line in self.log]

    def service(self, run: Work, concurrency: int = 4) -> Service:
        return Service(
            queue=self,
            tokens=self,
            run=run,
            emit=self.emit,
            concurrency=concurrency,
            timings=QUICK,
        )


async def until(condition: Callable[[], bool], tell: object = None) -> None:
    """Wait for it, for 20 s at most."""
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, tell
        await asyncio.sleep(0.001)


async def serve_until(service: Service, condition: Callable[[], bool], tell: object) -> None:
    """Serve until something is the case, then stop."""
    stop = asyncio.Event()
    serving = asyncio.ensure_future(service.serve(stop))
    try:
        await until(lambda: condition() or serving.done(), tell)
    finally:
        stop.set()
        await serving


async def served(world: World, run: Work, end: Callable[[], bool], concurrency: int = 4) -> None:
    """Serve a world until something is the case."""
    await serve_until(world.service(run, concurrency), end, world.log)


async def do_nothing(words: Sequence[str]) -> None:
    """A command that succeeds."""
