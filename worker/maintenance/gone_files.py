"""Files of local folders that count and are gone from their folder.

They count all the same: a folder that is not mounted, or was cleared, must change no number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from worker.errors import ConfigError
from worker.objects.location import locate
from worker.state import Entry, Ledger
from worker.state.named_uploads import newest_versions


async def find_gone_files(ledger: Ledger) -> list[Entry]:
    """Return the last upload of each file that is gone, in the order of the ledger.

    Args:
        ledger: All of its entries are read.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    entries = await ledger.entries()
    last = {ruling.source_id: ruling.kind for ruling in await ledger.rulings()}
    moved = {entry.moved_from for entry in entries if entry.moved_from}
    counted = [
        entry
        for entry in newest_versions(one for one in entries if one.verdict == "accepted")
        if last.get(entry.source_id) != "retraction" and entry.url not in moved
    ]
    return await asyncio.to_thread(_gone, counted)


def _gone(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if (path := _path(entry.url)) and not path.exists()]


def _path(url: str) -> Path | None:
    """Return the path of a local file; None for another, or where its name is not UTF-8."""
    try:
        place = locate(url)
    except ConfigError:
        return None
    return None if place.bucket or "\\x" in url else Path(f"/{place.key}")
