"""Stores in memory that end the process before any chosen call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Killed(BaseException):
    """The process has been killed: no code may go on, whatever it catches."""


class Steps:
    """Counts calls, and ends the process before one of them and all later ones."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.made: list[str] = []
        self._kill_at = kill_at

    def take(self, name: str) -> None:
        if self._kill_at is not None and len(self.made) >= self._kill_at:
            raise Killed
        self.made.append(name)


class Stepped:
    """A store whose calls are steps."""

    def __init__(self, target: Any, steps: Steps) -> None:
        self._target = target
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._target, name)

        async def stepped(*args: Any, **kwargs: Any) -> Any:
            self._steps.take(name)
            return await call(*args, **kwargs)

        return stepped

    async def list(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self._steps.take("list")
        async for one in self._target.list(*args, **kwargs):
            yield one

    async def rows(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self._steps.take("rows")
        async for one in self._target.rows(*args, **kwargs):
            yield one

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[Any]:
        async with self._target.create(key) as writer:
            yield writer
            self._steps.take("create")  # it appears whole, or not at all
