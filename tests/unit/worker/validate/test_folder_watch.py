"""`shopkpi watch`: when it reads, when it tries again, and what ends it, on a clock of the test."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from worker.errors import AttentionNeeded, ConfigError, NothingToRead, StoreError, WorkerError
from worker.objects import ObjectInfo
from worker.objects.local import FolderStore
from worker.objects.location import Location
from worker.validate.discovery import list_below
from worker.validate.folder_watch import (
    FIRST_RETRY_S,
    MAX_RETRY_S,
    NOTHING,
    Clock,
    FolderWatch,
    fingerprint,
)


class Place:
    """A place whose state at each look is given, and a clock that only waiting moves."""

    def __init__(self, states: Sequence[int | WorkerError], every_s: float = 2.0) -> None:
        self.states = list(states)
        self.every_s = every_s
        self.now_s = 0.0
        self.looked_s = 0.0
        self.reads: list[float] = []
        self.told: list[tuple[float, float | None]] = []
        self.read_errors: list[WorkerError | None] = []

    async def look(self) -> int:
        if not self.states:
            raise asyncio.CancelledError
        self.now_s += self.looked_s
        state = self.states.pop(0)
        if isinstance(state, WorkerError):
            raise state
        return state

    async def read(self) -> None:
        self.reads.append(self.now_s)
        error = self.read_errors.pop(0) if self.read_errors else None
        if error is not None:
            raise error

    def hear(self, error: WorkerError, retry_s: float | None) -> None:
        del error
        self.told.append((self.now_s, retry_s))

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def watch(self) -> None:
        watch = FolderWatch(
            look=self.look,
            read=self.read,
            tell=self.hear,
            every_s=self.every_s,
            clock=Clock(monotonic_s=lambda: self.now_s, sleep=self.sleep),
        )
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(watch.watch())


def test_it_reads_once_after_each_change() -> None:
    place = Place([NOTHING, NOTHING, 1, 1, 1, 2, NOTHING, NOTHING, 2])
    place.watch()
    assert place.reads == [4.0, 10.0, 16.0]  # an emptied place has nothing to read
    assert not place.told


def test_a_failure_is_tried_again_later_and_later() -> None:
    place = Place([1] * 2000, every_s=1.0)
    place.read_errors = [StoreError("x")] * 10
    place.watch()
    waits = [retry_s for _, retry_s in place.told]
    assert waits == [min(FIRST_RETRY_S * 2**n, MAX_RETRY_S) for n in range(10)]
    between = [after - before for before, after in zip(place.reads, place.reads[1:], strict=False)]
    assert between == waits
    assert len(place.reads) == 11  # and not again after it has succeeded


def test_a_change_is_not_kept_waiting_by_a_failure() -> None:
    place = Place([1, 1, 2, 2, 2])
    place.read_errors = [StoreError("x")]
    place.watch()
    assert place.reads == [0.0, 4.0]


def test_after_a_success_failures_are_counted_anew() -> None:
    place = Place([1, 2, 3, 4])
    place.read_errors = [StoreError("x"), StoreError("x"), None, StoreError("x")]
    place.watch()
    assert [retry_s for _, retry_s in place.told] == [5.0, 10.0, 5.0]


def test_a_place_that_cannot_be_listed_is_told_and_read_afterwards() -> None:
    place = Place([1, StoreError("x"), 1, 1, 1, 1])
    place.watch()
    assert place.told == [(2.0, 5.0)]
    assert place.reads == [0.0, 8.0]


def test_files_of_no_dataset_wait_for_others() -> None:
    place = Place([1, 1, 1, 2])
    place.read_errors = [NothingToRead("x")]
    place.watch()
    assert place.told == [(0.0, None)]
    assert place.reads == [0.0, 6.0]


@pytest.mark.parametrize("error", [ConfigError("x"), AttentionNeeded("x")])
def test_what_a_person_has_to_change_ends_it(error: WorkerError) -> None:
    place = Place([1, 1])
    place.read_errors = [error]
    watch = FolderWatch(look=place.look, read=place.read, tell=lambda *_: None, every_s=1.0)
    with pytest.raises(type(error)):
        asyncio.run(watch.watch())


def test_a_slow_place_is_looked_at_less_often() -> None:
    place = Place([NOTHING, NOTHING, 1])
    place.looked_s = 3.0
    place.watch()
    assert place.reads == [2 * 60.0 + 3 * 3.0]


def test_a_day_without_files_does_not_make_it_grow(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    for number in range(3):
        (tmp_path / "orders" / f"{number}.csv").write_text("x")
    store = FolderStore()
    here = Location(bucket="", key=str(tmp_path).lstrip("/"))
    looks = 0
    sizes: list[int] = []

    async def look() -> int:
        nonlocal looks
        looks += 1
        if looks in (300, 1500):
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        if looks > 1500:
            raise asyncio.CancelledError
        return await fingerprint(list_below([(store, here)], Location(bucket="", key="elsewhere")))

    place = Place([])
    watch = FolderWatch(
        look=look,
        read=place.read,
        tell=lambda *_: None,
        every_s=72.0,  # 1,200 of them are a day
        clock=Clock(monotonic_s=lambda: place.now_s, sleep=place.sleep),
    )
    tracemalloc.start()
    try:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(watch.watch())
    finally:
        tracemalloc.stop()
    assert len(place.reads) == 1
    assert sizes[1] - sizes[0] < 20_000


def info(key: str, size_bytes: int = 1, version: str = "v") -> ObjectInfo:
    return ObjectInfo(
        bucket="b",
        key=key,
        size_bytes=size_bytes,
        version=version,
        uploaded_at=datetime(2025, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "other",
    [
        [info("a")],
        [info("a"), info("c")],
        [info("a"), info("b", 2)],
        [info("a"), info("b", version="w")],
        [info("a"), info("b"), info("b")],
    ],
)
def test_each_change_is_another_fingerprint(other: list[ObjectInfo]) -> None:
    first = fingerprint_of([info("a"), info("b")])
    assert first == fingerprint_of([info("b"), info("a")])
    assert first != fingerprint_of(other)
    assert fingerprint_of([]) == NOTHING


def fingerprint_of(infos: list[ObjectInfo]) -> int:
    return asyncio.run(fingerprint(stream(infos)))


async def stream(infos: list[ObjectInfo]) -> AsyncIterator[ObjectInfo]:
    for one in infos:
        yield one
