"""Many things of one kind, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from worker.runtime.concurrency import each


@pytest.mark.parametrize("count", [0, 1, 3, 4, 20])
async def test_so_many_run_at_once_and_results_keep_their_order(count: int) -> None:
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (item % 3))
        running -= 1
        return -item

    assert await each(iter(range(count)), work, 4) == [-item for item in range(count)]
    assert most == min(count, 4)


async def test_there_are_no_more_tasks_than_items() -> None:
    before = len(asyncio.all_tasks())

    async def work(_: int) -> int:
        await asyncio.sleep(0)
        return len(asyncio.all_tasks()) - before

    assert max(await each([7, 8], work, 50)) == 2


async def test_items_are_taken_when_their_turn_comes() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(6):
            taken.append(item)
            yield item

    async def work(item: int) -> int:
        await asyncio.sleep(0)
        return len(taken) - item

    assert max(await each(items(), work, 2)) <= 3


async def test_the_first_error_is_raised_and_the_others_are_cancelled() -> None:
    cancelled: list[int] = []

    async def work(item: int) -> None:
        try:
            await asyncio.sleep(0.001 * item if item < 3 else 60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        if item == 2:
            raise ValueError("item 2")

    with pytest.raises(ValueError, match="item 2"):
        await each(range(10), work, 3)
    assert sorted(cancelled) == [3, 4]


async def test_an_error_of_the_items_themselves_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    async def work(item: int) -> None:
        await asyncio.sleep(item * 60)

    with pytest.raises(ValueError, match="no more"):
        await each(items(), work, 3)


async def test_what_is_cancelled_by_others_is_not_passed_over() -> None:
    lost = asyncio.get_running_loop().create_future()
    lost.cancel()

    async def work(item: int) -> int:
        if item == 1:
            await lost
        return item

    with pytest.raises(RuntimeError, match="cancelled"):
        await each([0, 1, 2], work, 2)
