"""Work on many items concurrently, in threads or tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Map in two threads: numpy and Arrow release the interpreter's lock while they compute."""
    with ThreadPoolExecutor(2, thread_name_prefix="part") as threads:
        return list(threads.map(work, items))


async def each(items: Iterable[T], work: Callable[[T], Awaitable[R]], at_once: int) -> list[R]:
    """Await `work` for each item, `at_once` concurrently; return results in the items' order.

    There are at most `at_once` tasks, and no more than items.

    Raises:
        Exception: The first that `work` raises, once the others have been cancelled.
    """
    numbered = enumerate(items)
    made: dict[int, R] = {}

    async def take_turns(first: tuple[int, T]) -> None:
        for number, item in chain([first], numbered):
            try:
                made[number] = await work(item)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or not task.cancelling():
                    # Nobody cancelled this task: the group would ignore the missing result.
                    raise RuntimeError("cancelled by what it waited for") from error
                raise

    try:
        async with asyncio.TaskGroup() as group:
            for first in islice(numbered, at_once):
                group.create_task(take_turns(first))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [made[number] for number in sorted(made)]
