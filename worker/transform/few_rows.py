"""Work on rows of a day: in threads where there are many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from worker.clean.reader import INLINE_ROWS

R = TypeVar("R")


async def in_thread(rows: int, work: Callable[[], R]) -> R:
    """Do work on some rows, in a thread unless they are few: others go on meanwhile."""
    return work() if rows <= INLINE_ROWS else await asyncio.to_thread(work)
