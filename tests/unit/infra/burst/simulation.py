"""What becomes of a burst of small uploads: executions, tasks and capacity, event by event.

Files are counted, not followed: a batch takes the oldest that wait. Executions are processes that
yield the seconds that they wait.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from tests.unit.infra.burst.aws_limits import Limits, Times
from tests.unit.infra.burst.template_numbers import Numbers

HORIZON_S = 4 * 86_400
RECEIVERS = 8
"""Requests for messages at once, as `worker.service.upload_queue` has them."""

LARGE_BYTES = 50 * 10**9
LARGE_DAYS = 365
"""Of the large object."""

Process = Generator[float, None, None]


class GaveUp(Exception):
    """Report that a task found no capacity in all of its attempts."""


@dataclass
class Outcome:
    """What became of a burst.

    Attributes:
        files: Files in the KPIs.
        failed: Executions that gave up.
        task_starts: Tasks that ran.
        executions: Executions that were started.
        done_s: When the last file was in the KPIs, from the first upload.
        lag_s: Longest time of a file from upload to KPIs.
        most_at_once: Executions that took batches at once.
        most_hidden: Messages in flight at once.
        dead: Messages that became dead letters.
        large_s: When a large object was in the KPIs; 0 for never.
    """

    files: int = 0
    failed: int = 0
    task_starts: int = 0
    executions: int = 0
    done_s: float = 0.0
    lag_s: float = 0.0
    most_at_once: int = 0
    most_hidden: int = 0
    dead: int = 0
    large_s: float = 0.0


@dataclass
class Bucket:
    """A token bucket."""

    size: float
    per_s: float
    tokens: float = field(init=False)
    at_s: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.size

    def take(self, now_s: float) -> bool:
        self.tokens = min(self.size, self.tokens + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Burst:
    """One burst: uploads at some times, and the deployment that takes them."""

    def __init__(
        self,
        uploads_s: list[float],
        numbers: Numbers,
        limits: Limits,
        times: Times,
        *,
        lease_held_until_s: float = 0.0,
        large_s: Sequence[float] = (),
    ) -> None:
        self._numbers, self._limits, self._times = numbers, limits, times
        self._random = random.Random(1)
        self._sent_s = sorted(one + times.event_s for one in uploads_s)
        self._taken = 0
        self._hidden = 0
        self._used_vcpus = {"FARGATE": 0.0, "FARGATE_SPOT": 0.0}
        self._has_vcpus = {"FARGATE": limits.vcpus, "FARGATE_SPOT": limits.spot_vcpus}
        self._large_s = large_s
        self._slices = 0
        self._lease_free_s = lease_held_until_s
        self._running = 0
        self._calls = Bucket(limits.run_task_per_s, limits.run_task_per_s)
        self._launches = Bucket(limits.launch_burst, limits.launch_per_s)
        self._back: list[tuple[float, list[float], int]] = []
        self._lists = Bucket(limits.list_executions_burst, limits.list_executions_per_s)
        self._queue: list[tuple[float, int, Process]] = []
        self._order = count()
        self.now_s = 0.0
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Run until every file is in the KPIs, or nothing is left to happen."""
        total = len(self._sent_s)
        for at_s in self._woken():
            self._add(at_s, self._execution(counts=False))
        for at_s in self._large_s:
            self._add(at_s, self._large_object())
        at_s = self._numbers.schedule_s
        while self._is_open(total) and self.now_s < HORIZON_S:
            if not self._queue or self._queue[0][0] > at_s:
                self._add(at_s, self._execution(counts=True))
                at_s += self._numbers.schedule_s
            self.now_s, _, process = heapq.heappop(self._queue)
            self._step(process)
        return self.outcome

    def _is_open(self, total: int) -> bool:
        is_large_open = bool(self._large_s) and not self.outcome.large_s
        return self.outcome.files + self.outcome.dead < total or is_large_open

    def _woken(self) -> Iterator[float]:
        """Yield when an upload starts an execution: each asks, one of a window gets its name."""
        starts = Bucket(self._limits.start_execution_burst, self._limits.start_execution_per_s)
        last = -1
        for sent_s in self._sent_s:
            window = int(sent_s // self._numbers.window_s)
            if starts.take(sent_s) and window != last:
                last = window
                yield sent_s

    def _add(self, at_s: float, process: Process) -> None:
        heapq.heappush(self._queue, (at_s, next(self._order), process))

    def _step(self, process: Process) -> None:
        try:
            wait_s = next(process)
        except StopIteration:
            return
        self._add(self.now_s + wait_s, process)

    def _execution(self, *, counts: bool) -> Process:
        self.outcome.executions += 1
        yield self._numbers.window_s
        while not self._lists.take(self.now_s):
            yield self._random.uniform(0, 2)
        if self._running >= self._numbers.concurrency:
            return
        self._running += 1
        self.outcome.most_at_once = max(self.outcome.most_at_once, self._running)
        try:
            yield from self._rounds(counts=counts)
        except GaveUp:
            self.outcome.failed += 1
        finally:
            self._running -= 1

    def _rounds(self, *, counts: bool) -> Process:
        for _ in range(self._numbers.max_rounds):
            if counts and not self._waiting():
                return
            counts = True
            yield from self._batch()
        self._add(self.now_s, self._execution(counts=True))

    def _waiting(self) -> int:
        back = sum(len(one) for at_s, one, _ in self._back if at_s <= self.now_s)
        return back + bisect_right(self._sent_s, self.now_s) - self._taken

    def _receive(self) -> tuple[list[float], int]:
        """Take those that came back, else the oldest; return how often they were received, too."""
        for number, (at_s, files, received) in enumerate(self._back):
            if at_s <= self.now_s:
                del self._back[number]
                return files, received + 1
        in_flight = self._limits.messages_in_flight - self._hidden
        most = min(self._numbers.max_files, in_flight)
        end = min(self._taken + most, bisect_right(self._sent_s, self.now_s))
        files = self._sent_s[self._taken : end]
        self._taken = end
        young = [one for one in files if self.now_s - one <= self._numbers.retention_s]
        self.outcome.dead += len(files) - len(young)
        return young, 1

    def _batch(self) -> Process:
        times, numbers = self._times, self._numbers
        batch: list[float] = []
        received = 0

        def validate() -> float:
            nonlocal received
            found, received = self._receive()
            batch.extend(found)
            self._hidden += len(batch)
            self.outcome.most_hidden = max(self.outcome.most_hidden, self._hidden)
            asked_s = times.request_s * len(batch) / self._limits.receive_messages / RECEIVERS
            return asked_s + times.validate_s * len(batch) / numbers.task_vcpus

        yield from self._task(numbers.task_vcpus, validate)
        if not batch:
            return
        if len(batch) >= numbers.max_files:
            self._add(self.now_s, self._execution(counts=True))
        validated_s = self.now_s

        def transform() -> float:
            begins_s = max(self.now_s, self._lease_free_s)
            work_s = times.transform_base_s + times.transform_s * len(batch) / numbers.task_vcpus
            self._lease_free_s = begins_s + work_s
            return self._lease_free_s - self.now_s

        started_s = yield from self._task(numbers.task_vcpus, transform, waits=True)
        if started_s - validated_s > numbers.visibility_s:
            # The messages came back before anybody renewed them.
            if received >= numbers.max_receives:
                self.outcome.dead += len(batch)
            else:
                self._back.append((self.now_s, batch, received))
            self._hidden -= len(batch)
            return
        published_s = self.now_s - times.stop_s
        self.outcome.files += len(batch)
        self.outcome.done_s = max(self.outcome.done_s, published_s)
        self.outcome.lag_s = max(self.outcome.lag_s, published_s - batch[0] + times.event_s)
        yield from self._task(numbers.archive_vcpus, lambda: times.archive_s * len(batch))
        self._hidden -= len(batch)

    def _large_object(self) -> Process:
        """Validate ranges, then transform slices of days, each by a task of its own."""
        numbers, times = self._numbers, self._times
        ranges = -(-LARGE_BYTES // numbers.range_bytes)
        slices = -(-LARGE_DAYS // numbers.days_per_slice)
        yield from self._at_once(ranges, lambda: times.range_s, holds_lease=False)
        yield from self._at_once(slices, lambda: times.slice_s, holds_lease=True)
        self.outcome.large_s = self.now_s

    def _at_once(self, tasks: int, work: Callable[[], float], *, holds_lease: bool) -> Process:
        """Run a Distributed Map."""
        running = 0

        def one() -> Process:
            nonlocal running
            try:
                yield from self._task(self._numbers.large_vcpus, work, holds_lease=holds_lease)
            except GaveUp:
                self.outcome.failed += 1
            running -= 1

        for _ in range(tasks):
            while running >= self._numbers.at_once:
                yield 1.0
            running += 1
            self._add(self.now_s, one())
        while running:
            yield 1.0

    def _task(
        self,
        vcpus: float,
        work: Callable[[], float],
        *,
        waits: bool = False,
        holds_lease: bool = False,
    ) -> Generator[float, None, float]:
        """Start a task once there is capacity, do its work; return when the work began."""
        provider = yield from self._start(vcpus, self._numbers.providers[0])
        if provider == "FARGATE_SPOT" and self._random.random() < self._times.interrupted:
            self._used_vcpus[provider] -= vcpus
            yield self._times.stop_s + self._random.uniform(0, self._times.retry_s)
            provider = yield from self._start(vcpus, self._numbers.providers[1])
        began_s = self.now_s
        while waits and self._slices:
            yield 1.0
        self._slices += holds_lease
        yield work()
        self._slices -= holds_lease
        self._used_vcpus[provider] -= vcpus
        yield self._times.stop_s
        return began_s

    def _start(self, vcpus: float, first: str) -> Generator[float, None, str]:
        """Ask for a task until there is capacity; return where it runs once it does."""
        numbers = self._numbers
        for attempt in count():
            provider = first if attempt == 0 else numbers.providers[1]
            fits = self._used_vcpus[provider] + vcpus <= self._has_vcpus[provider]
            if self._calls.take(self.now_s) and fits and self._launches.take(self.now_s):
                break
            if attempt == numbers.attempts:
                raise GaveUp
            longest_s = min(numbers.max_wait_s, numbers.first_wait_s * 2.0 ** min(attempt, 20))
            yield self._random.uniform(0, longest_s)
        self._used_vcpus[provider] += vcpus
        self.outcome.task_starts += 1
        yield self._times.start_s
        return provider


def spread(files: int, within_s: float) -> list[float]:
    """Return the times of uploads at an even rate."""
    return [number * within_s / files for number in range(files)]
