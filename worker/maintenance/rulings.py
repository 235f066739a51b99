"""Retract and restore uploads: find the upload that is meant, and commit the ruling."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from worker.errors import ConfigError
from worker.state import Entry, Ledger, Ruling
from worker.state.contract_in_force import ContractInForce
from worker.state.counted import CountedUploads
from worker.state.named_uploads import Tails, has_name, unknown_name
from worker.state.paging import records_in_pages
from worker.state.records import Decision, Record

LISTED_VERSIONS = 10
"""Versions of a name that an error lists."""


async def plan_rulings(
    ledger: Ledger,
    names: Sequence[str],
    kind: Decision,
    reason: str,
    in_force: ContractInForce | None = None,
) -> list[Ruling]:
    """Prepare a ruling on each named upload whose state it would change.

    Args:
        ledger: Where the uploads are.
        names: Source ids, URLs or ends of URLs.
        kind: What is decided.
        reason: Why; empty where none is given.
        in_force: Which entries are of the contract in force; None where no other ever was.

    Returns:
        Rulings that are not committed yet. An upload that is in the wanted state has none.

    Raises:
        ConfigError: A name is unknown or belongs to several versions; or an upload to restore was
            refused, or has no clean rows of the contract in force.
        StoreError: The ledger cannot be read, after retries.
    """
    found: dict[str, dict[str, Entry]] = {name: {} for name in names}
    tails = {name: Tails(name) for name in names}
    counted = CountedUploads()
    rulings: dict[str, Decision] = {}
    async for page in records_in_pages(ledger, await ledger.head()):
        records = [one for one in page if not _is_without_effect(one, in_force)]
        counted.add(records)
        rulings |= {one.source_id: one.kind for one in records if isinstance(one, Ruling)}
        entries = [one for one in records if isinstance(one, Entry)]
        for name, versions in found.items():
            # Of two verdicts on one version, the later stands.
            versions |= {entry.source_id: entry for entry in entries if has_name(entry, name)}
            tails[name].add(entries)
    uploads: dict[str, Entry] = {}
    for name, versions in found.items():
        chosen = _first_of_run(versions, counted)
        if not chosen:
            raise unknown_name(name, tails[name])
        _check_unique(name, list(chosen.values()), kind)
        uploads |= chosen
    if kind == "restoration" and in_force is not None:
        _check_rows(uploads.values(), in_force)

    def is_retracted(entry: Entry) -> bool:
        if entry.verdict == "refused":  # it does not count, whatever was ruled
            return rulings.get(entry.source_id) == "retraction"
        return counted.is_retracted(entry.source_id)

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
        if is_retracted(entry) != (kind == "retraction")
    ]


def _is_without_effect(record: Record, in_force: ContractInForce | None) -> bool:
    """Return whether a record was staged for a contract that is not in force."""
    if not isinstance(record, Entry) or not record.staged:
        return False
    return in_force is None or not in_force.serves(record)


def _check_rows(entries: Iterable[Entry], in_force: ContractInForce) -> None:
    """Check that uploads have clean rows to count.

    Their raw files may have been gone when the contract in force was adopted.
    """
    for entry in entries:
        if entry.verdict == "accepted" and not in_force.serves(entry):
            raise ConfigError(
                "it has no clean rows of the contract in force, so there is nothing to restore",
                url=entry.url,
                hint="upload it again, or say where its raw file is: "
                "`shopkpi contract adopt` with the contract in force and --raw",
            )


def _first_of_run(versions: Mapping[str, Entry], counted: CountedUploads) -> dict[str, Entry]:
    """Leave only the first of uploads that are equal: a ruling on it holds for all of them."""
    equal = {
        upload.source_id
        for run in counted.runs(versions)
        for upload in [one for one in run if one.source_id in versions][1:]
    }
    return {one: entry for one, entry in versions.items() if one not in equal}


def _check_unique(name: str, versions: Sequence[Entry], kind: Decision) -> None:
    """Raise an error unless a name belongs to one upload; to restore, an accepted one.

    A refused upload is retracted by who knows that it will not be sent again: it holds no day back.
    """
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
    if versions[0].verdict == "refused" and kind == "restoration":
        raise ConfigError("it was refused: nothing of it counts", url=versions[0].url)
