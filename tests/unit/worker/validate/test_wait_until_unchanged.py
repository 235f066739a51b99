"""Files that may still be written are waited for, all together, and others not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from worker.errors import SourceMissing
from worker.objects import FileStamp, ObjectInfo
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.validate.wait_until_unchanged import MAX_PERIODS, Clock, settle

NOW_S = 1_750_000_000.0


@dataclass
class World(MemoryStore):
    """A clock that sleeping advances, and files that change as it goes on."""

    now_s: float = NOW_S
    slept_s: float = 0.0
    files: dict[str, Callable[[float], FileStamp | None]] = field(default_factory=dict)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept_s += seconds

    @property
    def clock(self) -> Clock:
        return Clock(unix_s=lambda: self.now_s, sleep=self.sleep)

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        del version_id
        stamp = self.files[key](self.now_s)
        if stamp is None:
            raise SourceMissing(url=key)
        return info(key, stamp)

    async def settle(self, quiet_s: float = 2.0) -> tuple[list[str], list[str]]:
        sources = [
            Source(info=await self.stat(key), dataset="orders", store=self) for key in self.files
        ]
        settled, left = await settle(sources, quiet_s, self.clock)
        for source in settled:
            assert source.info == await self.stat(source.info.key)
        return [one.info.key for one in settled], [one.info.url for one, _ in left]


def info(key: str, stamp: FileStamp | None) -> ObjectInfo:
    mtime_ns = stamp.mtime_ns if stamp else 0
    return ObjectInfo(
        bucket="" if stamp else "b",
        key=key,
        size_bytes=mtime_ns % 1000,
        version=f"mtime:{mtime_ns}:1",
        uploaded_at=datetime(2025, 1, 1, tzinfo=UTC),
        stamp=stamp,
    )


def changed(*ages_s: float, at_s: float = NOW_S) -> Callable[[float], FileStamp]:
    """A file whose mtime, and ctime where given, are so old."""
    times = [int((at_s - age) * 1e9) for age in ages_s]
    return lambda _: FileStamp(times[0], times[-1], 1)


def growing(until_s: float) -> Callable[[float], FileStamp]:
    """A file that is written to at every moment until then."""
    return lambda now_s: FileStamp(
        int(min(now_s, NOW_S + until_s) * 1e9), int(min(now_s, NOW_S + until_s) * 1e9), 1
    )


@pytest.fixture
def world() -> World:
    made = World.__new__(World)
    MemoryStore.__init__(made)
    made.now_s, made.slept_s, made.files = NOW_S, 0.0, {}
    return made


async def test_older_files_wait_for_nothing(world: World) -> None:
    world.files = {"a": changed(2.0), "b": changed(10**6)}
    assert await world.settle() == (["a", "b"], [])
    assert world.slept_s == 0


async def test_young_files_are_waited_for_together(world: World) -> None:
    world.files = {"a": changed(0.5), "b": changed(100), "c": changed(1.5)}
    assert await world.settle() == (["a", "b", "c"], [])
    assert world.slept_s == pytest.approx(1.5)


@pytest.mark.parametrize("ages_s", [(10**6, 0.5), (0.5, 10**6)])
async def test_the_later_of_mtime_and_ctime_counts(
    world: World, ages_s: tuple[float, float]
) -> None:
    """`cp -p` and `tar x` set the mtime back; some file systems have no ctime."""
    world.files = {"a": changed(*ages_s)}
    await world.settle()
    assert world.slept_s == pytest.approx(1.5)


async def test_a_copy_that_ends_meanwhile_is_read_whole(world: World) -> None:
    world.files = {"a": growing(until_s=3), "b": changed(100)}
    assert await world.settle() == (["a", "b"], [])
    assert 5 <= world.slept_s <= MAX_PERIODS * 2


async def test_a_file_that_keeps_changing_is_left(world: World) -> None:
    world.files = {"a": growing(until_s=10**6), "b": changed(1.9), "c": changed(100)}
    settled, left = await world.settle()
    assert (settled, len(left)) == (["b", "c"], 1)
    assert world.slept_s <= MAX_PERIODS * 2


async def test_a_file_that_vanishes_is_left(world: World) -> None:
    stamp = changed(0.1)(0)
    world.files = {"a": lambda now_s: stamp if now_s == NOW_S else None, "b": changed(100)}
    settled, left = await world.settle()
    assert (settled, len(left)) == (["b"], 1)


@pytest.mark.parametrize("ages_s", [(-(10.0**8), 100.0), (100.0, -(10.0**8))])
async def test_one_time_in_the_future_does_not_count(
    world: World, ages_s: tuple[float, float]
) -> None:
    world.files = {"a": changed(*ages_s)}
    assert await world.settle() == (["a"], [])
    assert world.slept_s == 0


async def test_a_file_of_the_future_is_watched_once(world: World) -> None:
    """The clock of its server may be wrong: nothing but watching tells that it stays."""
    world.files = {"a": changed(-(10.0**8))}
    assert await world.settle() == (["a"], [])
    assert world.slept_s == pytest.approx(2.0)


async def test_zero_seconds_wait_for_nothing(world: World) -> None:
    world.files = {"a": changed(0.0), "b": growing(10**6)}
    assert await world.settle(0) == (["a", "b"], [])
    assert world.slept_s == 0


async def test_objects_without_stamp_wait_for_nothing(world: World) -> None:
    sources = [Source(info=info("a", None), dataset="orders", store=world)]
    assert await settle(sources, 2.0, world.clock) == (sources, [])
    assert world.slept_s == 0


async def test_a_replaced_file_is_waited_for_again(world: World) -> None:
    """A rename brings an old mtime, so only the inode and ctime tell."""

    def replaced(now_s: float) -> FileStamp:
        old = changed(100.0, 0.5)(0)
        late = int((NOW_S + 1.4) * 1e9)
        return old if now_s < NOW_S + 1.4 else replace(old, ctime_ns=late, inode=2)

    world.files = {"a": replaced}
    assert await world.settle() == (["a"], [])
    assert world.slept_s == pytest.approx(3.4)
