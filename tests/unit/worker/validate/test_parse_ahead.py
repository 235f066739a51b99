"""The next records are parsed while those before are handled, in order, and no error gets lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import pytest

from worker.validate.formats import ReadRecords
from worker.validate.parse_ahead import parse_ahead

THREADS = ThreadPoolExecutor(2)


async def batches(*calls: Any) -> AsyncGenerator[ReadRecords, None]:
    for one in calls:
        if isinstance(one, Exception):
            raise one
        yield one


def number(value: int) -> ReadRecords:
    return cast(ReadRecords, lambda: value)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_records_come_in_order(count: int) -> None:
    calls = map(number, range(count))
    found: list[Any] = [one async for one in parse_ahead(batches(*calls), THREADS)]
    assert found == [*range(count)]


async def test_the_next_batch_is_parsed_while_one_is_handled() -> None:
    begun = threading.Event()
    found = parse_ahead(batches(number(1), cast(ReadRecords, begun.set), number(3)), THREADS)
    await anext(found)
    assert await asyncio.to_thread(begun.wait, 10)
    await found.aclose()


async def test_an_error_of_parsing_is_raised_in_its_place() -> None:
    def fail() -> Any:
        raise ValueError("broken")

    found = parse_ahead(batches(number(1), number(2), fail, number(4)), THREADS)
    taken: list[Any] = [await anext(found), await anext(found)]
    assert taken == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        await anext(found)


async def test_the_next_batch_is_asked_for_when_one_is_parsed() -> None:
    parsed: list[int] = []

    def parse(value: int) -> Any:
        parsed.append(value)
        return value

    async def watched() -> AsyncGenerator[ReadRecords, None]:
        for value in (1, 2, 3):
            assert len(parsed) == value - 1
            yield partial(parse, value)

    found: list[Any] = [one async for one in parse_ahead(watched(), THREADS)]
    assert found == [1, 2, 3]


async def test_what_is_parsed_is_awaited_where_nobody_takes_it() -> None:
    done, hold = threading.Event(), threading.Event()

    def slow() -> Any:
        hold.wait(10)
        done.set()

    found = parse_ahead(batches(number(1), slow), THREADS)
    await anext(found)
    asyncio.get_running_loop().call_later(0.05, hold.set)
    await found.aclose()
    assert done.is_set()
