"""Batches of uploads: a message is deleted once the KPIs have its file, and never before."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpi.aggregation.tables import DEFAULT_TABLES
from tests.support.uploads import MAX_RECEIVES, VISIBILITY_S, MemoryQueue, UploadShop, event
from worker.batches.record import Batch, read_upload
from worker.batches.validation import KILLED
from worker.errors import SourceError, StoreError
from worker.objects import ObjectInfo
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.reporting.reporters import JsonReporter
from worker.service.queue_worker import Message
from worker.service.upload_queue import (
    MAX_RETRY_S,
    QueueLimits,
    gather,
    kept_invisible,
    retry_in_s,
)
from worker.transform.reached import reached_sequence
from worker.validate.validate_source import validate

WRONG = b"nothing,that,belongs,here\n1,2,3,4\n"


def orders(number: int) -> bytes:
    row = f"{number},7,delivered,2025-03-0{number % 9 + 1}T10:00:00"
    return f"order_id,user_id,status,created_at\n{row}\n".encode()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def shop(threads: ThreadPoolExecutor, log: io.StringIO) -> UploadShop:
    return UploadShop(threads=threads, reporter=JsonReporter(log))


def events(log: io.StringIO, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in lines if line["event"] == name]


async def summary(shop: UploadShop, batch: str = "b") -> dict[str, Any]:
    data = await shop.read(f"{batch}/summary.json")
    assert data is not None
    found: dict[str, Any] = json.loads(data)
    return found


async def total_orders(shop: UploadShop) -> int:
    rows = [row async for row in shop.state.rows("order_kpis")]
    return sum(int(str(row["total_orders"])) for row in rows)


async def test_a_batch_goes_from_messages_to_kpis(shop: UploadShop) -> None:
    for number in range(1, 31):
        await shop.put(f"orders/{number}.csv", orders(number))
    await shop.validate("b")
    assert shop.queue.deleted == []
    await shop.transform("b")
    assert shop.queue.deleted == []
    assert await shop.close("b") == 30
    assert len(shop.queue.deleted) == 30
    assert shop.queue.bodies == []
    assert await total_orders(shop) == 30
    assert [info.key async for info in shop.incoming.list("")] == []
    assert len([info.key async for info in shop.archive.list("archive")]) == 30


async def test_one_task_may_do_both(shop: UploadShop) -> None:
    await shop.put("orders/1.csv", orders(1))
    await shop.validate("b", transform_bytes=2**20)
    assert (await summary(shop))["published"] is True
    assert await total_orders(shop) == 1
    assert await shop.close("b") == 1


async def test_a_larger_batch_leaves_the_transform_to_the_next_task(shop: UploadShop) -> None:
    await shop.put("orders/1.csv", orders(1))
    await shop.validate("b", transform_bytes=10)
    assert (await summary(shop))["published"] is False
    assert await total_orders(shop) == 0


async def test_a_message_outlives_a_transform_that_did_not_run(shop: UploadShop) -> None:
    accepted = await shop.put("orders/1.csv", orders(1))
    refused = await shop.put("orders/wrong.csv", WRONG)
    await shop.validate("b")
    # A refusal changes no KPI: its file may go.
    assert await shop.close("b") == 1
    assert shop.queue.deleted == [refused]
    assert shop.queue.bodies == [accepted]


async def test_an_upload_that_fails_fails_alone(shop: UploadShop, log: io.StringIO) -> None:
    await shop.put("orders/1.csv", orders(1))
    await shop.put("orders/wrong.csv", WRONG)
    gone = event("in", "orders/gone.csv")
    noise = '{"detail": "no event"}'
    shop.queue.send(gone, noise)
    await shop.validate("b")
    found = await summary(shop)
    counts = {name: found[name] for name in ("messages", "files", "accepted", "refused", "failed")}
    assert counts == {"messages": 4, "files": 3, "accepted": 1, "refused": 1, "failed": 1}
    assert found["first_refused"][0]["url"] == "s3://in/orders/wrong.csv"
    assert found["first_refused"][0]["reason"].startswith("expected columns")
    assert "gone.csv" in found["first_failed"][0]["url"]
    await shop.transform("b")
    assert await shop.close("b") == 2
    # Both come back after a while, and none of the others waited for them.
    assert sorted(shop.queue.bodies) == sorted([gone, noise])
    assert shop.queue.hidden_until_s(gone) == retry_in_s(1)
    assert shop.queue.hidden_until_s(noise) == retry_in_s(1)
    assert [line["url"] for line in events(log, "source.left")] == ["s3://in/orders/gone.csv"]


async def test_a_fault_that_one_file_meets_stops_no_other(
    shop: UploadShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        await shop.put(f"orders/{number}.csv", orders(number))

    async def fail_at_two(source: Source, context: Any) -> Any:
        if source.info.key == "orders/2.csv":
            raise ZeroDivisionError
        return await validate(source, context)

    monkeypatch.setattr("worker.batches.validation.validate", fail_at_two)
    await shop.validate("b")
    found = await summary(shop)
    assert (found["accepted"], found["failed"]) == (2, 1)
    assert found["first_failed"][0]["reason"] == "ZeroDivisionError: "


async def test_the_fifth_failure_is_a_dead_letter_with_its_cause(
    shop: UploadShop, log: io.StringIO
) -> None:
    gone = event("in", "orders/gone.csv")
    shop.queue.send(gone)
    for number in range(1, MAX_RECEIVES + 1):
        assert shop.queue.dead == []
        await shop.validate(f"b{number}")
        shop.queue.now_s += MAX_RETRY_S
    ((body, cause),) = shop.queue.dead
    assert body == gone
    assert "there is no such object" in cause
    assert shop.queue.bodies == []
    assert events(log, "message.dead")[0]["received"] == MAX_RECEIVES


async def test_a_marker_is_deleted_unread(shop: UploadShop) -> None:
    await shop.put("orders/_SUCCESS", b"")
    await shop.put("orders/", b"")
    await shop.validate("b")
    assert len(shop.queue.deleted) == 2
    assert len([info async for info in shop.incoming.list("")]) == 2


async def test_two_messages_about_one_upload_are_one_file(shop: UploadShop) -> None:
    message = await shop.put("orders/1.csv", orders(1))
    of_no_size = event("in", "orders/1.csv")
    shop.queue.send(message, of_no_size)
    await shop.validate("b")
    assert (await summary(shop))["files"] == 1
    await shop.transform("b")
    assert await shop.close("b") == 1
    assert shop.queue.deleted == [message, message, of_no_size]


async def test_an_empty_queue_makes_an_empty_batch(shop: UploadShop) -> None:
    await shop.validate("b")
    assert (await summary(shop))["messages"] == 0


async def test_the_next_task_goes_on_with_the_messages_of_one_that_died(
    shop: UploadShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        await shop.put(f"orders/{number}.csv", orders(number))
    read: list[str] = []

    async def die_at_two(source: Source, context: Any) -> Any:
        read.append(source.info.key)
        if source.info.key == "orders/2.csv":
            raise StoreError("as if the process had been killed")
        return await validate(source, context)

    async def do_nothing(_: Batch) -> None:
        """A killed process tidies nothing up."""

    monkeypatch.setattr("worker.batches.validation.validate", die_at_two)
    late = event("in", "orders/late.csv")
    for _ in range(2):
        with monkeypatch.context() as killed:
            killed.setattr(Batch, "end_reading", do_nothing)
            with pytest.raises(StoreError):
                await shop.validate("b")
        shop.queue.send(late)
    # The third task knows which file the second was reading, and leaves it to its message.
    del read[:]
    await shop.validate("b")
    assert "orders/2.csv" not in read
    found = await summary(shop)
    assert (found["messages"], found["accepted"], found["failed"]) == (3, 2, 1)
    assert found["first_failed"][0]["reason"] == f"s3://in/orders/2.csv: {KILLED}"
    await shop.transform("b")
    assert await shop.close("b") == 2
    # Of the messages about other files none was received again.
    shop.queue.now_s += MAX_RETRY_S
    monkeypatch.undo()
    await shop.validate("c")
    assert sorted(one.received for one in await shop.messages("c")) == [1, 1, 2]


async def test_a_store_that_fails_makes_no_file_a_culprit(
    shop: UploadShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.put("orders/1.csv", orders(1))

    async def fail(source: Source, context: Any) -> Any:
        del source, context
        raise StoreError("out of reach")

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr("worker.batches.validation.validate", fail)
            with pytest.raises(StoreError):
                await shop.validate("b")
    await shop.validate("b")
    assert (await summary(shop))["accepted"] == 1


async def test_messages_come_back_where_nobody_goes_on(shop: UploadShop) -> None:
    message = await shop.put("orders/1.csv", orders(1))
    await shop.validate("b")
    assert shop.queue.hidden_until_s(message) == VISIBILITY_S
    shop.queue.now_s = VISIBILITY_S
    await shop.validate("c")
    # The first batch goes on late: its receipts are old, and delete nothing.
    await shop.transform("b")
    await shop.close("b")
    assert shop.queue.bodies == [message]
    await shop.transform("c")
    # The file has gone to the archive; its entry is published, so nothing is left to do.
    assert await shop.close("c") == 1
    assert shop.queue.bodies == []
    assert await total_orders(shop) == 1


async def test_an_object_that_cannot_be_moved_keeps_its_message(
    shop: UploadShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await shop.put("orders/1.csv", orders(1))
    await shop.put("orders/2.csv", orders(2))
    await shop.validate("b")
    await shop.transform("b")
    read = MemoryStore.read

    async def fail(self: MemoryStore, info: ObjectInfo, start: int, end: int) -> bytes:
        if info.key == "orders/1.csv":
            raise SourceError("cannot read", url=info.url)
        return await read(self, info, start, end)

    monkeypatch.setattr(MemoryStore, "read", fail)
    with pytest.raises(SourceError, match="1 of 2 files"):
        await shop.close("b")
    assert shop.queue.bodies == [kept]


class _Slow(MemoryQueue):
    """A queue that counts renewals."""

    renewals = 0

    async def hide(self, receipts: Any, seconds: int) -> None:
        self.renewals += 1
        if self.renewals == 2:
            raise StoreError("SQS is out of reach")
        await super().hide(receipts, seconds)


async def test_messages_are_renewed_though_one_renewal_fails(log: io.StringIO) -> None:
    queue = _Slow()
    queue.send("a")
    (message,) = await queue.receive(1, 0)
    limits = QueueLimits(visibility_timeout_s=0, max_receives=0)
    async with kept_invisible(queue, [message.receipt], limits, JsonReporter(log).emit):
        for _ in range(30):
            await asyncio.sleep(0)
    assert queue.renewals >= 6
    assert len(events(log, "heartbeat.failed")) == 1


@given(sent=st.integers(0, 120), most=st.integers(1, 110))
def test_a_batch_has_what_is_there_up_to_its_bound(sent: int, most: int) -> None:
    queue = MemoryQueue()
    queue.send(*(f"{number}" for number in range(sent)))

    async def take() -> list[Message]:
        return await gather(queue, max_files=most, max_bytes=2**40, size_of=lambda _: 1)

    taken = asyncio.run(take())
    assert len(taken) == min(sent, most)
    assert len({one.body for one in taken}) == len(taken)


async def test_a_batch_is_full_once_it_has_its_bytes() -> None:
    queue = MemoryQueue()
    queue.send(*(f"{number}" for number in range(500)))
    taken = await gather(queue, max_files=500, max_bytes=50, size_of=lambda _: 1)
    assert 50 <= len(taken) < 150


@given(st.text(max_size=40))
def test_any_body_is_read(body: str) -> None:
    assert read_upload(body) is None


def test_a_body_that_nests_too_deep_is_no_event() -> None:
    assert read_upload("[" * 100_000) is None


def test_an_event_names_a_version() -> None:
    found = read_upload(event("in", "orders/a b+c.csv", version_id="v", size=7))
    assert found is not None
    assert (found.bucket, found.key, found.version_id) == ("in", "orders/a b+c.csv", "v")
    assert found.size_bytes == 7


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "wrong", "gone", "again", "batch", "late"]), st.integers(0, 3)
    ),
    min_size=3,
    max_size=12,
)


@given(STEPS)
@settings(deadline=None)
def test_no_message_is_deleted_before_its_file_is_published(steps: list[tuple[str, int]]) -> None:
    """Batches that die after any step, messages that come back early and twice."""
    with ThreadPoolExecutor(1) as threads:
        shop = UploadShop(threads=threads, reporter=JsonReporter(io.StringIO()))
        asyncio.run(_live(shop, steps))


async def _live(shop: UploadShop, steps: list[tuple[str, int]]) -> None:
    bodies: list[str] = []
    good: set[str] = set()
    for number, (step, depth) in enumerate(steps, 1):
        if step in ("put", "wrong"):
            data = orders(number) if step == "put" else WRONG
            body = await shop.put(f"orders/{number}.csv", data)
            good |= {body} if step == "put" else set()
            bodies.append(body)
        elif step == "gone":
            shop.queue.send(event("in", f"orders/gone-{number}.csv"))
        elif step == "again" and bodies:
            shop.queue.send(bodies[depth % len(bodies)])
        elif step == "late":
            shop.queue.now_s += VISIBILITY_S
        elif step == "batch":
            await _run(shop, f"b{number}", depth)
        await _check(shop, good)
    for number in range(2 * MAX_RECEIVES):
        shop.queue.now_s += VISIBILITY_S
        if shop.queue.bodies:
            await _run(shop, f"end-{number}", 3)
            await _check(shop, good)
    assert shop.queue.bodies == []
    assert await total_orders(shop) == len(good)


async def _run(shop: UploadShop, batch: str, depth: int) -> None:
    """Do some of the steps of a batch: bit 0 of `depth` is its transform, bit 1 its close."""
    await shop.validate(batch)
    if depth & 1:
        await shop.transform(batch)
    if depth & 2:
        await shop.close(batch)


async def _check(shop: UploadShop, good: set[str]) -> None:
    published = reached_sequence(DEFAULT_TABLES, await shop.state.progress())
    entries = {one.url: one for one in await shop.state.entries()}
    for body in good & set(shop.queue.deleted):
        upload = read_upload(body)
        assert upload is not None
        entry = entries[upload.location.url]
        assert entry.sequence <= published
