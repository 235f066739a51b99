"""Retract and restore uploads: find the upload that is meant, and commit the ruling."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from worker.errors import ConfigError
from worker.maintenance.named_uploads import has_name
from worker.state import Entry, Ledger, Ruling
from worker.state.counted import CountedUploads
from worker.state.paging import records_in_pages
from worker.state.records import Decision

LISTED_VERSIONS = 10
"""Versions of a name that an error lists."""


async def plan_rulings(
    ledger: Ledger, names: Sequence[str], kind: Decision, reason: str
) -> list[Ruling]:
    """Prepare a ruling on each named upload whose state it would change.

    Args:
        ledger: Where the uploads are.
        names: Source ids, URLs or ends of URLs.
        kind: What is decided.
        reason: Why; empty where none is given.

    Returns:
        Rulings that are not committed yet. An upload that is in the wanted state has none.

    Raises:
        ConfigError: A name is unknown, belongs to several versions, or to a refused file.
        StoreError: The ledger cannot be read, after retries.
    """
    found: dict[str, dict[str, Entry]] = {name: {} for name in names}
    counted = CountedUploads()
    async for records in records_in_pages(ledger, await ledger.head()):
        counted.add(records)
        entries = [one for one in records if isinstance(one, Entry)]
        for name, versions in found.items():
            # Of two verdicts on one version, the later stands.
            versions |= {entry.source_id: entry for entry in entries if has_name(entry, name)}
    uploads: dict[str, Entry] = {}
    for name, versions in found.items():
        chosen = _first_of_run(versions, counted)
        _check_unique(name, list(chosen.values()))
        uploads |= chosen
    now = datetime.now(UTC)
    return [
        Ruling(
            kind=kind,
            ruling_id=secrets.token_hex(8),
            source_id=source_id,
            url=entry.url,
            reason=reason,
            recorded_at=now,
        )
        for source_id, entry in uploads.items()
        if counted.is_retracted(source_id) != (kind == "retraction")
    ]


def _first_of_run(versions: Mapping[str, Entry], counted: CountedUploads) -> dict[str, Entry]:
    """Leave only the first of uploads that are equal: a ruling on it holds for all of them."""
    equal = {
        upload.source_id
        for run in counted.runs(versions)
        for upload in [one for one in run if one.source_id in versions][1:]
    }
    return {one: entry for one, entry in versions.items() if one not in equal}


def _check_unique(name: str, versions: Sequence[Entry]) -> None:
    """Raise an error unless a name belongs to one upload that was accepted."""
    if not versions:
        raise ConfigError("no source object in the ledger has this id or name", url=name)
    if len(versions) > 1:
        latest = sorted(versions, key=lambda entry: entry.uploaded_at, reverse=True)
        listed = ", ".join(
            f"{entry.source_id} (uploaded {entry.uploaded_at:%Y-%m-%d %H:%M:%S} UTC, {entry.url})"
            for entry in latest[:LISTED_VERSIONS]
        )
        more = (
            f", and {len(latest) - LISTED_VERSIONS} more" if len(latest) > LISTED_VERSIONS else ""
        )
        raise ConfigError(
            f"{len(versions)} uploads have this name: {listed}{more}",
            url=name,
            hint="name one by its id",
        )
    if versions[0].verdict == "refused":
        raise ConfigError("it was refused: nothing of it counts", url=versions[0].url)
