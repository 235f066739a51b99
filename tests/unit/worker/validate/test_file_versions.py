"""Files with other bytes under the same path, mtime and size are noticed, others not read again."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import worker.validate.file_versions
import worker.validate.validate_source
from kpi.contract.loading import built_in
from worker.clean import Workspace
from worker.errors import SourceChanged
from worker.objects import FileStamp, ObjectInfo
from worker.objects.local import FolderStore
from worker.objects.location import Location, locate
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.state import Entry
from worker.state.memory import MemoryState
from worker.validate.context import ValidationContext
from worker.validate.file_versions import entry_of_equal
from worker.validate.stream import BlockSizes
from worker.validate.validate_source import validate

OLD_NS = 1_735_725_600 * 10**9
HEADER = "order_id,user_id,created_at\n"


def order(day: int) -> bytes:
    return f"{HEADER}1,1,2025-01-{day:02d}\n".encode()


class CountingStore(FolderStore):
    """A folder whose reads are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        self.reads += 1
        return await super().read(info, start, end)


class Shop:
    """A folder of one file, validated into a ledger in memory."""

    def __init__(self, home: Path) -> None:
        self.path = home / "in" / "orders" / "1.csv"
        self.path.parent.mkdir(parents=True)
        self.store = CountingStore()
        self.state = MemoryState()
        self._workspace = Workspace(store=FolderStore(), location=locate(str(home / "work")))

    def put(self, data: bytes, mtime_ns: int = OLD_NS) -> None:
        """Write the file in place, and set its mtime back."""
        self.path.write_bytes(data)
        os.utime(self.path, ns=(mtime_ns, mtime_ns))

    async def run(self, later_s: float = 60) -> tuple[Entry, bool]:
        """Validate the file as a run does that begins some seconds later."""
        info = await self.store.stat(self.path.as_posix().lstrip("/"))
        now_ns = max(info.stamp.ctime_ns, info.stamp.mtime_ns) if info.stamp else 0
        with (
            ThreadPoolExecutor(1) as executor,
            patch.object(
                worker.validate.validate_source, "now_ns", lambda: now_ns + int(later_s * 10**9)
            ),
        ):
            source = Source(info=info, dataset="orders", store=self.store)
            return await validate(source, self.context(executor))

    def context(self, executor: Executor) -> ValidationContext:
        return ValidationContext(
            contract=built_in(),
            workspace=self._workspace,
            ledger=self.state,
            executor=executor,
            block_sizes=BlockSizes(20, 0),
        )

    async def reads(self) -> int:
        """Validate once more, and count the reads of that."""
        before = self.store.reads
        await self.run()
        return self.store.reads - before


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def replace_in_place(shop: Shop, data: bytes) -> None:
    """As `cp -p` onto the file, or `tar x` over it."""
    shop.put(data)


def replace_by_rename(shop: Shop, data: bytes) -> None:
    """As `rsync -t`, which renames a hidden file."""
    hidden = shop.path.with_name(".1.csv.Xa3b")
    hidden.write_bytes(data)
    os.utime(hidden, ns=(OLD_NS, OLD_NS))
    hidden.rename(shop.path)


def replace_by_removal(shop: Shop, data: bytes) -> None:
    """As a restore that empties the folder first; the inode may be used again."""
    shop.path.unlink()
    shop.put(data)


WAYS = (replace_in_place, replace_by_rename, replace_by_removal)


@pytest.mark.parametrize("way", WAYS)
async def test_other_bytes_of_the_same_mtime_are_another_version(
    shop: Shop, way: Callable[[Shop, bytes], None]
) -> None:
    shop.put(order(1))
    first, _ = await shop.run()
    way(shop, order(2))
    second, is_new = await shop.run()
    assert is_new
    assert second.source_id != first.source_id
    assert second.sha256 == hashlib.sha256(order(2)).hexdigest()
    assert second.uploaded_at > first.uploaded_at
    assert await shop.run() == (second, False)
    assert await shop.reads() == 0


@pytest.mark.parametrize("way", WAYS)
async def test_the_same_bytes_are_the_same_version_and_read_once_more(
    shop: Shop, way: Callable[[Shop, bytes], None]
) -> None:
    shop.put(order(1))
    first, _ = await shop.run()
    way(shop, order(1))
    assert await shop.run() == (first, False)
    assert await shop.reads() == 0


