"""Wait until files have settled: a copy in progress has a cut last row, which would stay an order.

Neither `cp` nor `scp`, `tar` or an FTP server writes under a temporary name. A file whose mtime or
ctime is recent may not be whole yet. All such files are waited for together, once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from worker.errors import SourceChanged, SourceError
from worker.objects import FileStamp
from worker.objects.source import Source

MAX_PERIODS = 3
"""Quiet periods until a file that keeps changing is left for the next run."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time and waiting, for tests to replace.

    Attributes:
        unix_s: Returns the Unix time, as file systems stamp with it.
        sleep: Waits some seconds.
    """

    unix_s: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


SYSTEM_CLOCK = Clock()


async def settle(
    sources: Sequence[Source], quiet_s: float, clock: Clock = SYSTEM_CLOCK
) -> tuple[list[Source], list[tuple[Source, SourceError]]]:
    """Wait until no file has changed for `quiet_s` seconds.

    Sources without stamp (S3 objects appear whole) and older files wait for nothing.

    Returns:
        Sources that may be read, as they are now, in their order; files that keep changing, or are
        gone.
    """
    settled: dict[int, Source] = {}
    left: list[tuple[Source, SourceError]] = []
    waiting = dict(enumerate(sources)) if quiet_s > 0 else {}
    settled |= {} if quiet_s > 0 else dict(enumerate(sources))
    give_up = clock.unix_s() + MAX_PERIODS * quiet_s
    observed = dict.fromkeys(waiting, 0.0)
    while True:
        now = clock.unix_s()
        missing = {
            number: _missing_s(source.info.stamp, observed[number], quiet_s, now)
            for number, source in waiting.items()
        }
        settled |= {number: waiting.pop(number) for number, s in missing.items() if s <= 0}
        pause = max((missing[number] for number in waiting), default=0.0)
        if not waiting or now + pause > give_up:
            break
        await clock.sleep(pause)
        for number, source in list(waiting.items()):
            try:
                info = await source.store.stat(source.info.key)
            except SourceError as error:
                left.append((source, error))
                del waiting[number]
                continue
            # A file of the future, by a wrong clock, is settled once it has been watched.
            observed[number] = observed[number] + pause if info == source.info else 0.0
            waiting[number] = replace(source, info=info)
    for source in waiting.values():
        changed = SourceChanged("it keeps changing", url=source.info.url)
        left.append((source, changed))
    return [settled[number] for number in sorted(settled)], left


def _missing_s(stamp: FileStamp | None, observed_s: float, quiet_s: float, now_s: float) -> float:
    """Compute how long a file has to stay as it is until it has been quiet for `quiet_s`."""
    if stamp is None:
        return 0.0
    ages_s = [now_s - changed_ns / 1e9 for changed_ns in (stamp.mtime_ns, stamp.ctime_ns)]
    age_s = min((age for age in ages_s if age >= 0), default=0.0)
    return quiet_s - max(age_s, observed_s)