async def test_a_file_back_to_earlier_bytes_ends_at_these(shop: Shop) -> None:
    entries = []
    for day in (1, 2, 1, 2, 1):
        shop.put(order(day))
        entry, is_new = await shop.run()
        assert is_new
        entries.append(entry)
    assert len({entry.source_id for entry in entries}) == 5
    assert [entry.uploaded_at for entry in entries] == sorted(
        {entry.uploaded_at for entry in entries}
    )


async def test_the_id_depends_on_path_mtime_and_size_alone(shop: Shop) -> None:
    """A folder that is moved away and back, or restored, makes no new sources."""
    shop.put(order(1))
    first, _ = await shop.run()
    folder = shop.path.parents[1]
    folder.rename(folder.with_name("moved"))
    folder.with_name("moved").rename(folder)
    shop.path.chmod(0o600)
    assert await shop.run() == (first, False)
    fresh = Shop.__new__(Shop)
    fresh.__dict__ |= shop.__dict__ | {"state": MemoryState()}
    shop.path.rename(shop.path.with_name("x"))
    shop.path.with_name("x").rename(shop.path)
    again, _ = await fresh.run()
    assert again.source_id == first.source_id
    assert first.version == f"mtime:{OLD_NS}:{len(order(1))}"


async def test_a_known_file_is_not_read(shop: Shop) -> None:
    shop.put(order(1))
    await shop.run()
    assert await shop.reads() == 0


async def test_a_file_younger_than_a_tick_is_looked_at_again(shop: Shop) -> None:
    """A change within the same tick leaves mtime, ctime and inode as they are."""
    shop.put(order(1))
    first, _ = await shop.run(later_s=1.9)
    stamp = (await shop.store.stat(shop.path.as_posix().lstrip("/"))).stamp
    assert stamp is not None
    shop.path.write_bytes(order(2))
    os.utime(shop.path, ns=(OLD_NS, OLD_NS))
    stat = FolderStore.stat

    async def stat_in_the_same_tick(
        self: FolderStore, key: str, *, version_id: str | None = None
    ) -> ObjectInfo:
        return replace(await stat(self, key, version_id=version_id), stamp=stamp)

    with patch.object(FolderStore, "stat", stat_in_the_same_tick):
        second, is_new = await shop.run()
    assert is_new
    assert second.source_id != first.source_id


async def test_a_ledger_without_digests_takes_the_bytes_it_meets(shop: Shop) -> None:
    """Entries of release 0.1.0 have none: a restored folder must not become new sources."""
    shop.put(order(1))
    first, _ = await shop.run()
    shop.state._records[0] = replace(first, sha256=None, content=None)
    shop.state._sightings.clear()
    assert (await shop.run())[0].source_id == first.source_id
    assert await shop.reads() == 0
    shop.put(order(2))
    assert (await shop.run())[1]


async def test_a_crash_between_commit_and_sighting_is_made_good(shop: Shop) -> None:
    shop.put(order(1))
    await shop.run()
    sighting = dict(shop.state._sightings)
    shop.put(order(2))
    second, _ = await shop.run()
    shop.state._sightings = sighting
    assert await shop.run() == (second, False)
    shop.put(order(1))
    assert (await shop.run())[1]


@pytest.fixture
def validations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take every file for a large one, and note the files that are validated."""
    found: list[str] = []
    really = worker.validate.validate_source.validate_uncommitted

    async def noted(source: Source, *rest: Any) -> Entry:
        found.append(source.info.version)
        return await really(source, *rest)

    monkeypatch.setattr(worker.validate.validate_source, "validate_uncommitted", noted)
    monkeypatch.setattr(worker.validate.file_versions, "COPIED_FILE_BYTES", 0)
    return found


async def test_a_touched_file_is_hashed_and_not_validated(
    shop: Shop, validations: list[str]
) -> None:
    shop.put(order(1))
    first, _ = await shop.run()
    for later in (1, 2):
        shop.put(order(1), OLD_NS + later * 10**9)
        touched, is_new = await shop.run()
        assert is_new
        assert touched.uploaded_at == first.uploaded_at + timedelta(seconds=later)
        assert (touched.content, touched.parts) == (first.content, first.parts)
        assert await shop.run() == (touched, False)
    assert len(validations) == 1
    assert len({entry.source_id for entry in await shop.state.entries()}) == 3


async def test_a_touched_file_of_an_adoption_is_an_upload_of_its_own(shop: Shop) -> None:
    """Else the next adoption would not validate it."""
    shop.put(order(1))
    entry, _ = await shop.run()
    info = await shop.store.stat(shop.path.as_posix().lstrip("/"))
    source = Source(info=info, dataset="orders", store=shop.store)
    staged = replace(entry, staged=True, continues="part")
    equal = entry_of_equal(staged, source, shop.context(InThisThread()))
    assert (equal.staged, equal.continues, equal.sequence) == (False, "", 0)


async def test_other_bytes_of_the_same_size_are_validated(
    shop: Shop, validations: list[str]
) -> None:
    shop.put(order(1))
    first, _ = await shop.run()
    shop.put(order(2), OLD_NS + 10**9)
    second, _ = await shop.run()
    assert len(validations) == 2
    assert second.parts != first.parts


async def test_a_refused_file_that_is_touched_is_validated(
    shop: Shop, validations: list[str]
) -> None:
    for later in range(2):
        shop.put(b"a,b\n1,2\n", OLD_NS + later * 10**9)
        assert (await shop.run())[0].verdict == "refused"
    assert len(validations) == 2


class ChangingStore(CountingStore):
    """Calls `change` behind a given number of reads."""

    def __init__(self, after_reads: int, change: Callable[[], None]) -> None:
        super().__init__()
        self._reads_left = after_reads
        self._change = change

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        data = await super().read(info, start, end)
        self._reads_left -= 1
        if self._reads_left == 0:
            await asyncio.sleep(0.02)  # longer than a tick of ctime
            self._change()
        return data


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after_reads", [1, 2])
async def test_a_file_replaced_while_it_is_read_is_not_committed(
    shop: Shop, way: Callable[[Shop, bytes], None], after_reads: int
) -> None:
    """Or else a mixture of both, or the bytes that are no longer there, would be an entry."""
    data = HEADER.encode() + b"1,1,2025-01-01\n" * 3
    shop.put(data)
    other = data.replace(b"01-01", b"02-02")
    shop.store = ChangingStore(after_reads, lambda: way(shop, other))
    with pytest.raises(SourceChanged):
        await shop.run()
    assert await shop.state.head() == 0
    entry, _ = await shop.run()
    assert entry.sha256 == hashlib.sha256(other).hexdigest()


async def test_new_rights_while_a_file_is_read_do_not_disturb(shop: Shop) -> None:
    shop.put(order(1))
    shop.store = ChangingStore(1, lambda: shop.path.chmod(0o600))
    entry, _ = await shop.run()
    assert entry.sha256 == hashlib.sha256(order(1)).hexdigest()
    assert await shop.reads() == 0


async def test_a_file_system_without_stable_inodes_can_be_read(shop: Shop) -> None:
    """It costs a read each time, and nothing is taken for another version."""
    numbers = iter(range(10**6))
    stat = FolderStore.stat

    async def stat_made_up(
        self: FolderStore, key: str, *, version_id: str | None = None
    ) -> ObjectInfo:
        info = await stat(self, key, version_id=version_id)
        assert info.stamp is not None
        return replace(info, stamp=replace(info.stamp, inode=next(numbers)))

    with patch.object(FolderStore, "stat", stat_made_up):
        shop.put(order(1))
        first, _ = await shop.run()
        assert await shop.run() == (first, False)
        shop.put(order(2))
        assert (await shop.run())[1]


async def test_a_refused_file_that_is_mended_in_place_is_read(shop: Shop) -> None:
    good = order(1)
    shop.put(b"x" * len(good))
    refused, _ = await shop.run()
    assert refused.verdict == "refused"
    shop.put(good)
    accepted, _ = await shop.run()
    assert accepted.verdict == "accepted"


@dataclass
class Disk:
    """A file as a file system keeps it: bytes, and times that advance by ticks."""

    tick_ns: int
    now_ns: int = OLD_NS
    data: bytes = b""
    stamp: FileStamp = field(default_factory=lambda: FileStamp(0, 0, 1))

    def wait(self, ns: int) -> None:
        self.now_ns += ns

    def _tick(self) -> int:
        return self.now_ns // self.tick_ns * self.tick_ns

    def write(self, data: bytes) -> None:
        self.data = data
        self.stamp = replace(self.stamp, mtime_ns=self._tick(), ctime_ns=self._tick())

    def restore(self, data: bytes, *, new_inode: bool) -> None:
        """Put other bytes there with the old mtime."""
        self.data = data
        inode = self.stamp.inode + new_inode
        self.stamp = FileStamp(self.stamp.mtime_ns, self._tick(), inode)

    def rename_twin(self, data: bytes) -> None:
        """Replace it by a file made in the same tick, where a rename leaves the ctime alone."""
        self.data = data
        self.stamp = replace(self.stamp, inode=self.stamp.inode + 1)


class DiskStore(MemoryStore):
    """A store of one file on a `Disk`."""

    def __init__(self, disk: Disk) -> None:
        super().__init__()
        self.disk = disk

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        del version_id
        disk = self.disk
        return ObjectInfo(
            bucket="",
            key=key,
            size_bytes=len(disk.data),
            version=f"mtime:{disk.stamp.mtime_ns}:{len(disk.data)}",
            uploaded_at=datetime.fromtimestamp(disk.stamp.mtime_ns // 1000 / 1e6, UTC),
            stamp=disk.stamp,
        )

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        del info
        return self.disk.data[start:end]


TICKS_NS = (1, 4 * 10**6, 10**9, 2 * 10**9)
"""Steps of the times of file systems: ext4 with and without fine stamps, ext3, FAT."""

CONTENTS = st.sampled_from([order(1), order(2), order(3)])
WAITS_NS = st.sampled_from([0, 1, 10**6, 5 * 10**8, 10**9, 2 * 10**9, 60 * 10**9])
STEPS = st.one_of(
    st.tuples(st.just("write"), CONTENTS),
    st.tuples(st.just("restore in place"), CONTENTS),
    st.tuples(st.just("restore by rename"), CONTENTS),
    st.tuples(st.just("rename a twin"), CONTENTS),
    st.tuples(st.just("run"), st.none()),
    st.tuples(st.just("wait"), WAITS_NS),
)


@given(st.sampled_from(TICKS_NS), st.lists(STEPS, max_size=12))
@example(1, [("wait", 10**10), ("run", None), ("rename a twin", order(2))])
async def test_whatever_happens_to_a_file_a_run_ends_at_its_bytes(
    tick_ns: int, steps: list[tuple[str, Any]]
) -> None:
    disk = Disk(tick_ns)
    disk.write(order(1))
    state = MemoryState()
    store = DiskStore(disk)
    results = MemoryStore()
    context = ValidationContext(
        contract=built_in(),
        workspace=Workspace(store=results, location=Location(bucket="b", key="")),
        ledger=state,
        executor=InThisThread(),
    )
    with patch.object(worker.validate.validate_source, "now_ns", lambda: disk.now_ns):
        for step, argument in [*steps, ("run", None)]:
            match step:
                case "write":
                    disk.write(argument)
                case "restore in place" | "restore by rename":
                    disk.restore(argument, new_inode=step.endswith("rename"))
                case "rename a twin":
                    disk.rename_twin(argument)
                case "wait":
                    disk.wait(argument)
                case "run":
                    source = Source(info=await store.stat("1.csv"), dataset="orders", store=store)
                    entry, _ = await validate(source, context)
                    assert entry.sha256 == hashlib.sha256(disk.data).hexdigest()
                    base = ":".join(entry.version.split(":")[:3])
                    rivals = [one for one in await state.entries() if one.version.startswith(base)]
                    assert entry.uploaded_at == max(one.uploaded_at for one in rivals)
                    assert len({one.uploaded_at for one in rivals}) == len(rivals)


class InThisThread(Executor):
    """Runs what it is given at once."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(*args, **kwargs))
        return future
